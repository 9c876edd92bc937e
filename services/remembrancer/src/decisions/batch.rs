//! A batch that can be recorded: checked before anything is locked, hashed while the rows are written.

use std::sync::Arc;

use api::remembrancer::{Action, Decision, DecisionBatch};
use merkle_log::{Hash, canonical_leaf_hash};
use tokio::task::JoinHandle;

use crate::error::{InvalidField, LogError, Result, uncanonical};

/// How many wrong fields an answer names; the rest would only repeat them.
const MAX_REPORTED: usize = 20;

/// So many decisions are hashed at once: for fewer a thread of their own would cost more than it saves.
const HASHED_AT_ONCE: usize = 32;

/// Consecutive decisions of one run, checked. The leaf hashes of many are computed on a thread of their own from the
/// moment that the batch is made, while the database already takes the rows.
#[derive(Debug)]
pub struct Batch {
    /// The run's digest.
    pub run: api::Hash,
    /// The first decision's sequence number.
    pub first_sequence: u64,
    /// The decisions, at least one.
    pub decisions: Arc<Vec<Decision>>,
    /// The roots of the run's complete subtrees before the first decision, when the caller gave them.
    pub frontier: Option<Vec<Hash>>,
    hashing: Hashing,
}

#[derive(Debug)]
enum Hashing {
    Running(JoinHandle<Result<Vec<Hash>>>),
    Done(Vec<Hash>),
}

impl Batch {
    /// Checks a batch, and begins to hash it. It must be called within a Tokio runtime.
    ///
    /// # Errors
    /// [`LogError::Invalid`] with the place of each wrong field.
    pub fn new(batch: DecisionBatch) -> Result<Self> {
        let DecisionBatch { decisions, frontier } = batch;
        let Some(first) = decisions.first() else {
            return Err(LogError::invalid("/decisions", "expected at least one decision"));
        };
        let (run, first_sequence) = (first.run, first.sequence);
        let mut wrong = Vec::new();
        for (position, decision) in decisions.iter().enumerate() {
            check(position, decision, run, first_sequence, &mut wrong);
            if wrong.len() >= MAX_REPORTED {
                break;
            }
        }
        if !wrong.is_empty() {
            return Err(LogError::Invalid(wrong));
        }
        let frontier = frontier.map(|hashes| hashes.iter().map(|hash| hash.0).collect());
        let decisions = Arc::new(decisions);
        let hashing = if decisions.len() <= HASHED_AT_ONCE {
            Hashing::Done(hash(&decisions)?)
        } else {
            let hashed = decisions.clone();
            Hashing::Running(tokio::task::spawn_blocking(move || hash(&hashed)))
        };
        Ok(Self { run, first_sequence, decisions, frontier, hashing })
    }

    /// The leaf hashes, as soon as they are there.
    ///
    /// # Errors
    /// [`LogError::Invalid`] when a decision has no canonical JSON.
    pub async fn leaf_hashes(&mut self) -> Result<&[Hash]> {
        if let Hashing::Running(task) = &mut self.hashing {
            let hashes = task.await.map_err(|error| LogError::Interrupted(error.to_string()))??;
            self.hashing = Hashing::Done(hashes);
        }
        match &self.hashing {
            Hashing::Done(hashes) => Ok(hashes),
            Hashing::Running(_) => Err(LogError::Interrupted("hashing ended without hashes".into())),
        }
    }

    /// The leaf hashes if they are there, else none.
    pub(super) fn known_leaf_hashes(&self) -> &[Hash] {
        match &self.hashing {
            Hashing::Done(hashes) => hashes,
            Hashing::Running(_) => &[],
        }
    }

    /// The sequence number after the last.
    #[must_use]
    pub fn end_sequence(&self) -> u64 {
        self.first_sequence + self.decisions.len() as u64
    }
}

fn hash(decisions: &[Decision]) -> Result<Vec<Hash>> {
    let hash = |(position, decision)| {
        canonical_leaf_hash(decision)
            .map_err(|error| LogError::Invalid(vec![uncanonical(&format!("/decisions/{position}"), &error)]))
    };
    decisions.iter().enumerate().map(hash).collect()
}

fn check(position: usize, decision: &Decision, run: api::Hash, first: u64, wrong: &mut Vec<InvalidField>) {
    let mut field = |name: &str, detail: String| {
        wrong.push(InvalidField { pointer: format!("/decisions/{position}/{name}"), detail });
    };
    if decision.run != run {
        field("run", format!("expected {run} as in the first decision: a batch is of one run"));
    }
    let sequence = first.saturating_add(position as u64);
    if decision.sequence != sequence {
        field("sequence", format!("expected {sequence}: a batch's sequence numbers are consecutive"));
    }
    for (name, number) in [("sequence", decision.sequence), ("policy_version", decision.policy_version)] {
        if number > api::MAX_SAFE_INTEGER {
            field(name, "expected at most 2^53 − 1".into());
        }
    }
    let routed = decision.action == Action::Route;
    for (name, present) in [
        ("provider", decision.provider.is_some()),
        ("price_usd_per_hour", decision.price_usd_per_hour.is_some()),
        ("latency_ms", decision.latency_ms.is_some()),
        ("cost_usd", decision.cost_usd.is_some()),
    ] {
        if present != routed {
            let expected =
                if routed { "expected with the action `route`" } else { "expected with `route` only" };
            field(name, expected.into());
        }
    }
    if decision.price_assumed && !routed {
        field("price_assumed", "expected with `route` only".into());
    }
    let counters = [
        ("episode", decision.episode),
        ("step", decision.step),
        ("agent", decision.agent),
        ("arm", decision.arm),
    ];
    for (name, number) in counters {
        if i32::try_from(number).is_err() {
            field(name, format!("expected at most {}", i32::MAX));
        }
    }
    let texts = [
        ("tenant", Some(&decision.tenant)),
        ("workload", Some(&decision.workload)),
        ("gpu_type", Some(&decision.gpu_type)),
        ("reason", Some(&decision.reason)),
        ("provider", decision.provider.as_ref()),
    ];
    for (name, text) in texts {
        if text.is_some_and(|text| text.contains('\0')) {
            field(name, "expected text without NUL characters".into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decisions::rows::tests::decision;

    async fn pointers(decisions: Vec<Decision>) -> Vec<String> {
        let hashed = match Batch::new(DecisionBatch { decisions, frontier: None }) {
            Ok(mut batch) => batch.leaf_hashes().await.map(<[Hash]>::len),
            Err(error) => Err(error),
        };
        match hashed {
            Err(LogError::Invalid(fields)) => fields.into_iter().map(|field| field.pointer).collect(),
            other => panic!("expected wrong fields, got {other:?}"),
        }
    }

    #[tokio::test]
    async fn every_wrong_field_is_pointed_at() {
        let spoil = async |spoil: fn(&mut Decision)| {
            let mut decisions: Vec<_> = (5..8).map(decision).collect();
            spoil(&mut decisions[1]);
            pointers(decisions).await
        };
        assert_eq!(spoil(|d| d.run = api::Hash([9; 32])).await, ["/decisions/1/run"]);
        assert_eq!(spoil(|d| d.sequence = 9).await, ["/decisions/1/sequence"]);
        assert_eq!(spoil(|d| d.tenant = "a\0b".into()).await, ["/decisions/1/tenant"]);
        assert_eq!(spoil(|d| d.reason = "\0".into()).await, ["/decisions/1/reason"]);
        assert_eq!(spoil(|d| d.provider = Some("acme".into())).await, ["/decisions/1/provider"]);
        let routed = ["provider", "price_usd_per_hour", "latency_ms", "cost_usd"];
        let routed = routed.map(|name| format!("/decisions/1/{name}"));
        assert_eq!(spoil(|d| d.action = Action::Route).await, routed);
        assert_eq!(spoil(|d| d.price_assumed = true).await, ["/decisions/1/price_assumed"]);
        assert_eq!(spoil(|d| d.agent = 1 << 31).await, ["/decisions/1/agent"]);
        assert_eq!(spoil(|d| d.policy_version = 1 << 53).await, ["/decisions/1/policy_version"]);
        assert_eq!(spoil(|d| d.reward = f64::NAN).await, ["/decisions/1/reward"]);
        assert_eq!(pointers(vec![]).await, ["/decisions"]);
    }

    #[tokio::test]
    async fn a_hopeless_batch_is_not_reported_decision_by_decision() {
        let decisions = (0..1000).map(|_| decision(0)).collect();
        assert_eq!(pointers(decisions).await.len(), MAX_REPORTED);
    }
}
