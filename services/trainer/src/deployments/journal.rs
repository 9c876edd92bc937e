//! The journal of a deployment that answers before the ledger has what it says: what is on its way there, in order.
//!
//! One line an entry: a digest and the entry's JSON. Each digest is over the one before it and the JSON, so that no line can be
//! changed, left out or put elsewhere unnoticed. Lines are synced before anybody is answered for them. So a last line that is
//! not finished was never answered, and is dropped; any other line that is not as it was written is damage, and nothing
//! goes on before somebody has looked.

mod entry;
mod file;

use std::path::PathBuf;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

pub(super) use entry::Entry;
pub(super) use file::{Journal, with_entries};

/// What the first line begins with.
const FORMAT: &str = "ai-mesh-journal/1";

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum JournalError {
    /// A line that was answered for is not as it was written.
    #[error(
        "{path}, line {line}: {what}; what it held may have been promised, and is not guessed at. Restore the file from a copy, or \
         deploy the policy under another name",
        path = .path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What was expected.
        what: String,
    },
    /// A file between two others is gone.
    #[error("{path} is not there, and the journal goes on after it: restore it from a copy, or deploy the policy under another name",
        path = .0.display())]
    Missing(PathBuf),
    /// Another process has it.
    #[error("another process of this data folder has the journal")]
    InUse,
    /// It cannot be read or written.
    #[error("{path}: {cause}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: std::io::Error,
    },
    /// An entry cannot be written as JSON.
    #[error("an entry cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wrong {
    /// From 1.
    line: usize,
    what: String,
}

/// The digests of a file's lines.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Chain([u8; 32]);

/// A file of a journal, read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Read<'a> {
    /// The JSON of its entries.
    entries: Vec<&'a str>,
    /// As many bytes are as they were written; what follows is the beginning of a line.
    whole: usize,
    /// The digest of the last line.
    chain: Chain,
}

impl Chain {
    fn begin(header: &str) -> Self {
        Self(Sha256::digest(header).into())
    }

    fn next(&self, json: &str) -> Self {
        Self(Sha256::new().chain_update(self.0).chain_update(json).finalize().into())
    }

    /// The line of an entry.
    fn line(&mut self, json: &str) -> String {
        *self = self.next(json);
        format!("{} {json}\n", api::Hash(self.0))
    }
}

/// The first line of a file.
fn header(deployment: Uuid, number: u64) -> String {
    format!("{FORMAT} {deployment} {number}\n")
}

/// Reads a file's bytes: all of them are accounted for.
fn read<'a>(bytes: &'a [u8], header: &str) -> Result<Read<'a>, Wrong> {
    let mut chain = Chain::begin(header);
    let Some(mut rest) = bytes.strip_prefix(header.as_bytes()) else {
        // it is synced before anything follows it
        if header.as_bytes().starts_with(bytes) || (bytes.len() <= header.len() && is_torn(bytes)) {
            return Ok(Read { entries: Vec::new(), whole: 0, chain });
        }
        return Err(Wrong { line: 1, what: format!("expected `{}`", header.trim_end()) });
    };
    let (mut entries, mut whole) = (Vec::new(), header.len());
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (line, after) = rest.split_at(end + 1);
        match entry(&line[..end], &chain) {
            Some((json, digest)) => {
                entries.push(json);
                chain = digest;
            }
            None if after.is_empty() && is_torn(line) => break,
            None => {
                let line = entries.len() + 2;
                let what = "expected the digest of the lines up to here, and an entry".to_owned();
                return Err(Wrong { line, what });
            }
        }
        whole += line.len();
        rest = after;
    }
    Ok(Read { entries, whole, chain })
}

/// The JSON of a line, if its digest is right.
fn entry<'a>(line: &'a [u8], before: &Chain) -> Option<(&'a str, Chain)> {
    let (digest, json) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    let chain = before.next(json);
    (digest == api::Hash(chain.0).to_string()).then_some((json, chain))
}

/// Whether bytes were given room in the file and not written: a power failure leaves zeros, which no JSON has.
fn is_torn(bytes: &[u8]) -> bool {
    bytes.contains(&0)
}

#[cfg(test)]
mod tests;
