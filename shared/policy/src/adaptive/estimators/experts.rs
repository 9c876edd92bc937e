//! Which of several estimators to believe: each has predicted what came, and the one that was least wrong is believed
//! (prequential choice, Dawid 1984).
//!
//! What training showed counts for a limited number of steps, and what this episode shows counts as it comes, also where
//! nothing is learned any more: what was best in one world is not kept to in another one that contradicts it (fixed share
//! among experts, Herbster and Warmuth 1998).

use serde::{Deserialize, Serialize};

use super::add_each;

/// For how many steps of an episode what was seen in others counts at most.
const REMEMBERED_STEPS: f64 = 60.0;

/// How wrong each has been, over all that was learned from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Losses {
    /// Sums of the losses of their predictions.
    sums: Vec<f64>,
    /// Steps that were predicted.
    steps: f64,
}

/// Estimators that are compared.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Experts {
    remembered: Losses,
    /// What others remember, which is heeded beside one's own.
    others: Option<Losses>,
    /// What was remembered when this episode began, as so many steps of it.
    prior: Vec<f64>,
    prior_steps: f64,
    episode: Vec<f64>,
    episode_steps: f64,
}

impl Losses {
    pub(crate) fn new(sums: Vec<f64>, steps: f64) -> Self {
        Self { sums, steps }
    }

    /// # Errors
    /// When they are not sound losses of so many estimators.
    fn check(&self, expected: usize) -> Result<(), String> {
        let figures = self.sums.iter().chain([&self.steps]);
        if self.sums.len() != expected
            || self.steps < 0.0
            || figures.into_iter().any(|loss| !loss.is_finite())
        {
            return Err(format!("expected {expected} finite losses, found {}", self.sums.len()));
        }
        Ok(())
    }

    /// # Errors
    /// When they are of another number of estimators.
    pub(crate) fn add(&mut self, other: &Self) -> Result<(), String> {
        self.steps += other.steps;
        add_each(&mut self.sums, &other.sums)
    }
}

impl Experts {
    pub(crate) fn new(count: usize) -> Self {
        let none = vec![0.0; count];
        Self {
            remembered: Losses::new(none.clone(), 0.0),
            others: None,
            prior: none.clone(),
            prior_steps: 0.0,
            episode: none,
            episode_steps: 0.0,
        }
    }

    /// Whether the other ones are as many.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let count = self.prior.len();
        (other.prior.len(), other.episode.len()) == (count, count)
            && [Some(&other.remembered), other.others.as_ref()]
                .into_iter()
                .flatten()
                .all(|losses| losses.check(count).is_ok())
    }

    pub(crate) fn begin_episode(&mut self) {
        let mut all = self.remembered.clone();
        if let Some(others) = &self.others {
            all.steps += others.steps;
            all.sums.iter_mut().zip(&others.sums).for_each(|(sum, other)| *sum += other);
        }
        self.prior_steps = all.steps.min(REMEMBERED_STEPS);
        let share = if all.steps > 0.0 { self.prior_steps / all.steps } else { 0.0 };
        self.prior = all.sums.iter().map(|sum| share * sum).collect();
        self.episode.fill(0.0);
        self.episode_steps = 0.0;
    }

    /// Counts the losses of a step's predictions, and where `learns`, remembers them beyond the episode.
    pub(crate) fn observe(&mut self, losses: impl Iterator<Item = f64>, learns: bool) {
        for (i, loss) in losses.enumerate() {
            self.episode[i] += loss;
            if learns {
                self.remembered.sums[i] += loss;
            }
        }
        self.episode_steps += 1.0;
        if learns {
            self.remembered.steps += 1.0;
        }
    }

    /// The one that was least wrong; on a tie, the one that is believed first.
    pub(crate) fn best(&self, first: usize) -> usize {
        let better = |best: usize, i: usize| if self.loss(i) < self.loss(best) { i } else { best };
        (0..self.prior.len()).fold(first, better)
    }

    /// How wrong one has been, and over how many steps that is.
    pub(crate) fn record(&self, i: usize) -> (f64, f64) {
        (self.loss(i), self.prior_steps + self.episode_steps)
    }

    pub(crate) fn remembered(&self) -> &Losses {
        &self.remembered
    }

    /// # Errors
    /// Says what does not fit.
    pub(crate) fn recall(&mut self, losses: Losses) -> Result<(), String> {
        losses.check(self.prior.len())?;
        self.remembered = losses;
        self.begin_episode();
        Ok(())
    }

    /// Heeds what others remember too, in the place of what it heeded before, from the next episode on.
    ///
    /// # Errors
    /// Says what does not fit.
    pub(crate) fn heed(&mut self, others: Option<Losses>) -> Result<(), String> {
        others.iter().try_for_each(|others| others.check(self.prior.len()))?;
        self.others = others;
        Ok(())
    }

    fn loss(&self, i: usize) -> f64 {
        self.prior[i] + self.episode[i]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_training_showed_is_given_up_where_an_episode_contradicts_it() {
        let mut experts = Experts::new(2);
        (0..10_000).for_each(|_| experts.observe([0.0, 1.0].into_iter(), true));
        experts.begin_episode();
        assert_eq!(experts.best(1), 0);
        (0..REMEMBERED_STEPS as usize - 1).for_each(|_| experts.observe([1.0, 0.0].into_iter(), false));
        assert_eq!(experts.best(1), 0);
        (0..2).for_each(|_| experts.observe([1.0, 0.0].into_iter(), false));
        assert_eq!(experts.best(1), 1, "what is frozen goes on weighing");
        experts.begin_episode();
        assert_eq!(experts.best(1), 0, "and remembers nothing of it");
    }

    #[test]
    fn who_knows_nothing_begins_with_the_first() {
        let experts = Experts::new(3);
        assert_eq!((experts.best(2), experts.record(2)), (2, (0.0, 0.0)));
    }
}
