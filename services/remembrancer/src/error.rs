use std::{io::ErrorKind, ops::Range, sync::Arc, time::Duration};

use api::{Hash, remembrancer::Fence};
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use merkle_log::{CanonicalError, bundle::MAX_ENTRY, tile::MissingHash};
use service_kit::ApiError;

use crate::signing::KeyFileError;

/// What a domain function returns.
pub(crate) type Result<T> = std::result::Result<T, LogError>;

/// The log cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Fields of the request that cannot be recorded as they are.
    #[error("the request is not valid: {}", .0.first().map_or("", |field| &field.detail))]
    Invalid(Vec<InvalidField>),
    /// Another decision is recorded under this identity.
    #[error("another decision is recorded as sequence {sequence} of the run {run}")]
    DecisionConflict {
        /// The run's digest.
        run: Hash,
        /// The first sequence number that differs.
        sequence: u64,
    },
    /// The batch does not join what is recorded of its run.
    #[error("expected sequence {expected} of the run {run}, got {actual}")]
    SequenceGap {
        /// The run's digest.
        run: Hash,
        /// The sequence number that this log expects next.
        expected: u64,
        /// Where the batch starts.
        actual: u64,
        /// True when the log has nothing of the run yet.
        unknown_run: bool,
    },
    /// The batch starts before what this log holds of its run.
    #[error("this log holds the run {run} only from sequence {first} on, got {actual}")]
    BeforeRunStart {
        /// The run's digest.
        run: Hash,
        /// The first sequence number that this log holds.
        first: u64,
        /// Where the batch starts.
        actual: u64,
    },
    /// The frontier is not that of the decisions before the batch.
    #[error("the frontier of the run {run} does not fit sequence {sequence}: {reason}")]
    FrontierMismatch {
        /// The run's digest.
        run: Hash,
        /// Where the batch starts.
        sequence: u64,
        /// What does not fit.
        reason: String,
    },
    /// Another record has this id.
    #[error("another record is recorded under the id {0:?}")]
    RecordConflict(String),
    /// Somebody else holds the lease.
    #[error("{holder:?} holds the lease {name:?} until {until}")]
    LeaseHeld {
        /// The lease's name.
        name: String,
        /// Who holds it.
        holder: String,
        /// When it runs out unless it is renewed.
        until: DateTime<Utc>,
    },
    /// The claim is over: a later one was made, it was given back, or there never was such a claim.
    #[error("the claim {} of the lease {:?} is over", fence.token, fence.lease)]
    LeaseLost {
        /// The claim.
        fence: Fence,
        /// What made it so.
        reason: String,
    },
    /// The run is recorded under a lease, and the decisions came without one.
    #[error("the run {run} is recorded under the lease {lease:?}")]
    LeaseRequired {
        /// The run's digest.
        run: Hash,
        /// The lease of its last decisions.
        lease: String,
    },
    /// An artifact's content has another digest than its name.
    #[error("the content's SHA-256 is {actual}, expected {expected}")]
    DigestMismatch {
        /// The name.
        expected: Hash,
        /// The content's digest.
        actual: Hash,
    },
    /// The decision was deleted; its hash is still there.
    #[error("the decision at log index {index} was deleted")]
    Deleted {
        /// Its log index.
        index: u64,
        /// Its run's digest.
        run: Hash,
        /// The record that says so.
        record: String,
    },
    /// Only what ended training runs decided can be deleted.
    #[error("the decisions of the run {run} cannot be deleted: {why}")]
    RunNotEnded {
        /// The run's digest.
        run: Hash,
        /// What is missing.
        why: String,
    },
    /// There is no such thing.
    #[error("{0}")]
    NotFound(NotFound),
    /// The tree is smaller than the size that was asked for.
    #[error("the log has {size} leaves, expected at least {asked}")]
    BeyondLog {
        /// The size that was asked for.
        asked: u64,
        /// The log's size.
        size: u64,
    },
    /// A bundle of entries cannot tell the length of one of them.
    #[error("the entry {index} has {length} bytes, too many for a bundle")]
    EntryTooLong {
        /// Its log index.
        index: u64,
        /// Its length, or that of the most of it.
        length: u64,
        /// What was asked for.
        bundle: Range<u64>,
    },
    /// Cosignatures were brought, and the log knows no witnesses.
    #[error("this log has no trust policy")]
    NoTrustPolicy,
    /// The highest number of concurrent exports is reached.
    #[error("as many exports as may are at work")]
    TooManyExports,
    /// The database cannot be reached, or went away in the middle.
    #[error("the database is not available")]
    Unavailable(#[source] Arc<sqlx::Error>),
    /// The database has no room for more.
    #[error("the disk of the database is full: make room on it")]
    DiskFull(#[source] Arc<sqlx::Error>),
    /// The log is not open for use: migrations or the check of its head are outstanding or failed.
    #[error("the log is not open: {0}")]
    NotOpen(String),
    /// The folder of the log's key cannot be used.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// What is stored contradicts itself.
    #[error("the stored log is inconsistent: {0}. Run `remembrancer fsck`")]
    Inconsistent(String),
    /// The work was cut off, by a shutdown or a fault in this service.
    #[error("the work was cut off: {0}")]
    Interrupted(String),
    /// The database refused a statement.
    #[error("the database refused a statement")]
    Database(#[source] sqlx::Error),
}

/// A field of a request that cannot be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidField {
    /// JSON pointer into the request's body, or `?name` for a query parameter.
    pub pointer: String,
    /// What was expected there.
    pub detail: String,
}

/// What is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFound {
    /// No decision of this run is recorded.
    #[error("no decision of the run {0} is recorded in this log")]
    Run(Hash),
    /// The run has no such decision in this log.
    #[error("this log has no sequence {sequence} of the run {run}")]
    Decision {
        /// The run's digest.
        run: Hash,
        /// The sequence number.
        sequence: u64,
    },
    /// No record has this id.
    #[error("no record has the id {0:?}")]
    Record(String),
    /// No artifact has this digest.
    #[error("no artifact with the SHA-256 {0} is stored")]
    Artifact(Hash),
    /// Nobody ever claimed this lease.
    #[error("the lease {0:?} was never claimed")]
    Lease(String),
    /// The log has no such leaf.
    #[error("the log has no leaf {0}")]
    Leaf(u64),
    /// No checkpoint of this log (whose origin it is) was ever cosigned here.
    #[error("this witness never cosigned a checkpoint of the log {0:?}")]
    Witnessed(String),
    /// No checkpoint has enough cosignatures.
    #[error("no checkpoint of this log has the cosignatures that its trust policy wants")]
    Quorum,
    /// The tree has no such tile, or it is narrower.
    #[error("the tree has no such tile, or it is not as wide yet")]
    Tile,
}

impl LogError {
    /// One wrong field.
    pub fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Invalid(vec![InvalidField { pointer: pointer.into(), detail: detail.into() }])
    }

    /// The same for another append of the same commit, where it is about none of them: none can be committed now.
    pub(crate) fn of_all(&self) -> Option<Self> {
        match self {
            Self::Unavailable(cause) => Some(Self::Unavailable(Arc::clone(cause))),
            Self::DiskFull(cause) => Some(Self::DiskFull(Arc::clone(cause))),
            _ => None,
        }
    }
}

impl From<NotFound> for LogError {
    fn from(what: NotFound) -> Self {
        Self::NotFound(what)
    }
}

impl From<MissingHash> for LogError {
    fn from(missing: MissingHash) -> Self {
        Self::Inconsistent(missing.to_string())
    }
}

impl From<sqlx::Error> for LogError {
    fn from(error: sqlx::Error) -> Self {
        if is_disk_full(&error) {
            Self::DiskFull(Arc::new(error))
        } else if is_unavailable(&error) {
            Self::Unavailable(Arc::new(error))
        } else {
            Self::Database(error)
        }
    }
}

impl From<sqlx::migrate::MigrateError> for LogError {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        use sqlx::migrate::MigrateError::{Execute, ExecuteMigration};
        match error {
            Execute(error) | ExecuteMigration(error, _) => error.into(),
            other => Self::Database(sqlx::Error::Migrate(Box::new(other))),
        }
    }
}

/// A canonicalisation error of the part of a request at `base`.
pub(crate) fn uncanonical(base: &str, error: &CanonicalError) -> InvalidField {
    InvalidField { pointer: format!("{base}{}", error.pointer()), detail: error.problem().to_owned() }
}

/// PostgreSQL's `disk_full`.
fn is_disk_full(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "53100")
}

/// Whether the same call may succeed once the database is back.
fn is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_) // a connection that broke off within a message
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => true,
        // 08: connection; 53: too many connections, no memory; 57P0x: shutting down, crashed,
        // starting; 40: rolled back for another transaction's sake.
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            ["08", "53", "57P0", "40"].iter().any(|class| code.starts_with(class))
        }),
        _ => false,
    }
}

impl From<LogError> for ApiError {
    fn from(error: LogError) -> Self {
        let conflict = |code, detail| ApiError::new(StatusCode::CONFLICT, code, detail);
        match error {
            LogError::Invalid(fields) => invalid(fields),
            LogError::DecisionConflict { run, sequence } => conflict(
                "decision_conflict",
                format!(
                    "Another decision is recorded as sequence {sequence} of the run {run}; nothing was written. \
                     A decision is never replaced: a run that decides differently has another digest."
                ),
            ),
            LogError::SequenceGap { run, expected, actual, unknown_run } => conflict(
                "sequence_gap",
                if unknown_run {
                    format!(
                        "Expected sequence 0 of the run {run}, got {actual}; nothing was written. This log has \
                         nothing of the run: send it from 0, or, if it began on another log, with the `frontier` \
                         over its first {actual} decisions."
                    )
                } else {
                    format!(
                        "Expected sequence {expected} of the run {run}, got {actual}; nothing was written. Send the \
                         decisions from {expected} on."
                    )
                },
            ),
            LogError::BeforeRunStart { run, first, actual } => conflict(
                "sequence_before_start",
                format!(
                    "This log holds the run {run} only from sequence {first} on, got {actual}; nothing was written. \
                     What is before is in the log that the run began on."
                ),
            ),
            LogError::FrontierMismatch { run, sequence, reason } => conflict(
                "frontier_mismatch",
                format!(
                    "The frontier of the run {run} does not fit sequence {sequence}: {reason}. Nothing was written."
                ),
            ),
            LogError::RecordConflict(id) => conflict(
                "record_conflict",
                format!(
                    "Another record is recorded under the id {id:?}; nothing was written. Choose another id."
                ),
            ),
            LogError::LeaseHeld { name, holder, until } => conflict(
                "lease_held",
                format!(
                    "{holder:?} holds the lease {name:?} until {until}. Claim it again when it was given back or \
                     has run out; GET /v1/leases/{{name}} tells."
                ),
            ),
            LogError::LeaseLost { fence: Fence { lease, token }, reason } => conflict(
                "lease_lost",
                format!(
                    "The claim of the lease {lease:?} with the token {token} is over: {reason}. Nothing was written. \
                     Leave the work to whoever holds the lease, or claim it anew."
                ),
            ),
            LogError::LeaseRequired { run, lease } => conflict(
                "lease_required",
                format!(
                    "The run {run} is recorded under the lease {lease:?}; nothing was written. Claim the lease, and \
                     send `lease` and `token` with the decisions."
                ),
            ),
            LogError::DigestMismatch { expected, actual } => ApiError::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "digest_mismatch",
                format!(
                    "The content's SHA-256 is {actual}, expected {expected} as in the path. Nothing was stored."
                ),
            ),
            LogError::Deleted { index, run, record } => ApiError::new(
                StatusCode::GONE,
                "decision_deleted",
                format!(
                    "The decision at log index {index} was deleted with all others of the run {run}; GET /v1/records/{record} \
                     says when and why. Its hash is still in the log: GET /v1/log/proofs/inclusion proves it, for whoever has \
                     a copy."
                ),
            ),
            LogError::RunNotEnded { run, why } => conflict(
                "run_not_ended",
                format!(
                    "The decisions of the run {run} cannot be deleted: {why}. Nothing was deleted. Only those of training \
                     runs can be, once every run with this digest has ended."
                ),
            ),
            LogError::NotFound(what) => not_found(&what),
            LogError::BeyondLog { asked, size } => invalid(vec![InvalidField {
                pointer: "?tree_size".into(),
                detail: format!("expected at most {size}, the log's size, got {asked}"),
            }]),
            LogError::EntryTooLong { index, length, bundle } => ApiError::new(
                StatusCode::NOT_FOUND,
                "entry_too_long",
                format!(
                    "The entry {index} has {length} bytes or more, and the bundles of C2SP tlog-tiles have entries of at \
                     most {MAX_ENTRY}: there is no bundle with it. Read the entries {} to {} one by one: `record` of GET \
                     /v1/log/evidence?log_index={index} has the entry's characters.",
                    bundle.start,
                    bundle.end - 1
                ),
            ),
            LogError::NoTrustPolicy => conflict(
                "no_trust_policy",
                "This log knows no witnesses, and keeps no cosignatures. Its operator names a file with them as \
                 `trust_policy`."
                    .to_owned(),
            ),
            LogError::TooManyExports => ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "overloaded",
                "As many exports as this service takes at once are at work. Try again in a few seconds, or read \
                 pages as JSON.",
            )
            .retry_after(Duration::from_secs(5)),
            LogError::Unavailable(cause) => ApiError::unavailable(
                "database_unavailable",
                "The ledger's database is away. Nothing is lost: send the same request again.",
                cause,
            ),
            LogError::DiskFull(cause) => disk_full(cause),
            LogError::KeyFile(KeyFileError::File { cause, .. }) if cause.kind() == ErrorKind::StorageFull => {
                disk_full(cause)
            }
            LogError::NotOpen(reason) => ApiError::unavailable(
                "database_unavailable",
                "The ledger is not open yet; /readyz says what is missing. Send the same request again.",
                reason,
            )
            .retry_after(Duration::from_secs(1)),
            error @ (LogError::Inconsistent(_)
            | LogError::KeyFile(_)
            | LogError::Interrupted(_)
            | LogError::Database(_)) => ApiError::internal(error),
        }
    }
}

fn disk_full(cause: impl std::error::Error + Send + Sync + 'static) -> ApiError {
    let detail = "The disk of the ledger is full, and nothing was recorded. Nothing that was recorded before is lost. \
                  When its operator has made room on it, send the same request again.";
    ApiError::unavailable("disk_full", detail, cause).retry_after(Duration::from_secs(5))
}

/// 422 with a pointer to each wrong field.
fn invalid(fields: Vec<InvalidField>) -> ApiError {
    let detail = match fields.as_slice() {
        [one] => format!("The request is not valid: `{}`: {}.", one.pointer, one.detail),
        many => format!("The request is not valid in {} places; `errors` names each.", many.len()),
    };
    let errors =
        fields.into_iter().map(|field| api::FieldError { pointer: field.pointer, detail: field.detail });
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", detail).with_errors(errors.collect())
}

fn not_found(what: &NotFound) -> ApiError {
    let code = match what {
        NotFound::Run(_) => "run_not_found",
        NotFound::Decision { .. } => "decision_not_found",
        NotFound::Record(_) => "record_not_found",
        NotFound::Artifact(_) => "artifact_not_found",
        NotFound::Lease(_) => "lease_not_found",
        NotFound::Leaf(_) => "leaf_not_found",
        NotFound::Witnessed(_) => "log_not_witnessed",
        NotFound::Quorum => "quorum_not_found",
        NotFound::Tile => "tile_not_found",
    };
    let text = what.to_string();
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    let detail: String = first.into_iter().chain(letters).chain(['.']).collect();
    ApiError::new(StatusCode::NOT_FOUND, code, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_connection_is_an_outage_and_a_refused_statement_is_not() {
        let broken = sqlx::Error::Io(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
        assert!(matches!(LogError::from(broken), LogError::Unavailable(_)));
        assert!(matches!(LogError::from(sqlx::Error::PoolTimedOut), LogError::Unavailable(_)));
        assert!(matches!(LogError::from(sqlx::Error::RowNotFound), LogError::Database(_)));
    }
}
