//! The trainer's own metrics, in Prometheus' style.

use std::{collections::HashMap, sync::Arc};

use api::trainer::{AgentState, RunStatus, WindowMetrics};
use metrics::{Counter, Gauge};
use service_kit::Metrics;
use strum::VariantArray as _;

use crate::figures::mean_of;

/// Handles that are asked for once. The figures of a window are of the one that was played last, of
/// whichever run.
#[derive(Clone)]
pub struct AppMetrics(Arc<Handles>);

struct Handles {
    avg_reward: Gauge,
    fill_rate: Gauge,
    gpu_hours_fill: Gauge,
    avg_cost_usd: Gauge,
    avg_latency_seconds: Gauge,
    epsilon: Gauge,
    q_table_size: Gauge,
    psi: Gauge,
    continuity: Gauge,
    prediction_error: Gauge,
    decisions: Counter,
    interventions: Counter,
    runs: Vec<(RunStatus, Gauge)>,
}

impl AppMetrics {
    /// Registers everything.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        let runs = |status: RunStatus| {
            let labels = [("status", status.name().to_owned())];
            let gauge = metrics.gauge("ai_mesh_runs", "Runs by where they stand.", &labels);
            gauge.set(0.0);
            (status, gauge)
        };
        let figure = |name, help| {
            let gauge = metrics.gauge(name, help, &[]);
            gauge.set(f64::NAN); // not known until a window is played
            gauge
        };
        Self(Arc::new(Handles {
            avg_reward: figure("ai_mesh_avg_reward", "Mean reward per request of the last window."),
            fill_rate: figure("ai_mesh_fill_rate_ratio", "Requests routed / requested in the last window."),
            gpu_hours_fill: figure(
                "ai_mesh_gpu_time_fill_ratio",
                "GPU-hours served / requested in the last window.",
            ),
            avg_cost_usd: figure("ai_mesh_avg_cost_usd", "Mean cost of a routed request in the last window."),
            avg_latency_seconds: figure(
                "ai_mesh_avg_latency_seconds",
                "Mean latency of a routed request in the last window, waiting included.",
            ),
            epsilon: figure("ai_mesh_epsilon_ratio", "Mean exploration rate of the agents."),
            q_table_size: figure(
                "ai_mesh_q_table_size_states",
                "States in all tables of the swarm that played last.",
            ),
            psi: figure("ai_mesh_psi_ratio", "Ψ of the last window: the stability of the whole."),
            continuity: figure(
                "ai_mesh_continuity_ratio",
                "C of the last window: how well it continues the retained past.",
            ),
            prediction_error: figure(
                "ai_mesh_prediction_error_ratio",
                "PE of the last window: how surprising it was.",
            ),
            decisions: metrics.counter("ai_mesh_decisions_total", "Decisions made.", &[]),
            interventions: metrics.counter(
                "ai_mesh_interventions_applied_total",
                "Interventions of psi-field that swarms applied.",
                &[],
            ),
            runs: RunStatus::VARIANTS.iter().copied().map(runs).collect(),
        }))
    }

    /// Shows a window. A figure without data leaves the one before.
    pub fn window(&self, window: &WindowMetrics, agents: &[AgentState], applied: usize) {
        let Handles { avg_reward, fill_rate, gpu_hours_fill, avg_cost_usd, avg_latency_seconds, .. } =
            &*self.0;
        let Handles { psi, continuity, prediction_error, .. } = &*self.0;
        for (gauge, figure) in [
            (avg_reward, window.avg_reward),
            (fill_rate, window.fill_rate),
            (gpu_hours_fill, window.gpu_hours_fill),
            (avg_cost_usd, window.avg_cost_usd),
            (avg_latency_seconds, window.avg_latency_ms.map(|ms| ms / 1e3)),
            (psi, window.psi),
            (continuity, window.continuity),
            (prediction_error, window.prediction_error),
        ] {
            if let Some(figure) = figure {
                gauge.set(figure);
            }
        }
        self.0.epsilon.set(mean_of(agents.iter().map(|agent| agent.epsilon)));
        self.0.q_table_size.set(agents.iter().map(|agent| agent.q_table_size).sum::<u64>() as f64);
        self.0.decisions.increment(window.requests);
        self.0.interventions.increment(applied as u64);
    }

    /// Shows how many runs stand where.
    pub fn runs(&self, counts: &HashMap<RunStatus, u32>) {
        for (status, gauge) in &self.0.runs {
            gauge.set(f64::from(counts.get(status).copied().unwrap_or(0)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_shown_also_when_no_run_stands_there() {
        let metrics = Metrics::new();
        let gauges = AppMetrics::new(&metrics);
        gauges.runs(&HashMap::from([(RunStatus::Queued, 2), (RunStatus::Failed, 1)]));
        let text = metrics.render();
        for line in [
            "ai_mesh_runs{status=\"queued\"} 2",
            "ai_mesh_runs{status=\"failed\"} 1",
            "ai_mesh_runs{status=\"running\"} 0",
            "ai_mesh_runs{status=\"completed\"} 0",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
    }
}
