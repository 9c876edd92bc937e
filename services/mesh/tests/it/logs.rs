//! What `mesh up` logs.

use std::fs::{self, File};

use api::trainer::NewRun;
use client::{Endpoint, Trainer};
use serde_json::Value;
use test_support::database;

use crate::support::{Up, mesh};

#[tokio::test(flavor = "multi_thread")]
async fn a_line_is_one_object_with_its_ids_as_fields_and_a_run_does_not_fill_the_log() {
    let (folder, database) = (tempfile::tempdir().unwrap(), database().await);
    let log = folder.path().join("log");
    let up = Up::logging(folder.path(), &database, "info", File::create(&log).unwrap().into());
    let trainer = Trainer::new(Endpoint::new(&up.trainer)).unwrap();
    let wanted = NewRun { agents: 3, episodes: 6, steps_per_episode: 20, ..NewRun::default() };
    let run = trainer.create_run(&wanted, None).await.unwrap();
    assert_eq!(mesh(folder.path(), &["watch", "last", "--trainer", &up.trainer]).code, 0);

    let text = fs::read_to_string(&log).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said = |message: &str| lines.iter().filter(|line| line["message"] == message).collect::<Vec<_>>();
    for (line, text) in lines.iter().zip(text.lines()) {
        assert!(line["message"].is_string() && line["level"].is_string(), "{text}");
        for id in ["\"request_id\":", "\"trace_id\":", "\"span_id\":", "\"run\":"] {
            assert!(text.matches(id).count() <= 1, "{id} twice in {text}");
        }
    }
    let requests = said("request");
    assert!(requests.iter().all(|line| line["span"]["request_id"].is_string()), "{text}");
    // Who follows the ledger asks each second what is new, and this may take many.
    let looks =
        |line: &&&Value| line["method"] == "GET" && line["path"].as_str().unwrap().starts_with("/v1/");
    let of_the_run = requests.len() - requests.iter().filter(looks).count();
    assert!(of_the_run < 40, "120 windows, and {of_the_run} lines about requests:\n{text}");
    let [created, ended] = [said("run created"), said("the run ended")];
    assert_eq!((created.len(), ended.len()), (1, 1), "{text}");
    assert_eq!(
        (&created[0]["run"], &ended[0]["run"]),
        (&run.id.to_string().into(), &run.id.to_string().into())
    );
    assert_eq!(ended[0]["status"], "completed");
}
