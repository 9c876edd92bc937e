//! The key's folder and the log in the database know each other.

use std::{fs, path::PathBuf};

use api::{
    Problem,
    remembrancer::{Checkpoint, Finding, KeyKnown, LogKey, Record, Verdict},
};
use merkle_log::{canonical_json, checkpoint::Checkpoint as SignedHead, leaf_hash, note::VerifierKey};
use records::{Body as _, log::KeyRotated};
use remembrancer::{
    BuildError, build,
    fsck::fsck,
    signing::{KeyFolder, OpenError, Refusal, RotateError, Rotated, rotate},
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;
use tempfile::TempDir;
use test_support::{TestDatabase, eventually};
use tokio_util::sync::CancellationToken;

use crate::support::{Fixture, config, decisions, fixture, json_of, run, start};

const TABLES: [&str; 7] = ["decisions", "records", "tiles", "log_head", "run_batches", "runs", "log_signer"];

/// A log that has ended: its database and its folder.
struct Ended {
    database: TestDatabase,
    data: TempDir,
    key: VerifierKey,
}

impl Ended {
    /// Of 300 decisions; nobody has asked for a checkpoint.
    async fn log() -> Self {
        Self::of(fixture().await, 1).await
    }

    async fn of(fixture: Fixture, number: u8) -> Self {
        fixture.record(&decisions(run(number), 0..300)).await;
        let key = key(&fixture).await;
        let signed = fixture.sql().await;
        eventually("the log is signed on both sides", async || {
            let row: (i64,) =
                sqlx::query_as("SELECT signed_size FROM log_signer").fetch_one(&signed).await.unwrap();
            if row.0 == 300 { Ok(()) } else { Err(row.0) }
        })
        .await;
        let Fixture { service, database, data } = fixture;
        drop(service);
        Self { database, data, key }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.data.path().join("remembrancer").join(name)
    }

    fn keys(&self) -> KeyFolder {
        KeyFolder::at(&self.data.path().join("remembrancer"))
    }

    async fn sql(&self) -> PgPool {
        PgPool::connect(self.database.url()).await.unwrap()
    }

    /// Why it cannot be started.
    async fn refusal(&self) -> Refusal {
        let config = config(self.database.url(), &self.data);
        match build(config, CancellationToken::new()).await {
            Err(BuildError::Refused(refusal)) => refusal,
            other => panic!("expected a refusal, got {:?}", other.map(|_| "a service")),
        }
    }

    async fn started(self) -> Fixture {
        let service = start(config(self.database.url(), &self.data)).await;
        Fixture { service, database: self.database, data: self.data }
    }

    async fn rotate(&self, accept_loss: bool) -> Result<Rotated, RotateError> {
        rotate(&self.sql().await, &self.keys(), "ai-mesh/log", accept_loss).await
    }
}

async fn key(service: &Fixture) -> VerifierKey {
    VerifierKey::parse(&service.get_json::<LogKey>("/v1/log/key").await.verifier_key).unwrap()
}

/// The log's tables as they are now, to be brought back with [`restore`].
async fn backup(sql: &PgPool) {
    for table in TABLES {
        execute(sql, &format!("CREATE TABLE backup_{table} AS TABLE {table}")).await;
    }
}

async fn restore(sql: &PgPool) {
    execute(sql, &format!("TRUNCATE {}", TABLES.join(", "))).await;
    execute(sql, "INSERT INTO runs OVERRIDING SYSTEM VALUE SELECT * FROM backup_runs").await;
    for table in TABLES.into_iter().filter(|table| *table != "runs") {
        execute(sql, &format!("INSERT INTO {table} SELECT * FROM backup_{table}")).await;
    }
}

async fn execute(db: &PgPool, statement: &str) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned())).execute(db).await.unwrap();
}

#[tokio::test]
async fn a_log_whose_key_is_gone_is_not_opened_gets_no_other_and_is_opened_when_the_key_is_back() {
    let log = Ended::log().await;
    let secret = fs::read(log.file("log-key")).unwrap();
    fs::remove_file(log.file("log-key")).unwrap();
    let refusal = log.refusal().await;
    let expected = Refusal::NoKey { path: log.file("log-key"), key: Some(log.key.to_string()), size: 300 };
    assert_eq!(refusal, expected);
    let told = refusal.to_string();
    for part in [
        &log.key.to_string(),
        log.file("log-key").to_str().unwrap(),
        "300 leaves",
        "backup",
        "mesh key rotate",
    ] {
        assert!(told.contains(part), "{part} is missing in {told}");
    }
    assert!(!log.file("log-key").exists(), "no key is made");

    // The whole folder is gone, as when its volume was removed.
    let folder = log.data.path().join("remembrancer");
    fs::rename(&folder, log.data.path().join("elsewhere")).unwrap();
    assert_eq!(log.refusal().await, expected);
    assert!(!log.file("log-key").exists(), "no key is made");
    // The key alone comes back from a backup.
    let keys = KeyFolder::at(&folder);
    keys.create_key("ai-mesh/log").unwrap();
    fs::write(log.file("log-key"), secret).unwrap();
    let key_before = log.key.clone();
    let service = log.started().await;
    assert_eq!(key(&service).await, key_before);
    assert_eq!(
        keys.last_signed().unwrap().unwrap().size,
        300,
        "what was signed is known beside the key again"
    );
}

#[tokio::test]
async fn a_log_of_a_version_that_kept_no_key_in_the_database_takes_over_the_key_that_is_there() {
    let log = Ended::log().await;
    execute(&log.sql().await, "DELETE FROM log_signer").await;
    fs::remove_file(log.file("log-checkpoint")).unwrap();
    let key_before = log.key.clone();
    let mut service = log.started().await;
    for _ in 0..2 {
        assert_eq!(key(&service).await, key_before);
        let known: (String, i64) = sqlx::query_as("SELECT verifier_key, signed_size FROM log_signer")
            .fetch_one(&service.sql().await)
            .await
            .unwrap();
        assert_eq!(known, (key_before.to_string(), 300));
        service = service.restarted().await;
    }
}

#[tokio::test]
async fn a_log_of_such_a_version_without_its_key_is_not_opened_either() {
    let log = Ended::log().await;
    execute(&log.sql().await, "DELETE FROM log_signer").await;
    fs::remove_dir_all(log.data.path().join("remembrancer")).unwrap();
    let refusal = log.refusal().await;
    assert_eq!(refusal, Refusal::NoKey { path: log.file("log-key"), key: None, size: 300 });
}

#[tokio::test]
async fn a_key_that_has_signed_is_not_used_for_an_emptied_database() {
    let Ended { data, key, .. } = Ended::log().await;
    let emptied = Ended { database: test_support::database().await, data, key };
    let refusal = emptied.refusal().await;
    assert_eq!(refusal, Refusal::Older { path: emptied.file("log-key"), size: 0, signed: 300 });
    assert!(refusal.to_string().contains("Restore the newer one"), "{refusal}");
    // Also when the key is gone and only what it signed is left beside it.
    fs::remove_file(emptied.file("log-key")).unwrap();
    assert!(matches!(emptied.refusal().await, Refusal::Older { .. }));
}

#[tokio::test]
async fn a_database_that_is_older_than_what_was_signed_is_not_opened() {
    let log = fixture().await;
    log.record(&decisions(run(1), 0..100)).await;
    let _: Checkpoint = log.get_json("/v1/log/checkpoint").await;
    let sql = log.sql().await;
    backup(&sql).await;
    log.record(&decisions(run(1), 100..200)).await;
    let signed: Checkpoint = log.get_json("/v1/log/checkpoint").await;
    assert_eq!(signed.tree_size, 200);
    let (key, Fixture { service, database, data }) = (key(&log).await, log);
    drop(service);
    restore(&sql).await;
    let log = Ended { database, data, key };
    assert_eq!(log.refusal().await, Refusal::Older { path: log.file("log-key"), size: 100, signed: 200 });
}

#[tokio::test]
async fn a_database_of_the_right_length_with_another_history_is_not_opened() {
    let log = fixture().await;
    let sql = log.sql().await;
    backup(&sql).await;
    let log = Ended::of(log, 1).await;
    let signed = fs::read_to_string(log.file("log-checkpoint")).unwrap();
    restore(&sql).await;
    fs::remove_file(log.file("log-checkpoint")).unwrap();
    // The same key signs another log of the same length.
    let log = Ended::of(log.started().await, 2).await;
    fs::write(log.file("log-checkpoint"), signed).unwrap();
    let Refusal::OtherHistory { size: 300, expected, actual, .. } = log.refusal().await else {
        panic!("expected another history")
    };
    assert_ne!(expected, actual);
}

#[tokio::test]
async fn the_key_of_another_log_is_refused() {
    let (one, other) = (Ended::log().await, Ended::log().await);
    let (key, stranger) = (one.key.to_string(), other.key.to_string());
    let mixed = Ended { database: one.database, data: other.data, key: one.key };
    let refusal = mixed.refusal().await;
    assert_eq!(refusal, Refusal::OtherKey { path: mixed.file("log-key"), expected: key, actual: stranger });
    // Only the key's file is the other log's.
    fs::remove_file(mixed.file("log-checkpoint")).unwrap();
    assert!(matches!(mixed.refusal().await, Refusal::OtherKey { .. }));
}

#[tokio::test]
async fn a_service_that_starts_before_its_database_says_what_is_wrong_and_goes_on_when_it_is_put_right() {
    let cluster = test_support::dedicated_cluster().await;
    let data = tempfile::tempdir().unwrap();
    let service = start(config(cluster.url(), &data)).await;
    service.record(&decisions(run(1), 0..10)).await;
    let folder = data.path().join("remembrancer");
    drop(service);
    cluster.stop().await;
    fs::rename(folder.join("log-key"), folder.join("kept")).unwrap();

    let service = start(config(cluster.url(), &data)).await;
    cluster.restart().await;
    eventually("the missing key is told", async || {
        let problem: Problem = json_of(service.get("/readyz").await, StatusCode::SERVICE_UNAVAILABLE).await;
        if problem.detail.contains("put the file back") { Ok(()) } else { Err(problem.detail) }
    })
    .await;
    assert!(!folder.join("log-key").exists(), "no key is made");
    let body = json!({"decisions": decisions(run(1), 10..11)});
    assert_eq!(service.post("/v1/decisions", &body).await.status(), StatusCode::SERVICE_UNAVAILABLE);

    fs::rename(folder.join("kept"), folder.join("log-key")).unwrap();
    eventually("the service is ready", async || match service.get("/readyz").await.status() {
        StatusCode::OK => Ok(()),
        other => Err(other),
    })
    .await;
}

#[tokio::test]
async fn a_rotated_key_is_recorded_with_the_signatures_of_both_and_a_running_service_goes_on_with_it() {
    let log = fixture().await;
    log.record(&decisions(run(1), 0..300)).await;
    let before: Checkpoint = log.get_json("/v1/log/checkpoint").await;
    let former = key(&log).await;
    let evidence: Value = log.get_json(&format!("/v1/log/evidence?run={}&sequence=5", run(1))).await;
    let keys = KeyFolder::at(&log.data.path().join("remembrancer"));
    let stolen = keys.key().unwrap().unwrap();
    let rotated = rotate(&log.sql().await, &keys, "ai-mesh/log", false).await.unwrap();
    assert_eq!(rotated.former.as_ref(), Some(&former));
    assert_eq!((rotated.log_index, rotated.lost), (300, None));
    assert_eq!(keys.key().unwrap().unwrap().verifier_key(), rotated.new);
    assert!(keys.next_key().unwrap().is_none());

    let new = eventually("the service signs with the new key", async || match log.get("/v1/log/key").await {
        answer if answer.status() == StatusCode::OK => Ok(key(&log).await),
        answer => Err(answer.text().await.unwrap()),
    })
    .await;
    assert_eq!(new, rotated.new);
    let after: Checkpoint = log.get_json("/v1/log/checkpoint").await;
    assert!(SignedHead::verify(&after.note, &former).is_err());
    assert_eq!(SignedHead::verify(&after.note, &new).unwrap().size, 301);

    let record: Record =
        log.get_json(&format!("/v1/records/{}", rotated.record_id.replace('/', "%2F"))).await;
    assert_eq!((record.kind.as_str(), record.subject.as_str()), ("log.key-rotated", "log:ai-mesh/log"));
    let body = KeyRotated::read(&record).unwrap();
    let said = body.verify().unwrap();
    assert!(said.signed_by_former);
    assert_eq!((said.former, said.new), (Some(former.clone()), new.clone()));
    assert_eq!((said.checkpoint.size, said.checkpoint.root), (300, before.root_hash.0));
    // An auditor with nothing but the former key reads the same.
    assert_eq!(SignedHead::verify(&body.checkpoint, &former).unwrap(), said.checkpoint);

    // What the former key signed still holds, and what whoever has got hold of it signs now does not.
    let verdict = async |evidence: &Value| -> Verdict {
        let request = log.request(Method::POST, "/v1/verify").json(evidence);
        json_of(request.send().await.unwrap(), StatusCode::OK).await
    };
    let told = verdict(&evidence).await;
    assert_eq!((told.valid, told.key_known), (true, Some(KeyKnown::Own)), "{told:?}");
    let root = leaf_hash(&canonical_json(&evidence["record"]).unwrap());
    for size in [1, 400] {
        let mut forged = evidence.clone();
        let checkpoint = SignedHead { origin: "ai-mesh/log".into(), size, root };
        forged["checkpoint"] = json!(checkpoint.sign(&stolen).unwrap());
        forged["log_index"] = json!(0);
        forged["inclusion_path"] = json!([]);
        let told = verdict(&forged).await;
        assert_eq!(told.verdict, Finding::NotValid);
        assert!(told.reason.contains("gave up when it had 300 leaves"), "{}", told.reason);
    }

    let log = log.restarted().await;
    assert_eq!(key(&log).await, new);
    fsck(&log.sql().await).await.unwrap();
}

#[tokio::test]
async fn a_rotation_that_broke_off_after_the_database_took_it_is_brought_to_its_end() {
    let log = Ended::log().await;
    fs::copy(log.file("log-key"), log.file("former")).unwrap();
    let rotated = log.rotate(false).await.unwrap();
    fs::rename(log.file("log-key"), log.file("log-key.next")).unwrap();
    fs::rename(log.file("former"), log.file("log-key")).unwrap();
    let log = log.started().await;
    assert_eq!(key(&log).await, rotated.new);
    assert!(!log.data.path().join("remembrancer/log-key.next").exists());
}

#[tokio::test]
async fn a_lost_key_is_replaced_only_on_purpose_and_the_log_says_that_nobody_vouches_for_it() {
    let log = Ended::log().await;
    fs::remove_file(log.file("log-key")).unwrap();
    assert!(matches!(
        log.rotate(false).await,
        Err(RotateError::Open(OpenError::Refused(Refusal::NoKey { .. })))
    ));
    let rotated = log.rotate(true).await.unwrap();
    assert_eq!((rotated.former.as_ref(), rotated.lost), (Some(&log.key), None));
    let log = log.started().await;
    assert_eq!(key(&log).await, rotated.new);
    let record: Record =
        log.get_json(&format!("/v1/records/{}", rotated.record_id.replace('/', "%2F"))).await;
    assert!(!KeyRotated::read(&record).unwrap().verify().unwrap().signed_by_former);
}

#[tokio::test]
async fn a_lost_history_is_given_up_only_on_purpose_and_the_log_says_what_was_signed() {
    let Ended { data, key: former, .. } = Ended::log().await;
    let emptied = Ended { database: test_support::database().await, data, key: former };
    remembrancer::database::open(&emptied.sql().await).await.unwrap();
    assert!(matches!(
        emptied.rotate(false).await,
        Err(RotateError::Open(OpenError::Refused(Refusal::Older { signed: 300, .. })))
    ));
    let rotated = emptied.rotate(true).await.unwrap();
    assert_eq!(rotated.lost.map(|lost| lost.size), Some(300));
    let log = emptied.started().await;
    let record: Record =
        log.get_json(&format!("/v1/records/{}", rotated.record_id.replace('/', "%2F"))).await;
    let body = KeyRotated::read(&record).unwrap();
    assert_eq!(body.lost.unwrap().tree_size, 300);
    assert!(body.verify().unwrap().signed_by_former, "the former key was there");
    log.record(&decisions(run(1), 0..10)).await;
    fsck(&log.sql().await).await.unwrap();
}

#[tokio::test]
async fn another_logs_key_is_set_aside_and_not_destroyed_when_the_loss_of_the_own_is_accepted() {
    let (one, other) = (Ended::log().await, Ended::log().await);
    let stranger = fs::read(other.file("log-key")).unwrap();
    let mixed = Ended { database: one.database, data: other.data, key: one.key };
    assert!(mixed.rotate(false).await.is_err());
    let rotated = mixed.rotate(true).await.unwrap();
    assert_eq!((rotated.former, rotated.lost), (Some(mixed.key.clone()), None));
    let folder = mixed.data.path().join("remembrancer");
    let aside = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let aside: Vec<_> = aside.filter(|path| fs::read(path).unwrap() == stranger).collect();
    assert_eq!(aside.len(), 1);
    mixed.started().await;
}

#[tokio::test]
async fn there_is_nothing_to_rotate_before_there_is_a_log() {
    let (database, data) = (test_support::database().await, tempfile::tempdir().unwrap());
    let key =
        VerifierKey::parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW").unwrap();
    let empty = Ended { database, data, key };
    remembrancer::database::open(&empty.sql().await).await.unwrap();
    for accept_loss in [false, true] {
        assert!(matches!(empty.rotate(accept_loss).await, Err(RotateError::NoLog)));
    }
}

#[tokio::test]
async fn an_old_head_is_signed_without_forgetting_the_new_one() {
    let log = fixture().await;
    log.record(&decisions(run(1), 0..20)).await;
    let _: Checkpoint = log.get_json("/v1/log/checkpoint").await;
    let evidence = log.get(&format!("/v1/log/evidence?run={}&sequence=3&tree_size=7", run(1))).await;
    assert_eq!(evidence.status(), StatusCode::OK);
    let keys = KeyFolder::at(&log.data.path().join("remembrancer"));
    assert_eq!(keys.last_signed().unwrap().unwrap().size, 20);
}
