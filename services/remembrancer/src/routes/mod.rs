//! One file per resource: extract, call one domain function, map the answer.

mod artifacts;
mod decisions;
mod export;
mod leases;
mod log;
mod page;
mod records;
mod tiles;
mod verify;
mod witness;

use utoipa_axum::router::OpenApiRouter;

use crate::{Config, state::AppState};

/// Every route of the service, to be given its state.
pub(crate) fn routes(config: &Config) -> OpenApiRouter<AppState> {
    let routes = OpenApiRouter::new()
        .merge(decisions::routes(config.batch_limit_bytes))
        .merge(records::routes())
        .merge(artifacts::routes(config.artifact_limit_bytes))
        .merge(leases::routes())
        .merge(log::routes())
        .merge(verify::routes())
        .merge(tiles::routes())
        .merge(witness::routes());
    service_kit::with_tags(routes, &TAGS)
}

/// The routes that need no key: those of other logs, whose signature is what counts.
pub(crate) fn open() -> OpenApiRouter<AppState> {
    witness::open()
}

/// In the order in which somebody meets them: what is recorded, then how it is proved.
const TAGS: [(&str, &str); 7] = [
    ("decisions", "Every decision of every run: recorded in batches, found again"),
    ("records", "Runs, evaluations, deployments and notes"),
    ("artifacts", "Files by their SHA-256: checkpoints, policies, reports"),
    ("leases", "Who works on what: claimed, renewed, given back"),
    ("log", "The log's checkpoints, and proofs that something is in it"),
    ("tiles", "The same log as C2SP tiles, for monitors and mirrors"),
    ("witness", "This node as a witness of other logs (C2SP tlog-witness)"),
];
