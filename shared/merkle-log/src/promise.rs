//! A promise that leaves will be in a log, as a signed note.
//!
//! Whoever answers before the log has what he answers signs what will stand there: which log, which stream of it, at which
//! sequence numbers, with which leaf hashes, and by when. If another leaf stands at one of them later, promise and evidence
//! together prove it, to anybody and offline.

use crate::{
    Hash,
    note::{NoteError, NoteSigner, SignedNote, VerifierKey},
};

/// The first line of a promise's text: nothing else that is signed with such a key can be taken for one.
pub const HEADER: &str = "ai-mesh-promise/1";

/// Leaves that a promise has at most.
pub const MAX_LEAVES: usize = 1000;

/// What is promised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promise {
    /// The origin of the log in which the leaves will be.
    pub log: String,
    /// Whose leaves they are, as people call it: the deployment.
    pub deployment: String,
    /// The stream of the log: the `run` of the decisions.
    pub run: Hash,
    /// By when, in milliseconds since 1970.
    pub by_ms: u64,
    /// The leaves: 1 to [`MAX_LEAVES`], with the sequence numbers in the stream, which rise.
    pub leaves: Vec<(u64, Hash)>,
}

/// A promise cannot be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PromiseError {
    /// The note around it is malformed or not signed by the key.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The text has another form.
    #[error("malformed promise: expected {0}")]
    Form(&'static str),
}

impl Promise {
    /// The text that is signed.
    #[must_use]
    pub fn to_text(&self) -> String {
        let Self { log, deployment, run, by_ms, leaves } = self;
        let mut text =
            format!("{HEADER}\nlog {log}\ndeployment {deployment}\nrun {}\nby {by_ms}\n", hex::encode(run));
        for (sequence, leaf) in leaves {
            text.push_str(&format!("leaf {sequence} {}\n", hex::encode(leaf)));
        }
        text
    }

    /// Reads the text, of which nothing is verified.
    ///
    /// # Errors
    /// It has another form than [`Promise::to_text`] gives it.
    pub fn parse_text(text: &str) -> Result<Self, PromiseError> {
        use PromiseError::Form;
        let mut lines = text.strip_suffix('\n').ok_or(Form("a newline at the end"))?.split('\n');
        if lines.next() != Some(HEADER) {
            return Err(Form("`ai-mesh-promise/1` as the first line"));
        }
        let mut field = |name: &str, form| {
            let value = lines.next().and_then(|line| line.strip_prefix(name)?.strip_prefix(' '));
            value.filter(|value| !value.is_empty()).ok_or(Form(form))
        };
        let log = field("log", "`log <origin>` as the second line")?.to_owned();
        let deployment = field("deployment", "`deployment <name>` as the third line")?.to_owned();
        let run = field("run", RUN).and_then(|run| digest(run).ok_or(Form(RUN)))?;
        let by_ms = field("by", BY).and_then(|by| number(by).ok_or(Form(BY)))?;
        let mut leaves: Vec<(u64, Hash)> = Vec::new();
        for line in lines {
            let leaf = line.strip_prefix("leaf ").and_then(|leaf| leaf.split_once(' '));
            let leaf = leaf.and_then(|(sequence, leaf)| Some((number(sequence)?, digest(leaf)?)));
            let (sequence, leaf) =
                leaf.ok_or(Form("`leaf <sequence> <64 hexadecimal digits>` as the other lines"))?;
            if leaves.last().is_some_and(|(last, _)| *last >= sequence) {
                return Err(Form("sequence numbers that rise"));
            }
            if leaves.len() == MAX_LEAVES {
                return Err(Form("at most 1000 leaves"));
            }
            leaves.push((sequence, leaf));
        }
        if leaves.is_empty() {
            return Err(Form("at least one leaf"));
        }
        Ok(Self { log, deployment, run, by_ms, leaves })
    }

    /// The signed note.
    ///
    /// # Errors
    /// The log's or the deployment's name has control characters, or the promise is otherwise none that
    /// [`Promise::parse_text`] reads.
    pub fn sign(&self, signer: &NoteSigner) -> Result<String, PromiseError> {
        let text = self.to_text();
        if Self::parse_text(&text)? != *self {
            return Err(PromiseError::Form("names without line breaks"));
        }
        Ok(signer.sign(&text)?)
    }

    /// The promise in a note that `key` signed.
    ///
    /// # Errors
    /// It is no promise, or not signed by the key.
    pub fn verify(note: &str, key: &VerifierKey) -> Result<Self, PromiseError> {
        Self::parse_text(SignedNote::parse(note)?.verify(key)?)
    }

    /// What a note promises, whoever signed it.
    ///
    /// # Errors
    /// It is no promise.
    pub fn claimed(note: &str) -> Result<Self, PromiseError> {
        Self::parse_text(SignedNote::parse(note)?.unverified_text())
    }

    /// The leaf that is promised at a sequence number.
    #[must_use]
    pub fn leaf(&self, sequence: u64) -> Option<&Hash> {
        let found = self.leaves.binary_search_by_key(&sequence, |(sequence, _)| *sequence);
        found.ok().map(|index| &self.leaves[index].1)
    }
}

const RUN: &str = "`run <64 hexadecimal digits>` as the fourth line";
const BY: &str = "`by <milliseconds since 1970>` as the fifth line";

/// 32 bytes in lowercase: one text a digest.
fn digest(text: &str) -> Option<Hash> {
    let bytes = hex::decode(text).ok()?;
    (hex::encode(&bytes) == text).then(|| bytes.try_into().ok())?
}

/// A number without signs or leading zeros: one text a number.
fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

#[cfg(test)]
mod tests;
