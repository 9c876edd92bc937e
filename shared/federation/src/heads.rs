//! Which contribution of each author is the last: the state that nodes bring to agreement.
//!
//! A state-based CRDT (Shapiro et al. 2011): [`Heads::merge`] is the join of a semilattice, so that it does not matter how
//! often, in which order and by which way heads arrive. An author's part of it is the product of two lattices.
//!
//! - **The latest**: by the highest number; under one number, the set of all heads, of which the two with the lowest names are
//!   kept. (What keeps the k least of a union is a join.) A second head under a number is the mark of an author who
//!   equivocates; both are withheld, and no order of arrival can make one of them the true one.
//! - **The richest**: the head with the most evidence. Evidence is cumulative, so that an honest author's latest head is its
//!   richest. Where the latest has less, somebody was restored from a backup or began anew under an old name, and it is
//!   withheld. Without this part the outcome would depend on who had seen the older head.
//!
//! The mark is not for ever: 5a ≤ 6 and 5b ≤ 6 in any order in which a higher number replaces a lower one, so the join of 5a
//! and 5b is ≤ 6 too, and whoever saw both, as whoever saw none, ends with 6. Who is to be left out for good is the business of
//! [`Exclusion`](crate::Exclusion)s, which are an input of the fold.
//!
//! Heads are taken in once what they name was fetched and its proof holds ([`Replica::admit`](crate::Replica::admit)): a map
//! has nothing that a stranger has made up.

use std::collections::BTreeMap;

use merkle_log::{Frontier, leaf_hash};
use serde::{Deserialize, Serialize};

use crate::names::{Author, Digest, StreamId};

/// One contribution: its number, and what is under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The author's number, which grows with each contribution to a stream.
    pub sequence: u64,
    /// The SHA-256 of the contribution's bytes.
    pub artifact: Digest,
    /// How many observations it is made of, over all time.
    pub evidence: u64,
}

/// What an author has said of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    /// One head, or two of an author who equivocates; of one number, in order.
    latest: Vec<Head>,
    richest: Head,
}

/// Where an author stands with a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "standing", rename_all = "snake_case")]
pub enum Standing {
    /// The head is acted on.
    Sound {
        /// The latest one.
        head: Head,
    },
    /// Two contributions under one number: its key is with two, or it lies. Both are withheld.
    Equivocated {
        /// They.
        heads: [Head; 2],
    },
    /// Less evidence under a higher number: it was restored from a backup, or has begun anew.
    Fallen {
        /// The latest head, which is withheld.
        head: Head,
        /// The one that has more.
        richest: Head,
    },
}

/// All heads of an author for a stream that count, as they travel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadsOf {
    /// Which stream.
    pub stream: StreamId,
    /// Whose.
    pub author: Author,
    /// The latest (two where the author equivocates), and the one with the most evidence where that is another.
    pub heads: Vec<Head>,
}

/// The map: where each author stands with each stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<HeadsOf>", into = "Vec<HeadsOf>")]
pub struct Heads(BTreeMap<(StreamId, Author), Entry>);

impl Heads {
    /// No heads.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one in. True when something changed.
    pub fn insert(&mut self, stream: StreamId, author: &Author, head: Head) -> bool {
        self.join(stream, author, &Entry { latest: vec![head], richest: head })
    }

    /// Takes in all of another map: the join. True when something changed.
    pub fn merge(&mut self, other: &Self) -> bool {
        let mut changed = false;
        for ((stream, author), entry) in &other.0 {
            changed |= self.join(*stream, author, entry);
        }
        changed
    }

    fn join(&mut self, stream: StreamId, author: &Author, other: &Entry) -> bool {
        match self.0.get_mut(&(stream, author.clone())) {
            Some(own) => own.join(other),
            None => {
                self.0.insert((stream, author.clone()), other.clone());
                true
            }
        }
    }

    /// The Merkle tree hash (RFC 6962, section 2.1) over its entries in their order, each as the line
    /// `stream author sequence:artifact:evidence …`: equal maps have equal roots, and nothing else has.
    #[must_use]
    pub fn root(&self) -> Digest {
        let leaves = self.0.iter().map(|((stream, author), entry)| {
            let mut line = format!("{stream} {author}");
            for Head { sequence, artifact, evidence } in entry.heads() {
                line.push_str(&format!(" {sequence}:{artifact}:{evidence}"));
            }
            leaf_hash(line.as_bytes())
        });
        Digest(leaves.collect::<Frontier>().root())
    }

    /// What it holds, in the order of streams and authors.
    pub fn entries(&self) -> impl Iterator<Item = HeadsOf> {
        self.0.iter().map(|((stream, author), entry)| HeadsOf {
            stream: *stream,
            author: author.clone(),
            heads: entry.heads(),
        })
    }

    /// What somebody with these entries has and this map lacks: heads that would change it.
    #[must_use]
    pub fn lacking(&self, entries: &[HeadsOf]) -> Vec<(StreamId, Author, Head)> {
        let told = entries.iter().flat_map(|of| of.heads.iter().map(move |head| (of, head)));
        told.filter(|(of, head)| self.would_change(of.stream, &of.author, **head))
            .map(|(of, head)| (of.stream, of.author.clone(), *head))
            .collect()
    }

    /// Whether [`Heads::insert`] would change anything.
    #[must_use]
    pub fn would_change(&self, stream: StreamId, author: &Author, head: Head) -> bool {
        let one = Entry { latest: vec![head], richest: head };
        self.0.get(&(stream, author.clone())).is_none_or(|own| own.clone().join(&one))
    }

    /// The heads of an author for a stream; none where it has said nothing.
    #[must_use]
    pub fn of(&self, stream: StreamId, author: &Author) -> Vec<Head> {
        self.0.get(&(stream, author.clone())).map(Entry::heads).unwrap_or_default()
    }

    /// Where the authors of a stream stand, in their order.
    pub fn standings(&self, stream: StreamId) -> impl Iterator<Item = (&Author, Standing)> {
        let of_stream = self.0.iter().filter(move |((of, _), _)| *of == stream);
        of_stream.map(|((_, author), entry)| (author, entry.standing()))
    }

    /// Where an author stands with a stream; `None` where it has said nothing.
    #[must_use]
    pub fn standing(&self, stream: StreamId, author: &Author) -> Option<Standing> {
        self.0.get(&(stream, author.clone())).map(Entry::standing)
    }

    /// The streams that there are.
    #[must_use]
    pub fn streams(&self) -> Vec<StreamId> {
        let mut streams: Vec<_> = self.0.keys().map(|(stream, _)| *stream).collect();
        streams.dedup();
        streams
    }

    /// How many authors, by stream.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nobody has said anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Entry {
    /// The least entry that is no less than both. True when that is another one than this.
    fn join(&mut self, other: &Self) -> bool {
        let before = self.clone();
        match other.sequence().cmp(&self.sequence()) {
            std::cmp::Ordering::Less => {}
            std::cmp::Ordering::Greater => self.latest.clone_from(&other.latest),
            std::cmp::Ordering::Equal => {
                self.latest.extend_from_slice(&other.latest);
                self.latest.sort_unstable();
                self.latest.dedup();
                self.latest.truncate(2);
            }
        }
        self.richest = self.richest.max_by_evidence(other.richest);
        *self != before
    }

    fn sequence(&self) -> u64 {
        self.latest[0].sequence // there is always one
    }

    fn heads(&self) -> Vec<Head> {
        let mut heads = self.latest.clone();
        if !heads.contains(&self.richest) {
            heads.push(self.richest);
        }
        heads
    }

    fn standing(&self) -> Standing {
        match self.latest[..] {
            [one, another, ..] => Standing::Equivocated { heads: [one, another] },
            _ if supersedes(self.richest.evidence, self.latest[0].evidence) => {
                Standing::Sound { head: self.latest[0] }
            }
            _ => Standing::Fallen { head: self.latest[0], richest: self.richest },
        }
    }
}

impl Head {
    fn max_by_evidence(self, other: Self) -> Self {
        let order = |head: &Self| (head.evidence, head.sequence, head.artifact);
        if order(&other) > order(&self) { other } else { self }
    }
}

/// Whether a contribution with so much evidence may take the place of one with so much: it is cumulative, and may not fall.
#[must_use]
pub fn supersedes(old: u64, new: u64) -> bool {
    new >= old
}

impl From<Vec<HeadsOf>> for Heads {
    fn from(entries: Vec<HeadsOf>) -> Self {
        let mut heads = Self::new();
        for HeadsOf { stream, author, heads: told } in entries {
            for head in told {
                heads.insert(stream, &author, head);
            }
        }
        heads
    }
}

impl From<Heads> for Vec<HeadsOf> {
    fn from(heads: Heads) -> Self {
        heads.entries().collect()
    }
}
