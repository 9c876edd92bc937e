//! Wrong usage ends with 2 and says what was expected; help has examples.

use crate::support::mesh;

const COMMANDS: [&str; 17] = [
    "up",
    "train",
    "evaluate",
    "pareto",
    "visualize",
    "simulate",
    "verify",
    "runs",
    "watch",
    "interventions",
    "record",
    "query",
    "fsck",
    "backup",
    "restore",
    "completions",
    "man",
];

#[test]
fn every_command_explains_itself_with_examples() {
    let folder = tempfile::tempdir().unwrap();
    for command in COMMANDS {
        let ran = mesh(folder.path(), &[command, "--help"]);
        assert_eq!(ran.code, 0, "{command}");
        assert!(ran.stdout.contains("Examples:"), "{command}: {}", ran.stdout);
        assert!(ran.stdout.contains(&format!("mesh {command}")), "{command}: {}", ran.stdout);
    }
}

#[test]
fn wrong_usage_ends_with_2_and_one_clear_message() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, expected) in [
        (&["frobnicate"][..], "unrecognized subcommand"),
        (&["simulate"], "--policy"),
        (
            &["simulate", "--policy", "bestest"],
            "greedy-reward, reserve, defer-large, bid-price, bid-price-hours, bid-price-counting, bid-price-tuned or bid-price-informed",
        ),
        (&["simulate", "--policy", "cheapest", "--preset", "calm"], "unknown preset `calm`"),
        (&["simulate", "--policy", "cheapest", "--episodes", "0"], "1..=10000000"),
        (&["simulate", "--policy", "cheapest", "--step-seconds", "3"], "--trace"),
        (&["simulate", "--policy", "cheapest", "--seed", "9007199254740992"], "at most 9007199254740991"),
        (&["visualize"], "<FILE>"),
        (&["verify"], "<FILE>"),
        (&["verify", "x.json", "--key", "nonsense"], "--key"),
        (&["evaluate"], "--ai-agents"),
        (&["train", "--agents", "0"], "--agents"),
        (&["train", "--agents", "1001"], "--agents"),
        (&["train", "--learning-rate", "1.5"], "--learning-rate"),
        (&["train", "--algorithm", "magic"], "unknown algorithm `magic`"),
        (&["train", "--reward", "fame"], "unknown reward `fame`"),
        (&["train", "--psi-field", "sometimes"], "--psi-field"),
        (&["runs", "--status", "lost"], "queued"),
        (&["runs", "--trainer", "nowhere"], "--trainer"),
        (&["watch"], "<RUN>"),
        (&["watch", "7"], "`mesh runs`"),
        (&["interventions", "last", "--psi-field", "nowhere"], "--psi-field"),
        (&["interventions", "last", "--nigredo", "--albedo"], "cannot be used with"),
        (&["interventions", "last", "--agents", "1"], "--nigredo"),
        (&["interventions", "last", "--albedo", "--reason", ""], "1 to 2000 bytes"),
        (&["train", "--trainer", "http://127.0.0.1:1"], "--remembrancer"),
        (&["evaluate", "--ai-agents", "x", "--trainer", "http://127.0.0.1:1"], "--remembrancer"),
        (&["train", "--api-key", "k"], "--api-key: expected only beside --trainer"),
        (
            &["train", "--remembrancer", "http://127.0.0.1:1", "--data-dir", "d"],
            "--data-dir: expected only for a stack of its own",
        ),
        (&["record", "deploy", "--component", "a"], "--evidence"),
        (&["record", "deploy", "--component", "", "--version", "1", "--evidence", "x"], "--component"),
        (&["record", "deploy", "--component", "a", "--version", "1", "--evidence", "no.log"], "no.log"),
        (&["record", "deploy", "--component", "a", "--version", "1", "--evidence", "."], "this is no file"),
        (
            &["record", "deploy", "--component", "a", "--version", "1", "--evidence", "/dev/null"],
            "this is no file",
        ),
        (&["record", "note", "--subject", "a", " "], "expected some text"),
        (&["query"], "<TEXT>"),
        (&["query", "x", "--decisions"], "cannot be used with"),
        (&["query", "x", "--tenant", "acme"], "--decisions"),
        (&["query", "x", "--kind", "Decision"], "expected lower-case words"),
        (&["query", "--decisions", "--run", "last"], "digest"),
        (&["query", "--decisions", "--json", "--csv"], "cannot be used with"),
        (&["query", "--decisions", "--csv", "--limit", "5"], "--limit is for the table"),
        (&["query", "x", "--remembrancer", "nowhere"], "--remembrancer"),
    ] {
        let ran = mesh(folder.path(), arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(expected), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stdout.is_empty(), "{arguments:?}: {}", ran.stdout);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing may be left behind");
}

#[test]
fn a_file_that_cannot_be_read_is_named_and_ends_with_3() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        &["verify", "nothing.json"][..],
        &["simulate", "--policy", "cheapest", "--workloads", "nothing.json"],
        &["visualize", "nothing.json"],
        &["train", "--load", "nothing.json"],
        &["evaluate", "--ai-agents", "nothing.json"],
    ] {
        let ran = mesh(folder.path(), arguments);
        assert_eq!(ran.code, 3, "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("cannot read nothing.json"), "{arguments:?}: {}", ran.stderr);
        assert_eq!(ran.stderr.trim_end().lines().count(), 1, "{}", ran.stderr);
    }
}

#[test]
fn a_stack_that_is_not_there_is_told_in_one_line_that_says_what_to_do_and_ends_with_3() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["runs"][..], &["watch", "last"], &["interventions", "last"]] {
        let nowhere = ["--trainer", "http://127.0.0.1:1"];
        let ran = mesh(folder.path(), &[arguments, &nowhere].concat());
        assert_eq!(ran.code, 3, "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("nothing answers at http://127.0.0.1:1"), "{}", ran.stderr);
        assert!(ran.stderr.contains("mesh up") && ran.stderr.contains("--trainer"), "{}", ran.stderr);
        assert_eq!(ran.stderr.trim_end().lines().count(), 1, "{}", ran.stderr);
    }
}

#[test]
fn a_remembrancer_that_is_not_there_is_told_by_its_flag_and_ends_with_3() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tests.log"), "all passed").unwrap();
    let deploy = ["record", "deploy", "--component", "a", "--version", "1", "--evidence", "tests.log"];
    for arguments in
        [&deploy[..], &["record", "note", "--subject", "a", "b"], &["query", "x"], &["query", "--decisions"]]
    {
        let nowhere = ["--remembrancer", "http://127.0.0.1:1"];
        let ran = mesh(folder.path(), &[arguments, &nowhere].concat());
        assert_eq!(ran.code, 3, "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("nothing answers at http://127.0.0.1:1"), "{}", ran.stderr);
        assert!(ran.stderr.contains("MESH_REMEMBRANCER_URL"), "{}", ran.stderr);
        assert_eq!(ran.stderr.trim_end().lines().count(), 1, "{}", ran.stderr);
    }
}

#[test]
fn shells_and_manuals_know_every_command() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let ran = mesh(folder.path(), &["completions", shell]);
        assert_eq!(ran.code, 0, "{shell}: {}", ran.stderr);
        assert!(ran.stdout.contains("training-seeds"), "{shell}");
    }
    let ran = mesh(folder.path(), &["man", "pages"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let page = std::fs::read_to_string(folder.path().join("pages/mesh-train.1")).unwrap();
    assert!(page.contains("training\\-seeds"), "{page}");
    let version = mesh(folder.path(), &["--version"]).stdout;
    assert!(version.starts_with(concat!("mesh ", env!("CARGO_PKG_VERSION"))), "{version}");
}

#[test]
fn what_nobody_reads_to_its_end_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let mesh = env!("CARGO_BIN_EXE_mesh");
    let line = format!("{{ {mesh} completions bash; echo $? >&2; }} | true");
    let ran =
        std::process::Command::new("sh").args(["-c", &line]).current_dir(folder.path()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&ran.stderr).trim(), "0");
}
