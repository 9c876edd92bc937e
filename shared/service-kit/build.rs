//! Which commit this is, for `--version` and for `ai_mesh_build_info`.

use std::{env, path::Path, process::Command};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=MESH_COMMIT");
    // A debug build is somebody's at work: linking it anew with every commit would cost more than the name is worth.
    let commit = if env::var("PROFILE").as_deref() == Ok("release") { commit() } else { None };
    if let Some(commit) = &commit {
        println!("cargo:rustc-env=AI_MESH_COMMIT={commit}");
    }
    let commit = commit.map_or_else(String::new, |commit| format!(" ({commit})"));
    println!("cargo:rustc-env=AI_MESH_BUILD={commit}");
}

/// What whoever packs it says, else what git says; none where there is neither.
fn commit() -> Option<String> {
    if let Ok(given) = env::var("MESH_COMMIT") {
        return Some(given).filter(|given| !given.is_empty());
    }
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"])?;
    if Path::new(&log).exists() {
        println!("cargo:rerun-if-changed={log}");
    }
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed = !git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty();
    Some(if changed { format!("{commit}, changed") } else { commit })
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
