//! Witnesses: what this one has cosigned of other logs, and what others cosigned of this one.

use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Hash;

/// This node as a witness of other logs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Witness {
    /// The key that its cosignatures are verified with (C2SP tlog-cosignature): `name+id+base64`. Absent when it is no
    /// witness.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verifier_key: Option<String>,
    /// The logs whose checkpoints it cosigns.
    pub logs: Vec<WitnessedLog>,
}

/// A log that is witnessed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WitnessedLog {
    /// The log's verifier key, `name+id+base64`; its name is the log's origin.
    pub verifier_key: String,
    /// The last checkpoint that was cosigned; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cosigned: Option<TreeHead>,
}

/// A tree by its size and its root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TreeHead {
    /// How many leaves.
    pub tree_size: u64,
    /// The root over them.
    pub root_hash: Hash,
}

/// A checkpoint of this log with the cosignatures that witnesses gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct CosignedCheckpoint {
    /// The signed note, and behind its last line those of the witnesses, as they answered them.
    #[garde(length(bytes, min = 1, max = 100_000))]
    #[schema(min_length = 1, max_length = 100_000)]
    pub checkpoint: String,
}

/// What this log has of a checkpoint's cosignatures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Cosignatures {
    /// The checkpoint's size.
    pub tree_size: u64,
    /// Its root.
    pub root_hash: Hash,
    /// The witnesses of the trust policy that cosigned it, in the policy's order.
    pub cosigned_by: Vec<CosignedBy>,
    /// Whether they are enough for the trust policy.
    pub quorum: bool,
}

/// One witness's cosignature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CosignedBy {
    /// What the trust policy calls the witness.
    pub witness: String,
    /// Its verifier key.
    pub verifier_key: String,
    /// When it cosigned, in seconds since 1970, as it says.
    pub time: u64,
}
