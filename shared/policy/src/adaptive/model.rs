//! A model of the environment from what was seen: within an episode, with forgetting, and over episodes.
//!
//! How fast to forget is itself learned: each estimator is run at several rates beside each other, and the one that
//! has predicted best so far is believed (prequential choice, Dawid 1984). Where the catalog's word is all there is
//! to know, the one that trusts it predicts best, and nothing is chased that is only noise.

use std::collections::BTreeMap;

use routing_env::{Environment, Knowledge, StepOutcome};
use serde::{Deserialize, Serialize};

use crate::{
    adaptive::{
        estimators::{Calendar, Level, Losses, Means, Mix, add_pairs},
        settings::EstimatorSettings,
    },
    prices::forecast::Beliefs,
    step_evidence::{PastStep, StepEvidence},
    told::Told,
};

/// The catalog's word on failures and latencies counts as so many jobs.
const CATALOG_JOBS: f64 = 10.0;

/// What is told of a real latency / the expected one is taken to lie between these: it is from a stranger's clock, and one
/// figure must not outweigh all others.
const TOLD_FACTORS: [f64; 2] = [0.01, 100.0];

/// A step's tries by request: the provider, and the latency that was advertised (in ms, the waiting included), in
/// order.
pub(crate) type Tries = BTreeMap<usize, Vec<(usize, f64)>>;

/// What a step showed, summed up: for the whole team, or for one of its agents.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// When: the hour of the week.
    hour_of_week: u32,
    /// Requests, `[tenant][position in its mix]`.
    pub(crate) requests: Vec<Vec<f64>>,
    /// Requests that were set aside or not served.
    pub(crate) unserved: u64,
    /// By provider: tries and failed tries.
    pub(crate) tries: Vec<(f64, f64)>,
    /// By provider: jobs whose latency was seen, and their sum of true latency / advertised latency.
    pub(crate) latencies: Vec<(f64, f64)>,
}

impl Seen {
    /// Sums a step up in which this was tried, as far as it is about these requests (positions in the step).
    pub(crate) fn new(
        env: &Environment,
        outcome: &StepOutcome<'_>,
        tries: &Tries,
        is_about: impl Fn(usize) -> bool,
    ) -> Self {
        let mut seen = Self::demand(env, outcome, &is_about);
        for (index, tries) in tries.iter().filter(|(index, _)| is_about(**index)) {
            for (n, (provider, advertised_ms)) in tries.iter().enumerate() {
                // a request that was tried again has failed before, and the last try has the request's fate
                let routed = outcome.resolutions[*index].routed().filter(|_| n + 1 == tries.len());
                seen.tries[*provider].0 += 1.0;
                seen.tries[*provider].1 += f64::from(u8::from(routed.is_none()));
                if let Some(routed) = routed.filter(|_| n == 0) {
                    let waited_ms = outcome.waits_ms[*index];
                    seen.latencies[*provider].0 += 1.0;
                    seen.latencies[*provider].1 +=
                        (routed.latency_ms - waited_ms) / (advertised_ms - waited_ms);
                }
            }
        }
        seen
    }

    /// Sums up a window of a stream, and what was told in it.
    pub(crate) fn told(env: &Environment, outcome: &StepOutcome<'_>, told: &[Told]) -> Self {
        let mut seen = Self::demand(env, outcome, |_| true);
        for told in told {
            let provider = told.provider;
            seen.tries[provider].0 += 1.0;
            seen.tries[provider].1 += f64::from(u8::from(!told.succeeded));
            // nobody tries it a third time
            seen.unserved += u64::from(!told.succeeded && told.is_second_try);
            if let Some(latency_ms) = told.latency_ms.filter(|_| told.succeeded && !told.is_second_try) {
                let factor = (latency_ms / told.expected_ms).clamp(TOLD_FACTORS[0], TOLD_FACTORS[1]);
                seen.latencies[provider].0 += 1.0;
                seen.latencies[provider].1 += factor;
            }
        }
        seen
    }

    /// What was asked for, and how much of it was not served at once.
    fn demand(env: &Environment, outcome: &StepOutcome<'_>, is_about: impl Fn(usize) -> bool) -> Self {
        let mut seen = Self::nothing(env, outcome.hour_of_week);
        for (index, request) in outcome.requests.iter().enumerate().filter(|(index, _)| is_about(*index)) {
            let resolution = &outcome.resolutions[index];
            seen.unserved += u64::from(resolution.deferred || resolution.routed().is_none());
            let position =
                env.mix(request.tenant).iter().position(|(workload, _)| *workload == request.workload);
            if let Some(position) = position {
                seen.requests[request.tenant][position] += 1.0;
            }
        }
        seen
    }

    /// What it shows of providers.
    pub(crate) fn evidence(&self) -> StepEvidence {
        StepEvidence { failures: self.tries.clone(), latencies: self.latencies.clone() }
    }

    /// What a step without requests shows.
    pub(crate) fn nothing(env: &Environment, hour_of_week: u32) -> Self {
        let providers = env.catalog().providers.len();
        let tenants = 0..env.workloads().tenants.len();
        Self {
            hour_of_week,
            requests: tenants.map(|tenant| vec![0.0; env.mix(tenant).len()]).collect(),
            unserved: 0,
            tries: vec![(0.0, 0.0); providers],
            latencies: vec![(0.0, 0.0); providers],
        }
    }

    /// Nothing, of the same environment and time.
    pub(crate) fn emptied(&self) -> Self {
        Self {
            hour_of_week: self.hour_of_week,
            requests: self.requests.iter().map(|mix| vec![0.0; mix.len()]).collect(),
            unserved: 0,
            tries: vec![(0.0, 0.0); self.tries.len()],
            latencies: vec![(0.0, 0.0); self.latencies.len()],
        }
    }

    /// Adds what another one shows.
    pub(crate) fn add(&mut self, other: &Self) {
        for (requests, others) in self.requests.iter_mut().flatten().zip(other.requests.iter().flatten()) {
            *requests += others;
        }
        self.unserved += other.unserved;
        let own = self.tries.iter_mut().chain(&mut self.latencies);
        for (own, others) in own.zip(other.tries.iter().chain(&other.latencies)) {
            *own = (own.0 + others.0, own.1 + others.1);
        }
    }
}

/// The model.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    believed: EstimatorSettings,
    catalog: Beliefs,
    level: Level,
    mix: Mix,
    failures: Means,
    latencies: Means,
}

/// What the model has seen of an episode, and what it knew before.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Estimators {
    level: Level,
    mix: Mix,
    failures: Means,
    latencies: Means,
}

/// What the model keeps over episodes of what providers and the time of the week are like, in whatever world.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Facts {
    calendar: Calendar,
    /// By provider: tries, and failed ones.
    failures: Vec<(f64, f64)>,
    /// By provider: jobs, and their sum of true latency / advertised latency.
    latencies: Vec<(f64, f64)>,
}

/// How right its estimators were in a world.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Records {
    level: Losses,
    mix: Losses,
    failures: Losses,
    latencies: Losses,
}

impl Facts {
    /// Adds what another one remembers.
    ///
    /// # Errors
    /// When it is of another catalog.
    pub(crate) fn add(&mut self, other: &Self) -> Result<(), String> {
        self.calendar.add(&other.calendar);
        add_pairs(&mut self.failures, &other.failures).map_err(|what| format!("failures: {what}"))?;
        add_pairs(&mut self.latencies, &other.latencies).map_err(|what| format!("latencies: {what}"))
    }
}

impl Records {
    /// Adds another one's.
    ///
    /// # Errors
    /// When they are of other estimators.
    pub(crate) fn add(&mut self, other: &Self) -> Result<(), String> {
        let Self { level, mix, failures, latencies } = self;
        let named = [
            ("level", level, &other.level),
            ("mix", mix, &other.mix),
            ("failures", failures, &other.failures),
            ("latencies", latencies, &other.latencies),
        ];
        for (name, own, other) in named {
            own.add(other).map_err(|what| format!("{name}: {what}"))?;
        }
        Ok(())
    }
}

impl Model {
    /// The catalog's word, to which only these estimators add anything.
    pub(crate) fn new(env: &Environment, believed: EstimatorSettings) -> Self {
        let catalog = Beliefs::of_catalog(env);
        let is_told = env.workloads().knowledge == Knowledge::Catalog;
        let providers = env.catalog().providers.len();
        Self {
            level: Level::new(catalog.spread, is_told),
            mix: Mix::new(&catalog.demand, is_told),
            latencies: Means::new(vec![1.0; providers], CATALOG_JOBS, is_told),
            failures: Means::new(vec![0.0; providers], CATALOG_JOBS, is_told),
            believed,
            catalog,
        }
    }

    /// Begins an episode: what was seen in the last one is no longer so.
    pub(crate) fn begin_episode(&mut self) {
        self.level.begin_episode();
        self.mix.begin_episode();
        self.failures.begin_episode();
        self.latencies.begin_episode();
    }

    /// Follows a step, and where `learns`, remembers it beyond the episode. How far off the number of requests was
    /// from what was expected (as a logarithm).
    pub(crate) fn observe(&mut self, seen: &Seen, learns: bool) -> f64 {
        let expected: f64 = self.catalog.demand.iter().flatten().sum();
        let requests: f64 = seen.requests.iter().flatten().sum();
        let error = self.level.observe(seen.hour_of_week, requests / expected, learns);
        if requests > 0.0 {
            self.mix.observe(&seen.requests, learns); // an empty step tells nothing of the mix
        }
        self.failures.observe(&seen.tries, learns);
        self.latencies.observe(&seen.latencies, learns);
        error
    }

    /// Heeds what others have seen of providers in this episode, in the place of what it heard before. Demand is its own.
    pub(crate) fn heed_steps(&mut self, others: &[PastStep]) {
        let ago = |past: &PastStep| past.steps_ago;
        self.failures.hear(others.iter().map(|past| (ago(past), past.evidence.failures.as_slice())));
        self.latencies.hear(others.iter().map(|past| (ago(past), past.evidence.latencies.as_slice())));
    }

    /// All that it believes by.
    pub(crate) fn estimators(&self) -> Estimators {
        let Self { level, mix, failures, latencies, .. } = self;
        Estimators {
            level: level.clone(),
            mix: mix.clone(),
            failures: failures.clone(),
            latencies: latencies.clone(),
        }
    }

    /// Goes on from that.
    ///
    /// # Errors
    /// It is of another catalog.
    pub(crate) fn go_on(&mut self, seen: Estimators) -> Result<(), String> {
        let Estimators { level, mix, failures, latencies } = seen;
        let fits = self.level.is_like(&level)
            && self.mix.is_like(&mix)
            && self.failures.is_like(&failures)
            && self.latencies.is_like(&latencies);
        if !fits {
            return Err("expected estimators of this catalog".into());
        }
        (self.level, self.mix, self.failures, self.latencies) = (level, mix, failures, latencies);
        Ok(())
    }

    /// What is believed of a step at this time.
    pub(crate) fn beliefs(&self, hour_of_week: u32) -> Beliefs {
        let Self { believed, catalog, .. } = self;
        let expected: f64 = catalog.demand.iter().flatten().sum();
        let (level, spread) =
            if believed.level { self.level.predict(hour_of_week) } else { (1.0, catalog.spread) };
        let requests = (expected * level).max(1.0);
        let shares = if believed.mix { self.mix.shares() } else { self.mix.catalog() };
        let success = || self.failures.values().iter().map(|failure| 1.0 - failure.clamp(0.0, 1.0)).collect();
        Beliefs {
            demand: shares.iter().map(|mix| mix.iter().map(|share| share * requests).collect()).collect(),
            spread,
            latency_factor: if believed.latencies {
                self.latencies.values()
            } else {
                catalog.latency_factor.clone()
            },
            success: if believed.failures { success() } else { catalog.success.clone() },
        }
    }

    /// Figures that it has learned.
    pub(crate) fn size(&self) -> u64 {
        self.level.size() + self.failures.size() + self.latencies.size()
    }

    pub(crate) fn facts(&self) -> Facts {
        Facts {
            calendar: self.level.calendar().clone(),
            failures: self.failures.known().to_vec(),
            latencies: self.latencies.known().to_vec(),
        }
    }

    pub(crate) fn records(&self) -> Records {
        Records {
            level: self.level.experts().remembered().clone(),
            mix: self.mix.experts().remembered().clone(),
            failures: self.failures.experts().remembered().clone(),
            latencies: self.latencies.experts().remembered().clone(),
        }
    }

    /// Takes facts over, and where this world is known, what its estimators came to in it.
    ///
    /// # Errors
    /// Says what does not fit.
    pub(crate) fn recall(&mut self, facts: Facts, records: Option<Records>) -> Result<(), String> {
        self.level.recall(facts.calendar)?;
        self.failures.recall(facts.failures).map_err(|what| format!("failures: {what}"))?;
        self.latencies.recall(facts.latencies).map_err(|what| format!("latencies: {what}"))?;
        if let Some(Records { level, mix, failures, latencies }) = records {
            let named = [
                ("level", self.level.experts_mut(), level),
                ("mix", self.mix.experts_mut(), mix),
                ("failures", self.failures.experts_mut(), failures),
                ("latencies", self.latencies.experts_mut(), latencies),
            ];
            for (name, experts, losses) in named {
                experts.recall(losses).map_err(|what| format!("{name}: {what}"))?;
            }
        }
        self.begin_episode();
        Ok(())
    }

    /// Heeds what others know too, beside its own and in the place of what it heeded before, from the next episode on.
    ///
    /// # Errors
    /// Says what does not fit.
    pub(crate) fn heed(&mut self, facts: Option<Facts>, records: Option<Records>) -> Result<(), String> {
        let (calendar, failures, latencies) = match facts {
            Some(Facts { calendar, failures, latencies }) => {
                (Some(calendar), Some(failures), Some(latencies))
            }
            None => (None, None, None),
        };
        self.level.heed(calendar)?;
        self.failures.heed(failures).map_err(|what| format!("failures: {what}"))?;
        self.latencies.heed(latencies).map_err(|what| format!("latencies: {what}"))?;
        let records =
            records.map(|Records { level, mix, failures, latencies }| [level, mix, failures, latencies]);
        let [level, mix, failures, latencies] = match records {
            Some(records) => records.map(Some),
            None => [const { None }; 4],
        };
        let named = [
            ("level", self.level.experts_mut(), level),
            ("mix", self.mix.experts_mut(), mix),
            ("failures", self.failures.experts_mut(), failures),
            ("latencies", self.latencies.experts_mut(), latencies),
        ];
        for (name, experts, others) in named {
            experts.heed(others).map_err(|what| format!("{name}: {what}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use routing_env::Preset;

    use super::*;

    /// What is believed with these estimators after a few steps of which nothing is as the catalog says.
    fn beliefs(believed: EstimatorSettings) -> (Beliefs, Beliefs) {
        let env = Environment::built_in(Preset::Drifting);
        let mut model = Model::new(&env, believed);
        let mut seen = Seen::nothing(&env, 0);
        seen.requests[0][0] = 500.0;
        seen.tries.fill((20.0, 10.0));
        seen.latencies.fill((20.0, 40.0));
        (0..10).for_each(|_| _ = model.observe(&seen, true));
        (model.beliefs(1), Beliefs::of_catalog(&env))
    }

    #[test]
    fn what_is_not_believed_is_as_the_catalog_says() {
        let none = EstimatorSettings { level: false, mix: false, failures: false, latencies: false };
        let (believed, catalog) = beliefs(none);
        let all = |beliefs: &Beliefs| -> Vec<f64> { beliefs.demand.iter().flatten().copied().collect() };
        assert!(all(&believed).iter().zip(all(&catalog)).all(|(own, told)| (own - told).abs() < 1e-9));
        assert_eq!(Beliefs { demand: catalog.demand.clone(), ..believed }, catalog);
    }

    #[test]
    fn each_estimator_tells_of_its_own() {
        let (all, catalog) = beliefs(EstimatorSettings::ALL);
        let sum = |beliefs: &Beliefs| -> f64 { beliefs.demand.iter().flatten().sum() };
        assert!(sum(&all) > 1.3 * sum(&catalog));
        let level = beliefs(EstimatorSettings { level: false, ..EstimatorSettings::ALL }).0;
        assert!((sum(&level) - sum(&catalog)).abs() < 1e-9);
        let mix = beliefs(EstimatorSettings { mix: false, ..EstimatorSettings::ALL }).0;
        assert!((mix.demand[0][0] / sum(&mix) - catalog.demand[0][0] / sum(&catalog)).abs() < 1e-9);
        let failures = beliefs(EstimatorSettings { failures: false, ..EstimatorSettings::ALL }).0;
        assert_eq!(Beliefs { success: all.success.clone(), ..failures }, all);
        let latencies = beliefs(EstimatorSettings { latencies: false, ..EstimatorSettings::ALL }).0;
        assert_eq!(Beliefs { latency_factor: all.latency_factor.clone(), ..latencies }, all);
    }
}
