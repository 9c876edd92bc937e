//! How a log changes its key: the last checkpoint under the former key is the first under the new one, names both, and
//! is signed by both. Whoever trusts the former key can follow it to the new one, and no further than the former key
//! says.

use crate::{
    checkpoint::{Checkpoint, CheckpointError},
    note::{KeyError, NoteError, NoteSigner, SignedNote, VerifierKey},
};

/// The extension lines of the checkpoint (C2SP tlog-checkpoint leaves them to the log).
const FORMER: &str = "former-key ";
const NEW: &str = "new-key ";

/// A change of the key, as the note says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRotation {
    /// The log right before the change is recorded.
    pub checkpoint: Checkpoint,
    /// The key until then; `None` when nobody knows it any more.
    pub former: Option<VerifierKey>,
    /// The key from then on.
    pub new: VerifierKey,
    /// Whether the former key signed the change. Without that, only the new key vouches for what came before.
    pub signed_by_former: bool,
}

/// A note is no change of a key that can be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RotationError {
    /// The checkpoint is malformed, or not signed as it must be.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// One of the keys has another form.
    #[error("a key in the note: {0}")]
    Key(#[from] KeyError),
    /// The lines that name the keys are not there.
    #[error("malformed change of a key: expected {0}")]
    Form(&'static str),
}

impl From<NoteError> for RotationError {
    fn from(error: NoteError) -> Self {
        Self::Checkpoint(error.into())
    }
}

impl KeyRotation {
    /// Signs the change from `former` to `new` at this size and root. When the former key is lost, `former_key` still
    /// names it, if it is known, and only the new one signs.
    ///
    /// # Errors
    /// When the log's name has control characters.
    pub fn sign(
        checkpoint: &Checkpoint,
        former_key: Option<&VerifierKey>,
        former: Option<&NoteSigner>,
        new: &NoteSigner,
    ) -> Result<String, NoteError> {
        let mut text = checkpoint.to_text();
        if let Some(former_key) = former_key {
            text.push_str(&format!("{FORMER}{former_key}\n"));
        }
        text.push_str(&format!("{NEW}{}\n", new.verifier_key()));
        let note = new.sign(&text)?;
        match former {
            Some(former) => former.cosign(&note),
            None => Ok(note),
        }
    }

    /// Reads the note, and believes it only when the new key signed it, and the former one too unless it is lost.
    ///
    /// # Errors
    /// When the note is malformed, of another log than its keys, or a signature does not hold.
    pub fn verify(note: &str) -> Result<Self, RotationError> {
        let signed = SignedNote::parse(note)?;
        let named = |what: &str| {
            signed
                .unverified_text()
                .lines()
                .find_map(|line| line.strip_prefix(what))
                .map(VerifierKey::parse)
                .transpose()
        };
        let new = named(NEW)?.ok_or(RotationError::Form("a line `new-key <verifier key>`"))?;
        let former = named(FORMER)?;
        let checkpoint = Checkpoint::verify(note, &new)?;
        let signed_by_former = match &former {
            None => false,
            Some(former) => match Checkpoint::verify(note, former) {
                Ok(_) => true,
                Err(CheckpointError::Note(NoteError::NotSigned(_))) => false,
                Err(error) => return Err(error.into()),
            },
        };
        Ok(Self { checkpoint, former, new, signed_by_former })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leaf_hash;

    fn signer(seed: u8) -> NoteSigner {
        NoteSigner::new("ai-mesh/log", &[seed; 32]).unwrap()
    }

    fn checkpoint() -> Checkpoint {
        Checkpoint { origin: "ai-mesh/log".into(), size: 7, root: leaf_hash(b"seven") }
    }

    #[test]
    fn a_change_signed_by_both_keys_leads_from_one_to_the_other() {
        let (old, new) = (signer(1), signer(2));
        let note = KeyRotation::sign(&checkpoint(), Some(&old.verifier_key()), Some(&old), &new).unwrap();
        let rotation = KeyRotation::verify(&note).unwrap();
        assert_eq!((rotation.former, rotation.new), (Some(old.verifier_key()), new.verifier_key()));
        assert!(rotation.signed_by_former);
        assert_eq!(rotation.checkpoint, checkpoint());
        // It is a checkpoint under either key, for whoever knows only one of them.
        for key in [old.verifier_key(), new.verifier_key()] {
            assert_eq!(Checkpoint::verify(&note, &key).unwrap(), checkpoint());
        }
    }

    #[test]
    fn a_change_without_the_former_key_says_so() {
        let (old, new) = (signer(1), signer(2));
        let note = KeyRotation::sign(&checkpoint(), Some(&old.verifier_key()), None, &new).unwrap();
        assert!(!KeyRotation::verify(&note).unwrap().signed_by_former);
        let note = KeyRotation::sign(&checkpoint(), None, None, &new).unwrap();
        assert_eq!(KeyRotation::verify(&note).unwrap().former, None);
    }

    #[test]
    fn a_change_that_the_new_key_did_not_sign_or_that_was_changed_is_not_believed() {
        let (old, new) = (signer(1), signer(2));
        let note = KeyRotation::sign(&checkpoint(), Some(&old.verifier_key()), Some(&old), &new).unwrap();
        for (from, to) in [
            ("\n7\n", "\n8\n"),
            (&*signer(2).verifier_key().to_string(), &*signer(3).verifier_key().to_string()),
        ] {
            assert!(KeyRotation::verify(&note.replacen(from, to, 1)).is_err(), "{from} for {to}");
        }
        let plain = checkpoint().sign(&new).unwrap();
        assert!(matches!(KeyRotation::verify(&plain), Err(RotationError::Form(_))));
        // the former key's line is swapped for one that did not sign
        let forged = note.replacen(&old.verifier_key().to_string(), &signer(4).verifier_key().to_string(), 1);
        assert!(KeyRotation::verify(&forged).is_err());
    }
}
