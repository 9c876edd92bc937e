//! Calls with an Idempotency-Key: the same call again gets the decisions that it got.
//!
//! Before the decisions of such a call are appended, a record says which they are to be. They were made for it if they
//! followed in the same session, for a session writes nothing else in between.

use std::collections::{HashMap, VecDeque};

use api::{
    Hash,
    deployments::DeploymentDecisions,
    remembrancer::{DecisionQuery, RecordQuery},
};
use client::{Ledger, LedgerError};
use records::{
    Body as _,
    deployments::{Called, Opened, subject},
};
use uuid::Uuid;

use crate::serving;

/// Decisions of calls that are remembered with all that was answered; of others the ledger tells what was decided. A call has
/// up to 1,000, and each may say of every provider why not: calls alone would be no bound.
const MOST_REMEMBERED: usize = 10_000;

/// What tells a call from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Keyed {
    /// Its Idempotency-Key.
    pub(super) key: String,
    /// SHA-256 of its body.
    pub(super) request_sha256: Hash,
}

/// The last calls with a key, and what each was answered.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    by_key: HashMap<String, (Hash, DeploymentDecisions)>,
    in_order: VecDeque<String>,
    decisions: usize,
}

impl Remembered {
    /// What a key came with, and what was answered.
    pub(super) fn get(&self, key: &str) -> Option<(Hash, DeploymentDecisions)> {
        self.by_key.get(key).cloned()
    }

    /// Remembers one more.
    pub(super) fn insert(&mut self, Keyed { key, request_sha256 }: Keyed, answer: DeploymentDecisions) {
        self.decisions += answer.decisions.len();
        match self.by_key.insert(key.clone(), (request_sha256, answer)) {
            None => self.in_order.push_back(key),
            Some((_, before)) => self.decisions -= before.decisions.len(),
        }
        while self.decisions > MOST_REMEMBERED
            && let Some(oldest) = self.in_order.pop_front()
        {
            let forgotten = self.by_key.remove(&oldest);
            self.decisions -= forgotten.map_or(0, |(_, answer)| answer.decisions.len());
        }
    }
}

/// The deployment whose calls are looked for.
pub(super) struct Asked<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) ledger_url: &'a str,
    pub(super) deployment_id: Uuid,
    pub(super) name: &'a str,
    pub(super) run: Hash,
}

impl Asked<'_> {
    /// What a key came with, and what was decided, as the ledger has it: without what was said of the other providers. `None`
    /// when nothing was, for which a call that broke off before its decisions were recorded counts.
    pub(super) async fn earlier(
        &self,
        key: &str,
    ) -> Result<Option<(Hash, DeploymentDecisions)>, LedgerError> {
        let query = RecordQuery {
            subject: Some(Called::subject_of(self.deployment_id, key)),
            newest_first: Some(true),
            limit: Some(20),
            ..RecordQuery::default()
        };
        let mut calls = self.ledger.bodies::<Called>(&query);
        while let Some((record, called)) = calls.next().await? {
            if called.deployment_id == self.deployment_id
                && called.idempotency_key == key
                && let Some(answer) = self.answered(record.log_index, &called).await?
            {
                return Ok(Some((called.request_sha256, answer)));
            }
        }
        Ok(None)
    }

    /// The decisions of a call, if they followed its record before another session began.
    async fn answered(
        &self,
        log_index: u64,
        called: &Called,
    ) -> Result<Option<DeploymentDecisions>, LedgerError> {
        let query = DecisionQuery {
            run: Some(self.run),
            from_sequence: Some(called.first_sequence),
            limit: Some(called.decisions),
            ..DecisionQuery::default()
        };
        let rows = self.ledger.decisions(&query).await?.items;
        let query = RecordQuery {
            kind: Some(Opened::KIND.record_kind()),
            subject: Some(subject(self.deployment_id)),
            after_log_index: Some(log_index),
            newest_first: Some(false),
            limit: Some(1),
            ..RecordQuery::default()
        };
        let next_session = self.ledger.page(&query).await?.items.first().map(|opened| opened.log_index);
        let in_session =
            |row: u64| row > log_index && next_session.is_none_or(|next_session| row < next_session);
        if rows.len() != called.decisions as usize || !rows.iter().all(|row| in_session(row.log_index)) {
            return Ok(None);
        }
        let window = rows.last().map_or(0, |row| row.decision.step);
        let served = |row: &api::remembrancer::RecordedDecision| {
            serving::served(self.ledger_url, &row.decision, Vec::new(), Some(row.log_index))
        };
        Ok(Some(DeploymentDecisions {
            deployment: self.name.to_owned(),
            run: self.run,
            window,
            decisions: rows.iter().map(served).collect(),
            promise: None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use api::policies::ServedDecision;

    use super::*;

    #[test]
    fn as_many_calls_are_remembered_as_have_so_many_decisions() {
        let served: ServedDecision = serde_json::from_value(serde_json::json!({
            "id": Uuid::nil(), "action": "hold", "reason": "held", "propensity": 1.0, "wait_ms": 0.0, "deferred": false,
            "agent": 0, "alternatives": [], "sequence": 0, "log_index": 0, "evidence_url": ""
        }))
        .unwrap();
        let mut remembered = Remembered::default();
        let answer = |decisions: usize| DeploymentDecisions {
            deployment: "gateway".into(),
            run: Hash([0; 32]),
            window: 0,
            decisions: vec![served.clone(); decisions],
            promise: None,
        };
        let keyed = |key: &str| Keyed { key: key.to_owned(), request_sha256: Hash([1; 32]) };
        let known = |remembered: &Remembered| ["a", "b", "c"].map(|key| remembered.get(key).is_some());
        remembered.insert(keyed("a"), answer(1_000));
        remembered.insert(keyed("b"), answer(MOST_REMEMBERED - 1_000));
        assert_eq!(known(&remembered), [true, true, false]);
        remembered.insert(keyed("b"), answer(MOST_REMEMBERED - 1_000));
        assert_eq!(known(&remembered), [true, true, false], "the same one again takes no more room");
        remembered.insert(keyed("c"), answer(1));
        assert_eq!(known(&remembered), [false, true, true], "the oldest goes");
        assert_eq!(remembered.get("c"), Some((Hash([1; 32]), answer(1))));
    }
}
