//! What other policies would have earned, from the log of one that explored.
//!
//! **What is estimated.** The mean reward of a decision when the policy in question makes it and everything before and after
//! is as it was logged: one step, in the situations that the log's own policy came to (a contextual bandit). It is not what
//! the policy would earn if it decided from the beginning: its own use of capacities and budgets would have led it into
//! other situations. A policy that learns while it decides has learned from what the log tells.
//!
//! **Where.** In the situations in which the log could have made the policy's choice, which is known of each from its
//! propensities, whatever was drawn (Crump et al. 2009 trim so). Their share is the *overlap*. Elsewhere the log shows
//! nothing, and nothing is made up: below [`LEAST_OVERLAP`] there is no estimate, nor below [`LEAST_EFFECTIVE_SIZE`].
//!
//! **How.** Inverse propensity (Horvitz and Thompson 1952), the same self-normalised (Hájek 1971; Swaminathan and Joachims
//! 2015), the direct method, and doubly robust (Dudík, Langford and Li 2011; Dudík et al. 2014) with a cross-fitted model.
//!
//! [`replay`] brings a deployment's log into [`situation::Situation`]s, [`judge`] judges a policy from them.

mod estimate;
mod interval;
mod model;
pub mod replay;
pub mod situation;

pub use estimate::{Estimates, Judged, LEAST_EFFECTIVE_SIZE, LEAST_OVERLAP, Support, judge};
