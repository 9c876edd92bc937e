//! A table: the values of places, each with how often it was learned.

use std::{collections::BTreeMap, hash::Hash};

use rustc_hash::FxHashMap;

use crate::q_learning::cell::Cell;

/// After so many visits the learning rate begins to fall.
const HOLDS_FOR: f64 = 30.0;

/// How fast it falls: as n^-0.85. Any exponent above 1/2 and up to 1 converges; near 1 values that depend on other values
/// take exponentially long (Even-Dar and Mansour 2003), and the lower it is, the more a value is of the last episode, whose
/// demand was its own. With a constant rate values would never come to rest, and more training would do harm.
const EXPONENT: f64 = 0.85;

/// What was learned; any other value is 0.
#[derive(Clone)]
pub(crate) struct Values<K> {
    positions: FxHashMap<K, u32>,
    places: Vec<K>,
    cells: Vec<Cell>,
    /// Visits since the last merge.
    fresh: Vec<u32>,
    /// What others learned, which is acted on beside one's own.
    others: FxHashMap<K, Cell>,
}

/// What several tables came to together since they were last merged.
pub(crate) type Pool<K> = FxHashMap<K, Pooled>;

/// One cell of it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Pooled {
    /// The mean of the values, weighted by the visits since then.
    changed: Cell,
    /// The most visits that one had before.
    before: u32,
}

impl<K> Default for Values<K> {
    fn default() -> Self {
        Self {
            positions: FxHashMap::default(),
            places: Vec::new(),
            cells: Vec::new(),
            fresh: Vec::new(),
            others: FxHashMap::default(),
        }
    }
}

impl<K: Copy + Ord + Hash> Values<K> {
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    pub(crate) fn get(&self, at: K) -> f64 {
        self.learned(at).unwrap_or(0.0)
    }

    /// The value where there is one: the mean of one's own and the others', weighted by how often each was learned.
    pub(crate) fn learned(&self, at: K) -> Option<f64> {
        let own = self.positions.get(&at).map(|position| self.cells[*position as usize]);
        let Some(others) = self.others.get(&at) else { return own.map(|own| own.value) };
        let mut all = own.unwrap_or_default();
        all.add(*others);
        Some(all.value)
    }

    /// Acts on what others learned too, in the place of what it heeded before.
    pub(crate) fn heed(&mut self, others: &BTreeMap<K, Cell>) {
        self.others = others.iter().map(|(at, cell)| (*at, *cell)).collect();
    }

    /// Moves its own value towards a target, at first at this rate (but never slower than the mean of all targets would);
    /// `weight` is what it counts. Gives the error.
    pub(crate) fn learn(&mut self, at: K, target: f64, first_rate: f64, weight: f64) -> f64 {
        let position = self.position(at);
        let cell = &mut self.cells[position];
        let visits = f64::from(cell.weight);
        let rate = first_rate / (1.0 + visits / HOLDS_FOR).powf(EXPONENT);
        let error = target - cell.value;
        cell.value += weight * rate.max(1.0 / (1.0 + visits)) * error;
        cell.weight = cell.weight.saturating_add(1);
        self.fresh[position] = self.fresh[position].saturating_add(1);
        error
    }

    /// Keeps this share of how often each was learned; of none, nothing is kept.
    pub(crate) fn forget(&mut self, kept: f64) {
        if kept <= 0.0 {
            *self = Self::default();
        }
        for cell in &mut self.cells {
            cell.weight = (f64::from(cell.weight) * kept) as u32;
        }
        for fresh in &mut self.fresh {
            *fresh = (f64::from(*fresh) * kept) as u32;
        }
    }

    fn position(&mut self, at: K) -> usize {
        let next = self.places.len();
        let position = *self.positions.entry(at).or_insert(next as u32) as usize; // 2^32 would not fit in memory
        if position == next {
            self.places.push(at);
            self.cells.push(Cell::default());
            self.fresh.push(0);
        }
        position
    }

    pub(crate) fn cells(&self) -> BTreeMap<K, Cell> {
        self.places.iter().copied().zip(self.cells.iter().copied()).collect()
    }

    pub(crate) fn of_cells(cells: &BTreeMap<K, Cell>) -> Self {
        let positions = cells.keys().copied().zip(0..).collect();
        let (places, cells): (Vec<_>, Vec<_>) = cells.iter().map(|(at, cell)| (*at, *cell)).unzip();
        Self { positions, fresh: vec![0; places.len()], places, cells, others: FxHashMap::default() }
    }

    /// Visits since the last merge, in the order of [`Values::cells`].
    pub(crate) fn fresh(&self) -> Vec<u32> {
        let fresh: BTreeMap<_, _> = self.places.iter().zip(&self.fresh).collect();
        fresh.into_values().copied().collect()
    }

    /// Takes them again, when the cells have just been read.
    pub(crate) fn restore_fresh(&mut self, fresh: Vec<u32>) -> Result<(), String> {
        if fresh.len() != self.places.len() {
            return Err("the agent's visits since the last merge are of another table than its values".into());
        }
        self.fresh = fresh;
        Ok(())
    }

    /// Adds what has changed since the last merge.
    pub(crate) fn pool(&self, into: &mut Pool<K>) {
        let all = self.places.iter().zip(&self.cells).zip(&self.fresh);
        for ((at, cell), fresh) in all.filter(|(_, fresh)| **fresh > 0) {
            let pooled = into.entry(*at).or_default();
            pooled.changed.add(Cell { value: cell.value, weight: *fresh });
            pooled.before = pooled.before.max(cell.weight.saturating_sub(*fresh));
        }
    }

    /// Takes it over; what nobody has changed stays.
    pub(crate) fn adopt(&mut self, pool: &Pool<K>) {
        self.fresh.fill(0);
        for (at, Pooled { changed, before }) in pool {
            let position = self.position(*at);
            let weight = before.saturating_add(changed.weight);
            self.cells[position] = Cell { value: changed.value, weight };
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::q_learning::request::state::StateAction;

    fn place(phase: u8) -> StateAction {
        serde_json::from_value(serde_json::json!([0, 0, phase, 0, 0, 0])).unwrap()
    }

    #[test]
    fn the_first_target_is_taken_whole_and_later_ones_the_less_the_more_came_before() {
        let mut values = Values::default();
        let mut moved = |target: f64| {
            let before = values.get(place(0));
            let error = values.learn(place(0), target, 0.3, 1.0);
            (error, values.get(place(0)) - before)
        };
        assert_eq!(moved(8.0), (8.0, 8.0));
        assert_eq!(moved(4.0), (-4.0, -2.0)); // the mean of two
        (0..10_000).for_each(|_| _ = moved(6.0));
        let (error, change) = moved(106.0);
        // .3 · (1 + 10,002/30)^-.85 = .002145
        assert!((change / error - 0.002_145).abs() < 1e-6, "{}", change / error);
    }

    proptest! {
        #[test]
        fn merging_equal_tables_changes_no_value(visited in prop::collection::vec((0_u8..5, -9.0..9.0), 1..30), team in 1..9) {
            let mut values = Values::default();
            visited.into_iter().for_each(|(phase, target)| _ = values.learn(place(phase), target, 0.3, 1.0));
            let mut pool = Pool::default();
            (0..team).for_each(|_| values.pool(&mut pool));
            let mut merged = values.clone();
            merged.adopt(&pool);
            for phase in 0..5 {
                prop_assert_eq!(merged.get(place(phase)), values.get(place(phase)));
            }
        }
    }
}
