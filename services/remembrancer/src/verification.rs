//! Verifying what a caller brings: evidence by the keys that somebody vouches for, bare proofs by arithmetic alone.
//! Nothing that is stored is used, but for keys that the log gave up.

use api::remembrancer::{BareProof, Evidence, Finding, KeyKnown, Size, Verdict};
use merkle_log::{
    Hash,
    checkpoint::Checkpoint,
    evidence::{self, Verified, VerifyError},
    note::VerifierKey,
    proof::{verify_consistency, verify_inclusion},
};
use records::Leaf;

/// A key that the log had before, and what it may have signed.
#[derive(Clone, Debug)]
pub struct FormerKey {
    /// The key.
    pub key: VerifierKey,
    /// How many leaves the log had when it was given up.
    pub leaves: u64,
    /// The log's root at the size that the evidence is about; `None` when that is more than `leaves`.
    pub root: Option<Hash>,
}

/// The verdict about evidence. The key that it brings along counts only when it is `trusted`, the caller's, or else one of
/// the log's own: whoever makes evidence up can also make a key of the same name.
#[must_use]
pub fn of_evidence(
    evidence: &Evidence,
    own: &VerifierKey,
    former: Option<&FormerKey>,
    trusted: Option<&VerifierKey>,
) -> Verdict {
    let (expected, known) = match trusted {
        Some(key) => (key, KeyKnown::Given),
        None => (own, KeyKnown::Own),
    };
    let brought = match VerifierKey::parse(&evidence.verifier_key) {
        Ok(key) => key,
        Err(error) => return refused(format!("verifier key: {error}")),
    };
    if brought == *expected {
        return checked(evidence, expected, known);
    }
    if trusted.is_none()
        && let Some(former) = former.filter(|former| former.key == brought)
    {
        return checked_former(evidence, former);
    }
    if trusted.is_some() || brought.name() == own.name() {
        let (whose, name) = match known {
            KeyKnown::Given => ("the key that was given as `trusted_key`", expected.name()),
            _ => ("this log's own key", own.name()),
        };
        return refused(format!(
            "it claims to be of {} with the key {brought}, which is not {whose}, {name:?} with {expected}",
            brought.name()
        ));
    }
    checked(evidence, &brought, KeyKnown::No)
}

/// The verdict under a key that the log gave up: whoever has got hold of it since can sign what never was in the log.
fn checked_former(evidence: &Evidence, former: &FormerKey) -> Verdict {
    let FormerKey { key, leaves, root } = former;
    match Checkpoint::verify(&evidence.checkpoint, key) {
        Ok(Checkpoint { size, root: signed, .. }) if *root != Some(signed) => refused(format!(
            "it is signed with {key}, which this log gave up when it had {leaves} leaves, and this log did not have that \
             root at {size} leaves under it"
        )),
        _ => checked(evidence, key, KeyKnown::Own),
    }
}

/// The verdict about a bare proof.
#[must_use]
pub fn of_proof(proof: &BareProof) -> Verdict {
    match proved(proof) {
        Ok(reason) => answer(Finding::Valid, reason),
        Err(reason) => refused(reason),
    }
}

/// What the evidence proves under a key, and what that is worth when the key is known so.
fn checked(evidence: &Evidence, key: &VerifierKey, known: KeyKnown) -> Verdict {
    let path: Vec<Hash> = evidence.inclusion_path.iter().map(|hash| hash.0).collect();
    let text = key.to_string();
    let verified =
        evidence::verify(evidence.record.get(), evidence.log_index, &path, &evidence.checkpoint, &text);
    let (verified, canonical) = match verified {
        Ok(verified) => (verified, true),
        Err(VerifyError::NotCanonical(verified)) => (*verified, false),
        Err(error) => return refused(error.to_string()),
    };
    let (finding, reason) = match (known, canonical) {
        (KeyKnown::No, _) => (Finding::UnknownKey, unknown_key(&verified, key)),
        (_, true) => (Finding::Valid, sentence(&verified)),
        (_, false) => (
            Finding::NotCanonical,
            format!(
                "Not as it stands: the record's text is not in canonical form (RFC 8785). Written canonically it is in the \
                 log: {}",
                sentence(&verified)
            ),
        ),
    };
    Verdict {
        log: Some(verified.checkpoint.origin),
        verifier_key: Some(text),
        key_known: Some(known),
        ..answer(finding, reason)
    }
}

fn sentence(verified: &Verified) -> String {
    format!(
        "Leaf {} of the {} of the log {} (root {}) is {}.",
        verified.log_index,
        verified.checkpoint.size,
        verified.checkpoint.origin,
        api::Hash(verified.checkpoint.root),
        Leaf::describe(&verified.record)
    )
}

fn unknown_key(verified: &Verified, key: &VerifierKey) -> String {
    format!(
        "The proof holds under the key {key} that came with it, of the log {}. This log does not know that key, and \
         whoever made the evidence may have made the key: compare it with the log's key as you know it from elsewhere, and \
         give that as `trusted_key`.",
        verified.checkpoint.origin
    )
}

fn proved(proof: &BareProof) -> Result<String, String> {
    match proof {
        BareProof::Inclusion { leaf_index, tree_size, leaf_hash, root_hash, proof } => {
            let (index, size) = (number("leaf_index", *leaf_index)?, number("tree_size", *tree_size)?);
            let (leaf, root) = (hash("leaf_hash", leaf_hash)?, hash("root_hash", root_hash)?);
            verify_inclusion(&leaf, index, size, &hashes(proof)?, &root)
                .map_err(|error| error.to_string())?;
            Ok(format!("The leaf is leaf {index} of the {size} leaves with that root."))
        }
        BareProof::Consistency { first_size, second_size, first_root, second_root, proof } => {
            let (from, to) = (number("first_size", *first_size)?, number("second_size", *second_size)?);
            let (old, new) = (hash("first_root", first_root)?, hash("second_root", second_root)?);
            verify_consistency(from, to, &old, &new, &hashes(proof)?).map_err(|error| error.to_string())?;
            Ok(format!("The tree of {to} leaves begins with the tree of {from} leaves."))
        }
    }
}

fn number(name: &str, size: Size) -> Result<u64, String> {
    size.0.ok_or_else(|| format!("`{name}`: expected an integer from 0 to {}", u64::MAX))
}

fn hashes(proof: &[String]) -> Result<Vec<Hash>, String> {
    proof.iter().enumerate().map(|(at, text)| hash(&format!("proof/{at}"), text)).collect()
}

fn hash(name: &str, text: &str) -> Result<Hash, String> {
    let hash = text.to_ascii_lowercase().parse::<api::Hash>().map(|hash| hash.0);
    hash.map_err(|_| {
        let length = text.chars().count();
        format!(
            "`{name}`: expected a SHA-256 digest as 64 hex digits, got {length} characters that are not one"
        )
    })
}

fn refused(why: String) -> Verdict {
    answer(Finding::NotValid, format!("Not proved: {why}."))
}

fn answer(verdict: Finding, reason: String) -> Verdict {
    Verdict {
        valid: verdict == Finding::Valid,
        verdict,
        reason,
        log: None,
        verifier_key: None,
        key_known: None,
    }
}
