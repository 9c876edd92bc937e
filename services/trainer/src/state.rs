use std::sync::Arc;

use axum::http::StatusCode;
use service_kit::{ApiError, ApiResult};
use uuid::Uuid;

use crate::{
    deployments::Deployments,
    environments::Environments,
    federation::Federation,
    policies::{Policies, Policy},
    recovery::Recovery,
    run::Run,
    runs::Runs,
    serving::Serving,
};

/// What the routes share.
#[derive(Clone)]
pub struct AppState {
    /// Where the reading of earlier runs stands.
    pub recovery: Recovery,
    runs: Runs,
    policies: Policies,
    serving: Serving,
    deployments: Deployments,
    environments: Environments,
    federation: Federation,
}

impl AppState {
    /// The state over the registries.
    #[must_use]
    pub fn new(
        recovery: Recovery,
        runs: Runs,
        policies: Policies,
        (serving, deployments): (Serving, Deployments),
        environments: Environments,
        federation: Federation,
    ) -> Self {
        Self { recovery, runs, policies, serving, deployments, environments, federation }
    }

    /// The runs, with what other trainers did until now.
    ///
    /// # Errors
    /// 503 while earlier runs are still being read: until then a run that exists could be called unknown,
    /// and a key that was used could be taken for a new one.
    pub async fn runs(&self) -> ApiResult<&Runs> {
        if let Some(what) = self.recovery.missing() {
            return Err(recovering(what));
        }
        self.runs.glance().await;
        Ok(&self.runs)
    }

    /// The policies, with what other trainers did until now.
    ///
    /// # Errors
    /// 503 while earlier runs and imported policies are still being read.
    pub async fn policies(&self) -> ApiResult<&Policies> {
        self.runs().await?;
        if let Some(what) = self.policies.missing() {
            return Err(recovering(what));
        }
        self.policies.glance().await;
        Ok(&self.policies)
    }

    /// Fine once earlier runs and imported policies were read.
    ///
    /// # Errors
    /// 503 while they are still being read.
    pub fn ready(&self) -> ApiResult<()> {
        match self.recovery.missing().or_else(|| self.policies.missing()) {
            Some(what) => Err(recovering(what)),
            None => Ok(()),
        }
    }

    /// One policy.
    ///
    /// # Errors
    /// As [`AppState::policies`]; 404 when there is none.
    pub async fn policy(&self, id: Uuid) -> ApiResult<Arc<Policy>> {
        // A policy never changes, so that nobody needs to be asked about one that is known.
        if self.recovery.missing().is_none()
            && let Some(known) = self.policies.known(id)
        {
            return Ok(known);
        }
        self.policies().await?.get(id).ok_or_else(|| {
            let detail = format!(
                "There is no policy `{id}` in the ledger: a run has one when it is completed and has learned; \
                 `GET /v1/policies` lists them."
            );
            ApiError::new(StatusCode::NOT_FOUND, "policy_not_found", detail)
        })
    }

    /// What asks the policies.
    #[must_use]
    pub fn serving(&self) -> &Serving {
        &self.serving
    }

    /// What decides streams of requests.
    #[must_use]
    pub fn deployments(&self) -> &Deployments {
        &self.deployments
    }

    /// The environments that callers play.
    #[must_use]
    pub fn environments(&self) -> &Environments {
        &self.environments
    }

    /// What this node has of the federation.
    #[must_use]
    pub fn federation(&self) -> &Federation {
        &self.federation
    }

    /// One run.
    ///
    /// # Errors
    /// As [`AppState::runs`]; 404 when there is none.
    pub async fn run(&self, id: Uuid) -> ApiResult<Arc<Run>> {
        self.runs().await?.get(id).ok_or_else(|| {
            let detail = format!("There is no run `{id}` in the ledger; `GET /v1/runs` lists them.");
            ApiError::new(StatusCode::NOT_FOUND, "run_not_found", detail)
        })
    }
}

fn recovering(what: String) -> ApiError {
    let detail = format!("The trainer has just started: {what}. Try again in a few seconds.");
    ApiError::unavailable("recovering", detail, what)
}
