//! Decisions as a caller gets them: with their place in the ledger and where the proof is.

use api::{
    Hash,
    policies::{Alternative, ServedDecision, ServedDecisions},
    remembrancer::{Decision, Receipt},
};

use crate::policies::{Policy, identity::decision_id};

/// The answer to a call; `None` when the receipts do not cover every decision.
pub(super) fn answer(
    ledger_url: &str,
    policy: &Policy,
    decisions: &[Decision],
    alternatives: Vec<Vec<Alternative>>,
    receipts: &[Receipt],
) -> Option<ServedDecisions> {
    let decisions = decisions.iter().zip(alternatives).map(|(decision, alternatives)| {
        let log_index = receipts.iter().find_map(|receipt| {
            let offset = decision.sequence.checked_sub(receipt.first_sequence)?;
            (offset < receipt.count).then_some(receipt.first_log_index + offset)
        })?;
        Some(served(ledger_url, decision, alternatives, Some(log_index)))
    });
    let decisions = decisions.collect::<Option<_>>()?;
    Some(ServedDecisions { policy_id: policy.id, run: policy.digest, decisions })
}

/// A decision as it is answered.
pub(crate) fn served(
    ledger_url: &str,
    decision: &Decision,
    alternatives: Vec<Alternative>,
    log_index: Option<u64>,
) -> ServedDecision {
    ServedDecision {
        id: decision_id(&decision.run, decision.sequence),
        action: decision.action,
        reason: decision.reason.clone(),
        provider: decision.provider.clone(),
        expected_price_usd_per_hour: decision.price_usd_per_hour,
        price_assumed: decision.price_assumed,
        expected_cost_usd: decision.cost_usd,
        expected_latency_ms: decision.latency_ms,
        propensity: decision.propensity,
        value: decision.value,
        deferred: decision.deferred,
        wait_ms: decision.wait_ms,
        agent: decision.agent,
        arm: decision.arm,
        alternatives,
        sequence: decision.sequence,
        log_index,
        evidence_url: evidence_url(ledger_url, &decision.run, decision.sequence),
    }
}

/// Where the remembrancer gives the evidence for a decision.
pub(crate) fn evidence_url(ledger_url: &str, run: &Hash, sequence: u64) -> String {
    format!("{}/v1/log/evidence?run={run}&sequence={sequence}", ledger_url.trim_end_matches('/'))
}
