//! What `afterstate` knows: values, and how often each was visited. Two are merged by the **mean of each value, weighted by
//! its visits**; visits add up. Means of concave functions with weights of their own at each knot need not be concave: what
//! is acted on is made so again when the knowledge is absorbed.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    afterstate::{
        concave_tables::{ConcaveTables, KNOTS, PHASES},
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
    /// The name of the reward that it was taught.
    pub(crate) reward: String,
    /// `[coordinate][phase][knot]`: the value of what is left of each provider, of each tenant's budget, and of the
    /// waiting places; last the rest of the step itself, which decides nothing.
    pub(crate) values: Vec<Vec<Vec<f64>>>,
    /// `[coordinate][phase][knot]`
    pub(crate) visits: Vec<Vec<Vec<f64>>>,
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
        let is_shape = |tables: &[Vec<Vec<f64>>], fits: fn(&f64) -> bool| {
            tables.len() == coordinates
                && tables.iter().all(|phases| phases.len() == PHASES)
                && tables.iter().flatten().all(|knots| knots.len() == KNOTS && knots.iter().all(fits))
        };
        is_shape(&self.values, |value| value.is_finite())
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
        let knots = self.values.iter_mut().flatten().flatten();
        let knots = knots.zip(self.visits.iter_mut().flatten().flatten());
        let others = other.values.iter().flatten().flatten().zip(other.visits.iter().flatten().flatten());
        for ((value, visits), (other, more)) in knots.zip(others) {
            *value = weighted_mean((*value, *visits), (*other, *more));
            *visits += more;
        }
        let cells = self.deferral.as_flattened_mut().iter_mut().zip(self.deferral_visits.as_flattened_mut());
        let others = other.deferral.as_flattened().iter().zip(other.deferral_visits.as_flattened());
        for ((value, visits), (other, more)) in cells.zip(others) {
            *value = weighted_mean((*value, *visits as f64), (*other, *more as f64));
            *visits += more;
        }
        Ok(())
    }

    /// The first version told no visits: what has a value counts as visited once.
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
    reward: String,
    values: Vec<Vec<Vec<f64>>>,
    deferral: Vec<[f64; PHASES]>,
}

impl From<First> for Knowledge {
    fn from(First { reward, values, deferral }: First) -> Self {
        let mut visits = values.clone();
        visits.iter_mut().flatten().flatten().for_each(|x| *x = f64::from(u8::from(*x != 0.0)));
        let deferral_visits = deferral.iter().map(|phases| phases.map(|x| u64::from(x != 0.0))).collect();
        Self { reward, values, visits, deferral, deferral_visits }
    }
}
