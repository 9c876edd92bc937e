//! What `afterstate` knows: means, and how often each was visited. Two are merged by the **mean of each, weighted by its
//! visits**; visits add up. What is acted on is the concave function that is nearest to the means, and made anew of them.

use routing_env::Reward;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    afterstate::{
        concave_tables::{ConcaveTables, KNOTS, Nested, PHASES, nearest_concave},
        deferral::DeferralValues,
        request_classes::UsualRewards,
    },
    knowledge::{Learned, weighted_mean},
    learning::Exploration,
};

/// What it has learned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Knowledge {
    /// The reward that it was taught.
    pub(crate) reward: Reward,
    /// `[coordinate][phase][knot]`: the value of what is left of each provider, of each tenant's budget, and of the
    /// waiting places; last the rest of the step itself, which decides nothing.
    pub(crate) values: Nested,
    /// What the values are made of.
    pub(crate) means: Nested,
    /// How often each was visited.
    pub(crate) visits: Nested,
    /// `[tenant, workload and size][phase]`: what a request has earned that was set aside.
    pub(crate) deferral: Vec<[f64; PHASES]>,
    /// `[tenant, workload and size][phase]`
    pub(crate) deferral_visits: Vec<[u64; PHASES]>,
}

/// What going on needs beside it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Progress {
    pub(crate) exploration: Exploration,
    pub(crate) updates: u64,
    pub(crate) tables: ConcaveTables,
    pub(crate) deferral: DeferralValues,
    pub(crate) usual: UsualRewards,
}

impl Knowledge {
    /// True when it could have come from tables of so many coordinates and classes of requests.
    pub(crate) fn is_of(&self, coordinates: usize, classes: usize) -> bool {
        let is_shape = |tables: &Nested, fits: fn(&f64) -> bool| {
            tables.len() == coordinates
                && tables.iter().all(|phases| phases.len() == PHASES)
                && tables.iter().flatten().all(|knots| knots.len() == KNOTS && knots.iter().all(fits))
        };
        is_shape(&self.values, |value| value.is_finite())
            && is_shape(&self.means, |value| value.is_finite())
            && is_shape(&self.visits, |visits| visits.is_finite() && *visits >= 0.0)
            && [self.deferral.len(), self.deferral_visits.len()] == [classes; 2]
            && self.deferral.as_flattened().iter().all(|value| value.is_finite())
    }
}

impl Learned for Knowledge {
    const VERSION: u32 = 2;

    fn merge(&mut self, other: &Self) -> Result<(), String> {
        let (coordinates, classes) = (self.values.len(), self.deferral.len());
        if !self.is_of(coordinates, classes) || !other.is_of(coordinates, classes) {
            return Err(format!(
                "expected the values of {coordinates} coordinates and {classes} classes of requests"
            ));
        }
        if self.reward != other.reward {
            return Err(format!(
                "expected what was taught by the reward {}, found {}",
                self.reward, other.reward
            ));
        }
        let tables = self.values.iter_mut().zip(&mut self.means).zip(&mut self.visits);
        for (((values, means), visits), (others, more)) in tables.zip(other.means.iter().zip(&other.visits)) {
            for phase in 0..PHASES {
                let knots = means[phase].iter_mut().zip(&mut visits[phase]);
                for ((mean, visits), (other, more)) in knots.zip(others[phase].iter().zip(&more[phase])) {
                    *mean = weighted_mean((*mean, *visits), (*other, *more));
                    *visits += more;
                }
                let visits = std::array::from_fn(|knot| visits[phase][knot]);
                values[phase] = nearest_concave(&means[phase], &visits).to_vec();
            }
        }
        let cells = self.deferral.as_flattened_mut().iter_mut().zip(self.deferral_visits.as_flattened_mut());
        let others = other.deferral.as_flattened().iter().zip(other.deferral_visits.as_flattened());
        for ((value, visits), (other, more)) in cells.zip(others) {
            *value = weighted_mean((*value, *visits as f64), (*other, *more as f64));
            *visits = visits.saturating_add(*more);
        }
        Ok(())
    }

    /// The first version told neither means nor visits: what has a value is its own mean, and counts as visited once.
    fn read(version: u32, learned: &Value) -> Result<Self, String> {
        match version {
            1 => Ok(First::deserialize(learned).map_err(|error| error.to_string())?.into()),
            Self::VERSION => Self::deserialize(learned).map_err(|error| error.to_string()),
            other => Err(format!("expected version 1 or {}, found {other}", Self::VERSION)),
        }
    }
}

/// Its first version.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct First {
    reward: Reward,
    values: Nested,
    deferral: Vec<[f64; PHASES]>,
}

impl From<First> for Knowledge {
    fn from(First { reward, values, deferral }: First) -> Self {
        let mut visits = values.clone();
        visits.iter_mut().flatten().flatten().for_each(|x| *x = f64::from(u8::from(*x != 0.0)));
        let deferral_visits = deferral.iter().map(|phases| phases.map(|x| u64::from(x != 0.0))).collect();
        Self { reward, means: values.clone(), values, visits, deferral, deferral_visits }
    }
}
