//! `docs/catalog.md` executed: from two files to a policy that decides.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
};

use test_support::database;

use crate::support::KNOWN_LOGS;

#[tokio::test(flavor = "multi_thread")]
async fn the_walk_with_a_catalog_of_ones_own_works_and_prints_what_the_document_shows() {
    if Command::new("curl").arg("--version").output().is_err() {
        println!("skipped: there is no curl on this machine");
        return;
    }
    let (folder, database) = (tempfile::tempdir().unwrap(), database().await);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let document = std::fs::read_to_string(root.join("docs/catalog.md")).unwrap();
    let port = four_free_ports();
    let (trainer, up) = (format!("http://127.0.0.1:{}", port + 1), "mesh up --data-dir ledger");
    assert!(document.contains(up) && document.contains("http://127.0.0.1:8001"));
    let steps = document.replace(up, &format!("export MESH_TRAINER_URL={trainer}\n{up} --port-base {port}"));
    let steps = steps.replace("http://127.0.0.1:8001", &trainer);
    std::fs::write(folder.path().join("catalog.md"), steps).unwrap();

    let mut walk = Command::new(root.join("tests/walk"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MESH_")) {
        walk.env_remove(name);
    }
    let mut paths = vec![PathBuf::from(env!("CARGO_BIN_EXE_mesh")).parent().unwrap().to_owned()];
    paths.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
    walk.env_remove("CARGO") // which says that Cargo started it, as it did the tests
        .env("PATH", std::env::join_paths(paths).unwrap())
        .env("DOCUMENT", folder.path().join("catalog.md"))
        .env("MESH_KNOWN_LOGS", folder.path().join(KNOWN_LOGS))
        .env("MESH_DATABASE_URL", database.url())
        .env("MESH_LOG", "error");
    let walked = tokio::task::spawn_blocking(move || walk.output().unwrap()).await.unwrap();
    let (printed, told) =
        (String::from_utf8(walked.stdout).unwrap(), String::from_utf8(walked.stderr).unwrap());
    assert!(walked.status.success(), "{printed}\n{told}");

    let lines: Vec<&str> = printed.lines().chain(told.lines()).collect();
    let shown: Vec<&str> =
        document.split("```text\n").skip(1).flat_map(|part| part.split("\n```").next()).collect();
    assert_eq!(shown.len(), 3);
    for line in shown.iter().flat_map(|block| block.lines()) {
        assert!(
            lines.contains(&line),
            "docs/catalog.md shows `{line}`, and what was printed is\n{printed}\n{told}"
        );
    }
    assert!(printed.contains("gateway deploys adaptive; its requests go to POST"), "{printed}");
    assert!(printed.contains("\"action\":\"route\"\n\"provider\":\"cloud\""), "{printed}");
}

/// The first of four ports in a row that nobody listens on.
fn four_free_ports() -> u16 {
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    (21_000..32_000).step_by(4).find(|first| (*first..first + 4).all(free)).unwrap()
}
