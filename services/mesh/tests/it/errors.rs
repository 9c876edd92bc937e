//! The command line's part of `docs/errors.md`, executed.

use std::{fs, path::Path};

use test_support::database;

use crate::support::{Up, mesh, mesh_with};

#[test]
fn every_command_of_the_document_ends_as_it_says() {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors.md");
    let document = fs::read_to_string(document).unwrap();
    let rows: Vec<&str> = document.lines().filter(|line| line.starts_with("| `mesh ")).collect();
    assert!(rows.len() >= 20, "{rows:?}");
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [command, exit, says, what_to_do] = cells[..] else { panic!("four cells: {row}") };
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("empty.json"), "{}").unwrap();
        let evidence = serde_json::to_vec(&crate::verify::evidence(1)).unwrap();
        fs::write(folder.path().join("evidence.json"), evidence).unwrap();
        let arguments: Vec<&str> = command.trim_matches('`').split(' ').skip(1).collect();
        let ran = mesh(folder.path(), &arguments);
        assert_eq!(ran.code.to_string(), exit, "{command}: {}{}", ran.stdout, ran.stderr);
        let said = if [2, 3].contains(&ran.code) { &ran.stderr } else { &ran.stdout };
        assert!(said.contains(says), "{command}: {said}");
        assert!(what_to_do.len() > 3, "{row}");
    }
}

#[test]
fn what_an_error_says_to_do_is_a_command_that_runs_as_the_program_was_started() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = ["runs", "--trainer", "http://127.0.0.1:9"];
    assert!(mesh(folder.path(), &nobody).stderr.contains("start a stack with `mesh up`"));
    let ran = mesh_with(folder.path(), &nobody, &[("CARGO", "/usr/bin/cargo")]);
    assert!(ran.stderr.contains("start a stack with `cargo run --release -- up`"), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_stack_on_one_data_folder_is_refused_by_name_and_the_first_goes_on() {
    let (folder, database) = (tempfile::tempdir().unwrap(), database().await);
    let up = Up::start(folder.path(), &database);
    let url = ["--database-url", database.url()];
    let second = mesh(folder.path(), &[&["up", "--port-base", "0", "--data-dir", "data"], &url[..]].concat());
    assert_eq!(second.code, 3, "{}", second.stderr);
    let data = folder.path().join("data");
    for part in [data.to_str().unwrap(), &format!("in use by process {}", up.pid()), "--data-dir"] {
        assert!(second.stderr.contains(part), "{part} is missing: {}", second.stderr);
    }
    assert_eq!(mesh(folder.path(), &["runs", "--trainer", &up.trainer]).code, 0);
}
