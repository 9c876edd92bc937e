//! Which build this is.

/// The version, and the commit that it was built from, where that is known.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), env!("AI_MESH_BUILD"));

/// The version alone.
pub(crate) const NUMBER: &str = env!("CARGO_PKG_VERSION");

/// The commit; builds for debugging do not know it (`build.rs` says why).
pub(crate) const COMMIT: Option<&str> = option_env!("AI_MESH_COMMIT");
