//! What a provider's jobs come to on average.

use serde::{Deserialize, Serialize};

use super::{add_each, best, check_losses};

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
    memory: MeansMemory,
    /// What is known of other episodes.
    priors: Vec<f64>,
    /// `[rate][provider]`: jobs and their sum, as far as they are not forgotten.
    recent: Vec<Vec<(f64, f64)>>,
}

/// What [`Means`] keeps over episodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MeansMemory {
    /// By provider: jobs and their sum.
    providers: Vec<(f64, f64)>,
    /// `[rate]`: sum of the squared errors of its predictions, up to what all have in common.
    losses: Vec<f64>,
}

impl MeansMemory {
    /// Adds what another one remembers.
    ///
    /// # Errors
    /// When it is of another catalog.
    pub(crate) fn add(&mut self, other: &Self) -> Result<(), String> {
        add_each(&mut self.losses, &other.losses)?;
        if self.providers.len() != other.providers.len() {
            let (expected, found) = (self.providers.len(), other.providers.len());
            return Err(format!("expected figures of {expected} providers, found {found}"));
        }
        for ((jobs, sum), (more, their_sum)) in self.providers.iter_mut().zip(&other.providers) {
            (*jobs, *sum) = (*jobs + more, *sum + their_sum);
        }
        Ok(())
    }
}

impl Means {
    pub(crate) fn new(catalog: Vec<f64>, catalog_jobs: f64) -> Self {
        let recent = vec![vec![(0.0, 0.0); catalog.len()]; MEANS.len()];
        let memory =
            MeansMemory { providers: vec![(0.0, 0.0); catalog.len()], losses: vec![0.0; MEANS.len()] };
        Self { priors: catalog.clone(), catalog, catalog_jobs, memory, recent }
    }

    pub(crate) fn begin_episode(&mut self) {
        let providers = self.catalog.iter().zip(&self.memory.providers);
        let prior = |(catalog, (jobs, sum)): (&f64, &(f64, f64))| {
            (catalog * self.catalog_jobs + sum) / (self.catalog_jobs + jobs)
        };
        self.priors = providers.map(prior).collect();
        self.recent = vec![vec![(0.0, 0.0); self.catalog.len()]; MEANS.len()];
    }

    /// Follows a step: by provider, jobs and their sum.
    pub(crate) fn observe(&mut self, seen: &[(f64, f64)], learns: bool) {
        for (rate, (kept, _)) in MEANS.into_iter().enumerate() {
            for (provider, (jobs, sum)) in seen.iter().enumerate() {
                if learns && *jobs > 0.0 {
                    let expected = self.value(rate, provider);
                    self.memory.losses[rate] += jobs * expected * expected - 2.0 * expected * sum;
                }
                let recent = &mut self.recent[rate][provider];
                *recent = (kept * recent.0 + jobs, kept * recent.1 + sum);
            }
        }
        if learns {
            for (known, seen) in self.memory.providers.iter_mut().zip(seen) {
                *known = (known.0 + seen.0, known.1 + seen.1);
            }
        }
    }

    /// What is expected of each provider.
    pub(crate) fn values(&self) -> Vec<f64> {
        let rate = best(&self.memory.losses, FIRST_MEAN);
        (0..self.catalog.len()).map(|provider| self.value(rate, provider)).collect()
    }

    /// Providers that it knows.
    pub(crate) fn size(&self) -> u64 {
        self.memory.providers.iter().filter(|(jobs, _)| *jobs > 0.0).count() as u64
    }

    pub(crate) fn memory(&self) -> &MeansMemory {
        &self.memory
    }

    /// # Errors
    /// Says what does not fit.
    pub(crate) fn recall(&mut self, memory: MeansMemory) -> Result<(), String> {
        check_losses(&memory.losses, MEANS.len())?;
        if memory.providers.len() != self.catalog.len() {
            let (expected, found) = (self.catalog.len(), memory.providers.len());
            return Err(format!("expected figures of {expected} providers, found {found}"));
        }
        if !memory.providers.iter().all(|(jobs, sum)| *jobs >= 0.0 && sum.is_finite()) {
            return Err("expected finite sums over jobs".into());
        }
        self.memory = memory;
        self.begin_episode();
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
        let mut means = Means::new(vec![0.5, 0.2], 10.0);
        assert_eq!(means.values(), [0.5, 0.2]);
        // the first rate counts what is known for 10 jobs: (0.5·10 + 1) / (10 + 10)
        means.observe(&[(10.0, 1.0), (0.0, 0.0)], false);
        assert_eq!(means.values(), [0.3, 0.2]);
        means.begin_episode();
        assert_eq!(means.values(), [0.5, 0.2], "a frozen one remembers nothing beyond the episode");
    }

    #[test]
    fn what_was_learned_in_one_episode_is_known_in_the_next() {
        let mut means = Means::new(vec![0.5], 10.0);
        means.observe(&[(10.0, 1.0)], true);
        means.begin_episode();
        // the catalog's word for 10 jobs, and 10 jobs: (0.5·10 + 1) / 20
        assert_eq!(means.values(), [0.3]);
    }

    #[test]
    fn the_rate_that_predicts_best_is_believed() {
        // failures come in bursts of ten steps: who forgets soon predicts them best
        let mut means = Means::new(vec![0.1], 10.0);
        for step in 0..400 {
            let failed = if step / 10 % 2 == 0 { 9.0 } else { 1.0 };
            means.observe(&[(10.0, failed)], true);
        }
        let bursty = best(&means.memory.losses, FIRST_MEAN);
        let mut means = Means::new(vec![0.1], 10.0);
        for step in 0..400 {
            means.observe(&[(10.0, if step % 2 == 0 { 4.0 } else { 6.0 })], true);
        }
        let steady = best(&means.memory.losses, FIRST_MEAN);
        assert!(MEANS[bursty].0 < MEANS[steady].0, "{:?} {:?}", MEANS[bursty], MEANS[steady]);
    }

    #[test]
    fn a_memory_of_another_catalog_or_version_is_refused() {
        let mut means = Means::new(vec![0.1; 3], 10.0);
        let other = Means::new(vec![0.1; 2], 10.0).memory;
        assert_eq!(means.recall(other).unwrap_err(), "expected figures of 3 providers, found 2");
        let cut = MeansMemory { losses: vec![0.0; 2], ..means.memory.clone() };
        assert!(means.recall(cut).unwrap_err().contains("finite losses"));
    }
}
