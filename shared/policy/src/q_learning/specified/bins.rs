//! The states of the table: what an agent sees of a market.

use routing_env::{Environment, Market};

use crate::q_learning::specified::knowledge::{PER_WORD, StateKey};

/// Turns a market into a state key: for each provider two bits each of latency, price and capacity.
#[derive(Clone)]
pub(crate) struct Bins {
    base_latency_ms: Vec<f64>,
    inverse_capacity: Vec<f64>,
    /// The latency and price bits, which change with the step only.
    of_step: Option<StateKey>,
}

impl Bins {
    pub(crate) fn new(env: &Environment) -> Self {
        let providers = &env.catalog().providers;
        Self {
            base_latency_ms: providers.iter().map(|p| p.base_latency_ms).collect(),
            inverse_capacity: providers
                .iter()
                .map(|p| 1.0 / p.capacity_gpu_hours_per_step.max(1e-9))
                .collect(),
            of_step: None,
        }
    }

    pub(crate) fn begin_step(&mut self) {
        self.of_step = None;
    }

    pub(crate) fn key(&mut self, market: &Market) -> StateKey {
        let states = market.providers();
        let base_latency_ms = &self.base_latency_ms;
        let mut key = self
            .of_step
            .get_or_insert_with(|| {
                let mut key = StateKey::from_elem(0, states.len().div_ceil(PER_WORD));
                for (p, state) in states.iter().enumerate() {
                    let latency = level(state.latency_ms / base_latency_ms[p], [1.0, 1.2, 1.5]);
                    let price = level(state.price_multiplier, [1.0, 1.25, 1.6]);
                    key[p / PER_WORD] |= (latency << 4 | price << 2) << (p % PER_WORD * 6);
                }
                key
            })
            .clone();
        for (p, state) in states.iter().enumerate() {
            let left = if state.active { state.remaining * self.inverse_capacity[p] } else { 0.0 };
            key[p / PER_WORD] |= level(left, [0.05, 0.35, 0.7]) << (p % PER_WORD * 6);
        }
        key
    }
}

/// How many of the bounds the value is above.
fn level(value: f64, bounds: [f64; 3]) -> u64 {
    bounds.into_iter().map(|bound| u64::from(value > bound)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_count_the_bounds_that_are_exceeded() {
        let bounds = [1.0, 1.2, 1.5];
        assert_eq!([0.5, 1.0, 1.1, 1.3, 9.0].map(|v| level(v, bounds)), [0, 0, 1, 2, 3]);
    }
}
