//! Contributions in pieces, so that of one that has changed only the changed pieces travel.
//!
//! Where a piece ends is decided by the bytes before it (content-defined chunking: Muthitacharoen, Chen and Mazières 2001;
//! the gear hash of Xia et al. 2014), so that a state that is new in a table moves no boundary but its own. Learners write
//! their tables in the order of their keys: a piece is a range of keys, whatever the learner's form is.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use merkle_log::{Frontier, leaf_hash};
use serde::{Deserialize, Serialize};

use crate::{contribution::MOST_BYTES, names::Digest};

/// No contribution has more pieces.
pub const MOST_CHUNKS: usize = 256;

/// Smaller pieces would not be worth their names.
const LEAST_BYTES: usize = 1 << 10;

/// The pieces of a contribution, by their RFC 6962 leaf hashes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The SHA-256 of all bytes.
    pub artifact: Digest,
    /// The pieces, in order.
    pub chunks: Vec<Digest>,
}

/// Pieces do not make up what they were said to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// More pieces than any contribution has.
    #[error("expected at most {MOST_CHUNKS} chunks, found {0}")]
    TooMany(usize),
    /// More bytes than any contribution has.
    #[error("expected chunks of at most {MOST_BYTES} bytes together")]
    TooLarge,
    /// A piece that is nowhere.
    #[error("chunk {0} is missing")]
    Missing(Digest),
    /// They are other bytes.
    #[error("the chunks make up {found}, not {expected}")]
    Other {
        /// What was to come out.
        expected: Digest,
        /// What did.
        found: Digest,
    },
}

impl Manifest {
    /// That of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let chunks = split(bytes).map(|range| chunk_name(&bytes[range])).collect();
        Self { artifact: Digest::of(bytes), chunks }
    }

    /// The Merkle tree hash over the pieces (RFC 6962, section 2.1).
    #[must_use]
    pub fn root(&self) -> Digest {
        Digest(self.chunks.iter().map(|chunk| chunk.0).collect::<Frontier>().root())
    }

    /// The pieces that are not among these.
    #[must_use]
    pub fn missing<'a>(&'a self, held: &'a BTreeMap<Digest, Arc<[u8]>>) -> Vec<Digest> {
        self.chunks.iter().copied().filter(|chunk| !held.contains_key(chunk)).collect()
    }

    /// Puts the pieces together.
    ///
    /// # Errors
    /// A piece is missing, or the whole is not what the manifest names.
    pub fn assemble(&self, held: &BTreeMap<Digest, Arc<[u8]>>) -> Result<Vec<u8>, ChunkError> {
        if self.chunks.len() > MOST_CHUNKS {
            return Err(ChunkError::TooMany(self.chunks.len()));
        }
        let mut bytes = Vec::new();
        for chunk in &self.chunks {
            bytes.extend_from_slice(held.get(chunk).ok_or(ChunkError::Missing(*chunk))?);
            if bytes.len() > MOST_BYTES {
                return Err(ChunkError::TooLarge);
            }
        }
        let found = Digest::of(&bytes);
        if found == self.artifact {
            Ok(bytes)
        } else {
            Err(ChunkError::Other { expected: self.artifact, found })
        }
    }
}

/// The name of a piece: its RFC 6962 leaf hash.
#[must_use]
pub fn chunk_name(bytes: &[u8]) -> Digest {
    Digest(leaf_hash(bytes))
}

/// The pieces of these bytes by their names.
#[must_use]
pub fn chunks(bytes: &[u8]) -> BTreeMap<Digest, Arc<[u8]>> {
    split(bytes).map(|range| (chunk_name(&bytes[range.clone()]), Arc::from(&bytes[range]))).collect()
}

/// Where the pieces of these bytes are.
pub fn split(bytes: &[u8]) -> impl Iterator<Item = Range<usize>> {
    // all pieces but the last have at least `least` bytes, and 256 of these are no less than all
    let least = bytes.len().div_ceil(MOST_CHUNKS).next_power_of_two().max(LEAST_BYTES);
    let mut start = 0;
    std::iter::from_fn(move || {
        let rest = bytes.get(start..).filter(|rest| !rest.is_empty())?;
        let end = start + first_end(rest, least);
        let range = start..end;
        start = end;
        Some(range)
    })
}

/// How long the first piece is: at least `least` bytes, on average about three times as many, at most eight times.
fn first_end(bytes: &[u8], least: usize) -> usize {
    // the upper bits have seen most bytes
    let mask = (2 * least as u64 - 1).reverse_bits();
    let mut hash = 0_u64;
    for (at, byte) in bytes.iter().enumerate().take(8 * least) {
        hash = (hash << 1).wrapping_add(gear(*byte));
        if at + 1 >= least && hash & mask == 0 {
            return at + 1;
        }
    }
    bytes.len().min(8 * least)
}

/// A number that looks random, for each byte (the finaliser of SplitMix64, Steele, Lea and Flood 2014).
fn gear(byte: u8) -> u64 {
    let mut z = (u64::from(byte) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
