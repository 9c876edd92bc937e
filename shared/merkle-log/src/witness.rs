//! What a witness does (C2SP tlog-witness): it cosigns a checkpoint that goes on from the last one that it cosigned of the
//! same log, and no other. The request as a text, and the decision about it; where the last one is kept is the caller's.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};

use crate::{
    EMPTY_ROOT, Hash,
    checkpoint::{Checkpoint, CheckpointError},
    note::{NoteError, SignedNote, VerifierKey},
    proof::{ProofError, verify_consistency},
};

/// The most lines of a consistency proof.
pub const MAX_PROOF: usize = 63;

/// Trees that are larger are refused: their size would not fit into what witnesses keep.
const MAX_SIZE: u64 = i64::MAX as u64;

/// A request for a cosignature, the body of `add-checkpoint`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// The size of the checkpoint that the witness cosigned last, as the client believes.
    pub old: u64,
    /// The consistency proof from there, empty when `old` is 0 or the size itself.
    pub proof: Vec<Hash>,
    /// The signed checkpoint.
    pub checkpoint: String,
}

/// The log at the last checkpoint that a witness cosigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// How many leaves.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

/// Why a checkpoint is not cosigned; each has one status of HTTP.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The body is no such request (400).
    #[error("malformed request: expected {0}")]
    Form(&'static str),
    /// The checkpoint in it is none (400).
    #[error("the checkpoint in the request: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The log is not one of the witness's (404).
    #[error("this witness does not know the log {0:?}")]
    UnknownLog(String),
    /// No known key of the log signed the checkpoint, or a signature of one does not hold (403).
    #[error("the checkpoint is not signed by the log: {0}")]
    NotSigned(NoteError),
    /// The old size is above the checkpoint's (400).
    #[error("the old size {old} is above the checkpoint's, {size}")]
    Backwards {
        /// The old size.
        old: u64,
        /// The checkpoint's.
        size: u64,
    },
    /// The witness cosigned another checkpoint last: of another size, or of this size with another root (409).
    #[error("this witness cosigned {0} leaves of the log last")]
    Conflict(u64),
    /// The checkpoint is not shown to go on from the last one (422).
    #[error("the checkpoint does not go on from the last one: {0}")]
    NotConsistent(ProofError),
}

impl AddCheckpoint {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// [`Refusal::Form`] when it has another form. The checkpoint is not looked at yet.
    pub fn parse(body: &str) -> Result<Self, Refusal> {
        use Refusal::Form;
        let (head, checkpoint) =
            body.split_once("\n\n").ok_or(Form("an empty line before the checkpoint"))?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old "));
        let old = old.and_then(|old| old.parse::<u64>().ok().filter(|number| number.to_string() == old));
        let old = old.ok_or(Form("`old` and the old size without leading zeroes in the first line"))?;
        let hash = |line| BASE64.decode(line).ok().and_then(|hash| hash.try_into().ok());
        let proof: Option<Vec<Hash>> = lines.map(hash).collect();
        let proof = proof.ok_or(Form("the base64 of a hash in every line of the proof"))?;
        if proof.len() > MAX_PROOF {
            return Err(Form("at most 63 hashes in the proof"));
        }
        Ok(Self { old, proof, checkpoint: checkpoint.to_owned() })
    }

    /// The request as a text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("old {}\n", self.old);
        for hash in &self.proof {
            text.push_str(&BASE64.encode(hash));
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&self.checkpoint);
        text
    }

    /// The checkpoint, when a log that is known by one of the `keys` signed it. The keys of one log have one name, its origin.
    ///
    /// # Errors
    /// The checkpoint is malformed, of another log, not signed by its key, or smaller than `old`.
    pub fn verify(&self, keys: &[VerifierKey]) -> Result<Checkpoint, Refusal> {
        let note = SignedNote::parse(&self.checkpoint).map_err(CheckpointError::from)?;
        let checkpoint = Checkpoint::parse_text(note.unverified_text())?;
        let mut keys = keys.iter().filter(|key| key.name() == checkpoint.origin).peekable();
        if keys.peek().is_none() {
            return Err(Refusal::UnknownLog(checkpoint.origin));
        }
        let (mut signed, mut unsigned) = (false, None);
        for key in keys {
            match note.verify(key) {
                Ok(_) => signed = true,
                Err(error @ NoteError::NotSigned(_)) => unsigned = Some(error),
                Err(error) => return Err(Refusal::NotSigned(error)),
            }
        }
        match unsigned.filter(|_| !signed) {
            Some(error) => Err(Refusal::NotSigned(error)),
            None if self.old > checkpoint.size => {
                Err(Refusal::Backwards { old: self.old, size: checkpoint.size })
            }
            None if checkpoint.size > MAX_SIZE => Err(Refusal::Form("a tree size below 2^63")),
            None => Ok(checkpoint),
        }
    }

    /// Whether the checkpoint, verified, goes on from what the witness has seen.
    ///
    /// # Errors
    /// [`Refusal::Conflict`] when `old` is not what was seen, [`Refusal::NotConsistent`] when the proof does not verify.
    pub fn follows(&self, checkpoint: &Checkpoint, seen: Option<Seen>) -> Result<(), Refusal> {
        let last = seen.unwrap_or(Seen { size: 0, root: EMPTY_ROOT });
        if self.old != last.size {
            return Err(Refusal::Conflict(last.size));
        }
        if checkpoint.size == 0 || last.size == 0 {
            // Nothing was seen, so nothing is to be shown; the tree of no leaves has one root.
            return match (self.proof.is_empty(), checkpoint.size > 0 || checkpoint.root == EMPTY_ROOT) {
                (false, _) => Err(ProofError::WrongLength { actual: self.proof.len() }),
                (true, false) => Err(ProofError::RootMismatch),
                (true, true) => Ok(()),
            }
            .map_err(Refusal::NotConsistent);
        }
        if checkpoint.size == last.size && checkpoint.root != last.root {
            return Err(Refusal::Conflict(last.size));
        }
        verify_consistency(last.size, checkpoint.size, &last.root, &checkpoint.root, &self.proof)
            .map_err(Refusal::NotConsistent)
    }
}

#[cfg(test)]
mod tests;
