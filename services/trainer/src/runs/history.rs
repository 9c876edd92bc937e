//! The figures of runs: of those at work in memory, of the others in the ledger with their checkpoints.

use std::{collections::VecDeque, sync::Arc};

use api::{Hash, trainer::WindowMetrics};
use bytes::Bytes;
use client::LedgerError;
use uuid::Uuid;

use super::Runs;
use crate::{
    checkpoint::CheckpointDocument,
    ledger::FILE_DEADLINE,
    run::{History, Run},
    windows,
};

/// The figures of so many ended runs are in memory; those of the others are read again from their
/// checkpoints when somebody asks.
const HISTORIES_KEPT: usize = 16;

/// So many parts of windows are kept as they were read: pages are shorter than parts.
const PARTS_KEPT: usize = 16;

/// Why a run's figures cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// Its checkpoint could not be fetched.
    #[error("fetching the run's checkpoint")]
    Ledger(#[from] LedgerError),
    /// The ledger does not have its checkpoint any more.
    #[error("the ledger does not have the run's checkpoint {0} any more")]
    Missing(Hash),
    /// An earlier version recorded it, which kept no windows.
    #[error("the run was recorded by an earlier version, which kept no windows")]
    NoWindows,
    /// Its checkpoint cannot be read.
    #[error("reading the run's checkpoint: {0}")]
    Damaged(String),
}

/// Parts of windows that were read last, the longest unused first.
pub(super) type Parts = VecDeque<(Hash, Arc<Vec<WindowMetrics>>)>;

impl Runs {
    /// Sees to it that a run's figures are in memory and hands them to `read`.
    ///
    /// # Errors
    /// They are in a checkpoint that cannot be had.
    pub async fn with_history<T>(
        &self,
        run: &Run,
        read: impl FnOnce(&History) -> T,
    ) -> Result<T, HistoryError> {
        if run.state().history.is_none() {
            let history = self.fetch_history(run).await?;
            run.state().history.get_or_insert(history);
        }
        if run.state().status.is_final() {
            self.keep_history(run.id);
        }
        let mut state = run.state();
        Ok(read(state.history_mut()))
    }

    /// Up to `limit` of a run's windows, from the number `from` on or from the first that there is: those up to its last
    /// checkpoint from the ledger, unless they are in memory, the later ones as they are played.
    ///
    /// # Errors
    /// They are in an artifact that cannot be had.
    pub async fn windows(
        &self,
        run: &Run,
        from: u64,
        limit: usize,
    ) -> Result<Vec<WindowMetrics>, HistoryError> {
        let (parts, in_memory) = {
            let state = run.state();
            let in_memory = state.history.as_ref().is_some_and(|history| !history.windows.is_empty());
            if state.episodes_done > 0 && state.windows.is_empty() && !in_memory && !state.held_here {
                return Err(HistoryError::NoWindows);
            }
            let in_memory = state.history.as_ref().map_or_else(Vec::new, |history| {
                let skipped = history.windows.partition_point(|window| window.window < from);
                history.windows.range(skipped..).take(limit).cloned().collect()
            });
            let oldest = state.history.as_ref().and_then(|history| history.windows.front());
            let oldest = oldest.map_or(u64::MAX, |window| window.window);
            let missing =
                |part: &&records::run::Windows| from < oldest && part.first < oldest && part.end() > from;
            (state.windows.iter().filter(missing).copied().collect::<Vec<_>>(), in_memory)
        };
        let first_in_memory = in_memory.first().map_or(u64::MAX, |window: &WindowMetrics| window.window);
        let mut found = Vec::new();
        for part in parts {
            if found.len() >= limit {
                break;
            }
            let windows = self.part(part.sha256).await?;
            let wanted = windows.iter().filter(|w| w.window >= from && w.window < first_in_memory);
            found.extend(wanted.cloned());
        }
        found.extend(in_memory);
        found.truncate(limit);
        Ok(found)
    }

    /// The number after a run's last window.
    pub fn windows_end(&self, run: &Run) -> u64 {
        let state = run.state();
        let in_memory = state.history.as_ref().and_then(|history| history.windows.back());
        let recorded = state.windows.last().map_or(0, records::run::Windows::end);
        in_memory.map_or(0, |window| window.window + 1).max(recorded)
    }

    async fn part(&self, name: Hash) -> Result<Arc<Vec<WindowMetrics>>, HistoryError> {
        if let Some((_, part)) = self.parts().iter().find(|(known, _)| *known == name) {
            return Ok(part.clone());
        }
        let artifact = self.fetch(name).await?;
        let read = tokio::task::spawn_blocking(move || windows::decode(&artifact)).await;
        let part = match read {
            Ok(Ok(part)) => Arc::new(part),
            Ok(Err(error)) => return Err(HistoryError::Damaged(error.to_string())),
            Err(error) => return Err(HistoryError::Damaged(error.to_string())),
        };
        let mut parts = self.parts();
        parts.push_back((name, part.clone()));
        if parts.len() > PARTS_KEPT {
            parts.pop_front();
        }
        Ok(part)
    }

    async fn fetch(&self, name: Hash) -> Result<Bytes, HistoryError> {
        let ledger = self.0.outside.ledger.within(FILE_DEADLINE);
        ledger.artifact(&name).await?.ok_or(HistoryError::Missing(name))
    }

    async fn fetch_history(&self, run: &Run) -> Result<History, HistoryError> {
        let (checkpoints, interventions) = {
            let state = run.state();
            let newest_first = state.checkpoints.iter().rev().map(|checkpoint| checkpoint.sha256);
            (newest_first.collect::<Vec<_>>(), state.interventions_sha256)
        };
        let mut damaged = None;
        for checkpoint in checkpoints {
            let bytes = self.fetch(checkpoint).await?;
            let interventions = match interventions {
                Some(name) => self.fetch(name).await?,
                None => b"[]".as_slice().into(),
            };
            let read = tokio::task::spawn_blocking(move || {
                let document = CheckpointDocument::parse(&bytes).map_err(|error| error.to_string())?;
                // Only shown: whoever planted something else hides no figures.
                let interventions = serde_json::from_slice(&interventions).unwrap_or_default();
                let CheckpointDocument { episodes, agents, .. } = document;
                Ok(History { episodes, agents, interventions, windows: VecDeque::new() })
            });
            match read.await.unwrap_or_else(|error| Err(error.to_string())) {
                Ok(history) => return Ok(history),
                Err(what) => {
                    tracing::warn!(run = %run.id, %checkpoint, what, "a checkpoint cannot be read and is passed over");
                    damaged.get_or_insert(what);
                }
            }
        }
        damaged.map_or_else(|| Ok(History::default()), |what| Err(HistoryError::Damaged(what)))
    }

    /// Notes that an ended run's figures were used, and drops those that were not used for longest.
    pub(super) fn keep_history(&self, id: Uuid) {
        let mut table = self.table();
        table.histories.retain(|other| *other != id);
        table.histories.push_back(id);
        if table.histories.len() > HISTORIES_KEPT
            && let Some(oldest) = table.histories.pop_front()
            && let Some(run) = table.by_id.get(oldest)
        {
            let mut state = run.state();
            // Without a checkpoint there is nothing to read them from again.
            if !state.checkpoints.is_empty() {
                state.history = None;
            }
        }
    }
}
