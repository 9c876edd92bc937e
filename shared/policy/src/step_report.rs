//! What a swarm did in a step.

use routing_env::{Environment, Metrics, Request, Resolution};

use crate::learning::LearningWindow;

/// A decided request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DecidedRequest {
    /// The agent whose turn it was.
    pub agent: u32,
    /// What was asked.
    pub request: Request,
    /// What became of it.
    pub resolution: Resolution,
    /// What the waiting cost, in ms; 0 when it did not wait.
    pub wait_ms: f64,
    /// The request's own reward.
    pub reward: f64,
    /// True when exploration chose.
    pub explored: bool,
    /// The probability of the choice; the product of both for a request that waited.
    pub propensity: f64,
    /// The estimated value of the last choice.
    pub value: Option<f64>,
}

/// An agent's part in a step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AgentStep {
    /// Requests that it decided.
    pub decisions: u64,
    /// Sum of their own rewards.
    pub reward: f64,
    /// What it learned.
    pub learning: LearningWindow,
    /// How far its reports to other agents are from what an honest one's may be: 1 where they are within, less the further
    /// they are off, and 0 where it is silent. Below 1 they are not heeded, where outliers are left out. `None` where
    /// agents do not report to each other.
    pub trust: Option<f64>,
}

/// What a swarm did in a step. Kept by the caller, so that its memory is used again.
#[derive(Debug)]
pub struct StepReport {
    /// The step, from 0.
    pub step: u32,
    /// How many steps the deciding policy had learned from.
    pub policy_version: u64,
    /// The requests in order of arrival.
    pub decisions: Vec<DecidedRequest>,
    /// The agents.
    pub agents: Vec<AgentStep>,
    /// The step's figures.
    pub metrics: Metrics,
}

impl StepReport {
    /// A report of nothing.
    #[must_use]
    pub fn new(env: &Environment) -> Self {
        Self {
            step: 0,
            policy_version: 0,
            decisions: Vec::new(),
            agents: Vec::new(),
            metrics: Metrics::new(env),
        }
    }
}
