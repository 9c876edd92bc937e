//! What a simulation leaves: rows of every decision and step, and a summary.

pub(crate) mod rows;
pub(crate) mod summary;
