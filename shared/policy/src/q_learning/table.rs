//! A table of action values by state.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// A state: six bits a provider, ten providers a word.
pub(crate) type StateKey = SmallVec<[u64; 2]>;

/// Values of every action in every state seen.
#[derive(Clone)]
pub(crate) struct QTable {
    /// One a provider.
    actions: usize,
    states: FxHashMap<StateKey, u32>,
    keys: Vec<StateKey>,
    visits: Vec<u64>,
    values: Vec<f64>,
    /// By state: how often each value changed since the last merge. Counted where tables are merged.
    changes: BTreeMap<u32, Vec<u32>>,
}

/// The changed states of several tables: for each action the mean of the values, weighted by their changes, and the
/// number of these.
pub(crate) type Pool = BTreeMap<StateKey, Vec<(f64, u64)>>;

impl QTable {
    pub(crate) fn new(actions: usize) -> Self {
        Self {
            actions,
            states: FxHashMap::default(),
            keys: Vec::new(),
            visits: Vec::new(),
            values: Vec::new(),
            changes: BTreeMap::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn find(&self, key: StateKey) -> Option<u32> {
        self.states.get(&key).copied()
    }

    pub(crate) fn find_or_insert(&mut self, key: StateKey) -> u32 {
        if let Some(&state) = self.states.get(&key) {
            return state;
        }
        let state = self.keys.len() as u32; // 2^32 states would not fit in memory
        self.states.insert(key.clone(), state);
        self.keys.push(key);
        self.visits.push(0);
        self.values.resize(self.values.len() + self.actions, 0.0);
        state
    }

    pub(crate) fn value(&self, state: u32, action: usize) -> f64 {
        self.values[state as usize * self.actions + action]
    }

    pub(crate) fn value_mut(&mut self, state: u32, action: u16) -> &mut f64 {
        &mut self.values[state as usize * self.actions + usize::from(action)]
    }

    pub(crate) fn count_visit(&mut self, state: u32) {
        self.visits[state as usize] += 1;
    }

    pub(crate) fn count_change(&mut self, state: u32, action: u16) {
        self.changes.entry(state).or_insert_with(|| vec![0; self.actions])[usize::from(action)] += 1;
    }

    /// Adds its changes to those of other tables.
    pub(crate) fn add_to(&self, pool: &mut Pool) {
        for (&state, changes) in &self.changes {
            let row =
                pool.entry(self.keys[state as usize].clone()).or_insert_with(|| vec![(0.0, 0); self.actions]);
            for (action, ((mean, total), &count)) in row.iter_mut().zip(changes).enumerate() {
                if count > 0 {
                    *total += u64::from(count);
                    // in this form the mean of equal values is that value, to the last bit
                    *mean += f64::from(count) / *total as f64 * (self.value(state, action) - *mean);
                }
            }
        }
    }

    /// Takes what several tables came to together; what no table changed stays.
    pub(crate) fn adopt(&mut self, pool: &Pool) {
        self.changes.clear();
        for (key, row) in pool {
            let state = self.find_or_insert(key.clone());
            for (action, (mean, total)) in (0..).zip(row) {
                if *total > 0 {
                    *self.value_mut(state, action) = *mean;
                }
            }
        }
    }

    /// The changes since the last merge by position in the order of the keys.
    pub(crate) fn changes(&self) -> BTreeMap<u32, Vec<u32>> {
        let positions = self.sorted_positions();
        self.changes.iter().map(|(state, counts)| (positions[*state as usize], counts.clone())).collect()
    }

    /// Takes them again.
    pub(crate) fn restore_changes(&mut self, changes: BTreeMap<u32, Vec<u32>>) -> Result<(), String> {
        let fits = |(state, counts): (&u32, &Vec<u32>)| {
            (*state as usize) < self.keys.len() && counts.len() == self.actions
        };
        if !changes.iter().all(fits) {
            return Err(
                "the agent's changes since the last merge are of states that are not in its table".into()
            );
        }
        self.changes = changes;
        Ok(())
    }

    /// The best allowed action and its value; the first on a tie. `allowed` must not be empty.
    pub(crate) fn best(&self, state: u32, mut allowed: u128) -> (usize, f64) {
        let row = &self.values[state as usize * self.actions..][..self.actions];
        let first = allowed.trailing_zeros() as usize;
        let mut best = (first, row[first]);
        allowed &= allowed - 1;
        while allowed != 0 {
            let action = allowed.trailing_zeros() as usize;
            if row[action] > best.1 {
                best = (action, row[action]);
            }
            allowed &= allowed - 1;
        }
        best
    }

    /// Position of each state in the order of the keys.
    pub(crate) fn sorted_positions(&self) -> Vec<u32> {
        let mut positions = vec![0; self.keys.len()];
        for (position, state) in self.sorted().into_iter().enumerate() {
            positions[state as usize] = position as u32;
        }
        positions
    }

    /// The table in the order of the keys, so that equal tables are equal bytes.
    pub(crate) fn knowledge(&self) -> Knowledge {
        let state = |state: u32| {
            let row = state as usize;
            StateValues {
                bins: bins_text(&self.keys[row], self.actions),
                visits: self.visits[row],
                values: self.values[row * self.actions..][..self.actions].to_vec(),
            }
        };
        Knowledge { states: self.sorted().into_iter().map(state).collect() }
    }

    pub(crate) fn from_knowledge(knowledge: &Knowledge, providers: usize) -> Result<Self, String> {
        let mut table = Self::new(providers);
        for state in &knowledge.states {
            let key = parse_bins(&state.bins, providers).ok_or_else(|| {
                format!("expected {providers} groups of three digits 0 to 3, found `{}`", state.bins)
            })?;
            if state.values.len() != table.actions {
                return Err(format!(
                    "expected {} values in state `{}`, found {}",
                    table.actions,
                    state.bins,
                    state.values.len()
                ));
            }
            let index = table.find_or_insert(key) as usize;
            if index + 1 != table.keys.len() || index * table.actions != table.values.len() - table.actions {
                return Err(format!("state `{}` stands there twice", state.bins));
            }
            table.visits[index] = state.visits;
            table.values[index * table.actions..].copy_from_slice(&state.values);
        }
        Ok(table)
    }

    fn sorted(&self) -> Vec<u32> {
        let mut states: Vec<u32> = (0..self.keys.len() as u32).collect();
        states.sort_unstable_by(|a, b| self.keys[*a as usize].cmp(&self.keys[*b as usize]));
        states
    }
}

/// A table as it is written to files.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Knowledge {
    pub(crate) states: Vec<StateValues>,
}

/// One state of it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StateValues {
    /// For each provider its levels of latency, price and capacity: `003.013.…`.
    bins: String,
    visits: u64,
    /// Every provider's.
    values: Vec<f64>,
}

fn bins_text(key: &StateKey, providers: usize) -> String {
    let mut text = String::with_capacity(providers * 4);
    for provider in 0..providers {
        if provider > 0 {
            text.push('.');
        }
        let bits = key[provider / 10] >> (provider % 10 * 6);
        for shift in [4, 2, 0] {
            text.push(char::from(b'0' + (bits >> shift & 3) as u8));
        }
    }
    text
}

fn parse_bins(text: &str, providers: usize) -> Option<StateKey> {
    let mut key = StateKey::from_elem(0, providers.div_ceil(10));
    let mut groups = text.split('.');
    for provider in 0..providers {
        let group = groups.next()?.as_bytes();
        if group.len() != 3 {
            return None;
        }
        for (digit, shift) in group.iter().zip([4, 2, 0]) {
            let level = digit.checked_sub(b'0').filter(|level| *level < 4)?;
            key[provider / 10] |= u64::from(level) << shift << (provider % 10 * 6);
        }
    }
    groups.next().is_none().then_some(key)
}
