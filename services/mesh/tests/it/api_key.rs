//! `mesh api-key`, and a stack whose callers have such keys.

use client::{Endpoint, Trainer};
use test_support::database;

use crate::support::{Ran, Up, mesh};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_shown_once_lets_in_who_has_it_as_far_as_its_scopes_go_and_is_taken_back() {
    let (folder, database) = (tempfile::tempdir().unwrap(), database().await);
    let folder = folder.path();
    let keys =
        |arguments: &[&str]| mesh(folder, &[&["api-key"], arguments, &["--file", "keys.toml"]].concat());
    let made: Ran = keys(&["create", "--name", "ci", "--scope", "read,write"]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    let secret = made.stdout.trim().to_owned();
    assert_eq!(secret.len(), "ai-mesh_".len() + 64, "{secret}");
    let file = std::fs::read_to_string(folder.join("keys.toml")).unwrap();
    assert!(file.contains("name = \"ci\"") && !file.contains(&secret), "{file}");
    let reader = keys(&["create", "--name", "reader", "--scope", "read", "--json"]).json();
    let listed = keys(&["list", "--json"]).json();
    assert_eq!(listed["keys"][0]["scopes"], serde_json::json!(["read", "write"]));
    assert_eq!(listed["keys"][1]["name"], "reader");
    for (wrong, told) in [
        (vec!["create", "--name", "ci", "--scope", "read"], "there is a key `ci`"),
        (vec!["create", "--name", "c i", "--scope", "read"], "`c i`"),
        (vec!["create", "--name", "x", "--scope", "admin"], "admin"),
        (vec!["revoke", "--name", "x"], "there is no key `x`"),
    ] {
        let refused = keys(&wrong);
        assert_eq!(refused.code, 2, "{}", refused.stderr);
        assert!(refused.stderr.contains(told), "{}", refused.stderr);
    }

    // every service has the file and no key in its settings: they still reach each other
    let tables = ["psi-field", "trainer", "remembrancer", "evaluator"]
        .map(|service| format!("[{service}.http]\napi_key_file = \"keys.toml\"\n"));
    std::fs::write(folder.join("stack.toml"), tables.concat()).unwrap();
    let log = folder.join("log");
    let to_log = std::fs::File::create(&log).unwrap().into();
    let up = Up::run(folder, &database, &["--config", "stack.toml"], "info", to_log);
    let runs = |key: &str| mesh(folder, &["runs", "--trainer", &up.trainer, "--api-key", key]);
    assert_eq!(runs("nobody").code, 3);
    assert_eq!(runs(&secret).code, 0, "{}", runs(&secret).stderr);
    let start = async |key: &str| {
        let trainer = Trainer::new(Endpoint::new(&up.trainer).with_api_key(Some(key.into()))).unwrap();
        let run = api::trainer::NewRun { agents: 1, episodes: 1, steps_per_episode: 2, ..Default::default() };
        trainer.create_run(&run, None).await
    };
    let refused = start(reader["api_key"].as_str().unwrap()).await.unwrap_err();
    let problem = refused.problem().unwrap();
    assert_eq!((problem.status, problem.code.as_str()), (403, "insufficient_scope"));
    assert!(problem.detail.contains("`reader`") && problem.detail.contains("`write`"), "{}", problem.detail);
    let run = start(&secret).await.unwrap();
    let trainer = Trainer::new(Endpoint::new(&up.trainer).with_api_key(Some(secret.clone()))).unwrap();
    test_support::eventually("the run has ended", async || {
        let now = trainer.run(run.id).await.unwrap();
        if now.status == api::trainer::RunStatus::Completed { Ok(()) } else { Err(now.status) }
    })
    .await;

    let log = std::fs::read_to_string(log).unwrap();
    let keys_of = |status: u64| -> std::collections::BTreeSet<String> {
        let lines = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let answers = lines.filter(|line| line["path"] == "/v1/runs" && line["status"] == status);
        answers.map(|line| line["span"]["key"].to_string()).collect()
    };
    for (status, key) in [(401, "null"), (403, "\"reader\""), (202, "\"ci\"")] {
        assert_eq!(Vec::from_iter(keys_of(status)), [key], "who got {status} for /v1/runs:\n{log}");
    }
    assert!(!log.contains(&secret), "{log}");

    assert_eq!(keys(&["revoke", "--name", "ci"]).code, 0);
    test_support::eventually("the key is refused", async || {
        let ran = runs(&secret);
        if ran.code == 3 { Ok(()) } else { Err(ran.stdout) }
    })
    .await;
}
