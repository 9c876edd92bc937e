//! The evaluator's wire types.

use chrono::{DateTime, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    Hash,
    trainer::{AssumedPrice, EnvironmentSpec},
};

mod fronts;
mod logged;
mod result;
mod values;

pub use fronts::{
    Coverage, Front, FrontPoint, Fronts, GpuHoursFillBySize, LimitFront, ListedPreferences, PointOutcome,
    PreferenceGrid, PreferencesSpec, Weights,
};
pub use logged::{LogRange, LoggedEstimates, LoggedPolicy, LoggedResult, MeanEstimate};
pub use result::{
    Comparison, ConstraintResult, Estimate, EvaluationResult, Fairness, FillBySize, JobSize, Kept,
    LimitResult, MetricEstimates, PolicyResult, Provenance, Share, SizeEstimates, TenantEstimates,
    TrainingResult, Versus,
};
pub use values::{EvaluationValues, PolicyValues};

/// The first seed of the reserved range: it is only met when it is asked for by `final`, and that is recorded.
pub const FIRST_FINAL_SEED: u64 = 1 << 52;

/// An evaluation to run: learned policies and hand rules on the same held-out seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"environment": {"preset": "contended"}, "seeds": 3}))]
pub struct NewEvaluation {
    /// Learned policies: artifacts of the remembrancer, by SHA-256. A list in their place is one policy that was trained
    /// several times: files of the same algorithm, settings, preset, reward and number of episodes, trained on seeds of
    /// their own. Its intervals then cover the luck of training too. With `logged` also policies by their ids, and hand rules
    /// by their names, but no lists.
    #[garde(length(max = 20), inner(custom(has_trainings)))]
    #[schema(max_items = 20)]
    pub policies: Vec<Trainings>,
    /// Hand rules to compare with; all when absent, and under `preferences` all that heed them. The baseline `weighted-score` always takes part.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(max = 50)))]
    pub rules: Option<Vec<String>>,
    /// Providers, tenants and demand.
    #[garde(dive)]
    pub environment: EnvironmentSpec,
    /// What is wanted, in place of the weights of the reward `excess-cost`: the name of a preference, or weights. Rewards and
    /// limits are in its points; policies of adaptive and cem and the hand rules play for it, whatever they were trained
    /// for, and policies of other algorithms must have been trained for it. `at_most` and `at_least` constrain figures of each
    /// episode: adaptive, cem and the hand rules learn while deciding what that is worth.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    #[schema(value_type = Option<crate::PreferenceSpec>)]
    pub preference: Option<Value>,
    /// Many of them in place of one: `grid`, or a list of 2 to 64. The result then has the front of each policy beside the
    /// limit's (`fronts`), and no comparisons. Only policies of adaptive and cem, and the hand rules, play for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    #[schema(value_type = Option<PreferencesSpec>)]
    pub preferences: Option<Value>,
    /// How many held-out seeds, 2 to 1000.
    #[garde(range(min = 2, max = 1000))]
    #[schema(minimum = 2, maximum = 1000)]
    pub seeds: u32,
    /// The first of them; at least 2^32, and none of them from 2^52 on.
    #[garde(range(min = crate::FIRST_HELD_OUT_SEED, max = FIRST_FINAL_SEED - 1000))]
    #[schema(minimum = 4_294_967_296_i64, maximum = 4_503_599_627_369_496_i64)]
    pub first_seed: u64,
    /// True to open the final seeds, from 2^52 on, in place of `first_seed`: they are kept for the end, when nothing is
    /// chosen any more. That they were opened, when and for which policies, is recorded in the ledger before the first
    /// episode, and the result says how often they had been.
    #[serde(rename = "final", skip_serializing_if = "std::ops::Not::not")]
    #[garde(skip)]
    pub is_final: bool,
    /// Steps of each episode; as the workloads say when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1, max = 1_000_000)))]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub steps: Option<u32>,
    /// Steps of each episode for which the physical limit is solved: 0 for none; when absent, as many as can be
    /// solved in reasonable time. They are a stratified sample, drawn from the episode's seed. Under `preferences` all are
    /// solved, and it must be absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(max = 1_000_000)))]
    #[schema(maximum = 1_000_000)]
    pub limit_steps: Option<u32>,
    /// A deployment, by its name: the policies are judged from its decisions and what was told of them (off-policy), in its
    /// environment and for its reward, and nothing is simulated. It must explore. Beside it there are only `policies`,
    /// `rules` (none when absent) and `log_size`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(bytes, min = 1, max = 63)))]
    #[schema(min_length = 1, max_length = 63)]
    pub logged: Option<String>,
    /// With `logged`: as many leaves of the log are read, so that the same evaluation gives the same figures later. The
    /// log as it is when the evaluation is accepted, when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1, max = crate::MAX_SAFE_INTEGER)))]
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    pub log_size: Option<u64>,
}

/// The trainings of a learned policy: one artifact, or a list of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Trainings {
    /// A policy that was trained once.
    One(Hash),
    /// A policy that was trained several times, at most 20.
    Several(Vec<Hash>),
    /// With `logged`: a policy by its id, or a hand rule by its name.
    Named(PolicyName),
}

/// A policy's id, or the name of a hand rule. It is shorter than the digest of a policy file, so that nothing is both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PolicyName(pub String);

impl utoipa::PartialSchema for PolicyName {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .min_length(Some(1))
            .max_length(Some(63))
            .description(Some("A policy's id, or the name of a hand rule."))
            .examples(["bid-price"])
            .build()
            .into()
    }
}

impl ToSchema for PolicyName {}

impl Trainings {
    /// The policy files.
    #[must_use]
    pub fn artifacts(&self) -> &[Hash] {
        match self {
            Self::One(artifact) => std::slice::from_ref(artifact),
            Self::Several(artifacts) => artifacts,
            Self::Named(_) => &[],
        }
    }
}

fn has_trainings(trainings: &Trainings, _: &()) -> garde::Result {
    if matches!(trainings, Trainings::Named(_)) {
        return Ok(());
    }
    match trainings.artifacts().len() {
        1..=20 => Ok(()),
        found => Err(garde::Error::new(format!("expected 1 to 20 trainings of a policy, found {found}"))),
    }
}

impl Default for NewEvaluation {
    fn default() -> Self {
        Self {
            policies: Vec::new(),
            rules: None,
            environment: EnvironmentSpec::default(),
            preference: None,
            preferences: None,
            seeds: 50,
            first_seed: crate::FIRST_HELD_OUT_SEED,
            is_final: false,
            steps: None,
            limit_steps: None,
            logged: None,
            log_size: None,
        }
    }
}

/// The state of an evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EvaluationStatus {
    /// Queued or being computed.
    Running,
    /// Done; see `result`.
    Completed,
    /// Could not be computed; `error` says why.
    Failed,
}

/// An evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Evaluation {
    /// Its id.
    pub id: Uuid,
    /// Its state.
    pub status: EvaluationStatus,
    /// The request that created it.
    pub config: NewEvaluation,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// Episodes done, over all policies.
    pub episodes_done: u64,
    /// Episodes to play in all.
    pub episodes_total: u64,
    /// Steps whose physical limit is known, over all seeds.
    #[serde(default)]
    pub limit_steps_done: u64,
    /// Steps whose physical limit is wanted; 0 where there is none.
    #[serde(default)]
    pub limit_steps_total: u64,
    /// What its catalog lists without a price. Absent when everything has one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assumed_prices: Vec<AssumedPrice>,
    /// The result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<EvaluationResult>,
    /// The id of its ledger record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_id: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Which evaluations to list, newest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams, Validate)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EvaluationQuery {
    /// Items per page, 1 to 1000 (default 100).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1, max = 1000)))]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
    /// Where the page starts: `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub cursor: Option<String>,
}
