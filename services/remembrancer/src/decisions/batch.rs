//! A batch that can be recorded: checked, canonicalised and hashed before anything is locked.

use api::remembrancer::{Decision, DecisionBatch};
use merkle_log::{Hash, canonical_leaf_hash};

use crate::error::{InvalidField, LedgerError, Result, uncanonical};

/// How many wrong fields an answer names; the rest would only repeat them.
const MAX_REPORTED: usize = 20;

/// Consecutive decisions of one run with their leaf hashes.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The run's digest.
    pub run: api::Hash,
    /// The first decision's sequence number.
    pub first_sequence: u64,
    /// The decisions, at least one.
    pub decisions: Vec<Decision>,
    /// Their leaf hashes.
    pub leaf_hashes: Vec<Hash>,
    /// The roots of the run's complete subtrees before the first decision, when the caller gave them.
    pub frontier: Option<Vec<Hash>>,
}

impl Batch {
    /// Checks and hashes a batch: about 3 µs of computing for each decision, so large batches belong on a
    /// thread of their own.
    ///
    /// # Errors
    /// [`LedgerError::Invalid`] with the place of each wrong field.
    pub fn new(batch: DecisionBatch) -> Result<Self> {
        let DecisionBatch { decisions, frontier } = batch;
        let Some(first) = decisions.first() else {
            return Err(LedgerError::invalid("/decisions", "expected at least one decision"));
        };
        let (run, first_sequence) = (first.run, first.sequence);
        let mut wrong = Vec::new();
        let mut leaf_hashes = Vec::with_capacity(decisions.len());
        for (position, decision) in decisions.iter().enumerate() {
            check(position, decision, run, first_sequence, &mut wrong);
            match canonical_leaf_hash(decision) {
                Ok(hash) => leaf_hashes.push(hash),
                Err(error) => wrong.push(uncanonical(&format!("/decisions/{position}"), &error)),
            }
            if wrong.len() >= MAX_REPORTED {
                break;
            }
        }
        if !wrong.is_empty() {
            return Err(LedgerError::Invalid(wrong));
        }
        let frontier = frontier.map(|hashes| hashes.iter().map(|hash| hash.0).collect());
        Ok(Self { run, first_sequence, decisions, leaf_hashes, frontier })
    }

    /// The sequence number after the last.
    #[must_use]
    pub fn end_sequence(&self) -> u64 {
        self.first_sequence + self.decisions.len() as u64
    }
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
    if decision.sequence > api::MAX_SAFE_INTEGER {
        field("sequence", "expected at most 2^53 − 1".into());
    }
    let counters = [("episode", decision.episode), ("step", decision.step), ("agent", decision.agent)];
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

    fn pointers(decisions: Vec<Decision>) -> Vec<String> {
        match Batch::new(DecisionBatch { decisions, frontier: None }) {
            Err(LedgerError::Invalid(fields)) => fields.into_iter().map(|field| field.pointer).collect(),
            other => panic!("expected wrong fields, got {other:?}"),
        }
    }

    #[test]
    fn every_wrong_field_is_pointed_at() {
        let spoil = |spoil: fn(&mut Decision)| {
            let mut decisions: Vec<_> = (5..8).map(decision).collect();
            spoil(&mut decisions[1]);
            pointers(decisions)
        };
        assert_eq!(spoil(|d| d.run = api::Hash([9; 32])), ["/decisions/1/run"]);
        assert_eq!(spoil(|d| d.sequence = 9), ["/decisions/1/sequence"]);
        assert_eq!(spoil(|d| d.tenant = "a\0b".into()), ["/decisions/1/tenant"]);
        assert_eq!(spoil(|d| d.provider = Some("\0".into())), ["/decisions/1/provider"]);
        assert_eq!(spoil(|d| d.agent = 1 << 31), ["/decisions/1/agent"]);
        assert_eq!(spoil(|d| d.reward = f64::NAN), ["/decisions/1/reward"]);
        assert_eq!(spoil(|d| d.policy_version = 1 << 53), ["/decisions/1/policy_version"]);
        assert_eq!(pointers(vec![]), ["/decisions"]);
    }

    #[test]
    fn a_hopeless_batch_is_not_reported_decision_by_decision() {
        let decisions = (0..1000).map(|_| decision(0)).collect();
        assert_eq!(pointers(decisions).len(), MAX_REPORTED);
    }
}
