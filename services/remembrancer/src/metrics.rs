use merkle_log::witness::Refusal;
use metrics::{Counter, Gauge, Histogram};
use service_kit::Metrics;

/// What `/metrics` tells about the log.
#[derive(Clone)]
pub(crate) struct AppMetrics {
    pub(crate) decisions: Counter,
    pub(crate) records: Counter,
    pub(crate) append_seconds: Histogram,
    pub(crate) log_size: Gauge,
    pub(crate) cosigned: Counter,
    pub(crate) cosign_seconds: Histogram,
    pub(crate) refused: RefusedCheckpoints,
    pub(crate) cosignatures: Counter,
}

/// Checkpoints that this witness did not cosign, by the reason.
#[derive(Clone)]
pub(crate) struct RefusedCheckpoints {
    malformed: Counter,
    unknown_log: Counter,
    not_signed: Counter,
    conflict: Counter,
    not_consistent: Counter,
}

impl RefusedCheckpoints {
    pub(crate) fn count(&self, refusal: &Refusal) {
        match refusal {
            Refusal::Form(_) | Refusal::Checkpoint(_) | Refusal::Backwards { .. } => &self.malformed,
            Refusal::UnknownLog(_) => &self.unknown_log,
            Refusal::NotSigned(_) => &self.not_signed,
            Refusal::Conflict(_) => &self.conflict,
            Refusal::NotConsistent(_) => &self.not_consistent,
        }
        .increment(1);
    }
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
            cosigned: registry.counter(
                "remembrancer_checkpoints_cosigned_total",
                "Checkpoints of other logs cosigned.",
                &[],
            ),
            cosign_seconds: registry.histogram(
                "remembrancer_cosign_seconds",
                "From a request for a cosignature to its being on the disk.",
                &[],
            ),
            refused: {
                let counter = |reason: &str| {
                    let help = "Checkpoints of other logs that were not cosigned.";
                    registry.counter(
                        "remembrancer_checkpoints_refused_total",
                        help,
                        &[("reason", reason.to_owned())],
                    )
                };
                RefusedCheckpoints {
                    malformed: counter("malformed"),
                    unknown_log: counter("unknown_log"),
                    not_signed: counter("not_signed"),
                    conflict: counter("conflict"),
                    not_consistent: counter("not_consistent"),
                }
            },
            cosignatures: registry.counter(
                "remembrancer_cosignatures_kept_total",
                "Cosignatures of this log's checkpoints kept.",
                &[],
            ),
        }
    }
}
