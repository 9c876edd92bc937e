use garde::Validate;
use serde::{Deserialize, Serialize};

use crate::{
    detect::{Judged, Source},
    numbers::{COUNT_LIMIT, mean_and_deviation, unit},
    observation::Observation,
    settings::Weights,
    state::FieldState,
};

/// Forecasts that must have been judged before their skill is given.
const KNOWN_AFTER: u64 = 10;
/// One forecast's error counts up to so many scales.
const ERROR_CUT: f64 = 10.0;

/// Fading mean errors of the field's forecast and of the naive one, "as last time".
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, Validate)]
pub(crate) struct Skill {
    #[garde(range(min = 0.0, max = ERROR_CUT))]
    error: f64,
    #[garde(range(min = 0.0, max = ERROR_CUT))]
    naive_error: f64,
    #[garde(range(max = COUNT_LIMIT))]
    windows: u64,
}

impl Skill {
    /// Takes a window's errors in scales, one a channel.
    pub(crate) fn observe(&mut self, errors: &[f64], naive_errors: &[f64], retention: u64) {
        if errors.is_empty() {
            return;
        }
        self.windows += 1;
        let rate = (1.0 / self.windows as f64).max(1.0 / retention.max(1) as f64);
        let mean =
            |errors: &[f64]| errors.iter().map(|e| e.abs().min(ERROR_CUT)).sum::<f64>() / errors.len() as f64;
        self.error += rate * (mean(errors) - self.error);
        self.naive_error += rate * (mean(naive_errors) - self.naive_error);
    }

    /// U: 1 − error / naive error, clipped. Where nothing ever moves, the forecast leaves nothing to wish for.
    #[must_use]
    pub(crate) fn futurity(&self) -> Option<f64> {
        (self.windows >= KNOWN_AFTER).then(|| {
            if self.naive_error < 1e-9 && self.error < 1e-9 {
                1.0
            } else {
                unit(1.0 - self.error / self.naive_error.max(1e-9))
            }
        })
    }
}

/// H: the mean of the spread of routing choices (normalised entropy of the providers' shares) and the spread
/// of performance (s / (s + |m|) with the agents' mean reward m and its deviation s), as far as they are known.
#[must_use]
pub(crate) fn entropy(observation: &Observation) -> Option<f64> {
    let rewards = observation.agents.values().flatten().copied();
    let performance = mean_and_deviation(rewards).map(|(mean, deviation)| {
        let whole = deviation + mean.abs();
        if whole > 0.0 { unit(deviation / whole) } else { 0.0 }
    });
    match (observation.routing_entropy, performance) {
        (Some(routing), Some(performance)) => Some(0.5 * (routing + performance)),
        (one, other) => one.or(other),
    }
}

/// A swarm that moved so large a part of its requests to other providers still counts as exp(−½) alike.
const MOVED_WIDTH: f64 = 0.2;

/// How well the providers' shares continue those of the windows before: of the part of the requests that went to another
/// provider than then (the total variation between the shares and their recent mean). 1 where there are no shares.
#[must_use]
pub(crate) fn continuity_of_shares(judged: &[Judged]) -> f64 {
    let changes = judged.iter().filter(|channel| matches!(channel.source, Source::Share(_)));
    let moved = 0.5 * changes.map(|channel| channel.evidence.change.abs()).sum::<f64>();
    (-0.5 * (moved / MOVED_WIDTH).powi(2)).exp()
}

/// Ψ, once every term is known.
#[must_use]
pub(crate) fn psi(state: &FieldState, weights: &Weights) -> Option<f64> {
    let sum = weights.memory * state.memory?
        + weights.continuity * state.continuity?
        + weights.futurity * state.futurity?
        + weights.phase_coherence * state.phase_coherence?
        - weights.entropy * state.entropy?
        - weights.prediction_error * state.prediction_error?;
    Some(unit(1.0 / (1.0 + (weights.bias - weights.gain * sum).exp())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn psi_is_the_sigmoid_of_the_weighted_terms_and_unknown_while_one_is() {
        let mut state = FieldState {
            psi: None,
            continuity: Some(0.5),
            futurity: Some(0.25),
            phase_coherence: Some(0.75),
            entropy: Some(0.4),
            prediction_error: Some(0.6),
            memory: Some(1.0),
        };
        let weights = Weights { gain: 1.0, bias: 1.0, ..Weights::default() };
        // 1 + .4 + .15 + .45 − .28 − .42 = 1.3; σ(0.3) = 0.574443
        assert!((psi(&state, &weights).unwrap() - 0.574_443).abs() < 1e-6);
        state.futurity = None;
        assert_eq!(psi(&state, &weights), None);
    }

    #[test]
    fn skill_is_the_error_saved_and_never_negative() {
        let mut skill = Skill::default();
        for _ in 0..9 {
            skill.observe(&[1.0], &[2.0], 60);
        }
        assert_eq!(skill.futurity(), None, "nine windows are not enough");
        skill.observe(&[1.0], &[2.0], 60);
        assert!((skill.futurity().unwrap() - 0.5).abs() < 1e-12);
        for _ in 0..200 {
            skill.observe(&[5.0], &[1.0], 60);
        }
        assert_eq!(skill.futurity(), Some(0.0));
    }
}
