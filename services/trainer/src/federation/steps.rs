//! What a deployment does between two windows: it publishes what it has seen of providers, and takes in what others have.

use api::{
    Hash,
    trainer::{FederationContribution, LeftOut},
};
use client::Ledger;
use federation::{Digest, STEPS, StepsLaw, Stream, StreamId, Window, live::STEPS_VERSION};
use merkle_log::canonical_json;
use policy::Knowledge;
use routing_env::Environment;
use serde_json::{Map, Value, json};

use super::{
    Federation, FederationError, Published,
    exchange::{all_left_out, excluded, named},
    there,
};

/// What deployments tell of that see the same providers in steps of the same length, whatever is asked of them and whatever
/// they want.
#[derive(Clone, Debug)]
pub(crate) struct StepsStream {
    stream: Stream,
    id: StreamId,
    providers: usize,
}

/// What a deployment has seen itself.
#[derive(Clone, Debug)]
pub(crate) struct SeenSteps {
    /// The deployment's name.
    pub(crate) deployment: String,
    /// The digest of its stream.
    pub(crate) run: Hash,
    /// How many windows have ended.
    pub(crate) windows_ended: u32,
    /// How many outcomes it was told.
    pub(crate) outcomes: u64,
    /// What they showed.
    pub(crate) steps: Window,
}

/// What the others have seen, and who they are.
#[derive(Clone, Debug)]
pub(crate) struct OthersSteps {
    pub(crate) steps: Window,
    pub(crate) stream: Hash,
    pub(crate) map_root: Hash,
    pub(crate) heads: Vec<FederationContribution>,
    pub(crate) excluded: Vec<String>,
    pub(crate) left_out: Vec<LeftOut>,
    pub(crate) heeded_sha256: Hash,
}

impl StepsStream {
    /// The stream for these providers and this length of windows.
    ///
    /// # Errors
    /// The providers have no canonical JSON.
    pub(crate) fn of(env: &Environment, step_seconds: u32) -> Result<Self, FederationError> {
        let damaged = |error: merkle_log::CanonicalError| FederationError::Damaged(error.to_string());
        // latencies are told as multiples of these
        let providers: Vec<_> = env
            .catalog()
            .providers
            .iter()
            .map(|provider| json!({"id": provider.id, "base_latency_ms": provider.base_latency_ms}))
            .collect();
        let catalog = Digest::of(&canonical_json(&providers).map_err(damaged)?).to_string();
        let count = providers.len();
        let stream = Stream {
            learner: STEPS.to_owned(),
            settings: json!({"step_seconds": step_seconds, "providers": providers}),
            catalog,
            preference: Value::Null,
            version: STEPS_VERSION,
        };
        let id = stream.id().map_err(damaged)?;
        Ok(Self { stream, id, providers: count })
    }

    /// Of how many providers a stream tells, if it is one of steps.
    pub(super) fn providers_of(about: &Value) -> Option<usize> {
        (about["learner"] == STEPS).then(|| about["settings"]["providers"].as_array().map(Vec::len))?
    }

    /// What was published, or taken in.
    ///
    /// # Errors
    /// It is of other providers.
    pub(crate) fn read(&self, told: &Knowledge) -> Result<Window, String> {
        Window::read(told, self.providers)
    }

    /// Brings what two deployments of this node have seen together.
    fn add(&self, all: &mut Knowledge, other: &Knowledge) -> Result<(), String> {
        let (sum, other) = (self.read(all)?, self.read(other)?);
        let last = sum.last().max(other.last()).unwrap_or_default();
        // one of them may have been quiet for long
        let mut sum = sum.within(last);
        sum.add(&other.within(last))?;
        *all = sum.knowledge();
        Ok(())
    }
}

impl Federation {
    /// Publishes what a deployment has seen, as the node's next contribution.
    ///
    /// # Errors
    /// As [`Federation::publish`].
    pub(crate) async fn publish_steps(
        &self,
        ledger: &Ledger,
        of: &StepsStream,
        seen: SeenSteps,
    ) -> Result<(), FederationError> {
        let published = Published {
            stream: of.stream.clone(),
            run: seen.run,
            made_by: Map::from_iter([("deployment".to_owned(), seen.deployment.into())]),
            episodes_done: seen.windows_ended,
            decisions: seen.outcomes,
            knowledge: seen.steps.knowledge(),
            unlearned: Window::default().knowledge(),
        };
        self.publish(ledger, &published, |all, other| of.add(all, other)).await
    }

    /// What others have seen up to `last`; `None` where it comes from the contributions that are known already.
    ///
    /// # Errors
    /// The ledger's.
    pub(crate) async fn others_steps(
        &self,
        ledger: &Ledger,
        of: &StepsStream,
        last: u64,
        known: &[FederationContribution],
    ) -> Result<Option<OthersSteps>, FederationError> {
        let mut guard = self.node(ledger).await?;
        let node = there(&mut guard)?;
        let (law, nothing) = (StepsLaw { providers: of.providers, last }, Window::default().knowledge());
        let exclusions = node.exclusions();
        let fold = node.replica.fold_of_others(of.id, &exclusions, &law, &nothing)?;
        let others = self.others(node.replica.own(), &fold);
        if others.iter().map(|(_, head)| head.artifact.0).eq(known.iter().map(|known| known.sha256.0)) {
            return Ok(None);
        }
        let heads = named(ledger, node, &others).await?;
        let steps = of.read(&fold.knowledge).map_err(FederationError::Damaged)?;
        let bytes = canonical_json(&fold.knowledge)
            .map_err(|error| FederationError::Damaged(format!("what others have seen: {error}")))?;
        Ok(Some(OthersSteps {
            steps,
            stream: Hash(of.id.0.0),
            map_root: Hash(node.replica.heads().root().0),
            heads,
            excluded: excluded(&exclusions),
            left_out: all_left_out(&fold)?,
            heeded_sha256: ledger.put_artifact("application/json", bytes).await?,
        }))
    }
}
