//! A disk that is full: a small one in memory, mounted in a namespace of the test's own.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use client::{ClientError, Endpoint, Remembrancer};
use test_support::eventually;

use crate::support::{KNOWN_LOGS, addresses};

/// `mesh up` with its data folder on a disk of 256 MiB, until it is dropped.
struct Up {
    child: Child,
    remembrancer: Remembrancer,
    /// The disk as this process can reach it.
    disk: PathBuf,
    log: PathBuf,
}

impl Up {
    /// `None` where a user may not mount a disk of his own.
    fn start(folder: &Path) -> Option<Self> {
        let disk = folder.join("disk");
        fs::create_dir(&disk).unwrap();
        let root = fs::metadata("/proc/self").unwrap().uid() == 0;
        // without root the server's user and the mount must be the same one in a namespace of users too
        let namespace: &[&str] =
            if root { &["-m"] } else { &["-m", "-U", "--map-current-user", "--keep-caps"] };
        let mount = "mount -t tmpfs -o size=256m,mode=755 tmpfs \"$1\"";
        let possible =
            Command::new("unshare").args(namespace).args(["sh", "-c", mount, "sh"]).arg(&disk).output();
        if !possible.is_ok_and(|output| output.status.success()) {
            return None;
        }
        let log = folder.join("log");
        let script = format!("{mount} && exec \"$0\" up --json --port-base 0 --data-dir \"$1/data\"");
        let mut child = Command::new("unshare")
            .args(namespace)
            .args(["sh", "-c", &script, env!("CARGO_BIN_EXE_mesh")])
            .arg(&disk)
            .env("MESH_KNOWN_LOGS", folder.join(KNOWN_LOGS))
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let addresses = addresses(&mut child);
        let url = addresses["services"]["remembrancer"]["url"].as_str().unwrap();
        let remembrancer = Remembrancer::new(Endpoint::new(url)).unwrap();
        let disk = Path::new(&format!("/proc/{}/root", child.id())).join(disk.strip_prefix("/").unwrap());
        Some(Self { child, remembrancer, disk, log })
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until its log has this.
    async fn says(&self, what: &str) {
        eventually(&format!("it says that {what}"), async || {
            let said = self.said();
            if said.contains(what) { Ok(()) } else { Err(said) }
        })
        .await;
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let stopped = Command::new("kill").arg(self.child.id().to_string()).status();
        if !stopped.is_ok_and(|status| status.success()) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_loses_nothing_and_all_goes_on_when_there_is_room() {
    // where the database's user can get to it too, also when this is root
    let folder = tempfile::Builder::new().prefix("mesh-full-disk-").tempdir().unwrap();
    open(folder.path());
    let Some(up) = Up::start(folder.path()) else {
        println!("skipped: this user may not mount a disk in a namespace");
        return;
    };
    let mut stored = vec![store(&up, 0).await.unwrap()];
    let ballast = up.disk.join("ballast");
    fill(&ballast);

    let mut number = 1;
    let error = loop {
        match store(&up, number).await {
            Ok(name) => stored.push(name),
            Err(error) => break error,
        }
        number += 1;
        assert!(number < 1000, "the disk is never full");
    };
    assert_eq!((error.status(), error.code()), (Some(503), Some("disk_full")), "{error}");
    for _ in 0..30 {
        // what is rolled back takes room in the database's log too, and without that the database goes away
        let error = store(&up, number).await.unwrap_err();
        assert_eq!(error.status(), Some(503), "{error}");
        assert!(matches!(error.code(), Some("disk_full" | "database_unavailable")), "{error}");
    }
    up.says("the disk of the data folder is full").await;
    assert!(up.said().contains("/disk/data"), "which one: {}", up.said());

    fs::remove_file(&ballast).unwrap();
    eventually("something can be stored again", async || {
        store(&up, number).await.map_err(|error| format!("{error}\n{}", up.said()))
    })
    .await;
    for name in &stored {
        up.remembrancer.artifact(name).await.unwrap();
    }
    up.says("has room again").await;
}

/// Stores a mebibyte that does not compress.
async fn store(up: &Up, number: u64) -> Result<api::Hash, ClientError> {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        // xorshift64 (Marsaglia, 2003)
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let bytes: Vec<u8> = (0..1 << 17).flat_map(|_| next().to_le_bytes()).collect();
    up.remembrancer.put_artifact("application/octet-stream", bytes).await.map(|artifact| artifact.sha256)
}

/// Leaves two mebibytes for the database to run into.
fn fill(ballast: &Path) {
    let stat = rustix::fs::statvfs(ballast.parent().unwrap()).unwrap();
    let free = stat.f_bavail * stat.f_frsize;
    fs::write(ballast, vec![1; usize::try_from(free.saturating_sub(2 << 20)).unwrap()]).unwrap();
}

fn open(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
}
