use std::path::Path;

/// How many bytes this user may still write to the disk of a folder; `None` where that is not known. A disk somewhere in the
/// network may take its time, so async code asks on a thread that may block.
#[must_use]
pub fn free_bytes(folder: &Path) -> Option<u64> {
    #[cfg(unix)]
    {
        let stat = rustix::fs::statvfs(folder).ok()?;
        Some(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
    #[cfg(not(unix))]
    {
        let _ = folder;
        None
    }
}
