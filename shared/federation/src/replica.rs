//! What a node has of the federation: the map, the contributions that it names with their proofs, and advice.

use std::collections::BTreeMap;

use policy::Knowledge;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    contribution::{Contribution, ContributionError, Sealed},
    exclusion::{Advice, Advised, Exclusion},
    fold::{Fold, FoldError, fold, fold_of_others},
    heads::{Head, Heads, Standing},
    law::Law,
    names::{Author, Digest, StreamId},
};

/// No reason for an exclusion has more bytes.
const MOST_OF_A_REASON: usize = 1000;

/// Whether something was really said by whom it says: that it stands in the author's own log. What a proof is, the caller
/// knows: the evidence of the record that names it (leaf, path, signed checkpoint, cosignatures).
pub trait Proofs {
    /// Checks a contribution's.
    ///
    /// # Errors
    /// Says what does not hold.
    fn contribution(&self, contribution: &Sealed, proof: &Value) -> Result<(), String>;

    /// Checks that of advice.
    ///
    /// # Errors
    /// Says what does not hold.
    fn advice(&self, advised: &Advised, proof: &Value) -> Result<(), String>;
}

/// A contribution that is held, and its proof.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// The contribution.
    pub sealed: Sealed,
    /// That it stands in its author's log.
    pub proof: Value,
}

/// Advice, and its proof.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvedAdvice {
    /// The advice.
    pub advised: Advised,
    /// That it stands in the adviser's log.
    pub proof: Value,
}

/// All that a node has. It can be made again of the contributions and the advice, so that these are all that must survive.
#[derive(Clone, Debug, PartialEq)]
pub struct Replica {
    own: Author,
    heads: Heads,
    held: BTreeMap<Digest, Held>,
    /// The last contribution of an author that is no longer named: others may still have it, and need only what has changed.
    bases: BTreeMap<(StreamId, Author), Digest>,
    advice: Advice,
    advice_proofs: BTreeMap<Advised, Value>,
}

/// What a contribution changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admitted {
    /// The stream.
    pub stream: StreamId,
    /// Its author.
    pub author: Author,
    /// Where the author stands with the stream since then.
    pub standing: Standing,
    /// False when it was known, or an older one than is known.
    pub changed: bool,
    /// It is in this node's own name, and this node has not made it: somebody else has its key, or it was restored from a
    /// backup.
    pub in_own_name: bool,
}

/// Why something is not taken in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is no contribution.
    #[error(transparent)]
    Contribution(#[from] ContributionError),
    /// Nobody has to read that much.
    #[error("expected a reason of at most {MOST_OF_A_REASON} bytes, found {0}")]
    Reason(usize),
    /// Nobody has said it.
    #[error("it is not proved: {0}")]
    Unproved(String),
}

impl Replica {
    /// Nothing yet, of the node with this log.
    #[must_use]
    pub fn new(own: Author) -> Self {
        Self {
            own,
            heads: Heads::new(),
            held: BTreeMap::new(),
            bases: BTreeMap::new(),
            advice: Advice::new(),
            advice_proofs: BTreeMap::new(),
        }
    }

    /// Whose it is.
    #[must_use]
    pub fn own(&self) -> &Author {
        &self.own
    }

    /// The map.
    #[must_use]
    pub fn heads(&self) -> &Heads {
        &self.heads
    }

    /// A contribution by the SHA-256 of its bytes.
    #[must_use]
    pub fn held(&self, artifact: Digest) -> Option<&Held> {
        self.held.get(&artifact)
    }

    /// All contributions that are held, by their names.
    pub fn all_held(&self) -> impl Iterator<Item = (&Digest, &Held)> {
        self.held.iter()
    }

    /// Those of an author to a stream.
    pub fn held_of<'a>(&'a self, stream: StreamId, author: &'a Author) -> impl Iterator<Item = &'a Held> {
        self.held.values().filter(move |held| {
            let contribution = held.sealed.contribution();
            contribution.stream == stream && contribution.author == *author
        })
    }

    /// The advice that came in.
    #[must_use]
    pub fn advice(&self) -> &Advice {
        &self.advice
    }

    /// The advice that came in, with its proofs.
    pub fn proved_advice(&self) -> impl Iterator<Item = ProvedAdvice> {
        self.advice.iter().map(|advised| ProvedAdvice {
            advised: advised.clone(),
            proof: self.advice_proofs.get(advised).cloned().unwrap_or_default(),
        })
    }

    /// Takes in what this node has made itself, or had before it was restarted; it is believed without being checked.
    pub fn publish(&mut self, sealed: Sealed, proof: Value) -> Admitted {
        let contribution = sealed.contribution();
        let (stream, author) = (contribution.stream, contribution.author.clone());
        let (before, head) = (self.heads.of(stream, &author), sealed.head());
        let changed = self.heads.insert(stream, &author, head);
        if changed {
            self.held.insert(sealed.name(), Held { sealed, proof });
            self.forget(stream, &author, &before);
        }
        let standing = self.heads.standing(stream, &author).unwrap_or(Standing::Sound { head });
        Admitted { stream, author, standing, changed, in_own_name: false }
    }

    /// Lets go of what the map of an author no longer names, but for the last.
    fn forget(&mut self, stream: StreamId, author: &Author, before: &[Head]) {
        let named: Vec<Digest> =
            self.heads.of(stream, author).into_iter().map(|head| head.artifact).collect();
        let gone: Vec<Digest> =
            before.iter().map(|head| head.artifact).filter(|artifact| !named.contains(artifact)).collect();
        let Some((last, others)) = gone.split_last() else { return };
        let older = self.bases.insert((stream, author.clone()), *last);
        for artifact in others.iter().copied().chain(older).filter(|artifact| !named.contains(artifact)) {
            self.held.remove(&artifact);
        }
    }

    /// Takes in what another node has told: its bytes, and that they stand in their author's log.
    ///
    /// # Errors
    /// It is no contribution, or its author has not said it.
    pub fn admit(&mut self, bytes: &[u8], proof: Value, proofs: &impl Proofs) -> Result<Admitted, Refused> {
        let sealed = Sealed::open(bytes)?;
        let known = self.held.contains_key(&sealed.name());
        proofs.contribution(&sealed, &proof).map_err(Refused::Unproved)?;
        let mut admitted = self.publish(sealed, proof);
        admitted.in_own_name = !known && admitted.changed && admitted.author == self.own;
        Ok(admitted)
    }

    /// Takes in advice of this node itself; it is believed without being checked.
    pub fn advise(&mut self, advised: Advised, proof: Value) -> bool {
        let changed = self.advice.insert(advised.clone());
        if changed {
            let key = |of: &Advised| (of.by.clone(), of.exclusion.author.clone());
            let about = key(&advised);
            self.advice_proofs.retain(|other, _| key(other) != about);
            self.advice_proofs.insert(advised, proof);
        }
        changed
    }

    /// Takes in what another node advises, which says nothing about whether it is followed. True when it is new.
    ///
    /// # Errors
    /// The adviser has not said it, or not in few words.
    pub fn admit_advice(&mut self, advice: ProvedAdvice, proofs: &impl Proofs) -> Result<bool, Refused> {
        if !self.advice.would_change(&advice.advised) {
            return Ok(false);
        }
        let length = advice.advised.exclusion.reason.len();
        if length > MOST_OF_A_REASON {
            return Err(Refused::Reason(length));
        }
        proofs.advice(&advice.advised, &advice.proof).map_err(Refused::Unproved)?;
        Ok(self.advise(advice.advised, advice.proof))
    }

    /// What all have seen: [`fold()`] over what this node holds, without those whom it leaves out.
    ///
    /// # Errors
    /// As [`fold()`].
    pub fn fold(
        &self,
        stream: StreamId,
        exclusions: &[Exclusion],
        law: &impl Law,
        nothing: &Knowledge,
    ) -> Result<Fold, FoldError> {
        fold(&self.heads, stream, |name| self.contribution(name), exclusions, law, nothing)
    }

    /// What the others have seen, to be heeded beside what this node has seen itself: [`fold_of_others`].
    ///
    /// # Errors
    /// As [`fold()`].
    pub fn fold_of_others(
        &self,
        stream: StreamId,
        exclusions: &[Exclusion],
        law: &impl Law,
        nothing: &Knowledge,
    ) -> Result<Fold, FoldError> {
        let held = |name| self.contribution(name);
        fold_of_others(&self.own, &self.heads, stream, held, exclusions, law, nothing)
    }

    fn contribution(&self, name: Digest) -> Option<&Contribution> {
        self.held.get(&name).map(|held| held.sealed.contribution())
    }
}
