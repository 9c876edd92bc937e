//! Deployments of policies: what their streams of decisions are a function of. With the decisions themselves, in the log's
//! order, these records give a deployment's state, on whichever trainer.

use api::{
    Hash,
    deployments::NewDeployment,
    policies::{Outcome as Happened, ProviderNow, TenantNow},
    trainer::{FederationContribution, LeftOut},
};
use merkle_log::{CanonicalError, canonical_json};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::{Body, Kind, serving::Configuration};

mod changes;

pub use changes::{Cause, Change, Promoted, RolledBack};

const CREATED: Kind = Kind {
    name: "deployment.created",
    description: "ai-mesh policy that was deployed to route real requests",
    formerly: None,
};
const OPENED: Kind = Kind {
    name: "deployment.opened",
    description: "trainer that began to serve a deployment, or to continue it",
    formerly: None,
};
const DRAINED: Kind = Kind {
    name: "deployment.drained",
    description: "trainer that stopped serving a deployment, with all that it had promised in the log",
    formerly: None,
};
const INPUTS: Kind = Kind {
    name: "deployment.inputs",
    description: "what was asked for beside what decisions show: limits of requests, second tries, the state of the market",
    formerly: None,
};
const MARKET: Kind = Kind {
    name: "deployment.market",
    description: "providers and tenants of a deployment, as somebody said they were",
    formerly: None,
};
const WINDOW: Kind = Kind {
    name: "deployment.window",
    description: "window of a deployment that ended: its decisions and outcomes so far",
    formerly: None,
};
const OUTCOME: Kind = Kind {
    name: "deployment.outcome",
    description: "outcome of a deployment's decision: what really happened to its request",
    formerly: None,
};
const HEARD: Kind = Kind {
    name: "deployment.heard",
    description: "what a deployment took in of what deployments of other nodes have seen of the same providers",
    formerly: None,
};
const CALL: Kind = Kind {
    name: "deployment.call",
    description: "call with an idempotency key to a deployment, and which decisions were made for it",
    formerly: None,
};
const STOPPED: Kind =
    Kind { name: "deployment.stopped", description: "deployment that was stopped, and why", formerly: None };

pub(crate) const KINDS: &[Kind] = &[
    CREATED,
    OPENED,
    DRAINED,
    INPUTS,
    MARKET,
    WINDOW,
    OUTCOME,
    HEARD,
    CALL,
    changes::PROMOTED,
    changes::ROLLED_BACK,
    STOPPED,
];

/// The namespace of the UUIDv5 of deployments.
const NAMESPACE: Uuid = Uuid::from_u128(0x1d0c_7c55_55a5_4b8e_9f0a_90c1_c3f7_7d61);

/// The subject of all records of a deployment.
#[must_use]
pub fn subject(deployment: Uuid) -> String {
    format!("deployment:{deployment}")
}

/// A policy was deployed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Created {
    /// The deployment.
    pub deployment_id: Uuid,
    /// The digest of its stream: the `run` of its decisions.
    pub digest: Hash,
    /// How it decides; `starts_at` is there.
    pub settings: NewDeployment,
    /// The policy, and where it decides.
    pub configuration: Configuration,
    /// The learner's name, or the rule's.
    pub algorithm: String,
    /// The policies of its challengers, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub challengers: Vec<Challenging>,
}

/// A policy that challenges a deployment's champion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Challenging {
    /// The policy, and where it decides.
    pub configuration: Configuration,
    /// The learner's name, or the rule's.
    pub algorithm: String,
}

/// A trainer began to serve a deployment. Inputs before it, of which no decision came, were never answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opened {
    /// The deployment.
    pub deployment_id: Uuid,
    /// This time.
    pub session_id: Uuid,
    /// The verifier key of the trainer that promises decisions before they are in the log, where it does: its journal may hold
    /// some that are not, until a [`Drained`] of the session says that it holds none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promises: Option<String>,
}

/// All that was promised in a session is in the log, and the session has ended: another trainer may go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drained {
    /// The deployment.
    pub deployment_id: Uuid,
    /// The opening that has ended.
    pub session_id: Uuid,
}

/// What decisions that follow were made from, beside what they show themselves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// The deployment.
    pub deployment_id: Uuid,
    /// Under which opening.
    pub session_id: Uuid,
    /// The sequence number of the first of the decisions.
    pub first_sequence: u64,
    /// Whether those that waited had been decided.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_settled: bool,
    /// The providers as the caller said they were.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<ProviderNow>,
    /// The tenants as the caller said they were.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tenants: Vec<TenantNow>,
    /// The requests that are not as their tenants usually make them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<Special>,
}

/// The decisions that follow are to be made for a call with an Idempotency-Key. They were, if they follow in the same session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Called {
    /// The deployment.
    pub deployment_id: Uuid,
    /// Under which opening.
    pub session_id: Uuid,
    /// The caller's key.
    pub idempotency_key: String,
    /// SHA-256 of what was asked.
    pub request_sha256: Hash,
    /// The sequence number of the first of its decisions.
    pub first_sequence: u64,
    /// How many there are.
    pub decisions: u32,
}

impl Called {
    /// The subject of the calls under a key. A key may be as long as a subject may be at most, so its digest stands for it.
    #[must_use]
    pub fn subject_of(deployment: Uuid, key: &str) -> String {
        format!("deployment-call:{deployment}:{}", Hash(Sha256::digest(key).into()))
    }
}

impl Body for Called {
    const KIND: Kind = CALL;

    fn id(&self) -> String {
        format!("{}:{}:{}", self.subject(), self.session_id, self.first_sequence)
    }

    fn subject(&self) -> String {
        Self::subject_of(self.deployment_id, &self.idempotency_key)
    }
}

/// What is special about a request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Special {
    /// Which one: what its decision's sequence number is beyond the first.
    pub offset: u64,
    /// The highest latency that it accepts, in ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_latency_ms: Option<f64>,
    /// The lowest reputation that it accepts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_reputation: Option<f64>,
    /// The sequence number of the decision whose job failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<u64>,
}

/// Somebody said how providers and tenants are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Market {
    /// The deployment.
    pub deployment_id: Uuid,
    /// Which update, from 0.
    pub number: u64,
    /// The providers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<ProviderNow>,
    /// The tenants.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tenants: Vec<TenantNow>,
}

/// A window ended. The policy has learned from what was told in it, in the log's order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowEnded {
    /// The deployment.
    pub deployment_id: Uuid,
    /// Its number.
    pub number: u32,
    /// The number of the one that began.
    pub next: u32,
    /// Decisions so far.
    pub decisions: u64,
    /// Outcomes so far: of jobs that were done, and of such that were not.
    pub succeeded: u64,
    /// Likewise.
    pub failed: u64,
    /// Outcomes that are missing so far: nobody told them in time.
    pub missing: u64,
    /// SHA-256 over the state with which the next window begins.
    pub state_sha256: Hash,
    /// All that decisions are a function of from here on, an artifact: whoever goes on from it need not read what was before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_sha256: Option<Hash>,
}

/// What became of a decision was told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// The deployment.
    pub deployment_id: Uuid,
    /// The decision.
    pub decision_id: Uuid,
    /// Its sequence number.
    pub sequence: u64,
    /// What happened.
    pub outcome: Happened,
}

/// A deployment took in what others have seen of the same providers, in the place of all that it took in before. It acts on it
/// from here on, and whoever reads its state from the ledger does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heard {
    /// The deployment.
    pub deployment_id: Uuid,
    /// Which time, from 0.
    pub number: u64,
    /// The window that had begun.
    pub window: u32,
    /// What all of them tell of: these providers, in steps of this length.
    pub stream: Hash,
    /// Merkle tree hash of the map of all contributions that the node had.
    pub map_root: Hash,
    /// What was taken in, by author; the node's own contributions are not among them. Each is an artifact.
    pub heads: Vec<FederationContribution>,
    /// Whom the node left out by hand.
    pub excluded: Vec<String>,
    /// Whose contributions were left out, and why.
    pub left_out: Vec<LeftOut>,
    /// What it comes to, an artifact.
    pub heeded_sha256: Hash,
}

/// A deployment was stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stopped {
    /// The deployment.
    pub deployment_id: Uuid,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Created {
    /// Of a deployment that is new.
    ///
    /// # Errors
    /// A setting cannot be written as canonical JSON, which what came as JSON can.
    pub fn new(
        settings: NewDeployment,
        configuration: Configuration,
        algorithm: String,
        challengers: Vec<Challenging>,
    ) -> Result<Self, CanonicalError> {
        let digest = digest(&settings, &configuration, &challengers)?;
        let deployment_id = Self::id_of(&settings.name);
        Ok(Self { deployment_id, digest, settings, configuration, algorithm, challengers })
    }

    /// The deployment of a name.
    #[must_use]
    pub fn id_of(name: &str) -> Uuid {
        Uuid::new_v5(&NAMESPACE, name.as_bytes())
    }

    /// Whether it is what a trainer writes: the id is that of the name, the digest that of the settings.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.deployment_id == Self::id_of(&self.settings.name)
            && digest(&self.settings, &self.configuration, &self.challengers)
                .is_ok_and(|digest| digest == self.digest)
    }
}

/// SHA-256 over what a deployment's decisions are a function of, beside what is asked and told.
fn digest(
    settings: &NewDeployment,
    configuration: &Configuration,
    challengers: &[Challenging],
) -> Result<Hash, CanonicalError> {
    #[derive(Serialize)]
    struct Stream<'a> {
        configuration: &'a Configuration,
        settings: &'a NewDeployment,
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        challengers: &'a [Challenging],
    }
    canonical_json(&Stream { configuration, settings, challengers })
        .map(|json| Hash(Sha256::digest(json).into()))
}

impl Outcome {
    /// The id of the record about a decision's outcome.
    #[must_use]
    pub fn id_of(deployment: Uuid, sequence: u64) -> String {
        format!("{deployment}:outcome:{sequence}")
    }
}

impl Body for Created {
    const KIND: Kind = CREATED;

    fn id(&self) -> String {
        format!("{}:created", self.deployment_id)
    }

    fn subject(&self) -> String {
        subject(self.deployment_id)
    }
}

impl Body for Opened {
    const KIND: Kind = OPENED;

    fn id(&self) -> String {
        format!("{}:opened:{}", self.deployment_id, self.session_id)
    }

    fn subject(&self) -> String {
        subject(self.deployment_id)
    }
}

impl Body for Drained {
    const KIND: Kind = DRAINED;

    fn id(&self) -> String {
        format!("{}:drained:{}", self.deployment_id, self.session_id)
    }

    fn subject(&self) -> String {
        subject(self.deployment_id)
    }
}

impl Body for Inputs {
    const KIND: Kind = INPUTS;

    fn id(&self) -> String {
        format!("{}:inputs:{}:{}", self.deployment_id, self.session_id, self.first_sequence)
    }

    fn subject(&self) -> String {
        subject(self.deployment_id)
    }
}

impl Body for Market {
    const KIND: Kind = MARKET;

    fn id(&self) -> String {
        format!("{}:market:{}", self.deployment_id, self.number)
    }

    fn subject(&self) -> String {
        subject(self.deployment_id)
    }
}

impl Body for WindowEnded {
    const KIND: Kind = WINDOW;

    fn id(&self) -> String {
        format!("{}:window:{}", self.deployment_id, self.number)
    }

    fn subject(&self) -> String {
        subject(self.deployment_id)
    }
}

impl Body for Outcome {
    const KIND: Kind = OUTCOME;

    fn id(&self) -> String {
        Self::id_of(self.deployment_id, self.sequence)
    }

    fn subject(&self) -> String {
        subject(self.deployment_id)
    }
}

impl Body for Heard {
    const KIND: Kind = HEARD;

    fn id(&self) -> String {
        format!("{}:heard:{}", self.deployment_id, self.number)
    }

    fn subject(&self) -> String {
        subject(self.deployment_id)
    }
}

impl Body for Stopped {
    const KIND: Kind = STOPPED;

    fn id(&self) -> String {
        format!("{}:stopped", self.deployment_id)
    }

    fn subject(&self) -> String {
        subject(self.deployment_id)
    }
}
