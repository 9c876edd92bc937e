//! Leases: who works on what, and the tokens that keep out who worked on it before.

use chrono::{DateTime, Utc};
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A lease as the ledger has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Lease {
    /// What it is for, e.g. `run:0198…`.
    #[schema(example = "run:0198c7a0-12ab-7abc-8def-0123456789ab")]
    pub name: String,
    /// Who claimed it last; absent when it was given back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "trainer-1")]
    pub holder: Option<String>,
    /// The fencing token of the last claim. Each claim gets a greater one.
    #[schema(example = 1)]
    pub token: u64,
    /// When it runs out, or when it was given back, by the database's clock.
    pub expires_at: DateTime<Utc>,
    /// True while nobody else can claim it, by the database's clock as of this answer.
    pub held: bool,
}

/// Who claims a lease, and for how long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct LeaseClaim {
    /// The process that will work under it, unique among all that claim leases.
    #[garde(length(bytes, min = 1, max = 200), custom(crate::common::without_nul))]
    #[schema(min_length = 1, max_length = 200, example = "trainer-1")]
    pub holder: String,
    /// How long it lasts unless it is renewed, in ms, 100 to 3,600,000.
    #[garde(range(min = 100, max = 3_600_000))]
    #[schema(minimum = 100, maximum = 3_600_000, example = 15_000)]
    pub ttl_ms: u32,
}

/// Which claim is renewed, and for how long from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct LeaseRenewal {
    /// The claim's token.
    #[garde(range(min = 1, max = crate::MAX_SAFE_INTEGER))]
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 1)]
    pub token: u64,
    /// How long it lasts from now on, in ms, 100 to 3,600,000.
    #[garde(range(min = 100, max = 3_600_000))]
    #[schema(minimum = 100, maximum = 3_600_000, example = 15_000)]
    pub ttl_ms: u32,
}

/// Which claim is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct LeaseRelease {
    /// The claim's token.
    #[garde(range(min = 1, max = crate::MAX_SAFE_INTEGER))]
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 1)]
    pub token: u64,
}

/// Which leases to list, in the order of their names. All filters must match.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams, Validate)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LeaseQuery {
    /// Only leases whose name begins so, e.g. `run:`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(bytes, min = 1, max = 200), custom(crate::common::without_nul)))]
    #[param(min_length = 1, max_length = 200, example = "run:")]
    pub prefix: Option<String>,
    /// Only leases of this holder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(bytes, min = 1, max = 200), custom(crate::common::without_nul)))]
    #[param(min_length = 1, max_length = 200)]
    pub holder: Option<String>,
    /// True: only leases that nobody else can claim now; false: only those that can be claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub held: Option<bool>,
    /// Items a page, 1 to 1000 (default 100).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1, max = 1000)))]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
    /// Where the page starts: `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub cursor: Option<String>,
}

/// What proves that an append comes from who holds the lease now: both parts, or neither.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams, Validate)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FenceQuery {
    /// The lease that this is written under. With it, and `token`, the append is refused (`lease_lost`) unless the
    /// lease's last claim has this token and was not given back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(bytes, min = 1, max = 200), custom(crate::common::without_nul)))]
    #[param(min_length = 1, max_length = 200, example = "run:0198c7a0-12ab-7abc-8def-0123456789ab")]
    pub lease: Option<String>,
    /// The token that its claim was answered with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1, max = crate::MAX_SAFE_INTEGER)))]
    #[param(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    pub token: Option<u64>,
}

/// A lease's name and the token of one claim of it: what appends carry ([`FenceQuery`]).
///
/// Martin Kleppmann, "How to do distributed locking" (2016), "Making the lock safe with fencing".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The lease's name.
    pub lease: String,
    /// The claim's token.
    pub token: u64,
}

impl From<&Fence> for FenceQuery {
    fn from(fence: &Fence) -> Self {
        Self { lease: Some(fence.lease.clone()), token: Some(fence.token) }
    }
}
