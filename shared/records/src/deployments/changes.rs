//! Changes of a deployment's champion: what was promoted and rolled back, and with which figures.

use api::deployments::Comparison;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::subject;
use crate::{Body, Kind};

pub(super) const PROMOTED: Kind = Kind {
    name: "deployment.promoted",
    description: "challenger that became a deployment's champion, why, and with which figures",
    formerly: None,
};
pub(super) const ROLLED_BACK: Kind = Kind {
    name: "deployment.rolled-back",
    description: "challenger of a deployment that was rolled back, why, and with which figures",
    formerly: None,
};

/// Why the policies that decide were changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Somebody asked for it.
    ByHand,
    /// It earns more than the champion, beyond doubt.
    EarnsMore,
    /// It earns less than the champion, beyond doubt.
    EarnsLess,
    /// More of its jobs fail than may, beyond doubt.
    FailureRate,
    /// Its jobs take longer than they may, beyond doubt.
    Latency,
    /// Its jobs cost more than they may, beyond doubt.
    Cost,
}

/// A change: what happened, and with which figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The deployment.
    pub deployment_id: Uuid,
    /// Which change of it, from 0.
    pub number: u64,
    /// The arm that was promoted or rolled back.
    pub arm: u32,
    /// Its policy.
    pub policy_id: Uuid,
    /// The arm that is the champion from now on.
    pub champion: u32,
    /// Why.
    pub cause: Cause,
    /// What somebody said who asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The sequence number of the first decision after it.
    pub next_sequence: u64,
    /// The canary beside the champion, at that moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
}

/// A challenger was promoted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Promoted(pub Change);

/// A challenger was rolled back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RolledBack(pub Change);

impl Change {
    fn id(&self) -> String {
        format!("{}:change:{}", self.deployment_id, self.number)
    }
}

impl Body for Promoted {
    const KIND: Kind = PROMOTED;

    fn id(&self) -> String {
        self.0.id()
    }

    fn subject(&self) -> String {
        subject(self.0.deployment_id)
    }
}

impl Body for RolledBack {
    const KIND: Kind = ROLLED_BACK;

    fn id(&self) -> String {
        self.0.id()
    }

    fn subject(&self) -> String {
        subject(self.0.deployment_id)
    }
}
