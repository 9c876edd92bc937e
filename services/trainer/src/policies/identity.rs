//! The names of things: of a policy that is imported, of the stream of its decisions, of each of them.
//!
//! All are functions of what they name, so that they are the same after a restart and on another machine.

use api::Hash;
use merkle_log::{CanonicalError, canonical_json};
use records::serving::{Configuration, STREAM_FORMAT};
use serde::Serialize;
use uuid::Uuid;

use super::Source;
use crate::digest::sha256;

/// The namespace of the UUIDv5 of imported policies.
const IMPORTED: Uuid = Uuid::from_u128(0x6d1e_50f3_9f0b_4d0b_8b0e_2a60_c4a7_15d9);

/// What makes an imported policy the same one.
#[derive(Clone, Debug, Serialize)]
pub struct Identity<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_sha256: Option<Hash>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'static str>,
    environment_sha256: Hash,
}

impl<'a> Identity<'a> {
    /// Of a policy under a name in an environment.
    #[must_use]
    pub fn new(name: Option<&'a str>, source: Source, environment_sha256: Hash) -> Self {
        let (policy_sha256, rule) = match source {
            Source::Learned(sha256) => (Some(sha256), None),
            Source::Rule(rule) => (None, Some(rule.name())),
        };
        Self { name, policy_sha256, rule, environment_sha256 }
    }

    /// The imported policy's id: a UUIDv5 over the canonical JSON (RFC 8785) of this.
    ///
    /// # Errors
    /// Never for texts and digests.
    pub fn policy_id(&self) -> Result<Uuid, CanonicalError> {
        canonical_json(self).map(|json| Uuid::new_v5(&IMPORTED, &json))
    }

    /// What the digest of its decisions' stream is over.
    #[must_use]
    pub fn stream(&self, policy_id: Uuid) -> Configuration {
        Configuration {
            format: STREAM_FORMAT.to_owned(),
            policy_id,
            policy_sha256: self.policy_sha256,
            rule: self.rule.map(str::to_owned),
            environment_sha256: self.environment_sha256,
        }
    }

    /// The digest of its decisions' stream: SHA-256 over the canonical JSON of [`Identity::stream`].
    ///
    /// # Errors
    /// As [`Identity::policy_id`].
    pub fn stream_digest(&self, policy_id: Uuid) -> Result<Hash, CanonicalError> {
        canonical_json(&self.stream(policy_id)).map(|json| sha256(&json))
    }
}

/// The 60 bits of a stream's digest that stand in its decisions' ids.
#[must_use]
pub fn stream_of(digest: &Hash) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = digest.0;
    u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 4
}

/// A served decision's id: a UUIDv8 (RFC 9562, 5.8) that holds 60 bits of its stream's digest and its
/// sequence number, so that the decision is found from its id alone.
#[must_use]
pub fn decision_id(digest: &Hash, sequence: u64) -> Uuid {
    let stream = u128::from(stream_of(digest));
    // custom_a has 48 bits, custom_b 12 after the version, custom_c 62 after the variant
    let bits = (stream >> 12 << 80) | ((stream & 0xfff) << 64) | u128::from(sequence);
    uuid::Builder::from_custom_bytes(bits.to_be_bytes()).into_uuid()
}

/// The stream and the sequence number in a decision's id; `None` when it is no such id.
#[must_use]
pub fn parse_decision_id(id: Uuid) -> Option<(u64, u64)> {
    if id.get_version() != Some(uuid::Version::Custom) || id.get_variant() != uuid::Variant::RFC4122 {
        return None;
    }
    let bits = id.as_u128();
    let stream = (bits >> 80 << 12) as u64 | (bits >> 64) as u64 & 0xfff;
    let sequence = bits as u64 & (u64::MAX >> 2);
    (sequence <= api::MAX_SAFE_INTEGER).then_some((stream, sequence))
}

#[cfg(test)]
mod tests {
    use policy::Rule;

    use super::*;

    const ENVIRONMENT: Hash = Hash([0xab; 32]);

    /// `python3 -c 'import json,uuid; print(uuid.uuid5(uuid.UUID("6d1e50f3-9f0b-4d0b-8b0e-2a60c4a715d9"), json.dumps(
    /// {"environment_sha256": "ab" * 32, "name": "live", "rule": "cheapest"}, sort_keys=True, separators=(",", ":"))))'`
    #[test]
    fn an_imported_policy_has_the_id_that_another_program_computes() {
        let identity = Identity::new(Some("live"), Source::Rule(Rule::Cheapest), ENVIRONMENT);
        assert_eq!(identity.policy_id().unwrap().to_string(), "f2f233f8-0939-522b-98c7-6b83d771f591");
    }

    /// `hashlib.sha256(json.dumps({"environment_sha256": "ab" * 32, "format": "ai-mesh-serving/1", "policy_id":
    /// "00000000-0000-0000-0000-000000000007", "policy_sha256": "01" * 32}, sort_keys=True,
    /// separators=(",", ":")).encode()).hexdigest()`
    #[test]
    fn a_stream_has_the_digest_that_another_program_computes() {
        let identity = Identity::new(None, Source::Learned(Hash([1; 32])), ENVIRONMENT);
        let digest = identity.stream_digest(Uuid::from_u128(7)).unwrap();
        assert_eq!(digest.to_string(), "ad675a416093dd862962f6c5aed3f1134e58e0fce977a12f709fe0268a20c322");
    }

    #[test]
    fn a_name_an_environment_or_a_source_of_its_own_makes_another_policy() {
        let id = |name, source, environment| Identity::new(name, source, environment).policy_id().unwrap();
        let (rule, other) = (Source::Rule(Rule::Cheapest), Hash([1; 32]));
        let ids = [
            id(None, rule, ENVIRONMENT),
            id(Some("a"), rule, ENVIRONMENT),
            id(None, Source::Rule(Rule::Fastest), ENVIRONMENT),
            id(None, Source::Learned(other), ENVIRONMENT),
            id(None, rule, other),
        ];
        assert!(ids.iter().enumerate().all(|(i, id)| !ids[..i].contains(id)), "{ids:?}");
        assert_eq!(ids[0], id(None, rule, ENVIRONMENT));
    }

    #[test]
    fn a_decision_is_found_from_its_id_alone() {
        for digest in [Hash([0; 32]), Hash([0xff; 32]), Hash(*b"0123456789abcdef0123456789abcdef")] {
            for sequence in [0, 1, 0xdead_beef, api::MAX_SAFE_INTEGER] {
                let id = decision_id(&digest, sequence);
                assert_eq!(id.get_version_num(), 8);
                assert_eq!(parse_decision_id(id), Some((stream_of(&digest), sequence)), "{id}");
            }
        }
        assert_eq!(stream_of(&Hash(*b"0123456789abcdef0123456789abcdef")), 0x303132333435363);
    }

    #[test]
    fn ids_of_other_kinds_are_of_no_decision() {
        assert_eq!(parse_decision_id(Uuid::now_v7()), None);
        assert_eq!(parse_decision_id(Uuid::nil()), None);
        let mut too_far = decision_id(&ENVIRONMENT, 0).into_bytes();
        too_far[9] = 0xff; // above 2^53
        assert_eq!(parse_decision_id(Uuid::from_bytes(too_far)), None);
    }
}
