//! What the agents of a swarm tell each other within a step: their common blackboard (Hayes-Roth 1985).

use std::collections::BTreeMap;

use routing_env::{Market, Request};

use crate::{
    adaptive::model::Seen, afterstate::request_classes::Returns, afterstate::scarcity::Expected,
    cem::agent::Notes, prices::bid_price::Plan,
};

/// A step's tries by request: the provider, and the latency that was advertised (in ms, the waiting included), in
/// order.
pub(crate) type Tries = BTreeMap<usize, Vec<(usize, f64)>>;

/// The team's blackboard, wiped when a step begins. An agent that decides alone sees what it told itself.
#[derive(Clone, Default)]
pub struct Board {
    /// The prices that the step is played at.
    pub(crate) plan: Option<Plan>,
    /// The requests that have been set aside, in order of arrival.
    pub(crate) waiting: Vec<Waiting>,
    /// What was tried where.
    pub(crate) tries: Tries,
    /// What the agent that leads the step wants to see tried by all.
    pub(crate) member: Option<Vec<f64>>,
    /// What `cem` knows of the step, and what it came to.
    pub(crate) cem: Notes,
    /// The market before the step's first request.
    pub(crate) opening: Option<Market>,
    /// What the step showed, once it has ended.
    pub(crate) seen: Option<Seen>,
    /// What each of the settings would have earned in the step, where it was rehearsed.
    pub(crate) rehearsed: Vec<f64>,
    /// What the whole step is expected to ask for.
    pub(crate) expected: Option<Expected>,
    /// What was earned beyond what is usual, once the step has ended.
    pub(crate) returns: Option<Returns>,
}

/// A request that was set aside.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Waiting {
    /// Its position in the step.
    pub(crate) index: usize,
    pub(crate) request: Request,
    /// An estimate until the step's requests are all known.
    pub(crate) wait_ms: f64,
}

/// Orders positions in `requests` so that the longest come first: what is left over is small enough to find a place.
pub(crate) fn longest_first(requests: &[Request], waiting: &mut [usize]) {
    waiting.sort_by(|a, b| requests[*b].hours.total_cmp(&requests[*a].hours));
}

/// Orders them so that the shortest come first: a request earns about the same whatever its size.
pub(crate) fn shortest_first(requests: &[Request], waiting: &mut [usize]) {
    waiting.sort_by(|a, b| requests[*a].hours.total_cmp(&requests[*b].hours));
}

impl Board {
    /// Wipes it for a new step.
    pub(crate) fn wipe(&mut self) {
        if let Some(plan) = &mut self.plan {
            plan.outlive_step();
        }
        self.waiting.clear();
        self.tries.clear();
        self.member = None;
        self.cem = Notes::default();
        self.opening = None;
        self.seen = None;
        self.expected = None;
        self.returns = None;
        self.rehearsed.clear();
    }
}
