//! What serving shows in Prometheus' style.

use api::{
    policies::Outcome,
    remembrancer::{Action, Decision},
};
use metrics::{Counter, Histogram};
use service_kit::Metrics;

/// Handles that are asked for once.
pub(super) struct Meters {
    routed: Counter,
    held: Counter,
    dropped: Counter,
    succeeded: Counter,
    failed: Counter,
    expected_latency: Histogram,
    real_latency: Histogram,
}

impl Meters {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let served = |action: &str| {
            let labels = [("action", action.to_owned())];
            metrics.counter("ai_mesh_served_decisions_total", "Decisions served on request.", &labels)
        };
        let outcomes = |result: &str| {
            let labels = [("result", result.to_owned())];
            metrics.counter("ai_mesh_outcomes_total", "Outcomes told of served decisions.", &labels)
        };
        Self {
            routed: served("route"),
            held: served("hold"),
            dropped: served("drop"),
            succeeded: outcomes("succeeded"),
            failed: outcomes("failed"),
            expected_latency: metrics.histogram(
                "ai_mesh_outcome_expected_latency_seconds",
                "Latency that was expected where the real one was told.",
                &[],
            ),
            real_latency: metrics.histogram(
                "ai_mesh_outcome_real_latency_seconds",
                "Latency that was told.",
                &[],
            ),
        }
    }

    pub(super) fn served(&self, decisions: &[Decision]) {
        for decision in decisions {
            let counter = match decision.action {
                Action::Route => &self.routed,
                Action::Hold => &self.held,
                Action::Drop => &self.dropped,
            };
            counter.increment(1);
        }
    }

    pub(super) fn told(&self, decision: &Decision, outcome: &Outcome) {
        if outcome.succeeded { &self.succeeded } else { &self.failed }.increment(1);
        if let (Some(expected), Some(real)) = (decision.latency_ms, outcome.latency_ms) {
            self.expected_latency.record(expected / 1000.0);
            self.real_latency.record(real / 1000.0);
        }
    }
}
