//! What `q-learning` knows: what an agent of either state does. Each says by which law two are merged.

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::Value;

use crate::{
    knowledge::Learned,
    q_learning::{request::knowledge as request, settings::State, specified::knowledge as specified},
};

/// What it has learned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Knowledge {
    Request(request::Knowledge),
    Specified(specified::Knowledge),
}

/// What going on needs beside it.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Progress {
    Request(request::Progress),
    Specified(specified::Progress),
}

impl<'de> Deserialize<'de> for Progress {
    /// By the field that only one of them has: serde's own way with untagged enums cannot read maps by number.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Value::deserialize(deserializer)?;
        let read = if written.get("fresh").is_some() {
            Deserialize::deserialize(written).map(Self::Request)
        } else {
            Deserialize::deserialize(written).map(Self::Specified)
        };
        read.map_err(D::Error::custom)
    }
}

impl Knowledge {
    fn state(&self) -> State {
        match self {
            Self::Request(_) => State::Request,
            Self::Specified(_) => State::Specified,
        }
    }

    /// What is wrong with it where an agent of this state is to have it.
    pub(crate) fn is_not_of(&self, expected: State) -> String {
        format!("expected what was learned with the state `{expected}`, found `{}`", self.state())
    }
}

impl Learned for Knowledge {
    const VERSION: u32 = request::Knowledge::VERSION;

    fn version(&self) -> u32 {
        match self {
            Self::Request(own) => own.version(),
            Self::Specified(own) => own.version(),
        }
    }

    fn merge(&mut self, other: &Self) -> Result<(), String> {
        match (self, other) {
            (Self::Request(own), Self::Request(other)) => own.merge(other),
            (Self::Specified(own), Self::Specified(other)) => own.merge(other),
            (own, other) => Err(other.is_not_of(own.state())),
        }
    }

    fn read(version: u32, learned: &Value) -> Result<Self, String> {
        if version == Self::VERSION {
            return request::Knowledge::read(version, learned).map(Self::Request);
        }
        specified::Knowledge::read(version, learned).map(Self::Specified)
    }
}
