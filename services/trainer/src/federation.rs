//! Learning with other nodes: what this node's runs and deployments have seen is published, what others have seen is gossiped,
//! checked, and taken in by those that are told to.
//!
//! A node is a trainer with its remembrancer, whose log's key is the node's name. [`own`] keeps what this node has published,
//! as its ledger has it; [`exchange`] is what a run does between two episodes, and [`steps`] what a deployment does between two
//! windows; [`gossip`] is the talk with other trainers,
//! and [`proofs`] why what comes in is believed. What is folded, and how, is in the crate `federation`.

mod exchange;
mod gossip;
mod own;
mod peers;
mod proofs;
mod steps;
mod view;

use std::{sync::Arc, time::Duration};

use client::{Ledger, LedgerError};
use federation::{Author, FoldError};
use merkle_log::note::KeyError;
use metrics::Gauge;
use service_kit::Metrics;
use tokio::sync::{Mutex, MutexGuard};

pub use exchange::{Published, Unlearned, stream_of};
pub use gossip::NotUnderstood;
pub(crate) use own::knowledge;
pub use peers::{Peer, PeerError};
pub(crate) use steps::{OthersSteps, SeenSteps, StepsStream};
pub use view::ExcludeError;

use own::Node;

use crate::ledger::REQUEST_DEADLINE;

/// This node's part in the federation. Cheap to clone.
#[derive(Clone)]
pub struct Federation(Arc<Inner>);

struct Inner {
    ledger: Ledger,
    peers: Vec<Peer>,
    every: Duration,
    /// `None` until the node knows its own name and what it has published before.
    node: Mutex<Option<Node>>,
    authors: Gauge,
    evidence: Gauge,
    left_out: Gauge,
}

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum FederationError {
    /// The node's own ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The log's key is none.
    #[error("the remembrancer's log has a key that cannot be read: {0}")]
    Key(#[from] KeyError),
    /// What was published cannot be read again, or not be written.
    #[error("{0}")]
    Damaged(String),
    /// Somebody else has it.
    #[error("the node is at work on its contributions")]
    Busy,
    /// What is to be folded is not there.
    #[error(transparent)]
    Fold(#[from] FoldError),
}

impl Federation {
    /// The node with this ledger, which talks with these peers every so often.
    #[must_use]
    pub fn new(ledger: Ledger, peers: Vec<Peer>, every: Duration, metrics: &Metrics) -> Self {
        let gauge = |name, help| {
            let gauge = metrics.gauge(name, help, &[]);
            gauge.set(0.0);
            gauge
        };
        Self(Arc::new(Inner {
            ledger,
            peers,
            every,
            node: Mutex::new(None),
            authors: gauge(
                "ai_mesh_federation_contributions",
                "Contributions of all authors that this node has, by stream and author one.",
            ),
            evidence: gauge(
                "ai_mesh_federation_evidence_decisions",
                "Decisions that the contributions of all authors are made of.",
            ),
            left_out: gauge(
                "ai_mesh_federation_left_out",
                "Contributions that are not acted on: by the guard, by hand, or because their author contradicts itself.",
            ),
        }))
    }

    /// This node, with all that its ledger says of what it published, whichever trainer did.
    async fn node(&self, ledger: &Ledger) -> Result<MutexGuard<'_, Option<Node>>, FederationError> {
        let mut guard = self.0.node.lock().await;
        if guard.is_none() {
            let key = ledger.log_key().await?;
            let peers = self.0.peers.iter().map(|peer| peer.author.clone()).collect();
            *guard = Some(Node::new(Author::parse(&key.verifier_key)?, peers));
        }
        if let Some(node) = guard.as_mut() {
            node.catch_up(ledger, &self.0.peers).await?;
            self.show(node);
        }
        Ok(guard)
    }

    /// The same for somebody who does not wait for long: a run may have the node while the remembrancer is away.
    async fn node_soon(&self) -> Result<MutexGuard<'_, Option<Node>>, FederationError> {
        let ledger = self.0.ledger.within(REQUEST_DEADLINE);
        let away = |_| LedgerError::Away("the node is at work on its contributions".into());
        tokio::time::timeout(REQUEST_DEADLINE, self.node(&ledger)).await.map_err(away)?
    }

    fn show(&self, node: &Node) {
        let heads = node.replica.heads();
        let evidence: u64 = heads.entries().filter_map(|of| of.heads.first().map(|head| head.evidence)).sum();
        self.0.authors.set(heads.len() as f64);
        self.0.evidence.set(evidence as f64);
    }
}

/// The node is there once [`Federation::node`] has given it.
fn there(node: &mut Option<Node>) -> Result<&mut Node, FederationError> {
    node.as_mut().ok_or_else(|| FederationError::Damaged("the node is not known yet".into()))
}
