//! Black-box tests over all four services, and the rules of the architecture.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod architecture;
mod contract;
mod curl_walk;
mod documents;
mod errors;
mod examples;
mod fakes;
mod federation;
mod market;
mod metrics;
mod modules;
mod observability;
mod off_policy;
mod openapi;
mod rolling;
mod services;
mod support;
