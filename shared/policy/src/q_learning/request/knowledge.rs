//! What a request-aware agent knows: values of actions in states and of providers' hours, each with how often it was
//! learned. Two are merged by the **weighted mean of each value**; weights add up. Agents of a swarm that are merged every so
//! many steps do it by the same law, with weights that count only what has changed since the last merge.

use std::{collections::BTreeMap, fmt};

use routing_env::Reward;
use serde::{Deserialize, Serialize};

use crate::{
    knowledge::Learned,
    learning::Exploration,
    q_learning::{
        cell::Cell,
        replay::PrioritiesState,
        request::{experience::Experience, hours::Use, state::StateAction},
    },
};

/// What it has learned.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub(crate) struct Knowledge {
    /// What it was taught by.
    pub(crate) reward: Reward,
    pub(crate) cells: BTreeMap<StateAction, Cell>,
    pub(crate) hours: BTreeMap<Use, Cell>,
}

/// What going on needs beside the cells.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Progress {
    pub(crate) exploration: Exploration,
    /// In the order of the cells, how often each changed since the last merge.
    pub(crate) fresh: Vec<u32>,
    /// The same of the hours.
    pub(crate) fresh_hours: Vec<u32>,
    pub(crate) replay: Option<Vec<Experience>>,
    pub(crate) replay_next: usize,
    /// Where replay is prioritised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) priorities: Option<PrioritiesState>,
}

impl Learned for Knowledge {
    /// Versions 1 and 2 are of the specified state; the third knew nothing of hours.
    const VERSION: u32 = 4;

    fn merge(&mut self, other: &Self) -> Result<(), String> {
        if self.reward != other.reward {
            let (own, other) = (&self.reward, &other.reward);
            return Err(format!("expected what was taught by the reward {own}, found {other}"));
        }
        other.cells.iter().for_each(|(at, cell)| self.cells.entry(*at).or_default().add(*cell));
        other.hours.iter().for_each(|(at, cell)| self.hours.entry(*at).or_default().add(*cell));
        Ok(())
    }
}

/// The tables as they are written: where each value is, how often it was learned, and what it is.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    reward: Reward,
    cells: Vec<(StateAction, u32, f64)>,
    hours: Vec<(Use, u32, f64)>,
}

impl From<Knowledge> for Written {
    fn from(Knowledge { reward, cells, hours }: Knowledge) -> Self {
        Self { reward, cells: written(cells), hours: written(hours) }
    }
}

impl TryFrom<Written> for Knowledge {
    type Error = String;

    fn try_from(Written { reward, cells, hours }: Written) -> Result<Self, String> {
        Ok(Self { reward, cells: read(cells)?, hours: read(hours)? })
    }
}

fn written<K>(cells: BTreeMap<K, Cell>) -> Vec<(K, u32, f64)> {
    cells.into_iter().map(|(at, cell)| (at, cell.weight, cell.value)).collect()
}

fn read<K: Copy + Ord + fmt::Debug>(written: Vec<(K, u32, f64)>) -> Result<BTreeMap<K, Cell>, String> {
    let mut cells = BTreeMap::new();
    for (at, weight, value) in written {
        if cells.insert(at, Cell { value, weight }).is_some() {
            return Err(format!("{at:?} stands there twice"));
        }
    }
    Ok(cells)
}
