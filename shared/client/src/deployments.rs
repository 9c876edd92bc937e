use api::{
    Page,
    deployments::{
        ChangeChampion, DeferredDecision, Deployment, DeploymentDecisions, DeploymentRequest,
        DeploymentStream, MarketUpdate, MomentQuery, NewDeployment, OpenDecision, OpenDecisionQuery,
        StopDeployment,
    },
};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{ClientError, Trainer};

/// The trainer's deployments. Every call fails with a [`ClientError`] that says whether trying again can help.
#[allow(clippy::missing_errors_doc)] // said once above
impl Trainer {
    /// `POST /v1/deployments`. The same deployment once more is the same one, so the call may be repeated.
    pub async fn deploy(&self, deployment: &NewDeployment) -> Result<Deployment, ClientError> {
        self.connection.post(&["v1", "deployments"]).json(deployment).answer().await
    }

    /// `GET /v1/deployments`, newest first.
    pub async fn deployments(&self) -> Result<Page<Deployment>, ClientError> {
        self.connection.get(&["v1", "deployments"]).answer().await
    }

    /// `GET /v1/deployments/{name}`; `now` where it goes by its callers' clock.
    pub async fn deployment(
        &self,
        name: &str,
        now: Option<DateTime<Utc>>,
    ) -> Result<Deployment, ClientError> {
        self.connection.get(&["v1", "deployments", name]).query(&MomentQuery { now }).answer().await
    }

    /// `POST /v1/deployments/{name}/decisions`. Each call decides afresh, but for one with a key
    /// that was used before: it gets the same decisions.
    pub async fn ask_deployment(
        &self,
        name: &str,
        request: &DeploymentRequest,
        idempotency_key: Option<&str>,
    ) -> Result<DeploymentDecisions, ClientError> {
        let call = self.connection.post(&["v1", "deployments", name, "decisions"]);
        call.idempotency_key(idempotency_key).json(request).answer().await
    }

    /// `GET /v1/deployments/{name}/decisions/{id}`: what became of a request that this decision deferred.
    pub async fn deferred_decision(
        &self,
        name: &str,
        deferral: Uuid,
        now: Option<DateTime<Utc>>,
    ) -> Result<DeferredDecision, ClientError> {
        let path = ["v1", "deployments", name, "decisions", &deferral.to_string()];
        self.connection.get(&path).query(&MomentQuery { now }).answer().await
    }

    /// `PUT /v1/deployments/{name}/market`.
    pub async fn set_market(
        &self,
        name: &str,
        update: &MarketUpdate,
    ) -> Result<DeploymentStream, ClientError> {
        self.connection.put(&["v1", "deployments", name, "market"]).json(update).answer().await
    }

    /// `GET /v1/deployments/{name}/open-decisions`, oldest first.
    pub async fn open_decisions(
        &self,
        name: &str,
        query: &OpenDecisionQuery,
    ) -> Result<Page<OpenDecision>, ClientError> {
        self.connection.get(&["v1", "deployments", name, "open-decisions"]).query(query).answer().await
    }

    /// `POST /v1/deployments/{name}/promote`.
    pub async fn promote_challenger(
        &self,
        name: &str,
        change: &ChangeChampion,
    ) -> Result<Deployment, ClientError> {
        self.connection.post(&["v1", "deployments", name, "promote"]).json(change).answer().await
    }

    /// `POST /v1/deployments/{name}/rollback`.
    pub async fn roll_back_challenger(
        &self,
        name: &str,
        change: &ChangeChampion,
    ) -> Result<Deployment, ClientError> {
        self.connection.post(&["v1", "deployments", name, "rollback"]).json(change).answer().await
    }

    /// `POST /v1/deployments/{name}/stop`. Stopping it again changes nothing.
    pub async fn stop_deployment(
        &self,
        name: &str,
        reason: Option<String>,
    ) -> Result<Deployment, ClientError> {
        let stop = StopDeployment { reason };
        self.connection.post(&["v1", "deployments", name, "stop"]).json(&stop).answer().await
    }
}
