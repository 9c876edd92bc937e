//! A training run's life: from these records a trainer finds its runs again.

mod record;

use api::{
    Hash,
    trainer::{Checkpoint, EnvironmentSpec, Labels, NewRun, RunStatus},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Body, Kind};

pub use api::remembrancer::run_subject as subject;
pub use record::RunRecord;

/// All records about runs, and those that were called just that.
const RUN: Kind = Kind {
    name: "run",
    description: "ai-mesh training run of a swarm of agents: its routing decisions",
    formerly: None,
};
const CREATED: Kind = kind("run.created", "the run's configuration, as it was asked for");
const CHECKPOINTED: Kind = kind("run.checkpointed", "a checkpoint that the run can be resumed from");
const LABELLED: Kind = kind("run.labelled", "the run's name, tags and notes");
const PAUSED: Kind = kind("run.paused", "the run was paused");
const RESUMED: Kind = kind("run.resumed", "the run was resumed");
const CANCELLING: Kind = kind("run.cancelling", "the run was told to end after its episode");
const ENDED: Kind = kind("run.ended", "the run's status at its end, with its root and its policy");

pub(crate) const KINDS: &[Kind] = &[RUN, CREATED, CHECKPOINTED, LABELLED, PAUSED, RESUMED, CANCELLING, ENDED];

/// A run was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Created {
    /// The run.
    pub run_id: Uuid,
    /// Its digest: the `run` of its decisions.
    pub digest: Hash,
    /// SHA-256 of its environment's definition.
    pub environment_sha256: Hash,
    /// What was asked for.
    pub config: NewRun,
    /// The configuration's environment as JSON text, when it brings files of its own: the order of a
    /// workload mix has a meaning, and canonical JSON does not keep the order of an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment_json: Option<String>,
    /// The caller's key for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// The run that was rewound to begin it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewound_from: Option<Uuid>,
}

/// A run was checkpointed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpointed {
    /// The run.
    pub run_id: Uuid,
    /// Its digest.
    pub digest: Hash,
    /// Episodes done.
    pub episodes_done: u32,
    /// Decisions made.
    pub decisions: u64,
    /// RFC 6962 root over the decisions.
    pub run_root: Hash,
    /// The artifact that holds the checkpoint.
    pub checkpoint_sha256: Hash,
    /// The artifact that lists the interventions applied so far, when there are some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interventions_sha256: Option<Hash>,
    /// The artifact that holds the windows since the checkpoint before; absent in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows: Option<Windows>,
    /// False when the run went on without psi-field at some time.
    pub reproducible: bool,
}

/// A part of a run's windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Windows {
    /// The artifact: CSV with a header, compressed by gzip.
    pub sha256: Hash,
    /// The number of the first window in it.
    pub first: u64,
    /// How many there are; their numbers grow by one.
    pub count: u64,
}

impl Windows {
    /// The number after the last.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.first.saturating_add(self.count)
    }
}

/// A run was given other labels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Labelled {
    /// The run.
    pub run_id: Uuid,
    /// Its digest.
    pub digest: Hash,
    /// Which change of its labels.
    pub change: Uuid,
    /// Its labels from now on.
    pub labels: Labels,
}

/// A run was paused, or resumed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// The run.
    pub run_id: Uuid,
    /// Its digest.
    pub digest: Hash,
    /// Which of its pauses, from 1.
    pub number: u32,
    /// False when the pause begins, true when it ends.
    pub resumed: bool,
}

/// A run was cancelled: it ends after the episode under way, whoever plays it then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancelling {
    /// The run.
    pub run_id: Uuid,
    /// Its digest.
    pub digest: Hash,
}

/// A run ended: the record that binds the run's id to its digest and its root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The run.
    pub run_id: Uuid,
    /// Its digest.
    pub digest: Hash,
    /// How it ended.
    pub status: RunStatus,
    /// RFC 6962 root over its decisions; absent when it made none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_root: Option<Hash>,
    /// Decisions made.
    pub decisions: u64,
    /// Episodes done.
    pub episodes_done: u32,
    /// The learned policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_sha256: Option<Hash>,
    /// Its last checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_sha256: Option<Hash>,
    /// False when the run went on without psi-field at some time.
    pub reproducible: bool,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Body for Created {
    const KIND: Kind = CREATED;

    fn id(&self) -> String {
        format!("{}:created", self.run_id)
    }

    fn subject(&self) -> String {
        subject(self.run_id)
    }
}

impl Body for Checkpointed {
    const KIND: Kind = CHECKPOINTED;

    fn id(&self) -> String {
        format!("{}:checkpoint:{}", self.run_id, self.episodes_done)
    }

    fn subject(&self) -> String {
        subject(self.run_id)
    }
}

impl Body for Labelled {
    const KIND: Kind = LABELLED;

    fn id(&self) -> String {
        format!("{}:labelled:{}", self.run_id, self.change)
    }

    fn subject(&self) -> String {
        subject(self.run_id)
    }
}

impl Body for Pause {
    const KIND: Kind = PAUSED;

    fn kind(&self) -> Kind {
        if self.resumed { RESUMED } else { PAUSED }
    }

    fn id(&self) -> String {
        let event = if self.resumed { "resumed" } else { "paused" };
        format!("{}:{event}:{}", self.run_id, self.number)
    }

    fn subject(&self) -> String {
        subject(self.run_id)
    }
}

impl Body for Cancelling {
    const KIND: Kind = CANCELLING;

    fn id(&self) -> String {
        format!("{}:cancelling", self.run_id)
    }

    fn subject(&self) -> String {
        subject(self.run_id)
    }
}

impl Body for Ended {
    const KIND: Kind = ENDED;

    fn id(&self) -> String {
        format!("{}:{}", self.run_id, self.status.name())
    }

    fn subject(&self) -> String {
        subject(self.run_id)
    }
}

impl Created {
    /// The configuration exactly as it was asked for.
    ///
    /// # Errors
    /// When `environment_json` is not what a trainer writes.
    pub fn exact_config(&self) -> Result<NewRun, serde_json::Error> {
        let mut config = self.config.clone();
        if let Some(text) = &self.environment_json {
            config.environment = serde_json::from_str(text)?;
        }
        Ok(config)
    }

    /// The environment's text, when its files' order must be kept.
    #[must_use]
    pub fn environment_json(environment: &EnvironmentSpec) -> Option<String> {
        let own_files = environment.providers.is_some() || environment.workloads.is_some();
        own_files.then(|| serde_json::to_string(environment).ok()).flatten()
    }
}

impl Checkpointed {
    /// The checkpoint as the API shows it.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            sha256: self.checkpoint_sha256,
            episodes_done: self.episodes_done,
            decisions: self.decisions,
            run_root: self.run_root,
        }
    }
}

const fn kind(name: &'static str, description: &'static str) -> Kind {
    Kind { name, description, formerly: Some("run") }
}
