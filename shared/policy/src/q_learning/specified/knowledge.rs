//! What the specified agent knows: a table of values, each with a weight: how often its action was taken in its state. Two are
//! merged by the **weighted mean of each value**; weights add up. A swarm that merges its agents' tables does it by the
//! same law, with weights that count only what has changed since the last merge.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use smallvec::SmallVec;

use crate::{
    knowledge::Learned,
    learning::Exploration,
    q_learning::{cell::Cell, replay::PrioritiesState, specified::transition::Transition},
};

/// A state: six bits a provider, [`PER_WORD`] providers a word.
pub(crate) type StateKey = SmallVec<[u64; 2]>;

/// Providers that a word of the key holds.
pub(crate) const PER_WORD: usize = 10;

/// What it has learned, in the order of the states.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub(crate) struct Knowledge {
    /// By state, a cell for each action: a provider.
    pub(crate) states: BTreeMap<StateKey, Vec<Cell>>,
}

/// What going on needs beside the table.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Progress {
    pub(crate) exploration: Exploration,
    pub(crate) replay: Option<Vec<Transition>>,
    pub(crate) replay_next: usize,
    /// Where replay is prioritised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) priorities: Option<PrioritiesState>,
    /// Where tables are merged: by state, how often each value changed since the last merge.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) changes: BTreeMap<u32, Vec<u32>>,
}

impl Knowledge {
    /// Merges a state's cells with those that are there.
    pub(crate) fn add(&mut self, state: &StateKey, cells: impl ExactSizeIterator<Item = Cell>) {
        let own = self.states.entry(state.clone()).or_insert_with(|| vec![Cell::default(); cells.len()]);
        own.iter_mut().zip(cells).for_each(|(own, other)| own.add(other));
    }
}

impl Learned for Knowledge {
    const VERSION: u32 = 2;

    fn merge(&mut self, other: &Self) -> Result<(), String> {
        let actions = |of: &Self| of.states.values().next().map(Vec::len);
        if let (Some(expected), Some(found)) = (actions(self), actions(other))
            && expected != found
        {
            return Err(format!("expected values of {expected} providers, found {found}"));
        }
        other.states.iter().for_each(|(state, cells)| self.add(state, cells.iter().copied()));
        Ok(())
    }

    /// The first version told how often a state was visited, not what was done there: each action that has a value is taken
    /// to have been taken equally often.
    fn read(version: u32, learned: &Value) -> Result<Self, String> {
        match version {
            1 => First::deserialize(learned).map_err(|error| error.to_string())?.try_into(),
            Self::VERSION => Self::deserialize(learned).map_err(|error| error.to_string()),
            other => Err(format!("expected version 1, 2 or 4, found {other}")),
        }
    }
}

/// A table as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    states: Vec<StateValues>,
}

/// One state of it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StateValues {
    /// For each provider its levels of latency, price and capacity: `003.013.…`.
    bins: String,
    /// How often each provider was chosen.
    visits: Vec<u32>,
    /// Every provider's.
    values: Vec<f64>,
}

impl From<Knowledge> for Written {
    fn from(knowledge: Knowledge) -> Self {
        let state = |(key, cells): (StateKey, Vec<Cell>)| StateValues {
            bins: bins_text(&key, cells.len()),
            visits: cells.iter().map(|cell| cell.weight).collect(),
            values: cells.iter().map(|cell| cell.value).collect(),
        };
        Self { states: knowledge.states.into_iter().map(state).collect() }
    }
}

impl TryFrom<Written> for Knowledge {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let mut states = BTreeMap::new();
        for StateValues { bins, visits, values } in written.states {
            let key = parse_bins(&bins, values.len()).ok_or_else(|| {
                format!("expected {} groups of three digits 0 to 3, found `{bins}`", values.len())
            })?;
            if visits.len() != values.len() {
                return Err(format!(
                    "expected {} visits in state `{bins}`, found {}",
                    values.len(),
                    visits.len()
                ));
            }
            let cells = values.into_iter().zip(visits).map(|(value, weight)| Cell { value, weight });
            if states.insert(key, cells.collect()).is_some() {
                return Err(format!("state `{bins}` stands there twice"));
            }
        }
        Ok(Self { states })
    }
}

/// Its first version.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct First {
    states: Vec<FirstState>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FirstState {
    bins: String,
    visits: u64,
    values: Vec<f64>,
}

impl TryFrom<First> for Knowledge {
    type Error = String;

    fn try_from(first: First) -> Result<Self, String> {
        let state = |FirstState { bins, visits, values }: FirstState| {
            let taken = values.iter().filter(|value| **value != 0.0).count().max(1) as u64;
            let (each, mut left) = (visits / taken, visits % taken);
            let mut share = |value: &f64| {
                if *value == 0.0 {
                    return 0;
                }
                let one_more = u64::from(left > 0);
                left -= one_more;
                u32::try_from(each + one_more).unwrap_or(u32::MAX)
            };
            StateValues { bins, visits: values.iter().map(&mut share).collect(), values }
        };
        Written { states: first.states.into_iter().map(state).collect() }.try_into()
    }
}

fn bins_text(key: &StateKey, providers: usize) -> String {
    let mut text = String::with_capacity(providers * 4);
    for provider in 0..providers {
        if provider > 0 {
            text.push('.');
        }
        let bits = key[provider / PER_WORD] >> (provider % PER_WORD * 6);
        for shift in [4, 2, 0] {
            text.push(char::from(b'0' + (bits >> shift & 3) as u8));
        }
    }
    text
}

fn parse_bins(text: &str, providers: usize) -> Option<StateKey> {
    let mut key = StateKey::from_elem(0, providers.div_ceil(PER_WORD));
    let mut groups = text.split('.');
    for provider in 0..providers {
        let group = groups.next()?.as_bytes();
        if group.len() != 3 {
            return None;
        }
        for (digit, shift) in group.iter().zip([4, 2, 0]) {
            let level = digit.checked_sub(b'0').filter(|level| *level < 4)?;
            key[provider / PER_WORD] |= u64::from(level) << shift << (provider % PER_WORD * 6);
        }
    }
    groups.next().is_none().then_some(key)
}
