use ::records::Unreadable;

use crate::{ClientError, ServiceProblem};

/// Why the ledger did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The remembrancer says no, and would again: with a status, a stable code and what to do.
    #[error("the remembrancer refused: {0}")]
    Refused(Box<ServiceProblem>),
    /// It did not do it before the deadline. Whether what was to be written is written is unknown: ask again.
    #[error("the remembrancer did not answer in time: {0}")]
    Away(String),
    /// This process shuts down.
    #[error("the process shuts down")]
    ShuttingDown,
    /// It answered what no remembrancer answers, or it cannot be called: a mistake in the settings.
    #[error(transparent)]
    Unusable(ClientError),
    /// A record is not what it is taken for.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// What was to be written is no JSON: a mistake of the caller.
    #[error("what was to be recorded cannot be written as JSON")]
    Unwritable(#[from] serde_json::Error),
    /// A record without an id, which could be recorded twice: a mistake of the caller.
    #[error("a record that may be sent again needs an id")]
    NoId,
}

impl LedgerError {
    /// The status of a refusal.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(problem) => Some(problem.status),
            _ => None,
        }
    }

    /// The stable code of a refusal.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused(problem) => Some(&problem.code),
            _ => None,
        }
    }

    /// Whether the ledger has no such thing.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }

    /// Whether the ledger holds something else under the same identity.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.status() == Some(409)
    }

    /// Whether the claim of a lease under which this was sent is over ([`ClientError::is_lease_lost`]).
    #[must_use]
    pub fn is_lease_lost(&self) -> bool {
        self.code() == Some("lease_lost")
    }

    /// Whether somebody else holds the lease that was to be claimed.
    #[must_use]
    pub fn is_lease_held(&self) -> bool {
        self.code() == Some("lease_held")
    }

    /// Whether the same may succeed later without anybody changing it.
    #[must_use]
    pub fn is_away(&self) -> bool {
        matches!(self, Self::Away(_))
    }
}

impl From<ClientError> for LedgerError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Cancelled => Self::ShuttingDown,
            error if error.is_transient() => Self::Away(error.to_string()),
            ClientError::Problem(problem) => Self::Refused(problem),
            error => Self::Unusable(error),
        }
    }
}
