//! The state: what an agent sees of a request and of what can be done with it, in bins.
//!
//! An action is looked up by what *it* meets: what it would cost, beside what its request's tenant has left. So what is
//! learned of one provider is known of all that cost the same, and an event that changes prices changes the place in the
//! table, not what is in it. Figures are relative to the environment's own, so that the bins mean the same whatever a
//! GPU-hour costs.

use routing_env::{Choice, Observation};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::q_learning::request::start::Start;

/// Parts of a step. One more stands for requests that come again: they have waited, or failed.
pub(crate) const PARTS: usize = 4;

/// What is left of a tenant's budget, relative to what the rest of the step is expected to cost it.
const SLACK: [f64; 7] = [0.4, 0.6, 0.75, 0.9, 1.05, 1.25, 1.6];

/// What a request costs, relative to what its tenant's requests cost on average.
const COST: [f64; 7] = [0.0625, 0.125, 0.25, 0.5, 1.0, 2.0, 3.0];

/// A place in the table: an action in the state in which it can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct StateAction {
    /// Who asks, at most 1000.
    pub(crate) tenant: u16,
    /// For what.
    pub(crate) gpu_type: u16,
    phase: u8,
    /// How scarce the tenant's money is: 0 is the least slack.
    slack: u8,
    /// 0: route, 1: hold, 2: defer.
    action: u8,
    /// What it costs, or would cost at once if it is deferred: 0 is the least.
    cost: u8,
}

/// What all actions on a request have in common.
#[derive(Clone, Copy)]
pub(crate) struct State {
    tenant: usize,
    gpu_type: usize,
    phase: usize,
    slack: usize,
    mean_dollars: f64,
}

impl State {
    pub(crate) fn new(observation: &Observation<'_>, start: &Start) -> Self {
        let Observation { market, request, .. } = *observation;
        let phase = start.phase(observation);
        let tenant = request.tenant;
        Self {
            tenant,
            gpu_type: request.gpu_type,
            phase: if comes_again(observation) { PARTS } else { part(phase) },
            slack: level(share(market.budgets()[tenant], start.dollars(tenant) * (1.0 - phase)), &SLACK),
            mean_dollars: start.mean_dollars(tenant),
        }
    }

    /// The choice in this state; it costs so many USD, or would if it were made at once.
    pub(crate) fn with(self, choice: Choice, dollars: f64) -> StateAction {
        let cost = level(share(dollars, self.mean_dollars), &COST);
        let (action, cost) = match choice {
            Choice::Route(_) => (0, cost),
            Choice::Hold => (1, 0),
            Choice::Defer => (2, cost),
        };
        // tenants and GPU types are fewer than 2^16, and all others a few
        StateAction {
            tenant: self.tenant as u16,
            gpu_type: self.gpu_type as u16,
            phase: self.phase as u8,
            slack: self.slack as u8,
            action,
            cost: cost as u8,
        }
    }
}

/// Whether the request has been decided before.
pub(crate) fn comes_again(observation: &Observation<'_>) -> bool {
    observation.waited_ms.is_some() || observation.failed_at.is_some()
}

/// The part of the step that this phase (from 0 to 1) lies in.
pub(crate) fn part(phase: f64) -> usize {
    ((phase * PARTS as f64) as usize).min(PARTS - 1)
}

/// How much of the whole it is; of nothing, anything is more than all.
fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { f64::INFINITY }
}

/// How many of the bounds the value reaches.
fn level(value: f64, bounds: &[f64]) -> usize {
    bounds.iter().filter(|bound| value >= **bound).count()
}

impl Serialize for StateAction {
    /// `[tenant, GPU type, phase, slack, action, cost]`
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { tenant, gpu_type, phase, slack, action, cost } = *self;
        (tenant, gpu_type, phase, slack, action, cost).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for StateAction {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (tenant, gpu_type, phase, slack, action, cost) = Deserialize::deserialize(deserializer)?;
        let most = [PARTS, SLACK.len(), 2, COST.len()];
        let bins: [u8; 4] = [phase, slack, action, cost];
        if bins.into_iter().zip(most).any(|(bin, most)| usize::from(bin) > most) {
            return Err(D::Error::custom(format!(
                "expected bins (phase, slack, action, cost) of at most {most:?}, found {bins:?}"
            )));
        }
        Ok(Self { tenant, gpu_type, phase, slack, action, cost })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nothing_is_expected_of_is_plentiful() {
        assert_eq!(level(share(5.0, 0.0), &SLACK), SLACK.len());
        assert_eq!([0.0, 0.4, 0.41, 1.6].map(|value| level(value, &SLACK)), [0, 1, 1, 7]);
    }

    #[test]
    fn a_step_has_as_many_parts_to_its_very_end() {
        assert_eq!([0.0, 0.249, 0.25, 0.999, 1.0].map(part), [0, 0, 1, 3, 3]);
    }

    #[test]
    fn bins_that_there_are_not_are_refused() {
        let read = |written: &str| serde_json::from_str::<StateAction>(written).map_err(|e| e.to_string());
        let place = read("[3,65535,4,7,2,7]").unwrap();
        assert_eq!(serde_json::to_string(&place).unwrap(), "[3,65535,4,7,2,7]");
        for written in ["[3,0,5,7,2,7]", "[3,0,4,8,2,7]", "[3,0,4,7,3,7]", "[3,0,4,7,2,8]"] {
            assert!(read(written).unwrap_err().contains("of at most [4, 7, 2, 7]"), "{written}");
        }
    }
}
