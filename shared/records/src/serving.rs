//! Decisions about real requests: the streams that they are in, and the answers that are kept.

use api::Hash;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::{Body, Kind, policy};

const SESSION: Kind = Kind {
    name: "serving.session",
    description: "ai-mesh policy that serves routing decisions on request: a session of its stream",
    formerly: Some("run"),
};
const ANSWER: Kind = Kind {
    name: "serving.answer",
    description: "answer to a request for decisions, kept under its idempotency key",
    formerly: Some("note"),
};

pub(crate) const KINDS: &[Kind] = &[SESSION, ANSWER];

/// The format and version of what a stream's digest is over.
pub const STREAM_FORMAT: &str = "ai-mesh-serving/1";

/// What the figures of served decisions mean, for whoever finds them in the ledger.
const FIGURES: &str = "The decisions of this run were served on request, not simulated: cost_usd, latency_ms, \
    price_usd_per_hour and reward are what was expected when they were made. episode is the session, step the call \
    in it. What really happened is in the records \
    about decision:<id>, where it was told.";

/// What a policy's served decisions are a function of, beside the requests and the state that come with them. The
/// stream's digest is the SHA-256 over its canonical JSON (RFC 8785).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// [`STREAM_FORMAT`].
    pub format: String,
    /// The policy.
    pub policy_id: Uuid,
    /// The policy file, an artifact; a hand rule has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_sha256: Option<Hash>,
    /// The hand rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// SHA-256 of the environment's definition.
    pub environment_sha256: Hash,
}

/// A session of a policy's stream began. It binds the stream's digest to the policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The policy.
    pub policy_id: Uuid,
    /// The stream's digest: the `run` of its decisions.
    pub digest: Hash,
    /// Which session: the `episode` of its decisions.
    pub session: u32,
    /// Makes the record one that nobody else can have written.
    pub session_id: Uuid,
    /// What the digest is over.
    pub configuration: Configuration,
    /// What the figures of its decisions mean.
    pub figures: String,
}

/// An answer was kept under an Idempotency-Key. Of several attempts the last one counts: those before were never
/// answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The policy that was asked.
    pub policy_id: Uuid,
    /// The caller's key.
    pub idempotency_key: String,
    /// Which attempt, from 0.
    pub attempt: u32,
    /// SHA-256 of what was asked.
    pub request_sha256: Hash,
    /// The artifact with the answer.
    pub answer_sha256: Hash,
}

impl Session {
    /// A session, to be numbered from 0 within its policy's stream.
    #[must_use]
    pub fn new(digest: Hash, session: u32, session_id: Uuid, configuration: Configuration) -> Self {
        let policy_id = configuration.policy_id;
        Self { policy_id, digest, session, session_id, configuration, figures: FIGURES.to_owned() }
    }
}

impl Body for Session {
    const KIND: Kind = SESSION;

    fn id(&self) -> String {
        format!("{}:serving:{}", self.policy_id, self.session)
    }

    fn subject(&self) -> String {
        policy::subject(self.policy_id)
    }
}

impl Answer {
    /// The subject of the answers that are kept under a key. A key may be as long as a subject may be at most, so its
    /// digest stands for it.
    #[must_use]
    pub fn subject_of(policy: Uuid, key: &str) -> String {
        format!("served:{policy}:{}", Hash(Sha256::digest(key).into()))
    }
}

impl Body for Answer {
    const KIND: Kind = ANSWER;

    fn id(&self) -> String {
        format!("{}:{}", self.subject(), self.attempt)
    }

    fn subject(&self) -> String {
        Self::subject_of(self.policy_id, &self.idempotency_key)
    }
}
