//! Between the field's types and those that travel.

use api::psi_field as wire;
use psi::{
    Snapshot,
    answer::{AgentDeviation, Anomaly, ChannelDeviation, WindowAnswer},
    intervention::{
        Assessment, Effect, Intervention, InterventionKind, InterventionParameters, InterventionRecord,
        InterventionStatus,
    },
    state::FieldState,
    window::{AgentWindow, SwarmWindow, Trial, Window},
};

/// A window as the field takes it.
pub(crate) fn window(window: &wire::Window) -> Window {
    let agent = |agent: &wire::AgentWindow| AgentWindow {
        agent: agent.agent,
        mean_reward: agent.mean_reward,
        mean_abs_td_error: agent.mean_abs_td_error,
        epsilon: agent.epsilon,
        q_table_size: agent.q_table_size,
        decisions: agent.decisions,
    };
    let swarm = &window.swarm;
    Window {
        number: window.number,
        time: window.time.map(|time| time.timestamp()),
        agents: window.agents.iter().map(agent).collect(),
        swarm: SwarmWindow {
            fill_rate: swarm.fill_rate,
            gpu_hours_fill: swarm.gpu_hours_fill,
            avg_cost: swarm.avg_cost,
            avg_latency_ms: swarm.avg_latency_ms,
            mean_reward: swarm.mean_reward,
            provider_shares: swarm.provider_shares.clone(),
        },
        channels: window.channels.clone(),
        acknowledged: window.acknowledged.clone(),
        trials: window.trials.iter().map(trial).collect(),
    }
}

/// What the field answered, as it travels.
pub(crate) fn answer(answer: WindowAnswer) -> wire::WindowAnswer {
    wire::WindowAnswer {
        swarm: answer.swarm,
        window: answer.window,
        state: state(&answer.state),
        anomaly: answer.anomaly.map(anomaly),
        interventions: answer.interventions.into_iter().map(intervention).collect(),
    }
}

/// The field after a window, as it travels.
pub(crate) fn state(state: &FieldState) -> wire::FieldState {
    let &FieldState { psi, continuity, futurity, phase_coherence, entropy, prediction_error, memory } = state;
    wire::FieldState { psi, continuity, futurity, phase_coherence, entropy, prediction_error, memory }
}

/// An intervention with its state and effect, on the wire.
pub(crate) fn record(record: InterventionRecord) -> wire::InterventionRecord {
    wire::InterventionRecord {
        intervention: intervention(record.intervention),
        status: match record.status {
            InterventionStatus::Issued => wire::InterventionStatus::Issued,
            InterventionStatus::Acknowledged => wire::InterventionStatus::Acknowledged,
            InterventionStatus::Assessed => wire::InterventionStatus::Assessed,
            InterventionStatus::Expired => wire::InterventionStatus::Expired,
            InterventionStatus::Declined => wire::InterventionStatus::Declined,
        },
        acknowledged_at_window: record.acknowledged_at_window,
        assessment: record.assessment.map(assessment),
        effect: record.effect.map(|effect| wire::Effect {
            forks: effect.forks,
            windows: effect.windows,
            reward_without: effect.reward_without,
            reward_with: effect.reward_with,
            difference_ci_low: effect.difference_ci_low,
            difference_ci_high: effect.difference_ci_high,
        }),
    }
}

fn trial(trial: &wire::Trial) -> Trial {
    let effect = trial.effect.as_ref().map(|effect| Effect {
        forks: effect.forks,
        windows: effect.windows,
        reward_without: effect.reward_without,
        reward_with: effect.reward_with,
        difference_ci_low: effect.difference_ci_low,
        difference_ci_high: effect.difference_ci_high,
    });
    Trial { intervention: trial.intervention, adopted: trial.adopted, effect }
}

/// An intervention that was recorded, as the field takes it.
pub(crate) fn recorded(intervention: wire::Intervention) -> Intervention {
    let parameters = intervention.parameters;
    Intervention {
        id: intervention.id,
        kind: kind(intervention.kind),
        targets: intervention.targets,
        parameters: InterventionParameters {
            evidence_kept: parameters.evidence_kept,
            epsilon_factor: parameters.epsilon_factor,
            epsilon_max: parameters.epsilon_max,
            duration_windows: parameters.duration_windows,
        },
        reason: intervention.reason,
        evidence: intervention.evidence,
        issued_at_window: intervention.issued_at_window,
        expires_after_windows: intervention.expires_after_windows,
        by_operator: intervention.by_operator,
    }
}

/// What an intervention does, as the field knows it.
pub(crate) fn kind(kind: wire::InterventionKind) -> InterventionKind {
    match kind {
        wire::InterventionKind::Nigredo => InterventionKind::Nigredo,
        wire::InterventionKind::Albedo => InterventionKind::Albedo,
    }
}

/// A snapshot as it travels.
pub(crate) fn snapshot(snapshot: Snapshot) -> wire::Snapshot {
    wire::Snapshot { next_window: snapshot.next_window, field: snapshot.field }
}

/// A snapshot that travelled.
pub(crate) fn taken(snapshot: wire::Snapshot) -> Snapshot {
    Snapshot { next_window: snapshot.next_window, field: snapshot.field }
}

fn intervention(intervention: Intervention) -> wire::Intervention {
    let parameters = intervention.parameters;
    wire::Intervention {
        id: intervention.id,
        kind: match intervention.kind {
            InterventionKind::Nigredo => wire::InterventionKind::Nigredo,
            InterventionKind::Albedo => wire::InterventionKind::Albedo,
        },
        targets: intervention.targets,
        parameters: wire::InterventionParameters {
            evidence_kept: parameters.evidence_kept,
            epsilon_factor: parameters.epsilon_factor,
            epsilon_max: parameters.epsilon_max,
            duration_windows: parameters.duration_windows,
        },
        reason: intervention.reason,
        evidence: intervention.evidence,
        issued_at_window: intervention.issued_at_window,
        expires_after_windows: intervention.expires_after_windows,
        by_operator: intervention.by_operator,
    }
}

fn assessment(assessment: Assessment) -> wire::Assessment {
    wire::Assessment {
        windows: assessment.windows,
        reward_before: assessment.reward_before,
        reward_after: assessment.reward_after,
        difference_ci_low: assessment.difference_ci_low,
        difference_ci_high: assessment.difference_ci_high,
    }
}

fn anomaly(anomaly: Anomaly) -> wire::Anomaly {
    let channel = |channel: ChannelDeviation| wire::ChannelDeviation {
        channel: channel.channel,
        z_score: channel.z_score,
        observed: channel.observed,
        expected: channel.expected,
    };
    let agent = |agent: AgentDeviation| wire::AgentDeviation { agent: agent.agent, z_score: agent.z_score };
    wire::Anomaly {
        detector: anomaly.detector,
        channels: anomaly.channels.into_iter().map(channel).collect(),
        agents: anomaly.agents.into_iter().map(agent).collect(),
    }
}
