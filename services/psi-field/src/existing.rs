//! What existing clients know: one Ψ-field, its parameters, and a guardian. All of it is the swarm `default`.

use api::psi_field::{
    AgentWindow, FieldState, InterventionKind, InterventionStatus, NewIntervention, SwarmWindow, Window,
};
use chrono::{DateTime, SecondsFormat, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    error::SwarmError,
    field::{Field, SURPRISE, Settings, Weights, kind_name},
    metrics::DEFAULT_SWARM,
    state::AppState,
    swarm::Entry,
};

/// Stepped swarms are stored every so many steps, for nobody makes checkpoints of them.
const CHECKPOINT_EVERY: u64 = 60;

/// The parameters of the field, by the names that they have always had.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(default)] // and unknown ones are let pass, as they always were
#[garde(allow_unvalidated)]
#[allow(non_snake_case)] // the wire's names
pub(crate) struct Params {
    /// Seconds between two steps.
    #[garde(range(min = 1e-6, max = 1e6))]
    pub dt: f64,
    /// Retention in seconds: the field remembers `W_r / dt` steps, 2 to 10,000.
    #[garde(range(min = 0.0, max = 1e9))]
    pub W_r: f64,
    /// Rollout horizon in seconds. Kept and shown; this field forecasts one step.
    pub H: f64,
    /// Number of rollouts. Kept and shown; this field's forecast is exact.
    pub N: u64,
    /// Working memory capacity. Kept and shown.
    pub C_w: u64,
    /// Latent dimension. Kept and shown.
    pub latent_dim: u64,
    /// Ψ's weight of memory.
    #[garde(range(min = -100.0, max = 100.0))]
    pub w1: f64,
    /// Ψ's weight of continuity.
    #[garde(range(min = -100.0, max = 100.0))]
    pub w2: f64,
    /// Ψ's weight of futurity.
    #[garde(range(min = -100.0, max = 100.0))]
    pub w3: f64,
    /// Ψ's weight of phase coherence.
    #[garde(range(min = -100.0, max = 100.0))]
    pub w4: f64,
    /// Ψ's weight of entropy, subtracted.
    #[garde(range(min = -100.0, max = 100.0))]
    pub w5: f64,
    /// Ψ's weight of prediction error, subtracted.
    #[garde(range(min = -100.0, max = 100.0))]
    pub w6: f64,
    /// Time dilation strength λ.
    #[garde(range(min = 0.0, max = 100.0))]
    pub lambda_: f64,
    /// The shortest step in seconds.
    #[garde(range(min = 0.0, max = 1e6))]
    pub dt_min: f64,
    /// The longest step in seconds.
    #[garde(range(min = 0.0, max = 1e6))]
    pub dt_max: f64,
}

impl Default for Params {
    fn default() -> Self {
        let weights = Weights::default();
        Self {
            dt: 0.2,
            W_r: 3.0,
            H: 2.0,
            N: 8,
            C_w: 32,
            latent_dim: 32,
            w1: weights.memory,
            w2: weights.continuity,
            w3: weights.futurity,
            w4: weights.phase_coherence,
            w5: weights.entropy,
            w6: weights.prediction_error,
            lambda_: 0.6,
            dt_min: 0.05,
            dt_max: 0.5,
        }
    }
}

impl Params {
    /// What a field with these parameters is set to.
    #[must_use]
    pub(crate) fn settings(&self, base: &Settings) -> Settings {
        Settings {
            retention_windows: (self.W_r / self.dt).round().clamp(2.0, 10_000.0) as u64,
            weights: Weights {
                memory: self.w1,
                continuity: self.w2,
                futurity: self.w3,
                phase_coherence: self.w4,
                entropy: self.w5,
                prediction_error: self.w6,
                ..base.weights.clone()
            },
            ..base.clone()
        }
    }

    /// The same with what a running field was set to, which may come from before a restart.
    #[must_use]
    pub(crate) fn of(&self, settings: &Settings) -> Self {
        let weights = &settings.weights;
        Self {
            W_r: if self.settings(settings).retention_windows == settings.retention_windows {
                self.W_r
            } else {
                settings.retention_windows as f64 * self.dt
            },
            w1: weights.memory,
            w2: weights.continuity,
            w3: weights.futurity,
            w4: weights.phase_coherence,
            w5: weights.entropy,
            w6: weights.prediction_error,
            ..self.clone()
        }
    }

    /// `dt_eff`: the step that the field asks for. The more unstable it is, the longer its moments: dt·e^(λ(1 − 2Ψ)),
    /// within `dt_min` and `dt_max`; dt itself while Ψ is not known.
    #[must_use]
    pub(crate) fn effective_dt(&self, psi: Option<f64>) -> f64 {
        let stretched = psi.map_or(self.dt, |psi| self.dt * (self.lambda_ * (1.0 - 2.0 * psi)).exp());
        // Not `clamp`, which panics when somebody sets the bounds the wrong way round.
        stretched.min(self.dt_max).max(self.dt_min)
    }
}

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
    pub reason: Option<String>,
    /// `nigredo`, `albedo` or null.
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

/// Takes one step of the swarm `default`: each number is an agent's mean reward.
///
/// # Errors
/// [`SwarmError`]; the field has then not moved.
pub(crate) async fn step(
    state: &AppState,
    x: &[f64],
    guarded: bool,
    now: DateTime<Utc>,
) -> Result<State, SwarmError> {
    let begun = std::time::Instant::now();
    let params = state.params().clone();
    let mut swarm = state.hold(DEFAULT_SWARM).await?;
    swarm.load(state.ledger(), None).await?;
    let mut field = match swarm.field() {
        Some(field) => field.clone(),
        None => Field::new(DEFAULT_SWARM, "", params.settings(&state.config().field)),
    };
    if !swarm.stepping {
        // Nobody posts these steps again, so what follows a restart is another life than what was lost.
        field.set_lineage(Uuid::now_v7().to_string());
    }
    let window = window(&field, x, guarded);
    let taken = swarm.step(window, field, guarded, state.ledger(), now).await?;
    swarm.trim(state.config().retained_answers);
    state.took(&taken.answer, &taken.changed, begun.elapsed());
    if let Some(ledger) =
        state.ledger().filter(|_| (taken.answer.window + 1).is_multiple_of(CHECKPOINT_EVERY))
        && let Err(error) = swarm.checkpoint(Some(ledger)).await
    {
        tracing::warn!(swarm = DEFAULT_SWARM, error = %error, "the state was not stored; the next checkpoint tries again");
    }
    let view = view(&swarm, &params, now, guarded);
    state.metrics().dilates(view.dt_eff / params.dt);
    Ok(view)
}

/// The state of the swarm `default`, as it is.
///
/// # Errors
/// The remembrancer is away.
pub(crate) async fn look(state: &AppState, now: DateTime<Utc>) -> Result<State, SwarmError> {
    let params = state.params().clone();
    match state.swarm(DEFAULT_SWARM).await {
        Ok(swarm) => Ok(view(&swarm, &params, now, true)),
        Err(SwarmError::NotFound(_)) => Ok(view(&Entry::new(DEFAULT_SWARM), &params, now, true)),
        Err(error) => Err(error),
    }
}

/// Begins the swarm `default` anew.
///
/// # Errors
/// There is no room for it, or its beginning cannot be stored.
pub(crate) async fn init(state: &AppState, params: Params) -> Result<(), SwarmError> {
    let mut swarm = state.hold(DEFAULT_SWARM).await?;
    let settings = params.settings(&state.config().field);
    swarm.begin(Field::new(DEFAULT_SWARM, Uuid::now_v7().to_string(), settings));
    swarm.checkpoint(state.ledger()).await?;
    state.metrics().show(&FieldState::default());
    *state.params() = params;
    Ok(())
}

/// Puts an intervention by hand on its way to the swarm `default`.
///
/// # Errors
/// [`SwarmError`].
pub(crate) async fn intervene(
    state: &AppState,
    kind: InterventionKind,
) -> Result<api::psi_field::InterventionRecord, SwarmError> {
    let reason = format!("{} by hand", kind_name(kind));
    state.request(DEFAULT_SWARM, NewIntervention { kind, targets: Vec::new(), reason }, None).await
}

/// A window out of a step. Whoever lets the guardian act does what it said before the next step.
fn window(field: &Field, x: &[f64], guarded: bool) -> Window {
    let waiting = field.interventions().map(|(_, record)| record).filter(|record| {
        guarded
            && record.status == InterventionStatus::Issued
            && record.intervention.issued_at_window < field.next_window()
    });
    Window {
        number: field.next_window(),
        acknowledged: waiting.map(|record| record.intervention.id).collect(),
        agents: (0..)
            .zip(x)
            .map(|(agent, reward)| AgentWindow {
                agent,
                mean_reward: Some(*reward),
                mean_abs_td_error: None,
                epsilon: 0.0,
                q_table_size: 0,
                decisions: 1,
            })
            .collect(),
        swarm: SwarmWindow {
            fill_rate: None,
            gpu_hours_fill: None,
            avg_cost: None,
            avg_latency_ms: None,
            mean_reward: None,
            provider_shares: Vec::new(),
        },
    }
}

fn view(entry: &Entry, params: &Params, now: DateTime<Utc>, guarded: bool) -> State {
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

/// What the guardian thinks of a swarm as it stands.
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
        intervention: intervention.map(|i| kind_name(i.kind).to_owned()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_set_retention_and_weights() {
        let params = Params { W_r: 10.0, dt: 0.5, w2: 0.3, ..Params::default() };
        let settings = params.settings(&Settings::default());
        assert_eq!((settings.retention_windows, settings.weights.continuity), (20, 0.3));
        assert_eq!(params.of(&settings), params);
        assert_eq!(Params::default().of(&settings).W_r, 4.0, "20 steps of 0.2 s");
    }

    #[test]
    fn an_unstable_field_has_longer_moments_within_the_bounds() {
        let params = Params::default();
        assert_eq!(params.effective_dt(None), 0.2);
        assert_eq!(params.effective_dt(Some(0.5)), 0.2);
        // 0.2 · e^0.6 and 0.2 · e^−0.6
        assert!((params.effective_dt(Some(0.0)) - 0.364_424).abs() < 1e-6);
        assert!((params.effective_dt(Some(1.0)) - 0.109_762).abs() < 1e-6);
        let wrong = Params { dt_min: 1.0, dt_max: 0.1, ..params };
        assert_eq!(wrong.effective_dt(Some(0.5)), 1.0);
    }
}
