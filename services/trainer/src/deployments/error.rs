//! Why a deployment does not do what is asked.

use api::FieldError;
use client::LedgerError;
use uuid::Uuid;

use crate::serving::OutcomeError;

/// Why a deployment does not do what is asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DeployError {
    /// Fields are wrong.
    #[error("the call is not valid")]
    Invalid(Vec<FieldError>),
    /// There is none of this name.
    #[error("there is no deployment `{0}`")]
    NotFound(String),
    /// Another one has the name.
    #[error("another deployment has the name `{0}`")]
    Exists(String),
    /// It takes nothing any more.
    #[error("the deployment `{0}` was stopped")]
    Stopped(String),
    /// The key was used for something else.
    #[error("this Idempotency-Key was used for another call of this deployment")]
    KeyReused,
    /// The call with this key is not answered yet.
    #[error("a call with this Idempotency-Key is at work")]
    KeyInUse,
    /// Another trainer serves it.
    #[error("another trainer serves the deployment")]
    Elsewhere,
    /// Another trainer may have promised decisions that are not in the ledger yet.
    #[error("{0}")]
    JournalElsewhere(String),
    /// The journal of what was promised is not as it was written.
    #[error("{0}")]
    JournalDamaged(String),
    /// The journal cannot be written.
    #[error("{0}")]
    Journal(String),
    /// As much was promised as may wait for the ledger.
    #[error("{most} decisions and records wait for the ledger, and no more may")]
    Full {
        /// As many may.
        most: u64,
    },
    /// It has more calls than it can answer.
    #[error("the deployment has as many calls as may wait")]
    Busy,
    /// The ledger does not give what this program makes of it.
    #[error("{0}")]
    Damaged(String),
    /// Another outcome is recorded.
    #[error("another outcome of the decision {0} is recorded")]
    OutcomeConflict(Uuid),
    /// No request of it waited or waits under this decision.
    #[error("the decision {0} deferred no request")]
    NotDeferred(Uuid),
    /// There is nothing to promote, or nothing to go back from.
    #[error("the deployment has no challenger that this can happen to")]
    NoChallenger,
    /// What is to be promoted has failed, or not followed yet.
    #[error("the shadow is not ready: {0}")]
    NotReady(String),
    /// The ledger did not do what is needed.
    #[error("{0}")]
    Away(String),
    /// The program is wrong.
    #[error("{0}")]
    Internal(String),
}

impl DeployError {
    /// What a call is told of the ledger's error.
    pub(super) fn away(error: &LedgerError) -> Self {
        match error {
            error if error.is_lease_lost() => Self::Elsewhere,
            LedgerError::Away(_) | LedgerError::ShuttingDown => Self::Away(error.to_string()),
            error => Self::Internal(error.to_string()),
        }
    }

    /// The same for another call.
    pub(super) fn again(&self) -> Self {
        self.clone()
    }
}

impl From<LedgerError> for DeployError {
    fn from(error: LedgerError) -> Self {
        Self::away(&error)
    }
}

/// Why an outcome was not recorded, or a decision not shown.
#[derive(Debug, thiserror::Error)]
pub enum TellError {
    /// Of the decision.
    #[error(transparent)]
    Outcome(#[from] OutcomeError),
    /// Of its deployment.
    #[error(transparent)]
    Deployment(#[from] DeployError),
}
