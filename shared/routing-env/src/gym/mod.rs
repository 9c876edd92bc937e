//! The environment as reinforcement-learning libraries want it: vectors in, numbers of actions out.
//!
//! A [`Space`] says what the entries of an observation and the numbers of the actions mean in an environment. A [`Play`]
//! is an episode under way: it shows a request as a vector with a mask of what is allowed, takes the number of an action,
//! and tells its reward. Nothing in a vector is hidden from other policies, and nothing here is random.

mod memory;
mod play;
mod space;
mod vector;

pub use play::{Asked, Forbidden, Play};
pub use space::Space;
