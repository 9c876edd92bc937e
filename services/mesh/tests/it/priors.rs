//! `mesh meta-train`, and training that begins with what it left.

use serde_json::Value;
use test_support::database;

use crate::support::mesh;

const SMALL: [&str; 9] =
    ["meta-train", "--algorithm", "cem", "--environments", "2", "--validation", "1", "--episodes", "1"];

#[tokio::test]
async fn a_prior_is_learned_gone_on_with_and_begun_with() {
    let (folder, database) = (tempfile::tempdir().unwrap(), database().await);
    let at = |arguments: &[&str]| mesh(folder.path(), arguments);
    let meta_train = |more: &[&str]| at(&[&SMALL, more].concat());

    let whole = meta_train(&["--rounds", "2", "--output", "whole.json", "--json"]);
    assert_eq!(whole.code, 0, "{}", whole.stderr);
    let told = whole.json();
    assert_eq!(told["prior"]["meta_training"]["worlds"]["count"], 2);
    assert_eq!(meta_train(&["--rounds", "1", "--output", "half.json"]).code, 0);
    let resumed = meta_train(&["--rounds", "2", "--output", "half.json", "--load", "half.json"]);
    assert_eq!(resumed.code, 0, "{}", resumed.stderr);
    assert!(resumed.stdout.contains("mesh train --algorithm cem --prior half.json"), "{}", resumed.stdout);
    let file = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    assert_eq!(file("half.json"), file("whole.json"));

    let other = meta_train(&["--rounds", "2", "--seed", "5", "--load", "half.json"]);
    assert_eq!(other.code, 2);
    assert!(other.stderr.contains("expected the same worlds, episodes and seed"), "{}", other.stderr);

    let train = |output: &str, more: &[&str]| {
        let usual = ["train", "--database-url", database.url(), "--output", output, "--algorithm", "cem"];
        let small = ["--agents", "2", "--episodes", "2", "--steps-per-episode", "8", "--training-seeds", "1"];
        at(&[&usual[..], &small, &["--seeds", "2", "--preset", "contended"], more].concat())
    };
    let with = train("with", &["--prior", "whole.json", "--data-dir", "data", "--json"]);
    assert_eq!(with.code, 0, "{}", with.stderr);
    let checkpoint: Value = serde_json::from_slice(&file("with/swarm_checkpoint.json")).unwrap();
    assert_eq!(checkpoint["config"]["prior"], told["sha256"]);
    let refused = train("other", &["--prior", "with/swarm_final.json"]);
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("--prior with/swarm_final.json: expected a prior"), "{}", refused.stderr);
}
