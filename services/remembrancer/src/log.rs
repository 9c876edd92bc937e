//! The log in the database: its head, its tiles, its one writer, and proofs from it.

mod proofs;
mod sequencer;
mod tiles;

pub use proofs::{Head, consistency, head, inclusion, root_at};
pub use sequencer::{Append, Sequencer};
pub use tiles::{leaf_hashes, load_tiles, open_edge, tile};

use chrono::{DateTime, SubsecRound as _, Utc};

use crate::error::{LogError, Result};

/// The clock of records, cut to the microseconds that the database keeps: the leaf is computed again
/// from what is stored.
#[must_use]
pub fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

/// A stored digest.
pub(crate) fn digest(bytes: &[u8]) -> Result<merkle_log::Hash> {
    bytes.try_into().map_err(|_| LogError::Inconsistent(format!("a hash of {} bytes", bytes.len())))
}

/// A stored count or index; the schema's checks keep them from being negative.
pub(crate) fn unsigned(number: i64) -> Result<u64> {
    number.try_into().map_err(|_| LogError::Inconsistent(format!("the number {number} below zero")))
}

/// A count or index for the database. Indexes count rows, and sequence numbers stay below 2^53, so that
/// nothing legitimate is beyond `i64`; what was asked for beyond it is saturated and so not found.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
