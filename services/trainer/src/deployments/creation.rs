//! New deployments: what must hold of them, and what is recorded.

use std::sync::Arc;

use api::{
    FieldError,
    deployments::{Durability, NewDeployment},
};
use records::{
    deployments::{Challenging, Created},
    serving::Configuration,
};
use uuid::Uuid;

use super::{DeployError, Deployments, challenge};
use crate::policies::{Policy, identity::Identity};

/// The format and version of what a stream's digest is over.
const STREAM_FORMAT: &str = "ai-mesh-deployment/1";

impl Deployments {
    /// # Errors
    /// A field is wrong.
    pub(super) async fn check(&self, asked: &NewDeployment) -> Result<Vec<Arc<Policy>>, DeployError> {
        let wrong = |pointer: &str, detail: String| {
            DeployError::Invalid(vec![FieldError { pointer: pointer.to_owned(), detail }])
        };
        let errors = challenge::check(asked);
        if !errors.is_empty() {
            return Err(DeployError::Invalid(errors));
        }
        if asked.settle_seconds >= asked.step_seconds {
            let detail = format!("expected less than `step_seconds`, {}", asked.step_seconds);
            return Err(wrong("/settle_seconds", detail));
        }
        if asked.durability == Durability::Promise && self.0.keeper.is_none() {
            let detail = "expected `ledger`: to promise decisions a trainer needs a folder of its own (its setting `data_dir`), and \
                          this one has none";
            return Err(wrong("/durability", detail.to_owned()));
        }
        let mut policies = vec![self.deployable("/policy_id", asked.policy_id).await?];
        for (i, challenger) in asked.challengers.iter().enumerate() {
            let pointer = format!("/challengers/{i}/policy_id");
            let policy = self.deployable(&pointer, challenger.policy_id).await?;
            if policy.environment_sha256 != policies[0].environment_sha256 {
                let detail = "expected a policy that was imported with the champion's environment";
                return Err(wrong(&pointer, detail.to_owned()));
            }
            policies.push(policy);
        }
        Ok(policies)
    }

    /// A policy that can decide a stream, which stands at this place of what was asked.
    async fn deployable(&self, pointer: &str, id: Uuid) -> Result<Arc<Policy>, DeployError> {
        let wrong =
            |detail: String| DeployError::Invalid(vec![FieldError { pointer: pointer.to_owned(), detail }]);
        let policy = self
            .policy(id)
            .await?
            .ok_or_else(|| wrong("there is no such policy: `GET /v1/policies` lists them".to_owned()))?;
        let made = self.0.serving.made(&policy).await;
        let (_, swarm, _) = made.map_err(|error| wrong(format!("it cannot be made: {error}")))?;
        if !swarm.decides_one_by_one() {
            let detail = "expected a policy whose agents take requests in turn: agents of regions (`regions`) divide a \
                          step's requests beforehand, which a stream's are not known";
            return Err(wrong(detail.to_owned()));
        }
        Ok(policy)
    }

    pub(super) async fn policy(&self, id: Uuid) -> Result<Option<Arc<Policy>>, DeployError> {
        if let Some(known) = self.0.policies.get(id) {
            return Ok(Some(known));
        }
        self.0.policies.glance().await;
        Ok(self.0.policies.get(id))
    }
}

/// What is recorded of a new deployment.
pub(super) fn created(settings: NewDeployment, policies: &[Arc<Policy>]) -> Result<Created, DeployError> {
    let mut described = policies.iter().map(|policy| {
        let identity = Identity::new(None, policy.source, policy.environment_sha256);
        let configuration = Configuration { format: STREAM_FORMAT.to_owned(), ..identity.stream(policy.id) };
        Challenging { configuration, algorithm: policy.algorithm.clone() }
    });
    let champion = described.next().ok_or_else(|| DeployError::Internal("it has no policy".to_owned()))?;
    let Challenging { configuration, algorithm } = champion;
    let challengers: Vec<_> = described.collect();
    Created::new(settings, configuration, algorithm, challengers)
        .map_err(|error| DeployError::Internal(error.to_string()))
}
