//! The folder that a run's files go to, which may have another run's.

use std::path::Path;

use anyhow::Context as _;
use api::Hash;
use serde::Deserialize;

use crate::{
    exit::usage,
    files::{read, writable_folder},
    output::note,
};

/// What every run writes, even one that was stopped at once.
const LEFT_BY_EACH: &str = "training_metrics.csv";

/// What says whose files they are.
const SAYS_WHOSE: &str = "swarm_checkpoint.json";

/// Makes the folder ready for the files of the run with this digest.
///
/// # Errors
/// It has the files of another run, which are not to be overwritten; it cannot be written to.
pub(crate) fn ready_for(folder: &Path, run: Hash, overwrite: bool) -> anyhow::Result<()> {
    let is_used = folder.join(LEFT_BY_EACH).exists();
    let is_same = is_used && run_of(folder) == Some(run);
    if is_same {
        note(&format!("{} has the files of this very run: they are written anew", folder.display()));
    }
    if is_used && !is_same && !overwrite {
        return Err(usage(format!(
            "{} has the files of another run: choose another folder with --output, or --overwrite them",
            folder.display()
        )));
    }
    writable_folder(folder)
}

/// Whose files a folder has, where they say so.
fn run_of(folder: &Path) -> Option<Hash> {
    #[derive(Deserialize)]
    struct Of {
        digest: Hash,
    }
    let bytes = read(&folder.join(SAYS_WHOSE)).ok()?;
    let of: Of = serde_json::from_slice(&bytes).context("a checkpoint").ok()?;
    Some(of.digest)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;

    #[test]
    fn the_files_of_another_run_are_overwritten_only_by_one_who_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let (own, other) = (Hash([1; 32]), Hash([2; 32]));
        let out = folder.path().join("out");
        ready_for(&out, own, false).unwrap();
        fs::write(out.join("notes.txt"), "mine").unwrap();
        ready_for(&out, own, false).unwrap();

        fs::write(out.join(LEFT_BY_EACH), "").unwrap();
        let refused = ready_for(&out, own, false).unwrap_err().to_string();
        assert!(refused.contains("--output") && refused.contains("--overwrite"), "{refused}");
        fs::write(out.join(SAYS_WHOSE), json!({"digest": own, "more": [1]}).to_string()).unwrap();
        ready_for(&out, own, false).unwrap();
        ready_for(&out, other, false).unwrap_err();
        ready_for(&out, other, true).unwrap();
    }
}
