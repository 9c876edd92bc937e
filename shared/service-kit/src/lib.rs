//! What every service shares, so that all four behave alike: configuration, logs, metrics,
//! problem+json, keys, limits, traces, health, documents, the command line and shutdown.
//!
//! A service is its routes, its readiness and one call of [`app`]; `main.rs` is one call of [`cli::main`].

mod accept;
pub mod api_keys;
mod app;
mod auth;
mod boundary;
mod build;
pub mod cli;
mod conditional;
mod config;
mod connections;
mod cors;
mod disk;
mod docs;
mod encoding;
mod error;
mod extract;
mod healthcheck;
mod hosts;
mod limits;
mod metrics;
mod openapi;
mod operations;
mod problems;
mod rate;
mod run;
mod scopes;
mod server;
mod settings;
pub mod telemetry;
mod unreadable;

use std::{future::Future, pin::Pin};

pub use accept::{Lines, preferred};
pub use api_keys::Scope;
pub use app::{Routes, app};
pub use boundary::{AsSpecified, Routine};
pub use build::VERSION;
pub use conditional::{Wanted, wanted};
pub use config::{
    ConfigError, HttpConfig, check_parts, load_config, load_config_from, load_part_from, parse_address,
};
pub use disk::free_bytes;
pub use error::{ApiError, ApiResult};
pub use extract::{
    Content, IdempotencyKey, Json, Parsed, Path, Query, cursor, invalid_parameter, invalid_request, page,
};
pub use limits::{BodyLimit, BodyLimited, body_limit};
pub use metrics::Metrics;
pub use openapi::{ServiceInfo, list_names, list_values, openapi, set_schema, with_tags};
pub use operations::Readiness;
pub use run::run;
pub use server::{App, BindError, Deadlines, bind, ignores_hangup, listen, serve, shutdown_signal};
pub use settings::{Setting, settings};

/// A future on the heap.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
