//! What tables of providers and tenants are for.

use routing_env::Environment;
use serde::{Deserialize, Serialize};

/// The names that a policy's tables refer to, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fingerprint {
    /// The catalog's provider ids.
    pub providers: Vec<String>,
    /// The workloads' tenant ids.
    pub tenants: Vec<String>,
}

impl Fingerprint {
    /// That of an environment.
    #[must_use]
    pub fn of(env: &Environment) -> Self {
        Self {
            providers: env.catalog().providers.iter().map(|p| p.id.clone()).collect(),
            tenants: env.workloads().tenants.iter().map(|t| t.id.clone()).collect(),
        }
    }
}
