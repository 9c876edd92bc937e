use metrics::{Counter, Gauge};
use service_kit::Metrics;

/// The service's own metrics, registered once so that a scrape shows them from the start. Cheap to clone.
#[derive(Clone)]
pub(crate) struct AppMetrics {
    /// Evaluations that this process works on.
    pub(crate) at_work: Gauge,
    /// Evaluations that this process completed.
    pub(crate) completed: Counter,
    /// Evaluations that this process recorded as failed.
    pub(crate) failed: Counter,
    /// Episodes played.
    pub(crate) episodes: Counter,
    /// Steps whose limit was solved.
    pub(crate) limits_solved: Counter,
    /// Steps whose limit was known.
    pub(crate) limits_known: Counter,
}

impl AppMetrics {
    /// Registers everything.
    pub(crate) fn new(registry: &Metrics) -> Self {
        let at_work = "Evaluations that this process works on.";
        let episodes = "Episodes played.";
        Self {
            at_work: registry.gauge("ai_mesh_evaluations_at_work", at_work, &[]),
            completed: ended(registry, "completed"),
            failed: ended(registry, "failed"),
            episodes: registry.counter("ai_mesh_evaluation_episodes_total", episodes, &[]),
            limits_solved: limit_steps(registry, "solved"),
            limits_known: limit_steps(registry, "known"),
        }
    }
}

fn limit_steps(registry: &Metrics, source: &str) -> Counter {
    let help = "Steps whose physical limit was solved, or was known from an earlier evaluation.";
    registry.counter("ai_mesh_evaluation_limit_steps_total", help, &[("source", source.to_owned())])
}

fn ended(registry: &Metrics, status: &str) -> Counter {
    let help = "Evaluations that have ended, by status.";
    registry.counter("ai_mesh_evaluations_total", help, &[("status", status.to_owned())])
}
