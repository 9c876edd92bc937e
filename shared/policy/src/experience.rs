//! A model of the environment from what has arrived and what came of own decisions in an episode, with
//! forgetting: what bid prices need where the catalog's word is not all.

use std::collections::BTreeMap;

use routing_env::{Environment, StepOutcome};

use crate::forecast::Beliefs;

/// How much of the last step's demand the next one is expected to repeat, against all before it.
const LEVEL_RATE: f64 = 0.8;

/// What a step keeps of the mix, of failures, and of latencies that were learned before.
const MIX_KEPT: f64 = 0.97;
const FAILURES_KEPT: f64 = 0.97;
const LATENCIES_KEPT: f64 = 0.9;

/// The catalog's word counts as so many jobs in the long run.
const FAILURE_PRIOR_JOBS: f64 = 10.0;
const LATENCY_PRIOR_JOBS: f64 = 2.0;

/// What is expected of a provider that nothing is known of: failures by its reputation, brownouts included.
const FAILURE_PER_LOST_REPUTATION: f64 = 1.3 / 500.0;

/// The model.
#[derive(Clone)]
pub(crate) struct Experience {
    catalog: Beliefs,
    /// `[tenant][position in its mix]`
    workloads: Vec<Vec<usize>>,
    /// Requests of the next step / those that the catalog expects.
    level: f64,
    /// Requests at the level 1, `[tenant][position in its mix]`.
    mix: Vec<Vec<f64>>,
    latency_factors: Vec<Mean>,
    failures: Vec<Mean>,
    /// This step's tries by request: the provider and the latency that was advertised, in order.
    tries: BTreeMap<usize, Vec<(usize, f64)>>,
}

/// A weighted mean that goes back to what was believed at first.
#[derive(Clone, Copy)]
struct Mean {
    sum: f64,
    weight: f64,
    prior: f64,
    prior_weight: f64,
}

impl Experience {
    /// The catalog's word.
    pub(crate) fn new(env: &Environment) -> Self {
        let catalog = Beliefs::of_catalog(env);
        let workloads = (0..catalog.demand.len()).map(|t| env.mix(t).iter().map(|(w, _)| *w).collect());
        let providers = env.catalog().providers.iter();
        let failure = |reputation: f64| (100.0 - reputation) * FAILURE_PER_LOST_REPUTATION;
        Self {
            workloads: workloads.collect(),
            level: 1.0,
            mix: catalog.demand.clone(),
            latency_factors: vec![Mean::new(1.0, LATENCY_PRIOR_JOBS); providers.len()],
            failures: providers.map(|p| Mean::new(failure(p.reputation), FAILURE_PRIOR_JOBS)).collect(),
            tries: BTreeMap::new(),
            catalog,
        }
    }

    /// Notes that a request was sent to a provider at this advertised latency in ms, its waiting included.
    pub(crate) fn tried(&mut self, index: usize, provider: usize, advertised_ms: f64) {
        self.tries.entry(index).or_default().push((provider, advertised_ms));
    }

    /// Learns from a step.
    pub(crate) fn observe(&mut self, outcome: &StepOutcome<'_>) {
        self.observe_demand(outcome);
        self.latency_factors.iter_mut().for_each(|mean| mean.forget(LATENCIES_KEPT));
        self.failures.iter_mut().for_each(|mean| mean.forget(FAILURES_KEPT));
        for (index, tries) in std::mem::take(&mut self.tries) {
            for (n, (provider, advertised_ms)) in tries.iter().enumerate() {
                // a request that was tried again has failed before, and the last try has the request's fate
                let routed = outcome.resolutions[index].routed().filter(|_| n + 1 == tries.len());
                self.failures[*provider].add(f64::from(u8::from(routed.is_none())));
                if let Some(routed) = routed.filter(|_| n == 0) {
                    let waited_ms = outcome.waits_ms[index];
                    let factor = (routed.latency_ms - waited_ms) / (advertised_ms - waited_ms);
                    self.latency_factors[*provider].add(factor);
                }
            }
        }
    }

    /// What is believed of the next step.
    pub(crate) fn beliefs(&self) -> Beliefs {
        Beliefs {
            demand: self.mix.iter().map(|m| m.iter().map(|count| count * self.level).collect()).collect(),
            latency_factor: self.latency_factors.iter().map(Mean::value).collect(),
            success: self.failures.iter().map(|mean| 1.0 - mean.value().clamp(0.0, 1.0)).collect(),
        }
    }

    fn observe_demand(&mut self, outcome: &StepOutcome<'_>) {
        let expected: f64 = self.catalog.demand.iter().flatten().sum();
        let level = outcome.requests.len() as f64 / expected;
        self.level += LEVEL_RATE * (level - self.level);
        if level <= 0.0 {
            return; // an empty step tells nothing of the mix
        }
        self.mix.iter_mut().flatten().for_each(|count| *count *= MIX_KEPT);
        for request in outcome.requests {
            let mut workloads = self.workloads[request.tenant].iter();
            if let Some(position) = workloads.position(|workload| *workload == request.workload) {
                self.mix[request.tenant][position] += (1.0 - MIX_KEPT) / level;
            }
        }
    }
}

impl Mean {
    fn new(prior: f64, prior_weight: f64) -> Self {
        Self { sum: prior * prior_weight, weight: prior_weight, prior, prior_weight }
    }

    fn add(&mut self, value: f64) {
        self.sum += value;
        self.weight += 1.0;
    }

    fn forget(&mut self, kept: f64) {
        let believed = (1.0 - kept) * self.prior_weight;
        self.sum = kept * self.sum + believed * self.prior;
        self.weight = kept * self.weight + believed;
    }

    fn value(&self) -> f64 {
        self.sum / self.weight
    }
}
