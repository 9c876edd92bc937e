//! Signed notes (C2SP signed-note) with Ed25519 keys.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

/// The signature type of Ed25519 (C2SP signed-note, "Signature types").
const ED25519: u8 = 0x01;

/// What a secret key's text begins with.
pub(crate) const SECRET: &str = "PRIVATE+KEY+";

/// Notes with more signatures are refused before any is looked at.
const MAX_SIGNATURES: usize = 64;

/// A key that signs notes. Its text form is `PRIVATE+KEY+name+id+base64`: keep it secret.
#[derive(Clone)]
pub struct NoteSigner {
    name: String,
    key: SigningKey,
}

/// A key that notes are verified with. Its text form is `name+id+base64`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    key: VerifyingKey,
}

/// A note and its signatures, not yet verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    signatures: Vec<NoteSignature>,
}

/// One signature line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct NoteSignature {
    name: String,
    key_id: [u8; 4],
    signature: Vec<u8>,
}

/// A key is not in its text form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The name would make the note ambiguous.
    #[error("expected a key name without spaces, control characters and `+`, got {0:?}")]
    Name(String),
    /// The text has another form.
    #[error("expected {0}")]
    Form(&'static str),
    /// The id belongs to another name or key.
    #[error("the key id {actual} does not belong to this name and key: expected {expected}")]
    Id {
        /// The id of this name and key.
        expected: String,
        /// The id in the text.
        actual: String,
    },
}

/// A note cannot be read or is not signed by the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// The note has another form.
    #[error("malformed note: expected {0}")]
    Form(&'static str),
    /// No signature by the key.
    #[error("the note is not signed by {0}")]
    NotSigned(String),
    /// A signature that claims to be by the key is not.
    #[error("the signature by {0} does not hold")]
    BadSignature(String),
}

impl NoteSigner {
    /// The signer with this name and Ed25519 seed.
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
            KeyError::Form("PRIVATE+KEY+<name>+<id>+<base64 of 0x01 and the Ed25519 seed>");
        let (name, id, seed) =
            text.strip_prefix(SECRET).and_then(|rest| key_parts(rest, ED25519)).ok_or(FORM)?;
        let signer = Self::new(name, &seed)?;
        check_id(id, signer.verifier_key().id())?;
        Ok(signer)
    }

    /// The secret text form.
    #[must_use]
    pub fn to_secret_text(&self) -> String {
        let id = self.verifier_key().id();
        format!("{SECRET}{}", key_text(&self.name, id, ED25519, &self.key.to_bytes()))
    }

    /// The key that verifies what this one signs.
    #[must_use]
    pub fn verifier_key(&self) -> VerifierKey {
        VerifierKey { name: self.name.clone(), key: self.key.verifying_key() }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Signs a text.
    ///
    /// # Errors
    /// Unless the text ends in a newline and has no other control characters.
    pub fn sign(&self, text: &str) -> Result<String, NoteError> {
        check_text(text)?;
        Ok(format!("{text}\n{}", self.signature_line(text)))
    }

    /// Adds this key's signature to a note that another key signed. What was signed before is not verified.
    ///
    /// # Errors
    /// When the note is not in the form of C2SP signed-note.
    pub fn cosign(&self, note: &str) -> Result<String, NoteError> {
        let signed = SignedNote::parse(note)?;
        Ok(format!("{note}{}", self.signature_line(&signed.text)))
    }

    fn signature_line(&self, text: &str) -> String {
        signature_line(&self.name, self.verifier_key().id(), &self.key.sign(text.as_bytes()).to_bytes())
    }
}

impl fmt::Debug for NoteSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NoteSigner({})", self.verifier_key())
    }
}

impl VerifierKey {
    /// Reads `name+id+base64`.
    ///
    /// # Errors
    /// When the text has another form, the id is wrong, or the key is not a point of the curve.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        const FORM: KeyError = KeyError::Form("<name>+<id>+<base64 of 0x01 and the Ed25519 public key>");
        let (name, id, key) = key_parts(text, ED25519).ok_or(FORM)?;
        check_name(name)?;
        let key = VerifyingKey::from_bytes(&key).map_err(|_| FORM)?;
        let verifier = Self { name: name.into(), key };
        check_id(id, verifier.id())?;
        Ok(verifier)
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `SHA-256(name || 0x0A || 0x01 || public key)[:4]`.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        key_id(&self.name, ED25519, self.key.as_bytes())
    }

    /// The Ed25519 public key.
    #[must_use]
    pub fn public_key(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&key_text(&self.name, self.id(), ED25519, self.key.as_bytes()))
    }
}

impl SignedNote {
    /// Reads a note. Nothing in it may be believed before [`SignedNote::verify`].
    ///
    /// # Errors
    /// When it is not in the form of C2SP signed-note.
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        let separator = note.rfind("\n\n").ok_or(NoteError::Form("an empty line before the signatures"))?;
        let (text, lines) = (&note[..=separator], &note[separator + 2..]);
        check_text(text)?;
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Form("a newline after the last signature"))?;
        let signatures: Vec<_> = lines.split('\n').map(parse_signature).collect::<Result<_, _>>()?;
        if signatures.len() > MAX_SIGNATURES {
            return Err(NoteError::Form("at most 64 signatures"));
        }
        Ok(Self { text: text.into(), signatures })
    }

    /// The text, which nothing vouches for yet.
    #[must_use]
    pub fn unverified_text(&self) -> &str {
        &self.text
    }

    /// Verifies that `key` signed the note, and gives its text.
    ///
    /// # Errors
    /// When it did not, or when any signature under its name and id does not hold.
    pub fn verify(&self, key: &VerifierKey) -> Result<&str, NoteError> {
        let mut verified = false;
        for signature in self.signatures_of(&key.name, key.id()) {
            let bad = || NoteError::BadSignature(key.name.clone());
            let signature = Signature::from_slice(signature).map_err(|_| bad())?;
            key.key.verify_strict(self.text.as_bytes(), &signature).map_err(|_| bad())?;
            verified = true;
        }
        if verified { Ok(&self.text) } else { Err(NoteError::NotSigned(key.to_string())) }
    }

    /// The note with the signature lines of these keys and no others. Nothing is verified.
    #[must_use]
    pub fn with_lines_of<'k>(&self, keys: impl Iterator<Item = &'k VerifierKey>) -> String {
        let mut note = format!("{}\n", self.text);
        for key in keys {
            for signature in self.signatures_of(&key.name, key.id()) {
                note.push_str(&signature_line(&key.name, key.id(), signature));
            }
        }
        note
    }

    /// What the lines of a key have behind its id.
    pub(crate) fn signatures_of(&self, name: &str, id: [u8; 4]) -> impl Iterator<Item = &[u8]> {
        let lines = self.signatures.iter().filter(move |line| line.name == name && line.key_id == id);
        lines.map(|line| line.signature.as_slice())
    }
}

fn parse_signature(line: &str) -> Result<NoteSignature, NoteError> {
    const FORM: NoteError = NoteError::Form("signature lines `— <name> <base64 of key id and signature>`");
    let (name, base64) = line.strip_prefix("\u{2014} ").and_then(|rest| rest.split_once(' ')).ok_or(FORM)?;
    check_name(name).map_err(|_| FORM)?;
    let bytes = BASE64.decode(base64).map_err(|_| FORM)?;
    let (key_id, signature) = bytes.split_first_chunk::<4>().ok_or(FORM)?;
    if signature.is_empty() {
        return Err(FORM);
    }
    Ok(NoteSignature { name: name.into(), key_id: *key_id, signature: signature.to_vec() })
}

/// `SHA-256(name || 0x0A || signature type || public key)[:4]` (C2SP signed-note, "Signatures").
pub(crate) fn key_id(name: &str, kind: u8, key: &[u8; 32]) -> [u8; 4] {
    let hash = Sha256::new().chain_update(name).chain_update([b'\n', kind]).chain_update(key).finalize();
    [hash[0], hash[1], hash[2], hash[3]]
}

/// A signature line, its newline included.
pub(crate) fn signature_line(name: &str, id: [u8; 4], signature: &[u8]) -> String {
    format!("\u{2014} {name} {}\n", BASE64.encode([&id, signature].concat()))
}

pub(crate) fn check_text(text: &str) -> Result<(), NoteError> {
    if !text.ends_with('\n') {
        return Err(NoteError::Form("a text that ends in a newline"));
    }
    if text.chars().any(|c| c < ' ' && c != '\n') {
        return Err(NoteError::Form("no control characters but newlines"));
    }
    Ok(())
}

pub(crate) fn check_name(name: &str) -> Result<(), KeyError> {
    if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+') {
        return Err(KeyError::Name(name.into()));
    }
    Ok(())
}

pub(crate) fn check_id(text: &str, id: [u8; 4]) -> Result<(), KeyError> {
    let expected = hex::encode(id);
    if text == expected { Ok(()) } else { Err(KeyError::Id { expected, actual: text.into() }) }
}

/// Name, id and 32 bytes of `name+id+base64`, if it is of this signature type; a base64 text may itself contain `+`.
pub(crate) fn key_parts(text: &str, kind: u8) -> Option<(&str, &str, [u8; 32])> {
    let (name, rest) = text.split_once('+')?;
    let (id, base64) = rest.split_once('+')?;
    let bytes = BASE64.decode(base64).ok()?;
    let (actual, key) = bytes.split_first()?;
    Some((name, id, (*actual == kind).then(|| key.try_into().ok())??))
}

/// `name+id+base64` of a key of this signature type.
pub(crate) fn key_text(name: &str, id: [u8; 4], kind: u8, key: &[u8; 32]) -> String {
    let mut bytes = vec![kind];
    bytes.extend_from_slice(key);
    format!("{name}+{}+{}", hex::encode(id), BASE64.encode(bytes))
}

#[cfg(test)]
mod tests;
