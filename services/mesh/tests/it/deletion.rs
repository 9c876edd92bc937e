//! `mesh runs delete` and `mesh runs prune` against a running stack.

use api::{
    remembrancer::LeafQuery,
    trainer::{NewRun, RunStatus},
};
use client::{Endpoint, Remembrancer, Trainer};
use test_support::database;

use crate::support::{Up, mesh};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_decided_is_deleted_by_name_and_by_size_and_training_it_again_brings_it_back() {
    let (folder, database) = (tempfile::tempdir().unwrap(), database().await);
    let up = Up::start(folder.path(), &database);
    let services = ["--trainer", &up.trainer, "--remembrancer", &up.remembrancer, "--reason", "full"];
    let ask = |arguments: &[&str]| mesh(folder.path(), &[arguments, &services].concat());
    let watch = || mesh(folder.path(), &["watch", "last", "--trainer", &up.trainer]);
    let decisions = |run: &str| {
        let query = ["query", "--decisions", "--run", run, "--remembrancer", &up.remembrancer];
        mesh(folder.path(), &query).stdout
    };
    let trainer = Trainer::new(Endpoint::new(&up.trainer)).unwrap();
    let remembrancer = Remembrancer::new(Endpoint::new(&up.remembrancer)).unwrap();
    let wanted = NewRun { agents: 3, episodes: 2, steps_per_episode: 12, ..NewRun::default() };
    let run = trainer.create_run(&wanted, None).await.unwrap();
    assert_eq!(watch().code, 0);
    let run = trainer.run(run.id).await.unwrap();
    let id = run.id.to_string();
    assert!(decisions(&id).contains("route"));

    let deleted = ask(&["runs", "delete", &id[..13], "--by", "ops"]);
    assert_eq!(deleted.code, 0, "{}", deleted.stderr);
    let told = format!("run {id}: {} decisions deleted", run.progress.decisions);
    assert!(deleted.stdout.starts_with(&told), "{}", deleted.stdout);
    let list = || {
        mesh(folder.path(), &["runs", "--trainer", &up.trainer, "--remembrancer", &up.remembrancer]).stdout
    };
    assert!(list().contains(&format!("{} (deleted)", run.progress.decisions)), "{}", list());
    let again = ask(&["runs", "delete", "last"]);
    assert!(again.stdout.contains("had been deleted before"), "{}", again.stdout);
    assert_eq!(decisions(&id).trim(), "no decisions");
    let leaf = LeafQuery { run: Some(run.digest), sequence: Some(0), ..LeafQuery::default() };
    let gone = remembrancer.evidence(&leaf).await.unwrap_err();
    assert_eq!(gone.problem().unwrap().code, "decision_deleted");
    let record = mesh(
        folder.path(),
        &["query", "--kind", "decisions.deleted", "--json", "--remembrancer", &up.remembrancer],
    );
    assert_eq!(record.json()["items"][0]["body"]["by"], "ops");
    // what it came to stays
    assert_eq!(trainer.run(run.id).await.unwrap().run_root, run.run_root);
    assert_eq!(ask(&["runs", "prune", "--keep-gb", "0", "--json"]).json()["decisions"], 0);

    let twin = trainer.create_run(&wanted, None).await.unwrap();
    assert_eq!(watch().code, 0);
    let twin = trainer.run(twin.id).await.unwrap();
    assert_eq!((twin.status, twin.run_root), (RunStatus::Completed, run.run_root));
    assert!(decisions(&id).contains("route"), "they are there again");
    assert!(!list().contains("deleted"), "{}", list());

    let young = ask(&["runs", "prune", "--older-than", "1d", "--dry-run"]);
    assert!(young.stdout.starts_with("0 decisions of 0 runs would be deleted"), "{}", young.stdout);
    let all = ask(&["runs", "prune", "--keep-gb", "0", "--older-than", "1d", "--json"]).json();
    assert_eq!(all["decisions"], run.progress.decisions);
    assert_eq!(decisions(&id).trim(), "no decisions");
    let neither = ask(&["runs", "prune"]);
    assert_eq!(neither.code, 2, "{}", neither.stdout);
    assert!(neither.stderr.contains("--older-than"), "{}", neither.stderr);
}
