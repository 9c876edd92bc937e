//! What happens in a deployment's stream, for those who follow it.

use api::{
    policies::Outcome,
    remembrancer::{Action, Decision},
};
use policy::{PastStep, Told};
use routing_env::{ProviderState, Request};

/// The reason of a decision to let a request wait for the end of its window.
pub(crate) const DEFERRED: &str = "deferred";

/// What happens in a deployment's stream.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    /// Somebody said how the market is.
    Market { providers: Vec<(usize, ProviderState)>, budgets: Vec<(usize, f64)> },
    /// A request was decided, at this position in the window.
    Decided { index: usize, request: Request, retry_of: Option<u64>, real: Real },
    /// Those that wait are decided from now on.
    Settled,
    /// One that waited was decided.
    Resolved { index: usize, real: Real },
    /// Something was told of a decision's job.
    Told { sequence: u64, told: Told, outcome: Outcome },
    /// A window begins.
    Window { next: u32 },
    /// Others have seen this, in the place of all that they told before.
    Heard { steps: Vec<PastStep> },
    /// Another policy is the champion.
    ChampionChanged,
}

/// What was really done with a request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Real {
    pub(crate) sequence: u64,
    pub(crate) provider: Option<String>,
    pub(crate) waits: bool,
    /// Whether the champion did it, by its own choice.
    pub(crate) is_champions: bool,
    pub(crate) reward: f64,
    pub(crate) cost_usd: Option<f64>,
    pub(crate) latency_ms: Option<f64>,
}

impl Real {
    pub(crate) fn of(decision: &Decision, champion: usize) -> Self {
        Self {
            sequence: decision.sequence,
            provider: decision.provider.clone(),
            waits: decision.action == Action::Hold && decision.reason == DEFERRED,
            is_champions: decision.arm as usize == champion && !decision.explored,
            reward: decision.reward,
            cost_usd: decision.cost_usd,
            latency_ms: decision.latency_ms,
        }
    }
}
