//! What `adaptive` carries from the worlds that it has met into a new one: how long a request had better wait in worlds like
//! it, and which of its estimators were right.
//!
//! What is best for waiting depends on how scarce hours and money are and on whether load makes providers dearer, so that
//! the worlds that are most alike in these count most (kernel regression, Nadaraya 1964; Watson 1964). It begins as so many
//! steps of rehearsing, and what is rehearsed in the new world soon outweighs it: no other guard is needed.

use routing_env::Environment;
use serde::{Deserialize, Serialize};

use crate::adaptive::{
    knowledge::{Knowledge, world},
    model::Records,
    tuning::{ByKind, KINDS, Tuning},
};

/// How far two worlds may be apart, in logarithms of what is scarce, to be told apart.
const BANDWIDTH: f64 = 0.2;

/// What it begins with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Start {
    /// The worlds that it met.
    pub(crate) met: Vec<Met>,
    /// How right its estimators were, over all worlds whose truth was hidden; none where there were no such worlds.
    pub(crate) records: Option<Records>,
}

/// What was found in a world.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Met {
    pub(crate) scarcity: Scarcity,
    /// `[kind of preference][threshold]`: what each threshold earned when steps were rehearsed, in points for each request
    /// that was expected; empty where nothing of the kind was wanted there.
    pub(crate) earned: ByKind<Vec<f64>>,
}

/// What a world is like, by the word of its files.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scarcity {
    /// Whether load makes providers slower or dearer.
    by_load: bool,
    /// GPU-hours asked for / GPU-hours that there are.
    hours: f64,
    /// What they would cost at list prices / the budgets.
    budgets: f64,
}

/// How it learns from there.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ways {
    /// For how many rehearsed steps the start counts.
    pub(crate) counts_as: f64,
}

impl Scarcity {
    pub(crate) fn of(env: &Environment) -> Self {
        let requests = env.expected_requests_of_all();
        let tenants = 0..env.workloads().tenants.len();
        let hours: f64 = env.catalog().providers.iter().map(|p| p.capacity_gpu_hours_per_step).sum();
        let budgets: f64 = tenants.map(|tenant| env.budget(tenant)).sum();
        let share = |of: f64, all: f64| of / all.max(f64::MIN_POSITIVE);
        Self {
            by_load: env.physics().depends_on_load(),
            hours: share(requests * env.mean_gpu_hours(), hours),
            budgets: share(requests * env.mean_list_cost_usd(), budgets),
        }
    }

    /// How much a world that is like that says of one that is like this, from 0 to 1.
    fn likeness(&self, other: &Self) -> f64 {
        let apart = |own: f64, other: f64| (own.max(1e-9) / other.max(1e-9)).ln() / BANDWIDTH;
        let squares = apart(self.hours, other.hours).powi(2) + apart(self.budgets, other.budgets).powi(2);
        // the floor keeps something to go by where no world is like it
        let same = if self.by_load == other.by_load { 1.0 } else { 1e-3 };
        same * ((-squares / 2.0).exp() + 1e-6)
    }
}

impl Start {
    /// What was found in these worlds.
    pub(crate) fn pool(met: &[(&Environment, Knowledge)]) -> Result<Self, String> {
        let mut start = Self { met: Vec::new(), records: None };
        for (env, known) in met {
            let Some(found) = known.worlds.get(&world(env)) else { continue };
            let requests = env.expected_requests_of_all();
            let earned = found.tunings.0.each_ref().map(|tuning| tuning.earned_per_step(requests));
            start.met.push(Met { scarcity: Scarcity::of(env), earned: ByKind(earned) });
            if env.workloads().knowledge == routing_env::Knowledge::Hidden {
                match &mut start.records {
                    Some(records) => records.add(&found.records)?,
                    None => start.records = Some(found.records.clone()),
                }
            }
        }
        Ok(start)
    }

    /// What all thresholds would have earned in so many steps of this world, by the kind of what is wanted.
    pub(crate) fn tunings(&self, env: &Environment, counts_as: f64) -> [Tuning; KINDS] {
        let here = Scarcity::of(env);
        std::array::from_fn(|kind| {
            let of_kind = self.met.iter().filter(|met| !met.earned.0[kind].is_empty());
            let mut earned = vec![0.0; Tuning::new().all().count()];
            let mut weights = 0.0;
            for met in of_kind {
                let weight = here.likeness(&met.scarcity);
                weights += weight;
                earned.iter_mut().zip(&met.earned.0[kind]).for_each(|(sum, one)| *sum += weight * one);
            }
            let scale =
                if weights > 0.0 { counts_as * env.expected_requests_of_all() / weights } else { 0.0 };
            earned.iter_mut().for_each(|sum| *sum *= scale);
            Tuning::expecting(&earned)
        })
    }

    /// # Errors
    /// Says what does not fit.
    pub(crate) fn check(&self) -> Result<(), String> {
        let thresholds = Tuning::new().all().count();
        let fits = |earned: &Vec<f64>| {
            (earned.is_empty() || earned.len() == thresholds) && earned.iter().all(|one| one.is_finite())
        };
        let is_known = |met: &Met| met.scarcity.hours.is_finite() && met.scarcity.budgets.is_finite();
        if self.met.iter().all(|met| is_known(met) && met.earned.0.iter().all(fits)) {
            return Ok(());
        }
        Err(format!("start: expected what each of the {thresholds} thresholds of this version has earned"))
    }
}

#[cfg(test)]
mod tests {
    use routing_env::Preset;

    use super::*;

    fn met(preset: Preset, best: usize) -> Met {
        let env = Environment::built_in(preset);
        let mut earned = vec![10.0; Tuning::new().all().count()];
        earned[best] = 11.0;
        let mut by_kind = ByKind(std::array::from_fn(|_| vec![]));
        by_kind.0[0] = earned;
        Met { scarcity: Scarcity::of(&env), earned: by_kind }
    }

    #[test]
    fn what_was_best_in_the_most_similar_world_leads() {
        let met = vec![met(Preset::Contended, 6), met(Preset::Congested, 0), met(Preset::Overloaded, 3)];
        let start = Start { met, records: None };
        start.check().unwrap();
        for (preset, best) in [(Preset::Contended, 6), (Preset::Congested, 0), (Preset::Overloaded, 3)] {
            let [tuning, of_hours, ..] = start.tunings(&Environment::built_in(preset), 4.0);
            assert_eq!(tuning.leader(), Tuning::new().all().nth(best).unwrap(), "{preset}");
            assert!(tuning.is_empty(), "no step of this world was seen");
            assert_eq!(of_hours.leader(), Tuning::new().leader(), "nobody wanted hours");
        }
    }

    #[test]
    fn what_other_thresholds_earned_is_refused() {
        let mut met = met(Preset::Contended, 1);
        met.earned.0[0].pop();
        assert!(Start { met: vec![met], records: None }.check().unwrap_err().contains("8 thresholds"));
    }
}
