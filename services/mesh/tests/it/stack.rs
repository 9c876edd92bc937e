//! What a stack of its own takes from its surroundings: settings, a database, and runs that an earlier one left.

use std::process::Stdio;

use api::trainer::{NewRun, RunStatus};
use client::{Endpoint, Trainer};
use test_support::{database, eventually};

use crate::support::{Up, mesh, mesh_with};

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_takes_the_settings_that_its_services_have_alone_and_knows_its_own_keys() {
    let (folder, database) = (tempfile::tempdir().unwrap(), database().await);
    let config = "[trainer]\nmax_concurrent_runs = 1\n[remembrancer.http]\napi_keys = [\"ledger-key\"]\n\
                  [trainer.http]\napi_keys = [\"trainer-key\"]\n";
    std::fs::write(folder.path().join("stack.toml"), config).unwrap();
    let up = Up::with(folder.path(), &database, &["--config", "stack.toml"]);
    let list = |key: &[&str]| mesh(folder.path(), &[&["runs", "--trainer", &up.trainer], key].concat());
    assert_eq!(list(&[]).code, 3);
    assert_eq!(list(&["--api-key", "trainer-key"]).code, 0, "{}", list(&["--api-key", "trainer-key"]).stderr);
    // the trainer could not train if it did not know the ledger's key
    let trainer = Trainer::new(Endpoint::new(&up.trainer).with_api_key(Some("trainer-key".into()))).unwrap();
    let run = NewRun { agents: 1, episodes: 1, steps_per_episode: 2, ..NewRun::default() };
    let run = trainer.create_run(&run, None).await.unwrap();
    eventually("the run has ended", async || {
        let now = trainer.run(run.id).await.unwrap();
        if now.status == RunStatus::Completed { Ok(()) } else { Err(now.status) }
    })
    .await;
}

#[test]
fn a_setting_that_does_not_exist_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    for command in [&["up", "--port-base", "0"][..], &["train", "--episodes", "1"]] {
        for name in ["AI_MESH_TRAINER_MAX_RUNS", "AI_MESH_TRAINNER_LEASE_SECONDS", "AI_MESH_API_KEY"] {
            let ran = mesh_with(folder.path(), command, &[(name, "7")]);
            assert_eq!(ran.code, 2, "{command:?} {name}: {}", ran.stderr);
            assert!(ran.stderr.contains(name), "{}", ran.stderr);
        }
    }
}

#[tokio::test]
async fn a_database_that_cannot_be_used_is_told_at_once_in_one_line_with_its_cause() {
    let (folder, database) = (tempfile::tempdir().unwrap(), database().await);
    let up = |url: &str| {
        mesh(folder.path(), &["up", "--port-base", "0", "--data-dir", "data", "--database-url", url])
    };
    let missing = database.url().replace(database.name(), "no_such_database");
    for (url, cause) in [
        ("postgres://nobody:secret@127.0.0.1:1/x", "refused"),
        (&missing, "\"no_such_database\" does not exist"),
        ("nonsense", "nonsense"),
    ] {
        let ran = up(url);
        assert_eq!(ran.code, 3, "{}", ran.stderr);
        assert_eq!(ran.stderr.trim_end().lines().count(), 1, "{}", ran.stderr);
        assert!(ran.stderr.contains(cause) && ran.stderr.contains("--database-url"), "{}", ran.stderr);
        assert!(!ran.stderr.contains("secret"), "{}", ran.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_a_newer_version_is_told_with_that_version() {
    let (folder, database) = (tempfile::tempdir().unwrap(), database().await);
    drop(Up::start(folder.path(), &database));
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (9999, 'of tomorrow', true, '', 0)";
    database.execute(newer).await;
    database.execute("COMMENT ON TABLE _sqlx_migrations IS 'ai-mesh 9.9.9'").await;
    let ran = mesh(
        folder.path(),
        &["up", "--port-base", "0", "--data-dir", "data", "--database-url", database.url()],
    );
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("ai-mesh 9.9.9") && ran.stderr.contains("use that version"),
        "{}",
        ran.stderr
    );
    assert_eq!(ran.stderr.trim_end().lines().count(), 1, "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_goes_on_by_itself_is_announced_and_left_on_demand() {
    let (folder, database) = (tempfile::tempdir().unwrap(), database().await);
    let up = Up::logging(folder.path(), &database, "error", Stdio::null());
    let trainer = Trainer::new(Endpoint::new(&up.trainer)).unwrap();
    let long = NewRun { agents: 1, episodes: 100_000, steps_per_episode: 2, ..NewRun::default() };
    let long = trainer.create_run(&long, None).await.unwrap();
    drop(up);

    let train = |output: &str, more: &[&str]| {
        let small = ["train", "--agents", "1", "--episodes", "1", "--steps-per-episode", "2", "--seeds", "2"];
        let stack = ["--database-url", database.url(), "--data-dir", "data", "--training-seeds", "1"];
        let ran = mesh(folder.path(), &[&small[..], &stack, &["--output", output], more].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran.stderr
    };
    let left = train("left", &["--no-resume"]);
    assert!(!left.contains("goes on by itself"), "{left}");
    let told = train("told", &[]);
    assert!(
        told.contains(&format!("run {} of ", long.id)) && told.contains("--no-resume leaves it"),
        "{told}"
    );
}
