use std::sync::Arc;

use axum::http::StatusCode;
use service_kit::{ApiError, ApiResult};
use uuid::Uuid;

use crate::{recovery::Recovery, run::Run, runs::Runs};

/// What the routes share.
#[derive(Clone)]
pub struct AppState {
    /// Where the reading of earlier runs stands.
    pub recovery: Recovery,
    runs: Runs,
}

impl AppState {
    /// The state over a registry.
    #[must_use]
    pub fn new(recovery: Recovery, runs: Runs) -> Self {
        Self { recovery, runs }
    }

    /// The runs.
    ///
    /// # Errors
    /// 503 while earlier runs are still being read: until then a run that exists could be called unknown,
    /// and a key that was used could be taken for a new one.
    pub fn runs(&self) -> ApiResult<&Runs> {
        match self.recovery.missing() {
            None => Ok(&self.runs),
            Some(what) => {
                let detail = format!("The trainer has just started: {what}. Try again in a few seconds.");
                Err(ApiError::unavailable("recovering", detail, what))
            }
        }
    }

    /// One run.
    ///
    /// # Errors
    /// As [`AppState::runs`]; 404 when there is none.
    pub fn run(&self, id: Uuid) -> ApiResult<Arc<Run>> {
        self.runs()?.get(id).ok_or_else(|| {
            let detail = format!("There is no run `{id}` on this trainer; `GET /v1/runs` lists them.");
            ApiError::new(StatusCode::NOT_FOUND, "run_not_found", detail)
        })
    }
}
