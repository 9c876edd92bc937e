//! Why an evaluation cannot be accepted, read or told, and how that is told over HTTP.

use api::{FieldError, Hash};
use axum::http::StatusCode;
use client::LedgerError;
use service_kit::ApiError;
use uuid::Uuid;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EvaluationError {
    /// Fields of the request are wrong.
    #[error("{}", listed(.0))]
    Invalid(Vec<FieldError>),
    /// The policy is not among the remembrancer's artifacts.
    #[error("the remembrancer has no artifact {0}: PUT the policy file to its /v1/artifacts/{0} first")]
    PolicyNotFound(Hash),
    /// The ledger has no deployment of this name.
    #[error("there is no deployment `{0}`: the trainer's `GET /v1/deployments` lists them")]
    DeploymentNotFound(String),
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
    /// It was done before the values of every seed were kept, or under many preferences, or they are gone.
    #[error("evaluation {0} has no values by seed: evaluate again, under one preference, to have them")]
    NoValues(Uuid),
    /// An artifact of the ledger that this service cannot have written.
    #[error("the artifact {0} has no values of an evaluation: {1}")]
    ForeignValues(Hash, String),
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

impl From<EvaluationError> for ApiError {
    fn from(error: EvaluationError) -> Self {
        let detail = as_sentence(&error.to_string());
        match error {
            EvaluationError::Invalid(errors) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", detail).with_errors(errors)
            }
            EvaluationError::InvalidCursor(_) => {
                let pointed = api::FieldError { pointer: "?cursor".into(), detail: detail.clone() };
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", detail)
                    .with_errors(vec![pointed])
            }
            EvaluationError::PolicyNotFound(_) => {
                Self::new(StatusCode::NOT_FOUND, "policy_not_found", detail)
            }
            EvaluationError::DeploymentNotFound(_) => {
                Self::new(StatusCode::NOT_FOUND, "deployment_not_found", detail)
            }
            EvaluationError::InvalidPolicy(..) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_policy", detail)
            }
            EvaluationError::PolicyMismatch(..) => Self::new(StatusCode::CONFLICT, "policy_mismatch", detail),
            EvaluationError::SeedsOverlap { .. } => Self::new(StatusCode::CONFLICT, "seeds_overlap", detail),
            EvaluationError::NotFound(_) => Self::new(StatusCode::NOT_FOUND, "evaluation_not_found", detail),
            EvaluationError::PlotNotFound(..) => Self::new(StatusCode::NOT_FOUND, "plot_not_found", detail),
            EvaluationError::NoResult(..) => {
                Self::new(StatusCode::CONFLICT, "evaluation_not_completed", detail)
            }
            EvaluationError::NoValues(_) => Self::new(StatusCode::NOT_FOUND, "values_not_kept", detail),
            EvaluationError::KeyReused(_) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", detail)
            }
            EvaluationError::Busy(_) => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_evaluations", detail)
                    .retry_after(std::time::Duration::from_secs(5))
            }
            EvaluationError::Ledger(cause) if cause.is_away() => Self::unavailable(
                "remembrancer_unavailable",
                "The remembrancer does not answer, and policies and results are there. Try again.",
                cause,
            ),
            error @ (EvaluationError::Ledger(_)
            | EvaluationError::Output(_)
            | EvaluationError::Drawing(_)
            | EvaluationError::DrawingBroke(_)
            | EvaluationError::ForeignValues(..)
            | EvaluationError::ForeignRecord(..)) => Self::internal(error),
        }
    }
}

/// The wrong fields of a request, one after the other.
fn listed(errors: &[FieldError]) -> String {
    errors.iter().map(|e| format!("{}: {}", e.pointer, e.detail)).collect::<Vec<_>>().join("; ")
}

/// Problems are sentences; errors are parts of one.
fn as_sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first: String = chars.next().into_iter().flat_map(char::to_uppercase).collect();
    let stop = if text.ends_with('.') { "" } else { "." };
    format!("{first}{}{stop}", chars.as_str())
}
