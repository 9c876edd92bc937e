//! What pages and streams of figures are made of.

use api::trainer::{EpisodeMetrics, WindowMetrics};
use serde::Serialize;

use crate::run::History;

/// The columns of `training_metrics.csv`; dashboards and scripts know the first twelve by their place.
const EPISODE_COLUMNS: [&str; 16] = [
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
pub(super) trait Row: Clone + Serialize + Send + 'static {
    /// The names of its fields, in the order in which they are written.
    const COLUMNS: &'static [&'static str];

    /// Its number.
    fn number(&self) -> u64;

    /// All rows of this kind.
    fn of(history: &History) -> impl ExactSizeIterator<Item = &Self>;
}

impl Row for EpisodeMetrics {
    const COLUMNS: &'static [&'static str] = &EPISODE_COLUMNS;

    fn number(&self) -> u64 {
        self.episode.into()
    }

    fn of(history: &History) -> impl ExactSizeIterator<Item = &Self> {
        history.episodes.iter()
    }
}

impl Row for WindowMetrics {
    const COLUMNS: &'static [&'static str] = &WINDOW_COLUMNS;

    fn number(&self) -> u64 {
        self.window
    }

    fn of(history: &History) -> impl ExactSizeIterator<Item = &Self> {
        history.windows.iter()
    }
}

/// Up to `limit` rows from the number `from` on, or from the first that there is.
pub(super) fn rows<'a, T: Row>(all: impl Iterator<Item = &'a T>, from: u64, limit: usize) -> Vec<T> {
    let mut all = all.peekable();
    let first = all.peek().map_or(0, |row| row.number());
    let skipped = usize::try_from(from.saturating_sub(first)).unwrap_or(usize::MAX);
    all.skip(skipped).take(limit).cloned().collect()
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
        let episode = r#"{"episode":0,"epsilon":0.1,"q_table_size":0,"interventions":0}"#;
        assert_eq!(columns::<EpisodeMetrics>(episode), EPISODE_COLUMNS);
        assert_eq!(columns::<WindowMetrics>(WINDOW), WINDOW_COLUMNS);
    }

    #[test]
    fn rows_start_at_the_one_that_is_asked_for_also_when_older_ones_are_gone() {
        let window: WindowMetrics = serde_json::from_str(WINDOW).unwrap();
        let all: Vec<_> = (5..9).map(|number| WindowMetrics { window: number, ..window.clone() }).collect();
        let shown =
            |from, limit| -> Vec<u64> { rows(all.iter(), from, limit).iter().map(Row::number).collect() };
        assert_eq!(shown(0, 2), [5, 6]);
        assert_eq!(shown(7, 2), [7, 8]);
        assert_eq!(shown(8, 9), [8]);
        assert!(shown(9, 2).is_empty());
        assert!(shown(u64::MAX, 2).is_empty());
    }
}
