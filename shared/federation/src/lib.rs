//! Nodes that learn from each other, and need not trust each other: what they tell each other, and what each makes of it.
//!
//! A node is one site, with a log of its own whose key is its name ([`Author`]). Evidence travels, not tables: a node
//! publishes what it has seen itself ([`Contribution`]), and acts on what all have seen ([`fold()`]). Nothing adopted flows back
//! into what it publishes, so that nothing counts twice and anybody can be left out again, exactly.
//!
//! - [`names`]: who, what about, which bytes.
//! - [`heads`]: which contribution of each author is the last, as a CRDT.
//! - [`contribution`], [`chunks`]: evidence as bytes, and as pieces of which only the changed ones travel.
//! - [`live`]: what is seen within an episode, step by step.
//! - [`law`]: how evidence is read and brought together.
//! - [`guard`]: whose claims are heeded, and how far.
//! - [`fold()`]: what is acted on. Equal maps, equal bytes.
//! - [`exclusion`]: who is left out by hand, and the advice to do so.
//! - [`replica`]: what a node has of all this.
//! - [`gossip`]: how nodes come to have the same; [`memory`]: a network of them in one process, which fails as networks do.
//!
//! Pure: no clock, no randomness of its own, no I/O. Whether a contribution stands in its author's log is checked by what the
//! caller passes as [`Proofs`].

#![warn(missing_docs)]

pub mod chunks;
pub mod contribution;
pub mod exclusion;
pub mod fold;
pub mod gossip;
pub mod guard;
pub mod heads;
pub mod law;
pub mod live;
pub mod memory;
pub mod names;
pub mod replica;

pub use contribution::{CONTRIBUTION_FORMAT, Contribution, ContributionError, Sealed};
pub use exclusion::{Advice, Advised, Exclusion};
pub use fold::{Fold, FoldError, LeftOut, Reason, fold, fold_of_others};
pub use gossip::{Gossip, Message, News, Roots, Transport};
pub use guard::{Claim, Figure, Kind, Verdict, judge};
pub use heads::{Head, Heads, HeadsOf, Standing, supersedes};
pub use law::{Law, LearnersLaw, TwinsLaw};
pub use live::{KEPT_STEPS, STEPS, StepsLaw, Window};
pub use names::{Author, Digest, Stream, StreamId};
pub use replica::{Admitted, Held, Proofs, ProvedAdvice, Refused, Replica};
