//! Piecewise-linear values of scarce things, learned by gradient steps and read as concave functions.
//!
//! More of a scarce thing is never worth less, and each further piece is worth no more than the one before. What is
//! learned from single steps is noisy, so it is averaged over its own course (Polyak and Juditsky 1992), and what is
//! acted on is the nearest concave increasing function (isotonic regression of the slopes, as in Godfrey and Powell
//! 2001). The learned values themselves stay as they are: a projection after each step would push them upwards.

use serde::{Deserialize, Serialize};

use crate::knowledge::weighted_mean;

/// Knots of a table, at equal distances.
pub(crate) const KNOTS: usize = 11;

/// Parts of a step, each with a table of its own.
pub(crate) const PHASES: usize = 6;

/// Figures of knots, `[coordinate][phase][knot]`.
pub(crate) type Nested = Vec<Vec<Vec<f64>>>;

/// What the average takes of a change, at most at first and at least later.
const AVERAGING: [f64; 2] = [0.1, 0.005];

/// Tables, one for each coordinate and phase. At and beyond its last knot a coordinate is not scarce: it is 0 there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConcaveTables {
    values: Vec<f64>,
    averages: Vec<f64>,
    /// Visits up to the last merge.
    visits: Vec<f64>,
    /// Visits since then.
    fresh: Vec<f64>,
    /// `[table]`: steps in which it changed.
    steps: Vec<u64>,
    /// What others learned, which is acted on beside one's own: means and visits.
    #[serde(skip)]
    others: Option<[Vec<f64>; 2]>,
    /// What is acted on.
    #[serde(skip)]
    concave: Vec<f64>,
    /// `[table]`: whether it has changed since it was last settled.
    #[serde(skip)]
    is_open: Vec<bool>,
}

/// A place in a table, and what the table's value counts there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Place {
    knot: usize,
    /// How far it is on the way to the next knot.
    share: f64,
    scale: f64,
}

/// What some tables came to together: `[knot]` the mean value, the mean average, and the visits.
pub(crate) struct TablesPool {
    knots: Vec<Pooled>,
    steps: Vec<u64>,
}

#[derive(Clone, Copy, Default)]
struct Pooled {
    value: f64,
    average: f64,
    visits_before: f64,
    fresh: f64,
}

impl Place {
    /// The place of `x` (from 0 to 1; beyond that it is the end) in a coordinate's table of this phase.
    pub(crate) fn new(coordinate: usize, phase: usize, x: f64, scale: f64) -> Self {
        let position = x.clamp(0.0, 1.0) * (KNOTS - 1) as f64;
        let below = (position as usize).min(KNOTS - 2);
        let knot = (coordinate * PHASES + phase) * KNOTS + below;
        Self { knot, share: position - below as f64, scale }
    }

    fn of(self, table: &[f64]) -> f64 {
        self.scale * (table[self.knot] + self.share * (table[self.knot + 1] - table[self.knot]))
    }

    /// The gradient of the value at the knot below and at the one above, which is none at the last.
    fn gradient(self) -> [f64; 2] {
        let is_last = (self.knot + 1) % KNOTS == KNOTS - 1;
        [self.scale * (1.0 - self.share), if is_last { 0.0 } else { self.scale * self.share }]
    }
}

impl ConcaveTables {
    /// Tables of nothing.
    pub(crate) fn new(coordinates: usize) -> Self {
        let tables = coordinates * PHASES;
        let zeros = || vec![0.0; tables * KNOTS];
        Self {
            values: zeros(),
            averages: zeros(),
            visits: zeros(),
            fresh: zeros(),
            steps: vec![0; tables],
            others: None,
            concave: zeros(),
            is_open: vec![false; tables],
        }
    }

    /// Tables that are acted on as `values` and have learned the means in so many visits, `[coordinate][phase][knot]` each.
    pub(crate) fn acting_on(values: &Nested, means: &Nested, visits: &Nested) -> Self {
        let mut tables = Self::new(values.len());
        let flat = |nested: &Nested| nested.iter().flatten().flatten().copied().collect::<Vec<_>>();
        (tables.concave, tables.averages, tables.visits) = (flat(values), flat(means), flat(visits));
        tables.values.clone_from(&tables.averages);
        tables
    }

    /// What is acted on as far as it is one's own, the means that it is made of, and how often each was visited.
    pub(crate) fn shown(&self) -> [Nested; 3] {
        let visits: Vec<f64> =
            self.visits.iter().zip(&self.fresh).map(|(before, fresh)| before + fresh).collect();
        let mut concave = self.concave.clone();
        if self.others.is_some() {
            let own = self.averages.chunks(KNOTS).zip(visits.as_chunks().0);
            for (concave, (means, visits)) in concave.chunks_mut(KNOTS).zip(own) {
                concave.copy_from_slice(&nearest_concave(means, visits));
            }
        }
        [nested(&concave), nested(&self.averages), nested(&visits)]
    }

    /// Acts on what others learned too (means and visits, of the shape of [`Self::shown`]), in the place of what it heeded
    /// before.
    pub(crate) fn heed(&mut self, others: Option<(&Nested, &Nested)>) {
        let flat = |nested: &Nested| nested.iter().flatten().flatten().copied().collect::<Vec<_>>();
        self.others = others.map(|(means, visits)| [flat(means), flat(visits)]);
        (0..self.steps.len()).for_each(|table| self.project(table));
    }

    /// Goes on from what was read: what is not written is found again.
    pub(crate) fn read(mut self, coordinates: usize) -> Option<Self> {
        let (tables, knots) = (coordinates * PHASES, coordinates * PHASES * KNOTS);
        let numbers = [&self.values, &self.averages, &self.visits, &self.fresh];
        let fits = numbers.iter().all(|n| n.len() == knots && n.iter().all(|v| v.is_finite()));
        if !fits || self.steps.len() != tables {
            return None;
        }
        self.concave = vec![0.0; knots];
        self.is_open = vec![false; tables];
        (0..tables).for_each(|table| self.project(table));
        Some(self)
    }

    /// How many knots have been learned.
    pub(crate) fn len(&self) -> usize {
        self.visits.iter().zip(&self.fresh).filter(|(before, fresh)| **before + **fresh > 0.0).count()
    }

    /// What is acted on there.
    pub(crate) fn concave(&self, place: Place) -> f64 {
        place.of(&self.concave)
    }

    /// What has been learned of these places together.
    pub(crate) fn learned(&self, places: &[Place]) -> f64 {
        places.iter().map(|place| place.of(&self.values)).sum()
    }

    /// Moves the sum of the values there by a share `rate` of `error` (normalised least mean squares).
    pub(crate) fn learn(&mut self, places: &[Place], rate: f64, error: f64) {
        let squares: f64 = places.iter().flat_map(|place| place.gradient()).map(|g| g * g).sum();
        if squares < 1e-9 {
            return; // nothing is scarce here
        }
        let step = rate * error / squares;
        for place in places {
            let [below, above] = place.gradient();
            for (knot, gradient, share) in
                [(place.knot, below, 1.0 - place.share), (place.knot + 1, above, place.share)]
            {
                if gradient != 0.0 {
                    self.values[knot] += step * gradient;
                    self.fresh[knot] += share;
                    self.is_open[knot / KNOTS] = true;
                }
            }
        }
    }

    /// Keeps this share of the visits; the values stay.
    pub(crate) fn forget(&mut self, kept: f64) {
        for visits in self.visits.iter_mut().chain(&mut self.fresh) {
            *visits *= kept;
        }
        for steps in &mut self.steps {
            *steps = (*steps as f64 * kept) as u64;
        }
    }

    /// Ends a step: what has changed is averaged and can be acted on.
    pub(crate) fn settle(&mut self) {
        for table in 0..self.steps.len() {
            if !std::mem::take(&mut self.is_open[table]) {
                continue;
            }
            self.steps[table] += 1;
            let rate = (1.0 / self.steps[table] as f64).clamp(AVERAGING[1], AVERAGING[0]);
            for knot in table * KNOTS..(table + 1) * KNOTS {
                self.averages[knot] += rate * (self.values[knot] - self.averages[knot]);
            }
            self.project(table);
        }
    }

    fn project(&mut self, table: usize) {
        let knots = table * KNOTS..(table + 1) * KNOTS;
        let mut visits: [f64; KNOTS] =
            std::array::from_fn(|i| self.visits[knots.start + i] + self.fresh[knots.start + i]);
        let mut means: [f64; KNOTS] = std::array::from_fn(|i| self.averages[knots.start + i]);
        if let Some([others, more]) = &self.others {
            let others = others[knots.clone()].iter().zip(&more[knots.clone()]);
            for ((mean, visits), (other, more)) in means.iter_mut().zip(&mut visits).zip(others) {
                *mean = weighted_mean((*mean, *visits), (*other, *more));
                *visits += more;
            }
        }
        self.concave[knots].copy_from_slice(&nearest_concave(&means, &visits));
    }

    /// What several tables of the same shape came to since their last merge: the mean of each knot, weighted by its
    /// visits.
    pub(crate) fn pool<'a>(tables: impl Iterator<Item = &'a Self>) -> TablesPool {
        let mut pool = TablesPool { knots: Vec::new(), steps: Vec::new() };
        for table in tables {
            pool.knots.resize(table.values.len(), Pooled::default());
            pool.steps.resize(table.steps.len(), 0);
            pool.steps.iter_mut().zip(&table.steps).for_each(|(most, steps)| *most = (*most).max(*steps));
            for (knot, pooled) in pool.knots.iter_mut().enumerate() {
                let fresh = table.fresh[knot];
                pooled.visits_before = pooled.visits_before.max(table.visits[knot]);
                if fresh > 0.0 {
                    pooled.fresh += fresh;
                    // in this form the mean of equal values is that value, to the last bit
                    let share = fresh / pooled.fresh;
                    pooled.value += share * (table.values[knot] - pooled.value);
                    pooled.average += share * (table.averages[knot] - pooled.average);
                }
            }
        }
        pool
    }

    /// Takes them over; what nobody visited stays.
    pub(crate) fn adopt(&mut self, pool: &TablesPool) {
        self.fresh.fill(0.0);
        self.steps.copy_from_slice(&pool.steps);
        for (knot, pooled) in pool.knots.iter().enumerate() {
            if pooled.fresh > 0.0 {
                self.values[knot] = pooled.value;
                self.averages[knot] = pooled.average;
                self.visits[knot] = pooled.visits_before + pooled.fresh;
            }
        }
        (0..self.steps.len()).for_each(|table| self.project(table));
    }
}

/// The nearest concave increasing function that ends at 0: adjacent slopes that violate this are pooled (Ayer et al. 1955),
/// each weighted by how well its ends are known. `means` and `visits` are of the knots of one table.
pub(crate) fn nearest_concave(means: &[f64], visits: &[f64; KNOTS]) -> [f64; KNOTS] {
    // blocks of equal slope: their weighted sum, weight, and how many intervals
    let mut blocks = [(0.0, 0.0, 0); KNOTS - 1];
    let mut count = 0;
    for i in 0..KNOTS - 1 {
        // the last knot is 0 by definition, and known as such
        let known = if i + 1 == KNOTS - 1 { f64::INFINITY } else { visits[i + 1] };
        let weight = visits[i].min(known) + 1e-6;
        blocks[count] = ((means[i + 1] - means[i]) * weight, weight, 1);
        count += 1;
        while count > 1 {
            let (last, before) = (blocks[count - 1], blocks[count - 2]);
            if last.0 / last.1 <= before.0 / before.1 {
                break;
            }
            blocks[count - 2] = (before.0 + last.0, before.1 + last.1, before.2 + last.2);
            count -= 1;
        }
    }
    let mut concave = [0.0; KNOTS];
    let mut knot = KNOTS - 1;
    for (sum, weight, intervals) in blocks[..count].iter().rev() {
        for _ in 0..*intervals {
            concave[knot - 1] = concave[knot] - (sum / weight).max(0.0);
            knot -= 1;
        }
    }
    concave
}

fn nested(knots: &[f64]) -> Nested {
    let tables: Vec<_> = knots.chunks(KNOTS).map(<[f64]>::to_vec).collect();
    tables.chunks(PHASES).map(<[Vec<f64>]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tables(averages: [f64; KNOTS], visits: [f64; KNOTS]) -> ConcaveTables {
        let mut tables = ConcaveTables::new(1);
        tables.averages[..KNOTS].copy_from_slice(&averages);
        tables.visits[..KNOTS].copy_from_slice(&visits);
        tables.project(0);
        tables
    }

    #[test]
    fn slopes_that_rise_are_pooled_by_what_is_known_of_them() {
        // slopes 1, 5, 2, 2, 1, 0, …, 0, −1: the first two are pooled to (3·1 + 1·5)/4 = 2, the last becomes 0
        let averages = [-11.0, -10.0, -5.0, -3.0, -1.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0];
        let visits = [3.0, 3.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0];
        let concave = tables(averages, visits).concave;
        let expected = [-9.0, -7.0, -5.0, -3.0, -1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        for (found, expected) in concave.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-5, "{concave:?}");
        }
    }

    #[test]
    fn a_step_of_rate_one_leaves_no_error_and_the_last_knot_alone() {
        let mut tables = ConcaveTables::new(2);
        let places = [Place::new(0, 1, 0.234, 3.0), Place::new(1, 1, 0.97, 0.5)];
        tables.learn(&places, 1.0, 7.0);
        assert!((tables.learned(&places) - 7.0).abs() < 1e-12);
        assert_eq!(tables.learned(&[Place::new(1, 1, 1.0, 1.0)]), 0.0);
        assert_eq!(tables.learned(&[Place::new(0, 0, 0.234, 3.0)]), 0.0); // another phase
    }

    #[test]
    fn pooled_values_are_weighted_by_visits() {
        let learned = |times: usize, error: f64| {
            let mut tables = ConcaveTables::new(1);
            (0..times).for_each(|_| tables.learn(&[Place::new(0, 0, 0.0, 1.0)], 1.0, error / times as f64));
            tables
        };
        let (one, other) = (learned(3, 10.0), learned(1, 2.0));
        let pool = ConcaveTables::pool([&one, &other].into_iter());
        let mut merged = one.clone();
        merged.adopt(&pool);
        assert!((merged.values[0] - 8.0).abs() < 1e-12); // (3·10 + 1·2)/4
        assert_eq!((merged.visits[0], merged.fresh[0]), (4.0, 0.0));
    }

    proptest! {
        #[test]
        fn what_is_acted_on_is_concave_and_increasing(averages in prop::array::uniform11(-9.0..9.0),
            visits in prop::array::uniform11(0.0..9.0)) {
            let concave = tables(averages, visits).concave;
            let slopes: Vec<f64> = concave[..KNOTS].windows(2).map(|w| w[1] - w[0]).collect();
            prop_assert!(slopes.iter().all(|slope| *slope >= 0.0));
            prop_assert!(slopes.windows(2).all(|s| s[1] <= s[0] + 1e-9), "{slopes:?}");
        }

        #[test]
        fn merging_equal_tables_changes_nothing(visited in prop::collection::vec((0.0..1.0, -9.0..9.0), 1..30), team in 1..9) {
            let mut tables = ConcaveTables::new(1);
            for (x, error) in visited {
                tables.learn(&[Place::new(0, 3, x, 2.0)], 0.3, error);
                tables.settle();
            }
            let pool = ConcaveTables::pool((0..team).map(|_| &tables));
            let mut merged = tables.clone();
            merged.adopt(&pool);
            prop_assert_eq!(&merged.values, &tables.values);
            prop_assert_eq!(&merged.averages, &tables.averages);
        }
    }
}
