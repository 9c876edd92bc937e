//! What a request-aware agent knows: values of actions in states, each with how often it was learned. Two are merged by the **weighted
//! mean of each value**; weights add up. Agents of a swarm that are merged every so many steps do it by the same law, with
//! weights that count only what has changed since the last merge.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    knowledge::Learned,
    learning::Exploration,
    q_learning::{
        cell::Cell,
        replay::PrioritiesState,
        request::{experience::Experience, state::StateAction},
    },
};

/// What it has learned.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub(crate) struct Knowledge {
    /// What it was taught by.
    pub(crate) reward: String,
    pub(crate) cells: BTreeMap<StateAction, Cell>,
}

/// What going on needs beside the cells.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Progress {
    pub(crate) exploration: Exploration,
    /// In the order of the cells, how often each changed since the last merge.
    pub(crate) fresh: Vec<u32>,
    pub(crate) replay: Option<Vec<Experience>>,
    pub(crate) replay_next: usize,
    /// Where replay is prioritised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) priorities: Option<PrioritiesState>,
}

impl Learned for Knowledge {
    /// Versions 1 and 2 are of the specified state.
    const VERSION: u32 = 3;

    fn merge(&mut self, other: &Self) -> Result<(), String> {
        if self.reward != other.reward {
            let (own, other) = (&self.reward, &other.reward);
            return Err(format!("expected what was taught by the reward {own}, found {other}"));
        }
        other.cells.iter().for_each(|(at, cell)| self.cells.entry(*at).or_default().add(*cell));
        Ok(())
    }
}

/// A table as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    reward: String,
    /// Where each is, how often it was learned, and its value.
    cells: Vec<(StateAction, u32, f64)>,
}

impl From<Knowledge> for Written {
    fn from(Knowledge { reward, cells }: Knowledge) -> Self {
        Self { reward, cells: cells.into_iter().map(|(at, cell)| (at, cell.weight, cell.value)).collect() }
    }
}

impl TryFrom<Written> for Knowledge {
    type Error = String;

    fn try_from(Written { reward, cells: written }: Written) -> Result<Self, String> {
        let mut cells = BTreeMap::new();
        for (at, weight, value) in written {
            if cells.insert(at, Cell { value, weight }).is_some() {
                return Err(format!("{at:?} stands there twice"));
            }
        }
        Ok(Self { reward, cells })
    }
}
