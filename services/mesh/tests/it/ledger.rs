//! `mesh record`, `mesh query`, and interventions by hand, against a running stack.

use std::fs;

use api::trainer::{NewRun, Run, RunStatus};
use client::{Endpoint, Trainer};
use records::{Body as _, note::Note};
use serde_json::json;
use test_support::{database, eventually};

use crate::support::{KNOWN_LOGS, Up, mesh};

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_is_recorded_once_with_its_evidence_found_by_its_words_and_verified_offline() {
    let (folder, database) = (tempfile::tempdir().unwrap(), database().await);
    let up = Up::start(folder.path(), &database);
    let ask = |arguments: &[&str]| {
        mesh(folder.path(), &[arguments, &["--remembrancer", &up.remembrancer]].concat())
    };
    // SHA-256 of "abc": FIPS 180-2, appendix B.1.
    fs::write(folder.path().join("tests.log"), "abc").unwrap();
    let deploy = [
        "record",
        "deploy",
        "--component",
        "ai-mesh-training",
        "--version",
        "1.4.2",
        "--evidence",
        "tests.log",
    ];

    let first = ask(&[&deploy[..], &["--receipt", "receipt.json"]].concat());
    assert_eq!(first.code, 0, "{}", first.stderr);
    assert!(first.stdout.contains("log index"), "{}", first.stdout);
    assert!(
        first.stdout.contains(
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad (tests.log, 3 bytes)"
        ),
        "{}",
        first.stdout
    );
    assert!(first.stdout.contains("mesh verify receipt.json"), "{}", first.stdout);
    assert_eq!(mesh(folder.path(), &["verify", "receipt.json"]).code, 0);

    let recorded = database.count("records").await;
    let json = [&deploy[..], &["--json"]].concat();
    let (again, once_more) = (ask(&json).json(), ask(&json).json());
    assert_eq!(again, once_more);
    assert_eq!(database.count("records").await, recorded, "the same deployment is one record");
    assert!(first.stdout.contains(again["id"].as_str().unwrap()), "{}", first.stdout);
    assert_eq!(again["body"]["evidence"]["file_name"], "tests.log");
    assert_eq!(again["body"]["evidence"]["size_bytes"], 3);

    for words in ["ai-mesh training deployment", "\"tests.log\"", "evidence"] {
        let found = ask(&["query", words, "--json"]).json();
        assert_eq!(found["items"][0]["id"], again["id"], "{words}");
    }
    let listed = ask(&["query", "--kind", "deployment"]);
    assert!(listed.stdout.contains("component:ai-mesh-training"), "{}", listed.stdout);
    let matched = ask(&["query", "tests.log"]).stdout;
    assert!(
        matched.contains("text that matches") && matched.contains("tests.log (evidence.file_name)"),
        "{matched}"
    );
    assert_eq!(ask(&["query", "unheardof"]).stdout.trim(), "no records");
    let nothing_to_look_for = ask(&["query", "the of"]);
    assert_eq!(nothing_to_look_for.code, 2, "{}", nothing_to_look_for.stderr);

    let note = ["record", "note", "--subject", "component:ai-mesh-training", "rolled back at noon"];
    assert_eq!(ask(&note).code, 0);
    assert_eq!(
        ask(&["query", "roll back", "--json"]).json()["items"][0]["body"]["text"],
        "rolled back at noon"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_stranger_took_a_records_id_it_is_recorded_under_a_spare_one() {
    let (folder, database) = (tempfile::tempdir().unwrap(), database().await);
    let up = Up::start(folder.path(), &database);
    let id = Note { about: "s".into(), text: "seen".into() }.id();
    let stranger = json!({"id": id, "kind": "poem", "subject": "roses", "body": {"text": "are red"}});
    let posted = test_support::http_client().post(format!("{}/v1/records", up.remembrancer)).json(&stranger);
    assert!(posted.send().await.unwrap().status().is_success());

    let note = ["record", "note", "--subject", "s", "seen", "--receipt", "receipt.json", "--json"];
    let ask = || mesh(folder.path(), &[&note[..], &["--remembrancer", &up.remembrancer]].concat());
    let recorded = ask();
    assert_eq!(recorded.code, 0, "{}", recorded.stderr);
    assert_eq!(recorded.json()["id"], format!("{id}~1"));
    assert_eq!(ask().json(), recorded.json(), "the same note is one record");
    assert_eq!(mesh(folder.path(), &["verify", "receipt.json"]).code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_that_was_answered_is_carried_out_although_the_trainer_was_killed() {
    let (folder, database) = (tempfile::tempdir().unwrap(), database().await);
    let up = Up::start(folder.path(), &database);
    let trainer = Trainer::new(Endpoint::new(&up.trainer)).unwrap();
    // Nobody waits for the end of its first episode.
    let endless = NewRun { agents: 1, steps_per_episode: 100_000, ..NewRun::default() };
    let run = trainer.create_run(&endless, None).await.unwrap();
    until(&trainer, &run, |run| run.progress.step > 0).await;
    trainer.cancel_run(run.id).await.unwrap();
    drop(up); // SIGKILL

    let up = Up::start(folder.path(), &database);
    let trainer = Trainer::new(Endpoint::new(&up.trainer)).unwrap();
    let ended = until(&trainer, &run, |run| run.status.is_final()).await;
    assert_eq!(ended.status, RunStatus::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_routing_decisions_of_a_run_are_found_by_words_and_listed_by_filters() {
    let (folder, database) = (tempfile::tempdir().unwrap(), database().await);
    let up = Up::start(folder.path(), &database);
    let ask = |arguments: &[&str]| {
        mesh(folder.path(), &[arguments, &["--remembrancer", &up.remembrancer]].concat())
    };
    assert_eq!(ask(&["query", "--decisions"]).stdout.trim(), "no decisions");
    let trainer = Trainer::new(Endpoint::new(&up.trainer)).unwrap();
    let wanted = NewRun { agents: 3, episodes: 2, steps_per_episode: 12, ..NewRun::default() };
    let run = trainer.create_run(&wanted, None).await.unwrap();
    let run = until(&trainer, &run, |run| run.record_id.is_some()).await;

    let found = ask(&["query", "ai-mesh routing decisions", "--json"]).json();
    let ids: Vec<&str> =
        found["items"].as_array().unwrap().iter().map(|r| r["id"].as_str().unwrap()).collect();
    assert!(ids.contains(&run.record_id.as_deref().unwrap()), "{ids:?}");
    let table = ask(&["query", "ai-mesh routing decisions"]);
    assert!(table.stdout.contains(&format!("run:{}", run.id)), "{}", table.stdout);
    assert!(
        table.stderr.contains(&format!("mesh query --decisions --run {}", run.digest)),
        "{}",
        table.stderr
    );

    let (id, digest) = (run.id.to_string(), run.digest.to_string());
    let all = ask(&["query", "--decisions", "--run", &digest, "--json"]);
    assert_eq!(all.stdout.lines().count() as u64, run.progress.decisions);
    assert_eq!(
        ask(&["query", "--decisions", "--run", &id, "--json"]).stdout,
        all.stdout,
        "by id as by digest"
    );
    let decisions: Vec<serde_json::Value> =
        all.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();

    let of_agent_1 = ask(&["query", "--decisions", "--agent", "1", "--action", "route", "--csv"]);
    let expected = decisions.iter().filter(|d| d["agent"] == 1 && d["action"] == "route").count();
    assert!(expected > 0);
    assert_eq!(of_agent_1.stdout.lines().count(), expected + 1, "a header and a line each");
    assert!(of_agent_1.stdout.starts_with("log_index,"), "{}", &of_agent_1.stdout[..80]);

    let provider = decisions.iter().find_map(|d| d["provider"].as_str()).unwrap();
    let table = ask(&["query", "--decisions", "--provider", provider, "--limit", "2"]);
    assert_eq!(table.stdout.matches(&digest[..8]).count(), 2, "{}", table.stdout);
    assert!(table.stderr.contains("there are more"), "{}", table.stderr);
    let unknown = ask(&["query", "--decisions", "--run", "00000000-0000-0000-0000-000000000000"]);
    assert_eq!(unknown.code, 3);
    assert!(unknown.stderr.contains("`mesh runs`"), "{}", unknown.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_can_intervene_by_hand_while_the_run_is_at_work_and_not_after() {
    let (folder, database) = (tempfile::tempdir().unwrap(), database().await);
    let up = Up::start(folder.path(), &database);
    let stack = ["--trainer", up.trainer.as_str(), "--psi-field", up.psi_field.as_str()];
    let ask = |arguments: &[&str]| mesh(folder.path(), &[arguments, &stack[..]].concat());
    let trainer = Trainer::new(Endpoint::new(&up.trainer)).unwrap();
    let wanted = NewRun { agents: 3, episodes: 2000, steps_per_episode: 12, ..NewRun::default() };
    let run = trainer.create_run(&wanted, None).await.unwrap();
    until(&trainer, &run, |run| run.progress.episodes_done > 0).await;
    let id = run.id.to_string();

    let nigredo =
        ask(&["interventions", &id, "--nigredo", "--agents", "0,2", "--reason", "prices", "--json"]);
    assert_eq!(nigredo.code, 0, "{}", nigredo.stderr);
    let nigredo = nigredo.json();
    assert_eq!((&nigredo["kind"], &nigredo["by_operator"]), (&"nigredo".into(), &true.into()), "{nigredo}");
    assert_eq!(nigredo["targets"], serde_json::json!([0, 2]));
    let albedo = ask(&["interventions", "last", "--albedo"]);
    assert_eq!(albedo.code, 0, "{}", albedo.stderr);
    assert!(albedo.stdout.starts_with("albedo ") && albedo.stdout.contains(&id), "{}", albedo.stdout);

    let applied = eventually("both interventions are applied", async || {
        let shown = ask(&["interventions", &id, "--json"]).json();
        let mut applied = shown["interventions"].as_array().unwrap().clone();
        applied.retain(|intervention| intervention["by_operator"] == true);
        if applied.len() == 2 { Ok(applied) } else { Err(applied) }
    })
    .await;
    assert_eq!(applied[0]["id"], nigredo["id"]);
    assert_eq!(applied[0]["reason"], "prices");

    trainer.cancel_run(run.id).await.unwrap();
    until(&trainer, &run, |run| run.record_id.is_some()).await;
    let late = ask(&["interventions", &id, "--albedo"]);
    assert_eq!(late.code, 3);
    assert!(late.stderr.contains("has ended (cancelled)"), "{}", late.stderr);
}

/// The run, once this holds of it.
async fn until(trainer: &Trainer, run: &Run, holds: impl Fn(&Run) -> bool) -> Run {
    eventually("the run comes to what is expected", async || {
        let run = trainer.run(run.id).await.unwrap();
        if holds(&run) { Ok(run) } else { Err(run) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_known_from_the_first_contact_on_and_one_that_is_not_the_known_one_gets_nothing() {
    let (folder, first, second) = (tempfile::tempdir().unwrap(), database().await, database().await);
    let elsewhere = tempfile::tempdir().unwrap(); // of somebody who has no stack
    let up = Up::start(folder.path(), &first);
    let url = ["--remembrancer", &up.remembrancer];
    let note = ["record", "note", "--subject", "s", "seen", "--receipt", "a.json"];
    let met = mesh(elsewhere.path(), &[&note[..], &url].concat());
    assert_eq!(met.code, 0, "{}", met.stderr);
    assert!(met.stderr.contains("trusted from now on, on first use"), "{}", met.stderr);
    let again = mesh(elsewhere.path(), &["query", "seen", "--remembrancer", &up.remembrancer]);
    assert_eq!((again.code, again.stderr.contains("from now on")), (0, false), "{}", again.stderr);
    assert_eq!(mesh(elsewhere.path(), &["verify", "a.json"]).code, 0);
    let up_url = up.remembrancer.clone();
    drop(up);

    // another key under the same name at the same address
    fs::remove_dir_all(folder.path().join("data")).unwrap();
    let (before, up) = (up_url, Up::start(folder.path(), &second));
    let known = elsewhere.path().join(KNOWN_LOGS);
    let text = fs::read_to_string(&known).unwrap();
    assert!(text.contains(&before), "{text}");
    fs::write(&known, text.replace(&before, &up.remembrancer)).unwrap();
    for arguments in [&["query", "seen"][..], &["record", "note", "--subject", "s", "seen"]] {
        let changed = mesh(elsewhere.path(), &[arguments, &["--remembrancer", &up.remembrancer]].concat());
        assert_eq!(changed.code, 3, "{}", changed.stdout);
        assert!(changed.stderr.contains("somebody else may answer there"), "{}", changed.stderr);
    }
    // at another address it is another log
    fs::write(&known, text).unwrap();
    let other = mesh(elsewhere.path(), &["query", "--kind", "note", "--remembrancer", &up.remembrancer]);
    assert!(other.code == 0 && other.stderr.contains("on first use"), "{}", other.stderr);
    assert_eq!(mesh(elsewhere.path(), &["verify", "a.json"]).code, 0, "the first is known as before");
    assert_eq!(second.count("records").await, 0);
}
