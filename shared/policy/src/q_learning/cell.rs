//! A value, and what it counts: by this law two of them become one.

use crate::knowledge::weighted_mean;

/// A value, and how often it was learned.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Cell {
    pub(crate) value: f64,
    pub(crate) weight: u32,
}

impl Cell {
    /// Merges another one with it: the mean, weighted by what each counts; the weights add up.
    pub(crate) fn add(&mut self, other: Self) {
        let mean = (self.value, f64::from(self.weight));
        self.value = weighted_mean(mean, (other.value, f64::from(other.weight)));
        self.weight = self.weight.saturating_add(other.weight);
    }
}
