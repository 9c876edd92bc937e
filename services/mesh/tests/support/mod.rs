//! The binary, run as people run it.
#![allow(clippy::unwrap_used, dead_code)] // helpers of tests, of which each file uses some

use std::{
    path::Path,
    process::{Command, Output},
};

/// What a run of the binary came to.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Standard output as one JSON value.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error} in {:?} ({})", self.stdout, self.stderr))
    }
}

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
    let Output { status, stdout, stderr } =
        command.args(arguments).envs(variables.iter().copied()).current_dir(folder).output().unwrap();
    Ran {
        code: status.code().unwrap_or(-1),
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8(stderr).unwrap(),
    }
}
