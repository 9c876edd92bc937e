//! What can be wrong with a swarm.

/// Why a swarm cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SwarmError {
    /// The catalog is too large for the learner.
    #[error("q-learning handles at most {most} providers, this catalog has {found}")]
    TooManyProviders {
        /// What it handles.
        most: usize,
        /// What there are.
        found: usize,
    },
    /// The file or checkpoint is of another swarm or environment, or damaged.
    #[error("{0}")]
    Mismatch(String),
}
