//! A figure by training and held-out seed.

use super::{BySeed, mean};

/// A figure of a policy: a row for each of its trainings, a column for each held-out seed. What was not trained has one
/// row.
#[derive(Clone, Debug, PartialEq)]
pub struct Runs(Vec<BySeed>);

impl Runs {
    /// A figure by training and seed.
    #[must_use]
    pub fn new(by_training: Vec<BySeed>) -> Self {
        Self(by_training)
    }

    /// A row for each training.
    #[must_use]
    pub fn by_training(&self) -> &[BySeed] {
        &self.0
    }

    /// By seed the mean over the trainings; `None` where one of them has no data.
    #[must_use]
    pub fn by_seed(&self) -> BySeed {
        let seeds = self.0.first().map_or(0, Vec::len);
        let of_seed = |seed: usize| {
            let values: Option<Vec<f64>> = self.0.iter().map(|row| row[seed]).collect();
            values.and_then(|values| mean(&values))
        };
        (0..seeds).map(of_seed).collect()
    }

    /// The rows over the seeds on which every training has data: only so is each mean over the same seeds.
    #[must_use]
    pub fn complete(&self) -> Vec<Vec<f64>> {
        let has_all = self.by_seed();
        let kept = |row: &BySeed| {
            row.iter().zip(&has_all).filter_map(|(v, all)| v.filter(|_| all.is_some())).collect()
        };
        self.0.iter().map(kept).collect()
    }

    /// Its mean over trainings and seeds; `None` where no seed has data.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        mean(&self.by_seed().into_iter().flatten().collect::<Vec<_>>())
    }

    /// Differences to a policy on the same seeds; `None` where one of them has no data. A difference takes the seed's own
    /// difficulty out.
    #[must_use]
    pub fn minus(&self, other: &[Option<f64>]) -> Self {
        let paired =
            |row: &BySeed| row.iter().zip(other).map(|(mine, its)| Some((*mine)? - (*its)?)).collect();
        Self(self.0.iter().map(paired).collect())
    }

    /// Whether each difference is an improvement: 1 above zero, 0 below, 1/2 at zero. Their mean is the probability of
    /// improvement. Agarwal et al. compare every run of one with every run of the other, for their runs are
    /// independent; here both meet the same seed, so a seed is compared with itself.
    #[must_use]
    pub fn improvements(&self) -> Self {
        let improvement = |difference: f64| match difference {
            d if d > 0.0 => 1.0,
            d if d < 0.0 => 0.0,
            _ => 0.5,
        };
        let of_row = |row: &BySeed| row.iter().map(|difference| difference.map(improvement)).collect();
        Self(self.0.iter().map(of_row).collect())
    }
}

impl From<BySeed> for Runs {
    /// Of what was not trained, or once.
    fn from(by_seed: BySeed) -> Self {
        Self(vec![by_seed])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_that_one_training_lacks_is_left_out_for_all() {
        let runs = Runs::new(vec![vec![Some(1.0), Some(2.0), None], vec![Some(3.0), None, None]]);
        assert_eq!(runs.complete(), [[1.0], [3.0]]);
        assert_eq!(runs.by_seed(), [Some(2.0), None, None]);
        assert_eq!(runs.mean(), Some(2.0));
        assert_eq!(Runs::from(vec![None]).mean(), None);
    }

    #[test]
    fn each_training_is_compared_on_its_own_seed() {
        let runs = Runs::new(vec![vec![Some(1.5), Some(2.0)], vec![Some(1.0), None]]);
        let differences = runs.minus(&[Some(1.0), Some(4.0)]);
        assert_eq!(differences.by_training(), [[Some(0.5), Some(-2.0)], [Some(0.0), None]]);
        let improved = differences.improvements();
        assert_eq!(improved.by_training(), [[Some(1.0), Some(0.0)], [Some(0.5), None]]);
    }
}
