//! Estimators that choose their own rate of forgetting: several of each run beside each other, and the one that has
//! predicted best is believed.

use serde::{Deserialize, Serialize};

/// Rates at which the level of demand follows what is seen, and how much of it is left a step later.
const LEVELS: [(f64, f64); 11] = [
    (0.0, 0.0),
    (0.8, 1.0),
    (0.9, 0.95),
    (0.8, 0.95),
    (0.6, 0.95),
    (0.9, 0.9),
    (0.7, 0.9),
    (0.9, 0.8),
    (0.6, 0.8),
    (0.6, 1.0),
    (0.4, 1.0),
];

/// The level that trusts the catalog, and the one that is believed first where the catalog does not tell all.
const TRUSTING_LEVEL: usize = 0;
const FIRST_LEVEL: usize = 1;

/// What is expected of the error where the catalog does not tell all, until it is known.
const FIRST_SPREAD: f64 = 0.15;

/// How many steps what is believed first counts for.
const FIRST_STEPS: f64 = 20.0;

/// What a step keeps of the mix that was seen before; 1: the catalog's word.
const MIXES: [f64; 4] = [1.0, 0.97, 0.99, 0.93];
const TRUSTING_MIX: usize = 0;
const FIRST_MIX: usize = 1;

/// What a step keeps of the means that were seen before, and for how many jobs what is known of other episodes counts.
const FIRST_MEAN: usize = 0;
const MEANS: [(f64, f64); 8] = [
    (0.97, 10.0),
    (0.9, 3.0),
    (0.9, 10.0),
    (0.95, 5.0),
    (0.95, 20.0),
    (0.98, 20.0),
    (0.8, 5.0),
    (0.99, 40.0),
];

/// The number of requests in a step / the catalog's, as a logarithm: what is usual at this step of an episode, and how
/// far this episode is off.
#[derive(Clone, Debug)]
pub(crate) struct Level {
    memory: LevelMemory,
    /// What is left to know of a step when all else is known.
    least_spread: f64,
    is_told: bool,
    /// What is usual at each step of an episode.
    usual: Vec<f64>,
    /// `[rate]`: how far this episode is off, as expected of the next step.
    offsets: [f64; LEVELS.len()],
}

/// What [`Level`] keeps over episodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LevelMemory {
    /// By step of the episode.
    steps: Vec<StepLevels>,
    /// `[rate]`: sum of the squared errors of its predictions.
    losses: Vec<f64>,
    /// Predictions made.
    predictions: f64,
}

/// The levels that a step of the episode has had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StepLevels {
    episodes: f64,
    sum: f64,
    sum_of_squares: f64,
}

impl Level {
    /// Nothing seen yet; `is_told` where the catalog tells the law of demand.
    pub(crate) fn new(least_spread: f64, is_told: bool) -> Self {
        let memory = LevelMemory { steps: Vec::new(), losses: vec![0.0; LEVELS.len()], predictions: 0.0 };
        Self { memory, least_spread, is_told, usual: Vec::new(), offsets: [0.0; LEVELS.len()] }
    }

    pub(crate) fn begin_episode(&mut self) {
        self.usual = usual(&self.memory.steps);
        self.offsets = [0.0; LEVELS.len()];
    }

    /// Follows a step, and returns the error of what was predicted.
    pub(crate) fn observe(&mut self, step: u32, level: f64, learns: bool) -> f64 {
        let seen = level.max(1e-3).ln();
        let usual = self.usual_at(step);
        let error = seen - usual - self.offsets[self.best()];
        for (i, (gain, kept)) in LEVELS.into_iter().enumerate() {
            let innovation = seen - usual - self.offsets[i];
            if learns {
                self.memory.losses[i] += innovation * innovation;
            }
            self.offsets[i] = kept * (self.offsets[i] + gain * innovation);
        }
        if learns {
            self.memory.predictions += 1.0;
            let step = step as usize;
            if self.memory.steps.len() <= step {
                self.memory.steps.resize(step + 1, StepLevels::default());
            }
            let levels = &mut self.memory.steps[step];
            levels.episodes += 1.0;
            levels.sum += seen;
            levels.sum_of_squares += seen * seen;
        }
        error
    }

    /// The level of a step, and how far it may be off: a standard deviation, as a share.
    pub(crate) fn predict(&self, step: u32) -> (f64, f64) {
        let best = self.best();
        let first = if self.is_told { self.least_spread } else { FIRST_SPREAD };
        let errors = first * first * FIRST_STEPS + self.memory.losses[best];
        let spread = (errors / (FIRST_STEPS + self.memory.predictions)).sqrt().max(self.least_spread);
        ((self.usual_at(step) + self.offsets[best]).exp(), spread)
    }

    /// Steps that it knows.
    pub(crate) fn size(&self) -> u64 {
        self.memory.steps.len() as u64
    }

    pub(crate) fn memory(&self) -> &LevelMemory {
        &self.memory
    }

    /// # Errors
    /// Says what does not fit.
    pub(crate) fn recall(&mut self, memory: LevelMemory) -> Result<(), String> {
        check_losses(&memory.losses, LEVELS.len()).map_err(|what| format!("level: {what}"))?;
        if !memory.steps.iter().all(|levels| levels.episodes >= 0.0 && levels.sum.is_finite()) {
            return Err("level: expected finite sums over episodes".into());
        }
        self.memory = memory;
        self.begin_episode();
        Ok(())
    }

    fn best(&self) -> usize {
        best(&self.memory.losses, if self.is_told { TRUSTING_LEVEL } else { FIRST_LEVEL })
    }

    fn usual_at(&self, step: u32) -> f64 {
        self.usual.get(step as usize).copied().unwrap_or_default()
    }
}

/// What is usual at each step, as far as the episodes show that steps differ: the steps' means, drawn towards their own
/// mean by the share of their spread that chance explains (James and Stein 1961).
fn usual(steps: &[StepLevels]) -> Vec<f64> {
    let seen: Vec<&StepLevels> = steps.iter().filter(|levels| levels.episodes >= 2.0).collect();
    if seen.len() < 2 {
        return Vec::new();
    }
    let count = seen.len() as f64;
    let means: Vec<f64> = seen.iter().map(|levels| levels.sum / levels.episodes).collect();
    let mean = means.iter().sum::<f64>() / count;
    let between = means.iter().map(|m| (m - mean) * (m - mean)).sum::<f64>() / (count - 1.0);
    let chance = seen.iter().zip(&means).map(|(levels, mean)| {
        let variance = (levels.sum_of_squares / levels.episodes - mean * mean).max(0.0);
        variance / (levels.episodes - 1.0)
    });
    let chance = chance.sum::<f64>() / count;
    let signal = if between > 0.0 { (1.0 - chance / between).max(0.0) } else { 0.0 };
    let of_step = |levels: &StepLevels| {
        if levels.episodes >= 2.0 { signal * (levels.sum / levels.episodes - mean) } else { 0.0 }
    };
    steps.iter().map(of_step).collect()
}

/// Of which requests a step consists: shares of all, `[tenant][position in its mix]`.
#[derive(Clone, Debug)]
pub(crate) struct Mix {
    catalog: Vec<Vec<f64>>,
    is_told: bool,
    /// `[rate]`
    shares: Vec<Vec<Vec<f64>>>,
    /// `[rate]`: sum of the negative log-likelihoods.
    losses: Vec<f64>,
}

impl Mix {
    /// The catalog's word: requests in a step.
    pub(crate) fn new(demand: &[Vec<f64>], is_told: bool) -> Self {
        let all: f64 = demand.iter().flatten().sum();
        let catalog: Vec<Vec<f64>> =
            demand.iter().map(|mix| mix.iter().map(|requests| requests / all.max(1e-9)).collect()).collect();
        let shares = vec![catalog.clone(); MIXES.len()];
        Self { catalog, is_told, shares, losses: vec![0.0; MIXES.len()] }
    }

    pub(crate) fn begin_episode(&mut self) {
        self.shares = vec![self.catalog.clone(); MIXES.len()];
    }

    /// Follows a step with these requests, not all 0.
    pub(crate) fn observe(&mut self, requests: &[Vec<f64>], learns: bool) {
        let all: f64 = requests.iter().flatten().sum();
        for ((kept, shares), loss) in MIXES.iter().zip(&mut self.shares).zip(&mut self.losses) {
            for (share, count) in shares.iter_mut().flatten().zip(requests.iter().flatten()) {
                if learns {
                    *loss -= count * share.max(1e-6).ln();
                }
                *share = kept * *share + (1.0 - kept) * count / all;
            }
        }
    }

    pub(crate) fn shares(&self) -> &[Vec<f64>] {
        &self.shares[best(&self.losses, if self.is_told { TRUSTING_MIX } else { FIRST_MIX })]
    }

    pub(crate) fn losses(&self) -> &[f64] {
        &self.losses
    }

    /// # Errors
    /// Says what does not fit.
    pub(crate) fn recall(&mut self, losses: Vec<f64>) -> Result<(), String> {
        check_losses(&losses, MIXES.len()).map_err(|what| format!("mix: {what}"))?;
        self.losses = losses;
        Ok(())
    }
}

/// Means of what came of jobs, a provider each.
#[derive(Clone, Debug)]
pub(crate) struct Means {
    /// The catalog's word.
    catalog: Vec<f64>,
    /// For how many jobs it counts.
    catalog_jobs: f64,
    memory: MeansMemory,
    /// What is known of other episodes.
    priors: Vec<f64>,
    /// `[rate][provider]`: jobs and their sum, as far as they are not forgotten.
    recent: Vec<Vec<(f64, f64)>>,
}

/// What [`Means`] keeps over episodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MeansMemory {
    /// By provider: jobs and their sum.
    providers: Vec<(f64, f64)>,
    /// `[rate]`: sum of the squared errors of its predictions, up to what all have in common.
    losses: Vec<f64>,
}

impl Means {
    pub(crate) fn new(catalog: Vec<f64>, catalog_jobs: f64) -> Self {
        let recent = vec![vec![(0.0, 0.0); catalog.len()]; MEANS.len()];
        let memory =
            MeansMemory { providers: vec![(0.0, 0.0); catalog.len()], losses: vec![0.0; MEANS.len()] };
        Self { priors: catalog.clone(), catalog, catalog_jobs, memory, recent }
    }

    pub(crate) fn begin_episode(&mut self) {
        let providers = self.catalog.iter().zip(&self.memory.providers);
        let prior = |(catalog, (jobs, sum)): (&f64, &(f64, f64))| {
            (catalog * self.catalog_jobs + sum) / (self.catalog_jobs + jobs)
        };
        self.priors = providers.map(prior).collect();
        self.recent = vec![vec![(0.0, 0.0); self.catalog.len()]; MEANS.len()];
    }

    /// Follows a step: by provider, jobs and their sum.
    pub(crate) fn observe(&mut self, seen: &[(f64, f64)], learns: bool) {
        for (rate, (kept, _)) in MEANS.into_iter().enumerate() {
            for (provider, (jobs, sum)) in seen.iter().enumerate() {
                if learns && *jobs > 0.0 {
                    let expected = self.value(rate, provider);
                    self.memory.losses[rate] += jobs * expected * expected - 2.0 * expected * sum;
                }
                let recent = &mut self.recent[rate][provider];
                *recent = (kept * recent.0 + jobs, kept * recent.1 + sum);
            }
        }
        if learns {
            for (known, seen) in self.memory.providers.iter_mut().zip(seen) {
                *known = (known.0 + seen.0, known.1 + seen.1);
            }
        }
    }

    /// What is expected of each provider.
    pub(crate) fn values(&self) -> Vec<f64> {
        let rate = best(&self.memory.losses, FIRST_MEAN);
        (0..self.catalog.len()).map(|provider| self.value(rate, provider)).collect()
    }

    /// Providers that it knows.
    pub(crate) fn size(&self) -> u64 {
        self.memory.providers.iter().filter(|(jobs, _)| *jobs > 0.0).count() as u64
    }

    pub(crate) fn memory(&self) -> &MeansMemory {
        &self.memory
    }

    /// # Errors
    /// Says what does not fit.
    pub(crate) fn recall(&mut self, memory: MeansMemory) -> Result<(), String> {
        check_losses(&memory.losses, MEANS.len())?;
        if memory.providers.len() != self.catalog.len() {
            let (expected, found) = (self.catalog.len(), memory.providers.len());
            return Err(format!("expected figures of {expected} providers, found {found}"));
        }
        if !memory.providers.iter().all(|(jobs, sum)| *jobs >= 0.0 && sum.is_finite()) {
            return Err("expected finite sums over jobs".into());
        }
        self.memory = memory;
        self.begin_episode();
        Ok(())
    }

    fn value(&self, rate: usize, provider: usize) -> f64 {
        let (jobs, sum) = self.recent[rate][provider];
        let weight = MEANS[rate].1;
        (self.priors[provider] * weight + sum) / (weight + jobs)
    }
}

/// The lowest loss; on a tie, the one that is believed first.
fn best(losses: &[f64], first: usize) -> usize {
    let better = |best: usize, i: usize| if losses[i] < losses[best] { i } else { best };
    (0..losses.len()).fold(first, better)
}

fn check_losses(losses: &[f64], expected: usize) -> Result<(), String> {
    if losses.len() != expected || losses.iter().any(|loss| !loss.is_finite()) {
        return Err(format!("expected {expected} finite losses, found {}", losses.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_starts_at_what_is_known_and_follows_what_is_seen() {
        let mut means = Means::new(vec![0.5, 0.2], 10.0);
        assert_eq!(means.values(), [0.5, 0.2]);
        // the first rate counts what is known for 10 jobs: (0.5·10 + 1) / (10 + 10)
        means.observe(&[(10.0, 1.0), (0.0, 0.0)], false);
        assert_eq!(means.values(), [0.3, 0.2]);
        means.begin_episode();
        assert_eq!(means.values(), [0.5, 0.2], "a frozen one remembers nothing beyond the episode");
    }

    #[test]
    fn what_was_learned_in_one_episode_is_known_in_the_next() {
        let mut means = Means::new(vec![0.5], 10.0);
        means.observe(&[(10.0, 1.0)], true);
        means.begin_episode();
        // the catalog's word for 10 jobs, and 10 jobs: (0.5·10 + 1) / 20
        assert_eq!(means.values(), [0.3]);
    }

    #[test]
    fn the_rate_that_predicts_best_is_believed() {
        // failures come in bursts of ten steps: who forgets soon predicts them best
        let mut means = Means::new(vec![0.1], 10.0);
        for step in 0..400 {
            let failed = if step / 10 % 2 == 0 { 9.0 } else { 1.0 };
            means.observe(&[(10.0, failed)], true);
        }
        let bursty = best(&means.memory.losses, FIRST_MEAN);
        let mut means = Means::new(vec![0.1], 10.0);
        for step in 0..400 {
            means.observe(&[(10.0, if step % 2 == 0 { 4.0 } else { 6.0 })], true);
        }
        let steady = best(&means.memory.losses, FIRST_MEAN);
        assert!(MEANS[bursty].0 < MEANS[steady].0, "{:?} {:?}", MEANS[bursty], MEANS[steady]);
    }

    #[test]
    fn where_the_catalog_tells_all_no_noise_is_followed() {
        let mut level = Level::new(0.04, true);
        for episode in 0..10_u32 {
            level.begin_episode();
            for step in 0..50_u32 {
                // ±4 %, without any pattern over steps
                let up = (step * 7 + episode * 13 + step * step * 3) % 5 < 2;
                level.observe(step, if up { 1.04 } else { 0.97 }, true);
            }
        }
        level.begin_episode();
        level.observe(0, 1.04, false);
        let (predicted, spread) = level.predict(1);
        assert!((predicted - 1.0).abs() < 0.02, "{predicted}");
        assert!((0.03..0.06).contains(&spread), "{spread}");
    }

    #[test]
    fn what_comes_back_in_every_episode_is_expected() {
        let mut level = Level::new(0.04, false);
        for episode in 0..20 {
            level.begin_episode();
            for step in 0..48_u32 {
                let wave = 1.0 + 0.3 * (f64::from(step) * std::f64::consts::TAU / 24.0).sin();
                let noise = if (episode + step).is_multiple_of(2) { 1.02 } else { 0.98 };
                level.observe(step, wave * noise, true);
            }
        }
        level.begin_episode();
        let (at_its_height, _) = level.predict(6);
        let (at_its_depth, _) = level.predict(18);
        // e^(mean of the logarithm) of 1.3 and 0.7, relative to the usual level of an episode
        assert!((at_its_height / at_its_depth - 1.3 / 0.7).abs() < 0.05, "{at_its_height} {at_its_depth}");
    }

    #[test]
    fn a_level_that_lasts_is_followed() {
        let mut level = Level::new(0.04, false);
        level.begin_episode();
        for step in 0..10 {
            level.observe(step, 1.5, false);
        }
        assert!((level.predict(10).0 - 1.5).abs() < 0.01);
    }

    #[test]
    fn a_mix_that_leans_is_followed_and_shares_stay_shares() {
        let mut mix = Mix::new(&[vec![30.0, 30.0], vec![40.0]], false);
        for _ in 0..200 {
            mix.observe(&[vec![10.0, 50.0], vec![40.0]], false);
        }
        let shares = mix.shares();
        assert!((shares[0][0] - 0.1).abs() < 0.01 && (shares[0][1] - 0.5).abs() < 0.01, "{shares:?}");
        assert!((shares.iter().flatten().sum::<f64>() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_memory_of_another_catalog_or_version_is_refused() {
        let mut means = Means::new(vec![0.1; 3], 10.0);
        let other = Means::new(vec![0.1; 2], 10.0).memory;
        assert_eq!(means.recall(other).unwrap_err(), "expected figures of 3 providers, found 2");
        let cut = MeansMemory { losses: vec![0.0; 2], ..means.memory.clone() };
        assert!(means.recall(cut).unwrap_err().contains("finite losses"));
    }
}
