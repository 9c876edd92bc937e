//! `mesh key`, and a stack whose key and database do not belong together.

use std::{fs, path::Path, process::Stdio};

use test_support::{TestDatabase, database};

use crate::support::{Ran, Up, mesh};

fn up(folder: &Path, database: &TestDatabase) -> Ran {
    mesh(folder, &["up", "--port-base", "0", "--data-dir", "data", "--database-url", database.url()])
}

fn rotate(folder: &Path, database: &TestDatabase, more: &[&str]) -> Ran {
    let rotate = ["key", "rotate", "--data-dir", "data", "--database-url", database.url()];
    mesh(folder, &[&rotate[..], more].concat())
}

fn note(folder: &Path, up: &Up, text: &str) {
    let noted =
        mesh(folder, &["record", "note", "--subject", "thing:1", text, "--remembrancer", &up.remembrancer]);
    assert_eq!(noted.code, 0, "{}", noted.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_is_shown_changed_and_never_made_anew_for_a_ledger_that_has_one() {
    let (folder, database) = (tempfile::tempdir().unwrap(), database().await);
    let folder = folder.path();
    assert_eq!(mesh(folder, &["key", "show", "--data-dir", "data"]).code, 3, "there is none yet");
    let stack = Up::start(folder, &database);
    note(folder, &stack, "the first");
    let shown = mesh(folder, &["key", "show", "--data-dir", "data", "--json"]).json();
    let asked = mesh(folder, &["key", "show", "--remembrancer", &stack.remembrancer, "--json"]).json();
    assert_eq!(shown["verifier_key"], asked["verifier_key"]);
    let elsewhere = |stack: &Up| {
        let query = ["query", "--kind", "note", "--known-logs", "elsewhere.json", "--remembrancer"];
        mesh(folder, &[&query[..], &[stack.remembrancer.as_str()]].concat())
    };
    let met = elsewhere(&stack);
    assert!(met.code == 0 && met.stderr.contains("on first use"), "{}", met.stderr);
    let receipt = folder.join("receipt.json");
    let noted = ["record", "note", "--subject", "thing:1", "kept", "--remembrancer", &stack.remembrancer];
    let noted = mesh(folder, &[&noted[..], &["--receipt", "receipt.json"]].concat());
    assert_eq!(noted.code, 0, "{}", noted.stderr);
    let busy = rotate(folder, &database, &[]);
    assert_eq!(busy.code, 3);
    assert!(busy.stderr.contains("in use by process"), "{}", busy.stderr);
    drop(stack);

    let former = shown["verifier_key"].as_str().unwrap();
    let rotated = rotate(folder, &database, &["--json"]).json();
    let new = rotated["verifier_key"].as_str().unwrap();
    assert_eq!(rotated["former_key"], former);
    assert_ne!(new, former);
    let text = mesh(folder, &["key", "show", "--data-dir", "data"]).stdout;
    assert!(text.contains(new) && text.contains("log-key"), "{text}");
    // What the former key signed still holds under it.
    assert_eq!(mesh(folder, &["verify", receipt.to_str().unwrap(), "--key", former]).code, 0);
    assert_eq!(mesh(folder, &["verify", receipt.to_str().unwrap(), "--key", new]).code, 1);
    let stack = Up::start(folder, &database);
    let query = mesh(
        folder,
        &["query", "--kind", "log.key-rotated", "--json", "--remembrancer", &stack.remembrancer],
    );
    assert_eq!(query.json()["items"][0]["body"]["new_key"], new);
    // Whoever knew the former key follows it to the new one, and the log itself still vouches for what the former signed.
    let followed = elsewhere(&stack);
    assert!(followed.code == 0 && followed.stderr.contains("the known one vouched"), "{}", followed.stderr);
    assert!(!elsewhere(&stack).stderr.contains("trusted from now on"));
    drop(stack);

    fs::remove_file(folder.join("data/log-key")).unwrap();
    let refused = up(folder, &database);
    assert_eq!(refused.code, 3);
    for part in [new, "put the file back", "mesh key rotate --accept-loss"] {
        assert!(refused.stderr.contains(part), "{part} is missing in {}", refused.stderr);
    }
    assert!(!folder.join("data/log-key").exists());
    assert_eq!(rotate(folder, &database, &[]).code, 3);
    let replaced = rotate(folder, &database, &["--accept-loss"]);
    assert_eq!(replaced.code, 0, "{}", replaced.stderr);
    drop(Up::start(folder, &database));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_of_a_version_that_kept_no_key_in_the_database_starts_once_more_and_says_so() {
    let (folder, database) = (tempfile::tempdir().unwrap(), database().await);
    let folder = folder.path();
    let stack = Up::start(folder, &database);
    note(folder, &stack, "of then");
    drop(stack);
    let shown = mesh(folder, &["key", "show", "--data-dir", "data", "--json"]).json();
    database.execute("DELETE FROM log_signer").await;
    fs::remove_file(folder.join("data/log-checkpoint")).unwrap();
    for (start, says_so) in [true, false].into_iter().enumerate() {
        let log = folder.join(format!("log-{start}"));
        drop(Up::logging(folder, &database, "warn", Stdio::from(fs::File::create(&log).unwrap())));
        let said = fs::read_to_string(log).unwrap();
        assert_eq!(said.contains("it takes over the key that is there"), says_so, "{said}");
        let now = mesh(folder, &["key", "show", "--data-dir", "data", "--json"]).json();
        assert_eq!(now["verifier_key"], shown["verifier_key"]);
    }
    let emptied = test_support::database().await;
    let refused = up(folder, &emptied);
    assert_eq!(refused.code, 3);
    assert!(refused.stderr.contains("Restore the newer one"), "{}", refused.stderr);
}
