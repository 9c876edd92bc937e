//! The wire types of AI Mesh's four services: what travels as JSON over HTTP.
//!
//! Nothing here computes. Services convert these types into their own domain types at the edge
//! (`routes/`), so that a change on the wire and a change in the domain stay two changes. Field
//! names carry their units; hashes are lowercase hex; times are RFC 3339 in UTC.

#![warn(missing_docs)]

pub mod deployments;
pub mod evaluator;
pub mod policies;
pub mod psi_field;
pub mod remembrancer;
pub mod trainer;

mod common;
mod json_object;
mod preference;

pub use common::{FieldError, Format, Hash, Page, PageQuery, Problem};
pub use json_object::MAX_DEPTH;
pub use preference::{HighestFigures, LowestFigures, PreferenceName, PreferenceSpec, PreferenceWeights};

/// Seeds and counters travel in JSON, whose numbers are exact only below 2^53 (RFC 8785, 3.2.2.3).
pub const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// The first seed that is held out for evaluation; training seeds stay below it.
pub const FIRST_HELD_OUT_SEED: u64 = 1 << 32;

/// Seconds for which a service keeps a connection on which no request comes, unless it is set otherwise. Its clients give the
/// connection up well before: a request that is sent while the service closes it gets no answer.
pub const KEEP_ALIVE_SECONDS: u64 = 30;

/// What the `Server` header of every service's answers begins with; its name, `/` and its version follow.
pub const SERVER_PREFIX: &str = "ai-mesh-";
