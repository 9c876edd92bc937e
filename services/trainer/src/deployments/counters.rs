//! What is counted of deployments.

use metrics::{Counter, Gauge};
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
    pub(super) promises: Promises,
}

/// What is counted of promises.
#[derive(Clone)]
pub(super) struct Promises {
    pub(super) made: Counter,
    /// Leaves that were in the ledger later than was promised.
    pub(super) late: Counter,
    outstanding: Gauge,
    journal_bytes: Gauge,
}

impl Promises {
    fn new(metrics: &Metrics) -> Self {
        let promises = Self {
            made: metrics.counter(
                "ai_mesh_deployment_promised_decisions_total",
                "Decisions of deployments that were promised to be in the ledger.",
                &[],
            ),
            late: metrics.counter(
                "ai_mesh_deployment_promises_late_total",
                "Promised decisions and their records that were in the ledger later than promised.",
                &[],
            ),
            outstanding: metrics.gauge(
                "ai_mesh_deployment_promises_outstanding",
                "Decisions and records in the journals of deployments that the ledger does not have yet.",
                &[],
            ),
            journal_bytes: metrics.gauge(
                "ai_mesh_deployment_journal_bytes",
                "Length of the journals of deployments that are served here.",
                &[],
            ),
        };
        promises.outstanding.set(0.0);
        promises.journal_bytes.set(0.0);
        promises
    }

    /// Shows what one journal has now in place of what it had: leaves, and bytes.
    pub(super) fn show(&self, before: (u64, u64), now: (u64, u64)) {
        self.outstanding.increment(now.0 as f64 - before.0 as f64);
        self.journal_bytes.increment(now.1 as f64 - before.1 as f64);
    }
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
            promises: Promises::new(metrics),
        }
    }

    pub(super) fn changed(&self, step: Step) {
        match step {
            Step::Promote => self.promotions.increment(1),
            Step::RollBack => self.rollbacks.increment(1),
        }
    }
}
