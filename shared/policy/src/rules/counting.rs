//! How many requests come, as somebody would count them by hand: an exponential mean.

use std::collections::BTreeMap;

use routing_env::{Environment, StepOutcome};
use serde_json::{Value, json};

use crate::prices::forecast::Beliefs;

/// Counts of requests that fade.
#[derive(Clone, Debug)]
pub(crate) struct Counting {
    /// The share of what was counted before that a step leaves.
    kept: f64,
    /// How many requests of a tenant and a workload a step has; nothing before the first step.
    counts: BTreeMap<(usize, usize), f64>,
}

impl Counting {
    pub(crate) fn new(kept: f64) -> Self {
        Self { kept, counts: BTreeMap::new() }
    }

    /// Knows nothing again.
    pub(crate) fn begin_episode(&mut self) {
        self.counts.clear();
    }

    /// Counts a step.
    pub(crate) fn observe(&mut self, outcome: &StepOutcome<'_>) {
        let kept = if self.counts.is_empty() { 0.0 } else { self.kept };
        self.counts.values_mut().for_each(|count| *count *= kept);
        for request in outcome.requests {
            *self.counts.entry((request.tenant, request.workload)).or_default() += 1.0 - kept;
        }
    }

    /// What was counted.
    pub(crate) fn seen(&self) -> Value {
        self.counts.iter().map(|((tenant, workload), count)| json!([tenant, workload, count])).collect()
    }

    /// Goes on from what was counted.
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn go_on(&mut self, seen: Value) -> Result<(), String> {
        let counts: Vec<(usize, usize, f64)> =
            serde_json::from_value(seen).map_err(|error| format!("counts: {error}"))?;
        self.counts =
            counts.into_iter().map(|(tenant, workload, count)| ((tenant, workload), count)).collect();
        Ok(())
    }

    /// The catalog's word, with demand as it was counted.
    pub(crate) fn beliefs(&self, env: &Environment) -> Beliefs {
        let mut beliefs = Beliefs::of_catalog(env);
        if self.counts.values().sum::<f64>() < 1.0 {
            return beliefs; // nothing to plan for
        }
        for (tenant, mix) in beliefs.demand.iter_mut().enumerate() {
            for (expected, (workload, _)) in mix.iter_mut().zip(env.mix(tenant)) {
                *expected = self.counts.get(&(tenant, *workload)).copied().unwrap_or_default();
            }
        }
        beliefs
    }
}
