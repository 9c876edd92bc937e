//! Ctrl-C in the middle of `mesh train`, and the command that it prints, with a PostgreSQL of its own.

use std::{
    env,
    fs::{self, Permissions},
    io::{BufRead as _, BufReader, Read as _},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

use crate::support::{KNOWN_LOGS, Ran, mesh};

const TRAIN: [&str; 16] = [
    "train",
    "--agents",
    "3",
    "--episodes",
    "30",
    "--steps-per-episode",
    "3",
    "--preset",
    "contended",
    "--seed",
    "7",
    "--seeds",
    "2",
    "--data-dir",
    "data",
    "--json",
];

/// `mesh train` in a process group of its own, as a shell starts it.
struct Training(Child);

impl Training {
    fn start(folder: &Path) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_mesh"))
            .args(TRAIN)
            .env("MESH_LOG", "info,service_kit=debug")
            // what it prints is run as a shell would, without Cargo
            .env_remove("CARGO")
            .env("MESH_KNOWN_LOGS", folder.join(KNOWN_LOGS))
            .current_dir(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        Self(child)
    }

    /// Interrupts it, as Ctrl-C does: every process of the group. What it came to, from then on.
    fn interrupted_when_it_says(self, sign: &str) -> Ran {
        self.signalled_when_it_says(Signal::INT, sign)
    }

    /// Sends a signal to every process of the group.
    fn signalled_when_it_says(mut self, signal: Signal, sign: &str) -> Ran {
        let mut log = BufReader::new(self.0.stderr.take().unwrap());
        let mut stderr = String::new();
        while !stderr.contains(sign) {
            assert!(log.read_line(&mut stderr).unwrap() > 0, "it ended before it said `{sign}`: {stderr}");
        }
        kill_process_group(Pid::from_child(&self.0), signal).unwrap();
        // few lines follow, so that neither pipe is filled while the other is read
        log.read_to_string(&mut stderr).unwrap();
        let mut stdout = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        Ran { code: self.0.wait().unwrap().code().unwrap_or(-1), stdout, stderr }
    }
}

impl Drop for Training {
    fn drop(&mut self) {
        // after a panic nobody else ends it
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Types a command into a shell that finds `mesh`.
fn type_in(folder: &Path, command: &str) -> Ran {
    let programs = Path::new(env!("CARGO_BIN_EXE_mesh")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), env::var("PATH").unwrap());
    let output =
        Command::new("sh").args(["-c", command]).env("PATH", path).current_dir(folder).output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A folder that PostgreSQL can enter when it runs as another user.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    folder
}

#[test]
fn the_command_that_an_interrupt_prints_leads_to_the_root_of_the_undisturbed_run_here_and_elsewhere() {
    let (undisturbed, here, elsewhere) = (folder(), folder(), folder());
    let whole = mesh(undisturbed.path(), &TRAIN);
    assert_eq!(whole.code, 0, "{}", whole.stderr);
    let expected = whole.json()["run_root"].as_str().unwrap().to_owned();

    let cut = Training::start(here.path()).interrupted_when_it_says("path=\"/v1/decisions\"");
    assert_eq!(cut.code, 3, "{}", cut.stderr);
    let summary: Value = cut.json();
    assert_eq!(summary["status"], "cancelled");
    assert_ne!(summary["run_root"].as_str(), Some(expected.as_str()), "it must be cut");
    let command = cut.stderr.trim_end().rsplit_once("resume with: ").unwrap().1.to_owned();
    let checkpoint: Value =
        serde_json::from_slice(&fs::read(here.path().join("out/swarm_checkpoint.json")).unwrap()).unwrap();
    let done = checkpoint["episodes_done"].as_u64().unwrap();
    assert!((1..30).contains(&done), "{done}");

    fs::create_dir(elsewhere.path().join("out")).unwrap();
    let file = "out/swarm_checkpoint.json";
    fs::copy(here.path().join(file), elsewhere.path().join(file)).unwrap();
    for folder in [&here, &elsewhere] {
        let resumed = type_in(folder.path(), &command);
        assert_eq!(resumed.code, 0, "{command}: {}", resumed.stderr);
        assert!(resumed.stdout.contains(&format!("run root   {expected}")), "{}", resumed.stdout);
        for file in ["out/swarm_final.json", "out/training_metrics.csv"] {
            let read = |folder: &Path| fs::read(folder.join(file)).unwrap();
            assert!(read(folder.path()) == read(undisturbed.path()), "{file}");
        }
    }
}

#[test]
fn an_interrupt_while_the_run_is_being_started_leaves_no_run_that_goes_on_by_itself() {
    let folder = folder();
    let cut = Training::start(folder.path()).interrupted_when_it_says("run created");
    assert_eq!(cut.code, 3, "{}", cut.stderr);
    assert_eq!(cut.json()["status"], "cancelled");
    assert!(cut.stderr.contains("the run ended"), "{}", cut.stderr);
}

#[test]
fn a_terminal_that_goes_away_stops_the_run_with_a_checkpoint_too() {
    if service_kit::ignores_hangup() {
        println!("skipped: these tests ignore hangups, as under nohup, and so does what they start");
        return;
    }
    let folder = folder();
    let cut = Training::start(folder.path()).signalled_when_it_says(Signal::HUP, "path=\"/v1/decisions\"");
    assert_eq!(cut.code, 3, "{}", cut.stderr);
    assert_eq!(cut.json()["status"], "cancelled");
    assert!(folder.path().join("out/swarm_checkpoint.json").exists());
}
