//! What psi-field commands, tried before it is carried out.

use api::{
    psi_field::{Effect, Intervention, InterventionKind, Trial, WindowAnswer},
    trainer::Interventions,
};
use policy::{Command, trial};
use routing_env::Episode;

use super::Player;

/// Albedo where psi-field does not say how: ε ← min(0.3, 1.5·ε) for a while.
const ALBEDO_FACTOR: f64 = 1.5;
const ALBEDO_MAX: f64 = 0.3;
const ALBEDO_WINDOWS: u64 = 20;

impl Player<'_> {
    /// Applies what the field commands at the boundary between two steps, as far as it proves itself where the run asks for
    /// that; what was applied. A swarm of hand rules has nothing to reset or to raise, so it applies nothing and
    /// acknowledges nothing.
    pub(super) fn intervene(
        &mut self,
        answer: Option<&WindowAnswer>,
        episode: &Episode<'_>,
    ) -> Vec<Intervention> {
        let mut commands = answer.map(|answer| answer.interventions.clone()).unwrap_or_default();
        if !self.swarm.is_learner() || commands.is_empty() {
            return Vec::new();
        }
        if self.run.config.interventions == Some(Interventions::Tried) {
            let trials: Vec<Trial> = commands.iter().map(|command| self.tried(command, episode)).collect();
            let mut adopted = trials.iter().map(|trial| trial.adopted);
            commands.retain(|_| adopted.next() == Some(true));
            self.field.tell_trials(trials);
        }
        for intervention in &commands {
            self.swarm.apply(command_of(intervention), &intervention.targets);
            tracing::info!(run = %self.run.id, window = self.windows_done, intervention = %intervention.id,
                kind = ?intervention.kind, reason = intervention.reason, "intervention applied");
        }
        commands
    }

    /// Tries it. What an operator orders is carried out whatever comes of that.
    fn tried(&mut self, intervention: &Intervention, episode: &Episode<'_>) -> Trial {
        let may_try = intervention.by_operator || trial::is_affordable(self.windows_tried, self.windows_done);
        let command = (command_of(intervention), intervention.targets.as_slice());
        let at = (self.run.config.seed, self.windows_done);
        let effect = may_try.then(|| trial::trial(&self.swarm, episode, command, at)).flatten();
        self.windows_tried += effect.map_or(0, |effect| effect.windows_played());
        let adopted = intervention.by_operator || effect.is_some_and(|effect| effect.is_gain());
        tracing::info!(run = %self.run.id, window = self.windows_done, intervention = %intervention.id,
            kind = ?intervention.kind, adopted, gain = ?effect.map(|effect| effect.difference), "intervention tried");
        Trial { intervention: intervention.id, adopted, effect: effect.map(wire) }
    }
}

fn wire(effect: trial::Effect) -> Effect {
    Effect {
        forks: effect.forks.into(),
        windows: effect.windows.into(),
        reward_without: effect.reward_without,
        reward_with: effect.reward_with,
        difference_ci_low: effect.difference.0,
        difference_ci_high: effect.difference.1,
    }
}

fn command_of(intervention: &Intervention) -> Command {
    let parameters = &intervention.parameters;
    match intervention.kind {
        InterventionKind::Nigredo => Command::Nigredo { kept: parameters.evidence_kept.unwrap_or(0.0) },
        InterventionKind::Albedo => Command::Albedo {
            factor: parameters.epsilon_factor.unwrap_or(ALBEDO_FACTOR),
            max: parameters.epsilon_max.unwrap_or(ALBEDO_MAX),
            windows: parameters.duration_windows.unwrap_or(ALBEDO_WINDOWS),
        },
    }
}
