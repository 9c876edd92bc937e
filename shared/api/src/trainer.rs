//! The trainer's wire types: runs, their metrics, agents and checkpoints.

use chrono::{DateTime, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use strum::{IntoStaticStr, VariantArray};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{Format, Hash, psi_field::Intervention};

mod algorithm;
mod comparison;
mod environments;
mod federation;
mod labels;
mod rewind;

pub use algorithm::AlgorithmSpec;
pub use comparison::{
    ComparedRun, ComparisonExportQuery, ComparisonFormat, ComparisonQuery, ConfigurationDifference,
    MetricDifference, PartedRoots, RunComparison, SideBySide,
};
pub use environments::{
    EndedEpisode, EnvironmentTurn, MOST_PARALLEL_EPISODES, NewEnvironment, NewTurn, PlayedEnvironment,
};
pub use federation::{
    Exclusion, ExclusionAdvice, Federate, Federation, FederationContribution, FederationPeer,
    FederationStream, GossipMessages, LeftOut, ProvedContribution,
};
pub use labels::{Labels, MOST_TAGS, RunPatch, RunQuery};
pub use rewind::{Fork, NewRewind};

/// Where requests come from. `preset` is applied on top of the catalog and the workloads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields, default)]
#[garde(allow_unvalidated)]
pub struct EnvironmentSpec {
    /// A named setting, one of those listed; the files as they are when absent.
    #[schema(example = "contended")]
    pub preset: Option<String>,
    /// A provider catalog in the public schema (`providers.json`); the built-in one when absent. A GPU type without a price is
    /// assumed to cost 10 $/h, which is told as `assumed_prices` and marked as `price_assumed`; 0 is a price.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub providers: Option<serde_json::Value>,
    /// Workloads in the public schema (`workloads.json`); the built-in ones when absent. A tenant makes
    /// `avg_requests_per_step` · `demand_multiplier` requests a step: below an `avg_requests_per_step` of 4 on average exactly
    /// so many (Poisson; 0: none), from 4 on half a request less (a truncated normal law).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub workloads: Option<serde_json::Value>,
}

/// A GPU type that a provider lists without a price: every price and cost there counts with an assumed one, and says so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AssumedPrice {
    /// The provider.
    #[schema(example = "salad")]
    pub provider: String,
    /// The GPU type.
    #[schema(example = "RTX3090")]
    pub gpu_type: String,
    /// What it is assumed to cost per GPU-hour, in USD.
    #[schema(example = 10.0)]
    pub price_usd_per_hour: f64,
}

/// What the run does while psi-field is away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PsiFieldMode {
    /// Wait for it: the run stays reproducible.
    #[default]
    Required,
    /// Continue without it; the run's record then says that it is not reproducible.
    BestEffort,
    /// Never call it.
    Off,
}

/// What a run does with the interventions that psi-field decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Interventions {
    /// Try each in forks of the run, and do without those that do not earn more there beyond doubt.
    #[default]
    Tried,
    /// Carry out each. Runs that were recorded before there was a choice did this.
    Obeyed,
}

/// Which decisions go to the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Recording {
    /// Every one.
    #[default]
    All,
    /// None; the run root is still computed.
    None,
}

/// A training run to start. Every field has a default; `{}` is a valid run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"agents": 10, "episodes": 2, "algorithm": {"name": "q-learning", "learning_rate": 0.2}, "seed": 7, "environment": {"preset": "contended"}}))]
pub struct NewRun {
    /// Agents in the swarm, 1 to 1000.
    #[garde(range(min = 1, max = 1000))]
    #[schema(minimum = 1, maximum = 1000)]
    pub agents: u32,
    /// Episodes of the whole run.
    #[garde(range(min = 1, max = 10_000_000))]
    #[schema(minimum = 1, maximum = 10_000_000)]
    pub episodes: u32,
    /// Steps of an episode.
    #[garde(range(min = 1, max = 100_000))]
    #[schema(minimum = 1, maximum = 100_000)]
    pub steps_per_episode: u32,
    /// The algorithm with its settings; the best learner when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    #[schema(value_type = Option<AlgorithmSpec>)]
    pub algorithm: Option<AlgorithmSpec>,
    /// `algorithm.learning_rate` in the flat form of earlier versions, which is still read; never both forms of one
    /// setting.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    #[schema(value_type = Option<f64>)]
    pub learning_rate: Option<Value>,
    /// `algorithm.discount` in the flat form.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    #[schema(value_type = Option<f64>)]
    pub discount: Option<Value>,
    /// `algorithm.epsilon` in the flat form.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    #[schema(value_type = Option<f64>)]
    pub epsilon: Option<Value>,
    /// `algorithm.replay` in the flat form.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    #[schema(value_type = Option<Object>)]
    pub replay: Option<Value>,
    /// `algorithm.feasibility_mask` in the flat form.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    #[schema(value_type = Option<bool>)]
    pub feasibility_mask: Option<Value>,
    /// `algorithm.merge_every` in the flat form.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    #[schema(value_type = Option<u32>)]
    pub merge_every: Option<Value>,
    /// The reward that is learned from, one of those listed.
    #[garde(skip)]
    pub reward: String,
    /// What is wanted, in place of the weights of the reward `excess-cost`: the name of a preference, or weights. A policy
    /// of adaptive or cem can be asked for another one later.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    #[schema(value_type = Option<crate::PreferenceSpec>)]
    pub preference: Option<Value>,
    /// SHA-256 of a prior (`prior.json` of `mesh meta-train`) to begin with: PUT the file to the remembrancer's artifacts
    /// first. It is of the run's algorithm.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub prior: Option<Hash>,
    /// Learn with other nodes of a federation; alone when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(dive)]
    pub federate: Option<Federate>,
    /// Episode e is drawn from seed + e, which must stay below 2^32.
    #[garde(range(max = crate::FIRST_HELD_OUT_SEED - 1))]
    #[schema(maximum = 4_294_967_295_i64)]
    pub seed: u64,
    /// Providers, tenants and demand; the preset `contended` of the built-in ones when absent.
    #[garde(dive)]
    pub environment: EnvironmentSpec,
    /// What to do with psi-field.
    #[garde(skip)]
    pub psi_field: PsiFieldMode,
    /// What to do with the interventions that psi-field decides; `tried` when absent. What operators issue is carried out, and
    /// tried too, so that its effect is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub interventions: Option<Interventions>,
    /// What to record.
    #[garde(skip)]
    pub recording: Recording,
    /// Episodes between two checkpoints; one is always made at the end.
    #[garde(range(min = 1, max = 1_000_000))]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub checkpoint_every: u32,
    /// Stop after this many episodes; nothing else about the run changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1)))]
    #[schema(minimum = 1)]
    pub stop_after: Option<u32>,
    /// A checkpoint (an artifact's SHA-256) to resume from. Every other field must be as in the run that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub resume_from: Option<Hash>,
    /// Where it branches off from another run. Its decisions then follow those that led to the checkpoint, under a
    /// digest of its own; episodes, learning_rate, discount and epsilon may differ from the other run's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub fork: Option<Fork>,
    /// A name for people: one line of 1 to 200 characters. Name, tags and notes have no influence on the run, and can
    /// be changed later.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(custom(labels::is_name))]
    #[schema(min_length = 1, max_length = 200)]
    pub name: Option<String>,
    /// Up to 20 different words of 1 to 50 characters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[garde(custom(labels::are_tags))]
    #[schema(max_items = 20)]
    pub tags: Vec<String>,
    /// Notes of up to 10,000 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(custom(labels::are_notes))]
    #[schema(max_length = 10_000)]
    pub notes: Option<String>,
}

impl NewRun {
    /// The algorithm's name; empty where nobody has said which it is.
    #[must_use]
    pub fn algorithm_name(&self) -> &str {
        self.algorithm.as_ref().map_or("", |algorithm| &algorithm.name)
    }

    /// The settings in the flat form, by name.
    pub fn flat_settings(&mut self) -> [(&'static str, &mut Option<Value>); 6] {
        [
            ("learning_rate", &mut self.learning_rate),
            ("discount", &mut self.discount),
            ("epsilon", &mut self.epsilon),
            ("replay", &mut self.replay),
            ("feasibility_mask", &mut self.feasibility_mask),
            ("merge_every", &mut self.merge_every),
        ]
    }

    /// Tells the algorithm a setting, in the form in which the run has it already.
    pub(crate) fn set(&mut self, setting: &str, value: Value) {
        for (name, told) in self.flat_settings() {
            if name == setting && told.is_some() {
                *told = Some(value);
                return;
            }
        }
        if let Some(algorithm) = &mut self.algorithm {
            algorithm.settings.insert(setting.to_owned(), value);
        }
    }

    /// Takes name, tags and notes out: what is left says what the run does.
    pub fn take_labels(&mut self) -> Labels {
        Labels { name: self.name.take(), tags: std::mem::take(&mut self.tags), notes: self.notes.take() }
    }
}

impl Default for NewRun {
    fn default() -> Self {
        Self {
            agents: 10,
            episodes: 50,
            steps_per_episode: 120,
            algorithm: None,
            learning_rate: None,
            discount: None,
            epsilon: None,
            replay: None,
            feasibility_mask: None,
            merge_every: None,
            reward: "excess-cost".into(),
            preference: None,
            prior: None,
            federate: None,
            seed: 1,
            environment: EnvironmentSpec { preset: Some("contended".into()), ..EnvironmentSpec::default() },
            psi_field: PsiFieldMode::default(),
            interventions: None,
            recording: Recording::default(),
            checkpoint_every: 10,
            stop_after: None,
            resume_from: None,
            fork: None,
            name: None,
            tags: Vec::new(),
            notes: None,
        }
    }
}

/// The state of a run.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum RunStatus {
    /// Waits for a free place: newly created, or resumed while all places are taken.
    Queued,
    /// Being trained.
    Running,
    /// Halted between two steps, or before its start, until it is resumed.
    Paused,
    /// Reached its last episode.
    Completed,
    /// Reached `stop_after`; another run can resume from its checkpoint.
    Stopped,
    /// Cancelled; another run can resume from its checkpoint.
    Cancelled,
    /// Could not continue; `error` says why.
    Failed,
}

impl RunStatus {
    /// Its name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// True when nothing more will happen.
    #[must_use]
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running | Self::Paused)
    }
}

/// The progress of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Progress {
    /// Episodes done.
    pub episodes_done: u32,
    /// Episodes in all.
    pub episodes_total: u32,
    /// Steps done in the current episode.
    pub step: u32,
    /// Decisions made, including those before a resume.
    pub decisions: u64,
    /// Decisions that the ledger holds.
    pub decisions_recorded: u64,
    /// Decisions per second since the run started or resumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decisions_per_second: Option<f64>,
    /// The service that the run waits for, if any: `remembrancer` or `psi-field`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
}

/// A training run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Run {
    /// Its id.
    pub id: Uuid,
    /// SHA-256 of its canonical configuration: the `run` of its decisions.
    pub digest: Hash,
    /// Its state.
    pub status: RunStatus,
    /// The configuration that it was created with; name, tags and notes stand beside it.
    pub config: NewRun,
    /// What its catalog lists without a price. Absent when everything has one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assumed_prices: Vec<AssumedPrice>,
    /// The run that was rewound to begin this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewound_from: Option<Uuid>,
    /// Its name, tags and notes.
    #[serde(flatten)]
    pub labels: Labels,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<DateTime<Utc>>,
    /// The trainer that plays it, while one does: the holder of its lease in the remembrancer. Of a run that another
    /// trainer plays, this one knows what is in the ledger, so that `progress` stands at the last checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trainer: Option<String>,
    /// Its progress.
    pub progress: Progress,
    /// RFC 6962 root over its decisions so far in order; set at every checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_root: Option<Hash>,
    /// False when the run continued without psi-field (`best_effort`), so that it cannot be repeated exactly.
    pub reproducible: bool,
    /// Its last checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Checkpoint>,
    /// The learned policy (an artifact), when it is completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_sha256: Option<Hash>,
    /// The id of its ledger record, when it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_id: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A state from which a run can be resumed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Checkpoint {
    /// The artifact that holds it.
    pub sha256: Hash,
    /// Episodes done until then.
    pub episodes_done: u32,
    /// Decisions made until then.
    pub decisions: u64,
    /// The run root over them.
    pub run_root: Hash,
}

/// One episode, as in `training_metrics.csv`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EpisodeMetrics {
    /// The episode, from 0.
    pub episode: u32,
    /// Mean reward per request.
    #[schema(required)]
    pub avg_reward: Option<f64>,
    /// Requests routed / requested.
    #[schema(required)]
    pub fill_rate: Option<f64>,
    /// GPU-hours served / requested.
    #[schema(required)]
    pub gpu_hours_fill: Option<f64>,
    /// Mean cost of a routed request.
    #[schema(required)]
    pub avg_cost_usd: Option<f64>,
    /// Mean latency of a routed request, including its waiting.
    #[schema(required)]
    pub avg_latency_ms: Option<f64>,
    /// Mean ε of the agents at the episode's end.
    pub epsilon: f64,
    /// States in all agents' tables.
    pub q_table_size: u64,
    /// Ψ after the episode's last window.
    #[schema(required)]
    pub psi: Option<f64>,
    /// C after the episode's last window.
    #[schema(required)]
    pub continuity: Option<f64>,
    /// The highest PE of the episode's windows.
    #[schema(required)]
    pub prediction_error: Option<f64>,
    /// Interventions applied in the episode.
    pub interventions: u32,
    /// Paid / cheapest list price for the same hours.
    #[schema(required)]
    pub cost_index: Option<f64>,
    /// Paid per GPU-hour served.
    #[schema(required)]
    pub cost_per_gpu_hour_usd: Option<f64>,
    /// Requests deferred / requested.
    #[schema(required)]
    pub deferred_share: Option<f64>,
    /// The worst tenant's GPU-hours fill.
    #[schema(required)]
    pub worst_tenant_gpu_hours_fill: Option<f64>,
    /// Mean reward per request of the hand rule `weighted-score` in the same episode. Absent in what earlier versions played.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline_reward: Option<f64>,
    /// How many of the interventions were nigredo. Absent in what earlier versions played.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nigredo: Option<u32>,
    /// How many of them were albedo. Absent in what earlier versions played.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub albedo: Option<u32>,
}

/// One window: a simulator step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WindowMetrics {
    /// The window's number in the run, from 0.
    pub window: u64,
    /// The episode, from 0.
    pub episode: u32,
    /// The step, from 0.
    pub step: u32,
    /// Requests of the window.
    pub requests: u64,
    /// Mean reward per request.
    #[schema(required)]
    pub avg_reward: Option<f64>,
    /// The `seed` reward of the window.
    #[schema(required)]
    pub seed_reward: Option<f64>,
    /// Requests routed / requested.
    #[schema(required)]
    pub fill_rate: Option<f64>,
    /// GPU-hours served / requested.
    #[schema(required)]
    pub gpu_hours_fill: Option<f64>,
    /// Mean cost of a routed request.
    #[schema(required)]
    pub avg_cost_usd: Option<f64>,
    /// Mean latency of a routed request, including its waiting.
    #[schema(required)]
    pub avg_latency_ms: Option<f64>,
    /// Ψ.
    #[schema(required)]
    pub psi: Option<f64>,
    /// C.
    #[schema(required)]
    pub continuity: Option<f64>,
    /// PE.
    #[schema(required)]
    pub prediction_error: Option<f64>,
    /// Interventions that the answer carried.
    pub interventions: u32,
}

/// The state and the progress of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunProgress {
    /// Its state.
    pub status: RunStatus,
    /// Its progress.
    #[serde(flatten)]
    pub progress: Progress,
}

/// An event of a run's stream: `event` is the name of the server-sent event, `data` its data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event", content = "data", rename_all = "snake_case")]
pub enum RunEvent {
    /// The run's state or progress has changed.
    Progress(RunProgress),
    /// A window was played. Its number is the event's id.
    Window(WindowMetrics),
    /// An intervention was applied. It comes before the window whose answer carried it, so that a client which
    /// resumes after a window has seen its interventions; after a broken connection it may come twice.
    Intervention(Box<Intervention>),
    /// The run has ended, and this is the last event. Its id is `end`.
    End(Box<Run>),
}

/// One agent of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AgentState {
    /// Its number, from 0.
    pub agent: u32,
    /// States in its table.
    pub q_table_size: u64,
    /// Mean reward of its own requests in the last episode.
    #[schema(required)]
    pub avg_reward: Option<f64>,
    /// Its current exploration rate ε.
    pub epsilon: f64,
    /// Decisions that it made, including those before a resume.
    pub decisions: u64,
    /// How far its reports to the other agents are from what an honest one's may be: 1 where they are within, less the
    /// further they are off, 0 where it is silent. Absent where agents do not report to each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 1)]
    pub trust: Option<f64>,
}

/// What one row of metrics covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// One row per episode: the columns of `training_metrics.csv`.
    #[default]
    Episode,
    /// One row per window.
    Window,
}

/// Which metrics to list.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams, Validate)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
#[garde(allow_unvalidated)]
pub struct MetricsQuery {
    /// One row per episode (default) or per window.
    #[serde(default)]
    pub resolution: Resolution,
    /// `json` for a page, `ndjson` or `csv` for all rows as a stream; by default what `Accept` asks for, else JSON.
    /// Streams have routes of their own in the documents, where each operation answers one media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(ignore)]
    pub format: Option<Format>,
    /// Only rows from this episode or window on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(max = crate::MAX_SAFE_INTEGER)))]
    pub from: Option<u64>,
    /// At most so many rows, 2 to 10,000, which keep the extremes of `metric`; by default all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 2, max = 10_000)))]
    #[param(minimum = 2, maximum = 10_000)]
    pub points: Option<u32>,
    /// The column whose extremes `points` keeps (default `avg_reward`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(example = "avg_reward")]
    pub metric: Option<String>,
    /// Rows per page, 1 to 10,000 (default 1000); a stream has all rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1, max = 10_000)))]
    #[param(minimum = 1, maximum = 10_000)]
    pub limit: Option<u32>,
}

// `MetricsQuery` without the page, likewise in full: serde cannot flatten and refuse unknown fields too.
/// Which metrics to stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, IntoParams, Validate)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
#[garde(allow_unvalidated)]
pub struct MetricsExportQuery {
    /// One row per episode (default) or per window.
    #[serde(default)]
    pub resolution: Resolution,
    /// Only rows from this episode or window on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(max = crate::MAX_SAFE_INTEGER)))]
    pub from: Option<u64>,
    /// At most so many rows, 2 to 10,000, which keep the extremes of `metric`; by default all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 2, max = 10_000)))]
    #[param(minimum = 2, maximum = 10_000)]
    pub points: Option<u32>,
    /// The column whose extremes `points` keeps (default `avg_reward`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(example = "avg_reward")]
    pub metric: Option<String>,
}

impl From<MetricsExportQuery> for MetricsQuery {
    fn from(MetricsExportQuery { resolution, from, points, metric }: MetricsExportQuery) -> Self {
        Self { resolution, from, points, metric, format: None, limit: None }
    }
}

/// A row of metrics: of an episode or a window, as was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum MetricsRow {
    /// One row an episode.
    Episode(EpisodeMetrics),
    /// One row a window.
    Window(WindowMetrics),
}
