//! What the ledger remembers beside decisions: every record's body, kind, id and search text.
//!
//! One module a family of kinds. A module has the bodies as they are written down, and in its `KINDS` what each kind
//! is called and described as; nothing else in the workspace knows a record's form. A record follows from its body
//! alone, so that the same event makes the same record and is recorded once, whoever sends it and how often.
//!
//! Bodies are read for ever: a field is never renamed or dropped, and a new one has a default.

#![warn(missing_docs)]

mod body;
mod kind;
mod leaf;

pub mod decision;
pub mod deployment;
pub mod deployments;
pub mod evaluation;
pub mod federation;
pub mod intervention;
pub mod limit;
pub mod log;
pub mod note;
pub mod policy;
pub mod psi;
pub mod run;
pub mod search;
pub mod serving;

pub use body::{Body, Unreadable, own_id, spare_id};
pub use kind::{Kind, describe, kinds, same_kind};
pub use leaf::{Leaf, RecordLeaf};
pub use search::SearchText;
