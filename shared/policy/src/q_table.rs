//! A table of action values by state.

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
}

impl QTable {
    pub(crate) fn new(actions: usize) -> Self {
        Self {
            actions,
            states: FxHashMap::default(),
            keys: Vec::new(),
            visits: Vec::new(),
            values: Vec::new(),
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
