//! Decisions: rows that SQL can ask, whose canonical JSON is the leaf.
//!
//! The wire type [`api::Decision`] is the domain type too: its canonical JSON is what is hashed, so a second
//! type could only drift from it.

mod batch;
mod deletion;
mod export;
mod partitions;
mod query;
mod rows;
mod runs;

pub use batch::Batch;
pub use deletion::{Wish, delete, deleted_at, sweep};
pub use export::Export;
pub use partitions::{PARTITION_ROWS, ensure_partitions};
pub use query::{Filter, at_index, in_range, list, locate, run_head};
pub use rows::{COLUMNS, CopyEncoder, Row, copy, from_row};
pub(crate) use runs::{Runs, Taken, frontier_of};
