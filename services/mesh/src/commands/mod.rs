//! The commands, one file each.

pub(crate) mod evaluate;
pub(crate) mod simulate;
pub(crate) mod train;
pub(crate) mod up;
pub(crate) mod verify;
