//! `mesh` in a container: it knows the services by what `compose.yaml` sets, and by nothing else.

use std::path::Path;

use test_support::database;

use crate::support::{KNOWN_LOGS, Up, mesh_with};

#[tokio::test(flavor = "multi_thread")]
async fn what_compose_tells_the_trainers_container_is_enough_to_train_to_query_and_to_see_interventions() {
    let (folder, database) = (tempfile::tempdir().unwrap(), database().await);
    let up = Up::start(folder.path(), &database);
    let compose = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../compose.yaml");
    let compose = std::fs::read_to_string(compose).unwrap();
    let block = compose.split("x-cli: &cli\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let known_logs = folder.path().join(KNOWN_LOGS).display().to_string();
    let here = |value: &str| {
        let service = value.strip_prefix("http://").and_then(|rest| rest.split(':').next());
        match service {
            Some("trainer") => up.trainer.clone(),
            Some("psi-field") => up.psi_field.clone(),
            Some("remembrancer") => up.remembrancer.clone(),
            Some("evaluator") => up.evaluator.clone(),
            Some(other) => panic!("{other}"),
            None if value.starts_with('$') => String::new(), // as it is where there is no key
            None => known_logs.clone(),
        }
    };
    let variables: Vec<(&str, String)> = block
        .lines()
        .map(|line| line.trim().split_once(": ").unwrap())
        .map(|(name, value)| (name, here(value)))
        .collect();
    let variables: Vec<(&str, &str)> =
        variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let ask = |arguments: &[&str]| {
        let ran = mesh_with(folder.path(), arguments, &variables);
        assert_eq!(ran.code, 0, "{arguments:?}: {}{}", ran.stdout, ran.stderr);
        ran
    };
    let trained = ask(&[
        "train",
        "--agents",
        "2",
        "--episodes",
        "2",
        "--steps-per-episode",
        "10",
        "--seeds",
        "2",
        "--training-seeds",
        "1",
        "--json",
    ])
    .json();
    assert_eq!(trained["status"], "completed");
    let found = ask(&["query", "training run", "--json"]).json();
    assert!(found["items"].as_array().unwrap().iter().any(|r| r["kind"] == "run.ended"), "{found}");
    ask(&["interventions", "last"]);
}
