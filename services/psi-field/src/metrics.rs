use api::psi_field::{FieldState, InterventionKind, InterventionRecord, InterventionStatus, WindowAnswer};
use metrics::{Counter, Gauge, Histogram};

use service_kit::Metrics;
use strum::IntoEnumIterator;

use crate::existing::Params;

/// The swarm that existing clients, dashboards among them, mean.
pub(crate) const DEFAULT_SWARM: &str = "default";

/// Why a swarm left memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr, strum::EnumIter)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Dropped {
    /// Somebody deleted it.
    Deleted,
    /// No window of it came for too long.
    Expired,
    /// Others needed its place.
    MadeRoom,
}

/// The service's own metrics, and the gauges that existing dashboards read.
#[derive(Clone)]
pub(crate) struct AppMetrics {
    registry: Metrics,
    windows: Counter,
    anomalies: Counter,
    swarms: Gauge,
    bytes: Gauge,
    window_seconds: Histogram,
    guardian_interventions: Counter,
    density: Gauge,
    phase_coherence: Gauge,
    continuity: Gauge,
    futurity: Gauge,
    entropy: Gauge,
    prediction_error: Gauge,
    time_dilation: Gauge,
}

impl AppMetrics {
    /// Registers everything, so that a scrape shows it from the start.
    #[must_use]
    pub(crate) fn new(registry: Metrics) -> Self {
        let gauge = |name, help| registry.gauge(name, help, &[]);
        let counter = |name, help| registry.counter(name, help, &[]);
        let metrics = Self {
            windows: counter("psi_field_windows_total", "Windows taken, of all swarms."),
            anomalies: counter("psi_field_anomalies_total", "Anomalies found, of all swarms."),
            swarms: gauge("psi_field_swarms", "Swarms held in memory."),
            bytes: gauge("psi_field_swarm_bytes", "About how many bytes the swarms in memory take."),
            window_seconds: registry.histogram(
                "psi_field_window_seconds",
                "Seconds from a window's arrival to its answer, recording included.",
                &[],
            ),
            guardian_interventions: counter(
                "guardian_interventions_total",
                "Interventions sent to the swarm `default`.",
            ),
            density: gauge("psi_field_density", "Ψ of the swarm `default`; 0 until it is known."),
            phase_coherence: gauge(
                "psi_field_phase_coherence",
                "Φ of the swarm `default`; 0 until it is known.",
            ),
            continuity: gauge("psi_field_continuity", "C of the swarm `default`; 0 until it is known."),
            futurity: gauge("psi_field_futurity", "U of the swarm `default`; 0 until it is known."),
            entropy: gauge("psi_field_temporal_entropy", "H of the swarm `default`; 0 until it is known."),
            prediction_error: gauge(
                "psi_field_prediction_error",
                "PE of the swarm `default`; 0 until it is known.",
            ),
            time_dilation: gauge(
                "psi_field_time_dilation",
                "dt_eff of the swarm `default`: the step that it asks for, in seconds.",
            ),
            registry: registry.clone(),
        };
        metrics.guardian_interventions.increment(0);
        [true, false].into_iter().for_each(|useful| metrics.verdicts(useful).increment(0));
        Dropped::iter().for_each(|why| metrics.dropped(why).increment(0));
        metrics.windows.increment(0);
        metrics.anomalies.increment(0);
        metrics.swarms.set(0.0);
        metrics.bytes.set(0.0);
        metrics.time_dilation.set(Params::default().effective_dt(None));
        metrics.show(&FieldState::default());
        metrics
    }

    /// The registry that `/metrics` shows.
    #[must_use]
    pub(crate) fn registry(&self) -> &Metrics {
        &self.registry
    }

    /// Counts a window that moved a swarm on.
    pub(crate) fn took(&self, answer: &WindowAnswer, changed: &[InterventionRecord], seconds: f64) {
        self.windows.increment(1);
        self.anomalies.increment(u64::from(answer.anomaly.is_some()));
        self.window_seconds.record(seconds);
        for record in changed {
            self.intervention(record.intervention.kind, record.status);
        }
        if answer.swarm == DEFAULT_SWARM {
            self.show(&answer.state);
            self.guardian_interventions.increment(answer.interventions.len() as u64);
        }
    }

    /// Counts an intervention that came to stand somewhere.
    pub(crate) fn intervention(&self, kind: InterventionKind, status: InterventionStatus) {
        let labels = [("kind", kind.name().to_owned()), ("status", status.name().to_owned())];
        self.registry
            .counter(
                "psi_field_interventions_total",
                "Interventions by kind and where they came to stand.",
                &labels,
            )
            .increment(1);
    }

    /// Counts a verdict on an anomaly.
    pub(crate) fn judged(&self, useful: bool) {
        self.verdicts(useful).increment(1);
    }

    fn verdicts(&self, useful: bool) -> Counter {
        let help = "Verdicts on anomalies: whether each was worth knowing of, or a false alarm.";
        self.registry.counter("psi_field_verdicts_total", help, &[("useful", useful.to_string())])
    }

    /// Counts a swarm that left memory.
    pub(crate) fn drops(&self, why: Dropped) {
        self.dropped(why).increment(1);
    }

    fn dropped(&self, why: Dropped) -> Counter {
        let help = "Swarms that left memory: deleted, expired, or made room for others.";
        self.registry.counter(
            "psi_field_swarms_dropped_total",
            help,
            &[("reason", <&str>::from(why).to_owned())],
        )
    }

    /// Sets how many swarms are held.
    pub(crate) fn holds(&self, swarms: usize) {
        self.swarms.set(swarms as f64);
    }

    /// Sets how many bytes they take.
    pub(crate) fn takes_up(&self, bytes: usize) {
        self.bytes.set(bytes as f64);
    }

    /// Sets the step that existing clients were told, in seconds.
    pub(crate) fn dilates(&self, dt_eff: f64) {
        self.time_dilation.set(dt_eff);
    }

    /// Sets the gauges of the swarm `default`.
    pub(crate) fn show(&self, state: &FieldState) {
        for (gauge, term) in [
            (&self.density, state.psi),
            (&self.phase_coherence, state.phase_coherence),
            (&self.continuity, state.continuity),
            (&self.futurity, state.futurity),
            (&self.entropy, state.entropy),
            (&self.prediction_error, state.prediction_error),
        ] {
            gauge.set(term.unwrap_or(0.0)); // these names have always shown the unknown as 0
        }
    }
}

impl std::fmt::Debug for AppMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppMetrics").finish_non_exhaustive()
    }
}
