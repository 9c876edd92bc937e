//! Nodes in one process, on a network that loses, doubles, delays and divides: the twin of the wire, for tests and figures.

use std::collections::BTreeMap;

use rand::{RngExt as _, SeedableRng, seq::SliceRandom as _};
use rand_pcg::Pcg64Mcg;
use serde_json::Value;

use crate::{
    contribution::Sealed,
    exclusion::Advised,
    gossip::{Gossip, Message, News, Roots, roots},
    names::Author,
    replica::{Proofs, ProvedAdvice, Replica},
};

/// Tries of a round: a round lasts some times as long as an answer takes to be overdue.
const TRIES: u32 = 3;

/// How a network fails. Shares of all messages, from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// That never arrive.
    pub lost: f64,
    /// That arrive twice.
    pub doubled: f64,
    /// That arrive one to five rounds later. The others arrive in the round in which they are sent, in any order.
    pub late: f64,
}

/// Nodes and what is on its way between them.
pub struct Network<P> {
    nodes: Vec<Node>,
    indexes: BTreeMap<Author, usize>,
    /// By node, on which side of a division it is; messages to another side are lost.
    sides: Vec<u8>,
    faults: Faults,
    proofs: P,
    rng: Pcg64Mcg,
    on_the_way: Vec<OnTheWay>,
    round: u64,
    traffic: Traffic,
    counts_bytes: bool,
}

struct Node {
    replica: Replica,
    gossip: Gossip,
    news: Vec<News>,
}

struct OnTheWay {
    due: u64,
    from: Author,
    to: usize,
    message: Message,
}

/// What was sent, lost messages included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Messages.
    pub messages: u64,
    /// Their bytes as JSON, without what HTTP adds. Only from [`Network::count_bytes`] on, since writing them takes time.
    pub bytes: u64,
}

impl<P: Proofs> Network<P> {
    /// These nodes, each of which knows all others and has nothing yet.
    #[must_use]
    pub fn new(authors: &[Author], faults: Faults, proofs: P, seed: u64) -> Self {
        let nodes = authors.iter().map(|author| Node {
            replica: Replica::new(author.clone()),
            gossip: Gossip::new(authors.iter().filter(|other| *other != author).cloned().collect()),
            news: Vec::new(),
        });
        Self {
            nodes: nodes.collect(),
            indexes: authors.iter().cloned().zip(0..).collect(),
            sides: vec![0; authors.len()],
            faults,
            proofs,
            rng: Pcg64Mcg::seed_from_u64(seed),
            on_the_way: Vec::new(),
            round: 0,
            traffic: Traffic::default(),
            counts_bytes: false,
        }
    }

    /// What a node has.
    #[must_use]
    pub fn replica(&self, node: usize) -> &Replica {
        &self.nodes[node].replica
    }

    /// How many nodes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// What came of the messages to a node since this was asked last.
    pub fn news(&mut self, node: usize) -> Vec<News> {
        std::mem::take(&mut self.nodes[node].news)
    }

    /// A node has made this.
    pub fn publish(&mut self, node: usize, sealed: Sealed, proof: Value) {
        self.nodes[node].replica.publish(sealed, proof);
    }

    /// A node advises this.
    pub fn advise(&mut self, node: usize, advised: Advised, proof: Value) {
        self.nodes[node].replica.advise(advised, proof);
    }

    /// From now on the network fails like this.
    pub fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
    }

    /// Divides the network: nodes reach those of their own side. Equal sides everywhere heal it.
    pub fn divide(&mut self, sides: &[u8]) {
        self.sides.copy_from_slice(sides);
    }

    /// A node's process ends and begins again: it has its contributions and advice, and what it had in mind is gone.
    pub fn restart(&mut self, node: usize) {
        let Node { replica, gossip, .. } = &self.nodes[node];
        let mut again = Replica::new(replica.own().clone());
        for (_, held) in replica.all_held() {
            again.publish(held.sealed.clone(), held.proof.clone());
        }
        for ProvedAdvice { advised, proof } in replica.proved_advice() {
            again.advise(advised, proof);
        }
        let gossip = Gossip::new(gossip.peers().to_vec());
        self.nodes[node] = Node { replica: again, gossip, news: Vec::new() };
    }

    /// From now on bytes are counted too.
    pub fn count_bytes(&mut self) {
        self.counts_bytes = true;
    }

    /// What was sent since this was asked last.
    pub fn traffic(&mut self) -> Traffic {
        std::mem::take(&mut self.traffic)
    }

    /// The roots of every node.
    #[must_use]
    pub fn roots(&self) -> Vec<Roots> {
        self.nodes.iter().map(|node| roots(&node.replica)).collect()
    }

    /// Whether all nodes have the same.
    #[must_use]
    pub fn agrees(&self) -> bool {
        let roots = self.roots();
        roots.windows(2).all(|pair| pair[0] == pair[1])
    }

    /// One round of every node, in any order.
    pub fn round(&mut self) {
        self.round += 1;
        let mut order: Vec<usize> = (0..self.nodes.len()).collect();
        for attempt in 0..TRIES {
            order.shuffle(&mut self.rng);
            for &node in &order {
                let mut out = Vec::new();
                let Node { replica, gossip, .. } = &mut self.nodes[node];
                if attempt == 0 {
                    gossip.round(replica, &mut self.rng, &mut out);
                } else {
                    gossip.again(replica, &mut self.rng, &mut out);
                }
                self.send(node, out);
                self.deliver();
            }
        }
    }

    fn send(&mut self, from: usize, messages: Vec<(Author, Message)>) {
        for (to, message) in messages {
            self.traffic.messages += 1;
            if self.counts_bytes {
                self.traffic.bytes += serde_json::to_vec(&message).map_or(0, |json| json.len() as u64);
            }
            let to = self.indexes[&to];
            let copies = 1 + u32::from(self.rng.random_bool(self.faults.doubled));
            for _ in 0..copies {
                if self.sides[from] != self.sides[to] || self.rng.random_bool(self.faults.lost) {
                    continue;
                }
                let delay =
                    if self.rng.random_bool(self.faults.late) { self.rng.random_range(1..=5) } else { 0 };
                let from = self.nodes[from].replica.own().clone();
                let message = message.clone();
                self.on_the_way.push(OnTheWay { due: self.round + delay, from, to, message });
            }
        }
    }

    /// Delivers what is due, and what is answered, in any order.
    fn deliver(&mut self) {
        loop {
            let due: Vec<usize> =
                (0..self.on_the_way.len()).filter(|at| self.on_the_way[*at].due <= self.round).collect();
            if due.is_empty() {
                return;
            }
            let at = due[self.rng.random_range(0..due.len())];
            let OnTheWay { from, to, message, .. } = self.on_the_way.swap_remove(at);
            let mut out = Vec::new();
            let Node { replica, gossip, news } = &mut self.nodes[to];
            news.extend(gossip.receive(replica, &from, message, &self.proofs, &mut out));
            self.send(to, out);
        }
    }
}
