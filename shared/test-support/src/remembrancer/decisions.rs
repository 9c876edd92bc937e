//! Decisions of runs: contiguous, the same under the same sequence, and all of a batch or nothing.

use std::sync::{Arc, atomic::Ordering};

use api::{
    Hash, Page,
    remembrancer::{
        BatchReceipts, Decision, DecisionBatch, DecisionQuery, Evidence, FenceQuery, LeafQuery, Receipt,
        RecordedDecision, RunHead,
    },
};
use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use merkle_log::{Frontier, canonical_leaf_hash};

use super::{Ledger, Shared, lock};
use crate::problem;

/// A run's decisions on this log.
#[derive(Debug)]
pub(super) struct Run {
    first_sequence: u64,
    /// Over the decisions before the first.
    first_frontier: Frontier,
    frontier: Frontier,
    decisions: Vec<Decision>,
    /// What was committed together.
    commits: Vec<Receipt>,
}

impl Run {
    fn new(first_sequence: u64, frontier: Frontier) -> Self {
        let first_frontier = frontier.clone();
        Self { first_sequence, first_frontier, frontier, decisions: Vec::new(), commits: Vec::new() }
    }

    pub(super) fn first_sequence(&self) -> u64 {
        self.first_sequence
    }

    pub(super) fn next_sequence(&self) -> u64 {
        self.first_sequence + self.decisions.len() as u64
    }

    pub(super) fn decisions(&self) -> &[Decision] {
        &self.decisions
    }

    fn at(&self, sequence: u64) -> Option<&Decision> {
        self.decisions.get(usize::try_from(sequence.checked_sub(self.first_sequence)?).ok()?)
    }

    pub(super) fn replace(&mut self, decision: Decision) {
        let index = decision.sequence.checked_sub(self.first_sequence).and_then(|i| usize::try_from(i).ok());
        if let Some(known) = index.and_then(|index| self.decisions.get_mut(index)) {
            *known = decision;
        }
        self.frontier = self.first_frontier.clone();
        self.frontier.extend(self.decisions.iter().map(leaf_hash));
    }

    /// Whether decisions may come to this run from a sequence on.
    fn joins(&self, first: u64, frontier: Option<&[merkle_log::Hash]>) -> Result<(), Response> {
        let next = self.next_sequence();
        if first > next {
            return Err(problem(409, "sequence_gap", format!("Expected sequence {next}, got {first}.")));
        }
        if first < self.first_sequence {
            let from = self.first_sequence;
            return Err(problem(409, "sequence_before_start", format!("It is held from {from} on.")));
        }
        let expected = match first {
            first if first == self.first_sequence => Some(&self.first_frontier),
            first if first == next => Some(&self.frontier),
            _ => None, // in between the decisions themselves are compared
        };
        match (frontier, expected) {
            (Some(given), Some(expected)) if given != expected.hashes() => {
                Err(problem(409, "frontier_mismatch", format!("It is not the frontier before {first}.")))
            }
            _ => Ok(()),
        }
    }
}

impl Ledger {
    /// Appends decisions that follow each other and their run.
    pub(super) fn extend(&mut self, decisions: &[Decision], start: Option<Frontier>) {
        let Some(first) = decisions.first() else { return };
        let first_log_index = self.log.len();
        let leaves: Vec<_> = decisions.iter().map(leaf_hash).collect();
        for leaf in &leaves {
            self.push(*leaf);
        }
        let receipt = Receipt {
            run: first.run,
            first_sequence: first.sequence,
            count: decisions.len() as u64,
            first_log_index,
            tree_size: self.log.len(),
            root_hash: Hash(self.log.root()),
        };
        let run = self.runs.entry(first.run);
        let run = run.or_insert_with(|| Run::new(first.sequence, start.unwrap_or_default()));
        run.frontier.extend(leaves);
        run.decisions.extend_from_slice(decisions);
        run.commits.push(receipt);
    }

    fn append(&mut self, batch: &DecisionBatch) -> Result<BatchReceipts, Response> {
        let invalid = |detail: &str| Err(problem(422, "invalid_request", detail));
        let Some(first) = batch.decisions.first() else { return invalid("`/decisions`: 1 to 20,000.") };
        let follows =
            |pair: &[Decision]| pair[0].run == pair[1].run && pair[0].sequence + 1 == pair[1].sequence;
        if !batch.decisions.windows(2).all(follows) {
            return invalid("`/decisions`: not one run's, or not consecutive.");
        }
        let frontier: Option<Vec<_>> = batch.frontier.as_ref().map(|f| f.iter().map(|hash| hash.0).collect());
        let start = match self.runs.get(&first.run) {
            Some(run) => {
                run.joins(first.sequence, frontier.as_deref())?;
                None
            }
            None => Some(start(first.sequence, frontier)?),
        };
        let next = self.runs.get(&first.run).map_or(first.sequence, Run::next_sequence);
        for decision in batch.decisions.iter().take_while(|decision| decision.sequence < next) {
            if self.runs[&first.run].at(decision.sequence) != Some(decision) {
                let sequence = decision.sequence;
                return Err(problem(
                    409,
                    "decision_conflict",
                    format!("Another one is sequence {sequence}."),
                ));
            }
        }
        let known = batch.decisions.partition_point(|decision| decision.sequence < next);
        self.extend(&batch.decisions[known..], start);
        let end = first.sequence + batch.decisions.len() as u64;
        let commits = self.runs[&first.run].commits.iter();
        let receipts = commits
            .filter(|commit| {
                commit.first_sequence < end && first.sequence < commit.first_sequence + commit.count
            })
            .cloned()
            .collect();
        Ok(BatchReceipts { recorded: (batch.decisions.len() - known) as u64, receipts })
    }
}

/// Where a run that this log does not know begins.
fn start(first: u64, frontier: Option<Vec<merkle_log::Hash>>) -> Result<Frontier, Response> {
    match frontier {
        None if first == 0 => Ok(Frontier::new()),
        None => Err(problem(409, "sequence_gap", format!("Expected sequence 0, got {first}."))),
        Some(hashes) => Frontier::from_parts(first, hashes)
            .map_err(|error| problem(409, "frontier_mismatch", error.to_string())),
    }
}

fn leaf_hash(decision: &Decision) -> merkle_log::Hash {
    canonical_leaf_hash(decision).expect("what came as JSON is canonical JSON too")
}

pub(super) async fn append(
    State(shared): State<Arc<Shared>>,
    Query(fence): Query<FenceQuery>,
    Json(batch): Json<DecisionBatch>,
) -> Response {
    let mut ledger = lock(&shared.ledger);
    if let Err(refusal) = ledger.check(&fence) {
        return refusal;
    }
    ledger.batches.push((batch.decisions.len(), batch.frontier.clone()));
    match ledger.append(&batch) {
        Ok(receipts) if receipts.recorded > 0 => (StatusCode::CREATED, Json(receipts)).into_response(),
        Ok(receipts) => Json(receipts).into_response(),
        Err(refusal) => refusal,
    }
}

pub(super) async fn head(State(shared): State<Arc<Shared>>, Path(digest): Path<Hash>) -> Response {
    match lock(&shared.ledger).runs.get(&digest) {
        None => problem(404, "run_not_found", format!("There is nothing of the run {digest}.")),
        Some(run) => Json(RunHead {
            deletion: None,
            run: digest,
            first_sequence: run.first_sequence,
            next_sequence: run.next_sequence(),
            run_root: Hash(run.frontier.root()),
        })
        .into_response(),
    }
}

/// Of one run, in order; no other filter counts.
pub(super) async fn list(State(shared): State<Arc<Shared>>, Query(query): Query<DecisionQuery>) -> Response {
    let Some(digest) = query.run else {
        return problem(422, "invalid_request", "This fake lists decisions by `run` only.");
    };
    let (ledger, from) = (lock(&shared.ledger), query.from_sequence.unwrap_or(0));
    let limit = (query.limit.unwrap_or(100) as usize).min(shared.page_size.load(Ordering::SeqCst));
    let decisions = ledger.runs.get(&digest).into_iter().flat_map(|run| {
        run.commits.iter().flat_map(move |commit| {
            let sequences = commit.first_sequence..commit.first_sequence + commit.count;
            sequences.filter_map(move |sequence| {
                let log_index = commit.first_log_index + sequence - commit.first_sequence;
                Some(RecordedDecision { log_index, decision: run.at(sequence)?.clone() })
            })
        })
    });
    let items = decisions.filter(|row| row.decision.sequence >= from).take(limit).collect();
    Json(Page::<RecordedDecision> { items, next_cursor: None }).into_response()
}

/// Of a decision, and without a proof: whoever needs one takes the real service.
pub(super) async fn evidence(State(shared): State<Arc<Shared>>, Query(leaf): Query<LeafQuery>) -> Response {
    let (Some(digest), Some(sequence)) = (leaf.run, leaf.sequence) else {
        return problem(422, "invalid_request", "This fake finds leaves by `run` and `sequence` only.");
    };
    let ledger = lock(&shared.ledger);
    let found = ledger.runs.get(&digest).and_then(|run| Some((run, run.at(sequence)?)));
    let Some((run, decision)) = found else {
        return problem(404, "decision_not_found", format!("There is no decision {sequence} of {digest}."));
    };
    let commit = run.commits.iter().rfind(|commit| commit.first_sequence <= sequence);
    let log_index = commit.map_or(0, |commit| commit.first_log_index + sequence - commit.first_sequence);
    let record = serde_json::value::to_raw_value(decision).expect("a decision is JSON");
    let (inclusion_path, checkpoint, verifier_key) = (Vec::new(), String::new(), String::new());
    Json(Evidence { record, log_index, inclusion_path, checkpoint, verifier_key }).into_response()
}
