use std::collections::VecDeque;

use garde::Validate;
use serde::{Deserialize, Serialize};

use crate::{
    answer::{AgentDeviation, Anomaly, ChannelDeviation},
    numbers::{LIMIT, mean_and_deviation},
    observation::{CHANNELS, Channel, Observation},
    settings::Settings,
};

/// A channel this many scales off its forecast is named in an anomaly.
const CHANNEL_Z: f64 = 3.0;
/// An agent this many standard deviations off the swarm is named in an anomaly.
const AGENT_Z: f64 = 2.0;
/// The list of agents is cut here: beyond it, it is the swarm that deviates.
const MOST_AGENTS: usize = 20;
/// With no agent over the limit, so many are named all the same, and so many channels.
const FEWEST_NAMED: usize = 3;
/// One window adds at most so many scales to the CUSUM, so that a single outlier cannot trip it.
const CUSUM_CUT: f64 = 4.0;

/// Which way the reward went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Drift {
    /// It rose.
    Up,
    /// It fell.
    Down,
}

/// What the detector found in a window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Finding {
    /// Enough of the last windows were surprises, and this window made it so.
    pub surprise_began: bool,
    /// Enough of the last windows were surprises.
    pub surprise_lasts: bool,
    /// The CUSUM alarmed in this window.
    pub drift: Option<Drift>,
}

/// m of n windows over the threshold, and a two-sided CUSUM on the reward's innovations (Page, 1954).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, Validate)]
pub(crate) struct Detector {
    #[garde(skip)]
    votes: VecDeque<bool>,
    #[garde(skip)]
    surprised: bool,
    #[garde(range(min = 0.0, max = LIMIT))]
    above: f64,
    #[garde(range(min = 0.0, max = LIMIT))]
    below: f64,
}

impl Detector {
    /// Takes a window's prediction error and the reward's innovation in scales.
    pub(crate) fn observe(
        &mut self,
        surprising: bool,
        reward_z: Option<f64>,
        settings: &Settings,
    ) -> Finding {
        self.votes.push_back(surprising);
        while self.votes.len() as u64 > settings.anomaly_of {
            self.votes.pop_front();
        }
        let votes = self.votes.iter().filter(|vote| **vote).count() as u64;
        let surprise_lasts = votes >= settings.anomaly_windows;
        let surprise_began = surprise_lasts && !self.surprised;
        self.surprised = surprise_lasts;
        Finding { surprise_began, surprise_lasts, drift: self.cusum(reward_z, settings) }
    }

    fn cusum(&mut self, z: Option<f64>, settings: &Settings) -> Option<Drift> {
        let z = z?.clamp(-CUSUM_CUT, CUSUM_CUT);
        self.above = (self.above + z - settings.cusum_allowance).max(0.0);
        self.below = (self.below - z - settings.cusum_allowance).max(0.0);
        let drift = if self.below > settings.cusum_threshold {
            Drift::Down
        } else if self.above > settings.cusum_threshold {
            Drift::Up
        } else {
            return None;
        };
        (self.above, self.below) = (0.0, 0.0);
        Some(drift)
    }
}

/// The anomaly that a finding amounts to, with its causes; `None` when it is none.
#[must_use]
pub(crate) fn anomaly(
    finding: Finding,
    deviations: &[Option<Deviation>; CHANNELS],
    observation: &Observation,
) -> Option<Anomaly> {
    let detector = if finding.surprise_began {
        "prediction_error"
    } else if finding.drift.is_some() {
        "cusum"
    } else {
        return None;
    };
    Some(Anomaly {
        detector: detector.into(),
        channels: deviating_channels(deviations, finding.drift.is_some() && !finding.surprise_began),
        agents: deviating_agents(observation),
    })
}

/// A channel beside its forecast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Deviation {
    /// The distance in scales.
    pub z: f64,
    /// What came.
    pub observed: f64,
    /// What was forecast.
    pub expected: f64,
}

fn deviating_channels(
    deviations: &[Option<Deviation>; CHANNELS],
    reward_first: bool,
) -> Vec<ChannelDeviation> {
    let mut channels: Vec<(Channel, Deviation)> =
        Channel::ALL.into_iter().zip(deviations).filter_map(|(c, d)| Some((c, (*d)?))).collect();
    channels.sort_by(|a, b| b.1.z.abs().total_cmp(&a.1.z.abs()));
    let named = channels.iter().filter(|c| c.1.z.abs() >= CHANNEL_Z).count().max(FEWEST_NAMED);
    channels.truncate(named);
    if reward_first {
        // The drift is the reward's, however far another channel is off in this very window.
        channels.sort_by_key(|c| c.0 != Channel::MeanReward);
        channels.truncate(1);
    }
    channels
        .into_iter()
        .map(|(channel, deviation)| ChannelDeviation {
            channel: channel.name().into(),
            z_score: deviation.z,
            observed: deviation.observed,
            expected: deviation.expected,
        })
        .collect()
}

fn deviating_agents(observation: &Observation) -> Vec<AgentDeviation> {
    let rewards = || observation.agents.iter().filter_map(|(agent, reward)| Some((*agent, (*reward)?)));
    let Some((mean, deviation)) = mean_and_deviation(rewards().map(|(_, reward)| reward)) else {
        return Vec::new();
    };
    if deviation <= 0.0 {
        return Vec::new();
    }
    let mut agents: Vec<AgentDeviation> = rewards()
        .map(|(agent, reward)| AgentDeviation { agent, z_score: (reward - mean) / deviation })
        .collect();
    agents.sort_by(|a, b| b.z_score.abs().total_cmp(&a.z_score.abs()).then(a.agent.cmp(&b.agent)));
    let named = agents.iter().filter(|a| a.z_score.abs() >= AGENT_Z).count();
    agents.truncate(named.clamp(FEWEST_NAMED, MOST_AGENTS));
    agents
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(votes: &[bool]) -> Vec<bool> {
        let (mut detector, settings) = (Detector::default(), Settings::default());
        votes.iter().map(|vote| detector.observe(*vote, None, &settings).surprise_began).collect()
    }

    #[test]
    fn two_of_three_windows_make_one_anomaly_and_a_single_one_makes_none() {
        assert_eq!(findings(&[true, false, false, true]), [false; 4]);
        assert_eq!(findings(&[true, false, true, true, true]), [false, false, true, false, false]);
        assert_eq!(
            findings(&[true, true, false, false, true, true]),
            [false, true, false, false, false, true],
            "after a pause it is another one"
        );
    }

    #[test]
    fn the_cusum_tells_a_falling_reward_from_a_rising_one() {
        let settings = Settings::default();
        for (z, drift) in [(-1.5, Drift::Down), (1.5, Drift::Up)] {
            let mut detector = Detector::default();
            // Each window adds 1.5 − 0.5 = 1: the thirteenth is the first over 12.
            let found: Vec<_> = (0..13).map(|_| detector.observe(false, Some(z), &settings).drift).collect();
            assert_eq!(found[..12], [None; 12]);
            assert_eq!(found[12], Some(drift));
        }
    }

    #[test]
    fn an_anomaly_names_the_worst_channels_and_agents_first() {
        let mut deviations = [None; CHANNELS];
        deviations[0] = Some(Deviation { z: -4.0, observed: 0.8, expected: 0.95 });
        deviations[2] = Some(Deviation { z: 9.0, observed: 5.0, expected: 3.0 });
        deviations[3] = Some(Deviation { z: 0.1, observed: 300.0, expected: 300.0 });
        deviations[4] = Some(Deviation { z: -5.0, observed: 30.0, expected: 40.0 });
        let observation = Observation {
            agents: (0..10).map(|agent| (agent, Some(if agent == 7 { -20.0 } else { 40.0 }))).collect(),
            channels: [None; CHANNELS],
            routing_entropy: None,
        };
        let finding = Finding { surprise_began: true, surprise_lasts: true, drift: None };
        let anomaly = anomaly(finding, &deviations, &observation).unwrap();
        let names: Vec<_> = anomaly.channels.iter().map(|c| c.channel.as_str()).collect();
        assert_eq!(names, ["avg_cost", "mean_reward", "fill_rate"]);
        assert_eq!(anomaly.agents[0].agent, 7);
        // one of ten off by d: mean d/10, deviation 3d/10, so z = −0.9/0.3
        assert!((anomaly.agents[0].z_score + 3.0).abs() < 1e-9);
    }
}
