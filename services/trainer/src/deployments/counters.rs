//! What is counted of deployments.

use metrics::Counter;
use service_kit::Metrics;

use super::lifecycle::Step;

/// What is counted of deployments.
#[derive(Clone)]
pub(super) struct Counters {
    /// Outcomes that nobody told in time.
    pub(super) missing: Counter,
    pub(super) shadow_failures: Counter,
    promotions: Counter,
    rollbacks: Counter,
}

impl Counters {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let changes = |change: &str| {
            metrics.counter(
                "ai_mesh_deployment_changes_total",
                "Challengers of deployments that were promoted or rolled back.",
                &[("change", change.to_owned())],
            )
        };
        Self {
            missing: metrics.counter(
                "ai_mesh_deployment_outcomes_missing_total",
                "Jobs of deployments of which nothing was told in time.",
                &[],
            ),
            shadow_failures: metrics.counter(
                "ai_mesh_deployment_shadow_failures_total",
                "Shadows of deployments that failed, or fell too far behind.",
                &[],
            ),
            promotions: changes("promoted"),
            rollbacks: changes("rolled_back"),
        }
    }

    pub(super) fn changed(&self, step: Step) {
        match step {
            Step::Promote => self.promotions.increment(1),
            Step::RollBack => self.rollbacks.increment(1),
        }
    }
}
