//! What this node has published, and what it has of others.

use std::collections::BTreeMap;

use api::{
    Hash,
    remembrancer::{LeafQuery, Record, RecordKind, RecordQuery},
    trainer::{FederationContribution, NewRun},
};
use client::Ledger;
use federation::{
    Author, Contribution, Digest, Exclusion, Fold, Gossip, Replica, Sealed, Standing, StepsLaw, StreamId,
    TwinsLaw, Window, exclusion::Advised,
};
use policy::Knowledge;
use records::{
    Body as _,
    deployments::Heard,
    federation::{Contributed, Excluded, Merged},
};
use serde::Deserialize as _;
use serde_json::Value;

use super::{
    FederationError,
    exchange::{Unlearned, stream_of},
    gossip::PeerState,
    peers::Peer,
    proofs::ByLog,
    steps::StepsStream,
    view::ShownFold,
};
use crate::run_config::RunPlan;

/// All records about the federation, and those of what deployments took in.
fn kinds() -> [RecordKind; 2] {
    [RecordKind::from_static("federation"), Heard::KIND.record_kind()]
}

/// A node: its part in the gossip, and what its own ledger says of it.
pub(super) struct Node {
    pub(super) replica: Replica,
    pub(super) gossip: Gossip,
    pub(super) own: BTreeMap<StreamId, OwnStream>,
    pub(super) answers: BTreeMap<Author, PeerState>,
    pub(super) folds: BTreeMap<StreamId, ShownFold>,
    exclusions: BTreeMap<Author, Excluded>,
    /// The last records of the ledger that were read, of each of [`kinds`], by their places in the log.
    positions: [Option<u64>; 2],
    /// What was taken in of others, the last of each, where the replica may not have it: it was started again.
    known: BTreeMap<(StreamId, String), FederationContribution>,
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
    /// How its contributions are folded; `None` where nobody of this version makes any.
    pub(super) folding: Option<Folding>,
}

/// How contributions to a stream are folded.
pub(super) enum Folding {
    /// Onto what a run of it begins with.
    Run(Box<Unlearned>),
    /// As steps of so many providers.
    Steps(usize),
}

impl Folding {
    /// What the stream of this contribution is folded by.
    fn of(contribution: &Contribution, stream: StreamId, about: &Value) -> Option<Self> {
        if let Some(providers) = StepsStream::providers_of(about) {
            return Some(Self::Steps(providers));
        }
        let run = NewRun::deserialize(contribution.made_by.get("config")?).ok()?;
        let (about, unlearned) = stream_of(&RunPlan::of_record(&run).ok()?).ok()?;
        (about.id() == Ok(stream)).then(|| Self::Run(Box::new(unlearned)))
    }

    /// What all have seen.
    pub(super) fn fold(
        &self,
        replica: &Replica,
        stream: StreamId,
        exclusions: &[Exclusion],
    ) -> Result<Fold, FederationError> {
        Ok(match self {
            Self::Run(unlearned) => {
                let Unlearned { knowledge, twin } = &**unlearned;
                replica.fold(stream, exclusions, &TwinsLaw(twin), knowledge)?
            }
            Self::Steps(providers) => {
                // as the map alone has it, so that all nodes say the same: the middle one of what their authors came to
                let mut lasts: Vec<u64> = replica
                    .heads()
                    .standings(stream)
                    .filter_map(|(_, standing)| {
                        let Standing::Sound { head } = standing else { return None };
                        let told = &replica.held(head.artifact)?.sealed.contribution().knowledge;
                        Window::read(told, *providers).ok()?.last()
                    })
                    .collect();
                lasts.sort_unstable();
                let last = lasts.get(lasts.len() / 2).copied().unwrap_or_default();
                let law = StepsLaw { providers: *providers, last };
                replica.fold(stream, exclusions, &law, &Window::default().knowledge())?
            }
        })
    }
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
            positions: [None; 2],
            known: BTreeMap::new(),
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
    pub(super) async fn catch_up(&mut self, ledger: &Ledger, peers: &[Peer]) -> Result<(), FederationError> {
        for (kind, of_kind) in kinds().into_iter().enumerate() {
            let query = RecordQuery {
                kind: Some(of_kind),
                after_log_index: self.positions[kind],
                newest_first: Some(false),
                ..RecordQuery::default()
            };
            let mut records = ledger.records(query);
            while let Some(record) = records.next().await? {
                self.read(&record);
                self.positions[kind] = Some(record.log_index);
            }
        }
        self.admit_known(ledger, peers).await?;
        self.publish_unread(ledger).await
    }

    fn read(&mut self, record: &Record) {
        if let Ok(contributed) = Contributed::read(record) {
            let stream = StreamId(Digest(contributed.stream.0));
            let own = self.own.entry(stream).or_insert_with(|| OwnStream {
                about: contributed.about.clone(),
                sequence: 0,
                runs: BTreeMap::new(),
                folding: None,
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
        } else if let Ok(merged) = Merged::read(record) {
            self.remember(merged.stream, merged.heads);
        } else if let Ok(heard) = Heard::read(record) {
            self.remember(heard.stream, heard.heads);
        } else if let Ok(excluded) = Excluded::read(record)
            && let Ok(author) = Author::parse(&excluded.author)
            && self.exclusions.get(&author).is_none_or(|known| known.version < excluded.version)
        {
            self.untold.push((excluded.clone(), record.id.clone()));
            self.exclusions.insert(author, excluded);
        }
    }

    fn remember(&mut self, stream: Hash, heads: Vec<FederationContribution>) {
        for head in heads {
            let (about, name) = ((StreamId(Digest(stream.0)), head.author.clone()), Digest(head.sha256.0));
            let is_later = self.known.get(&about).is_none_or(|known| known.sequence < head.sequence);
            if is_later && self.replica.held(name).is_none() {
                self.known.insert(about, head);
            }
        }
    }

    /// Puts what was taken in before a restart into the replica, with its proof: its author may not be there any more to tell it
    /// again. It is checked as if another node told it.
    async fn admit_known(&mut self, ledger: &Ledger, peers: &[Peer]) -> Result<(), FederationError> {
        while let Some((about, head)) = self.known.first_key_value() {
            let (about, head) = (about.clone(), head.clone());
            if let Some(proof_sha256) = head.proof_sha256
                && let Some(bytes) = ledger.artifact(&head.sha256).await?
                && let Some(proof) = ledger.artifact(&proof_sha256).await?
            {
                let own = self.replica.own().clone();
                let proof = Value::String(String::from_utf8_lossy(&proof).into_owned());
                if let Err(why) = self.replica.admit(&bytes, proof, &ByLog { peers, own: &own }) {
                    tracing::warn!(author = head.author, %why, "what was taken in before is passed over");
                }
            }
            self.known.remove(&about);
        }
        Ok(())
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
            && own.folding.is_none()
        {
            let contribution = self.replica.held(Digest(name.0)).map(|held| held.sealed.contribution());
            own.folding = contribution.and_then(|contribution| Folding::of(contribution, stream, &own.about));
        }
        Ok(())
    }
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
pub(crate) async fn knowledge(ledger: &Ledger, name: &Hash) -> Result<Knowledge, FederationError> {
    let bytes = ledger.artifact(name).await?.ok_or_else(|| missing(*name))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| FederationError::Damaged(format!("the knowledge {name}: {error}")))
}

pub(super) fn missing(name: Hash) -> FederationError {
    FederationError::Damaged(format!(
        "the remembrancer does not have the artifact {name} any more: PUT it again"
    ))
}
