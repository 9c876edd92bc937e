use std::collections::VecDeque;

use garde::Validate;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    detect::{Deviation, Drift, Finding},
    intervention::InterventionKind,
    interventions::Wish,
    numbers::COUNT_LIMIT,
    observation::{CHANNELS, Channel, Observation},
    profile::Profile,
    settings::Settings,
    state::FieldState,
};

/// The reward counts as falling when one of the last windows was so many scales below its forecast.
const FALL_Z: f64 = -3.0;
/// The evidence lists so many channels at most.
const MOST_EVIDENCE: usize = 3;

/// Decides what a swarm needs, if anything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, Validate)]
pub(crate) struct Guardian {
    /// The reward's last deviations, as many as the anomaly looks back. They are compared, and not reckoned with.
    #[garde(skip)]
    reward_z: VecDeque<Option<f64>>,
    /// Windows on end in which Ψ was low and entropy collapsed.
    #[garde(range(max = COUNT_LIMIT))]
    blind: u64,
}

impl Guardian {
    /// What this window calls for: nigredo when what was learned no longer holds, albedo when the swarm
    /// is stuck or blind.
    pub(crate) fn observe(
        &mut self,
        finding: Finding,
        reward_z: Option<f64>,
        state: &FieldState,
        settings: &Settings,
    ) -> Option<InterventionKind> {
        self.reward_z.push_back(reward_z);
        while self.reward_z.len() as u64 > settings.anomaly_of {
            self.reward_z.pop_front();
        }
        let unstable = state.psi.is_some_and(|psi| psi < settings.albedo_psi);
        let collapsed = state.entropy.is_some_and(|entropy| entropy < settings.albedo_entropy);
        self.blind = if unstable && collapsed { self.blind + 1 } else { 0 };

        let fell = self.reward_z.iter().flatten().any(|z| *z <= FALL_Z);
        if finding.drift == Some(Drift::Down) || (finding.surprise_lasts && fell) {
            Some(InterventionKind::Nigredo)
        } else if self.blind >= settings.albedo_patience_windows {
            Some(InterventionKind::Albedo)
        } else {
            None
        }
    }

    /// The intervention with its targets, reason and evidence.
    #[must_use]
    pub(crate) fn wish(
        &self,
        kind: InterventionKind,
        state: &FieldState,
        deviations: &[Option<Deviation>; CHANNELS],
        observation: &Observation,
        profile: &Profile,
        settings: &Settings,
    ) -> Wish {
        let mut evidence = Map::new();
        for (name, term) in [
            ("psi", state.psi),
            ("prediction_error", state.prediction_error),
            ("entropy", state.entropy),
            ("continuity", state.continuity),
        ] {
            evidence.insert(name.into(), json!(term));
        }
        match kind {
            InterventionKind::Nigredo => {
                let mut targets = profile.worst_first(observation);
                let share = (targets.len() as f64 * settings.nigredo_share).ceil().max(1.0);
                targets.truncate(share as usize);
                targets.sort_unstable();
                evidence.insert("channels".into(), channels(deviations));
                let reward = deviations[Channel::MeanReward as usize];
                let reason = match reward {
                    Some(d) => format!(
                        "What was learned no longer holds: the reward is {} where {} was expected, {:.1} scales off. \
                         The {} agents of the worst recent reward start afresh.",
                        short(d.observed),
                        short(d.expected),
                        d.z,
                        targets.len()
                    ),
                    None => format!(
                        "What was learned no longer holds: the reward fell. The {} agents of the worst recent \
                         reward start afresh.",
                        targets.len()
                    ),
                };
                Wish { kind, targets, reason, evidence }
            }
            InterventionKind::Albedo => {
                evidence.insert("windows".into(), json!(self.blind));
                let reason = format!(
                    "The swarm is stuck: Ψ was below {} and entropy below {} for {} windows. All agents explore more.",
                    settings.albedo_psi, settings.albedo_entropy, self.blind
                );
                Wish { kind, targets: observation.agents.keys().copied().collect(), reason, evidence }
            }
        }
    }
}

fn channels(deviations: &[Option<Deviation>; CHANNELS]) -> Value {
    let mut worst: Vec<(Channel, Deviation)> =
        Channel::ALL.into_iter().zip(deviations).filter_map(|(c, d)| Some((c, (*d)?))).collect();
    worst.sort_by(|a, b| b.1.z.abs().total_cmp(&a.1.z.abs()));
    worst.truncate(MOST_EVIDENCE);
    let entry = |(channel, d): (Channel, Deviation)| json!({"channel": channel.name(), "z_score": d.z, "observed": d.observed, "expected": d.expected});
    Value::Array(worst.into_iter().map(entry).collect())
}

/// A number for a sentence: two decimals, unless it is too large or small for them.
fn short(x: f64) -> String {
    if x != 0.0 && !(1e-2..1e9).contains(&x.abs()) { format!("{x:.2e}") } else { format!("{x:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(psi: f64, entropy: f64) -> FieldState {
        FieldState { psi: Some(psi), entropy: Some(entropy), ..FieldState::default() }
    }

    #[test]
    fn a_surprise_with_a_falling_reward_calls_for_nigredo_and_one_without_for_nothing() {
        let surprised = Finding { surprise_began: true, surprise_lasts: true, drift: None };
        let settings = Settings::default();
        let calls = |z| Guardian::default().observe(surprised, Some(z), &state(0.3, 0.5), &settings);
        assert_eq!(calls(-6.0), Some(InterventionKind::Nigredo));
        assert_eq!(calls(6.0), None, "a reward that rises is no reason to forget");
        let rising = Finding { drift: Some(Drift::Up), ..Finding::default() };
        assert_eq!(Guardian::default().observe(rising, Some(2.0), &state(0.9, 0.5), &settings), None);
    }

    #[test]
    fn a_swarm_that_stays_blind_calls_for_albedo_only_after_some_patience() {
        let (mut guardian, settings) = (Guardian::default(), Settings::default());
        let mut call =
            |psi, entropy| guardian.observe(Finding::default(), Some(0.0), &state(psi, entropy), &settings);
        assert_eq!(call(0.4, 0.1), None);
        assert_eq!(call(0.4, 0.1), None);
        assert_eq!(call(0.4, 0.1), Some(InterventionKind::Albedo));
        assert_eq!(call(0.9, 0.1), None, "stable, and of one mind: nothing is wrong");
    }
}
