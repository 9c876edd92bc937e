//! Why an evaluation cannot be started, read or told.

use api::{FieldError, Hash};
use client::LedgerError;
use uuid::Uuid;

/// A domain error; the routes map it to a problem.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EvaluationError {
    /// Fields of the request are wrong.
    #[error("{}", sentence(.0))]
    Invalid(Vec<FieldError>),
    /// The policy is not among the remembrancer's artifacts.
    #[error("the remembrancer has no artifact {0}: PUT the policy file to its /v1/artifacts/{0} first")]
    PolicyNotFound(Hash),
    /// The artifact is not a policy that can act.
    #[error("the artifact {0} is not a usable policy: {1}")]
    InvalidPolicy(Hash, String),
    /// The policy was trained for other providers or tenants.
    #[error("policy {0}: {1}")]
    PolicyMismatch(Hash, String),
    /// The policy was trained on seeds that it would be tested on.
    #[error(
        "policy {policy} was trained on the seeds {trained_first} to {trained_last}, and the test seeds {first} to \
         {last} overlap them: choose a first_seed above {trained_last}"
    )]
    SeedsOverlap {
        /// The policy's artifact.
        policy: Hash,
        /// Its first training seed.
        trained_first: u64,
        /// Its last training seed.
        trained_last: u64,
        /// The first test seed.
        first: u64,
        /// The last test seed.
        last: u64,
    },
    /// Neither this process nor the ledger knows it.
    #[error("there is no evaluation {0}: GET /v1/evaluations lists those that are at work or recorded")]
    NotFound(Uuid),
    /// It has no result yet, or never will.
    #[error("evaluation {0} has no result: {1}")]
    NoResult(Uuid, String),
    /// The key was used for another request.
    #[error("this Idempotency-Key was used for another evaluation ({0}): send a new key with a new request")]
    KeyReused(Uuid),
    /// Too many wait already.
    #[error("{0} evaluations wait for their turn already: try again when one of them is done")]
    Busy(usize),
    /// A cursor that no answer of this service has given.
    #[error("expected the next_cursor of an earlier answer, found `{0}`")]
    InvalidCursor(String),
    /// The remembrancer does not answer, or refuses.
    #[error("the remembrancer cannot be asked")]
    Ledger(#[from] LedgerError),
    /// The result cannot be written.
    #[error("writing the result")]
    Output(#[from] csv::Error),
    /// The evaluation has no such chart.
    #[error("there is no plot {0}: this evaluation has {1}")]
    PlotNotFound(String, String),
    /// A chart cannot be drawn.
    #[error("drawing the report")]
    Drawing(#[source] plots::PlotError),
    /// Drawing panicked.
    #[error("drawing the report broke off")]
    DrawingBroke(#[source] tokio::task::JoinError),
    /// A record of the ledger that this service cannot have written.
    #[error("the ledger's record {0} is not an evaluation of this service: {1}")]
    ForeignRecord(String, String),
}

fn sentence(errors: &[FieldError]) -> String {
    errors.iter().map(|e| format!("{}: {}", e.pointer, e.detail)).collect::<Vec<_>>().join("; ")
}
