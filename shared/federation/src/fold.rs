//! What is acted on: a pure function of the map.

use std::collections::BTreeMap;

use merkle_log::{CanonicalError, canonical_json};
use policy::Knowledge;
use serde::{Deserialize, Serialize};

use crate::{
    contribution::Contribution,
    exclusion::Exclusion,
    guard::{Claim, Figure, Verdict, judge},
    heads::{Head, Heads, Standing},
    law::Law,
    names::{Author, Digest, StreamId},
};

/// The evidence of all who are heeded.
#[derive(Clone, Debug, PartialEq)]
pub struct Fold {
    /// What it comes to.
    pub knowledge: Knowledge,
    /// The SHA-256 of its canonical JSON.
    pub sha256: Digest,
    /// Whose contributions it is made of, and which.
    pub heeded: Vec<(Author, Head)>,
    /// Whose not, and why.
    pub left_out: Vec<LeftOut>,
}

/// An author whose contribution is not in the fold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// Who.
    pub author: Author,
    /// Why.
    pub reason: Reason,
}

/// Why an author is left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Reason {
    /// By hand.
    Excluded {
        /// From which number on.
        from_sequence: u64,
        /// What was written beside it.
        why: String,
    },
    /// The map withholds it.
    Withheld {
        /// Where it stands.
        standing: Standing,
    },
    /// It is not what the stream is about, or has figures that nobody can have seen.
    Unfit {
        /// What does not fit.
        what: String,
    },
    /// Its claims are too far from those of the others.
    Unlikely {
        /// Which ones.
        claims: Vec<Figure>,
    },
}

/// There is nothing to fold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// The map names what is not there.
    #[error("the contribution {artifact} of {author} is not there")]
    Missing {
        /// Whose.
        author: Author,
        /// Which.
        artifact: Digest,
    },
    /// What was folded cannot be written down.
    #[error(transparent)]
    NoCanonical(#[from] CanonicalError),
}

/// Folds what a stream's authors have seen, in the order of their keys, onto what has seen nothing (`nothing`: what a learner
/// of this stream begins with; what does not fit to it is left out).
///
/// Equal maps, contributions and exclusions give equal bytes at every node: the order is that of the map, and sums and the
/// guard use +, −, ×, ÷ and √ alone, which IEEE 754 rounds in one way. An author is undone by folding again without it, to
/// the bytes that a map has that never had it.
///
/// # Errors
/// The map names a contribution that is not there, or a sum has come to a figure that JSON does not have.
pub fn fold<'a>(
    heads: &Heads,
    stream: StreamId,
    contributions: impl Fn(Digest) -> Option<&'a Contribution>,
    exclusions: &[Exclusion],
    law: &impl Law,
    nothing: &Knowledge,
) -> Result<Fold, FoldError> {
    folded(heads, stream, contributions, exclusions, law, nothing, None)
}

/// The same for an author who has its own evidence already, and newer than it has published: its own is judged with that of
/// all, and not folded. Where the guard leaves it out itself, that is told.
///
/// # Errors
/// As [`fold`].
pub fn fold_of_others<'a>(
    own: &Author,
    heads: &Heads,
    stream: StreamId,
    contributions: impl Fn(Digest) -> Option<&'a Contribution>,
    exclusions: &[Exclusion],
    law: &impl Law,
    nothing: &Knowledge,
) -> Result<Fold, FoldError> {
    folded(heads, stream, contributions, exclusions, law, nothing, Some(own))
}

fn folded<'a>(
    heads: &Heads,
    stream: StreamId,
    contributions: impl Fn(Digest) -> Option<&'a Contribution>,
    exclusions: &[Exclusion],
    law: &impl Law,
    nothing: &Knowledge,
    own: Option<&Author>,
) -> Result<Fold, FoldError> {
    let mut left_out = BTreeMap::new();
    let mut candidates: BTreeMap<Author, (Head, &Knowledge)> = BTreeMap::new();
    let mut claims: BTreeMap<Author, Vec<Claim>> = BTreeMap::new();
    for (author, standing) in heads.standings(stream) {
        let head = match standing {
            Standing::Sound { head } => head,
            standing => {
                left_out.insert(author.clone(), Reason::Withheld { standing });
                continue;
            }
        };
        let excluded = exclusions
            .iter()
            .filter(|exclusion| exclusion.author == *author && exclusion.from_sequence <= head.sequence);
        if let Some(Exclusion { from_sequence, reason, .. }) = excluded.min() {
            let why = reason.clone();
            left_out.insert(author.clone(), Reason::Excluded { from_sequence: *from_sequence, why });
            continue;
        }
        let missing = || FoldError::Missing { author: author.clone(), artifact: head.artifact };
        let evidence = &contributions(head.artifact).ok_or_else(missing)?.knowledge;
        let fits = law.merge(&mut nothing.clone(), evidence).and_then(|()| law.claims(evidence));
        match fits {
            Ok(of_author) => {
                candidates.insert(author.clone(), (head, evidence));
                claims.insert(author.clone(), of_author);
            }
            Err(what) => drop(left_out.insert(author.clone(), Reason::Unfit { what })),
        }
    }

    let verdicts = judge(&claims);
    let mut knowledge = nothing.clone();
    let mut heeded = Vec::new();
    for (author, (head, evidence)) in candidates {
        let taken = match &verdicts[&author] {
            Verdict::LeftOut(claims) => Err(Reason::Unlikely { claims: claims.clone() }),
            Verdict::Heeded(_) if own == Some(&author) => continue,
            Verdict::Heeded(claims) => law
                .with_claims(evidence, claims)
                .and_then(|evidence| law.merge(&mut knowledge, &evidence))
                .map_err(|what| Reason::Unfit { what }),
        };
        match taken {
            Ok(()) => heeded.push((author, head)),
            Err(reason) => drop(left_out.insert(author, reason)),
        }
    }
    let sha256 = Digest::of(&canonical_json(&knowledge)?);
    let left_out = left_out.into_iter().map(|(author, reason)| LeftOut { author, reason }).collect();
    Ok(Fold { knowledge, sha256, heeded, left_out })
}
