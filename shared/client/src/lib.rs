//! Typed clients of the four services over [`api`], the [`Ledger`], and the durable decision recorder.
//!
//! Every call has a time limit and an error that says whether trying again can help
//! ([`ClientError::is_transient`]); [`retry_while_transient`] does so until it succeeds. The [`Ledger`] is how services use
//! the remembrancer: it asks until a [`Deadline`]. The [`Recorder`] carries decisions from a computing thread to the
//! remembrancer without losing or reordering one.
//! A [`WatchedLog`] is the remembrancer's log read without trust in it.
//! A [`Witness`] cosigns a log's checkpoints, and a [`feeder::WitnessFeeder`] brings them there and the cosignatures back.
//! A [`HeldLease`] keeps other processes away from work while this one does it.
//! Calls carry the W3C trace context and the id of the request in whose task they are made.

#![warn(missing_docs)]

mod connection;
mod deployments;
mod endpoint;
mod environments;
mod error;
mod evaluator;
mod events;
pub mod feeder;
mod held_lease;
mod ledger;
mod policies;
mod psi_field;
mod recorder;
mod remembrancer;
mod retry;
mod trainer;
pub mod watched_log;
mod witness;

pub use api::PageQuery;
pub use connection::ready;
pub use endpoint::Endpoint;
pub use error::{ClientError, ServiceProblem};
pub use evaluator::Evaluator;
pub use events::RunEvents;
pub use held_lease::HeldLease;
pub use ledger::{Bodies, Deadline, Entry, History, Ledger, LedgerError, Records, body_of};
pub use psi_field::PsiField;
pub use recorder::{RecordError, Recorder, RecorderOptions};
pub use remembrancer::{Export, Remembrancer};
pub use retry::{Wait, retry_while_transient};
pub use trainer::Trainer;
pub use watched_log::WatchedLog;
pub use witness::{Witness, WitnessAnswer};
