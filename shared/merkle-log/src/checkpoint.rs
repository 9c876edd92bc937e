//! The log's head as a signed text (C2SP tlog-checkpoint).

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};

use crate::{
    Hash,
    note::{NoteError, NoteSigner, SignedNote, VerifierKey},
};

/// What a checkpoint says: which log, how many leaves, which root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's identity. This project's logs sign with a key of the same name.
    pub origin: String,
    /// How many leaves.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

/// A checkpoint cannot be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The note around it is malformed or not signed by the key.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The signed text has another form.
    #[error("malformed checkpoint: expected {0}")]
    Form(&'static str),
    /// It is another log's.
    #[error("the checkpoint is of the log {actual:?}: expected {expected:?}, as the key says")]
    Origin {
        /// The key's name.
        expected: String,
        /// The checkpoint's origin.
        actual: String,
    },
}

impl Checkpoint {
    /// The note's text: origin, size and root, a line each.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, BASE64.encode(self.root))
    }

    /// Signs the checkpoint of the signer's log.
    ///
    /// # Errors
    /// When the origin has control characters.
    pub fn sign(&self, signer: &NoteSigner) -> Result<String, NoteError> {
        signer.sign(&self.to_text())
    }

    /// Reads the note's text. Extension lines may follow and are not looked at.
    ///
    /// # Errors
    /// When a line is missing or not in its one spelling.
    pub fn parse_text(text: &str) -> Result<Self, CheckpointError> {
        use CheckpointError::Form;
        let text = text.strip_suffix('\n').ok_or(Form("a newline at the end"))?;
        let mut lines = text.split('\n');
        let origin =
            lines.next().filter(|line| !line.is_empty()).ok_or(Form("the origin in the first line"))?;
        let size = lines.next().unwrap_or_default();
        let number: u64 = size.parse().map_err(|_| Form("the tree size in the second line"))?;
        if number.to_string() != size {
            return Err(Form("a tree size without leading zeroes"));
        }
        let root = BASE64.decode(lines.next().unwrap_or_default()).ok().and_then(|root| root.try_into().ok());
        let root = root.ok_or(Form("the base64 of the root hash in the third line"))?;
        if lines.any(str::is_empty) {
            return Err(Form("no empty lines"));
        }
        Ok(Self { origin: origin.into(), size: number, root })
    }

    /// What a signed checkpoint claims, before anybody has verified a signature.
    ///
    /// # Errors
    /// When the note or the text is malformed.
    pub fn claimed(note: &str) -> Result<Self, CheckpointError> {
        Self::parse_text(SignedNote::parse(note)?.unverified_text())
    }

    /// Reads a signed checkpoint, and believes it only when `key` signed it for the log of its name.
    ///
    /// # Errors
    /// When the note or the text is malformed, not signed by the key, or of another log.
    pub fn verify(note: &str, key: &VerifierKey) -> Result<Self, CheckpointError> {
        let note = SignedNote::parse(note)?;
        let checkpoint = Self::parse_text(note.verify(key)?)?;
        if checkpoint.origin != key.name() {
            return Err(CheckpointError::Origin { expected: key.name().into(), actual: checkpoint.origin });
        }
        Ok(checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EMPTY_ROOT;

    fn signer(name: &str) -> NoteSigner {
        NoteSigner::new(name, &[7; 32]).unwrap()
    }

    /// The example of C2SP tlog-checkpoint.
    const EXAMPLE: &str =
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

    #[test]
    fn the_specifications_example_reads_and_writes_back() {
        let checkpoint = Checkpoint::parse_text(EXAMPLE).unwrap();
        assert_eq!(checkpoint.origin, "example.com/behind-the-sofa");
        assert_eq!(checkpoint.size, 20_852_163);
        assert_eq!(checkpoint.to_text(), EXAMPLE);
    }

    #[test]
    fn a_signed_checkpoint_is_believed_only_for_its_own_log() {
        let empty = Checkpoint { origin: "ai-mesh/log".into(), size: 0, root: EMPTY_ROOT };
        let note = empty.sign(&signer("ai-mesh/log")).unwrap();
        assert_eq!(Checkpoint::verify(&note, &signer("ai-mesh/log").verifier_key()).unwrap(), empty);
        let other = empty.sign(&signer("other/log")).unwrap();
        assert!(matches!(
            Checkpoint::verify(&other, &signer("other/log").verifier_key()),
            Err(CheckpointError::Origin { .. })
        ));
        assert_eq!(Checkpoint::claimed(&other).unwrap(), empty, "what is claimed is not yet believed");
    }

    #[test]
    fn every_other_spelling_is_refused() {
        for text in [
            "",
            "\n",
            "log\n",
            "log\n1\n",
            "log\n01\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
            "log\n+1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
            "log\n-1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
            "log\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I\n",
            "log\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=\n",
            "log\n1\nAAAA\n",
            "\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
            "log\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n",
            "log\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=",
        ] {
            assert!(Checkpoint::parse_text(text).is_err(), "{text:?}");
        }
        let extended = format!("{EXAMPLE}an extension\n");
        assert_eq!(Checkpoint::parse_text(&extended), Checkpoint::parse_text(EXAMPLE));
    }
}
