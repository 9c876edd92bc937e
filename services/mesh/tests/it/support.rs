//! The binary, run as people run it.

use std::{
    io::Read as _,
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;
use test_support::TestDatabase;

/// What a run of the binary came to.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Standard output as one JSON value.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error} in {:?} ({})", self.stdout, self.stderr))
    }
}

/// The file of the logs that are known in a test's folder.
pub(crate) const KNOWN_LOGS: &str = "known_logs.json";

/// Runs the binary in a folder, without the settings of whoever runs the tests.
pub(crate) fn mesh(folder: &Path, arguments: &[&str]) -> Ran {
    mesh_with(folder, arguments, &[])
}

/// Like [`mesh`], with variables in its environment.
pub(crate) fn mesh_with(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mesh"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MESH_")) {
        command.env_remove(name);
    }
    command.env_remove("CARGO"); // which says that Cargo started it, as it did the tests
    command.env("MESH_KNOWN_LOGS", folder.join(KNOWN_LOGS));
    let Output { status, stdout, stderr } =
        command.args(arguments).envs(variables.iter().copied()).current_dir(folder).output().unwrap();
    Ran {
        code: status.code().unwrap_or(-1),
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8(stderr).unwrap(),
    }
}

/// `mesh up`, until it is dropped.
pub(crate) struct Up {
    child: Child,
    pub(crate) trainer: String,
    pub(crate) psi_field: String,
    pub(crate) remembrancer: String,
    pub(crate) evaluator: String,
}

impl Up {
    pub(crate) fn start(folder: &Path, database: &TestDatabase) -> Self {
        Self::logging(folder, database, "error", Stdio::inherit())
    }

    /// With more flags.
    pub(crate) fn with(folder: &Path, database: &TestDatabase, more: &[&str]) -> Self {
        Self::run(folder, database, more, "error", Stdio::inherit())
    }

    /// With JSON lines of a level, to somewhere.
    pub(crate) fn logging(folder: &Path, database: &TestDatabase, level: &str, log: Stdio) -> Self {
        Self::run(folder, database, &[], level, log)
    }

    /// With more flags, and JSON lines of a level, to somewhere.
    pub(crate) fn run(
        folder: &Path,
        database: &TestDatabase,
        more: &[&str],
        level: &str,
        log: Stdio,
    ) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_mesh"))
            .args([
                "up",
                "--json",
                "--port-base",
                "0",
                "--data-dir",
                "data",
                "--database-url",
                database.url(),
            ])
            .args(more)
            .env("MESH_LOG", level)
            .env("MESH_KNOWN_LOGS", folder.join(KNOWN_LOGS))
            .env("MESH_LOG_FORMAT", "json")
            .stderr(log)
            .current_dir(folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let addresses = addresses(&mut child);
        let url = |service: &str| addresses["services"][service]["url"].as_str().unwrap().to_owned();
        Self {
            trainer: url("trainer"),
            psi_field: url("psi-field"),
            remembrancer: url("remembrancer"),
            evaluator: url("evaluator"),
            child,
        }
    }
}

impl Up {
    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // its database is the test's own and goes with it
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What `mesh up --json` says once it is up.
pub(crate) fn addresses(up: &mut Child) -> Value {
    let mut output = up.stdout.take().unwrap();
    let mut text = Vec::new();
    loop {
        let mut byte = [0];
        output.read_exact(&mut byte).unwrap();
        text.push(byte[0]);
        if byte == *b"}"
            && let Ok(addresses) = serde_json::from_slice(&text)
        {
            return addresses;
        }
    }
}
