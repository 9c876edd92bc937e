//! Who is left out by hand, and the advice to do so.
//!
//! An exclusion is a decision of one node: it is an input of that node's folds. It travels as advice, which nobody has to
//! follow. [`Advice`] is a CRDT like the map of heads: by adviser and author the advice with the highest version counts.

use std::collections::BTreeMap;

use merkle_log::{Frontier, leaf_hash};
use serde::{Deserialize, Serialize};

use crate::names::{Author, Digest};

/// An author is left out from a number on. Contributions are cumulative, so that it is left out altogether once its latest has
/// that number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exclusion {
    /// Who.
    pub author: Author,
    /// From which of its numbers on, in every stream.
    pub from_sequence: u64,
    /// Why, for people to read.
    pub reason: String,
}

/// What one node advises of one author.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Advised {
    /// Who advises.
    pub by: Author,
    /// Grows when the adviser changes its mind.
    pub version: u64,
    /// Whom it is about, from when on, and why.
    pub exclusion: Exclusion,
    /// False when it is taken back.
    pub stands: bool,
}

/// All advice, by adviser and author.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Advised>", into = "Vec<Advised>")]
pub struct Advice(BTreeMap<(Author, Author), Advised>);

impl Advice {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one in. True when something changed.
    pub fn insert(&mut self, advised: Advised) -> bool {
        let key = (advised.by.clone(), advised.exclusion.author.clone());
        if self.0.get(&key).is_some_and(|own| !newer(own, &advised)) {
            return false;
        }
        self.0.insert(key, advised);
        true
    }

    /// Takes in all of another one's: the join. True when something changed.
    pub fn merge(&mut self, other: &Self) -> bool {
        other.0.values().fold(false, |changed, advised| self.insert(advised.clone()) | changed)
    }

    /// Whether [`Advice::insert`] would change anything.
    #[must_use]
    pub fn would_change(&self, advised: &Advised) -> bool {
        let key = (advised.by.clone(), advised.exclusion.author.clone());
        self.0.get(&key).is_none_or(|own| newer(own, advised))
    }

    /// The advice that stands, in the order of advisers and authors.
    pub fn standing(&self) -> impl Iterator<Item = &Advised> {
        self.0.values().filter(|advised| advised.stands)
    }

    /// All of it, also what was taken back.
    pub fn iter(&self) -> impl Iterator<Item = &Advised> {
        self.0.values()
    }

    /// The Merkle tree hash (RFC 6962, section 2.1) over the advice in its order.
    #[must_use]
    pub fn root(&self) -> Digest {
        let leaves = self.0.values().map(|Advised { by, version, exclusion, stands }| {
            let Exclusion { author, from_sequence, reason } = exclusion;
            let line = format!("{by} {author} {version} {from_sequence} {stands} {reason}");
            leaf_hash(line.as_bytes())
        });
        Digest(leaves.collect::<Frontier>().root())
    }
}

/// By version; where an adviser has said two things under one version, by what it has said, so that all take the same.
fn newer(own: &Advised, other: &Advised) -> bool {
    (own.version, own) < (other.version, other)
}

impl From<Vec<Advised>> for Advice {
    fn from(all: Vec<Advised>) -> Self {
        all.into_iter().collect()
    }
}

impl FromIterator<Advised> for Advice {
    fn from_iter<I: IntoIterator<Item = Advised>>(all: I) -> Self {
        let mut advice = Self::new();
        for advised in all {
            advice.insert(advised);
        }
        advice
    }
}

impl From<Advice> for Vec<Advised> {
    fn from(advice: Advice) -> Self {
        advice.0.into_values().collect()
    }
}
