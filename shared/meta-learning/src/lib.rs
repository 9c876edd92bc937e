//! Learning to learn: random worlds, priors that are learned from many of them, and what they are worth.

#![warn(missing_docs)]

pub mod curves;
pub mod meta_train;
pub mod worlds;
