use chrono::{DateTime, SecondsFormat, Utc};
use psi::{Field, SURPRISE, Settings, state::FieldState};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Params;
use crate::swarm::Entry;

/// The field's state by the names that existing clients know. What is not yet known is 0, here and only here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[allow(non_snake_case)] // the wire's names
pub(crate) struct State {
    /// Ψ.
    pub Psi: f64,
    /// Continuity.
    pub C: f64,
    /// Futurity.
    pub U: f64,
    /// Phase coherence.
    pub Phi: f64,
    /// Entropy.
    pub H: f64,
    /// Prediction error.
    pub PE: f64,
    /// Memory.
    pub M: f64,
    /// The step that the field asks for, in seconds.
    pub dt_eff: f64,
    /// Steps so far.
    pub k: u64,
    /// When this was answered.
    pub timestamp: String,
    /// What the guardian thinks of it; absent when it was not asked.
    #[serde(rename = "_guardian", default, skip_serializing_if = "Option::is_none")]
    pub guardian: Option<GuardianView>,
}

/// What the guardian thinks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct GuardianView {
    /// Something is wrong.
    pub red_flag: bool,
    /// What, in a sentence.
    #[schema(required)]
    pub reason: Option<String>,
    /// `nigredo`, `albedo` or null.
    #[schema(required)]
    pub intervention: Option<String>,
    /// Steps since the last intervention; all of them when there was none.
    pub steps_since_intervention: u64,
    /// Interventions so far.
    pub intervention_count: u64,
    /// What is measured against.
    pub thresholds: Thresholds,
    /// Steps that are remembered.
    pub history_size: u64,
}

/// What the guardian measures against.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Thresholds {
    /// A step with more prediction error than this is a surprise.
    pub pe_high: f64,
    /// Below this Ψ a field is unstable.
    pub psi_low: f64,
    /// Below this share of its usual entropy a field has collapsed.
    pub h_low: f64,
    /// Above this entropy a field would be too spread: none is, for a swarm may use all providers alike.
    pub h_high: f64,
    /// Always `calibrated`: what counts as a surprise follows from the swarm's own past.
    #[serde(rename = "type")]
    pub kind: String,
    /// Steps between two interventions.
    pub cooldown: u64,
}

/// A swarm as existing clients see it.
pub(crate) fn view(entry: &Entry, params: &Params, now: DateTime<Utc>, guarded: bool) -> State {
    let unknown = FieldState::default();
    let field = entry.field();
    let state = field.map_or(&unknown, Field::state);
    let known = |term: Option<f64>| term.unwrap_or(0.0);
    State {
        Psi: known(state.psi),
        C: known(state.continuity),
        U: known(state.futurity),
        Phi: known(state.phase_coherence),
        H: known(state.entropy),
        PE: known(state.prediction_error),
        M: known(state.memory),
        dt_eff: params.effective_dt(state.psi),
        k: field.map_or(0, Field::next_window),
        timestamp: now.to_rfc3339_opts(SecondsFormat::Micros, true),
        guardian: guarded.then(|| guardian(entry)),
    }
}

/// The guardian's view of a swarm now.
#[must_use]
pub(crate) fn guardian(entry: &Entry) -> GuardianView {
    let defaults = Settings::default();
    let field = entry.field();
    let settings = field.map_or(&defaults, Field::settings);
    let error = field.and_then(|field| field.state().prediction_error);
    let answer = entry.last_answer();
    let anomaly = answer.and_then(|answer| answer.anomaly.as_ref());
    let intervention = answer.and_then(|answer| answer.interventions.last());
    let surprise = error.filter(|error| *error > SURPRISE);
    let reason = intervention.map(|i| i.reason.clone()).or_else(|| {
        anomaly.map(|anomaly| {
            let channels: Vec<&str> = anomaly.channels.iter().map(|c| c.channel.as_str()).collect();
            format!("An anomaly ({}) in {}.", anomaly.detector, channels.join(", "))
        })
    });
    let steps = field.map_or(0, Field::next_window);
    GuardianView {
        red_flag: surprise.is_some() || anomaly.is_some(),
        reason: reason
            .or_else(|| surprise.map(|error| format!("Prediction error is {error:.3}, above {SURPRISE}."))),
        intervention: intervention.map(|i| i.kind.name().to_owned()),
        steps_since_intervention: steps
            - field.and_then(Field::last_intervention_at).map_or(0, |last| (last + 1).min(steps)),
        intervention_count: field.map_or(0, Field::intervention_count),
        thresholds: Thresholds {
            pe_high: SURPRISE,
            psi_low: settings.albedo_psi,
            h_low: settings.albedo_entropy,
            h_high: 1.0,
            kind: "calibrated".into(),
            cooldown: settings.cooldown_windows,
        },
        history_size: steps.min(settings.retention_windows),
    }
}

/// The terms over the steps that are remembered.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Summaries {
    /// Ψ.
    pub psi: Summary,
    /// Prediction error.
    pub pe: Summary,
    /// Entropy.
    pub h: Summary,
}

/// A term over the steps that are remembered; all 0 where there is none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct Summary {
    /// Arithmetic mean.
    pub mean: f64,
    /// Standard deviation, of all of them (n).
    pub std: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
    /// The 95th percentile: the smallest value that is not below 95 % of them.
    pub p95: f64,
}

impl Summary {
    fn of(terms: impl Iterator<Item = Option<f64>>) -> Self {
        let mut values: Vec<f64> = terms.flatten().collect();
        values.sort_by(f64::total_cmp);
        let (Some(min), Some(max)) = (values.first().copied(), values.last().copied()) else {
            return Self::default();
        };
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let std = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n).sqrt();
        let place = ((0.95 * n).ceil() as usize).clamp(1, values.len());
        Self { mean, std, min, max, p95: values[place - 1] }
    }
}

/// The terms over the last answers, as many as the field remembers.
pub(crate) fn summaries(entry: &Entry) -> Summaries {
    let retained = entry.field().map_or(0, |field| field.settings().retention_windows);
    let from = entry.field().map_or(0, |field| field.next_window().saturating_sub(retained));
    let over = |term: fn(&api::psi_field::FieldState) -> Option<f64>| {
        Summary::of(entry.answers(from).map(|answer| term(&answer.state)))
    };
    Summaries {
        psi: over(|state| state.psi),
        pe: over(|state| state.prediction_error),
        h: over(|state| state.entropy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_what_it_is_by_hand() {
        let summary = Summary::of([Some(1.0), None, Some(3.0), Some(2.0), Some(6.0)].into_iter());
        // mean 3, deviations −2, −1, 0, 3: variance 14 / 4
        assert_eq!((summary.mean, summary.min, summary.max, summary.p95), (3.0, 1.0, 6.0, 6.0));
        assert!((summary.std - 3.5_f64.sqrt()).abs() < 1e-12);
        assert_eq!(Summary::of(std::iter::empty()), Summary::default());
    }
}
