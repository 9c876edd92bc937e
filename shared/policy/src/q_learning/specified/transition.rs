//! One turn as the specified agent remembers it.

use serde::{Deserialize, Serialize};

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
