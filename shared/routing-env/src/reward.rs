//! Rewards: what a request earns, and what the team earns over the rest of a step.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    metrics::Resolution,
    preference::{ExcessCost, Outcome, Preference, Preferences},
};

/// What is learned from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reward {
    /// Per request: the product of its outcome with these weights; `excess-cost` is [`Preference::EXCESS_COST`].
    Preference(Preference),
    /// Per window: `0.5·(100·fill) − 0.3·(10·avg_cost_usd) − 0.2·(avg_latency_ms/10)`. It pays for
    /// dropping expensive jobs.
    Seed,
}

impl Reward {
    /// Mean over a step of what [`Preference::EXCESS_COST`] says of each request.
    pub const EXCESS_COST: Self = Self::Preference(Preference::EXCESS_COST);

    /// Those that have a name on the wire.
    pub const NAMED: [(&'static str, Self); 2] = [("excess-cost", Self::EXCESS_COST), ("seed", Self::Seed)];

    /// What it pays for, in one sentence.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::Preference(_) => {
                "Each request that is served, less what it cost beyond the list price and the latency that it met."
            }
            Self::Seed => {
                "The share of requests that is served, less the mean cost and latency of those: it pays for dropping \
                 expensive jobs."
            }
        }
    }

    /// Its weights, where it has such.
    #[must_use]
    pub fn preference(self) -> Option<Preference> {
        match self {
            Self::Preference(preference) => Some(preference),
            Self::Seed => None,
        }
    }

    /// A request's own reward. For `seed` it is the request's share where all are routed.
    #[must_use]
    pub fn of_request(self, resolution: &Resolution) -> f64 {
        let outcome = resolution.outcome();
        match (self, resolution.routed()) {
            (Self::Preference(preference), _) => preference.reward(&outcome),
            (Self::Seed, None) => 0.0,
            (Self::Seed, Some(routed)) => {
                let excess_cost = ExcessCost::of_bill(routed.cost, 0.0); // it knows no list price
                Preference::EXCESS_COST.reward(&Outcome { excess_cost, ..outcome })
            }
        }
    }

    /// The team's reward of each turn: the swarm's over the rest of the step, its own included.
    ///
    /// `turns` are those of [`crate::StepOutcome`]: `None` where a turn deferred its request (which is
    /// then resolved at a later turn). The answer has one reward a turn.
    pub fn of_team(self, turns: &[(usize, Option<Resolution>)], into: &mut Vec<f64>) {
        into.clear();
        into.resize(turns.len(), 0.0);
        let mut rest = Rest::default();
        for ((_, turn), reward) in turns.iter().zip(into.iter_mut()).rev() {
            if let Some(resolution) = turn {
                rest.add(self, resolution);
            }
            *reward = rest.reward(self);
        }
    }

    /// The `seed` formula over a window.
    #[must_use]
    pub fn seed_formula(fill: f64, avg_cost_usd: f64, avg_latency_ms: f64) -> f64 {
        0.5 * (100.0 * fill) - 0.3 * (10.0 * avg_cost_usd) - 0.2 * (avg_latency_ms / 10.0)
    }
}

/// Sums over the rest of a step.
#[derive(Default)]
struct Rest {
    requests: f64,
    routed: f64,
    rewards: f64,
    cost: f64,
    latency_ms: f64,
}

impl Rest {
    fn add(&mut self, reward: Reward, resolution: &Resolution) {
        self.requests += 1.0;
        self.rewards += reward.of_request(resolution);
        if let Some(routed) = resolution.routed() {
            self.routed += 1.0;
            self.cost += routed.cost;
            self.latency_ms += routed.latency_ms;
        }
    }

    fn reward(&self, reward: Reward) -> f64 {
        if self.requests == 0.0 {
            return 0.0;
        }
        match reward {
            Reward::Preference(_) => self.rewards / self.requests,
            Reward::Seed => {
                let routed = self.routed.max(1.0);
                Reward::seed_formula(
                    self.routed / self.requests,
                    self.cost / routed,
                    self.latency_ms / routed,
                )
            }
        }
    }
}

/// What requests are paid by where tenants may want something of their own.
#[derive(Clone, Debug, PartialEq)]
pub struct Rewards {
    /// Of the requests of tenants that have no preference of their own.
    pub all: Reward,
    /// Each tenant's own preference, in file order; where it ends, the tenants have none.
    pub tenants: Vec<Preference>,
}

impl Rewards {
    /// A request's own reward.
    #[must_use]
    pub fn of_request(&self, resolution: &Resolution) -> f64 {
        let own = self.tenants.get(resolution.tenant).copied().map(Reward::Preference);
        own.unwrap_or(self.all).of_request(resolution)
    }
}

impl Rewards {
    /// What is wanted by them; `None` where a reward has no weights.
    #[must_use]
    pub fn preferences(&self) -> Option<Preferences> {
        Some(Preferences { all: self.all.preference()?, tenants: self.tenants.clone() })
    }
}

impl From<Preferences> for Rewards {
    fn from(Preferences { all, tenants }: Preferences) -> Self {
        Self { all: Reward::Preference(all), tenants }
    }
}

impl From<Reward> for Rewards {
    fn from(all: Reward) -> Self {
        Self { all, tenants: Vec::new() }
    }
}

impl Default for Reward {
    fn default() -> Self {
        Self::EXCESS_COST
    }
}

/// Its name, or its weights where it has none.
impl fmt::Display for Reward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (Self::NAMED.iter().find(|(_, named)| named == self), self) {
            (Some((name, _)), _) => f.write_str(name),
            (None, Self::Preference(Preference { request, gpu_hour, cost, latency })) => write!(
                f,
                "{request} a request, {gpu_hour} a GPU-hour, -{cost} a USD of excess cost, -{latency} a ms"
            ),
            (None, Self::Seed) => f.write_str("seed"),
        }
    }
}

/// No reward has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown reward `{0}`: expected {names}", names = Reward::NAMED.map(|(name, _)| name).join(" or "))]
pub struct UnknownReward(pub String);

impl FromStr for Reward {
    type Err = UnknownReward;

    fn from_str(name: &str) -> Result<Self, UnknownReward> {
        let found = Self::NAMED.into_iter().find(|(known, _)| *known == name);
        found.map(|(_, reward)| reward).ok_or_else(|| UnknownReward(name.into()))
    }
}

/// As it is written: by name where it has one, else by its weights.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Name(String),
    Weights(Preference),
}

impl Serialize for Reward {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let has_name = Self::NAMED.iter().any(|(_, named)| named == self);
        match self {
            Self::Preference(preference) if !has_name => Written::Weights(*preference).serialize(serializer),
            _ => Written::Name(self.to_string()).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Reward {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Written::deserialize(deserializer)? {
            Written::Name(name) => name.parse().map_err(serde::de::Error::custom),
            Written::Weights(preference) => Ok(Self::Preference(preference)),
        }
    }
}
