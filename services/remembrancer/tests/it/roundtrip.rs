//! Decisions through the columns and back: the same canonical JSON, so the same leaf.

use api::remembrancer::{Action, Decision, DecisionBatch};
use merkle_log::canonical_leaf_hash;
use proptest::{collection::vec, option, prelude::*, strategy::ValueTree, test_runner::TestRunner};
use remembrancer::{
    Config,
    appends::Appends,
    database,
    decisions::{Batch, PARTITION_ROWS, at_index, ensure_partitions, list},
    log::Sequencer,
};
use sqlx::PgPool;

async fn log() -> PgPool {
    let url = test_support::database().await.url().to_owned();
    let pool = database::pool(&Config { database_url: url, ..Config::default() }).unwrap();
    database::open(&pool).await.unwrap();
    pool
}

fn text() -> impl Strategy<Value = String> {
    // Any character but NUL, also those that JSON escapes.
    vec(any::<char>().prop_filter("no NUL", |c| *c != '\0'), 1..20)
        .prop_map(|chars| chars.into_iter().collect())
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>().prop_filter("finite", |n| n.is_finite()),
        Just(-0.0),
        Just(f64::MIN_POSITIVE / 4.0),
        -1e3..1e3
    ]
}

prop_compose! {
    fn decision()(
        (episode, step, agent) in (0..=i32::MAX as u32, 0..=i32::MAX as u32, 0..=i32::MAX as u32),
        (tenant, workload, gpu_type, reason) in (text(), text(), text(), text()),
        action in prop_oneof![Just(Action::Route), Just(Action::Hold), Just(Action::Drop)],
        provider in text(),
        (price_usd_per_hour, latency_ms, cost_usd, value) in (number(), number(), number(), option::of(number())),
        (gpu_hours, reward, propensity, wait_ms) in (0.0..1e12, number(), 0.0..=1.0, number()),
        (explored, deferred, assumed) in any::<(bool, bool, bool)>(),
        policy_version in 0..=api::MAX_SAFE_INTEGER,
        arm in 0..=1_000_000_u32,
    ) -> Decision {
        let routed = action == Action::Route;
        let (provider, price_usd_per_hour) = (routed.then_some(provider), routed.then_some(price_usd_per_hour));
        let (latency_ms, cost_usd) = (routed.then_some(latency_ms), routed.then_some(cost_usd));
        Decision {
            run: api::Hash([5; 32]), sequence: 0, episode, step, agent, tenant, workload, gpu_type, gpu_hours, action,
            reason, provider, price_usd_per_hour, price_assumed: routed && assumed, latency_ms, cost_usd, reward, explored, propensity, value,
            policy_version, deferred, wait_ms, arm,
        }
    }
}

#[tokio::test]
async fn any_decision_comes_back_to_the_same_leaf() {
    let mut decisions = vec(decision(), 2000).new_tree(&mut TestRunner::deterministic()).unwrap().current();
    for (sequence, decision) in (0..).zip(&mut decisions) {
        decision.sequence = sequence;
    }
    let db = log().await;
    let mut batch = Batch::new(DecisionBatch { decisions: decisions.clone(), frontier: None }).unwrap();
    let leaves = batch.leaf_hashes().await.unwrap().to_vec();
    Appends::new(Sequencer::new(db.clone())).decisions(batch, None).await.unwrap();
    let rows = list(&db, &remembrancer::decisions::Filter::default(), 5000).await.unwrap();
    assert_eq!(rows.len(), decisions.len());
    for ((row, decision), leaf) in rows.iter().zip(&decisions).zip(&leaves) {
        assert_eq!(&row.decision, decision);
        assert_eq!(&canonical_leaf_hash(&row.decision).unwrap(), leaf);
    }
}

#[tokio::test]
async fn a_log_that_grows_out_of_a_partition_gets_the_next_one() {
    let db = log().await;
    let mut connection = db.acquire().await.unwrap();
    let edge = PARTITION_ROWS - 5..PARTITION_ROWS + 5;
    for _ in 0..2 {
        ensure_partitions(&mut connection, edge.clone()).await.unwrap(); // the second time there is nothing to do
    }
    sqlx::query("INSERT INTO runs (digest, first_sequence, first_frontier, next_sequence, frontier) VALUES (sha256('r'), 0, '', 0, '')")
        .execute(&mut *connection)
        .await
        .unwrap();
    for index in edge.clone() {
        sqlx::query(
            "INSERT INTO decisions SELECT $1, 0, 0, 1, 0, 1, 0, NULL, NULL, NULL, NULL, id, 0, 0, 0, 'drop', false, false, \
             't', 'w', 'g', 'r', NULL FROM runs",
        )
        .bind(index as i64)
        .execute(&mut *connection)
        .await
        .unwrap();
        assert_eq!(at_index(&db, index).await.unwrap().unwrap().log_index, index);
    }
    let partitions: i64 =
        sqlx::query_scalar("SELECT count(*) FROM pg_inherits WHERE inhparent = 'decisions'::regclass")
            .fetch_one(&mut *connection)
            .await
            .unwrap();
    assert_eq!(partitions, 2);
}

#[tokio::test]
async fn the_openapi_document_has_every_route() {
    let document = serde_json::to_value(remembrancer::openapi()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    for path in [
        "/v1/decisions",
        "/v1/records",
        "/v1/records/{id}",
        "/v1/artifacts/{sha256}",
        "/v1/log/checkpoint",
        "/v1/log/proofs/inclusion",
        "/v1/log/proofs/consistency",
        "/v1/log/evidence",
        "/v1/log/key",
        "/v1/log/runs/{digest}",
        "/v1/verify",
        "/checkpoint",
        "/tile/{level}/{index}",
        "/healthz",
    ] {
        assert!(paths.contains_key(path), "{path} is not in {:?}", paths.keys());
    }
}
