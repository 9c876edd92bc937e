//! The psi-field's wire types: windows in, field states and interventions out.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// What one agent did in a window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct AgentWindow {
    /// The agent's number; agents may join and leave between windows.
    pub agent: u32,
    /// Mean reward of its decisions; absent when it made none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_reward: Option<f64>,
    /// Mean absolute temporal-difference error; absent when it did not learn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 0.0)))]
    #[schema(minimum = 0)]
    pub mean_abs_td_error: Option<f64>,
    /// Its exploration rate.
    #[garde(range(min = 0.0, max = 1.0))]
    #[schema(minimum = 0, maximum = 1)]
    pub epsilon: f64,
    /// States in its table.
    #[garde(range(max = crate::MAX_SAFE_INTEGER))]
    pub q_table_size: u64,
    /// Decisions that it made.
    #[garde(range(max = crate::MAX_SAFE_INTEGER))]
    pub decisions: u64,
}

/// What the whole swarm did in a window. A metric without data is absent, not 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct SwarmWindow {
    /// Requests routed / requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 0.0, max = 1.0)))]
    #[schema(minimum = 0, maximum = 1)]
    pub fill_rate: Option<f64>,
    /// GPU-hours served / requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 0.0, max = 1.0)))]
    #[schema(minimum = 0, maximum = 1)]
    pub gpu_hours_fill: Option<f64>,
    /// Mean cost of a routed request, in USD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avg_cost: Option<f64>,
    /// Mean latency of a routed request, in ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avg_latency_ms: Option<f64>,
    /// Mean reward per request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_reward: Option<f64>,
    /// Share of the routed requests that each provider got, in catalog order; empty when none was routed.
    #[serde(default)]
    #[garde(length(max = 1000), inner(range(min = 0.0, max = 1.0)))]
    #[schema(max_items = 1000)]
    pub provider_shares: Vec<f64>,
}

/// One window of a swarm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// The window's number, from 0 without gaps.
    #[garde(range(max = crate::MAX_SAFE_INTEGER))]
    #[schema(maximum = 9_007_199_254_740_991_i64)]
    pub number: u64,
    /// When it was. With it the field also learns what is usual for an open channel at that time of day (UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub time: Option<DateTime<Utc>>,
    /// Up to 10,000 agents with distinct numbers; none where only open channels are watched.
    #[serde(default)]
    #[garde(length(max = 10_000), custom(something(&self.channels)), dive)]
    #[schema(max_items = 10_000)]
    pub agents: Vec<AgentWindow>,
    /// The swarm.
    #[serde(default)]
    #[garde(dive)]
    pub swarm: SwarmWindow,
    /// Anything else that is to be watched, by name: a value each, up to 64 of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[garde(length(max = 64), custom(channel_names))]
    #[schema(example = json!({"gpu_temp": 71.2}))]
    pub channels: BTreeMap<String, f64>,
    /// True while the sender repeats what it did before a restart: the ledger already holds these decisions, so no
    /// operator may intervene in them. Two windows that differ only in this are the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[garde(skip)]
    pub repeated: bool,
    /// Interventions that were applied since the last window.
    #[serde(default)]
    #[garde(length(max = 1000))]
    #[schema(max_items = 1000)]
    pub acknowledged: Vec<Uuid>,
    /// Interventions that were tried first, in forks of the swarm, and then applied or declined.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[garde(length(max = 1000), dive)]
    #[schema(max_items = 1000)]
    pub trials: Vec<Trial>,
}

/// What trying an intervention came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct Trial {
    /// Which intervention.
    pub intervention: Uuid,
    /// Whether it was applied.
    pub adopted: bool,
    /// What it was worth; absent where it could not be tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub effect: Option<Effect>,
}

/// What an intervention was worth in forks of the swarm: so many pairs, of which one had it and the other had not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
#[schema(example = json!({"forks": 8, "windows": 40, "reward_without": 38.2, "reward_with": 38.4,
    "difference_ci_low": 0.06, "difference_ci_high": 0.34}))]
pub struct Effect {
    /// Pairs of forks.
    #[garde(range(max = crate::MAX_SAFE_INTEGER))]
    pub forks: u64,
    /// Windows that each fork played.
    #[garde(range(max = crate::MAX_SAFE_INTEGER))]
    pub windows: u64,
    /// Mean reward without it.
    pub reward_without: f64,
    /// Mean reward with it.
    pub reward_with: f64,
    /// 95 % interval of the paired difference (Student's t), low end.
    pub difference_ci_low: f64,
    /// 95 % interval of the paired difference (Student's t), high end.
    pub difference_ci_high: f64,
}

/// A window tells of agents or of open channels.
fn something(
    channels: &BTreeMap<String, f64>,
) -> impl FnOnce(&Vec<AgentWindow>, &()) -> garde::Result + use<> {
    let none = channels.is_empty();
    move |agents, ()| {
        if none && agents.is_empty() {
            return Err(garde::Error::new("expected at least one agent, or `channels`"));
        }
        Ok(())
    }
}

fn channel_names(channels: &BTreeMap<String, f64>, (): &()) -> garde::Result {
    match channels.keys().find(|name| name.is_empty() || name.len() > 100 || name.contains('\0')) {
        Some(name) => {
            Err(garde::Error::new(format!("expected names of 1 to 100 bytes without NUL, found {name:?}")))
        }
        None => Ok(()),
    }
}

/// The field after a window. Every term is in [0, 1], and null until there is enough data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FieldState {
    /// Ψ: the stability of the whole.
    #[schema(required)]
    pub psi: Option<f64>,
    /// C: how well this window continues the past that the field retains.
    #[schema(required)]
    pub continuity: Option<f64>,
    /// U: forecast skill over the naive forecast.
    #[schema(required)]
    pub futurity: Option<f64>,
    /// Φ: whether the agents move together (Kuramoto order parameter).
    #[schema(required)]
    pub phase_coherence: Option<f64>,
    /// H: spread of routing choices and of performance.
    #[schema(required)]
    pub entropy: Option<f64>,
    /// PE: how surprising this window is; above 0.7 exactly when its tail probability is below 0.001.
    #[schema(required)]
    pub prediction_error: Option<f64>,
    /// M: how full the retention window is.
    #[schema(required)]
    pub memory: Option<f64>,
}

/// A channel's part in an anomaly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ChannelDeviation {
    /// The channel: a figure of the swarm (`fill_rate`), the share of the provider at this place in the catalog
    /// (`provider_shares[3]`), or an open channel's name.
    pub channel: String,
    /// How many standard deviations it was away from its forecast.
    pub z_score: f64,
    /// The observed value.
    pub observed: f64,
    /// The value that the field expected.
    pub expected: f64,
}

/// An agent's part in an anomaly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentDeviation {
    /// The agent.
    pub agent: u32,
    /// How far its mean reward is from its own past, in its own scales.
    pub z_score: f64,
}

/// An anomaly and what caused it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Anomaly {
    /// What the window contradicts most: `innovation` (the forecast from the windows before), `range` (all values so far),
    /// `mean` (all means of four or twenty windows so far), `order` (what usually follows what) or `time_of_day`.
    pub detector: String,
    /// The channels that deviate, the likeliest cause first.
    pub channels: Vec<ChannelDeviation>,
    /// The agents that deviate, the worst first.
    pub agents: Vec<AgentDeviation>,
}

/// An anomaly of a swarm, and where in its course it came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SwarmAnomaly {
    /// The window that completed it.
    pub window: u64,
    /// What deviates.
    pub anomaly: Anomaly,
    /// When it was recorded; absent where psi-field has no remembrancer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded_at: Option<DateTime<Utc>>,
    /// The last verdict on it, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
}

/// Whether an anomaly was worth knowing of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"useful": false, "reason": "a planned migration"}))]
pub struct Verdict {
    /// True when it was, false when it was a false alarm.
    #[garde(skip)]
    pub useful: bool,
    /// Why, which is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(bytes, min = 1, max = 2000), custom(crate::common::without_nul)))]
    #[schema(min_length = 1, max_length = 2000)]
    pub reason: Option<String>,
}

/// What an intervention does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum InterventionKind {
    /// Reset: the targets forget what no longer holds.
    Nigredo,
    /// Explore: the targets' ε rises for a while.
    Albedo,
}

impl InterventionKind {
    /// Its name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// The state of an intervention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum InterventionStatus {
    /// Sent in an answer, or on its way to the next one.
    Issued,
    /// Applied by the swarm.
    Acknowledged,
    /// Its effect is known: from forks of the swarm, or because the reward after it was compared with the reward before.
    Assessed,
    /// Not acknowledged in time, or not before the swarm ended.
    Expired,
    /// The swarm tried it in forks of itself, and did without it.
    Declined,
}

impl InterventionStatus {
    /// Its name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// The parameters of an intervention; which fields are present depends on the kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct InterventionParameters {
    /// Nigredo: the share of the weight of what the targets learned that stays; without it they start afresh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 0.0, max = 1.0)))]
    #[schema(minimum = 0, maximum = 1)]
    pub evidence_kept: Option<f64>,
    /// Albedo: ε becomes min(`epsilon_max`, `epsilon_factor`·ε).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 0.0, max = 100.0)))]
    #[schema(minimum = 0, maximum = 100)]
    pub epsilon_factor: Option<f64>,
    /// Albedo: the highest ε that it may set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 0.0, max = 1.0)))]
    #[schema(minimum = 0, maximum = 1)]
    pub epsilon_max: Option<f64>,
    /// Albedo: windows for which ε stays raised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1, max = 100_000)))]
    #[schema(minimum = 1, maximum = 100_000)]
    pub duration_windows: Option<u64>,
}

/// A command to the swarm, in the answer to a window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Intervention {
    /// Derived from swarm, window and kind, so that the same windows give the same ids.
    pub id: Uuid,
    /// What it does.
    pub kind: InterventionKind,
    /// The agents it is for.
    pub targets: Vec<u32>,
    /// Its parameters.
    pub parameters: InterventionParameters,
    /// The reason, in a sentence.
    pub reason: String,
    /// The figures behind the reason.
    #[schema(value_type = Object)]
    pub evidence: serde_json::Map<String, serde_json::Value>,
    /// The window whose answer carried it.
    pub issued_at_window: u64,
    /// Windows in which it must be acknowledged.
    pub expires_after_windows: u64,
    /// True when an operator issued it, not the field.
    pub by_operator: bool,
}

/// The reward before and after an intervention.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Assessment {
    /// Windows compared on each side.
    pub windows: u64,
    /// Mean reward before.
    pub reward_before: f64,
    /// Mean reward after.
    pub reward_after: f64,
    /// 95 % interval of the difference (Welch), low end.
    pub difference_ci_low: f64,
    /// 95 % interval of the difference (Welch), high end.
    pub difference_ci_high: f64,
}

/// An intervention, its state and its effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InterventionRecord {
    /// The command.
    #[serde(flatten)]
    pub intervention: Intervention,
    /// Its state.
    pub status: InterventionStatus,
    /// The window that acknowledged it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged_at_window: Option<u64>,
    /// Its effect, once enough windows have passed; not where forks have shown it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assessment: Option<Assessment>,
    /// What it was worth in forks, where it was tried in them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,
}

/// An intervention by hand; it is sent in the answer to the next window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct NewIntervention {
    /// What to do: `nigredo` or `albedo`.
    pub kind: InterventionKind,
    /// The agents it is for; when empty, all agents of the last window.
    #[serde(default)]
    #[garde(length(max = 10_000))]
    #[schema(max_items = 10_000)]
    pub targets: Vec<u32>,
    /// The reason, which is recorded.
    #[garde(length(bytes, min = 1, max = 2000), custom(crate::common::without_nul))]
    #[schema(min_length = 1, max_length = 2000)]
    pub reason: String,
}

/// The answer to a window. The same window again gets the same answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WindowAnswer {
    /// The swarm.
    pub swarm: String,
    /// The window that this answers.
    pub window: u64,
    /// The field after it.
    pub state: FieldState,
    /// The anomaly that this window completes, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anomaly: Option<Anomaly>,
    /// What the swarm is to do before the next window.
    pub interventions: Vec<Intervention>,
}

/// A swarm as the field knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Swarm {
    /// Its id.
    pub id: String,
    /// The number that its next window must have.
    pub next_window: u64,
    /// Answers to windows before this one are no longer kept.
    pub checkpoint_window: u64,
    /// Agents in the last window.
    pub agents: u64,
    /// Interventions issued so far.
    pub interventions: u64,
    /// The field after the last window.
    pub state: FieldState,
    /// True when no window comes any more: its run has ended. Absent otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ended: bool,
    /// When the last window came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_window_at: Option<DateTime<Utc>>,
}

/// A swarm was deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeletedSwarm {
    /// Its id.
    pub id: String,
    /// The window that it expected next; absent when psi-field had nothing of it but records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_window: Option<u64>,
    /// The record that says so. It keeps the swarm from coming back, and all that was recorded of the swarm before stays in the
    /// ledger. Absent without a remembrancer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "swarm:default:deletion:0")]
    pub record: Option<String>,
}

/// The field's whole state of a swarm, floats exact. Opaque to callers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct Snapshot {
    /// The number that the next window must have.
    pub next_window: u64,
    /// The state.
    #[schema(value_type = Object)]
    pub field: serde_json::Value,
}

/// Which of a swarm's windows to list, oldest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams, Validate)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WindowQuery {
    /// Only windows from this number on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(max = crate::MAX_SAFE_INTEGER)))]
    pub from: Option<u64>,
    /// Items per page, 1 to 1000 (default 100).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1, max = 1000)))]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
}
