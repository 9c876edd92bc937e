//! What this node has published, and what it has of others.

use std::collections::BTreeMap;

use api::{
    Hash,
    remembrancer::{LeafQuery, Record, RecordKind, RecordQuery},
    trainer::NewRun,
};
use client::Ledger;
use federation::{
    Author, Contribution, Digest, Exclusion, Gossip, Replica, Sealed, StreamId, exclusion::Advised,
};
use policy::Knowledge;
use records::{
    Body as _,
    federation::{Contributed, Excluded},
};
use serde::Deserialize as _;
use serde_json::Value;

use super::{
    FederationError,
    exchange::{Unlearned, stream_of},
    gossip::PeerState,
    view::ShownFold,
};
use crate::run_config::RunPlan;

/// All records about the federation.
const FEDERATION: RecordKind = RecordKind::from_static("federation");

/// A node: its part in the gossip, and what its own ledger says of it.
pub(super) struct Node {
    pub(super) replica: Replica,
    pub(super) gossip: Gossip,
    pub(super) own: BTreeMap<StreamId, OwnStream>,
    pub(super) answers: BTreeMap<Author, PeerState>,
    pub(super) folds: BTreeMap<StreamId, ShownFold>,
    exclusions: BTreeMap<Author, Excluded>,
    /// The last record of the ledger that was read, by its place in the log.
    position: Option<u64>,
    /// The last contribution to each stream, and the record that names it, where the replica does not have it yet.
    unread: BTreeMap<StreamId, (Hash, String)>,
    /// The same of exclusions.
    untold: Vec<(Excluded, String)>,
}

/// What this node has published of a stream.
pub(super) struct OwnStream {
    /// What it is about.
    pub(super) about: Value,
    /// The number of the last contribution.
    pub(super) sequence: u64,
    /// What each of its runs has seen, by the run's digest.
    pub(super) runs: BTreeMap<Hash, OwnRun>,
    /// Who begins to learn about it; `None` where no run of this version does.
    pub(super) unlearned: Option<Unlearned>,
}

/// What a run has published.
pub(super) struct OwnRun {
    pub(super) episodes_done: u32,
    pub(super) evidence_sha256: Hash,
    /// How many observations are its own.
    pub(super) evidence: u64,
    /// What they come to, once it was needed.
    pub(super) knowledge: Option<Knowledge>,
}

impl Node {
    pub(super) fn new(author: Author, peers: Vec<Author>) -> Self {
        Self {
            replica: Replica::new(author),
            gossip: Gossip::new(peers),
            own: BTreeMap::new(),
            answers: BTreeMap::new(),
            folds: BTreeMap::new(),
            exclusions: BTreeMap::new(),
            position: None,
            unread: BTreeMap::new(),
            untold: Vec::new(),
        }
    }

    /// Whom this node leaves out.
    pub(super) fn exclusions(&self) -> Vec<Exclusion> {
        let standing = self.exclusions.values().filter(|excluded| excluded.stands);
        standing
            .filter_map(|excluded| {
                Some(Exclusion {
                    author: Author::parse(&excluded.author).ok()?,
                    from_sequence: excluded.from_sequence,
                    reason: excluded.reason.clone(),
                })
            })
            .collect()
    }

    /// The version of the next decision about an author.
    pub(super) fn next_version(&self, author: &Author) -> u64 {
        self.exclusions.get(author).map_or(1, |excluded| excluded.version + 1)
    }

    /// Reads what the ledger says anew, whichever trainer of this node wrote it.
    pub(super) async fn catch_up(&mut self, ledger: &Ledger) -> Result<(), FederationError> {
        let query = RecordQuery {
            kind: Some(FEDERATION),
            after_log_index: self.position,
            newest_first: Some(false),
            ..RecordQuery::default()
        };
        let mut records = ledger.records(query);
        while let Some(record) = records.next().await? {
            self.read(&record);
            self.position = Some(record.log_index);
        }
        self.publish_unread(ledger).await
    }

    fn read(&mut self, record: &Record) {
        if let Ok(contributed) = Contributed::read(record) {
            let stream = StreamId(Digest(contributed.stream.0));
            let own = self.own.entry(stream).or_insert_with(|| OwnStream {
                about: contributed.about.clone(),
                sequence: 0,
                runs: BTreeMap::new(),
                unlearned: None,
            });
            // numbers are given one after the other: what has another one was planted
            if contributed.sequence != own.sequence + 1 {
                tracing::warn!(
                    record = record.id,
                    "a contribution that is none of this node's is passed over"
                );
                return;
            }
            own.sequence = contributed.sequence;
            let run = OwnRun {
                episodes_done: contributed.episodes_done,
                evidence_sha256: contributed.run_evidence_sha256,
                evidence: contributed.run_evidence,
                knowledge: None,
            };
            own.runs.insert(contributed.run, run);
            self.unread.insert(stream, (contributed.contribution_sha256, record.id.clone()));
        } else if let Ok(excluded) = Excluded::read(record)
            && let Ok(author) = Author::parse(&excluded.author)
            && self.exclusions.get(&author).is_none_or(|known| known.version < excluded.version)
        {
            self.untold.push((excluded.clone(), record.id.clone()));
            self.exclusions.insert(author, excluded);
        }
    }

    /// Puts what was read into the replica, each with its proof.
    async fn publish_unread(&mut self, ledger: &Ledger) -> Result<(), FederationError> {
        while let Some((stream, (name, record))) = self.unread.first_key_value() {
            let (stream, name, record) = (*stream, *name, record.clone());
            match self.publish(ledger, stream, name, &record).await {
                // whoever can post to the ledger can name what is none
                Err(FederationError::Damaged(why)) => {
                    tracing::warn!(record, why, "a contribution of this node is passed over");
                }
                published => published?,
            }
            self.unread.remove(&stream);
        }
        while let Some((excluded, record)) = self.untold.last() {
            let advised = advised(self.replica.own(), excluded)?;
            let proof = proof_of(ledger, record).await?;
            self.replica.advise(advised, proof);
            self.untold.pop();
        }
        Ok(())
    }

    async fn publish(
        &mut self,
        ledger: &Ledger,
        stream: StreamId,
        name: Hash,
        record: &str,
    ) -> Result<(), FederationError> {
        if self.replica.held(Digest(name.0)).is_none() {
            let bytes = ledger.artifact(&name).await?.ok_or_else(|| missing(name))?;
            let sealed = Sealed::open(&bytes)
                .map_err(|error| FederationError::Damaged(format!("the contribution {name}: {error}")))?;
            let contribution = sealed.contribution();
            if (&contribution.author, contribution.stream) != (self.replica.own(), stream) {
                let what = format!("the contribution {name} is of another node or stream");
                return Err(FederationError::Damaged(what));
            }
            let proof = proof_of(ledger, record).await?;
            self.replica.publish(sealed, proof);
        }
        if let Some(own) = self.own.get_mut(&stream)
            && own.unlearned.is_none()
        {
            let contribution = self.replica.held(Digest(name.0)).map(|held| held.sealed.contribution());
            own.unlearned = contribution.and_then(|contribution| unlearned(contribution, stream));
        }
        Ok(())
    }
}

/// Who begins to learn about a stream, as the run that made a contribution to it did.
fn unlearned(contribution: &Contribution, stream: StreamId) -> Option<Unlearned> {
    let run = NewRun::deserialize(contribution.made_by.get("config")?).ok()?;
    let (about, unlearned) = stream_of(&RunPlan::of_record(&run).ok()?).ok()?;
    (about.id() == Ok(stream)).then_some(unlearned)
}

/// An exclusion as other nodes are told of it.
pub(super) fn advised(by: &Author, excluded: &Excluded) -> Result<Advised, FederationError> {
    let author = Author::parse(&excluded.author)?;
    let exclusion =
        Exclusion { author, from_sequence: excluded.from_sequence, reason: excluded.reason.clone() };
    Ok(Advised { by: by.clone(), version: excluded.version, exclusion, stands: excluded.stands })
}

/// That a record stands in this node's log, for others: the evidence's text, because what is hashed are its characters.
async fn proof_of(ledger: &Ledger, record: &str) -> Result<Value, FederationError> {
    let leaf = LeafQuery { record: Some(record.to_owned()), ..LeafQuery::default() };
    let evidence = ledger.evidence(&leaf).await?;
    let evidence = evidence.ok_or_else(|| {
        FederationError::Damaged(format!("the ledger has no evidence of its record {record}"))
    })?;
    serde_json::to_string(&evidence)
        .map(Value::String)
        .map_err(|error| FederationError::Damaged(format!("the evidence of {record}: {error}")))
}

/// What a run of this node has published.
pub(super) async fn knowledge(ledger: &Ledger, name: &Hash) -> Result<Knowledge, FederationError> {
    let bytes = ledger.artifact(name).await?.ok_or_else(|| missing(*name))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| FederationError::Damaged(format!("the knowledge {name}: {error}")))
}

pub(super) fn missing(name: Hash) -> FederationError {
    FederationError::Damaged(format!(
        "the remembrancer does not have the artifact {name} any more: PUT it again"
    ))
}
