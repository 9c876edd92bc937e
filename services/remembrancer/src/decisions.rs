//! Decisions: rows that SQL can ask, whose canonical JSON is the leaf.
//!
//! The wire type [`api::Decision`] is the domain type too: its canonical JSON is what is hashed, so a second
//! type could only drift from it.

mod append;
mod batch;
mod export;
mod partitions;
mod query;
mod rows;

pub use append::append;
pub(crate) use append::frontier_of;
pub use batch::Batch;
pub use export::Export;
pub use partitions::{PARTITION_ROWS, ensure_partitions};
pub use query::{Filter, at_index, in_range, list, locate, run_head};
pub use rows::{COLUMNS, CopyEncoder, Row, copy, from_row};
