//! What pages and streams of figures are made of.

use api::trainer::{EpisodeMetrics, WindowMetrics};
use serde::Serialize;

use crate::{
    run::{History, Run},
    runs::{HistoryError, Runs},
};

/// The columns of `training_metrics.csv`; dashboards and scripts know the first twelve by their place.
const EPISODE_COLUMNS: [&str; 19] = [
    "episode",
    "avg_reward",
    "fill_rate",
    "gpu_hours_fill",
    "avg_cost_usd",
    "avg_latency_ms",
    "epsilon",
    "q_table_size",
    "psi",
    "continuity",
    "prediction_error",
    "interventions",
    "cost_index",
    "cost_per_gpu_hour_usd",
    "deferred_share",
    "worst_tenant_gpu_hours_fill",
    "baseline_reward",
    "nigredo",
    "albedo",
];

const WINDOW_COLUMNS: [&str; 14] = [
    "window",
    "episode",
    "step",
    "requests",
    "avg_reward",
    "seed_reward",
    "fill_rate",
    "gpu_hours_fill",
    "avg_cost_usd",
    "avg_latency_ms",
    "psi",
    "continuity",
    "prediction_error",
    "interventions",
];

/// A row of figures. Numbers grow by one from row to row.
pub(super) trait Row: Clone + Serialize + Send + Sync + 'static {
    /// The names of its fields, in the order in which they are written.
    const COLUMNS: &'static [&'static str];

    /// The same with a value for each column, known or not.
    fn cells(&self) -> impl Serialize;

    /// Its number.
    fn number(&self) -> u64;

    /// Up to `limit` of a run's rows from the number `from` on, or from the first that there is.
    fn read(
        runs: &Runs,
        run: &Run,
        from: u64,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Self>, HistoryError>> + Send;

    /// The number after the run's last row.
    fn end(runs: &Runs, run: &Run) -> impl Future<Output = Result<u64, HistoryError>> + Send;

    /// A figure by the name of its column; `None` where the column has no figure, or is none.
    fn figure(&self, column: &str) -> Option<f64> {
        serde_json::to_value(self).ok()?.get(column)?.as_f64()
    }
}

impl Row for EpisodeMetrics {
    const COLUMNS: &'static [&'static str] = &EPISODE_COLUMNS;

    fn cells(&self) -> impl Serialize {
        // in JSON they are absent where they are not known, which would shift the cells
        let always = Self { baseline_reward: None, nigredo: None, albedo: None, ..self.clone() };
        (always, self.baseline_reward, self.nigredo, self.albedo)
    }

    fn number(&self) -> u64 {
        self.episode.into()
    }

    async fn read(runs: &Runs, run: &Run, from: u64, limit: usize) -> Result<Vec<Self>, HistoryError> {
        let skipped = usize::try_from(from).unwrap_or(usize::MAX);
        let read = |history: &History| history.episodes.iter().skip(skipped).take(limit).cloned().collect();
        runs.with_history(run, read).await
    }

    async fn end(runs: &Runs, run: &Run) -> Result<u64, HistoryError> {
        runs.with_history(run, |history| history.episodes.len() as u64).await
    }
}

impl Row for WindowMetrics {
    const COLUMNS: &'static [&'static str] = &WINDOW_COLUMNS;

    fn cells(&self) -> impl Serialize {
        self
    }

    fn number(&self) -> u64 {
        self.window
    }

    async fn read(runs: &Runs, run: &Run, from: u64, limit: usize) -> Result<Vec<Self>, HistoryError> {
        runs.windows(run, from, limit).await
    }

    async fn end(runs: &Runs, run: &Run) -> Result<u64, HistoryError> {
        Ok(runs.windows_end(run))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns<T: serde::de::DeserializeOwned + Serialize>(json: &str) -> Vec<String> {
        let row: T = serde_json::from_str(json).unwrap();
        serde_json::to_value(row).unwrap().as_object().unwrap().keys().cloned().collect()
    }

    const WINDOW: &str = r#"{"window":0,"episode":0,"step":0,"requests":0,"interventions":0}"#;

    #[test]
    fn the_header_names_the_fields_in_the_order_in_which_they_are_written() {
        let episode = r#"{"episode":0,"epsilon":0.1,"q_table_size":0,"interventions":0,"baseline_reward":1.0,"nigredo":0,
            "albedo":0}"#;
        assert_eq!(columns::<EpisodeMetrics>(episode), EPISODE_COLUMNS);
        assert_eq!(columns::<WindowMetrics>(WINDOW), WINDOW_COLUMNS);
    }
}
