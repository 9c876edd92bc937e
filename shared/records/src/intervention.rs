//! What psi-field ordered in a swarm.

use api::{
    psi_field::{InterventionRecord, InterventionStatus},
    remembrancer::Record,
};
use serde::{Deserialize, Serialize};

use crate::{Body, Kind, psi};

const INTERVENTION: Kind =
    Kind { name: "intervention", description: "psi-field intervention in a swarm of agents", formerly: None };

pub(crate) const KINDS: &[Kind] = &[INTERVENTION];

/// An intervention came to stand where its status says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Intervention {
    /// The swarm, which only the record's subject names.
    #[serde(skip)]
    pub swarm: String,
    /// The command, and what became of it.
    #[serde(flatten)]
    pub record: InterventionRecord,
}

impl Body for Intervention {
    const KIND: Kind = INTERVENTION;

    fn id(&self) -> String {
        let status = match self.record.status {
            InterventionStatus::Issued => "issued",
            InterventionStatus::Acknowledged => "acknowledged",
            InterventionStatus::Assessed => "assessed",
            InterventionStatus::Expired => "expired",
        };
        format!("{}:{status}", self.record.intervention.id)
    }

    fn subject(&self) -> String {
        psi::subject(&self.swarm)
    }

    fn complete(&mut self, record: &Record) {
        self.swarm = psi::swarm_of(&record.subject).to_owned();
    }
}
