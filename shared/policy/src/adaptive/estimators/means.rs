//! What a provider's jobs come to on average.

use std::fmt;

use serde::{Deserialize, Serialize};

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

/// What a step leaves of the record of what was heard, and how much worse it may have been until it is not believed.
const EXCESS_KEPT: f64 = 0.97;
const MOST_EXCESS: f64 = 1.0;

/// What was heard of so many steps ago is forgotten: a hundredth of it would be left at the slowest rate.
const FORGOTTEN_AFTER: usize = 460;

/// Those that are believed first.
const FIRST_MEAN: usize = 0;

/// Means of what came of jobs, a provider each.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
    /// What others saw in this episode.
    heard: Option<Heard>,
}

/// What others saw in an episode, beside what one sees oneself.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Heard {
    /// `[rate][provider]`: their jobs and their sum, as far as they are not forgotten.
    recent: Vec<Vec<(f64, f64)>>,
    /// Who predicts best with it.
    experts: Experts,
    /// By how much predictions with it have been more wrong than those without, of late.
    excess: f64,
}

/// As it would be derived, but for what was heard where nothing was: deployments record a hash of this text, and go on only
/// where they come to the same again.
impl fmt::Debug for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { catalog, catalog_jobs, is_told, known, others, experts, priors, recent, heard } = self;
        let mut text = f.debug_struct("Means");
        text.field("catalog", catalog).field("catalog_jobs", catalog_jobs).field("is_told", is_told);
        text.field("known", known).field("others", others).field("experts", experts);
        text.field("priors", priors).field("recent", recent);
        if let Some(heard) = heard {
            text.field("heard", heard);
        }
        text.finish()
    }
}

impl Means {
    pub(crate) fn new(catalog: Vec<f64>, catalog_jobs: f64, is_told: bool) -> Self {
        let recent = vec![vec![(0.0, 0.0); catalog.len()]; MEANS.len()];
        let known = vec![(0.0, 0.0); catalog.len()];
        let experts = Experts::new(MEANS.len());
        Self {
            priors: catalog.clone(),
            catalog,
            catalog_jobs,
            is_told,
            known,
            others: None,
            experts,
            recent,
            heard: None,
        }
    }

    /// Whether the other ones are of the same catalog.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let providers = self.catalog.len();
        let is_of_all = |recent: &[Vec<(f64, f64)>]| {
            recent.len() == MEANS.len() && recent.iter().all(|recent| recent.len() == providers)
        };
        self.catalog == other.catalog
            && (other.known.len(), other.priors.len()) == (providers, providers)
            && other.others.as_ref().is_none_or(|others| others.len() == providers)
            && is_of_all(&other.recent)
            && self.experts.is_like(&other.experts)
            && other
                .heard
                .as_ref()
                .is_none_or(|heard| is_of_all(&heard.recent) && self.experts.is_like(&heard.experts))
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
        self.heard = None;
    }

    /// Follows a step: by provider, jobs and their sum.
    pub(crate) fn observe(&mut self, seen: &[(f64, f64)], learns: bool) {
        let losses = |heard: Option<&Heard>| -> Vec<f64> {
            let of_rate = |rate| {
                let tried = seen.iter().enumerate().filter(|(_, (jobs, _))| *jobs > 0.0);
                let errors = tried.map(|(provider, (jobs, sum))| {
                    let expected = self.value(rate, provider, heard);
                    jobs * expected * expected - 2.0 * expected * sum
                });
                errors.sum()
            };
            (0..MEANS.len()).map(of_rate).collect()
        };
        let (alone, together) = (losses(None), self.heard.as_ref().map(|heard| losses(Some(heard))));
        if let Some((heard, together)) = self.heard.as_mut().zip(together) {
            let [own, with] = [&self.experts, &heard.experts].map(|experts| experts.best(FIRST_MEAN));
            heard.excess = EXCESS_KEPT * heard.excess + together[with] - alone[own];
            heard.experts.observe(together.into_iter(), false);
            for (recent, (kept, _)) in heard.recent.iter_mut().zip(MEANS) {
                recent.iter_mut().for_each(|(jobs, sum)| (*jobs, *sum) = (kept * *jobs, kept * *sum));
            }
        }
        // what is remembered is how right one is by what one sees oneself
        self.experts.observe(alone.into_iter(), learns);
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
        let heard = self.heard.as_ref().filter(|heard| heard.excess <= MOST_EXCESS);
        let experts = heard.map_or(&self.experts, |heard| &heard.experts);
        let rate = experts.best(FIRST_MEAN);
        (0..self.catalog.len()).map(|provider| self.value(rate, provider, heard)).collect()
    }

    /// Heeds what others saw in steps of this episode that ended so many steps ago, in the place of what it heard before.
    pub(crate) fn hear<'a>(&mut self, others: impl Iterator<Item = (u32, &'a [(f64, f64)])>) {
        let mut recent = vec![vec![(0.0, 0.0); self.catalog.len()]; MEANS.len()];
        // multiplied out, as what is seen oneself is: a power may be rounded otherwise elsewhere
        let weights = MEANS.map(|(kept, _)| -> Vec<f64> {
            std::iter::successors(Some(1.0), |weight| Some(kept * weight)).take(FORGOTTEN_AFTER).collect()
        });
        for (steps_ago, seen) in others {
            for (recent, weights) in recent.iter_mut().zip(&weights) {
                let Some(weight) = weights.get(steps_ago as usize) else { continue };
                for (recent, (jobs, sum)) in recent.iter_mut().zip(seen) {
                    *recent = (recent.0 + weight * jobs, recent.1 + weight * sum);
                }
            }
        }
        match &mut self.heard {
            Some(heard) => heard.recent = recent,
            None => self.heard = Some(Heard { recent, experts: self.experts.clone(), excess: 0.0 }),
        }
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

    fn value(&self, rate: usize, provider: usize, heard: Option<&Heard>) -> f64 {
        let (mut jobs, mut sum) = self.recent[rate][provider];
        if let Some(heard) = heard {
            let (more, others) = heard.recent[rate][provider];
            (jobs, sum) = (jobs + more, sum + others);
        }
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

    /// Means that have heard this of the step that has just ended.
    fn told(heard: &[(f64, f64)]) -> Means {
        let mut means = Means::new(vec![0.5; heard.len()], 10.0, false);
        means.hear([(0, heard)].into_iter());
        means
    }

    #[test]
    fn the_text_of_who_heard_nothing_is_as_it_was_before_anybody_could() {
        let mut means = Means::new(vec![0.5], 10.0, false);
        let text = format!("{means:?}");
        let fields = [
            "Means { catalog: [0.5], catalog_jobs: 10.0, is_told: false, known: [(0.0, 0.0)], others: None, experts: ",
            ", priors: [0.5], recent: [[(0.0, 0.0)], ",
        ];
        assert!(text.starts_with(fields[0]) && text.contains(fields[1]), "{text}");
        assert!(text.ends_with("[(0.0, 0.0)]] }"), "{text}");
        means.hear([(0, [(3.0, 1.0)].as_slice())].into_iter());
        assert!(format!("{means:?}").contains("heard: Heard"), "two who heard otherwise have other texts");
    }

    #[test]
    fn what_others_saw_counts_as_what_one_sees_oneself_and_is_forgotten_as_fast() {
        let mut own = Means::new(vec![0.5], 10.0, false);
        own.observe(&[(30.0, 3.0)], false);
        assert_eq!(told(&[(30.0, 3.0)]).values(), own.values());
        own.observe(&[(0.0, 0.0)], false);
        let mut others = told(&[(30.0, 3.0)]);
        others.observe(&[(0.0, 0.0)], false);
        assert_eq!(others.values(), own.values(), "a step has passed since");
        others.hear([(1, [(30.0, 3.0)].as_slice())].into_iter());
        assert_eq!(others.values(), own.values(), "told again, a step later");
    }

    #[test]
    fn nothing_that_was_heard_is_remembered_as_ones_own() {
        let mut alone = Means::new(vec![0.5, 0.2], 10.0, false);
        let mut others = alone.clone();
        others.hear([(0, [(30.0, 12.0), (20.0, 2.0)].as_slice())].into_iter());
        for seen in [[(9.0, 2.0), (4.0, 0.0)], [(3.0, 3.0), (8.0, 1.0)]] {
            alone.observe(&seen, true);
            others.observe(&seen, true);
        }
        assert_ne!(others.values(), alone.values());
        assert_eq!(others.known(), alone.known());
        assert_eq!(others.experts().remembered(), alone.experts().remembered());
        others.begin_episode();
        alone.begin_episode();
        assert_eq!(others.values(), alone.values(), "the next episode begins without");
    }

    #[test]
    fn whoever_is_left_out_of_what_is_heard_leaves_nothing() {
        let (honest, liar) = ([(30.0, 3.0)], [(1000.0, 1000.0)]);
        let mut means = told(&honest);
        means.hear([(0, honest.as_slice()), (0, liar.as_slice())].into_iter());
        assert!(means.values()[0] > 0.9);
        means.hear([(0, honest.as_slice())].into_iter());
        assert_eq!(means.values(), told(&honest).values());
    }

    #[test]
    fn what_predicts_worse_than_ones_own_eyes_is_not_believed_until_it_predicts_as_well() {
        let (lie, truth) = ([(1000.0, 1000.0)], [(1000.0, 100.0)]);
        let (mut alone, mut means) = (Means::new(vec![0.5], 10.0, false), told(&lie));
        let mut step = |means: &mut Means, heard: &[(f64, f64)]| {
            alone.observe(&[(10.0, 1.0)], false);
            means.observe(&[(10.0, 1.0)], false);
            means.hear([(0, heard)].into_iter());
            means.values() == alone.values()
        };
        assert!(step(&mut means, &lie), "one step of ten jobs shows it");
        let steps = (1..).find(|_| !step(&mut means, &truth));
        assert!(steps.is_some_and(|steps| steps < 120), "{steps:?}");
    }

    #[test]
    fn figures_of_another_catalog_are_refused() {
        let mut means = Means::new(vec![0.1; 3], 10.0, false);
        let error = means.recall(vec![(1.0, 0.1); 2]).unwrap_err();
        assert_eq!(error, "expected figures of 3 providers, found 2");
        assert!(means.recall(vec![(-1.0, 0.1); 3]).unwrap_err().contains("finite sums"));
    }
}
