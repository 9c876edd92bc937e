use std::{ops::Deref, time::Duration};

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The service answered that it cannot, and why.
    #[error("{0}")]
    Problem(Box<ServiceProblem>),
    /// The service could not be reached, or the connection broke.
    #[error("cannot reach {url}; is the service running there?")]
    Unreachable {
        /// What was called.
        url: String,
        /// Why not.
        #[source]
        source: reqwest::Error,
    },
    /// The answer did not come in time. Whether the call was carried out is unknown.
    #[error("{url} did not answer within {} s", .after.as_secs_f64())]
    TimedOut {
        /// What was called.
        url: String,
        /// How long was waited.
        after: Duration,
    },
    /// An answer that no such service gives: another program listens there, or another version.
    #[error(
        "{url} answered {status} with something unexpected ({detail}); is it the right service, in the same version?"
    )]
    InvalidAnswer {
        /// What was called.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What is wrong with the answer.
        detail: String,
    },
    /// Another of this system's services answered.
    #[error("{url} is the {found}; expected the {expected} there")]
    WrongService {
        /// What was called.
        url: String,
        /// Who should have answered.
        expected: &'static str,
        /// Who did.
        found: String,
    },
    /// The call could not be made: the URL, the key or the body cannot be sent.
    #[error("cannot call `{url}`: {detail}")]
    InvalidCall {
        /// What was to be called.
        url: String,
        /// What is wrong.
        detail: String,
    },
    /// The caller stopped waiting.
    #[error("cancelled while waiting")]
    Cancelled,
}

impl ClientError {
    /// Whether the same call may succeed later without anybody changing it: the service is away,
    /// overloaded or slow (408, 429, 502, 503, 504).
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } => true,
            Self::Problem(problem) => transient_status(problem.status),
            Self::InvalidAnswer { status, .. } => transient_status(*status),
            Self::WrongService { .. } | Self::InvalidCall { .. } | Self::Cancelled => false,
        }
    }

    /// When the service asked to be called again.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Problem(problem) => problem.retry_after,
            _ => None,
        }
    }

    /// The problem that the service answered with.
    #[must_use]
    pub fn problem(&self) -> Option<&api::Problem> {
        match self {
            Self::Problem(problem) => Some(&problem.problem),
            _ => None,
        }
    }

    /// The HTTP status, when there was an answer.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Problem(problem) => Some(problem.status),
            Self::InvalidAnswer { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// The problem's stable code.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.problem().map(|problem| problem.code.as_str())
    }

    /// Whether the remembrancer says that the claim of a lease under which this was sent is over: whatever it was
    /// about is somebody else's now.
    #[must_use]
    pub fn is_lease_lost(&self) -> bool {
        self.code() == Some("lease_lost")
    }

    /// Whether somebody else holds the lease that was to be claimed.
    #[must_use]
    pub fn is_lease_held(&self) -> bool {
        self.code() == Some("lease_held")
    }

    /// Whether the service says that there is no such thing.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }
}

/// A service's problem with where it came from. It reads like the [`api::Problem`] in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceProblem {
    /// What was called.
    pub url: String,
    /// What the service answered.
    pub problem: api::Problem,
    /// Its `Retry-After`.
    pub retry_after: Option<Duration>,
}

impl Deref for ServiceProblem {
    type Target = api::Problem;

    fn deref(&self) -> &api::Problem {
        &self.problem
    }
}

impl std::fmt::Display for ServiceProblem {
    /// The problem, every wrong field, and the id to look up in the service's log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let api::Problem { status, code, detail, errors, request_id, .. } = &self.problem;
        write!(f, "{} answered {status} {code}: {detail}", self.url)?;
        for error in errors {
            write!(f, " [{}: {}]", error.pointer, error.detail)?;
        }
        match request_id {
            Some(id) if *status >= 500 => write!(f, " (request {id})"),
            _ => Ok(()),
        }
    }
}

fn transient_status(status: u16) -> bool {
    matches!(status, 408 | 429 | 502..=504)
}
