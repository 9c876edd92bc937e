use metrics::{Counter, Gauge, Histogram};
use service_kit::Metrics;

/// What `/metrics` tells about the log.
#[derive(Clone)]
pub(crate) struct AppMetrics {
    pub(crate) decisions: Counter,
    pub(crate) records: Counter,
    pub(crate) append_seconds: Histogram,
    pub(crate) log_size: Gauge,
}

impl AppMetrics {
    pub(crate) fn new(registry: &Metrics) -> Self {
        Self {
            decisions: registry.counter("remembrancer_decisions_recorded_total", "Decisions recorded.", &[]),
            records: registry.counter("remembrancer_records_recorded_total", "Records recorded.", &[]),
            append_seconds: registry.histogram(
                "remembrancer_append_seconds",
                "From a checked batch to its commit, waiting for other writers included.",
                &[],
            ),
            log_size: registry.gauge(
                "remembrancer_log_size",
                "Leaves after the last append of this process.",
                &[],
            ),
        }
    }
}
