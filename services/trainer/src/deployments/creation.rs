//! New deployments: what must hold of them, and what is recorded.

use std::sync::Arc;

use api::{
    FieldError,
    deployments::{Durability, NewDeployment},
};
use merkle_log::canonical_json;
use policy::Swarm;
use records::{
    deployments::{Challenging, Created},
    serving::Configuration,
};
use routing_env::Preferences;
use serde_json::Value;
use uuid::Uuid;

use super::{DeployError, Deployments, challenge};
use crate::{
    policies::{Policy, identity::Identity},
    run_config::of_preference,
    serving::ServeError,
};

/// The format and version of what a stream's digest is over.
const STREAM_FORMAT: &str = "ai-mesh-deployment/1";

impl Deployments {
    /// What is wanted, as it is recorded: weights, whatever a name comes to mean.
    ///
    /// # Errors
    /// There is no such preference, or no such policy.
    pub(super) async fn weights(&self, asked: &NewDeployment) -> Result<Option<Value>, DeployError> {
        let Some(preference) = &asked.preference else { return Ok(None) };
        let policy = self.existing("/policy_id", asked.policy_id).await?;
        let environment = policy.environment().map_err(DeployError::Invalid)?;
        let wanted = Preferences::asked(preference, &environment);
        let wanted = wanted.map_err(|error| DeployError::Invalid(vec![of_preference(error)]))?;
        // spelled as the ledger has it, so that it is equal to what is read from there
        let weights =
            canonical_json(&wanted.spelled(&environment)).map(|weights| serde_json::from_slice(&weights));
        let weights = weights.map_err(|error| DeployError::Internal(error.to_string()))?;
        weights.map(Some).map_err(|error| DeployError::Internal(error.to_string()))
    }

    /// # Errors
    /// A field is wrong.
    pub(super) async fn check(&self, asked: &NewDeployment) -> Result<Vec<Arc<Policy>>, DeployError> {
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
        let wanted = asked.preference.as_ref();
        let (champion, mut swarm) = self.deployable("/policy_id", asked.policy_id, wanted).await?;
        if asked.federate && swarm.heed_steps(&[]) != Ok(true) {
            let detail = "expected a policy of adaptive with `federate`: others keep no figures of single windows that could be \
                          told to other nodes";
            return Err(wrong("/policy_id", detail.to_owned()));
        }
        let mut policies = vec![champion];
        for (i, challenger) in asked.challengers.iter().enumerate() {
            let pointer = format!("/challengers/{i}/policy_id");
            let (policy, _) = self.deployable(&pointer, challenger.policy_id, wanted).await?;
            if policy.environment_sha256 != policies[0].environment_sha256 {
                let detail = "expected a policy that was imported with the champion's environment";
                return Err(wrong(&pointer, detail.to_owned()));
            }
            policies.push(policy);
        }
        Ok(policies)
    }

    /// A policy that stands at this place of what was asked.
    async fn existing(&self, pointer: &str, id: Uuid) -> Result<Arc<Policy>, DeployError> {
        let missing = || wrong(pointer, "there is no such policy: `GET /v1/policies` lists them".to_owned());
        self.policy(id).await?.ok_or_else(missing)
    }

    /// One that can decide a stream, for those who want this.
    async fn deployable(
        &self,
        pointer: &str,
        id: Uuid,
        wanted: Option<&Value>,
    ) -> Result<(Arc<Policy>, Swarm), DeployError> {
        let policy = self.existing(pointer, id).await?;
        let (_, swarm, _) = match self.0.serving.made(&policy, wanted).await {
            Err(ServeError::Invalid(_)) => {
                let detail = "expected a policy that can decide for any `preference`: a hand rule, or one of adaptive or cem; \
                              what others have learned are the values of what they were trained for";
                return Err(wrong(pointer, detail.to_owned()));
            }
            made => made.map_err(|error| wrong(pointer, format!("it cannot be made: {error}")))?,
        };
        if !swarm.decides_one_by_one() {
            let detail = "expected a policy whose agents take requests in turn: agents of regions (`regions`) divide a \
                          step's requests beforehand, which a stream's are not known";
            return Err(wrong(pointer, detail.to_owned()));
        }
        Ok((policy, swarm))
    }

    pub(super) async fn policy(&self, id: Uuid) -> Result<Option<Arc<Policy>>, DeployError> {
        if let Some(known) = self.0.policies.get(id) {
            return Ok(Some(known));
        }
        self.0.policies.glance().await;
        Ok(self.0.policies.get(id))
    }
}

fn wrong(pointer: &str, detail: String) -> DeployError {
    DeployError::Invalid(vec![FieldError { pointer: pointer.to_owned(), detail }])
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
