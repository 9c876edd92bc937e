//! What existing clients know: one Ψ-field, its parameters, and a guardian. All of it is the swarm `default`.

mod params;
mod view;

use std::collections::BTreeMap;

use api::psi_field::{AgentWindow, FieldState, InterventionKind, NewIntervention, SwarmWindow, Window};
use chrono::{DateTime, Utc};
use psi::{Field, intervention::InterventionStatus};
use uuid::Uuid;

use crate::{error::SwarmError, metrics::DEFAULT_SWARM, state::AppState, swarm::Entry};

pub(crate) use params::Params;
pub(crate) use view::{GuardianView, State, Summaries, Thresholds, guardian, summaries};

use view::view;

/// Stepped swarms are stored every so many steps, for nobody makes checkpoints of them.
const CHECKPOINT_EVERY: u64 = 60;

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
    state.metrics().dilates(view.dt_eff);
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
        Err(SwarmError::NotFound(_) | SwarmError::Deleted(_)) => {
            Ok(view(&Entry::new(DEFAULT_SWARM), &params, now, true))
        }
        Err(error) => Err(error),
    }
}

/// Restarts the swarm `default`.
///
/// # Errors
/// There is no room for it, or its beginning cannot be stored.
pub(crate) async fn init(state: &AppState, params: Params) -> Result<(), SwarmError> {
    let mut swarm = state.hold(DEFAULT_SWARM).await?;
    let settings = params.settings(&state.config().field);
    let mut fresh = Entry::new(DEFAULT_SWARM);
    fresh.begin(Field::new(DEFAULT_SWARM, Uuid::now_v7().to_string(), settings));
    fresh.checkpoint(state.ledger()).await?;
    *swarm = fresh;
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
    let reason = format!("{} by hand", kind.name());
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
        repeated: false,
        acknowledged: waiting.map(|record| record.intervention.id).collect(),
        trials: Vec::new(),
        agents: (0..)
            .zip(x)
            .map(|(agent, reward)| AgentWindow {
                agent,
                mean_reward: Some(*reward),
                mean_abs_td_error: None,
                // nothing is said of them: that they learn and explore is assumed, or no intervention had a target
                epsilon: 0.1,
                q_table_size: 1,
                decisions: 1,
            })
            .collect(),
        time: None,
        swarm: SwarmWindow::default(),
        channels: BTreeMap::new(),
    }
}
