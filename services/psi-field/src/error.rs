use axum::http::StatusCode;
use client::LedgerError;
use psi::{InterventionError, SnapshotError, StepError};
use service_kit::ApiError;

/// Why something could not be done to a swarm.
#[derive(Debug, thiserror::Error)]
pub enum SwarmError {
    /// Nobody ever posted a window of it.
    #[error("there is no swarm `{0}`; it begins with its window 0, or with a snapshot")]
    NotFound(String),
    /// Somebody deleted it, and nobody has begun it again.
    #[error(
        "swarm `{0}` was deleted. What was recorded of it is in the ledger (GET /v1/records?subject=swarm:{0} there); it \
         begins anew with its window 0, or with a snapshot"
    )]
    Deleted(String),
    /// A window is missing before the one posted.
    #[error(
        "window {given} of swarm `{swarm}` was posted, but window {expected} is expected; post it and those after it first"
    )]
    Gap {
        swarm: String,
        /// The number given.
        given: u64,
        /// The number expected.
        expected: u64,
    },
    /// The window was answered before, to another body.
    #[error(
        "window {given} of swarm `{swarm}` was answered already, with another body; window {expected} is expected next"
    )]
    OtherBody {
        swarm: String,
        /// The number given.
        given: u64,
        /// The number expected.
        expected: u64,
    },
    /// The window was answered before, and the answer was dropped.
    #[error(
        "window {given} of swarm `{swarm}` was answered already, and the answer is kept no more (the oldest kept is \
         {oldest}); window {expected} is expected next"
    )]
    TooOld {
        swarm: String,
        /// The number given.
        given: u64,
        /// The oldest window whose answer is kept, or the next one.
        oldest: u64,
        /// The number expected.
        expected: u64,
    },
    /// The swarm is in another state than the snapshot.
    #[error(
        "swarm `{swarm}` stands before window {expected} and the snapshot before window {given} of another past; \
         post windows from {expected} on, or use another swarm id"
    )]
    SnapshotConflict {
        swarm: String,
        /// The snapshot's next window.
        given: u64,
        /// The swarm's next window.
        expected: u64,
    },
    /// An operator's command would fall among decisions that the ledger holds already.
    #[error(
        "swarm `{0}` was brought back and is catching up: until a window comes that is past what the ledger holds, an \
         intervention would change decisions that are recorded; send it again in a moment"
    )]
    CatchingUp(String),
    /// It was brought back long ago, and nothing came since.
    #[error(
        "swarm `{swarm}` was brought back, and no window of it has come for {quiet_seconds} s: its run is paused, or waits, or \
         nobody plays it. An intervention could fall among decisions that the ledger holds; resume the run, and send it \
         again when its next window has come"
    )]
    Idle {
        swarm: String,
        /// For how long.
        quiet_seconds: i64,
    },
    /// No window comes any more.
    #[error(
        "swarm `{0}` has ended with its run: no window of it comes any more, so nothing would carry an intervention to it"
    )]
    Ended(String),
    /// There is no room for another swarm.
    #[error(
        "{0} swarms are held, and none of them can make room; raise `max_swarms`, or wait until one makes a checkpoint"
    )]
    TooMany(usize),
    /// The window cannot be taken.
    #[error(transparent)]
    Step(#[from] StepError),
    /// The intervention cannot be taken.
    #[error(transparent)]
    Intervention(#[from] InterventionError),
    /// The snapshot cannot be taken.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The ledger holds something else under a record's id.
    #[error(
        "the remembrancer holds another record `{id}`: swarm `{swarm}` was used before with other windows; use \
         another swarm id, or start from its snapshot"
    )]
    RecordConflict {
        /// The record's id.
        id: String,
        swarm: String,
    },
    /// There is nothing to judge.
    #[error(
        "window {window} of swarm `{swarm}` completed no anomaly; GET /v1/swarms/{swarm}/anomalies lists those that did"
    )]
    NoAnomaly { swarm: String, window: u64 },
    /// A verdict or a trace has nowhere to go.
    #[error("psi-field has no remembrancer, and so nowhere to record that: set `remembrancer_url`")]
    NoLedger,
    /// The ledger holds something else of a trace.
    #[error("the remembrancer holds the trace `{0}` already, with other metadata; a record is never changed")]
    TraceConflict(String),
    /// The ledger did not do what was asked.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The state could not be written down.
    #[error("the state of swarm `{0}` could not be serialised")]
    Serialise(String, #[source] serde_json::Error),
}

impl From<SwarmError> for ApiError {
    fn from(error: SwarmError) -> Self {
        let detail = error.to_string();
        let conflict = |code| ApiError::new(StatusCode::CONFLICT, code, detail.clone());
        let invalid = |code| ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail.clone());
        let expected = |error: ApiError, expected: u64| {
            error.with_errors(vec![at("/number", format!("expected {expected}"))])
        };
        match error {
            SwarmError::NotFound(_) => ApiError::new(StatusCode::NOT_FOUND, "swarm_not_found", detail),
            SwarmError::Deleted(_) => ApiError::new(StatusCode::GONE, "swarm_deleted", detail),
            SwarmError::Gap { expected: number, .. } => expected(conflict("window_gap"), number),
            SwarmError::OtherBody { expected: number, .. } | SwarmError::TooOld { expected: number, .. } => {
                expected(conflict("window_conflict"), number)
            }
            SwarmError::SnapshotConflict { expected, .. } => conflict("snapshot_conflict")
                .with_errors(vec![at("/next_window", format!("expected {expected}"))]),
            SwarmError::Ended(_) => conflict("swarm_ended"),
            SwarmError::Idle { .. } => conflict("swarm_idle"),
            SwarmError::CatchingUp(_) => {
                ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "swarm_catching_up", detail)
                    .retry_after(std::time::Duration::from_secs(1))
            }
            SwarmError::TooMany(_) => ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_swarms", detail)
                .retry_after(std::time::Duration::from_secs(60)),
            SwarmError::Step(StepError::WrongNumber { expected: number, .. }) => {
                expected(conflict("window_gap"), number)
            }
            SwarmError::Step(StepError::DuplicateAgent(duplicate)) => {
                let pointer = format!("/agents/{}/agent", duplicate.index);
                invalid("invalid_request").with_errors(vec![at(&pointer, detail.clone())])
            }
            SwarmError::Step(StepError::Intervention(error)) | SwarmError::Intervention(error) => match error
            {
                InterventionError::Unknown(_) => {
                    invalid("unknown_intervention").with_errors(vec![at("/acknowledged", detail.clone())])
                }
                InterventionError::Pending { .. } => conflict("intervention_pending"),
                InterventionError::KeyReused(_) => invalid("idempotency_key_reused"),
                InterventionError::TooMany | InterventionError::TooManyOpen => {
                    conflict("too_many_interventions")
                }
            },
            SwarmError::Snapshot(_) => invalid("invalid_snapshot"),
            SwarmError::RecordConflict { .. } | SwarmError::TraceConflict(_) => conflict("record_conflict"),
            SwarmError::NoAnomaly { .. } => ApiError::new(StatusCode::NOT_FOUND, "anomaly_not_found", detail),
            SwarmError::NoLedger => {
                ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "remembrancer_unavailable", detail)
            }
            SwarmError::Ledger(error) if error.is_away() => ApiError::unavailable(
                "remembrancer_unavailable",
                "the remembrancer does not answer; the swarm has not moved, so send the same again",
                error,
            ),
            error @ (SwarmError::Ledger(_) | SwarmError::Serialise(..)) => ApiError::internal(error),
        }
    }
}

fn at(pointer: &str, detail: String) -> api::FieldError {
    api::FieldError { pointer: pointer.into(), detail }
}
