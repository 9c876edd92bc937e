//! All algorithms: one list of learners, and an algorithm with its settings as callers and files name it.
//!
//! Whatever tells or checks which learners there are and what each can be told (help texts, errors, documents) reads
//! it here.

use routing_env::{Environment, Preference};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::{Map, Value};

use crate::{
    adaptive::agent::Adaptive,
    afterstate::agent::Afterstate,
    cem::agent::Cem,
    error::SwarmError,
    knowledge::{Knowledge, KnowledgeError, Learned},
    policy::{self, Agent},
    prior::Prior,
    q_learning::agent::QLearning,
    rules::rule::Rule,
    settings::{Setting, SettingError, Settings, listed},
    team::{Team, TeamOf},
};

/// The learners.
pub static LEARNERS: [Learner; 4] = [
    Learner::of::<Adaptive>(
        "adaptive",
        "Bid prices on a learned model of demand, failures and latencies, decided by settings that rehearsals choose.",
    ),
    Learner::of::<Afterstate>(
        "afterstate",
        "Bid prices learned by temporal differences: the value of what a decision leaves of every scarce thing.",
    ),
    Learner::of::<Cem>(
        "cem",
        "The cross-entropy method: the weights of a linear score, searched for by a population of them.",
    ),
    Learner::of::<QLearning>(
        "q-learning",
        "Tabular Q-learning over what a request asks for and how scarce that is; or, as it was specified, over latency, price \
         and capacity in bins.",
    ),
];

/// The learner that is trained when nobody names another one.
pub const DEFAULT_LEARNER: &str = "adaptive";

/// Settings by name.
type Values = Map<String, Value>;

/// Pools what was learned in worlds.
type Pool = fn(&'static str, &[(&Environment, &Knowledge)]) -> Result<Value, String>;

type MadeTeam = Result<Box<dyn Team>, SwarmError>;

/// A kind of learner.
#[derive(Debug)]
pub struct Learner {
    /// Its name on the wire and in files.
    pub name: &'static str,
    /// What it is, in one sentence.
    pub summary: &'static str,
    /// What it can be told.
    pub settings: &'static [Setting],
    /// Whether its priors are for one catalog and its tenants; those of others are for any.
    pub priors_are_of_one_catalog: bool,
    revision: fn(&Values) -> u32,
    defaults: fn() -> Values,
    read: fn(&Values) -> Result<Values, Vec<SettingError>>,
    upgrade: fn(&mut Values),
    team: fn(&'static str, &Values, u32, &Environment) -> MadeTeam,
    team_with: fn(&'static str, &Values, u32, &Environment, &Prior) -> MadeTeam,
    pool: Pool,
    ways: fn() -> Vec<Value>,
    check_prior: fn(&Prior) -> Result<(), String>,
    is_guarded: bool,
    merged: fn(&'static str, &Knowledge, &Knowledge) -> Result<Knowledge, String>,
}

impl Learner {
    const fn of<L: policy::Learner>(name: &'static str, summary: &'static str) -> Self {
        Self {
            name,
            summary,
            settings: L::Settings::LIST,
            priors_are_of_one_catalog: L::OF_ONE_CATALOG,
            revision: |told| {
                let mut told = told.clone();
                L::Settings::upgrade(&mut told);
                L::revision(&L::Settings::read(&told).unwrap_or_default())
            },
            defaults: || L::Settings::default().written(),
            read: |told| L::Settings::read(told).map(|settings| settings.kept()),
            upgrade: L::Settings::upgrade,
            team: |name, settings, agents, env| {
                // an algorithm's settings have been checked when it was made
                let settings = L::Settings::read(settings).unwrap_or_default();
                Ok(Box::new(TeamOf::new(name, L::new(settings, agents, env)?, agents)))
            },
            team_with: |name, settings, agents, env, prior| {
                let settings = L::Settings::read(settings).unwrap_or_default();
                let mut agent = L::new(settings, agents, env)?;
                let (start, ways) = read_prior::<L>(prior).map_err(SwarmError::Mismatch)?;
                agent
                    .begin_with(env, start, ways)
                    .map_err(|what| SwarmError::Mismatch(format!("the prior: {what}")))?;
                Ok(Box::new(TeamOf::new(name, agent, agents)))
            },
            pool: |name, met| {
                let mut read = Vec::with_capacity(met.len());
                for (env, known) in met {
                    read.push((*env, known.read(name)?));
                }
                serde_json::to_value(L::pool(&read)?).map_err(|error| error.to_string())
            },
            ways: || L::ways().iter().map(|ways| serde_json::to_value(ways).unwrap_or_default()).collect(),
            check_prior: |prior| read_prior::<L>(prior).map(drop),
            is_guarded: L::GUARDED,
            merged: |name, one, other| {
                let mut all: <L as Agent>::Knowledge = one.read(name)?;
                all.merge(&other.read(name)?)?;
                Ok(Knowledge::of(name, &all))
            },
        }
    }

    /// The learner of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        LEARNERS.iter().find(|learner| learner.name == name)
    }

    /// What holds for worlds like these, from what an agent came to in each: what a prior begins with.
    ///
    /// # Errors
    /// Knowledge of another learner, or of another world than is said.
    pub fn pool(&self, met: &[(&Environment, &Knowledge)]) -> Result<Value, KnowledgeError> {
        (self.pool)(self.name, met).map_err(KnowledgeError)
    }

    /// The ways of learning from a prior that are tried in meta-training.
    #[must_use]
    pub fn ways(&self) -> Vec<Value> {
        (self.ways)()
    }

    /// Its settings where nothing is told.
    #[must_use]
    pub fn defaults(&self) -> Map<String, Value> {
        (self.defaults)()
    }
}

/// Counts how often the algorithm of this name has come to decide otherwise with these settings (as they were recorded) and
/// the same seeds, from 1 on: two runs of different revisions are not the same run, whatever else they have in common.
#[must_use]
pub fn revision(name: &str, settings: &Map<String, Value>) -> u32 {
    match Kind::find(name) {
        Ok(Kind::Learner(learner)) => (learner.revision)(settings),
        Ok(Kind::Rule(rule)) => rule.revision(),
        Err(_) => 1,
    }
}

/// An algorithm and all its settings: a learner's, or a hand rule, which has none.
#[derive(Clone, Debug)]
pub struct Algorithm {
    kind: Kind,
    settings: Map<String, Value>,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Learner(&'static Learner),
    Rule(Rule),
}

impl Algorithm {
    /// The algorithm of this name, told these settings; those that are left out are as by default.
    ///
    /// # Errors
    /// A name that no algorithm has (as the setting `name`), and every setting that the algorithm does not have or that
    /// is out of its range.
    pub fn new(name: &str, settings: &Map<String, Value>) -> Result<Self, Vec<SettingError>> {
        let kind = Kind::find(name)?;
        let settings = kind.read(settings)?;
        Ok(Self { kind, settings })
    }

    /// The same, as a file or a ledger has it, which an earlier version may have written: it told all settings that there
    /// were.
    ///
    /// # Errors
    /// As [`Algorithm::new`].
    pub fn of_record(name: &str, settings: &Map<String, Value>) -> Result<Self, Vec<SettingError>> {
        let mut settings = settings.clone();
        if let Kind::Learner(learner) = Kind::find(name)? {
            (learner.upgrade)(&mut settings);
        }
        Self::new(name, &settings)
    }

    /// The same, where the settings of all algorithms are told at once: those that it does not have decided nothing, and
    /// are left out. Policy files and runs of earlier versions were written so.
    ///
    /// # Errors
    /// As [`Algorithm::new`].
    pub fn of_union(name: &str, settings: &Map<String, Value>) -> Result<Self, Vec<SettingError>> {
        let known = Kind::find(name)?.settings();
        let is_known = |setting: &String| known.iter().any(|known| known.name == setting);
        let own = settings.iter().filter(|(setting, _)| is_known(setting));
        Self::of_record(name, &own.map(|(setting, value)| (setting.clone(), value.clone())).collect())
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.kind {
            Kind::Learner(learner) => learner.name,
            Kind::Rule(rule) => rule.name(),
        }
    }

    /// Its settings, in the order of the learner's list: all of them, but for those by default that earlier versions did
    /// not have.
    #[must_use]
    pub fn settings(&self) -> &Map<String, Value> {
        &self.settings
    }

    /// The rule, where it is one.
    pub(crate) fn rule(&self) -> Option<Rule> {
        match self.kind {
            Kind::Rule(rule) => Some(rule),
            Kind::Learner(_) => None,
        }
    }

    /// The learner, where it is one.
    #[must_use]
    pub fn learner(&self) -> Option<&'static Learner> {
        match self.kind {
            Kind::Learner(learner) => Some(learner),
            Kind::Rule(_) => None,
        }
    }

    /// So many agents that know nothing yet.
    pub(crate) fn team(&self, agents: u32, env: &Environment) -> Result<Box<dyn Team>, SwarmError> {
        match self.kind {
            Kind::Learner(learner) => (learner.team)(learner.name, &self.settings, agents, env),
            Kind::Rule(rule) => Ok(rule.team(agents, env, Preference::EXCESS_COST)),
        }
    }

    /// So many agents that begin with what was learned in other worlds.
    pub(crate) fn team_with(&self, prior: &Prior, agents: u32, env: &Environment) -> MadeTeam {
        match self.kind {
            Kind::Learner(learner) if learner.name == prior.algorithm => {
                (learner.team_with)(learner.name, &self.settings, agents, env, prior)
            }
            _ => Err(SwarmError::Mismatch(format!(
                "expected a prior of {}, found one of {}: a prior is for the learner that it was learned by",
                self.name(),
                prior.algorithm
            ))),
        }
    }

    /// Whether a prior of it has to be guarded against.
    pub(crate) fn is_guarded(&self) -> bool {
        matches!(self.kind, Kind::Learner(learner) if learner.is_guarded)
    }

    /// Whether its agents are of regions.
    pub(crate) fn is_by_region(&self) -> bool {
        self.settings.get("regions").is_some_and(|regions| regions["enabled"] == true)
    }

    pub(crate) fn merge_every(&self) -> u64 {
        self.settings.get("merge_every").and_then(Value::as_u64).unwrap_or_default()
    }
}

impl Knowledge {
    /// Adds what another agent has learned, by the law of the learner.
    ///
    /// # Errors
    /// When it is of another learner, or of another catalog.
    pub fn merge(&mut self, other: &Self) -> Result<(), KnowledgeError> {
        let learner = self.learner()?;
        *self = (learner.merged)(learner.name, self, other).map_err(KnowledgeError)?;
        Ok(())
    }

    fn learner(&self) -> Result<&'static Learner, KnowledgeError> {
        Learner::find(&self.algorithm).ok_or_else(|| {
            KnowledgeError(format!("expected the knowledge of {}, found `{}`", learners(), self.algorithm))
        })
    }
}

impl From<Rule> for Algorithm {
    fn from(rule: Rule) -> Self {
        Self { kind: Kind::Rule(rule), settings: Map::new() }
    }
}

impl PartialEq for Algorithm {
    fn eq(&self, other: &Self) -> bool {
        (self.name(), &self.settings) == (other.name(), &other.settings)
    }
}

impl Serialize for Algorithm {
    /// One object: `name`, and the settings beside it.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut all = Map::new();
        all.insert("name".into(), self.name().into());
        all.extend(self.settings.clone());
        all.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Algorithm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut all = Map::deserialize(deserializer)?;
        let Some(Value::String(name)) = all.remove("name") else {
            return Err(D::Error::custom("expected an algorithm's `name`"));
        };
        Self::of_record(&name, &all).map_err(|errors| {
            let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
            D::Error::custom(told.join("; "))
        })
    }
}

impl Kind {
    fn find(name: &str) -> Result<Self, Vec<SettingError>> {
        let rule = || name.parse().ok().map(Self::Rule);
        Learner::find(name)
            .map(Self::Learner)
            .or_else(rule)
            .ok_or_else(|| vec![SettingError { setting: "name".into(), expected: algorithms() }])
    }

    fn settings(self) -> &'static [Setting] {
        match self {
            Self::Learner(learner) => learner.settings,
            Self::Rule(_) => &[],
        }
    }

    fn read(self, told: &Map<String, Value>) -> Result<Map<String, Value>, Vec<SettingError>> {
        match self {
            Self::Learner(learner) => (learner.read)(told),
            Self::Rule(rule) => {
                let refused = |name: &String| SettingError {
                    setting: name.clone(),
                    expected: format!("no setting: the hand rule {rule} has none"),
                };
                let refused: Vec<_> = told.keys().map(refused).collect();
                if refused.is_empty() { Ok(Map::new()) } else { Err(refused) }
            }
        }
    }
}

impl Prior {
    /// Reads a file.
    ///
    /// # Errors
    /// When it is not a prior of this version, of a learner that there is and that it fits.
    pub fn parse(bytes: &[u8]) -> Result<Self, SwarmError> {
        let prior = Self::read(bytes)?;
        let learner = Learner::find(&prior.algorithm).ok_or_else(|| {
            Self::refused(&format!("expected one of {}, found one of `{}`", learners(), prior.algorithm))
        })?;
        (learner.check_prior)(&prior).map_err(|what| Self::refused(&what))?;
        Ok(prior)
    }
}

/// What a prior says to this learner.
fn read_prior<L: policy::Learner>(prior: &Prior) -> Result<(L::Start, L::Ways), String> {
    let start = json_input::from_value(&prior.start).map_err(|error| format!("start: {error}"))?;
    let ways = json_input::from_value(&prior.learning).map_err(|error| format!("learning: {error}"))?;
    Ok((start, ways))
}

/// The names of all learners in words: `a, b or c`.
#[must_use]
pub fn learners() -> String {
    listed(&LEARNERS.each_ref().map(|learner| learner.name), "or")
}

/// The names of all algorithms, in words.
#[must_use]
pub fn algorithms() -> String {
    format!("a learner ({}) or a hand rule ({})", learners(), Rule::names())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Range;

    #[test]
    fn every_learner_lists_the_settings_of_its_type_and_each_has_its_default_in_range() {
        fn fits(list: &[Setting], defaults: &Map<String, Value>) {
            assert!(list.iter().map(|setting| setting.name).eq(defaults.keys()), "{defaults:?}");
            for setting in list {
                let default = &defaults[setting.name];
                assert!(setting.range.contains(default), "{}: {default}", setting.name);
                assert!(!setting.doc.is_empty());
                if let (Range::Group(list), Value::Object(defaults)) = (setting.range, default) {
                    fits(list, defaults);
                }
            }
        }
        for learner in &LEARNERS {
            fits(learner.settings, &learner.defaults());
        }
    }
}
