//! A real cluster: made, killed, halted, copied.

use std::{
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    path::Path,
    process::Command,
    time::Duration,
};

use embedded_postgres::{Cluster, Durability, Error, Lookup, Settings, find_binaries};
use sqlx::{Connection as _, Executor as _, PgConnection, Row as _};
use test_support::{eventually, eventually_blocking};

/// A folder that the server's user can enter, on tmpfs where there is one.
fn folder() -> tempfile::TempDir {
    let parent = if Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "/tmp" };
    let folder = tempfile::Builder::new().prefix("cluster-test-").tempdir_in(parent).unwrap();
    make_enterable(folder.path());
    folder
}

fn make_enterable(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn start(folder: &Path) -> Cluster {
    Cluster::start(Settings::new(folder, Durability::Throwaway)).unwrap()
}

async fn connect(cluster: &Cluster, database: &str) -> PgConnection {
    eventually("the cluster takes connections", async || PgConnection::connect(&cluster.url(database)).await)
        .await
}

fn kill(signal: &str, pid: u32) {
    assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}

fn alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}/cwd")).read_link().is_ok()
}

#[tokio::test]
async fn what_was_committed_is_there_after_a_stop_and_a_start() {
    let folder = folder();
    let cluster = start(folder.path());
    cluster.create_database("it's \"mine\"").await.unwrap();
    cluster.create_database("it's \"mine\"").await.unwrap(); // the second time changes nothing
    let mut connection = connect(&cluster, "it's \"mine\"").await;
    connection.execute("CREATE TABLE t AS SELECT 42 AS answer").await.unwrap();
    let pid = cluster.pid().unwrap();
    cluster.stop();
    assert!(!alive(pid));

    let cluster = Cluster::start(Settings::new(folder.path(), Durability::Durable)).unwrap();
    let mut connection = connect(&cluster, "it's \"mine\"").await;
    let row = connection.fetch_one("SELECT answer FROM t").await.unwrap();
    assert_eq!(row.get::<i32, _>(0), 42);
    let fsync = connection.fetch_one("SHOW fsync").await.unwrap();
    assert_eq!(fsync.get::<String, _>(0), "on");
}

#[tokio::test]
async fn a_server_that_is_killed_is_started_again_under_the_same_url_with_its_data() {
    let folder = folder();
    let cluster = start(folder.path());
    let mut connection = connect(&cluster, "postgres").await;
    connection.execute("CREATE TABLE t AS SELECT 42 AS answer").await.unwrap();
    let (url, first) = (cluster.url("postgres"), cluster.pid().unwrap());
    for _ in 0..2 {
        let pid = cluster.pid().unwrap();
        kill("-9", pid);
        eventually("the server is started again", async || match cluster.pid() {
            Some(now) if now != pid => Ok(()),
            other => Err(other),
        })
        .await;
    }
    assert_ne!(cluster.pid().unwrap(), first);
    assert_eq!(cluster.url("postgres"), url);
    let row = connect(&cluster, "postgres").await.fetch_one("SELECT answer FROM t").await.unwrap();
    assert_eq!(row.get::<i32, _>(0), 42);
}

#[tokio::test]
async fn a_halted_server_stays_away_until_it_is_resumed() {
    let folder = folder();
    let cluster = start(folder.path());
    cluster.halt().unwrap();
    assert_eq!(cluster.pid(), None);
    assert!(PgConnection::connect(&cluster.url("postgres")).await.is_err());
    cluster.resume().unwrap();
    cluster.resume().unwrap(); // a running one stays as it is
    connect(&cluster, "postgres").await;
}

#[test]
fn a_second_process_is_told_who_has_the_folder() {
    let folder = folder();
    let _cluster = start(folder.path());
    let error = Cluster::start(Settings::new(folder.path(), Durability::Throwaway)).unwrap_err();
    assert!(matches!(&error, Error::Locked { pid, .. } if *pid == std::process::id().to_string()), "{error}");
}

#[test]
fn a_left_over_pid_file_with_another_process_number_does_not_hinder_a_start() {
    let folder = folder();
    let cluster = start(folder.path());
    let data = folder.path().join("data");
    let postmaster_pid = std::fs::read_to_string(data.join("postmaster.pid")).unwrap();
    cluster.stop();
    // As after a crash of the machine: the number in the file is some living process's.
    std::fs::write(
        data.join("postmaster.pid"),
        postmaster_pid.replacen(postmaster_pid.lines().next().unwrap(), &std::process::id().to_string(), 1),
    )
    .unwrap();
    assert!(start(folder.path()).pid().is_some());
}

#[test]
fn a_server_that_outlived_its_process_is_ended_at_the_next_start() {
    let folder = folder();
    Cluster::prepare(&Settings::new(folder.path(), Durability::Throwaway)).unwrap();
    let data = std::fs::canonicalize(folder.path().join("data")).unwrap();
    let owner = std::fs::metadata(&data).unwrap();
    let mut orphan = Command::new(find_binaries().unwrap().folder.join("postgres"))
        .arg("-D")
        .arg(&data)
        .args(["-c", "listen_addresses=", "-c"])
        .arg(format!("unix_socket_directories={}", data.display()))
        .current_dir(&data)
        .uid(owner.uid())
        .gid(owner.gid())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    eventually_blocking("the orphan is ready", || {
        match std::fs::read_to_string(data.join("postmaster.pid")) {
            Ok(text) if text.contains("ready") => Ok(()),
            other => Err(other),
        }
    });
    let reaper = std::thread::spawn(move || orphan.wait().unwrap());
    let cluster = start(folder.path());
    assert!(reaper.join().unwrap().success(), "it was shut down in peace");
    assert!(cluster.pid().is_some());
}

#[tokio::test]
async fn a_folder_with_a_path_too_long_for_a_socket_works_all_the_same() {
    let folder = folder();
    let long = folder.path().join("a-long-name-".repeat(10));
    let cluster = start(&long);
    assert!(cluster.url("postgres").contains("ai-mesh-pg-"));
    connect(&cluster, "postgres").await;
}

#[tokio::test]
async fn a_copy_of_a_template_is_a_cluster_of_its_own() {
    let folder = folder();
    let template = folder.path().join("template");
    Cluster::prepare(&Settings::new(&template, Durability::Throwaway)).unwrap();
    let mut settings = Settings::new(folder.path().join("copy"), Durability::Throwaway);
    settings.template = Some(template);
    let cluster = Cluster::start(settings).unwrap();
    connect(&cluster, "postgres").await;
}

#[test]
fn a_machine_without_a_server_is_told_before_any_folder_is_made() {
    let folder = folder();
    let data_dir = folder.path().join("never");
    let settings = Settings { lookup: Lookup::default(), ..Settings::new(&data_dir, Durability::Durable) };
    assert!(matches!(Cluster::start(settings), Err(Error::NoBinaries { .. })));
    assert!(!data_dir.exists());
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let folder = folder();
    start(folder.path()).stop();
    std::fs::write(folder.path().join("data/postgresql.conf"), "shared_buffers = nonsense\n").unwrap();
    let error = Cluster::start(Settings::new(folder.path(), Durability::Throwaway)).unwrap_err().to_string();
    assert!(error.contains("shared_buffers"), "{error}");
}

#[test]
fn the_server_ends_with_its_process_even_when_that_is_killed() {
    let folder = folder();
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "cluster::hold_a_cluster"])
        .env("CLUSTER_TEST_FOLDER", folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let server: u32 = eventually_blocking("the holder says its server's number", || {
        std::fs::read_to_string(folder.path().join("server"))
    })
    .parse()
    .unwrap();
    assert!(alive(server));
    holder.kill().unwrap(); // SIGKILL: nothing of the holder's own can stop the server
    holder.wait().unwrap();
    eventually_blocking("the server has ended with its process", || {
        if alive(server) { Err(server) } else { Ok(()) }
    });
    assert!(start(folder.path()).pid().is_some(), "the lock went with the process");
}

/// The process that the test above kills.
#[test]
#[ignore = "waits to be killed; run by another test"]
fn hold_a_cluster() {
    let folder = std::path::PathBuf::from(std::env::var_os("CLUSTER_TEST_FOLDER").unwrap());
    let cluster = start(&folder);
    // Written elsewhere and renamed, so that a reader never sees half of it.
    std::fs::write(folder.join("server.new"), cluster.pid().unwrap().to_string()).unwrap();
    std::fs::rename(folder.join("server.new"), folder.join("server")).unwrap();
    std::thread::sleep(Duration::from_secs(120));
}
