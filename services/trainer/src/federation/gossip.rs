//! The talk with other trainers: every so often with one of them, at random; and what they say is answered.

use api::trainer::GossipMessages;
use chrono::{DateTime, Utc};
use client::{Endpoint, Trainer};
use federation::{
    Author,
    gossip::{Message, News},
};
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use tokio_util::sync::CancellationToken;

use super::{Federation, FederationError, own::Node, proofs::ByLog, there};

/// How often a peer is answered within a round, at most: what is left comes in the next one.
const MOST_ANSWERS: usize = 16;

/// How a peer was met last.
#[derive(Clone, Debug, Default)]
pub(super) struct PeerState {
    pub(super) answered_at: Option<DateTime<Utc>>,
    pub(super) error: Option<String>,
}

/// A message that is none.
#[derive(Debug, thiserror::Error)]
pub enum NotUnderstood {
    /// The sender has no name.
    #[error("from: {0}")]
    From(merkle_log::note::KeyError),
    /// This one.
    #[error("messages/{0}: {1}")]
    Message(usize, serde_json::Error),
    /// The node itself.
    #[error(transparent)]
    Node(#[from] FederationError),
}

impl Federation {
    /// Talks with its peers until the trainer shuts down.
    pub async fn talk(self, api_key: Option<String>, shutdown: CancellationToken) {
        let mut trainers = Vec::with_capacity(self.0.peers.len());
        for peer in &self.0.peers {
            let endpoint = Endpoint::new(&peer.url).with_api_key(api_key.clone());
            match Trainer::new(endpoint) {
                Ok(trainer) => trainers.push((peer.author.clone(), trainer)),
                Err(error) => {
                    tracing::error!(peer = %peer.author, %error, "the peer's address cannot be used")
                }
            }
        }
        if trainers.is_empty() {
            return;
        }
        while shutdown.run_until_cancelled(tokio::time::sleep(self.0.every)).await.is_some() {
            let round = self.round(&trainers);
            if let Some(Err(error)) = shutdown.run_until_cancelled(round).await {
                tracing::debug!(%error, "the node cannot talk with its peers yet");
            }
        }
    }

    /// Asks one peer, and goes on while there is something to say.
    async fn round(&self, trainers: &[(Author, Trainer)]) -> Result<(), FederationError> {
        let mut outbox: Vec<(Author, Message)> = Vec::new();
        let own = {
            let mut guard = self.node_soon().await?;
            let Node { replica, gossip, .. } = there(&mut guard)?;
            gossip.round(replica, &mut UnwrapErr(SysRng), &mut outbox);
            replica.own().clone()
        };
        for _ in 0..MOST_ANSWERS {
            let Some((to, _)) = outbox.first() else { break };
            let to = to.clone();
            let (messages, later): (Vec<_>, Vec<_>) = outbox.into_iter().partition(|(whom, _)| *whom == to);
            outbox = later;
            let Some((_, trainer)) = trainers.iter().find(|(author, _)| *author == to) else { continue };
            let messages = messages.iter().filter_map(|(_, message)| serde_json::to_value(message).ok());
            let said = GossipMessages { from: own.to_string(), messages: messages.collect() };
            let answer = trainer.gossip(&said).await;
            let mut guard = self.node_soon().await?;
            let node = there(&mut guard)?;
            let state = node.answers.entry(to.clone()).or_default();
            match answer {
                Ok(answer) if answer.from == to.as_str() => {
                    *state = PeerState { answered_at: Some(Utc::now()), error: None };
                    for message in answer.messages {
                        match serde_json::from_value(message) {
                            Ok(message) => self.hear(node, &to, message, &mut outbox),
                            Err(error) => tracing::warn!(peer = %to, %error, "a message is not understood"),
                        }
                    }
                }
                Ok(answer) => {
                    state.error = Some(format!(
                        "who answers there is {}, and not this peer: set the peer's address right, or its key",
                        answer.from
                    ));
                }
                Err(error) => state.error = Some(error.to_string()),
            }
        }
        Ok(())
    }

    /// Takes in what another trainer says; the answer.
    ///
    /// # Errors
    /// Nothing was taken in.
    pub async fn answer(&self, said: GossipMessages) -> Result<GossipMessages, NotUnderstood> {
        let from = Author::parse(&said.from).map_err(NotUnderstood::From)?;
        let messages: Result<Vec<Message>, _> = said
            .messages
            .into_iter()
            .enumerate()
            .map(|(at, message)| {
                serde_json::from_value(message).map_err(|error| NotUnderstood::Message(at, error))
            })
            .collect();
        let messages = messages?;
        let mut outbox = Vec::new();
        let mut guard = self.node_soon().await?;
        let node = there(&mut guard)?;
        for message in messages {
            self.hear(node, &from, message, &mut outbox);
        }
        // what is for others than the sender is told them in the next round
        let told = outbox.iter().filter(|(to, _)| *to == from);
        let messages = told.filter_map(|(_, message)| serde_json::to_value(message).ok()).collect();
        Ok(GossipMessages { from: node.replica.own().to_string(), messages })
    }

    fn hear(&self, node: &mut Node, from: &Author, message: Message, outbox: &mut Vec<(Author, Message)>) {
        let own = node.replica.own().clone();
        let proofs = ByLog { peers: &self.0.peers, own: &own };
        let news = node.gossip.receive(&mut node.replica, from, message, &proofs, outbox);
        for news in news {
            match news {
                News::Admitted(admitted) if admitted.in_own_name => tracing::error!(
                    stream = %admitted.stream, ?admitted.standing,
                    "a contribution in this node's own name was made elsewhere: somebody has its key, or this ledger was \
                     restored from a backup"
                ),
                News::Admitted(admitted) => tracing::info!(
                    author = %admitted.author, stream = %admitted.stream, "a contribution was taken in"
                ),
                News::Advised(advised) => tracing::warn!(
                    by = %advised.advised.by, about = %advised.advised.exclusion.author,
                    reason = advised.advised.exclusion.reason, "another node leaves an author out"
                ),
                News::Refused { from, artifact, why } => {
                    tracing::warn!(%from, ?artifact, why, "what a peer told is not believed");
                }
            }
        }
        self.show(node);
    }
}
