//! `mesh backup`, `mesh restore` and `mesh fsck`.

use std::fs;

use serde_json::Value;
use test_support::{TestDatabase, database};

use crate::support::{Ran, mesh};

/// A ledger: its folder and its database.
fn at<'a>(folder: &'a str, database: &'a TestDatabase) -> [&'a str; 4] {
    ["--data-dir", folder, "--database-url", database.url()]
}

fn json(ran: &Ran) -> Value {
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    ran.json()
}

#[tokio::test]
async fn a_restored_ledger_has_the_leaves_the_root_and_the_key_of_the_one_that_was_backed_up() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (database().await, database().await);
    let run = |command: &[&str], ledger: &[&str]| mesh(folder.path(), &[command, ledger].concat());
    let small = ["train", "--agents", "2", "--episodes", "2", "--steps-per-episode", "4", "--seeds", "2"];
    let train = |output: &str, ledger: &[&str]| {
        let more = ["--training-seeds", "1", "--output", output, "--json"];
        json(&run(&[&small[..], &more].concat(), ledger))
    };
    let trained = train("out", &at("old", &old));
    let promised = ["trainer/promise-key", "trainer/journals/of-a-deployment"];
    fs::write(folder.path().join("old").join(promised[1]), "what the ledger does not have yet").unwrap();

    let backed_up = json(&run(&["backup", "copy", "--json"], &at("old", &old)));
    let restored = json(&run(&["restore", "copy", "--json"], &at("new", &new)));
    assert_eq!(backed_up, restored);
    for name in promised {
        let [old, new] =
            ["old", "new"].map(|ledger| fs::read(folder.path().join(ledger).join(name)).unwrap());
        assert_eq!(old, new, "{name}");
    }
    let [before, after] = [("old", &old), ("new", &new)]
        .map(|(folder, database)| json(&run(&["fsck", "--json"], &at(folder, database))));
    assert_eq!(
        (&before, &before["intact"], &before["leaves"]),
        (&after, &true.into(), &backed_up["tree_size"])
    );
    let key = |folder: &str| {
        json(&run(&["key", "show", "--json", "--data-dir", folder], &[]))["verifier_key"].clone()
    };
    assert_eq!(key("old"), key("new"));

    // it goes on: the same run is known, and what was proved before is valid under the key that is known
    let again = train("again", &at("new", &new));
    assert_eq!(again["run_root"], trained["run_root"]);
    assert_eq!(new.count("decisions").await, old.count("decisions").await);
    assert_eq!(run(&["verify", "out/decision_receipt.json"], &[]).code, 0);

    let twice = run(&["restore", "copy"], &at("new", &new));
    assert_eq!(twice.code, 2, "{}", twice.stderr);
    let used = run(&["backup", "copy"], &at("new", &new));
    assert!(used.code == 2 && used.stderr.contains("is not empty"), "{}", used.stderr);
    let dump = folder.path().join("copy/database.dump");
    let mut bytes = fs::read(&dump).unwrap();
    bytes[100] ^= 1;
    fs::write(&dump, bytes).unwrap();
    let changed = run(&["restore", "copy"], &["--data-dir", "third"]);
    assert!(changed.code == 2 && changed.stderr.contains("was changed"), "{}", changed.stderr);
}

#[tokio::test]
async fn a_changed_row_is_told_with_exit_code_1() {
    let (folder, database) = (tempfile::tempdir().unwrap(), database().await);
    let run = |command: &[&str]| mesh(folder.path(), &[command, &at("data", &database)].concat());
    let small = ["train", "--agents", "1", "--episodes", "1", "--steps-per-episode", "2", "--seeds", "2"];
    assert_eq!(run(&[&small[..], &["--training-seeds", "1"]].concat()).code, 0);
    let intact = run(&["fsck"]);
    assert!(intact.code == 0 && intact.stdout.starts_with("intact: "), "{}{}", intact.stdout, intact.stderr);
    database.execute("ALTER TABLE decisions DISABLE TRIGGER ALL").await;
    database.execute("UPDATE decisions SET tenant = 'another' WHERE sequence = 1").await;
    let changed = run(&["fsck"]);
    assert!(
        changed.code == 1 && changed.stdout.starts_with("NOT intact: "),
        "{}{}",
        changed.stdout,
        changed.stderr
    );
}
