//! `mesh pareto`, in its own process and by services.

use std::fs;

use test_support::database;

use crate::support::{Up, mesh};

const ASKED: [&str; 9] =
    ["pareto", "--rules", "reserve", "--preset", "contended", "--steps", "1", "--seeds", "2"];

#[test]
fn fronts_are_played_in_its_own_process_and_written_as_files_where_no_services_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let ran = mesh(folder.path(), &[&ASKED[..], &["--output", "out"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for part in ["all hand rules together", "gap closed: least", "reserve goes ", "Not recorded: "] {
        assert!(ran.stdout.contains(part), "{part} is not in {}", ran.stdout);
    }
    let files = ["pareto.csv", "pareto.json", "pareto.png", "pareto.svg", "pareto_report.html"];
    let mut found: Vec<String> = fs::read_dir(folder.path().join("out"))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    assert_eq!(found, files);
    let csv = fs::read_to_string(folder.path().join("out/pareto.csv")).unwrap();
    assert_eq!(csv.lines().count(), 1 + 3 * 27, "the baseline, reserve and the limit");
    let page = fs::read_to_string(folder.path().join("out/pareto_report.html")).unwrap();
    assert!(page.contains("mesh pareto --rules reserve --preset contended --steps 1 --seeds 2"));
    let drawn = mesh(folder.path(), &["visualize", "out/pareto.json", "--output", "again"]);
    assert_eq!(drawn.stdout.lines().last(), Some("again/pareto_report.html"), "{}", drawn.stderr);
    assert_eq!(fs::read_to_string(folder.path().join("again/pareto_report.html")).unwrap(), page);
}

#[tokio::test]
async fn fronts_of_services_are_the_same_and_recorded_and_found_by_words() {
    let (folder, database) = (tempfile::tempdir().unwrap(), database().await);
    let here = mesh(folder.path(), &[&ASKED[..], &["--json"]].concat()).json();
    let stack = ["--database-url", database.url(), "--data-dir", "data"];
    let ran = mesh(folder.path(), &[&ASKED[..], &stack, &["--output", "out", "--json"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let there = ran.json();
    assert_eq!(there["fronts"], here["fronts"]);
    assert_eq!((&here["record_id"], there["record_id"].is_string()), (&serde_json::Value::Null, true));
    assert_eq!(mesh(folder.path(), &["verify", "out/pareto_receipt.json"]).code, 0);
    assert_eq!(database.count("records where kind = 'evaluation.created'").await, 1);
    let up = Up::start(folder.path(), &database);
    let words = ["query", "preferences grid contended", "--remembrancer", &up.remembrancer];
    let found = mesh(folder.path(), &words);
    assert!(found.stdout.contains("evaluation.completed"), "{}{}", found.stdout, found.stderr);
}

#[test]
fn what_only_services_can_do_is_refused_where_none_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for (flags, expected) in [
        (&["--final"][..], "--final: expected services beside it"),
        (&["--api-key", "k"], "--api-key: expected a running stack"),
        (&["--evaluator", "http://127.0.0.1:1"], "--remembrancer"),
        (&["--rules", "bestest"], "bestest"),
    ] {
        let refused = mesh(folder.path(), &[&["pareto", "--steps", "1"][..], flags].concat());
        assert_eq!(refused.code, 2, "{flags:?}: {}", refused.stderr);
        assert!(refused.stderr.contains(expected), "{flags:?}: {}", refused.stderr);
    }
}
