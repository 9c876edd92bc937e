//! A table of action values by state.

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::q_learning::{
    cell::Cell,
    specified::knowledge::{Knowledge, StateKey},
};

/// Values of every action in every state seen.
#[derive(Clone)]
pub(crate) struct QTable {
    /// One a provider.
    actions: usize,
    states: FxHashMap<StateKey, u32>,
    keys: Vec<StateKey>,
    /// `[state][action]`: how often it was taken there.
    visits: Vec<u32>,
    /// `[state][action]`
    values: Vec<f64>,
    /// By state: how often each value changed since the last merge. Counted where tables are merged.
    changes: BTreeMap<u32, Vec<u32>>,
    /// By state, what others learned, which is acted on beside one's own.
    others: FxHashMap<u32, Vec<Cell>>,
    /// States that came from others. One that was acted in since is one's own too.
    foreign: FxHashSet<u32>,
}

impl QTable {
    pub(crate) fn new(actions: usize) -> Self {
        Self {
            actions,
            states: FxHashMap::default(),
            keys: Vec::new(),
            visits: Vec::new(),
            values: Vec::new(),
            changes: BTreeMap::new(),
            others: FxHashMap::default(),
            foreign: FxHashSet::default(),
        }
    }

    /// Acts on what others learned too, in the place of what it heeded before.
    ///
    /// # Errors
    /// When it is of another number of actions.
    pub(crate) fn heed(&mut self, others: &Knowledge) -> Result<(), String> {
        if let Some(cells) = others.states.values().find(|cells| cells.len() != self.actions) {
            return Err(format!("expected {} values in each state, found {}", self.actions, cells.len()));
        }
        self.others.clear();
        for (key, cells) in &others.states {
            let known = self.len();
            let state = self.find_or_insert(key.clone());
            if self.len() > known {
                self.foreign.insert(state);
            }
            self.others.insert(state, cells.clone());
        }
        Ok(())
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
        self.visits.resize(self.visits.len() + self.actions, 0);
        self.values.resize(self.values.len() + self.actions, 0.0);
        state
    }

    /// What is acted on: the mean of one's own value and the others', weighted by how often each was learned.
    pub(crate) fn value(&self, state: u32, action: usize) -> f64 {
        let at = state as usize * self.actions + action;
        let mut cell = Cell { value: self.values[at], weight: self.visits[at] };
        if let Some(others) = self.others.get(&state) {
            cell.add(others[action]);
        }
        cell.value
    }

    /// One's own value.
    pub(crate) fn value_mut(&mut self, state: u32, action: u16) -> &mut f64 {
        &mut self.values[state as usize * self.actions + usize::from(action)]
    }

    pub(crate) fn count_visit(&mut self, state: u32, action: u16) {
        let visits = &mut self.visits[state as usize * self.actions + usize::from(action)];
        *visits = visits.saturating_add(1);
    }

    pub(crate) fn count_change(&mut self, state: u32, action: u16) {
        self.changes.entry(state).or_insert_with(|| vec![0; self.actions])[usize::from(action)] += 1;
    }

    /// Adds the values that have changed since the last merge, each weighted by its changes.
    pub(crate) fn add_changes(&self, to: &mut Knowledge) {
        for (&state, changes) in &self.changes {
            let cells = changes.iter().enumerate();
            let cells = cells.map(|(action, &weight)| Cell { value: self.value(state, action), weight });
            to.add(&self.keys[state as usize], cells);
        }
    }

    /// Takes what several tables came to together; what none has changed stays.
    pub(crate) fn adopt(&mut self, all: &Knowledge) {
        self.changes.clear();
        for (key, cells) in &all.states {
            let state = self.find_or_insert(key.clone());
            for (action, cell) in (0..).zip(cells) {
                if cell.weight > 0 {
                    *self.value_mut(state, action) = cell.value;
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
        let first = allowed.trailing_zeros() as usize;
        let mut best = (first, self.value(state, first));
        allowed &= allowed - 1;
        while allowed != 0 {
            let action = allowed.trailing_zeros() as usize;
            let value = self.value(state, action);
            if value > best.1 {
                best = (action, value);
            }
            allowed &= allowed - 1;
        }
        best
    }

    /// Position of each of its own states in the order of the keys.
    pub(crate) fn sorted_positions(&self) -> Vec<u32> {
        let mut positions = vec![0; self.keys.len()];
        for (position, state) in self.sorted().into_iter().enumerate() {
            positions[state as usize] = position as u32;
        }
        positions
    }

    /// All its own values, each weighted by how often its action was taken there.
    pub(crate) fn knowledge(&self) -> Knowledge {
        let cells = |state: usize| {
            let row = state * self.actions..(state + 1) * self.actions;
            let values = self.values[row.clone()].iter().zip(&self.visits[row]);
            values.map(|(&value, &weight)| Cell { value, weight }).collect()
        };
        let own = self.keys.iter().enumerate().filter(|(state, _)| self.is_own(*state as u32));
        Knowledge { states: own.map(|(state, key)| (key.clone(), cells(state))).collect() }
    }

    /// The table of this knowledge; its states are numbered in the order of their keys.
    pub(crate) fn from_knowledge(knowledge: &Knowledge, actions: usize) -> Result<Self, String> {
        let mut table = Self::new(actions);
        for (key, cells) in &knowledge.states {
            if cells.len() != actions {
                return Err(format!("expected {actions} values in each state, found {}", cells.len()));
            }
            table.find_or_insert(key.clone());
            let first = table.values.len() - actions;
            table.values.truncate(first);
            table.visits.truncate(first);
            table.values.extend(cells.iter().map(|cell| cell.value));
            table.visits.extend(cells.iter().map(|cell| cell.weight));
        }
        Ok(table)
    }

    /// False for a state that is here only because others knew it.
    fn is_own(&self, state: u32) -> bool {
        let row = state as usize * self.actions;
        !self.foreign.contains(&state)
            || self.visits[row..row + self.actions].iter().any(|visits| *visits > 0)
    }

    fn sorted(&self) -> Vec<u32> {
        let mut states: Vec<u32> = (0..self.keys.len() as u32).filter(|state| self.is_own(*state)).collect();
        states.sort_unstable_by(|a, b| self.keys[*a as usize].cmp(&self.keys[*b as usize]));
        states
    }
}
