//! Evidence, bare proofs, and what became of verifying them.

use std::fmt;

use garde::Validate;
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::value::RawValue;
use utoipa::{
    IntoParams, PartialSchema, ToSchema,
    openapi::{
        RefOr,
        schema::{ObjectBuilder, Schema, Type},
    },
};

use crate::Hash;

/// All that is needed to verify one record offline: `mesh verify FILE`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
#[garde(allow_unvalidated)]
pub struct Evidence {
    /// The record or decision. Its canonical JSON is the leaf, so the proof is about exactly these characters, apart
    /// from white space.
    #[schema(value_type = Object)]
    #[serde(deserialize_with = "raw_object")]
    pub record: Box<RawValue>,
    /// Its index in the log.
    #[garde(range(max = crate::MAX_SAFE_INTEGER))]
    pub log_index: u64,
    /// The audit path to the checkpoint's root, from the leaf up.
    pub inclusion_path: Vec<Hash>,
    /// The signed checkpoint.
    pub checkpoint: String,
    /// The log's verifier key. Trust it only after comparing it with a copy from another source.
    pub verifier_key: String,
}

/// A proof without the record and without a signature: arithmetic alone. Hashes are texts and sizes are any integers,
/// so that what cannot be one is told as the reason why the proof does not hold.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum BareProof {
    /// That a leaf is in a tree (RFC 9162, 2.1.3.2).
    Inclusion {
        /// The leaf's index.
        leaf_index: Size,
        /// The tree's size.
        tree_size: Size,
        /// The leaf's hash, in hex.
        leaf_hash: String,
        /// The tree's root, in hex.
        root_hash: String,
        /// The audit path in hex, from the leaf up.
        proof: Vec<String>,
    },
    /// That a tree begins with another (RFC 9162, 2.1.4.2).
    Consistency {
        /// The older size.
        first_size: Size,
        /// The newer size.
        second_size: Size,
        /// The older root, in hex.
        first_root: String,
        /// The newer root, in hex.
        second_root: String,
        /// The proof's nodes, in hex.
        proof: Vec<String>,
    },
}

/// An integer that is to be the size of a tree, or an index in one; `None` when it is below 0 or from 2^64 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Size(pub Option<u64>);

impl PartialSchema for Size {
    /// Without bounds: what is out of them is answered, and not refused.
    fn schema() -> RefOr<Schema> {
        let described = "The size of a tree, or an index in one: an integer from 0 to 2^64 - 1.";
        ObjectBuilder::new().schema_type(Type::Integer).description(Some(described)).into()
    }
}

impl ToSchema for Size {}

/// What can be verified: evidence, or a bare proof, which has a `kind`.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ToVerify {
    /// A record with all that proves it.
    Evidence(Evidence),
    /// A proof alone.
    Proof(BareProof),
}

/// Whom the asker trusts.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams, Validate)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TrustQuery {
    /// The verifier key, `name+id+base64`, that the evidence must be signed with, from a source that you trust. When it is
    /// absent, only this log's own key is trusted. It is no part of the body, so that evidence cannot bring along what it
    /// is judged by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(bytes, min = 1, max = 1000)))]
    #[param(min_length = 1, max_length = 1000)]
    pub trusted_key: Option<String>,
}

/// What verifying came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// It is proved.
    Valid,
    /// It is not proved.
    NotValid,
    /// The proof holds, but it is signed with a key that nobody vouches for: whoever made the evidence may have made the
    /// log.
    UnknownKey,
    /// The log has the record, but not in these characters: another program has written its JSON anew.
    NotCanonical,
}

/// Who vouches for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyKnown {
    /// It is this log's own.
    Own,
    /// The request gave it as `trusted_key`.
    Given,
    /// Nobody.
    No,
}

/// The answer to a verification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
// In the documents under another name than its field: generators make variables of both.
#[schema(as = Verification)]
pub struct Verdict {
    /// True only when `verdict` is `valid`.
    pub valid: bool,
    /// What verifying came to.
    pub verdict: Finding,
    /// What was checked and found, or what is wrong.
    pub reason: String,
    /// The log that the evidence is of, when its signature holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// The key that the signature was checked with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verifier_key: Option<String>,
    /// Who vouches for that key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_known: Option<KeyKnown>,
}

impl Validate for ToVerify {
    type Context = ();

    /// Of evidence alone: what a proof has is told in the verdict.
    fn validate_into(
        &self,
        context: &(),
        parent: &mut dyn FnMut() -> garde::Path,
        report: &mut garde::Report,
    ) {
        if let Self::Evidence(evidence) = self {
            evidence.validate_into(context, parent, report);
        }
    }
}

impl<'de> Deserialize<'de> for ToVerify {
    /// By hand: an untagged enum would read a record's characters only after they were parsed.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Tag {
            #[serde(default)]
            kind: Option<de::IgnoredAny>,
        }
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let tag: Tag = serde_json::from_str(text.get()).map_err(de::Error::custom)?;
        match tag.kind {
            Some(_) => serde_json::from_str(text.get()).map(Self::Proof),
            None => serde_json::from_str(text.get()).map(Self::Evidence),
        }
        .map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Size;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an integer")
            }

            fn visit_u64<E>(self, value: u64) -> Result<Size, E> {
                Ok(Size(Some(value)))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Size, E> {
                Ok(Size(value.try_into().ok()))
            }

            /// As `serde_json` reads integers that u64 has no room for.
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Size, E> {
                if value.fract() == 0.0 {
                    return Ok(Size(None));
                }
                Err(E::invalid_type(de::Unexpected::Float(value), &self))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// A JSON object with its characters as they came.
fn raw_object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Box<RawValue>, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    if raw.get().starts_with('{') {
        return Ok(raw);
    }
    Err(de::Error::custom("expected a JSON object, as the log gave it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_any_integer_and_one_that_no_tree_has_is_none() {
        let size = |text: &str| serde_json::from_str::<Size>(text).ok();
        assert_eq!(size("18446744073709551615"), Some(Size(Some(u64::MAX))));
        for text in ["18446744073709551616", "-1", "1e30"] {
            assert_eq!(size(text), Some(Size(None)), "{text}");
        }
        for text in ["1.5", "\"1\"", "null", "[1]"] {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn what_has_a_kind_is_a_proof_and_all_else_is_evidence() {
        let read = |text: &str| serde_json::from_str::<ToVerify>(text);
        let proof =
            r#"{"kind":"inclusion","leaf_index":0,"tree_size":1,"leaf_hash":"","root_hash":"","proof":[]}"#;
        assert!(matches!(read(proof), Ok(ToVerify::Proof(BareProof::Inclusion { .. }))));
        let evidence =
            r#"{"record":{"n":1.50},"log_index":0,"inclusion_path":[],"checkpoint":"","verifier_key":""}"#;
        let Ok(ToVerify::Evidence(evidence)) = read(evidence) else { panic!("no evidence") };
        assert_eq!(evidence.record.get(), r#"{"n":1.50}"#, "its characters are kept");
        for text in ["{}", "[]", "1", r#"{"kind":"magic"}"#, r#"{"kind":null,"record":{}}"#] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
