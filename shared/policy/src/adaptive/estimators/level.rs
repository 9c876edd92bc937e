//! How many requests a step brings.

use serde::{Deserialize, Serialize};

use super::{add_each, best, check_losses};

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

impl LevelMemory {
    /// Adds what another one remembers; steps that only one knows are that one's.
    ///
    /// # Errors
    /// When it is of another version.
    pub(crate) fn add(&mut self, other: &Self) -> Result<(), String> {
        add_each(&mut self.losses, &other.losses).map_err(|what| format!("level: {what}"))?;
        self.predictions += other.predictions;
        self.steps.resize(self.steps.len().max(other.steps.len()), StepLevels::default());
        for (levels, more) in self.steps.iter_mut().zip(&other.steps) {
            levels.episodes += more.episodes;
            levels.sum += more.sum;
            levels.sum_of_squares += more.sum_of_squares;
        }
        Ok(())
    }
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
