//! Decisions that are answered before they are in the ledger.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// When a call for decisions is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// Once its decisions are in the ledger.
    #[default]
    Ledger,
    /// At once, with a signed promise that they will be: they are in a synced journal of the trainer, which appends them.
    /// The trainer needs a folder of its own (`data_dir`), and no other one serves the deployment while a promise may be open.
    Promise,
}

impl Durability {
    /// Whether it is the usual one, which is not written.
    #[must_use]
    pub fn is_ledger(&self) -> bool {
        *self == Self::Ledger
    }
}

/// A promise that decisions will be in the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PromisedDecisions {
    /// A signed note (C2SP signed-note): the log, the stream, each decision's sequence number and leaf hash, and by when. `mesh
    /// verify --promise` checks whether it was kept.
    #[schema(
        example = "ai-mesh-promise/1\nlog ai-mesh/log\ndeployment gateway\nrun 29a7…\nby 1796000000000\nleaf 0 3f1c…\n\n\u{2014} ai-mesh/promises/5f0c AbCd…\n"
    )]
    pub note: String,
    /// By when they are in the ledger: a second from now, or an hour from now while the ledger is away or behind.
    pub in_log_by: DateTime<Utc>,
    /// The key that it is signed with (`name+id+base64`); the ledger's record `deployment.opened` has it too.
    #[schema(example = "ai-mesh/promises/5f0c+1d0c7c55+AbCd…")]
    pub key: String,
}

/// Where the promises of a deployment stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PromiseStatus {
    /// The key that they are signed with.
    #[schema(example = "ai-mesh/promises/5f0c+1d0c7c55+AbCd…")]
    pub key: String,
    /// Decisions and records that are in the trainer's journal, and not in the ledger yet.
    pub outstanding: u64,
    /// As many may be: calls are answered with 503 beyond that.
    pub most: u64,
    /// Whether the ledger is away or behind, so that promises are given for an hour.
    pub is_behind: bool,
}
