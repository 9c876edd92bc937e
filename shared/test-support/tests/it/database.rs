//! Databases for tests: each is fresh, and nothing stays behind.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use sqlx::{Connection as _, Executor as _, PgConnection, Row as _};
use test_support::{database, dedicated_cluster, eventually};

#[tokio::test]
async fn two_databases_of_one_process_do_not_see_each_other() {
    let (one, other) = tokio::join!(database(), database());
    assert_ne!(one.name(), other.name());
    let mut first = PgConnection::connect(one.url()).await.unwrap();
    let mut second = PgConnection::connect(other.url()).await.unwrap();
    first.execute("CREATE TABLE t (x int)").await.unwrap();
    second.execute("CREATE TABLE t (y text)").await.unwrap();
    let port = "SELECT current_setting('listen_addresses') = ''";
    assert!(
        first.fetch_one(port).await.unwrap().get::<bool, _>(0),
        "no TCP, so that processes cannot collide"
    );
}

#[tokio::test]
async fn a_dedicated_cluster_goes_away_and_comes_back_with_its_data() {
    let cluster = dedicated_cluster().await;
    let mut connection = PgConnection::connect(cluster.url()).await.unwrap();
    connection.execute("CREATE TABLE t AS SELECT 7 AS x").await.unwrap();
    cluster.stop().await;
    assert!(PgConnection::connect(cluster.url()).await.is_err());
    cluster.restart().await;
    let mut connection = PgConnection::connect(cluster.url()).await.unwrap();
    assert_eq!(connection.fetch_one("SELECT x FROM t").await.unwrap().get::<i32, _>(0), 7);
    cluster.kill();
    eventually("the cluster is started again", async || PgConnection::connect(cluster.url()).await).await;
}

#[tokio::test]
async fn processes_run_side_by_side_and_leave_no_folder_behind() {
    let children: Vec<_> = (0..2)
        .map(|_| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--ignored", "--exact", "--nocapture", "database::use_a_database"])
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let mut folders = Vec::new();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        let folder = text.lines().find_map(|line| line.split_once("cluster: ")).unwrap().1;
        folders.push(PathBuf::from(folder));
    }
    assert_ne!(folders[0], folders[1]);
    for folder in folders {
        assert!(folder.parent().unwrap().file_name().unwrap().to_str().unwrap().starts_with("run-"));
        let parent = folder.parent().unwrap();
        eventually("its folder is gone", async || if parent.exists() { Err(&folder) } else { Ok(()) }).await;
    }
}

/// What the test above runs in processes of their own.
#[tokio::test]
#[ignore = "run by another test"]
async fn use_a_database() {
    let database = database().await;
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    let folder = connection.fetch_one("SHOW data_directory").await.unwrap().get::<String, _>(0);
    println!("cluster: {}", std::path::Path::new(&folder).parent().unwrap().display());
}
