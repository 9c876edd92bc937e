//! The physical limit: what a clairvoyant that knows all requests of a step beforehand could do at best.
//!
//! A [`StepProblem`] is one step of an episode as a linear program; its [`Limit`] bounds every policy from
//! above (in reward and fill) and from below (in cost and latency at that fill). The same program over
//! expected requests gives bid prices: [`Prices`]. Pure and deterministic.

mod allocation;
mod assignment;
mod limit;
mod problem;
mod solve;

pub use allocation::{AllocationError, Demand, Prices, Use};
pub use assignment::assign;
pub use limit::{Best, Limit};
pub use problem::StepProblem;
