use std::collections::BTreeMap;

use garde::Validate;
use serde::{Deserialize, Serialize};

use crate::{
    numbers::{COUNT_LIMIT, LIMIT, SQUARE_LIMIT, each_is_valid, mean},
    observation::Observation,
};

/// Rewards that an agent must have shown before it is compared with its past.
const KNOWN_AFTER: u64 = 5;
/// Agents that are away are remembered up to so many; the longest away go first.
const MOST_REMEMBERED: usize = 20_000;
/// Degrees of freedom of the Student t by which rewards are weighted (see `LocalLevel`).
const DOF: f64 = 5.0;
/// An agent so many scales off its past still counts as exp(−½) alike.
const SIMILARITY_WIDTH: f64 = 3.0;
const Z_LIMIT: f64 = 1e6;
/// An agent counts with so many scales at most in the mean of all.
const DEVIATION_CUT: f64 = 10.0;

/// Every agent's recent mean reward, its scale, and where it was last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, Validate)]
pub(crate) struct Profile {
    #[garde(custom(|tracks: &BTreeMap<u32, Track>, (): &()| each_is_valid(tracks.values())))]
    agents: BTreeMap<u32, Track>,
}

/// What a window looks like beside the profile before it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Likeness {
    /// Mean similarity of the agents with their recent past.
    pub continuity: Option<f64>,
    /// Kuramoto order parameter of their deviations.
    pub phase_coherence: Option<f64>,
    /// How far each agent that is known is from its own past, in its own scales.
    pub deviations: Vec<(u32, f64)>,
}

impl Likeness {
    /// The agents' mean distance from their own past, each cut so that one alone does not make it.
    #[must_use]
    pub(crate) fn mean_deviation(&self) -> Option<f64> {
        mean(self.deviations.iter().map(|(_, z)| z.clamp(-DEVIATION_CUT, DEVIATION_CUT)))
    }

    /// ln(1 + the largest distance of any agent): its size tells ten agents from a thousand, its logarithm a heavy tail
    /// from an agent that left its past.
    #[must_use]
    pub(crate) fn extreme_deviation(&self) -> Option<f64> {
        self.deviations.iter().map(|(_, z)| z.abs()).reduce(f64::max).map(f64::ln_1p)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, Validate)]
struct Track {
    #[garde(range(min = -LIMIT, max = LIMIT))]
    mean: f64,
    #[garde(range(min = 0.0, max = SQUARE_LIMIT))]
    scale2: f64,
    #[garde(range(max = COUNT_LIMIT))]
    rewards: u64,
    /// Deviation at the last reward, in scales.
    #[garde(inner(range(min = -Z_LIMIT, max = Z_LIMIT)))]
    last_z: Option<f64>,
    #[garde(skip)]
    last_window: u64,
}

impl Profile {
    /// Compares the window with the profile, then takes it in.
    pub(crate) fn observe(&mut self, window: u64, observation: &Observation, retention: u64) -> Likeness {
        let mut similarity = Vec::with_capacity(observation.agents.len());
        let mut deviations = Vec::with_capacity(observation.agents.len());
        let (mut phases, mut at_rest) = ((0.0, 0.0, 0u64), 0u64);
        for (agent, reward) in &observation.agents {
            let Some(reward) = *reward else { continue };
            let track = self.agents.entry(*agent).or_insert_with(|| Track::new(reward, window));
            let z = track.z(reward);
            if track.rewards >= KNOWN_AFTER {
                deviations.push((*agent, z));
                similarity.push((-0.5 * (z / SIMILARITY_WIDTH).powi(2)).exp());
                // The phase of a deviation is its angle in the plane of now and before (delay embedding).
                match track.last_z.map(|before| z.hypot(before)) {
                    Some(radius) if radius > 0.0 => {
                        phases.0 += z / radius;
                        phases.1 += track.last_z.unwrap_or(0.0) / radius;
                        phases.2 += 1;
                    }
                    Some(_) => at_rest += 1,
                    None => {}
                }
            }
            track.update(reward, z, window, retention);
        }
        self.forget(window, retention);
        Likeness {
            continuity: mean(similarity.into_iter()),
            phase_coherence: order_parameter(phases, at_rest),
            deviations,
        }
    }

    /// These agents, the worst recent mean reward first; those without any come last.
    #[must_use]
    pub(crate) fn worst_first(&self, agents: impl Iterator<Item = u32>) -> Vec<u32> {
        let mean = |agent| self.agents.get(&agent).map_or(f64::INFINITY, |track| track.mean);
        let mut agents: Vec<(u32, f64)> = agents.map(|agent| (agent, mean(agent))).collect();
        agents.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
        agents.into_iter().map(|(agent, _)| agent).collect()
    }

    /// About how many bytes it takes in memory.
    #[must_use]
    pub(crate) fn size_bytes(&self) -> usize {
        // A tree's node is two thirds full.
        self.agents.len() * (size_of::<(u32, Track)>() * 3 / 2)
    }

    fn forget(&mut self, window: u64, retention: u64) {
        self.agents.retain(|_, track| window.saturating_sub(track.last_window) <= retention);
        if self.agents.len() > MOST_REMEMBERED {
            let mut last: Vec<u64> = self.agents.values().map(|track| track.last_window).collect();
            last.sort_unstable();
            // Everything as old as the oldest that must go; the window's own agents are never among it,
            // for there are at most half as many.
            let oldest = last[last.len() - MOST_REMEMBERED].min(window.saturating_sub(1));
            self.agents.retain(|_, track| track.last_window > oldest);
        }
    }
}

impl Track {
    fn new(reward: f64, window: u64) -> Self {
        Self { mean: reward, scale2: 0.0, rewards: 0, last_z: None, last_window: window }
    }

    fn z(&self, reward: f64) -> f64 {
        let scale = self.scale2.max(0.0).sqrt().max(1e-3 * self.mean.abs()).max(1e-12);
        ((reward - self.mean) / scale).clamp(-Z_LIMIT, Z_LIMIT)
    }

    fn update(&mut self, reward: f64, z: f64, window: u64, retention: u64) {
        self.rewards += 1;
        let rate = (1.0 / self.rewards as f64).max(1.0 / retention.max(1) as f64);
        let error = reward - self.mean;
        let weight = ((DOF + 1.0) / (DOF + z * z)).max(0.05); // what lasts is learned in the end
        self.mean += rate * weight.min(1.0) * error;
        if self.scale2 > 0.0 {
            self.scale2 += rate * (weight * error * error - self.scale2);
        } else {
            self.scale2 = error * error;
        }
        self.last_z = Some(z);
        self.last_window = window;
    }
}

/// R = |Σ e^{iθ}| / n (Kuramoto, 1975), freed of what n random phases would show: of those R² is 1/n on
/// average. Agents at rest are in unison.
fn order_parameter((x, y, moving): (f64, f64, u64), at_rest: u64) -> Option<f64> {
    if moving + at_rest == 0 {
        return None;
    }
    if moving <= 1 {
        return Some(1.0);
    }
    let n = moving as f64;
    let squared = (x * x + y * y) / (n * n);
    Some(((n * squared - 1.0) / (n - 1.0)).clamp(0.0, 1.0).sqrt())
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_distr::{Distribution, StandardNormal};

    use super::*;

    fn observation(rewards: impl Iterator<Item = f64>) -> Observation {
        Observation {
            agents: (0..).zip(rewards.map(Some)).collect(),
            channels: [None; crate::observation::CHANNELS],
            shares: Vec::new(),
            open: BTreeMap::new(),
            routing_entropy: None,
        }
    }

    #[test]
    fn agents_that_move_together_are_coherent_and_independent_ones_are_not() {
        let mut generator = rand_pcg::Pcg64Mcg::seed_from_u64(9);
        let mut normal = move || -> f64 { StandardNormal.sample(&mut generator) };
        let (mut together, mut apart) = (Profile::default(), Profile::default());
        let (mut coherent, mut incoherent) = (0.0, 0.0);
        for window in 0..200 {
            let common = normal();
            let a = together.observe(window, &observation((0..50).map(|_| 10.0 + common)), 60);
            let b = apart.observe(window, &observation((0..50).map(|_| 10.0 + normal())), 60);
            if window >= 100 {
                coherent += a.phase_coherence.unwrap() / 100.0;
                incoherent += b.phase_coherence.unwrap() / 100.0;
            }
        }
        assert!(coherent > 0.95, "{coherent}");
        assert!(incoherent < 0.15, "{incoherent}");
    }

    #[test]
    fn continuity_falls_with_the_share_of_agents_that_left_their_past() {
        let mut profile = Profile::default();
        for window in 0..100 {
            let wobble = if window % 2 == 0 { 1.0 } else { -1.0 };
            profile.observe(window, &observation((0..10).map(|_| 40.0 + wobble)), 60);
        }
        let half = profile.observe(100, &observation((0..10).map(|i| if i < 5 { 41.0 } else { 0.0 })), 60);
        assert!((half.continuity.unwrap() - 0.5).abs() < 0.1, "{half:?}");
    }

    #[test]
    fn nothing_is_said_of_agents_that_are_not_known_yet() {
        let mut profile = Profile::default();
        assert_eq!(profile.observe(0, &observation([1.0, 2.0].into_iter()), 60), Likeness::default());
    }

    #[test]
    fn memory_stays_bounded_when_every_window_brings_other_agents() {
        let mut profile = Profile::default();
        for window in 0..20_u64 {
            let first = u32::try_from(window).unwrap() * 10_000;
            let agents = (first..first + 10_000).map(|agent| (agent, Some(1.0))).collect();
            let observation = Observation { agents, ..observation(std::iter::empty()) };
            profile.observe(window, &observation, 60);
            assert!(profile.agents.len() <= 2 * MOST_REMEMBERED && profile.agents.len() >= 10_000);
        }
        assert!(profile.agents.len() <= MOST_REMEMBERED);
    }
}
