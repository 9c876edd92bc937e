use std::time::Duration;

use api::{Problem, remembrancer::Checkpoint};
use remembrancer::{Config, database, fsck::fsck};
use reqwest::StatusCode;
use serde_json::json;
use sqlx::PgPool;
use test_support::eventually;

use crate::support::{Service, config, decisions, fixture, json_of, run, start};

async fn ready(service: &Service) -> StatusCode {
    service.get("/readyz").await.status()
}

async fn wait_until_ready(service: &Service) {
    eventually("the service is ready", async || match ready(service).await {
        StatusCode::OK => Ok(()),
        other => Err(other),
    })
    .await;
}

#[tokio::test]
async fn while_the_database_is_away_writers_are_told_to_come_back_and_nothing_is_lost() {
    let cluster = test_support::dedicated_cluster().await;
    let data = tempfile::tempdir().unwrap();
    let service = start(config(cluster.url(), &data)).await;
    wait_until_ready(&service).await;
    service.record(&decisions(run(1), 0..100)).await;

    cluster.stop().await;
    let answer = service.post("/v1/decisions", &json!({"decisions": decisions(run(1), 100..200)})).await;
    assert_eq!(answer.headers()["retry-after"], "1");
    let problem: Problem = json_of(answer, StatusCode::SERVICE_UNAVAILABLE).await;
    assert_eq!(problem.code, "database_unavailable");
    assert!(!problem.detail.contains("postgres"), "nothing of the inside: {}", problem.detail);
    for path in ["/v1/decisions", "/v1/records", "/v1/log/checkpoint", "/tile/0/000.p/1"] {
        assert_eq!(service.get(path).await.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
    }
    assert_eq!(ready(&service).await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(service.get("/healthz").await.status(), StatusCode::OK);

    cluster.restart().await;
    wait_until_ready(&service).await;
    assert_eq!(service.record(&decisions(run(1), 50..200)).await.recorded, 100);
    assert_eq!(service.get_json::<Checkpoint>("/v1/log/checkpoint").await.tree_size, 200);
}

#[tokio::test]
async fn a_service_that_starts_before_its_database_becomes_ready_with_it() {
    let cluster = test_support::dedicated_cluster().await;
    let data = tempfile::tempdir().unwrap();
    cluster.stop().await;
    let service = start(config(cluster.url(), &data)).await;
    assert_eq!(ready(&service).await, StatusCode::SERVICE_UNAVAILABLE);
    let answer = service.post("/v1/decisions", &json!({"decisions": decisions(run(1), 0..1)})).await;
    assert_eq!(
        json_of::<Problem>(answer, StatusCode::SERVICE_UNAVAILABLE).await.code,
        "database_unavailable"
    );
    cluster.restart().await;
    wait_until_ready(&service).await;
    assert_eq!(service.record(&decisions(run(1), 0..1)).await.recorded, 1);
}

/// The server is killed again and again under a writer that repeats what was not acknowledged.
#[tokio::test]
async fn killing_the_database_loses_doubles_and_changes_nothing() {
    let cluster = test_support::dedicated_cluster().await;
    let data = tempfile::tempdir().unwrap();
    let service = start(config(cluster.url(), &data)).await;
    wait_until_ready(&service).await;
    let mut next = 0;
    let mut kills = 0;
    while next < 6_000 {
        let body = json!({"decisions": decisions(run(1), next..next + 300)});
        let post = async || service.post("/v1/decisions", &body).await.status();
        if next / 2_000 > kills {
            kills += 1;
            // in the middle of what is written, wherever that may be
            let kill = async {
                tokio::time::sleep(Duration::from_millis(kills * 3)).await;
                cluster.kill();
            };
            tokio::join!(post(), kill);
        }
        eventually("the batch is recorded", async || match post().await {
            status if status.is_success() => Ok(()),
            StatusCode::SERVICE_UNAVAILABLE => Err("503"),
            other => panic!("expected 2xx or 503, got {other}"),
        })
        .await;
        next += 300;
    }
    assert_eq!(kills, 2);
    let report = fsck(&PgPool::connect(cluster.url()).await.unwrap()).await.unwrap();
    assert_eq!((report.leaves, report.decisions), (6_000, 6_000));
}

#[tokio::test]
async fn a_log_whose_head_was_changed_is_not_opened() {
    let fixture = fixture().await;
    fixture.record(&decisions(run(1), 0..10)).await;
    sqlx::query("UPDATE log_head SET root = sha256('x')").execute(&fixture.sql().await).await.unwrap();
    let fixture = fixture.restarted().await;
    let answer = fixture.get("/readyz").await;
    let problem: Problem = json_of(answer, StatusCode::SERVICE_UNAVAILABLE).await;
    assert!(problem.detail.contains("fsck"), "{}", problem.detail);
    let body = json!({"decisions": decisions(run(1), 10..11)});
    assert_eq!(fixture.post("/v1/decisions", &body).await.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_transaction_that_is_given_up_while_it_begins_takes_nothing_of_the_next_with_it() {
    let test = test_support::database().await;
    let data = tempfile::tempdir().unwrap();
    let db = database::pool(&Config { database_connections: 1, ..config(test.url(), &data) }).unwrap();
    sqlx::query("CREATE TABLE before ()").execute(&db).await.unwrap();

    let begun = database::begin(&db, "BEGIN; SELECT pg_sleep(0.5)");
    assert!(tokio::time::timeout(Duration::from_millis(100), begun).await.is_err(), "it had begun already");
    sqlx::query("CREATE TABLE after ()").execute(&db).await.unwrap();
    assert_eq!(test.count("after").await, 0, "what was answered is there for all");
}
