//! What a provider's jobs come to on average.

use super::Experts;

/// What a step keeps of the means that were seen before, and for how many jobs what is known of other episodes counts.
const MEANS: [(f64, f64); 8] = [
    (0.97, 10.0),
    (0.9, 3.0),
    (0.9, 10.0),
    (0.95, 5.0),
    (0.95, 20.0),
    (0.98, 20.0),
    (0.8, 5.0),
    (0.99, 40.0),
];

/// Those that are believed first.
const FIRST_MEAN: usize = 0;

/// Means of what came of jobs, a provider each.
#[derive(Clone, Debug)]
pub(crate) struct Means {
    /// The catalog's word.
    catalog: Vec<f64>,
    /// For how many jobs it counts.
    catalog_jobs: f64,
    /// Whether it tells all: then what is known of worlds where it does not says nothing here, nor the other way round.
    is_told: bool,
    /// By provider: jobs of all episodes that were learned from, and their sum.
    known: Vec<(f64, f64)>,
    /// The same of others, which is heeded beside one's own.
    others: Option<Vec<(f64, f64)>>,
    experts: Experts,
    /// What is known of other episodes.
    priors: Vec<f64>,
    /// `[rate][provider]`: jobs and their sum, as far as they are not forgotten.
    recent: Vec<Vec<(f64, f64)>>,
}

impl Means {
    pub(crate) fn new(catalog: Vec<f64>, catalog_jobs: f64, is_told: bool) -> Self {
        let recent = vec![vec![(0.0, 0.0); catalog.len()]; MEANS.len()];
        let known = vec![(0.0, 0.0); catalog.len()];
        let experts = Experts::new(MEANS.len());
        Self { priors: catalog.clone(), catalog, catalog_jobs, is_told, known, others: None, experts, recent }
    }

    pub(crate) fn begin_episode(&mut self) {
        let prior = |(catalog, (jobs, sum)): (&f64, &(f64, f64))| {
            (catalog * self.catalog_jobs + sum) / (self.catalog_jobs + jobs)
        };
        if !self.is_told {
            let mut all = self.known.clone();
            for (known, other) in all.iter_mut().zip(self.others.iter().flatten()) {
                *known = (known.0 + other.0, known.1 + other.1);
            }
            self.priors = self.catalog.iter().zip(&all).map(prior).collect();
        }
        self.experts.begin_episode();
        self.recent = vec![vec![(0.0, 0.0); self.catalog.len()]; MEANS.len()];
    }

    /// Follows a step: by provider, jobs and their sum.
    pub(crate) fn observe(&mut self, seen: &[(f64, f64)], learns: bool) {
        let of_rate = |rate| {
            let tried = seen.iter().enumerate().filter(|(_, (jobs, _))| *jobs > 0.0);
            let errors = tried.map(|(provider, (jobs, sum))| {
                let expected = self.value(rate, provider);
                jobs * expected * expected - 2.0 * expected * sum
            });
            errors.sum()
        };
        let losses: Vec<f64> = (0..MEANS.len()).map(of_rate).collect();
        self.experts.observe(losses.into_iter(), learns);
        for (recent, (kept, _)) in self.recent.iter_mut().zip(MEANS) {
            for (recent, (jobs, sum)) in recent.iter_mut().zip(seen) {
                *recent = (kept * recent.0 + jobs, kept * recent.1 + sum);
            }
        }
        if learns && !self.is_told {
            for (known, seen) in self.known.iter_mut().zip(seen) {
                *known = (known.0 + seen.0, known.1 + seen.1);
            }
        }
    }

    /// What is expected of each provider.
    pub(crate) fn values(&self) -> Vec<f64> {
        let rate = self.experts.best(FIRST_MEAN);
        (0..self.catalog.len()).map(|provider| self.value(rate, provider)).collect()
    }

    /// Providers that it knows.
    pub(crate) fn size(&self) -> u64 {
        self.known.iter().filter(|(jobs, _)| *jobs > 0.0).count() as u64
    }

    /// By provider: jobs that were learned from, and their sum.
    pub(crate) fn known(&self) -> &[(f64, f64)] {
        &self.known
    }

    pub(crate) fn experts(&self) -> &Experts {
        &self.experts
    }

    pub(crate) fn experts_mut(&mut self) -> &mut Experts {
        &mut self.experts
    }

    /// # Errors
    /// Says what does not fit.
    pub(crate) fn recall(&mut self, known: Vec<(f64, f64)>) -> Result<(), String> {
        self.check(&known)?;
        self.known = known;
        Ok(())
    }

    /// Heeds what others know too, in the place of what it heeded before, from the next episode on.
    ///
    /// # Errors
    /// Says what does not fit.
    pub(crate) fn heed(&mut self, others: Option<Vec<(f64, f64)>>) -> Result<(), String> {
        others.iter().try_for_each(|others| self.check(others))?;
        self.others = others;
        Ok(())
    }

    fn check(&self, known: &[(f64, f64)]) -> Result<(), String> {
        if known.len() != self.catalog.len() {
            let (expected, found) = (self.catalog.len(), known.len());
            return Err(format!("expected figures of {expected} providers, found {found}"));
        }
        if !known.iter().all(|(jobs, sum)| *jobs >= 0.0 && sum.is_finite()) {
            return Err("expected finite sums over jobs".into());
        }
        Ok(())
    }

    fn value(&self, rate: usize, provider: usize) -> f64 {
        let (jobs, sum) = self.recent[rate][provider];
        let weight = MEANS[rate].1;
        (self.priors[provider] * weight + sum) / (weight + jobs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_starts_at_what_is_known_and_follows_what_is_seen() {
        let mut means = Means::new(vec![0.5, 0.2], 10.0, false);
        assert_eq!(means.values(), [0.5, 0.2]);
        // the first rate counts what is known for 10 jobs: (0.5·10 + 1) / (10 + 10)
        means.observe(&[(10.0, 1.0), (0.0, 0.0)], false);
        assert_eq!(means.values(), [0.3, 0.2]);
        means.begin_episode();
        assert_eq!(means.values(), [0.5, 0.2], "a frozen one remembers nothing beyond the episode");
    }

    #[test]
    fn what_was_learned_in_one_episode_is_known_in_the_next() {
        let mut means = Means::new(vec![0.5], 10.0, false);
        means.observe(&[(10.0, 1.0)], true);
        means.begin_episode();
        // the catalog's word for 10 jobs, and 10 jobs: (0.5·10 + 1) / 20
        assert_eq!(means.values(), [0.3]);
    }

    #[test]
    fn the_rate_that_predicts_best_is_believed() {
        // failures come in bursts of ten steps: who forgets soon predicts them best
        let mut means = Means::new(vec![0.1], 10.0, false);
        for step in 0..400 {
            let failed = if step / 10 % 2 == 0 { 9.0 } else { 1.0 };
            means.observe(&[(10.0, failed)], true);
        }
        let bursty = means.experts.best(FIRST_MEAN);
        let mut means = Means::new(vec![0.1], 10.0, false);
        for step in 0..400 {
            means.observe(&[(10.0, if step % 2 == 0 { 4.0 } else { 6.0 })], true);
        }
        let steady = means.experts.best(FIRST_MEAN);
        assert!(MEANS[bursty].0 < MEANS[steady].0, "{:?} {:?}", MEANS[bursty], MEANS[steady]);
    }

    #[test]
    fn figures_of_another_catalog_are_refused() {
        let mut means = Means::new(vec![0.1; 3], 10.0, false);
        let error = means.recall(vec![(1.0, 0.1); 2]).unwrap_err();
        assert_eq!(error, "expected figures of 3 providers, found 2");
        assert!(means.recall(vec![(-1.0, 0.1); 3]).unwrap_err().contains("finite sums"));
    }
}
