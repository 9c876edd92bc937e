use crate::evaluations::Evaluations;

/// What the routes share.
#[derive(Clone)]
pub(crate) struct State {
    /// The evaluations.
    pub(crate) evaluations: Evaluations,
}
