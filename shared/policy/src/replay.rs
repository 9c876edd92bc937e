//! Experience replay (Lin 1992): past transitions are learned from again.

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

/// How much is kept and replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayConfig {
    /// Transitions kept; the oldest goes first.
    pub capacity: usize,
    /// Transitions replayed after each step, drawn uniformly with replacement.
    pub batch_size: usize,
}

/// One turn: what was done where, what it earned, and where it led.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Transition {
    #[serde(rename = "s")]
    pub(crate) state: u32,
    #[serde(rename = "a")]
    pub(crate) action: u16,
    #[serde(rename = "r")]
    pub(crate) reward: f64,
    /// The next state and the actions allowed there; `None` at the episode's end.
    #[serde(rename = "n", with = "next_state")]
    pub(crate) next: Option<(u32, u128)>,
}

impl Transition {
    pub(crate) fn renumbered(&self, positions: &[u32]) -> Self {
        let new = |state: u32| positions[state as usize];
        Self {
            state: new(self.state),
            next: self.next.map(|(state, allowed)| (new(state), allowed)),
            ..*self
        }
    }

    pub(crate) fn fits(&self, states: u32, actions: usize) -> bool {
        let next_fits = |(state, allowed): (u32, u128)| {
            state < states && allowed != 0 && (128 - allowed.leading_zeros() as usize) <= actions
        };
        self.state < states && usize::from(self.action) < actions && self.next.is_none_or(next_fits)
    }
}

/// A ring of transitions.
#[derive(Clone)]
pub(crate) struct Replay {
    config: ReplayConfig,
    ring: Vec<Transition>,
    next: usize,
}

impl Replay {
    pub(crate) fn new(config: ReplayConfig) -> Self {
        Self { config, ring: Vec::new(), next: 0 }
    }

    pub(crate) fn restored(config: ReplayConfig, ring: Vec<Transition>, next: usize) -> Result<Self, String> {
        if ring.len() > config.capacity || next >= config.capacity {
            return Err(format!("expected at most {} transitions in the replay memory", config.capacity));
        }
        Ok(Self { config, ring, next })
    }

    pub(crate) fn push(&mut self, transition: Transition) {
        if self.ring.len() < self.config.capacity {
            self.ring.push(transition);
        } else {
            self.ring[self.next] = transition;
        }
        self.next = (self.next + 1) % self.config.capacity;
    }

    /// Any of the transitions, all equally likely.
    pub(crate) fn draw(&self, rng: &mut impl Rng) -> Option<Transition> {
        (!self.ring.is_empty()).then(|| self.ring[rng.random_range(0..self.ring.len())])
    }

    pub(crate) fn batch_size(&self) -> usize {
        self.config.batch_size
    }

    pub(crate) fn transitions(&self) -> impl Iterator<Item = &Transition> {
        self.ring.iter()
    }

    pub(crate) fn next(&self) -> usize {
        self.next
    }
}

/// JSON has no 128-bit numbers: the set of actions travels as hexadecimal text.
mod next_state {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(
        next: &Option<(u32, u128)>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        next.map(|(state, allowed)| (state, format!("{allowed:x}"))).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<(u32, u128)>, D::Error> {
        let next = Option::<(u32, String)>::deserialize(deserializer)?;
        next.map(|(state, allowed)| {
            u128::from_str_radix(&allowed, 16).map(|set| (state, set)).map_err(D::Error::custom)
        })
        .transpose()
    }
}
