//! Decisions that are deleted: nobody finds them, and everything else is proved as before.

use api::{
    Hash, Page,
    remembrancer::{
        Checkpoint, ConsistencyProof, DeletedDecisions, Evidence, InclusionProof, Record, RunHead,
    },
};
use merkle_log::{
    canonical_leaf_hash,
    proof::{verify_consistency, verify_inclusion},
};
use remembrancer::fsck::{FsckError, fsck};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use test_support::eventually;

use crate::support::{Fixture, decision, decisions, fixture, json_of, run};

const RUN: &str = "01936c1e-5f6a-7c3e-9d55-0a9e1d0f6b21";

/// A training run of 700 decisions that has ended, and one of another digest, interleaved.
async fn filled() -> Fixture {
    let fixture = fixture().await;
    begun(&fixture, RUN, run(1)).await;
    for part in 0..7 {
        fixture.record(&decisions(run(1), part * 100..(part + 1) * 100)).await;
        fixture.record(&decisions(run(2), part * 10..(part + 1) * 10)).await;
    }
    fixture
}

async fn begun(fixture: &Fixture, id: &str, digest: Hash) {
    record(fixture, "run.created", &format!("{id}:created"), id, digest).await;
}

async fn ended(fixture: &Fixture, id: &str, digest: Hash) {
    record(fixture, "run.ended", &format!("{id}:completed"), id, digest).await;
}

async fn record(fixture: &Fixture, kind: &str, id: &str, run: &str, digest: Hash) {
    let body = json!({"run_id": run, "digest": digest});
    let record = json!({"id": id, "kind": kind, "subject": format!("run:{run}"), "body": body});
    assert_eq!(fixture.post("/v1/records", &record).await.status(), StatusCode::CREATED);
}

fn path(digest: Hash, reason: &str) -> String {
    format!("/v1/log/runs/{digest}/decisions?reason={reason}&by=ops")
}

async fn delete(fixture: &Fixture, digest: Hash) -> DeletedDecisions {
    json_of(fixture.request(Method::DELETE, &path(digest, "full")).send().await.unwrap(), StatusCode::OK)
        .await
}

async fn rows(fixture: &Fixture) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM decisions").fetch_one(&fixture.sql().await).await.unwrap()
}

/// Waits until the rows are removed and their room was given back.
async fn swept(fixture: &Fixture) {
    let sql = fixture.sql().await;
    eventually("what is deleted is removed", async || {
        let left: i64 = sqlx::query_scalar("SELECT count(*) FROM runs WHERE NOT deletion_done")
            .fetch_one(&sql)
            .await
            .unwrap();
        if left == 0 { Ok(()) } else { Err(left) }
    })
    .await;
}

async fn size_of_decisions(fixture: &Fixture) -> i64 {
    sqlx::query_scalar("SELECT pg_relation_size('decisions_p000000')")
        .fetch_one(&fixture.sql().await)
        .await
        .unwrap()
}

#[tokio::test]
async fn no_proof_and_no_root_changes_and_what_remains_is_proved_as_before() {
    let fixture = filled().await;
    ended(&fixture, RUN, run(1)).await;
    let before: Checkpoint = fixture.get_json("/v1/log/checkpoint").await;
    let head: RunHead = fixture.get_json(&format!("/v1/log/runs/{}", run(1))).await;
    let kept: Evidence = fixture.get_json(&format!("/v1/log/evidence?run={}&sequence=33", run(2))).await;

    let deleted = delete(&fixture, run(1)).await;
    assert_eq!((deleted.decisions, deleted.run_root), (700, head.run_root));
    swept(&fixture).await;
    assert_eq!(rows(&fixture).await, 70);

    let grown: ConsistencyProof =
        fixture.get_json(&format!("/v1/log/proofs/consistency?from={}", before.tree_size)).await;
    assert_eq!((grown.to, grown.from_root), (before.tree_size + 1, before.root_hash));
    let path: Vec<_> = grown.path.iter().map(|hash| hash.0).collect();
    verify_consistency(grown.from, grown.to, &grown.from_root.0, &grown.to_root.0, &path).unwrap();

    let again: Evidence = fixture
        .get_json(&format!("/v1/log/evidence?run={}&sequence=33&tree_size={}", run(2), before.tree_size))
        .await;
    assert_eq!(again.record.get(), kept.record.get());
    assert_eq!(again.inclusion_path, kept.inclusion_path);

    // whoever has a copy of a deleted decision still proves that it was recorded
    let proof: InclusionProof =
        fixture.get_json(&format!("/v1/log/proofs/inclusion?run={}&sequence=412", run(1))).await;
    let leaf = canonical_leaf_hash(&decision(run(1), 412)).unwrap();
    assert_eq!(proof.leaf_hash.0, leaf);
    let path: Vec<_> = proof.path.iter().map(|hash| hash.0).collect();
    verify_inclusion(&leaf, proof.log_index, proof.tree_size, &path, &proof.root_hash.0).unwrap();

    let after: RunHead = fixture.get_json(&format!("/v1/log/runs/{}", run(1))).await;
    assert_eq!(after, RunHead { deletion: Some(deleted.record_id.clone()), ..head });
    let record: Record = fixture.get_json(&format!("/v1/records/{}", deleted.record_id)).await;
    assert_eq!(record.kind.as_str(), "decisions.deleted");
    assert_eq!((&record.body["reason"], &record.body["by"]), (&json!("full"), &json!("ops")));
    assert_eq!(record.body["next_sequence"], 700);

    let report = fsck(&fixture.sql().await).await.unwrap();
    assert_eq!((report.leaves, report.decisions, report.deleted, report.records), (773, 70, 700, 3));
}

#[tokio::test]
async fn what_was_deleted_is_found_by_nobody() {
    let fixture = filled().await;
    ended(&fixture, RUN, run(1)).await;
    let index = fixture
        .get_json::<InclusionProof>(&format!("/v1/log/proofs/inclusion?run={}&sequence=5", run(1)))
        .await
        .log_index;
    delete(&fixture, run(1)).await;
    // at once, whether or not the rows are gone
    for query in [format!("run={}", run(1)), "tenant=acme&episode=6".into(), "from_sequence=99".into()] {
        let page: Page<Value> = fixture.get_json(&format!("/v1/decisions?{query}")).await;
        assert!(page.items.is_empty(), "{query}");
        let export = fixture.get(&format!("/v1/decisions.ndjson?{query}")).await;
        assert_eq!(export.text().await.unwrap(), "", "{query}");
    }
    for of_it in [
        format!("/v1/log/evidence?run={}&sequence=5", run(1)),
        format!("/v1/log/tlog-proof?log_index={index}"),
        "/tile/entries/000".to_owned(),
    ] {
        let problem: api::Problem = json_of(fixture.get(&of_it).await, StatusCode::GONE).await;
        assert_eq!(problem.code, "decision_deleted", "{of_it}");
    }
    swept(&fixture).await;
    assert_eq!(rows(&fixture).await, 70);
}

#[tokio::test]
async fn the_room_is_given_back() {
    let fixture = fixture().await;
    begun(&fixture, RUN, run(1)).await;
    fixture.record(&decisions(run(1), 0..5000)).await;
    ended(&fixture, RUN, run(1)).await;
    let before = size_of_decisions(&fixture).await;
    assert!(before > 500_000, "{before}");
    delete(&fixture, run(1)).await;
    swept(&fixture).await;
    eventually("the table is empty", async || match size_of_decisions(&fixture).await {
        0 => Ok(()),
        size => Err(size),
    })
    .await;
}

#[tokio::test]
async fn a_second_deletion_says_that_there_was_one_and_records_nothing() {
    let fixture = filled().await;
    ended(&fixture, RUN, run(1)).await;
    let first = delete(&fixture, run(1)).await;
    let size = fixture.get_json::<Checkpoint>("/v1/log/checkpoint").await.tree_size;
    let second = delete(&fixture, run(1)).await;
    assert_eq!(second, DeletedDecisions { decisions: 0, ..first });
    assert_eq!(fixture.get_json::<Checkpoint>("/v1/log/checkpoint").await.tree_size, size);
}

#[tokio::test]
async fn a_run_that_has_not_ended_is_refused_and_so_is_what_is_none() {
    let fixture = filled().await;
    let refused = async |digest, status: StatusCode| -> api::Problem {
        json_of(fixture.request(Method::DELETE, &path(digest, "full")).send().await.unwrap(), status).await
    };
    let running = refused(run(1), StatusCode::CONFLICT).await;
    assert_eq!(running.code, "run_not_ended");
    assert!(running.detail.contains(&format!("run:{RUN} has not ended")), "{}", running.detail);
    // as a deployment's stream of decisions
    assert_eq!(refused(run(2), StatusCode::CONFLICT).await.code, "run_not_ended");
    assert_eq!(refused(run(9), StatusCode::NOT_FOUND).await.code, "run_not_found");
    ended(&fixture, RUN, run(1)).await;
    // another run of the same configuration has the same decisions
    let twin = "01936c1e-5f6a-7c3e-9d55-0a9e1d0f6b22";
    begun(&fixture, twin, run(1)).await;
    assert!(refused(run(1), StatusCode::CONFLICT).await.detail.contains(twin));
    ended(&fixture, twin, run(1)).await;
    let without = fixture.request(Method::DELETE, &path(run(1), "")).send().await.unwrap();
    assert_eq!(without.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(rows(&fixture).await, 770);
    assert_eq!(delete(&fixture, run(1)).await.decisions, 700);
}

#[tokio::test]
async fn whoever_records_the_same_decisions_again_brings_them_back() {
    let fixture = filled().await;
    ended(&fixture, RUN, run(1)).await;
    delete(&fixture, run(1)).await;
    let list = async || -> Page<api::remembrancer::RecordedDecision> {
        fixture.get_json(&format!("/v1/decisions?run={}&limit=1000", run(1))).await
    };
    // cut into other batches than the first time, and one of them twice
    for part in [0..150, 0..150, 150..420] {
        let receipts = fixture.record(&decisions(run(1), part)).await;
        assert_eq!(receipts.recorded, 0, "their leaves were never gone");
    }
    let there: Vec<u64> = list().await.items.iter().map(|item| item.decision.sequence).collect();
    assert_eq!(there, (0..420).collect::<Vec<_>>());
    swept(&fixture).await;
    let report = fsck(&fixture.sql().await).await.unwrap();
    assert_eq!((report.decisions, report.deleted), (420 + 70, 280));
    let evidence = fixture.get(&format!("/v1/log/evidence?run={}&sequence=419", run(1))).await;
    assert_eq!(evidence.status(), StatusCode::OK);

    // another decision is another one, deleted or not
    let mut changed = decisions(run(1), 420..500);
    changed[7].reward += 1.0;
    let problem =
        fixture.refused("/v1/decisions", &json!({"decisions": changed}), StatusCode::CONFLICT).await;
    assert_eq!(problem.code, "decision_conflict");

    // the run goes on behind what is deleted, and the rest comes back with it
    fixture.record(&decisions(run(1), 700..720)).await;
    fixture.record(&decisions(run(1), 420..730)).await;
    assert_eq!(list().await.items.len(), 730);
    let head: RunHead = fixture.get_json(&format!("/v1/log/runs/{}", run(1))).await;
    assert_eq!((head.next_sequence, head.deletion), (730, None));
    assert_eq!(fsck(&fixture.sql().await).await.unwrap().deleted, 0);
    assert_eq!(delete(&fixture, run(1)).await.decisions, 730);
}

#[tokio::test]
async fn a_service_that_died_before_the_rows_were_gone_removes_them_when_it_starts() {
    let fixture = filled().await;
    ended(&fixture, RUN, run(1)).await;
    delete(&fixture, run(1)).await;
    swept(&fixture).await;
    let sql = fixture.sql().await;
    // as if the process had died right after the commit
    sqlx::query("UPDATE runs SET deletion_done = false").execute(&sql).await.unwrap();
    sqlx::query(
        "INSERT INTO decisions SELECT d.log_index - 100, d.sequence, d.policy_version, d.gpu_hours, d.reward, d.propensity,
            d.wait_ms, d.price_usd_per_hour, d.latency_ms, d.cost_usd, d.value, r.id, d.episode, d.step, d.agent, d.action,
            d.explored, d.deferred, d.tenant, d.workload, d.gpu_type, d.reason, d.provider, d.price_assumed, d.arm
         FROM decisions d, runs r WHERE d.log_index BETWEEN 101 AND 110 AND r.digest = $1",
    )
    .bind(&run(1).0[..])
    .execute(&sql)
    .await
    .unwrap();
    assert_eq!(rows(&fixture).await, 80);
    let fixture = fixture.restarted().await;
    swept(&fixture).await;
    assert_eq!(rows(&fixture).await, 70);
    fsck(&fixture.sql().await).await.unwrap();
}

#[tokio::test]
async fn rows_that_go_without_a_record_are_found_out() {
    let fixture = filled().await;
    ended(&fixture, RUN, run(1)).await;
    delete(&fixture, run(1)).await;
    swept(&fixture).await;
    assert_eq!(fixture.get("/checkpoint").await.status(), StatusCode::OK);
    let sql = fixture.sql().await;
    for (change, undo, said) in [
        (
            "UPDATE runs SET deleted_until = deleted_until - 5 WHERE deleted_until IS NOT NULL",
            "UPDATE runs SET deleted_until = deleted_until + 5 WHERE deleted_until IS NOT NULL",
            "has no row",
        ),
        (
            "UPDATE runs SET deletion = 'nothing' || deletion WHERE deleted_until IS NOT NULL",
            "UPDATE runs SET deletion = substring(deletion FROM 8) WHERE deleted_until IS NOT NULL",
            "no record says",
        ),
        (
            "UPDATE tiles SET hashes = set_byte(hashes, 64, 255 - get_byte(hashes, 64)) WHERE level = 0 AND tile_index = 0",
            "UPDATE tiles SET hashes = set_byte(hashes, 64, 255 - get_byte(hashes, 64)) WHERE level = 0 AND tile_index = 0",
            "another root",
        ),
    ] {
        sqlx::raw_sql(change).execute(&sql).await.unwrap();
        match fsck(&sql).await {
            Err(FsckError::Difference(found)) => assert!(found.contains(said), "{change}: {found}"),
            other => panic!("{change}: {other:?}"),
        }
        sqlx::raw_sql(undo).execute(&sql).await.unwrap();
    }
    fsck(&sql).await.unwrap();
}
