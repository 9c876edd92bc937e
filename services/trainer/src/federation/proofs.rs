//! Why what comes in is believed: it stands in the log of whom it says it is from, signed by the key that is that node's name.

use api::{Hash, remembrancer::Evidence};
use federation::{Author, Sealed, exclusion::Advised, replica::Proofs};
use merkle_log::evidence;
use serde::Deserialize;
use serde_json::Value;

use super::peers::Peer;

/// Believes those whom this node was told of, where their logs prove it.
pub(super) struct ByLog<'a> {
    pub(super) peers: &'a [Peer],
    pub(super) own: &'a Author,
}

/// A record as it stands in a log.
#[derive(Deserialize)]
struct Leaf {
    kind: String,
    body: Value,
}

#[derive(Deserialize)]
struct ContributionBody {
    stream: Hash,
    sequence: u64,
    evidence: u64,
    contribution_sha256: Hash,
}

#[derive(Deserialize)]
struct ExclusionBody {
    author: String,
    version: u64,
    from_sequence: u64,
    reason: String,
    stands: bool,
}

impl ByLog<'_> {
    /// The body of the record of this kind that the proof shows to be in the author's log.
    fn proved<B: for<'de> Deserialize<'de>>(
        &self,
        author: &Author,
        proof: &Value,
        kind: &str,
    ) -> Result<B, String> {
        if author != self.own && !self.peers.iter().any(|peer| peer.author == *author) {
            return Err(format!("{author} is no peer of this node: its operator has to name it"));
        }
        let text = proof.as_str().ok_or("expected the evidence of a record as text")?;
        let evidence: Evidence =
            serde_json::from_str(text).map_err(|error| format!("the evidence: {error}"))?;
        let path: Vec<_> = evidence.inclusion_path.iter().map(|hash| hash.0).collect();
        let (record, checkpoint) = (evidence.record.get(), &evidence.checkpoint);
        evidence::verify(record, evidence.log_index, &path, checkpoint, author.as_str())
            .map_err(|error| error.to_string())?;
        let leaf: Leaf = serde_json::from_str(record).map_err(|error| format!("the record: {error}"))?;
        if leaf.kind != kind {
            return Err(format!("expected a record of the kind {kind}, found {}", leaf.kind));
        }
        serde_json::from_value(leaf.body).map_err(|error| format!("the record's body: {error}"))
    }
}

impl Proofs for ByLog<'_> {
    fn contribution(&self, sealed: &Sealed, proof: &Value) -> Result<(), String> {
        let contribution = sealed.contribution();
        let body: ContributionBody = self.proved(&contribution.author, proof, "federation.contribution")?;
        let named = (body.stream.0, body.sequence, body.evidence, body.contribution_sha256.0);
        let found = (contribution.stream.0.0, contribution.sequence, contribution.evidence, sealed.name().0);
        if named == found {
            return Ok(());
        }
        Err(format!("the log of its author names another contribution under the number {}", body.sequence))
    }

    fn advice(&self, advised: &Advised, proof: &Value) -> Result<(), String> {
        let body: ExclusionBody = self.proved(&advised.by, proof, "federation.exclusion")?;
        let exclusion = &advised.exclusion;
        let found = (exclusion.author.as_str(), exclusion.from_sequence, &*exclusion.reason);
        let is_said = (&*body.author, body.from_sequence, &*body.reason) == found
            && (body.version, body.stands) == (advised.version, advised.stands);
        is_said.then_some(()).ok_or_else(|| "the log of the adviser says something else".to_owned())
    }
}
