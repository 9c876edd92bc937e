//! The disk of the data folder: how much of it that takes, and a warning when it is full.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// PostgreSQL writes its log in files of 16 MiB: with less than two of them left it may not be able to go on.
const LITTLE_BYTES: u64 = 32 << 20;

const CHECK_EVERY: Duration = Duration::from_secs(2);

/// How many bytes the files below a folder have; `None` where it cannot be read.
pub(crate) fn size(folder: &Path) -> Option<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder).ok()? {
        let Ok(entry) = entry else { continue };
        // PostgreSQL removes files while they are counted
        let Ok(metadata) = entry.metadata() else { continue };
        bytes += if metadata.is_dir() { size(&entry.path()).unwrap_or(0) } else { metadata.len() };
    }
    Some(bytes)
}

/// Watches the folder's disk as long as it is polled.
pub(super) async fn watch(data_dir: PathBuf) {
    let mut full = false;
    loop {
        let folder = data_dir.clone();
        let free = tokio::task::spawn_blocking(move || service_kit::free_bytes(&folder)).await.ok().flatten();
        match free {
            Some(free) if free < LITTLE_BYTES && !full => {
                full = true;
                tracing::error!(
                    data_dir = %data_dir.display(),
                    free_mib = free >> 20,
                    "the disk of the data folder is full: make room on it. Nothing that was recorded is lost; until \
                     there is room nothing more can be recorded; after that everything resumes by itself"
                );
            }
            Some(free) if free >= LITTLE_BYTES && full => {
                full = false;
                tracing::info!(
                    data_dir = %data_dir.display(),
                    free_mib = free >> 20,
                    "the disk of the data folder has room again"
                );
            }
            _ => {}
        }
        tokio::time::sleep(CHECK_EVERY).await;
    }
}
