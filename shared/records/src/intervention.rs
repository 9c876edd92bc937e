//! What psi-field ordered in a swarm.

use api::{psi_field::InterventionRecord, remembrancer::Record};
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
        format!("{}:{}", self.record.intervention.id, self.record.status.name())
    }

    fn subject(&self) -> String {
        psi::subject(&self.swarm)
    }

    fn complete(&mut self, record: &Record) {
        self.swarm = psi::swarm_of(&record.subject).to_owned();
    }
}
