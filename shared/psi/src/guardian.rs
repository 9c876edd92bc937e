use std::collections::VecDeque;

use garde::Validate;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    detect::{Finding, Judged, Source, by_rank},
    intervention::InterventionKind,
    interventions::Wish,
    numbers::COUNT_LIMIT,
    observation::Channel,
    profile::Profile,
    settings::Settings,
    state::FieldState,
    window::{AgentWindow, Window},
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
    /// The entropy that is usual where Ψ is not low.
    #[serde(default)]
    #[garde(inner(range(min = 0.0, max = 1.0)))]
    usual_entropy: Option<f64>,
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
        reward: Option<&Judged>,
        state: &FieldState,
        settings: &Settings,
    ) -> Option<InterventionKind> {
        self.reward_z.push_back(reward.map(|reward| reward.deviation.z));
        while self.reward_z.len() as u64 > settings.anomaly_of {
            self.reward_z.pop_front();
        }
        let unstable = state.psi.is_some_and(|psi| psi < settings.albedo_psi);
        let collapsed = state
            .entropy
            .zip(self.usual_entropy)
            .is_some_and(|(entropy, usual)| entropy < settings.albedo_entropy * usual);
        if let Some(entropy) = state.entropy.filter(|_| !unstable) {
            let usual = self.usual_entropy.unwrap_or(entropy);
            self.usual_entropy = Some(usual + (entropy - usual) / settings.retention_windows as f64);
        }
        self.blind = if unstable && collapsed { self.blind + 1 } else { 0 };

        let fell = self.reward_z.iter().flatten().any(|z| *z <= FALL_Z)
            || reward.is_some_and(|reward| reward.evidence.fell);
        if finding.lasts && fell {
            Some(InterventionKind::Nigredo)
        } else if self.blind >= settings.albedo_patience_windows {
            Some(InterventionKind::Albedo)
        } else {
            None
        }
    }

    /// The intervention with its targets, reason and evidence; `None` where nobody has something to forget, or explores.
    #[must_use]
    pub(crate) fn wish(
        &self,
        kind: InterventionKind,
        state: &FieldState,
        judged: &[Judged],
        window: &Window,
        profile: &Profile,
        settings: &Settings,
    ) -> Option<Wish> {
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
                let learns =
                    |agent: &&AgentWindow| agent.q_table_size > 0 || agent.mean_abs_td_error.is_some();
                let learners = window.agents.iter().filter(learns);
                let mut targets = profile.worst_first(learners.map(|agent| agent.agent));
                if targets.is_empty() {
                    return None;
                }
                let share = (targets.len() as f64 * settings.nigredo_share).ceil().max(1.0);
                targets.truncate(share as usize);
                targets.sort_unstable();
                evidence.insert("channels".into(), channels(judged));
                let what = forgetting(targets.len(), settings.nigredo_kept);
                let reward = reward_of(judged).map(|reward| reward.deviation);
                let reason = match reward {
                    Some(d) => format!(
                        "What was learned no longer holds: the reward is {} where {} was expected, {:.1} scales off. \
                         {what}",
                        short(d.observed),
                        short(d.expected),
                        d.z,
                    ),
                    None => format!("What was learned no longer holds: the reward fell. {what}"),
                };
                Some(Wish { kind, targets, reason, evidence })
            }
            InterventionKind::Albedo => {
                let explorers = window.agents.iter().filter(|agent| agent.epsilon > 0.0);
                let mut targets: Vec<u32> = explorers.map(|agent| agent.agent).collect();
                targets.sort_unstable();
                if targets.is_empty() {
                    return None;
                }
                evidence.insert("windows".into(), json!(self.blind));
                evidence.insert("usual_entropy".into(), json!(self.usual_entropy));
                let reason = format!(
                    "The swarm is stuck: for {} windows Ψ was below {} and entropy below {:.0} % of what is usual. All agents \
                     that explore explore more.",
                    self.blind,
                    settings.albedo_psi,
                    100.0 * settings.albedo_entropy
                );
                Some(Wish { kind, targets, reason, evidence })
            }
        }
    }
}

/// What so many agents are to do, as a sentence.
fn forgetting(agents: usize, kept: f64) -> String {
    if kept > 0.0 {
        format!(
            "For the {agents} agents of the worst recent reward what they learned counts {:.0} % of what it did.",
            100.0 * kept
        )
    } else {
        format!("The {agents} agents of the worst recent reward start afresh.")
    }
}

/// The channel of the swarm's reward.
pub(crate) fn reward_of(judged: &[Judged]) -> Option<&Judged> {
    judged.iter().find(|channel| channel.source == Source::Figure(Channel::MeanReward))
}

fn channels(judged: &[Judged]) -> Value {
    let entry = |channel: &Judged| {
        let d = channel.deviation;
        json!({"channel": channel.source.name(), "z_score": d.z, "observed": d.observed, "expected": d.expected})
    };
    Value::Array(by_rank(judged).into_iter().take(MOST_EVIDENCE).map(entry).collect())
}

/// A number for a sentence: two decimals, unless it is too large or small for them.
fn short(x: f64) -> String {
    if x != 0.0 && !(1e-2..1e9).contains(&x.abs()) { format!("{x:.2e}") } else { format!("{x:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        series::Deviation,
        series::{Evidence, Memory},
    };

    fn state(psi: f64, entropy: f64) -> FieldState {
        FieldState { psi: Some(psi), entropy: Some(entropy), ..FieldState::default() }
    }

    fn reward(z: f64, fell: bool) -> Judged {
        let evidence = Evidence { innovation: None, memory: Memory::Range, margins: 1.5, fell, change: z };
        let deviation = Deviation { z, observed: 40.0 + z, expected: 40.0 };
        Judged { source: Source::Figure(Channel::MeanReward), deviation, evidence, surprise: 1.5 }
    }

    #[test]
    fn a_surprise_with_a_falling_reward_calls_for_nigredo_and_one_without_for_nothing() {
        let settings = Settings::default();
        let calls = |lasts, z, fell| {
            let finding = Finding { began: lasts, lasts };
            Guardian::default().observe(finding, Some(&reward(z, fell)), &state(0.3, 0.5), &settings)
        };
        assert_eq!(calls(true, -6.0, false), Some(InterventionKind::Nigredo));
        assert_eq!(calls(true, -1.0, true), Some(InterventionKind::Nigredo), "slowly, but below all before");
        assert_eq!(calls(true, 6.0, false), None, "a reward that rises is no reason to forget");
        assert_eq!(calls(false, -6.0, true), None, "nor is a single window");
    }

    #[test]
    fn a_swarm_that_stays_blind_calls_for_albedo_only_after_some_patience() {
        let (mut guardian, settings) = (Guardian::default(), Settings::default());
        let mut call =
            |psi, entropy| guardian.observe(Finding::default(), None, &state(psi, entropy), &settings);
        assert_eq!(call(0.9, 0.5), None);
        assert_eq!(call(0.4, 0.4), None);
        assert_eq!(call(0.4, 0.4), None);
        assert_eq!(call(0.4, 0.4), Some(InterventionKind::Albedo));
        assert_eq!(call(0.4, 0.48), None, "a little less than usual is not collapsed");
        assert_eq!(call(0.9, 0.1), None, "stable, and of one mind: nothing is wrong");
    }
}
