//! What `adaptive` carries from the worlds that it has met into a new one: how long a request had better wait in worlds like
//! it, and which of its estimators were right.
//!
//! What is best for waiting depends on how scarce hours and money are and on whether load makes providers dearer, so that
//! the worlds that are most alike in these count most (kernel regression, Nadaraya 1964; Watson 1964). What was better in them
//! than what it begins with otherwise counts by as much as is more than its standard error: of few worlds, or of worlds that
//! differ, nothing is concluded. It begins as so many steps of rehearsing, and what is rehearsed in the new world soon
//! outweighs it: no other guard is needed.

use routing_env::Environment;
use serde::{Deserialize, Serialize};

use crate::adaptive::{
    knowledge::{Knowledge, world},
    model::Records,
    tuning::{ByKind, KINDS, Tuning},
};
use crate::prices::bid_price::FIRST_THRESHOLD;

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
            let worlds: Vec<(f64, &[f64])> =
                of_kind.map(|met| (here.likeness(&met.scarcity), &met.earned.0[kind][..])).collect();
            let more_than_first = (0..Tuning::new().all().count()).map(|threshold| {
                let differences = worlds
                    .iter()
                    .map(|(weight, earned)| (*weight, earned[threshold] - earned[FIRST_THRESHOLD]));
                counts_as * env.expected_requests_of_all() * beyond_chance(differences)
            });
            Tuning::expecting(&more_than_first.collect::<Vec<_>>())
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

/// The mean of figures with weights; where it is above 0, by as much as that is more than its standard error.
fn beyond_chance(figures: impl Iterator<Item = (f64, f64)> + Clone) -> f64 {
    let sum = |of: &dyn Fn((f64, f64)) -> f64| figures.clone().map(of).sum::<f64>();
    let weights = sum(&|(weight, _)| weight);
    if weights <= 0.0 {
        return 0.0;
    }
    let mean = sum(&|(weight, figure)| weight * figure) / weights;
    // as many equal weights would say as much (Kish 1965)
    let size = weights.powi(2) / sum(&|(weight, _)| weight.powi(2));
    let variance = sum(&|(weight, figure)| weight * (figure - mean).powi(2)) / weights;
    let error = if size > 1.0 { (variance / (size - 1.0)).sqrt() } else { f64::INFINITY };
    mean.min((mean - error).max(0.0))
}

#[cfg(test)]
mod tests {
    use routing_env::Preset;

    use super::*;

    /// What was found in a world under a preset with so much of its load, where this threshold was best.
    fn met(preset: Preset, load: f64, best: usize) -> Met {
        let env = Environment::built_in(preset);
        let mut earned = vec![10.0; Tuning::new().all().count()];
        earned[best] = 11.0 + load;
        let mut by_kind = ByKind(std::array::from_fn(|_| vec![]));
        by_kind.0[0] = earned;
        let mut scarcity = Scarcity::of(&env);
        (scarcity.hours, scarcity.budgets) = (load * scarcity.hours, load * scarcity.budgets);
        Met { scarcity, earned: by_kind }
    }

    fn leader(start: &Start, preset: Preset) -> usize {
        let [tuning, ..] = start.tunings(&Environment::built_in(preset), 4.0);
        Tuning::new().all().position(|settings| settings == tuning.leader()).unwrap()
    }

    #[test]
    fn what_was_best_in_the_most_similar_worlds_leads() {
        let presets = [(Preset::Contended, 6), (Preset::Congested, 0), (Preset::Overloaded, 3)];
        let of_preset = |(preset, best)| [0.95, 1.0, 1.05].map(|load| met(preset, load, best));
        let met: Vec<Met> = presets.into_iter().flat_map(of_preset).collect();
        let start = Start { met, records: None };
        start.check().unwrap();
        for (preset, best) in presets {
            assert_eq!(leader(&start, preset), best, "{preset}");
            let [tuning, of_hours, ..] = start.tunings(&Environment::built_in(preset), 4.0);
            assert!(tuning.is_empty(), "no step of this world was seen");
            assert_eq!(of_hours.leader(), Tuning::new().leader(), "nobody wanted hours");
        }
    }

    #[test]
    fn of_one_world_or_of_worlds_that_differ_nothing_is_concluded() {
        let preset = Preset::Contended;
        let one = Start { met: vec![met(preset, 1.0, 1)], records: None };
        assert_eq!(leader(&one, preset), FIRST_THRESHOLD);
        // what is best in two of them is worst in the other two
        let mut differ = [0.94, 0.98, 1.02, 1.06].map(|load| met(preset, load, 1));
        differ[..2].iter_mut().for_each(|met| met.earned.0[0][1] = 7.0);
        assert_eq!(leader(&Start { met: differ.into(), ..one }, preset), FIRST_THRESHOLD);
    }

    #[test]
    fn what_other_thresholds_earned_is_refused() {
        let mut met = met(Preset::Contended, 1.0, 1);
        met.earned.0[0].pop();
        let start = Start { met: vec![met], records: None };
        assert!(start.check().unwrap_err().contains("8 thresholds"));
    }
}
