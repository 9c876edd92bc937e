//! A verifiable append-only log, as pure arithmetic: same arguments, same bytes.
//!
//! - [`leaf_hash`], [`node_hash`]: the Merkle tree hash of RFC 6962, section 2.1.
//! - [`canonical_json`]: RFC 8785, what a leaf's bytes are.
//! - [`Frontier`]: the smallest state that a growing tree's root can be computed from.
//! - [`proof`]: inclusion and consistency proofs (RFC 6962, RFC 9162).
//! - [`tile`], [`bundle`]: the tree as 256-wide tiles, and the entries behind them (C2SP tlog-tiles).
//! - [`note`], [`checkpoint`]: the signed tree head (C2SP signed-note, tlog-checkpoint).
//! - [`rotation`]: the checkpoint at which a log changes its key, signed by both.
//! - [`evidence`]: one record, verified offline from public key, checkpoint and proof.
//! - [`cosignature`], [`witness`]: checkpoints that witnesses cosign, and when they do (C2SP tlog-cosignature, tlog-witness).
//! - [`trust_policy`]: which logs are trusted, and which witnesses must have cosigned (C2SP tlog-policy).
//! - [`tlog_proof`]: a proof as a file that other tools read (C2SP tlog-proof).
//! - [`promise`]: leaves that will be in a log, signed before they are.
//!
//! Nothing here reads a clock, makes randomness or does I/O: keys and stored nodes are arguments.

#![warn(missing_docs)]

pub mod bundle;
pub mod canonical;
pub mod checkpoint;
pub mod cosignature;
pub mod evidence;
pub mod frontier;
pub mod note;
pub mod promise;
pub mod proof;
pub mod rotation;
pub mod tile;
pub mod tlog_proof;
pub mod trust_policy;
pub mod witness;

mod hash;

pub use canonical::{CanonicalError, canonical_json, canonical_leaf_hash, canonical_text};
pub use frontier::{Frontier, InvalidFrontier};
pub use hash::{EMPTY_ROOT, Hash, leaf_hash, node_hash};
