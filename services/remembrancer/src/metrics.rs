use std::path::PathBuf;

use merkle_log::witness::Refusal;
use metrics::{Counter, Gauge, Histogram};
use service_kit::{Metrics, free_bytes};
use sqlx::PgPool;

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

/// Has every scrape look at the connections to the database and at the room on the disk of the data folder.
pub(crate) fn observe(registry: &Metrics, db: PgPool, data_dir: PathBuf) {
    let gauge = |name, help| registry.gauge(name, help, &[]);
    let open =
        gauge("remembrancer_database_connections_open", "Connections to the database, idle ones included.");
    let idle =
        gauge("remembrancer_database_connections_idle", "Connections to the database that nobody uses now.");
    let limit = gauge("remembrancer_database_connections_limit", "Connections to the database at most.");
    let free = gauge(
        "remembrancer_data_dir_free_bytes",
        "Bytes that may still be written to the data folder's disk.",
    );
    limit.set(f64::from(db.options().get_max_connections()));
    registry.observe(move || {
        open.set(f64::from(db.size()));
        idle.set(db.num_idle() as f64);
        // NaN: not known, which no alert takes for nothing
        free.set(free_bytes(&data_dir).map_or(f64::NAN, |bytes| bytes as f64));
    });
}
