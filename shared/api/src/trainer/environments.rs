//! Environments that callers play themselves: vectors and masks out, numbers of actions in.

use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{AssumedPrice, EnvironmentSpec};

/// Parallel episodes of an environment at most.
pub const MOST_PARALLEL_EPISODES: u32 = 256;

/// Episodes to play side by side. Every field has a default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"environment": {"preset": "contended"}, "seed": 7, "n": 2}))]
pub struct NewEnvironment {
    /// What is played.
    #[garde(skip)]
    pub environment: EnvironmentSpec,
    /// The first episode's seed; the others follow, one by one. Seeds from 2^32 on are held out for evaluation, and no
    /// episode here has one: after 2^32 − 1 comes 0.
    #[garde(range(min = 0, max = crate::FIRST_HELD_OUT_SEED - 1))]
    #[schema(minimum = 0, maximum = 4_294_967_295_u64)]
    pub seed: u64,
    /// Parallel episodes, 1 to 256.
    #[garde(range(min = 1, max = MOST_PARALLEL_EPISODES))]
    #[schema(minimum = 1, maximum = 256)]
    pub n: u32,
    /// Steps of an episode.
    #[garde(range(min = 1, max = 100_000))]
    #[schema(minimum = 1, maximum = 100_000)]
    pub steps_per_episode: u32,
}

impl Default for NewEnvironment {
    fn default() -> Self {
        Self { environment: EnvironmentSpec::default(), seed: 1, n: 1, steps_per_episode: 120 }
    }
}

/// An environment with its episodes under way. It lives in the process of this trainer, and nothing of it is recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlayedEnvironment {
    /// Its id.
    pub id: Uuid,
    /// What is played.
    pub environment: EnvironmentSpec,
    /// The first episode's seed.
    pub seed: u64,
    /// Parallel episodes.
    pub n: u32,
    /// Steps of an episode.
    pub steps_per_episode: u32,
    /// What each entry of an observation is called, in order. `tenant:ID` and `gpu_type:TYPE` are 1 for the request's own,
    /// else 0. Of the request: `hours` (of the longest workload's), `has_waited`, `waited_ms` (of 100), `has_failed` (its
    /// job has just failed at a provider that is no longer feasible), `phase` (share of the step's expected requests
    /// that have been seen), `waiting` (requests that were deferred, of as many as may be) and `waiting_hours` (of the longest
    /// workload's), `hour_sin` and `hour_cos` of the day (UTC), `demand_last_step` and `demand_mean` (requests of the last step, and their exponential mean,
    /// of the expected ones), `budget_left` of its tenant and `budget_slack`. Then `budget_left:ID` of every tenant and
    /// `gpu_slack:TYPE`. Of each provider: `feasible`; `price` (share above the cheapest list price), `latency` (in seconds)
    /// and `worth` (the reward there, of 50), all 0 where it is not feasible; `reputation` (of 100), `remaining` (of its
    /// capacity), `fits` (the request's hours of the remaining ones), `slack`, `failures_seen` (of the jobs of this
    /// episode there) and `latency_seen` (met, of advertised). A slack is what is left of what the requests to come are
    /// expected to ask; ratios are cut at 4. Nothing that is hidden from policies is among them.
    pub features: Vec<String>,
    /// What each action is called: `route:PROVIDER` in catalog order, `hold`, `defer`.
    pub actions: Vec<String>,
    /// GPU types that its catalog lists without a price.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assumed_prices: Vec<AssumedPrice>,
    /// It is deleted when it was not used for so long.
    pub idle_seconds: u64,
    /// What is to be decided now.
    pub turn: EnvironmentTurn,
}

/// A choice for each episode.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"turn": 0, "choices": [8, 7]}))]
pub struct NewTurn {
    /// The number of the turn that is answered. One that was answered already is refused, so that a repeated call plays
    /// nothing twice; without it the choices are for whatever is to be decided now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub turn: Option<u64>,
    /// The number of an action for each episode, in order, allowed by its mask.
    #[garde(length(max = MOST_PARALLEL_EPISODES as usize))]
    #[schema(max_items = 256)]
    pub choices: Vec<u32>,
}

/// What the choices came to, and what is to be decided next: one entry for each episode everywhere.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EnvironmentTurn {
    /// Its number, from 0.
    pub turn: u64,
    /// The request to decide, as a vector: the environment's `features`.
    pub observations: Vec<Vec<f32>>,
    /// Which of the environment's `actions` are allowed; some provider always is.
    pub action_masks: Vec<Vec<bool>>,
    /// What the request that was decided last has earned by that choice: 0 when it was deferred or when its job failed
    /// and is tried again, all of it when it is served or lost. They add up to the episode's reward (`excess-cost`).
    pub rewards: Vec<f64>,
    /// Whether that choice ended the episode, which is what Gymnasium calls terminated; nothing is truncated. Then the
    /// observation is the first one of the next episode.
    pub terminated: Vec<bool>,
    /// The seed of the episode that the observation is from.
    pub seeds: Vec<u64>,
    /// The step that it is in, from 0. Capacities and budgets are whole again in each.
    pub steps: Vec<u32>,
    /// The episodes that ended.
    pub ended: Vec<EndedEpisode>,
}

/// What an episode came to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EndedEpisode {
    /// Its position among the parallel ones.
    pub position: u32,
    /// Its seed.
    pub seed: u64,
    /// Requests that came, those without a feasible provider included.
    pub requests: u64,
    /// Those that were served.
    pub served: u64,
    /// The sum of all rewards.
    pub reward: f64,
}
