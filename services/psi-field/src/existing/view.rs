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
    /// Below this entropy a field has collapsed.
    pub h_low: f64,
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
            cooldown: settings.cooldown_windows,
        },
        history_size: steps.min(settings.retention_windows),
    }
}
