//! The log about itself.

use api::Hash;
use merkle_log::{
    note::VerifierKey,
    rotation::{KeyRotation, RotationError},
};
use serde::{Deserialize, Serialize};

use crate::{Body, Kind};

const KEY_ROTATED: Kind = Kind {
    name: "log.key-rotated",
    description: "ai-mesh log: the key that signs its checkpoints was rotated (changed)",
    formerly: None,
};

pub(crate) const KINDS: &[Kind] = &[KEY_ROTATED];

/// The log has another key from here on. Anybody can post a record like this one: believe it only as far as
/// [`KeyRotated::verify`] does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRotated {
    /// The verifier key until then; absent when nobody knows it any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former_key: Option<String>,
    /// The verifier key from then on.
    pub new_key: String,
    /// The checkpoint right before this record, which names both keys and is signed by both: by the new one only when the
    /// former is lost.
    pub checkpoint: String,
    /// What the former key signed and the log did not have any more; absent when nothing was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<Signed>,
}

/// A head that was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// Leaves.
    pub tree_size: u64,
    /// The root over them.
    pub root_hash: Hash,
}

impl KeyRotated {
    /// The id of the record about the change to this key.
    #[must_use]
    pub fn id_of(new_key: &VerifierKey) -> String {
        id(&new_key.to_string())
    }

    /// The key that was changed to `new`, and how many leaves the log had then, if it vouches for the change.
    #[must_use]
    pub fn vouched_for(&self, new: &VerifierKey) -> Option<(VerifierKey, u64)> {
        let rotation = self.verify().ok()?;
        let former = rotation.former.filter(|_| rotation.signed_by_former && rotation.new == *new)?;
        (former != *new).then_some((former, rotation.checkpoint.size))
    }

    /// What the signatures say.
    ///
    /// # Errors
    /// A signature does not hold, or the note names other keys than this record.
    pub fn verify(&self) -> Result<KeyRotation, RotationError> {
        let rotation = KeyRotation::verify(&self.checkpoint)?;
        let former = rotation.former.as_ref().map(ToString::to_string);
        if (&former, &rotation.new.to_string()) != (&self.former_key, &self.new_key) {
            return Err(RotationError::Form("the keys that the record names"));
        }
        Ok(rotation)
    }
}

impl Body for KeyRotated {
    const KIND: Kind = KEY_ROTATED;

    fn id(&self) -> String {
        id(&self.new_key)
    }

    fn subject(&self) -> String {
        subject(&self.new_key)
    }
}

fn id(new_key: &str) -> String {
    let key_id = new_key.split('+').nth(1).unwrap_or_default();
    format!("{}:key:{key_id}", subject(new_key))
}

fn subject(new_key: &str) -> String {
    format!("log:{}", new_key.split('+').next().unwrap_or_default())
}
