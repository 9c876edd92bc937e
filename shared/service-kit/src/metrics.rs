use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata, Recorder as _};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use metrics_process::Collector;

use crate::build;

/// One service's Prometheus registry. Cheap to clone; all clones are the same registry.
///
/// Not the global recorder of `metrics`: several services may live in one process, each with its own.
/// The handles are cheap to use and to keep; ask for them once, not for every event.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    process: Collector,
    observers: Mutex<Vec<Observer>>,
}

/// Looks at what nobody tells of its changes, and sets its gauges.
type Observer = Box<dyn Fn() + Send + Sync>;

/// Upper bounds, in seconds or whatever the histogram's unit is: from what needs no disk to a slow query.
const BUCKETS: [f64; 18] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0,
];

/// Histograms collect samples until somebody reads them; without a scraper that would grow for ever.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

impl Metrics {
    /// A registry that tells which build this is (`ai_mesh_build_info`) and what the process takes (`process_…`, named as
    /// Prometheus' own clients do: <https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>).
    #[must_use]
    pub fn new() -> Self {
        let builder = PrometheusBuilder::new()
            .set_buckets(&BUCKETS)
            .expect("only an empty list of buckets is refused, and this constant has some");
        let recorder = builder.build_recorder();
        let process = Collector::default();
        metrics::with_local_recorder(&recorder, || process.describe());
        let inner =
            Arc::new(Inner { handle: recorder.handle(), recorder, process, observers: Mutex::default() });
        let weak = Arc::downgrade(&inner);
        let upkeep = std::thread::Builder::new().name("metrics-upkeep".into()).spawn(move || upkeep(&weak));
        if let Err(error) = upkeep {
            tracing::warn!(%error, "no upkeep of the metrics: their memory is only freed when /metrics is read");
        }
        let registry = Self(inner);
        let labels = [
            ("version", build::NUMBER.to_owned()),
            ("commit", build::COMMIT.unwrap_or("unknown").to_owned()),
        ];
        registry.gauge("ai_mesh_build_info", "1, with what this program was built from.", &labels).set(1.0);
        registry
    }

    /// A counter: only rises. Its name ends in `_total`.
    pub fn counter(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[(&'static str, String)],
    ) -> Counter {
        self.0.recorder.describe_counter(KeyName::from_const_str(name), None, help.into());
        self.0.recorder.register_counter(&key(name, labels), &METADATA)
    }

    /// A gauge: a value as it is now.
    pub fn gauge(&self, name: &'static str, help: &'static str, labels: &[(&'static str, String)]) -> Gauge {
        self.0.recorder.describe_gauge(KeyName::from_const_str(name), None, help.into());
        self.0.recorder.register_gauge(&key(name, labels), &METADATA)
    }

    /// A histogram with buckets from 0.00005 to 30; its name ends in its unit, e.g. `_seconds`.
    pub fn histogram(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[(&'static str, String)],
    ) -> Histogram {
        self.0.recorder.describe_histogram(KeyName::from_const_str(name), None, help.into());
        self.0.recorder.register_histogram(&key(name, labels), &METADATA)
    }

    /// Has something looked at before every [`render`](Self::render): what changes without telling. It may block, but
    /// whoever scrapes waits for it.
    pub fn observe(&self, look: impl Fn() + Send + Sync + 'static) {
        self.observers().push(Box::new(look));
    }

    /// Everything in Prometheus' text format. It reads files, so async code asks for it on a thread that may block.
    #[must_use]
    pub fn render(&self) -> String {
        metrics::with_local_recorder(&self.0.recorder, || self.0.process.collect());
        self.observers().iter().for_each(|look| look());
        self.0.handle.render()
    }

    fn observers(&self) -> std::sync::MutexGuard<'_, Vec<Observer>> {
        // An observer that panicked has left its own gauge as it was, and nothing else.
        self.0.observers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

static METADATA: Metadata<'static> = Metadata::new("ai_mesh", Level::INFO, None);

fn key(name: &'static str, labels: &[(&'static str, String)]) -> Key {
    Key::from_parts(name, labels.iter().map(|(k, v)| Label::new(*k, v.clone())).collect::<Vec<_>>())
}

/// Ends within [`UPKEEP_EVERY`] after the last clone of the registry is gone.
fn upkeep(registry: &Weak<Inner>) {
    loop {
        std::thread::sleep(UPKEEP_EVERY);
        match registry.upgrade() {
            Some(inner) => inner.handle.run_upkeep(),
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_registries_in_one_process_know_nothing_of_each_other() {
        let (one, other) = (Metrics::new(), Metrics::new());
        one.counter("decisions_total", "Decisions.", &[("run", "a".into())]).increment(3);
        one.clone().counter("decisions_total", "Decisions.", &[("run", "a".into())]).increment(1);
        assert!(one.render().contains("decisions_total{run=\"a\"} 4"), "{}", one.render());
        assert!(one.render().contains("# HELP decisions_total Decisions."), "{}", one.render());
        assert!(!other.render().contains("decisions_total"));
    }

    #[test]
    fn a_scrape_tells_the_build_the_process_and_what_is_looked_at_then() {
        let metrics = Metrics::new();
        let free = metrics.gauge("free_bytes", "Free.", &[]);
        let asked = std::sync::atomic::AtomicU32::new(0);
        metrics
            .observe(move || free.set(f64::from(asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed))));
        assert!(metrics.render().contains("\nfree_bytes 0\n"));
        let text = metrics.render();
        assert!(text.contains("\nfree_bytes 1\n"), "{text}");
        assert!(
            text.contains(&format!("ai_mesh_build_info{{version=\"{}\",commit=\"", build::NUMBER)),
            "{text}"
        );
        let figure = |name: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.unwrap_or_else(|| panic!("{name} is not in {text}")).parse().unwrap()
        };
        assert!(figure("process_resident_memory_bytes") > 1e6);
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
        assert!((now - 3600.0..now + 1.0).contains(&figure("process_start_time_seconds")));
    }

    #[test]
    fn a_histogram_counts_into_buckets() {
        let metrics = Metrics::new();
        let histogram = metrics.histogram("wait_seconds", "Waiting.", &[]);
        histogram.record(0.004);
        histogram.record(7.0);
        let text = metrics.render();
        assert!(text.contains("wait_seconds_bucket{le=\"0.005\"} 1"), "{text}");
        assert!(text.contains("wait_seconds_bucket{le=\"+Inf\"} 2"), "{text}");
    }
}
