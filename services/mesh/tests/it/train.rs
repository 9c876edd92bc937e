//! `mesh train`, the main job, end to end on stacks of its own.

use std::{fs, path::Path};

use serde_json::Value;
use test_support::{TestDatabase, database};

use crate::support::{Ran, mesh, mesh_with};

const RUN: [&str; 14] = [
    "--agents",
    "3",
    "--episodes",
    "4",
    "--steps-per-episode",
    "8",
    "--preset",
    "contended",
    "--seed",
    "7",
    "--seeds",
    "3",
    "--training-seeds",
    "1",
];

/// Trains on a fresh ledger, or on the one that is given, into `folder/output`.
fn train(folder: &Path, database: &TestDatabase, output: &str, more: &[&str]) -> Ran {
    let data = format!("data-{}", database.name());
    let stack = ["train", "--database-url", database.url(), "--data-dir", &data, "--output", output];
    mesh(folder, &[&stack, more].concat())
}

fn with_run<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&RUN, more].concat()
}

fn read(folder: &Path, file: &str) -> Vec<u8> {
    fs::read(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn json(ran: &Ran) -> Value {
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.json()
}

/// Whatever was wanted in training is wanted in its evaluation, also where what is learned are the values of that alone.
#[tokio::test]
async fn a_policy_that_was_trained_for_a_preference_is_judged_by_it() {
    let (folder, database) = (tempfile::tempdir().unwrap(), database().await);
    let wanted = [
        "--algorithm",
        "q-learning",
        "--preference",
        "cost=8",
        "--record",
        "none",
        "--psi-field",
        "off",
        "--details",
    ];
    let ran = train(folder.path(), &database, "out", &with_run(&wanted));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stdout.contains("by what was asked for: 50 a request, 0 a GPU-hour, -8 a USD"),
        "{}",
        ran.stdout
    );
    let evaluation: Value = serde_json::from_slice(&read(folder.path(), "out/evaluation.json")).unwrap();
    assert_eq!(evaluation["config"]["preference"]["cost"], 8.0);
}

#[tokio::test]
async fn every_decision_is_in_the_database_and_can_be_verified_and_all_files_are_there() {
    let (folder, database) = (tempfile::tempdir().unwrap(), database().await);
    let answer = json(&train(folder.path(), &database, "out", &with_run(&["--json"])));
    let decisions = answer["decisions"].as_i64().unwrap();
    assert!(decisions > 8000, "{answer}");
    assert_eq!(answer["decisions_recorded"], answer["decisions"]);
    assert_eq!(database.count("decisions").await, decisions);
    for file in [
        "training_metrics.csv",
        "swarm_checkpoint.json",
        "swarm_final.json",
        "ledger_receipt.json",
        "decision_receipt.json",
        "evaluation.json",
        "evaluation.csv",
        "evaluation_values.csv",
        "evaluation_values.json",
        "evaluation_receipt.json",
    ] {
        assert!(!read(folder.path(), &format!("out/{file}")).is_empty(), "{file}");
    }
    let metrics = String::from_utf8(read(folder.path(), "out/training_metrics.csv")).unwrap();
    assert_eq!(metrics.lines().count(), 5);
    assert!(metrics.starts_with(
        "episode,avg_reward,fill_rate,gpu_hours_fill,avg_cost_usd,avg_latency_ms,epsilon,q_table_size,psi,continuity,\
         prediction_error,interventions"
    ));
    // drawn again from the files, every chart and page has the same bytes
    for (file, page) in [("training_metrics.csv", "training_report.html"), ("evaluation.json", "report.html")]
    {
        let again =
            mesh(folder.path(), &["visualize", &format!("out/{file}"), "--output", "again", "--json"]);
        let told = json(&again);
        assert_eq!(told["report"], format!("again/{page}"));
        assert_eq!(told["files"].as_array().unwrap().len(), if page == "report.html" { 13 } else { 18 });
        for drawn in told["files"].as_array().unwrap() {
            let drawn = drawn.as_str().unwrap();
            let left = drawn.replace("again/", "out/");
            assert!(read(folder.path(), drawn) == read(folder.path(), &left), "{drawn}");
        }
    }
    for receipt in ["out/ledger_receipt.json", "out/decision_receipt.json", "out/evaluation_receipt.json"] {
        assert_eq!(mesh(folder.path(), &["verify", receipt]).code, 0);
    }
    // any byte of the record changed, and the answer is no
    let receipt = read(folder.path(), "out/decision_receipt.json");
    let record = receipt.windows(9).position(|w| w == b"\"record\":").unwrap() + 10;
    let end = receipt.windows(11).position(|w| w == b"\"log_index\"").unwrap() - 2;
    for at in (record..end).step_by(23) {
        let mut changed = receipt.clone();
        changed[at] ^= 1;
        fs::write(folder.path().join("changed.json"), &changed).unwrap();
        assert_eq!(mesh(folder.path(), &["verify", "changed.json"]).code, 1, "byte {at}");
    }
}

#[tokio::test]
async fn the_same_command_gives_the_same_root_and_policy_and_adds_no_decision_and_another_seed_does_not() {
    let (folder, one, other) = (tempfile::tempdir().unwrap(), database().await, database().await);
    let first = json(&train(folder.path(), &one, "a", &with_run(&["--json"])));
    let again = json(&train(folder.path(), &one, "b", &with_run(&["--json"])));
    let elsewhere = json(&train(folder.path(), &other, "c", &with_run(&["--json"])));
    for repeated in [&again, &elsewhere] {
        assert_eq!(repeated["run_root"], first["run_root"]);
    }
    assert_eq!(one.count("decisions").await, first["decisions"].as_i64().unwrap());
    assert_eq!(read(folder.path(), "a/swarm_final.json"), read(folder.path(), "b/swarm_final.json"));
    assert_eq!(read(folder.path(), "a/swarm_final.json"), read(folder.path(), "c/swarm_final.json"));
    assert_eq!(first["evaluation"]["policies"], elsewhere["evaluation"]["policies"]);
    let mut arguments = with_run(&["--json"]);
    let seed = arguments.iter().position(|a| *a == "--seed").unwrap();
    arguments[seed + 1] = "8";
    assert_ne!(json(&train(folder.path(), &other, "d", &arguments))["run_root"], first["run_root"]);
}

#[tokio::test]
async fn a_run_that_was_cut_goes_on_anywhere_to_the_root_of_the_uninterrupted_run() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, cut, fresh) = (database().await, database().await, database().await);
    let expected = json(&train(folder.path(), &whole, "whole", &with_run(&["--json"])));
    let stopped = json(&train(folder.path(), &cut, "cut", &with_run(&["--stop-after", "2", "--json"])));
    assert_eq!(stopped["status"], "stopped");
    assert!(stopped["evaluation"].is_null());
    let load = ["--load", "cut/swarm_checkpoint.json", "--seeds", "3", "--training-seeds", "1", "--json"];
    for (database, output) in [(&cut, "here"), (&fresh, "there")] {
        let resumed = json(&train(folder.path(), database, output, &load));
        assert_eq!(resumed["run_root"], expected["run_root"], "{output}");
        for file in ["swarm_final.json", "training_metrics.csv"] {
            let (found, wanted) = (format!("{output}/{file}"), format!("whole/{file}"));
            assert_eq!(read(folder.path(), &found), read(folder.path(), &wanted), "{found}");
        }
    }
    // the fresh ledger holds what was decided after the cut, and knows that the run began elsewhere
    let after = expected["decisions"].as_i64().unwrap() - stopped["decisions"].as_i64().unwrap();
    assert_eq!(fresh.count("decisions").await, after);
}

#[tokio::test]
async fn the_end_says_plainly_who_wins_in_80_columns_and_all_else_on_demand() {
    let (folder, database) = (tempfile::tempdir().unwrap(), database().await);
    let ran = train(folder.path(), &database, "out", &RUN);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let wide: Vec<&str> = ran.stdout.lines().filter(|line| line.chars().count() > 80).collect();
    let (data, report) = (folder.path().join("data-"), "report     out/report.html");
    // the data folder may have a long name
    assert!(wide.iter().all(|line| line.contains(data.to_str().unwrap())), "{wide:#?}");
    for part in [
        "adaptive on contended: 3 held-out episodes",
        "of all that is possible",
        "who pays for it",
        "<- learned",
        "<- yours",
        report,
        "verify     mesh verify out/decision_receipt.json",
    ] {
        assert!(ran.stdout.contains(part), "{part} is missing in {}", ran.stdout);
    }
    // 4 short episodes teach little: whatever the interval says of it, the word must say the same
    let evaluation: Value = serde_json::from_slice(&read(folder.path(), "out/evaluation.json")).unwrap();
    let result = evaluation.get("result").unwrap_or(&evaluation);
    let learned = result["policies"].as_array().unwrap().iter().find(|p| p["learned"] == true).unwrap();
    let difference = &learned["versus_best_rule"]["reward"];
    let (low, high) = (difference["ci_low"].as_f64().unwrap(), difference["ci_high"].as_f64().unwrap());
    // so few seeds may be chance, whatever the interval of one comparison says
    let (words, verdict) = if high < 0.0 {
        (["WORSE", "BEHIND"], "is worse than")
    } else if low > 0.0 {
        (["BETTER", "AHEAD"], "is better than")
    } else {
        (["EVEN"; 2], "no difference")
    };
    let line = ran.stdout.lines().find(|line| line.contains("against the best rule")).unwrap();
    assert!(words.iter().any(|word| line.contains(word)), "{low} to {high}: {line}");

    let policy = ["evaluate", "--ai-agents", "out/swarm_final.json", "--steps", "8", "--seeds", "3"];
    let data = format!("data-{}", database.name());
    let stack = ["--database-url", database.url(), "--data-dir", &data, "--details"];
    let details = mesh(folder.path(), &[&policy[..], &stack].concat());
    for part in ["GPU-h fill", "cost index", "[95 %]", "physical limit", verdict] {
        assert!(details.stdout.contains(part), "{part} is missing in {}", details.stdout);
    }
}

#[tokio::test]
async fn the_files_of_another_run_are_overwritten_only_by_one_who_says_so() {
    let (folder, database) = (tempfile::tempdir().unwrap(), database().await);
    let small = |more: &[&str]| {
        let run = ["--agents", "2", "--episodes", "2", "--steps-per-episode", "2", "--preset", "contended"];
        let few = ["--seeds", "2", "--training-seeds", "1", "--name", "a name", "--tag", "t", "--json"];
        train(folder.path(), &database, "out", &[&run[..], &few, more].concat())
    };
    let first = json(&small(&[]));
    json(&small(&[]));
    let refused = small(&["--seed", "9"]);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("--output") && refused.stderr.contains("--overwrite"),
        "{}",
        refused.stderr
    );
    assert_ne!(json(&small(&["--seed", "9", "--overwrite"]))["run_root"], first["run_root"]);
}

#[tokio::test]
async fn a_learning_curve_compares_what_was_known_before_the_run_and_at_every_checkpoint() {
    let (folder, database) = (tempfile::tempdir().unwrap(), database().await);
    let curve = ["--checkpoint-every", "2", "--learning-curve", "--record", "none", "--json"];
    let answer = json(&train(folder.path(), &database, "out", &with_run(&curve)));
    let policies = answer["evaluation"]["policies"].as_array().unwrap();
    let learned: Vec<&Value> = policies.iter().filter(|policy| policy["learned"] == true).collect();
    let episodes: Vec<&Value> = learned.iter().map(|policy| &policy["trained_episodes"]).collect();
    assert_eq!(episodes, [4, 2, 0]);
    for ending in ["svg", "png"] {
        assert!(!read(folder.path(), &format!("out/learning_curve.{ending}")).is_empty());
    }
    // a checkpoint is evaluated as what was learned until then: here all of the run
    let evaluated = ["evaluate", "--ai-agents", "out/swarm_final.json", "out/swarm_checkpoint.json"];
    let data = format!("data-{}", database.name());
    let stack = ["--database-url", database.url(), "--data-dir", &data, "--steps", "8", "--seeds", "2"];
    let refused = mesh(folder.path(), &[&evaluated[..], &stack].concat());
    assert_eq!(refused.code, 3, "{}", refused.stderr);
    assert!(refused.stderr.contains("expected each policy once"), "{}", refused.stderr);
}

#[tokio::test]
async fn further_trainings_are_recorded_runs_and_are_judged_as_one_policy() {
    let (folder, database) = (tempfile::tempdir().unwrap(), database().await);
    let answer = json(&train(
        folder.path(),
        &database,
        "out",
        &[&RUN[..12], &["--training-seeds", "2", "--json"]].concat(),
    ));
    let further = answer["further_trainings"].as_array().unwrap();
    assert_eq!((further.len(), &further[0]["seed"]), (1, &Value::from(11)));
    assert!(database.count("decisions").await > answer["decisions"].as_i64().unwrap());
    assert_eq!(mesh(folder.path(), &["verify", "out/training_2/decision_receipt.json"]).code, 0);
    let judged = &answer["evaluation"]["policies"][0];
    assert_eq!(judged["trainings"].as_array().unwrap().len(), 2);
    assert_eq!(judged["trainings"][1]["run"], further[0]["run_digest"]);
    assert!(judged["versus_untrained"]["reward"]["training_std_dev"].is_number());

    // the same files, and one whose seeds somebody has changed
    let text = String::from_utf8(read(folder.path(), "out/training_2/swarm_final.json")).unwrap();
    let edited = text.replacen("\"first_seed\":11", "\"first_seed\":400", 1);
    assert_ne!(edited, text);
    fs::write(folder.path().join("edited.json"), edited).unwrap();
    let evaluate = |second: &str| {
        let data = format!("data-{}", database.name());
        let stack = ["--database-url", database.url(), "--data-dir", &data, "--steps", "8", "--seeds", "3"];
        let ran = mesh(
            folder.path(),
            &[&["evaluate", "--ai-agents", "out/swarm_final.json", second, "--details"][..], &stack].concat(),
        );
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran.stdout
    };
    let told = evaluate("out/training_2/swarm_final.json");
    assert!(told.contains("adaptive (2 trainings): trained: recorded run"), "{told}");
    assert!(!told.contains("unverified"), "{told}");
    assert!(
        evaluate("edited.json")
            .contains("is unverified: the ledger knows no run that wrote 1 of its 2 policy files")
    );
}

#[test]
fn without_postgres_binaries_the_message_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let ran = mesh_with(folder.path(), &["train", "--data-dir", "d"], &[("PG_BINDIR", "/nowhere")]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("PG_BINDIR is /nowhere"), "{}", ran.stderr);
}
