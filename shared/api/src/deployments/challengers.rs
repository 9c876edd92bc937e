//! Challengers of a deployment's policy: asked for, compared, promoted and rolled back.

use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// A policy that may take the champion's place.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct Challenger {
    /// The policy. It decides in the champion's environment.
    #[garde(skip)]
    pub policy_id: Uuid,
    /// What it does beside the champion.
    #[garde(skip)]
    pub mode: ChallengerMode,
    /// The share of the requests that a canary decides; a shadow has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 0.001, max = 0.5)))]
    #[schema(minimum = 0.001, maximum = 0.5)]
    pub share: Option<f64>,
}

/// What a challenger does beside the champion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChallengerMode {
    /// It decides every request in thought, in a stream of its own on the same market. Nothing is sent anywhere.
    Shadow,
    /// It decides a share of the requests.
    Canary,
}

/// What a canary's jobs may come to on average. One that is beyond a limit, beyond doubt, is rolled back at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct Guardrails {
    /// The highest share of jobs that fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1e-6, max = 1.0)))]
    #[schema(minimum = 1e-6, maximum = 1)]
    pub max_failure_rate: Option<f64>,
    /// The highest mean latency of the jobs that are done, in ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1e-3, max = 1e9)))]
    #[schema(minimum = 1e-3, maximum = 1e9)]
    pub max_mean_latency_ms: Option<f64>,
    /// The highest mean cost of the jobs that are done, in USD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1e-9, max = 1e9)))]
    #[schema(minimum = 1e-9, maximum = 1e9)]
    pub max_mean_cost_usd: Option<f64>,
}

/// Who promotes a canary that has earned more than the champion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Promotion {
    /// The deployment itself, as soon as that is beyond doubt.
    #[default]
    Automatic,
    /// People: `POST /v1/deployments/{name}/promote`.
    ByHand,
}

impl Promotion {
    /// Whether it is what it is by default.
    #[must_use]
    pub fn is_automatic(&self) -> bool {
        *self == Self::Automatic
    }
}

/// Where a challenger stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChallengerState {
    /// It challenges the champion.
    Active,
    /// It is the champion.
    Champion,
    /// It was the champion, until another one was promoted.
    Former,
    /// It was rolled back, and decides nothing any more.
    RolledBack,
}

/// A challenger, and how it does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ChallengerStatus {
    /// Which arm it is: the `arm` of its decisions, its position in `challengers`, from 1.
    pub arm: u32,
    /// The policy.
    pub policy_id: Uuid,
    /// The learner's name, or the rule's.
    pub algorithm: String,
    /// What it does.
    pub mode: ChallengerMode,
    /// Where it stands.
    pub state: ChallengerState,
    /// The share of the requests that it decides now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// How a canary does beside the champion, since the champion is the champion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
    /// How a shadow does beside the champion, since the champion is the champion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowStatus>,
}

/// A canary beside the champion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Comparison {
    /// What the canary's jobs came to.
    pub canary: ArmFigures,
    /// What the champion's came to.
    pub champion: ArmFigures,
    /// What the canary earns beyond the champion, in points of reward a decision.
    pub difference: RewardDifference,
}

/// What the decisions of an arm came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ArmFigures {
    /// Decisions, those to defer left out.
    pub decisions: u64,
    /// Jobs that were told to be done.
    pub succeeded: u64,
    /// Jobs that were told not to be.
    pub failed: u64,
    /// The mean latency of those that were done, in ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_latency_ms: Option<f64>,
    /// The mean cost of those that were done, in USD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_cost_usd: Option<f64>,
    /// The mean reward of all that is known, in points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_reward: Option<f64>,
}

/// A mean difference in reward, with an interval that holds at all times at once: with a probability of 99 % it never leaves
/// the true one out, however often somebody looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RewardDifference {
    /// Decisions that it is over.
    pub decisions: u64,
    /// Those of them that the other arm would have made otherwise.
    pub disagreements: u64,
    /// The mean difference, in points of reward.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
    /// The interval's lower end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// Its upper end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
}

/// A shadow beside the champion.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ShadowStatus {
    /// Events of the stream that it has not seen yet; it decides on a thread of its own, and nobody waits for it.
    pub behind: u64,
    /// Why it decides nothing any more. The trainer that continues the deployment starts it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Requests that it and the champion have decided.
    pub compared: u64,
    /// Those that it would have sent elsewhere, or nowhere.
    pub disagreements: u64,
    /// Their share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disagreement_rate: Option<f64>,
    /// By how much more reward it expects of a request than the champion does, in points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_reward: Option<f64>,
    /// By how much more a request that both send somewhere is expected to cost, in USD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_cost_usd: Option<f64>,
    /// By how much longer it is expected to take, in ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_latency_ms: Option<f64>,
    /// What really became of the jobs that both sent to the same provider.
    pub agreed: ArmFigures,
    /// SHA-256 over its state: two trainers that continue the same records come to the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_sha256: Option<crate::Hash>,
}

/// Which challenger is promoted or rolled back, and why.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "the shadow has agreed for a week"}))]
pub struct ChangeChampion {
    /// The challenger, by its position in `challengers`, from 1; may be absent where there is only one that it can be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1, max = 8)))]
    #[schema(minimum = 1, maximum = 8)]
    pub challenger: Option<u32>,
    /// For whoever reads the ledger.
    #[garde(length(bytes, min = 1, max = 2000), custom(crate::common::without_nul))]
    #[schema(min_length = 1, max_length = 2000)]
    pub reason: String,
}
