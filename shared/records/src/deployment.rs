//! Components and the versions of them that were deployed.

use api::Hash;
use serde::{Deserialize, Serialize};

use crate::{Body, Kind, note::content_id};

const DEPLOYMENT: Kind = Kind {
    name: "deployment",
    description: "ai-mesh component deployment: version deployed, with evidence",
    formerly: None,
};

pub(crate) const KINDS: &[Kind] = &[DEPLOYMENT];

/// A version of a component was deployed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// What was deployed.
    pub component: String,
    /// Which version of it.
    pub version: String,
    /// Why that is right.
    pub evidence: Evidence,
}

/// The evidence for a deployment, an artifact: a test report, an approval, a build log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The artifact.
    pub sha256: Hash,
    /// Its length.
    pub size_bytes: u64,
    /// What the file was called.
    pub file_name: String,
}

impl Body for Deployment {
    const KIND: Kind = DEPLOYMENT;

    fn id(&self) -> String {
        content_id("deployment", &self.subject(), self)
    }

    fn subject(&self) -> String {
        format!("component:{}", self.component)
    }
}
