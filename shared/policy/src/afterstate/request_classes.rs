//! Classes of requests that are alike: tenant, workload, and the part of the workload's range that the hours lie in;
//! and what a request of each class usually earns, against which what follows a decision is measured.

use routing_env::{Environment, Request, StepOutcome};
use serde::{Deserialize, Serialize};

/// Parts of a workload's range of hours.
pub(crate) const SIZES: usize = 4;

/// What a step keeps of what was seen before.
const KEPT: f64 = 0.97;

/// The classes of an environment.
#[derive(Clone, Debug)]
pub(crate) struct RequestClasses {
    tenants: usize,
    /// `[workload]`: the least hours and the parts of an hour.
    sizes: Vec<(f64, f64)>,
}

/// What a request of each class usually earns: the sum of rewards and their number, older ones counting less.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct UsualRewards(pub(crate) Vec<(f64, f64)>);

/// What the team earned in a step beyond what is usual for the requests that came.
#[derive(Clone)]
pub(crate) struct Returns {
    /// `[request]`: the sum over it and all later ones; one more at the end, which is 0.
    pub(crate) from: Vec<f64>,
    of_classes: UsualRewards,
}

impl RequestClasses {
    pub(crate) fn new(env: &Environment) -> Self {
        let workloads = env.workloads();
        let size = |workload| {
            let [low, high] = env.workload_hours(workload);
            (low, if high > low { SIZES as f64 / (high - low) } else { 0.0 })
        };
        Self {
            tenants: workloads.tenants.len(),
            sizes: (0..workloads.workload_profiles.0.len()).map(size).collect(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.tenants * self.sizes.len() * SIZES
    }

    /// The request's class.
    pub(crate) fn of(&self, request: &Request) -> usize {
        let (low, parts) = self.sizes[request.workload];
        let size = (((request.hours - low) * parts) as usize).min(SIZES - 1);
        (request.tenant * self.sizes.len() + request.workload) * SIZES + size
    }
}

impl UsualRewards {
    pub(crate) fn new(classes: &RequestClasses) -> Self {
        Self(vec![(0.0, 0.0); classes.len()])
    }

    /// Keeps this share of what it has seen; the means stay.
    pub(crate) fn forget(&mut self, kept: f64) {
        for (sum, count) in &mut self.0 {
            (*sum, *count) = (kept * *sum, kept * *count);
        }
    }

    fn add(&mut self, step: &Self) {
        for ((sum, count), (more, requests)) in self.0.iter_mut().zip(&step.0) {
            (*sum, *count) = (KEPT * *sum + more, KEPT * *count + requests);
        }
    }

    /// Learns from a step that another agent has looked at.
    pub(crate) fn follow(&mut self, returns: &Returns) {
        self.add(&returns.of_classes);
    }

    /// Learns from a step and measures it. A reward counts `discount` times as much one request earlier.
    pub(crate) fn measure(
        &mut self,
        classes: &RequestClasses,
        outcome: &StepOutcome<'_>,
        discount: f64,
    ) -> Returns {
        let rewards = outcome
            .requests
            .iter()
            .zip(outcome.resolutions)
            .map(|(request, resolution)| (classes.of(request), outcome.reward.of_request(resolution)));
        let rewards: Vec<(usize, f64)> = rewards.collect();
        let mut of_classes = Self::new(classes);
        for (class, reward) in &rewards {
            let (sum, count) = &mut of_classes.0[*class];
            (*sum, *count) = (*sum + reward, *count + 1.0);
        }
        self.add(&of_classes);
        let mut from = vec![0.0; rewards.len() + 1];
        for (i, (class, reward)) in rewards.iter().enumerate().rev() {
            let (sum, count) = self.0[*class]; // at least this request is in it
            from[i] = reward - sum / count + discount * from[i + 1];
        }
        Returns { from, of_classes }
    }
}
