//! The service over HTTP, in process, with a stand-in for the remembrancer.

#![allow(clippy::unwrap_used)] // all of it is test code, the helpers too

mod existing;
mod recovery;
mod support;
mod swarms;
