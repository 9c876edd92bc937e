//! Policies that are programs of their own: asked line by line for the choices of each turn.

mod evaluate;
mod messages;
mod play;
mod process;

pub(crate) use evaluate::{Unrecorded, evaluate_here};
pub(crate) use play::play_episodes;
pub(crate) use process::{PolicyArgs, PolicyCommand};
