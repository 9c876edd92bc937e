//! What is shown of the federation, and decisions of the operator about it.

use api::{
    Hash,
    trainer::{
        Exclusion, ExclusionAdvice, Federation as Shown, FederationPeer, FederationStream, LeftOut,
        ProvedContribution,
    },
};
use client::LedgerError;
use federation::{Author, Digest, Standing, StreamId};
use merkle_log::note::KeyError;
use records::federation::Excluded;
use uuid::Uuid;

use super::{
    Federation, FederationError,
    exchange::{all_left_out, contribution},
    own::Node,
    there,
};
use crate::ledger::REQUEST_DEADLINE;

/// What a stream came to.
#[derive(Clone, Debug)]
pub(super) struct ShownFold {
    root: Digest,
    exclusions: Vec<federation::Exclusion>,
    sha256: Option<Hash>,
    left_out: Vec<LeftOut>,
}

/// An exclusion that is not decided.
#[derive(Debug, thiserror::Error)]
pub enum ExcludeError {
    /// It names no author.
    #[error("expected the verifier key of a log: {0}")]
    Author(KeyError),
    /// It names this node.
    #[error("expected another node: this is this node's own key")]
    Own,
    /// The node, or its ledger.
    #[error(transparent)]
    Node(#[from] FederationError),
}

impl From<LedgerError> for ExcludeError {
    fn from(error: LedgerError) -> Self {
        Self::Node(error.into())
    }
}

impl Federation {
    /// All that there is.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn shown(&self) -> Result<Shown, FederationError> {
        let mut guard = self.node_soon().await?;
        let node = there(&mut guard)?;
        let streams = node.replica.heads().streams();
        let streams = streams.into_iter().map(|stream| shown_stream(node, stream)).collect();
        let heads = node.replica.heads();
        let peers = self.0.peers.iter().map(|peer| {
            let state = node.answers.get(&peer.author).cloned().unwrap_or_default();
            FederationPeer {
                author: peer.author.to_string(),
                url: peer.url.clone(),
                answered_at: state.answered_at,
                error: state.error,
            }
        });
        let advice = node.replica.advice().standing().filter(|advised| advised.by != *node.replica.own());
        Ok(Shown {
            author: node.replica.own().to_string(),
            root: Hash(heads.root().0),
            peers: peers.collect(),
            streams,
            exclusions: node.exclusions().into_iter().map(exclusion).collect(),
            advice: advice
                .map(|advised| ExclusionAdvice {
                    by: advised.by.to_string(),
                    exclusion: exclusion(advised.exclusion.clone()),
                })
                .collect(),
        })
    }

    /// One stream; `None` when nobody has contributed to it.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn stream(&self, id: Hash) -> Result<Option<FederationStream>, FederationError> {
        let mut guard = self.node_soon().await?;
        let node = there(&mut guard)?;
        let id = StreamId(Digest(id.0));
        let is_there = node.replica.heads().streams().contains(&id);
        Ok(is_there.then(|| shown_stream(node, id)))
    }

    /// A contribution with the evidence that its author's log names it; `None` when this node does not have it.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn contribution(&self, name: Hash) -> Result<Option<ProvedContribution>, FederationError> {
        let mut guard = self.node_soon().await?;
        let Some(held) = there(&mut guard)?.replica.held(Digest(name.0)) else { return Ok(None) };
        let unreadable = |error: serde_json::Error| FederationError::Damaged(format!("{name}: {error}"));
        let contribution = serde_json::from_slice(held.sealed.bytes()).map_err(unreadable)?;
        let evidence = serde_json::from_str(held.proof.as_str().unwrap_or_default()).map_err(unreadable)?;
        Ok(Some(ProvedContribution { contribution, evidence }))
    }

    /// Leaves an author out from now on, or no longer; other nodes are told, as advice.
    ///
    /// # Errors
    /// Nothing was decided.
    pub async fn exclude(&self, asked: &Exclusion) -> Result<Shown, ExcludeError> {
        let author = Author::parse(&asked.author).map_err(ExcludeError::Author)?;
        let ledger = self.0.ledger.within(REQUEST_DEADLINE);
        {
            let mut guard = self.node_soon().await?;
            let node = there(&mut guard)?;
            if author == *node.replica.own() {
                return Err(ExcludeError::Own);
            }
            let excluded = Excluded {
                exclusion_id: Uuid::now_v7(),
                author: author.to_string(),
                version: node.next_version(&author),
                from_sequence: asked.from_sequence,
                reason: asked.reason.clone(),
                stands: asked.stands,
            };
            ledger.append_body(&excluded).await?;
        }
        Ok(self.shown().await?)
    }
}

fn shown_stream(node: &mut Node, id: StreamId) -> FederationStream {
    let ShownFold { sha256, left_out, .. } = shown_fold(node, id);
    let heads = node.replica.heads();
    let contributions = heads.standings(id).map(|(author, standing)| {
        let head = match standing {
            Standing::Sound { head } | Standing::Fallen { head, .. } => head,
            Standing::Equivocated { heads } => heads[0],
        };
        contribution(author, &head)
    });
    FederationStream {
        id: Hash(id.0.0),
        about: node.own.get(&id).map(|own| own.about.clone()),
        contributions: contributions.collect(),
        left_out,
        fold_sha256: sha256,
    }
}

/// What a stream comes to, folded anew only where something has changed: contributions may be large, and readers impatient.
fn shown_fold(node: &mut Node, id: StreamId) -> ShownFold {
    let (root, exclusions) = (node.replica.heads().root(), node.exclusions());
    if let Some(known) =
        node.folds.get(&id).filter(|known| (known.root, &known.exclusions) == (root, &exclusions))
    {
        return known.clone();
    }
    let folding = node.own.get(&id).and_then(|own| own.folding.as_ref());
    let fold = folding.and_then(|folding| folding.fold(&node.replica, id, &exclusions).ok());
    let out = fold.iter().filter_map(|fold| all_left_out(fold).ok()).flatten().collect();
    let shown =
        ShownFold { root, exclusions, sha256: fold.as_ref().map(|fold| Hash(fold.sha256.0)), left_out: out };
    node.folds.insert(id, shown.clone());
    shown
}

fn exclusion(exclusion: federation::Exclusion) -> Exclusion {
    let federation::Exclusion { author, from_sequence, reason } = exclusion;
    Exclusion { author: author.to_string(), from_sequence, reason, stands: true }
}
