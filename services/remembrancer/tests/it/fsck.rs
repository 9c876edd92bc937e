use remembrancer::fsck::{FsckError, Report, fsck};
use reqwest::{Method, StatusCode};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::support::{Fixture, decisions, fixture, run};

/// Decisions of two runs over several tiles and commits, records between them, an artifact.
async fn filled() -> Fixture {
    let fixture = fixture().await;
    for part in 0..4 {
        fixture.record(&decisions(run(1), part * 250..(part + 1) * 250)).await;
        fixture.record(&decisions(run(2), part * 10..(part + 1) * 10)).await;
        let note = json!({"id": format!("n{part}"), "kind": "note", "subject": "s", "body": {"part": part, "text": "x"}});
        assert_eq!(fixture.post("/v1/records", &note).await.status(), StatusCode::CREATED);
    }
    let name = api::Hash(Sha256::digest(b"evidence").into());
    let put =
        fixture.request(Method::PUT, &format!("/v1/artifacts/{name}")).body("evidence").send().await.unwrap();
    assert_eq!(put.status(), StatusCode::CREATED);
    fixture
}

#[tokio::test]
async fn an_untouched_log_is_intact() {
    let fixture = filled().await;
    let report = fsck(&fixture.sql().await).await.unwrap();
    // 1044 leaves: five tiles of leaves and one above.
    let expected = Report {
        leaves: 1044,
        decisions: 1040,
        records: 4,
        tiles: 6,
        runs: 2,
        artifacts: 1,
        ..Report::default()
    };
    assert_eq!(report, expected);
}

#[tokio::test]
async fn an_empty_log_is_intact() {
    let fixture = fixture().await;
    assert_eq!(fsck(&fixture.sql().await).await.unwrap(), Report::default());
}

#[tokio::test]
async fn a_log_longer_than_one_part_is_intact() {
    let fixture = fixture().await;
    for part in 0..3 {
        fixture.record(&decisions(run(1), part * 7_000..(part + 1) * 7_000)).await;
    }
    let report = fsck(&fixture.sql().await).await.unwrap();
    assert_eq!((report.leaves, report.tiles), (21_000, 83 + 1));
}

/// As after an upgrade, before the new version was started.
#[tokio::test]
async fn a_database_of_an_earlier_version_is_told_apart_from_a_damaged_one() {
    let fixture = filled().await;
    let db = fixture.sql().await;
    sqlx::query("DELETE FROM _sqlx_migrations WHERE version = (SELECT max(version) FROM _sqlx_migrations)")
        .execute(&db)
        .await
        .unwrap();
    let error = fsck(&db).await.unwrap_err();
    assert!(matches!(error, FsckError::Older { found, known } if found < known), "{error}");
    assert!(error.to_string().contains("start the services once"), "{error}");
}

/// Each change in one row behind the service's back, and what must be said of it.
#[tokio::test]
async fn every_change_behind_the_services_back_is_found_and_named() {
    let fixture = filled().await;
    // The service has signed all there is, so that it writes nothing more while its database is changed.
    assert_eq!(fixture.get("/checkpoint").await.status(), StatusCode::OK);
    let sql = fixture.sql().await;
    for (change, said) in [
        ("UPDATE decisions SET reward = reward + 1e-12 WHERE log_index = 300", "log index 300 "),
        ("UPDATE decisions SET tenant = tenant || ' ' WHERE log_index = 1", "log index 1 "),
        ("UPDATE decisions SET provider = 'none' WHERE log_index = 255", "log index 255 "),
        ("UPDATE decisions SET price_assumed = NOT price_assumed WHERE log_index = 1", "log index 1 "),
        ("UPDATE decisions SET arm = arm + 1 WHERE log_index = 1", "log index 1 "),
        ("UPDATE decisions SET value = NULL WHERE log_index = 2", "log index 2 "),
        ("UPDATE decisions SET propensity = 'NaN' WHERE log_index = 4", "log index 4:"),
        ("UPDATE decisions SET episode = -1 WHERE log_index = 4", "below zero"),
        ("UPDATE decisions SET sequence = 1000000 WHERE log_index = 9", "log index 9 "),
        ("UPDATE decisions SET run_id = 2 WHERE log_index = 7", "log index 7 "),
        ("DELETE FROM decisions WHERE log_index = 30", "log index 30 has no row"),
        ("UPDATE decisions SET log_index = 5000 WHERE log_index = 1042", "log index 1042 has no row"),
        (
            "INSERT INTO decisions SELECT 5000, sequence, policy_version, gpu_hours, reward, propensity, wait_ms, \
          price_usd_per_hour, latency_ms, cost_usd, value, run_id, episode, step, agent, action, explored, deferred, \
          tenant, workload, gpu_type, reason, provider, price_assumed FROM decisions WHERE log_index = 3",
            "log index 5000",
        ),
        ("UPDATE records SET body = '{\"part\":0,\"text\":\"y\"}' WHERE id = 'n0'", "log index 260 "),
        (
            "UPDATE records SET recorded_at = recorded_at + interval '1 microsecond' WHERE id = 'n1'",
            "log index 521 ",
        ),
        ("UPDATE records SET root = sha256('x') WHERE id = 'n2'", "\"n2\""),
        (
            "UPDATE tiles SET hashes = overlay(hashes placing '\\x00' from 33) WHERE level = 0 AND tile_index = 2",
            "log index 513 ",
        ),
        ("UPDATE tiles SET hashes = substring(hashes for 32) WHERE level = 0 AND tile_index = 4", "0/4"),
        ("UPDATE tiles SET hashes = overlay(hashes placing '\\x00' from 1) WHERE level = 1", "1/0"),
        ("INSERT INTO tiles VALUES (5, 5, sha256('x'))", "7 tiles"),
        ("DELETE FROM tiles WHERE level = 0 AND tile_index = 0", "0/0"),
        ("UPDATE log_head SET root = sha256('x')", "head"),
        ("UPDATE log_head SET size = size - 1", ""),
        ("UPDATE log_head SET size = size + 1", "log index 1044 has no row"),
        ("UPDATE run_batches SET root = sha256('x') WHERE first_log_index = 0", "log indexes 0 to 249"),
        ("UPDATE run_batches SET count = count - 1 WHERE first_log_index = 0", ""),
        ("UPDATE run_batches SET first_sequence = 3 WHERE run_id = 1 AND first_sequence = 0", "log index 0 "),
        ("DELETE FROM run_batches WHERE run_id = 2 AND first_sequence = 10", "no receipt"),
        ("UPDATE runs SET next_sequence = next_sequence + 2 WHERE id = 1", ""),
        (
            "UPDATE runs SET frontier = overlay(frontier placing '\\x00' from 1) WHERE id = 2",
            "head of the run",
        ),
        ("UPDATE log_signer SET signed_root = sha256('x')", "signed"),
        ("UPDATE log_signer SET signed_size = 1045", "1045 leaves were signed"),
        ("UPDATE artifacts SET bytes = 'Evidence'", "artifact"),
    ] {
        // A copy of the database for each change would be slow; the change is undone instead.
        let undo = sqlx::PgPool::connect(fixture.database.url()).await.unwrap();
        for table in
            ["decisions", "records", "tiles", "log_head", "run_batches", "runs", "log_signer", "artifacts"]
        {
            execute(&undo, &format!("CREATE TABLE backup_{table} AS TABLE {table}")).await;
        }
        assert_ne!(execute(&sql, change).await, 0, "{change} must change something");
        match fsck(&sql).await {
            Err(FsckError::Difference(difference)) => {
                assert!(difference.contains(said), "{change}: {difference}")
            }
            other => panic!("{change}: expected a difference, got {other:?}"),
        }
        // At once: a service that finds no signer opens its log anew, and writes one.
        let mut restore = String::from(
            "BEGIN; TRUNCATE decisions, records, tiles, log_head, run_batches, runs, log_signer, artifacts;
             INSERT INTO runs OVERRIDING SYSTEM VALUE SELECT * FROM backup_runs;",
        );
        for table in ["decisions", "records", "tiles", "log_head", "run_batches", "log_signer", "artifacts"] {
            restore += &format!("INSERT INTO {table} SELECT * FROM backup_{table};");
        }
        execute(&undo, &(restore + "COMMIT")).await;
        for table in
            ["decisions", "records", "tiles", "log_head", "run_batches", "runs", "log_signer", "artifacts"]
        {
            execute(&undo, &format!("DROP TABLE backup_{table}")).await;
        }
        undo.close().await;
    }
    fsck(&sql).await.unwrap();
}

async fn execute(db: &sqlx::PgPool, statement: &str) -> u64 {
    let statement = sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned()));
    statement.execute(db).await.unwrap_or_else(|error| panic!("{error}")).rows_affected()
}
