//! Evaluations of policies.

use api::{
    Hash,
    evaluator::{EvaluationResult, NewEvaluation},
    remembrancer::Record,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Body, Kind, own_id};

/// All records about evaluations, and those of results that were called just that.
const EVALUATION: Kind = Kind {
    name: "evaluation",
    description: "ai-mesh policy evaluation: results against the baseline",
    formerly: None,
};
const CREATED: Kind = Kind {
    name: "evaluation.created",
    description: "what the evaluation was asked for with",
    formerly: None,
};
const COMPLETED: Kind = Kind {
    name: "evaluation.completed",
    description: "what the evaluation found",
    formerly: Some("evaluation"),
};

const FAILED: Kind =
    Kind { name: "evaluation.failed", description: "why the evaluation found nothing", formerly: None };

const FINAL_OPENED: Kind = Kind {
    name: "evaluation.final",
    description: "the final held-out seeds were opened, and for which policies",
    formerly: None,
};

pub(crate) const KINDS: &[Kind] = &[EVALUATION, CREATED, COMPLETED, FAILED, FINAL_OPENED];

/// The subject of all records about an evaluation.
#[must_use]
pub fn subject(evaluation: Uuid) -> String {
    format!("evaluation:{evaluation}")
}

/// An evaluation was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Created {
    /// The evaluation.
    pub evaluation_id: Uuid,
    /// What was asked for.
    pub config: NewEvaluation,
    /// `config` as text: a record's canonical JSON sorts keys, but the order of a workload mix matters.
    pub config_text: String,
    /// The caller's key for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

/// An evaluation found its result. It holds no clock time, so that the same evaluation gives the same bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Completed {
    /// The evaluation, which only the record's id names.
    #[serde(skip)]
    pub evaluation_id: Uuid,
    /// SHA-256 of the environment's definition.
    pub environment_digest: Hash,
    /// What was asked for.
    pub config: NewEvaluation,
    /// `config` as text: a record's canonical JSON sorts keys, but the order of a workload mix matters.
    pub config_text: String,
    /// What was found.
    pub result: EvaluationResult,
}

/// An evaluation could not be done. It has the id that a result would have: an evaluation ends once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failed {
    /// The evaluation, which only the record's id names.
    #[serde(skip)]
    pub evaluation_id: Uuid,
    /// What was asked for.
    pub config: NewEvaluation,
    /// `config` as text: a record's canonical JSON sorts keys, but the order of a workload mix matters.
    pub config_text: String,
    /// Why, in a sentence.
    pub error: String,
}

/// The final seeds were opened: it is recorded before the first episode on them is played.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinalOpened {
    /// The evaluation.
    pub evaluation_id: Uuid,
    /// The preset. Openings of the same preset are counted.
    pub environment: String,
    /// SHA-256 of the environment's definition.
    pub environment_digest: Hash,
    /// The first of the seeds.
    pub first_seed: u64,
    /// How many.
    pub seeds: u32,
    /// The policies that meet them: of each its trainings.
    pub policies: Vec<Vec<Hash>>,
}

impl FinalOpened {
    /// The id of the record about an evaluation's opening of the final seeds.
    #[must_use]
    pub fn id_of(evaluation: Uuid) -> String {
        format!("{evaluation}:final")
    }
}

impl Created {
    /// The id of the record about an evaluation's beginning.
    #[must_use]
    pub fn id_of(evaluation: Uuid) -> String {
        format!("{evaluation}:created")
    }

    /// Of an evaluation that begins.
    ///
    /// # Errors
    /// When the configuration cannot be written as JSON, which what came as JSON can.
    pub fn new(
        evaluation_id: Uuid,
        config: NewEvaluation,
        idempotency_key: Option<String>,
    ) -> Result<Self, serde_json::Error> {
        let config_text = serde_json::to_string(&config)?;
        Ok(Self { evaluation_id, config, config_text, idempotency_key })
    }

    /// The configuration exactly as it was asked for.
    ///
    /// # Errors
    /// When `config_text` is not what an evaluator writes.
    pub fn exact_config(&self) -> Result<NewEvaluation, serde_json::Error> {
        serde_json::from_str(&self.config_text)
    }
}

impl Completed {
    /// Of an evaluation that is done.
    ///
    /// # Errors
    /// As [`Created::new`].
    pub fn new(
        evaluation_id: Uuid,
        config: NewEvaluation,
        result: EvaluationResult,
    ) -> Result<Self, serde_json::Error> {
        let config_text = serde_json::to_string(&config)?;
        let environment_digest = result.environment_digest;
        Ok(Self { evaluation_id, environment_digest, config, config_text, result })
    }

    /// The id of the record about an evaluation's result.
    #[must_use]
    pub fn id_of(evaluation: Uuid) -> String {
        evaluation.to_string()
    }

    /// The configuration exactly as it was asked for.
    ///
    /// # Errors
    /// As [`Created::exact_config`].
    pub fn exact_config(&self) -> Result<NewEvaluation, serde_json::Error> {
        serde_json::from_str(&self.config_text)
    }
}

impl Failed {
    /// Of an evaluation that cannot be done.
    ///
    /// # Errors
    /// As [`Created::new`].
    pub fn new(evaluation_id: Uuid, config: NewEvaluation, error: String) -> Result<Self, serde_json::Error> {
        let config_text = serde_json::to_string(&config)?;
        Ok(Self { evaluation_id, config, config_text, error })
    }

    /// The configuration exactly as it was asked for.
    ///
    /// # Errors
    /// As [`Created::exact_config`].
    pub fn exact_config(&self) -> Result<NewEvaluation, serde_json::Error> {
        serde_json::from_str(&self.config_text)
    }
}

impl Body for Created {
    const KIND: Kind = CREATED;

    fn id(&self) -> String {
        Self::id_of(self.evaluation_id)
    }

    fn subject(&self) -> String {
        subject(self.evaluation_id)
    }
}

impl Body for FinalOpened {
    const KIND: Kind = FINAL_OPENED;

    fn id(&self) -> String {
        Self::id_of(self.evaluation_id)
    }

    fn subject(&self) -> String {
        subject(self.evaluation_id)
    }
}

impl Body for Failed {
    const KIND: Kind = FAILED;

    fn id(&self) -> String {
        Completed::id_of(self.evaluation_id)
    }

    fn subject(&self) -> String {
        subject(self.evaluation_id)
    }

    fn complete(&mut self, record: &Record) {
        self.evaluation_id = own_id(&record.id).parse().unwrap_or_default(); // the id of nobody's record, if it is none
    }
}

impl Body for Completed {
    const KIND: Kind = COMPLETED;

    fn id(&self) -> String {
        Self::id_of(self.evaluation_id)
    }

    fn subject(&self) -> String {
        subject(self.evaluation_id)
    }

    fn complete(&mut self, record: &Record) {
        self.evaluation_id = own_id(&record.id).parse().unwrap_or_default(); // the id of nobody's record, if it is none
    }
}
