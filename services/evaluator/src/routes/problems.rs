use axum::http::StatusCode;
use service_kit::ApiError;

use crate::error::EvaluationError;

impl From<EvaluationError> for ApiError {
    fn from(error: EvaluationError) -> Self {
        let detail = sentence(&error.to_string());
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
            EvaluationError::KeyReused(_) => {
                Self::new(StatusCode::CONFLICT, "idempotency_key_reused", detail)
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
            | EvaluationError::ForeignRecord(..)) => Self::internal(error),
        }
    }
}

/// Problems are sentences; errors are parts of one.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first: String = chars.next().into_iter().flat_map(char::to_uppercase).collect();
    let stop = if text.ends_with('.') { "" } else { "." };
    format!("{first}{}{stop}", chars.as_str())
}
