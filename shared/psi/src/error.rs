use crate::{interventions::InterventionError, observation::DuplicateAgent};

/// Why a window was not taken. The field is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// The number is not the next one.
    #[error("window {given} was posted, window {expected} is expected")]
    WrongNumber {
        /// The number given.
        given: u64,
        /// The number expected.
        expected: u64,
    },
    /// An agent occurs twice.
    #[error(transparent)]
    DuplicateAgent(#[from] DuplicateAgent),
    /// An acknowledgement is of nothing.
    #[error(transparent)]
    Intervention(#[from] InterventionError),
}

/// Why a snapshot is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// It does not have the form.
    #[error("the field does not have the form of a snapshot ({0}); send it exactly as it was given")]
    Malformed(String),
    /// An earlier or later version of the field made it.
    #[error(
        "the snapshot has the format {found} of another version of the field, this one reads {expected}; let the swarm begin again, or \
         go on with the version that made it"
    )]
    Format {
        /// The format found.
        found: u64,
        /// The format that is read.
        expected: u32,
    },
    /// It is of another window than it is sent as.
    #[error(
        "the snapshot's {what} is {found}, {expected} was expected; send it exactly as it was given, to its own swarm"
    )]
    Mismatch {
        /// What does not fit.
        what: &'static str,
        /// What the snapshot says.
        found: String,
        /// What was expected.
        expected: String,
    },
}
