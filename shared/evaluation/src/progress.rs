//! How far an evaluation is.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How far an evaluation is, and whether it is to stop. Whoever started it reads and cancels from another thread; no
/// figure depends on it.
#[derive(Debug, Default)]
pub struct Progress {
    episodes: AtomicU64,
    expected: AtomicU64,
    limit_steps: AtomicU64,
    cancelled: AtomicBool,
}

impl Progress {
    /// Episodes played.
    #[must_use]
    pub fn episodes(&self) -> u64 {
        self.episodes.load(Ordering::Relaxed)
    }

    /// Episodes to play in all; 0 until the first is played.
    #[must_use]
    pub fn expected(&self) -> u64 {
        self.expected.load(Ordering::Relaxed)
    }

    /// Steps whose upper bound is known.
    #[must_use]
    pub fn limit_steps(&self) -> u64 {
        self.limit_steps.load(Ordering::Relaxed)
    }

    /// Has the evaluation stop without a result at its next step.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    pub(crate) fn expect(&self, episodes: u64) {
        self.expected.store(episodes, Ordering::Relaxed);
    }

    pub(crate) fn played(&self) {
        self.episodes.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn solved(&self, steps: u64) {
        self.limit_steps.fetch_add(steps, Ordering::Relaxed);
    }
}
