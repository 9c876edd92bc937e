//! What an agent has learned, as data: it can be written, read elsewhere, and merged with what another one learned.
//!
//! Each kind of learner states the law by which two are merged. All of them are commutative and associative (to the
//! last bits of a sum), and what knows nothing changes nothing, so that it does not matter in which order, or in which
//! groups, the knowledge of many is brought together. None is idempotent: what is merged twice counts twice.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

/// What one agent has learned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Written")]
pub struct Knowledge {
    /// The learner's name; empty where it was written before names and versions were.
    pub algorithm: String,
    /// The version of the form in which it is written.
    pub version: u32,
    /// What was learned; equal knowledge is equal JSON.
    pub learned: Value,
}

/// Why knowledge cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KnowledgeError(pub(crate) String);

impl Knowledge {
    pub(crate) fn of<L: Learned>(algorithm: &'static str, known: &L) -> Self {
        let learned = serde_json::to_value(known).unwrap_or_default();
        Self { algorithm: algorithm.into(), version: known.version(), learned }
    }

    /// Reads it as a learner's of this name.
    ///
    /// # Errors
    /// Says what does not fit.
    pub(crate) fn read<L: Learned>(&self, algorithm: &str) -> Result<L, String> {
        if !self.algorithm.is_empty() && self.algorithm != algorithm {
            return Err(format!("expected what {algorithm} has learned, found that of {}", self.algorithm));
        }
        let told = |what| format!("the agent's knowledge: {what}");
        if let Some(figure) = beyond_reckoning(&self.learned) {
            return Err(told(format!("expected figures up to {MOST:e} in size, found {figure}")));
        }
        L::read(self.version, &self.learned).map_err(told)
    }
}

/// No learner comes to figures of this size, and products of them would be none any more.
const MOST: f64 = 1e30;

/// A figure that is too large to be reckoned with.
fn beyond_reckoning(learned: &Value) -> Option<f64> {
    match learned {
        Value::Number(number) => number.as_f64().filter(|figure| figure.abs() > MOST),
        Value::Array(items) => items.iter().find_map(beyond_reckoning),
        Value::Object(members) => members.values().find_map(beyond_reckoning),
        _ => None,
    }
}

/// What a kind of learner knows, as a type.
pub(crate) trait Learned: Serialize + DeserializeOwned {
    /// The version of the form that it writes.
    const VERSION: u32;

    /// The version of the form in which this is written, where there are several kinds.
    fn version(&self) -> u32 {
        Self::VERSION
    }

    /// Adds what another one knows.
    ///
    /// # Errors
    /// When it is of another catalog.
    fn merge(&mut self, other: &Self) -> Result<(), String>;

    /// Reads what was written in a form of this version.
    ///
    /// # Errors
    /// Says what does not fit.
    fn read(version: u32, learned: &Value) -> Result<Self, String> {
        if version != Self::VERSION {
            return Err(format!("expected version {}, found {version}", Self::VERSION));
        }
        Self::deserialize(learned).map_err(|error| error.to_string())
    }
}

/// That of hand rules: nothing.
impl Learned for () {
    const VERSION: u32 = 1;

    fn merge(&mut self, (): &Self) -> Result<(), String> {
        Ok(())
    }
}

/// The mean of two means, each of so many, weighted by their numbers. Equal means stay what they are, to the last bit.
pub(crate) fn weighted_mean((mean, weight): (f64, f64), (other, other_weight): (f64, f64)) -> f64 {
    let all = weight + other_weight;
    if other_weight > 0.0 { mean + other_weight / all * (other - mean) } else { mean }
}

/// Knowledge as it is written: in policy files and checkpoints of the first version it stood alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Named(Named),
    Alone(Value),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    algorithm: String,
    version: u32,
    learned: Value,
}

impl From<Written> for Knowledge {
    fn from(written: Written) -> Self {
        match written {
            Written::Named(Named { algorithm, version, learned }) => Self { algorithm, version, learned },
            Written::Alone(learned) => Self { algorithm: String::new(), version: 1, learned },
        }
    }
}
