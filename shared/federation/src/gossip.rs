//! How nodes come to have the same: every round each asks one other, at random (Demers et al. 1987: anti-entropy, push and
//! pull).
//!
//! A state machine without I/O: what is to be sent goes to a [`Transport`], what comes in to [`Gossip::receive`]. Messages may
//! be lost, doubled, late and out of order; each can be understood alone, and none does harm twice.
//!
//! 1. `Roots`: the roots of the sender's map and advice. Equal roots are answered with roots: that is all where nothing is new.
//! 2. `Heads`: all entries of the sender's map. Sent in place of roots by whom something new has reached in the last rounds
//!    (a rumour, in the words of Demers et al.), and in answer to other roots.
//! 3. `Want`: a contribution by name, and the chunks that are there already. `Artifact`: the others, with the proof. Whoever
//!    is told heads sends what they lack at once (for as many rounds as a rumour is told), and asks for what it lacks.
//!
//! What got no answer is asked for again, in the same round ([`Gossip::again`]) and in the next ones.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use rand::{Rng, seq::IndexedRandom};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    chunks::{ChunkError, Manifest, chunk_name, chunks},
    exclusion::Advice,
    heads::{Heads, HeadsOf},
    names::{Author, Digest, StreamId},
    replica::{Admitted, Proofs, ProvedAdvice, Replica},
};

/// So many contributions are asked for at once; the others later.
const MOST_WANTED: usize = 64;

/// So many contributions are kept in mind that are lacking.
const MOST_LACKING: usize = 4096;

/// So much that was refused is remembered, so that it is not asked for again.
const MOST_REFUSED: usize = 1000;

/// So many bytes of contributions are sent at once to somebody who has not asked for them.
const MOST_PUSHED: usize = 4 << 20;

/// For so many rounds something new is told in place of the roots.
const TOLD_FOR: u32 = 8;

/// Where messages go.
pub trait Transport {
    /// Sends one, which may not arrive.
    fn send(&mut self, to: &Author, message: Message);
}

/// What is sent is kept: where an answer carries messages (HTTP), these are the answer.
impl Transport for Vec<(Author, Message)> {
    fn send(&mut self, to: &Author, message: Message) {
        self.push((to.clone(), message));
    }
}

/// The roots of a node's map and of its advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Roots {
    /// [`Heads::root`](crate::Heads::root).
    pub heads: Digest,
    /// [`Advice::root`](crate::Advice::root).
    pub advice: Digest,
}

/// What nodes tell each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "snake_case", deny_unknown_fields)]
pub enum Message {
    /// What the sender has, by its roots.
    Roots {
        /// They.
        roots: Roots,
        /// An answer, which is not answered.
        answer: bool,
    },
    /// What the sender has, by names.
    Heads {
        /// All entries of its map.
        entries: Vec<HeadsOf>,
        /// All advice.
        advice: Vec<ProvedAdvice>,
        /// An answer: the receiver has told its own roots before, not its heads.
        answer: bool,
    },
    /// The sender lacks a contribution.
    Want {
        /// Its name.
        artifact: Digest,
        /// The chunks that it has.
        have: Vec<Digest>,
    },
    /// A contribution, or what the receiver lacks of it.
    Artifact {
        /// Its stream.
        stream: StreamId,
        /// Its author.
        author: Author,
        /// What it is made of.
        manifest: Manifest,
        /// The chunks that the receiver does not have.
        chunks: Vec<Chunk>,
        /// That it stands in its author's log.
        proof: Value,
    },
}

/// A piece of a contribution; base64 on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Chunk(#[serde(with = "base64_text")] pub Arc<[u8]>);

/// What came of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// A contribution was taken in.
    Admitted(Admitted),
    /// Advice was taken in.
    Advised(ProvedAdvice),
    /// Something was not, and from whom it came.
    Refused {
        /// Who has sent it.
        from: Author,
        /// The contribution's name, where it was one.
        artifact: Option<Digest>,
        /// Why.
        why: String,
    },
}

/// A node's part in the gossip. Nothing of it has to survive the process.
#[derive(Clone, Debug, Default)]
pub struct Gossip {
    peers: Vec<Author>,
    /// Contributions that are lacking, and who was heard to have them.
    lacking: BTreeMap<Digest, Lacking>,
    /// What was refused, and of whom.
    refused: BTreeSet<(Digest, Author)>,
    /// Rounds since something new came.
    quiet: u32,
    last: Option<Roots>,
    /// Whether anybody has answered in this round.
    answered: bool,
}

#[derive(Clone, Debug)]
struct Lacking {
    stream: StreamId,
    author: Author,
    told_by: BTreeSet<Author>,
}

impl Gossip {
    /// The part of a node that knows these others.
    #[must_use]
    pub fn new(peers: Vec<Author>) -> Self {
        Self { peers, ..Self::default() }
    }

    /// Those whom it asks.
    #[must_use]
    pub fn peers(&self) -> &[Author] {
        &self.peers
    }

    /// How many contributions it has heard of and lacks.
    #[must_use]
    pub fn lacking(&self) -> usize {
        self.lacking.len()
    }

    /// Begins a round: asks one of the others.
    pub fn round(&mut self, replica: &Replica, rng: &mut impl Rng, transport: &mut impl Transport) {
        self.answered = false;
        self.quiet = self.quiet.saturating_add(1);
        self.ask(replica, rng, transport);
    }

    /// Asks once more, at random again, where nobody has answered in this round or something that is lacking has not come. To
    /// be called when an answer is overdue.
    pub fn again(&mut self, replica: &Replica, rng: &mut impl Rng, transport: &mut impl Transport) {
        if !self.answered || !self.lacking.is_empty() {
            self.ask(replica, rng, transport);
        }
    }

    fn ask(&mut self, replica: &Replica, rng: &mut impl Rng, transport: &mut impl Transport) {
        self.lacking.retain(|_, lacking| !lacking.told_by.is_empty());
        let names: Vec<Digest> = self.lacking.keys().copied().collect();
        for artifact in names.sample(rng, MOST_WANTED) {
            let told_by: Vec<&Author> = self.lacking[artifact].told_by.iter().collect();
            if let Some(peer) = told_by.choose(rng) {
                self.want(replica, *artifact, peer, transport);
            }
        }
        let Some(peer) = self.peers.choose(rng) else { return };
        let own = roots(replica);
        if self.last.replace(own) != Some(own) {
            self.quiet = 0;
        }
        let message = if self.quiet < TOLD_FOR {
            all_heads(replica, false)
        } else {
            Message::Roots { roots: own, answer: false }
        };
        transport.send(peer, message);
    }

    fn want(&self, replica: &Replica, artifact: Digest, peer: &Author, transport: &mut impl Transport) {
        let Some(lacking) = self.lacking.get(&artifact) else { return };
        let have = chunks_of(replica, lacking.stream, &lacking.author).into_keys().collect();
        transport.send(peer, Message::Want { artifact, have });
    }

    /// Takes in a message of another node, and answers it.
    pub fn receive(
        &mut self,
        replica: &mut Replica,
        from: &Author,
        message: Message,
        proofs: &impl Proofs,
        transport: &mut impl Transport,
    ) -> Vec<News> {
        match message {
            Message::Roots { roots: theirs, answer } => {
                self.answered |= answer;
                let own = roots(replica);
                if theirs != own {
                    transport.send(from, all_heads(replica, true));
                } else if !answer {
                    transport.send(from, Message::Roots { roots: own, answer: true });
                }
                Vec::new()
            }
            Message::Heads { entries, advice, answer } => {
                self.answered |= answer;
                let mut news = Vec::new();
                let their_advice = Advice::from_iter(advice.iter().map(|advice| advice.advised.clone()));
                for advice in advice {
                    match replica.admit_advice(advice.clone(), proofs) {
                        Ok(true) => news.push(News::Advised(advice)),
                        Ok(false) => {}
                        Err(why) => {
                            news.push(News::Refused {
                                from: from.clone(),
                                artifact: None,
                                why: why.to_string(),
                            });
                        }
                    }
                }
                let tells_more = their_advice.root() != replica.advice().root();
                let said = self.compare(replica, from, &entries, transport);
                if !answer && tells_more {
                    transport.send(from, all_heads(replica, true));
                } else if !answer && !said {
                    transport.send(from, Message::Roots { roots: roots(replica), answer: true });
                }
                news
            }
            Message::Want { artifact, have } => {
                self.answered = true;
                let have = have.into_iter().collect();
                if let Some(message) = artifact_without(replica, artifact, &have) {
                    transport.send(from, message);
                }
                Vec::new()
            }
            Message::Artifact { stream, author, manifest, chunks, proof } => {
                self.answered = true;
                self.take(replica, from, (stream, author), &manifest, chunks, proof, proofs, transport)
            }
        }
    }

    /// Sends what somebody with these entries lacks, and asks for what they have and this node lacks. True when there was
    /// anything.
    fn compare(
        &mut self,
        replica: &Replica,
        from: &Author,
        entries: &[HeadsOf],
        transport: &mut impl Transport,
    ) -> bool {
        let mut said = false;
        for (stream, author, head) in replica.heads().lacking(entries) {
            let is_refused = self.refused.contains(&(head.artifact, from.clone()));
            if is_refused || self.lacking.len() >= MOST_LACKING {
                continue;
            }
            let lacking = || Lacking { stream, author, told_by: BTreeSet::new() };
            self.lacking.entry(head.artifact).or_insert_with(lacking).told_by.insert(from.clone());
            self.want(replica, head.artifact, from, transport);
            said = true;
        }
        if self.quiet >= TOLD_FOR {
            // it was sent what is new here; who wants it asks, and who refuses it is not sent it for ever
            return said;
        }
        let mut pushed = 0;
        let theirs = Heads::from(entries.to_vec());
        let own: Vec<HeadsOf> = replica.heads().entries().collect();
        for (stream, author, head) in theirs.lacking(&own) {
            let Some(held) = replica.held(head.artifact) else { continue };
            pushed += held.sealed.bytes().len();
            if pushed > MOST_PUSHED {
                break;
            }
            let named = theirs.of(stream, &author).into_iter().filter_map(|head| replica.held(head.artifact));
            let have = named.flat_map(|held| chunks(held.sealed.bytes()).into_keys()).collect();
            if let Some(message) = artifact_without(replica, head.artifact, &have) {
                transport.send(from, message);
                said = true;
            }
        }
        said
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one message, and what it is taken in with")]
    fn take(
        &mut self,
        replica: &mut Replica,
        from: &Author,
        (stream, author): (StreamId, Author),
        manifest: &Manifest,
        sent: Vec<Chunk>,
        proof: Value,
        proofs: &impl Proofs,
        transport: &mut impl Transport,
    ) -> Vec<News> {
        let artifact = manifest.artifact;
        if replica.held(artifact).is_some() || self.refused.contains(&(artifact, from.clone())) {
            self.lacking.remove(&artifact);
            return Vec::new();
        }
        let mut held = chunks_of(replica, stream, &author);
        held.extend(sent.into_iter().map(|Chunk(bytes)| (chunk_name(&bytes), bytes)));
        let refused = |why: String| News::Refused { from: from.clone(), artifact: Some(artifact), why };
        let bytes = match manifest.assemble(&held) {
            Ok(bytes) => bytes,
            // it was sent to somebody who has what this node no longer has, or not yet
            Err(ChunkError::Missing(_)) => {
                if self.lacking.len() < MOST_LACKING {
                    let lacking = || Lacking { stream, author, told_by: BTreeSet::new() };
                    self.lacking.entry(artifact).or_insert_with(lacking).told_by.insert(from.clone());
                    self.want(replica, artifact, from, transport);
                }
                return Vec::new();
            }
            Err(other) => return vec![refused(other.to_string())],
        };
        match replica.admit(&bytes, proof, proofs) {
            Ok(admitted) => {
                self.lacking.remove(&artifact);
                if admitted.changed { vec![News::Admitted(admitted)] } else { Vec::new() }
            }
            Err(why) => {
                if self.refused.len() >= MOST_REFUSED {
                    self.refused.clear();
                }
                self.refused.insert((artifact, from.clone()));
                if let Some(lacking) = self.lacking.get_mut(&artifact) {
                    lacking.told_by.remove(from);
                }
                vec![refused(why.to_string())]
            }
        }
    }
}

/// The roots of what a node has.
#[must_use]
pub fn roots(replica: &Replica) -> Roots {
    Roots { heads: replica.heads().root(), advice: replica.advice().root() }
}

fn all_heads(replica: &Replica, answer: bool) -> Message {
    Message::Heads {
        entries: replica.heads().entries().collect(),
        advice: replica.proved_advice().collect(),
        answer,
    }
}

/// The chunks of what is held of an author.
fn chunks_of(replica: &Replica, stream: StreamId, author: &Author) -> BTreeMap<Digest, Arc<[u8]>> {
    replica.held_of(stream, author).flat_map(|held| chunks(held.sealed.bytes())).collect()
}

/// A contribution without these chunks; `None` when it is not held.
fn artifact_without(replica: &Replica, artifact: Digest, have: &BTreeSet<Digest>) -> Option<Message> {
    let held = replica.held(artifact)?;
    let contribution = held.sealed.contribution();
    let chunks = chunks(held.sealed.bytes()).into_iter().filter(|(name, _)| !have.contains(name));
    Some(Message::Artifact {
        stream: contribution.stream,
        author: contribution.author.clone(),
        manifest: Manifest::of(held.sealed.bytes()),
        chunks: chunks.map(|(_, bytes)| Chunk(bytes)).collect(),
        proof: held.proof.clone(),
    })
}

mod base64_text {
    use std::sync::Arc;

    use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &Arc<[u8]>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<[u8]>, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64.decode(text).map(Arc::from).map_err(D::Error::custom)
    }
}
