//! Cosignatures of witnesses (C2SP tlog-cosignature, Ed25519): who cosigns a checkpoint says that at a certain time it was
//! the largest that it had seen of that log, and that it went on from all that it had seen before.

use std::fmt;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use crate::note::{
    KeyError, NoteError, SECRET, SignedNote, check_id, check_name, check_text, key_id, key_parts, key_text,
    signature_line,
};

/// The signature type of Ed25519 cosignatures with a time (C2SP signed-note, "Signature types").
const COSIGNATURE_V1: u8 = 0x04;

/// The latest time of a cosignature, in seconds since 1970.
const MAX_TIME: u64 = i64::MAX as u64;

/// The key of a witness. Its text form is `PRIVATE+KEY+name+id+base64`, with another type of signature than a
/// [`NoteSigner`](crate::note::NoteSigner)'s: neither can be taken for the other. Keep it secret.
#[derive(Clone)]
pub struct Cosigner {
    name: String,
    key: SigningKey,
}

/// A key that cosignatures are verified with. Its text form is `name+id+base64`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessKey {
    name: String,
    key: VerifyingKey,
}

/// A cosignature that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosignature {
    /// When it was made, in seconds since 1970, as the witness says.
    pub time: u64,
    /// Its line of the note, with the newline.
    pub line: String,
}

impl Cosigner {
    /// The cosigner with this name and Ed25519 seed.
    ///
    /// # Errors
    /// When the name is empty or has spaces, control characters or `+`.
    pub fn new(name: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        check_name(name)?;
        Ok(Self { name: name.into(), key: SigningKey::from_bytes(seed) })
    }

    /// Reads `PRIVATE+KEY+name+id+base64`.
    ///
    /// # Errors
    /// When the text has another form or the id is wrong.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        const FORM: KeyError =
            KeyError::Form("PRIVATE+KEY+<name>+<id>+<base64 of 0x04 and the Ed25519 seed>");
        let (name, id, seed) =
            text.strip_prefix(SECRET).and_then(|rest| key_parts(rest, COSIGNATURE_V1)).ok_or(FORM)?;
        let cosigner = Self::new(name, &seed)?;
        check_id(id, cosigner.witness_key().id())?;
        Ok(cosigner)
    }

    /// The secret text form.
    #[must_use]
    pub fn to_secret_text(&self) -> String {
        let id = self.witness_key().id();
        format!("{SECRET}{}", key_text(&self.name, id, COSIGNATURE_V1, &self.key.to_bytes()))
    }

    /// The key that verifies what this one cosigns.
    #[must_use]
    pub fn witness_key(&self) -> WitnessKey {
        WitnessKey { name: self.name.clone(), key: self.key.verifying_key() }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Cosigns the text of a checkpoint at this time, in seconds since 1970.
    ///
    /// # Errors
    /// Unless the text ends in a newline and has no other control characters, and the time is below 2^63.
    pub fn cosign(&self, text: &str, time: u64) -> Result<Cosignature, NoteError> {
        check_text(text)?;
        if time > MAX_TIME {
            return Err(NoteError::Form("a time below 2^63"));
        }
        let signature = self.key.sign(&message(text, time)).to_bytes();
        let timestamped = [&time.to_be_bytes()[..], &signature].concat();
        Ok(Cosignature { time, line: signature_line(&self.name, self.witness_key().id(), &timestamped) })
    }
}

impl fmt::Debug for Cosigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cosigner({})", self.witness_key())
    }
}

impl WitnessKey {
    /// Reads `name+id+base64`.
    ///
    /// # Errors
    /// When the text has another form, the id is wrong, or the key is not a point of the curve.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        const FORM: KeyError = KeyError::Form("<name>+<id>+<base64 of 0x04 and the Ed25519 public key>");
        let (name, id, key) = key_parts(text, COSIGNATURE_V1).ok_or(FORM)?;
        check_name(name)?;
        let key = VerifyingKey::from_bytes(&key).map_err(|_| FORM)?;
        let witness = Self { name: name.into(), key };
        check_id(id, witness.id())?;
        Ok(witness)
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `SHA-256(name || 0x0A || 0x04 || public key)[:4]`.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        key_id(&self.name, COSIGNATURE_V1, self.key.as_bytes())
    }

    /// The Ed25519 public key.
    #[must_use]
    pub fn public_key(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// The cosignature of this witness on a note, the latest when it has several; `None` when it has none.
    ///
    /// # Errors
    /// When any signature under the witness's name and id does not hold.
    pub fn cosignature(&self, note: &SignedNote) -> Result<Option<Cosignature>, NoteError> {
        let mut latest: Option<Cosignature> = None;
        for timestamped in note.signatures_of(&self.name, self.id()) {
            let bad = || NoteError::BadSignature(self.name.clone());
            let (time, signature) = timestamped.split_first_chunk::<8>().ok_or_else(bad)?;
            let time = u64::from_be_bytes(*time);
            let signature = Signature::from_slice(signature).map_err(|_| bad())?;
            let held = self.key.verify_strict(&message(note.unverified_text(), time), &signature);
            held.ok().filter(|()| time <= MAX_TIME).ok_or_else(bad)?;
            if latest.as_ref().is_none_or(|latest| latest.time < time) {
                latest = Some(Cosignature { time, line: signature_line(&self.name, self.id(), timestamped) });
            }
        }
        Ok(latest)
    }
}

impl fmt::Display for WitnessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&key_text(&self.name, self.id(), COSIGNATURE_V1, self.key.as_bytes()))
    }
}

/// What is signed (C2SP tlog-cosignature, "Ed25519 signed message").
fn message(text: &str, time: u64) -> Vec<u8> {
    format!("cosignature/v1\ntime {time}\n{text}").into_bytes()
}

#[cfg(test)]
pub(crate) mod tests;
