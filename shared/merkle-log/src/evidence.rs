//! One record, verified offline: public key, signed checkpoint, audit path, and the record's own text.

use crate::{
    Hash, canonical_text,
    checkpoint::{Checkpoint, CheckpointError},
    leaf_hash,
    note::{KeyError, VerifierKey},
    proof::{ProofError, verify_inclusion},
};

/// What was proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The record's leaf hash.
    pub leaf_hash: Hash,
    /// Its index in the log.
    pub log_index: u64,
    /// The checkpoint that covers it.
    pub checkpoint: Checkpoint,
    /// The record's text as it is in the log.
    pub record: String,
}

/// A record is not proved to be in the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The record's text is not JSON.
    #[error("the record is not JSON: {0}")]
    NotJson(String),
    /// The key is malformed.
    #[error("verifier key: {0}")]
    Key(#[from] KeyError),
    /// The checkpoint is malformed, not signed by the key, or of another log.
    #[error("checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The path does not lead from the record to the checkpoint's root.
    #[error("inclusion: {0}")]
    Inclusion(#[from] ProofError),
    /// The record is in the log, but its text was written anew by a program that writes JSON in another way.
    #[error(
        "the record's text is not in canonical form (RFC 8785); written canonically it is in the log, as leaf {index} of \
         {size}",
        index = .0.log_index,
        size = .0.checkpoint.size
    )]
    NotCanonical(Box<Verified>),
    /// The record is not in the log, and its text was not the log's form to begin with.
    #[error(
        "the record's text is not in canonical form (RFC 8785), and written canonically it is not in the log: {0}"
    )]
    NeitherForm(ProofError),
}

/// Verifies that the record stands at `log_index` in the log whose head `checkpoint_note` is, signed by
/// `verifier_key` (its text form). The record's characters are hashed as they are, white space between
/// JSON tokens aside: a record that only means the same is not valid, so nothing in it can be touched. It is told
/// apart from a changed one, though ([`VerifyError::NotCanonical`]).
///
/// # Errors
/// When anything does not hold; the error says what.
pub fn verify(
    record_text: &str,
    log_index: u64,
    inclusion_path: &[Hash],
    checkpoint_note: &str,
    verifier_key: &str,
) -> Result<Verified, VerifyError> {
    let key = VerifierKey::parse(verifier_key)?;
    let checkpoint = Checkpoint::verify(checkpoint_note, &key)?;
    let prove = |record: String| {
        let leaf_hash = leaf_hash(record.as_bytes());
        verify_inclusion(&leaf_hash, log_index, checkpoint.size, inclusion_path, &checkpoint.root)?;
        Ok(Verified { leaf_hash, log_index, checkpoint: checkpoint.clone(), record })
    };
    let record = minify(record_text)?;
    // A text without canonical form, such as one with a key that stands twice, has only the form it has.
    let canonical = canonical_text(record_text).ok().filter(|canonical| *canonical != record);
    match (prove(record), canonical) {
        (Err(_), Some(canonical)) => Err(match prove(canonical) {
            Ok(verified) => VerifyError::NotCanonical(Box::new(verified)),
            Err(error) => VerifyError::NeitherForm(error),
        }),
        (proved, _) => Ok(proved?),
    }
}

/// A JSON text without the white space between its tokens, and otherwise unchanged.
///
/// # Errors
/// When the text is not JSON: dropping white space could make it so.
pub fn minify(json: &str) -> Result<String, VerifyError> {
    serde_json::from_str::<serde::de::IgnoredAny>(json)
        .map_err(|error| VerifyError::NotJson(error.to_string()))?;
    let mut minified = String::with_capacity(json.len());
    let (mut in_text, mut escaped) = (false, false);
    for c in json.chars() {
        if in_text {
            in_text = escaped || c != '"';
            escaped = !escaped && c == '\\';
        } else if matches!(c, ' ' | '\t' | '\n' | '\r') {
            continue;
        } else {
            in_text = c == '"';
        }
        minified.push(c);
    }
    Ok(minified)
}

#[cfg(test)]
mod tests;
