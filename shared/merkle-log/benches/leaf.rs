//! What a leaf costs: canonical JSON and SHA-256 of a record of a decision's size.
//!
//! `cargo bench -p merkle-log`; `serde_json_canonicalizer` is there for comparison.

use merkle_log::{Frontier, canonical_json, canonical_leaf_hash, leaf_hash};
use serde::Serialize;

fn main() {
    divan::main();
}

/// As many members, of the same types and in as bad an order as a decision's.
#[derive(Serialize)]
struct Record {
    run: &'static str,
    sequence: u64,
    episode: u32,
    step: u32,
    agent: u32,
    tenant: &'static str,
    workload: &'static str,
    gpu_type: &'static str,
    gpu_hours: f64,
    action: &'static str,
    reason: &'static str,
    provider: &'static str,
    price_usd_per_hour: f64,
    latency_ms: f64,
    cost_usd: f64,
    reward: f64,
    explored: bool,
    propensity: f64,
    value: f64,
    policy_version: u64,
    deferred: bool,
    wait_ms: f64,
}

const RECORD: Record = Record {
    run: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    sequence: 1_234_567,
    episode: 35,
    step: 119,
    agent: 7,
    tenant: "tenant-a",
    workload: "llm-training",
    gpu_type: "H100",
    gpu_hours: 4.123_456_789_012_345,
    action: "route",
    reason: "ok",
    provider: "coreweave",
    price_usd_per_hour: 2.345_678_901_234_567,
    latency_ms: 41.234_567_890_123_45,
    cost_usd: 9.672_304_598_234_765,
    reward: -0.123_456_789_012_345_67,
    explored: false,
    propensity: 0.912_345_678_901_234_5,
    value: -1.456_789_012_345_678_9,
    policy_version: 4_200,
    deferred: false,
    wait_ms: 0.0,
};

#[divan::bench]
fn canonical() -> Vec<u8> {
    canonical_json(divan::black_box(&RECORD)).unwrap_or_default()
}

#[divan::bench]
fn canonical_by_the_other_implementation() -> Vec<u8> {
    serde_json_canonicalizer::to_vec(divan::black_box(&RECORD)).unwrap_or_default()
}

#[divan::bench]
fn hash(bencher: divan::Bencher) {
    let bytes = canonical_json(&RECORD).unwrap_or_default();
    bencher.bench(|| leaf_hash(divan::black_box(&bytes)));
}

#[divan::bench]
fn canonical_and_hash() -> Option<[u8; 32]> {
    canonical_leaf_hash(divan::black_box(&RECORD)).ok()
}

#[divan::bench]
fn push_a_thousand_leaves() -> Frontier {
    (0..1000_u64).map(|n| leaf_hash(&n.to_be_bytes())).collect()
}
