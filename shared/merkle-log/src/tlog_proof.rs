//! Proofs as files that other tools read (C2SP tlog-proof): that an entry is in a log, with the checkpoint that it is proved
//! in and the cosignatures on it.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};

use crate::{
    Hash,
    evidence::{self, Verified, VerifyError},
    note::VerifierKey,
};

/// The first line.
pub const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// Longer paths belong to no tree whose size 64 bits can tell.
const MAX_PATH: usize = 64;

/// A proof that an entry is in a log. Nothing in it is believed before it was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlogProof {
    /// What the application adds. Logs of this project put the entry itself here; the proof vouches for it.
    pub extra: Option<Vec<u8>>,
    /// The entry's index in the log.
    pub index: u64,
    /// The audit path, from the leaf up.
    pub path: Vec<Hash>,
    /// The signed checkpoint, verbatim.
    pub checkpoint: String,
}

/// A text is not such a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the proof: expected {expected}")]
pub struct TlogProofError {
    /// The line, from 1.
    pub line: usize,
    /// What should stand there.
    pub expected: &'static str,
}

impl TlogProof {
    /// Reads a proof.
    ///
    /// # Errors
    /// When a line is missing or not in its one spelling.
    pub fn parse(text: &str) -> Result<Self, TlogProofError> {
        let fail = |line, expected| Err(TlogProofError { line, expected });
        let (head, checkpoint) = text.split_once("\n\n").unwrap_or((text, ""));
        let mut lines = (1..).zip(head.split('\n')).peekable();
        if lines.next() != Some((1, HEADER)) {
            return fail(1, "`c2sp.org/tlog-proof@v1`");
        }
        let extra = match lines.next_if(|(_, line)| line.starts_with("extra ")) {
            None => None,
            Some((number, line)) => match BASE64.decode(&line["extra ".len()..]) {
                Ok(extra) => Some(extra),
                Err(_) => return fail(number, "the base64 of the extra data"),
            },
        };
        let index_line = 2 + usize::from(extra.is_some());
        let digits = lines.next().and_then(|(_, line)| line.strip_prefix("index "));
        let index = digits.and_then(|digits| digits.parse::<u64>().ok());
        let Some(index) = index.filter(|index| digits == Some(&*index.to_string())) else {
            return fail(index_line, "`index` and a number without leading zeroes");
        };
        let mut path = Vec::new();
        for (number, line) in lines {
            match BASE64.decode(line).ok().and_then(|hash| hash.try_into().ok()) {
                Some(hash) if path.len() < MAX_PATH => path.push(hash),
                Some(_) => return fail(number, "at most 64 hashes"),
                None => return fail(number, "the base64 of a hash, or an empty line before the checkpoint"),
            }
        }
        if !checkpoint.ends_with('\n') {
            return fail(index_line + path.len() + 1, "an empty line and a signed checkpoint");
        }
        Ok(Self { extra, index, path, checkpoint: checkpoint.to_owned() })
    }

    /// The proof as a text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("{HEADER}\n");
        if let Some(extra) = &self.extra {
            text.push_str(&format!("extra {}\n", BASE64.encode(extra)));
        }
        text.push_str(&format!("index {}\n", self.index));
        for hash in &self.path {
            text.push_str(&BASE64.encode(hash));
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&self.checkpoint);
        text
    }

    /// The entry that the proof brings along, if that is a text.
    #[must_use]
    pub fn entry(&self) -> Option<&str> {
        std::str::from_utf8(self.extra.as_deref()?).ok()
    }

    /// Verifies that `record` is the entry, in the log of `key`.
    ///
    /// # Errors
    /// As [`evidence::verify`].
    pub fn verify(&self, record: &str, key: &VerifierKey) -> Result<Verified, VerifyError> {
        evidence::verify(record, self.index, &self.path, &self.checkpoint, &key.to_string())
    }
}

#[cfg(test)]
mod tests;
