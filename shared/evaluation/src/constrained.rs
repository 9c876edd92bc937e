//! Whether constraints were met, by how much they were missed, and at which price.

use routing_env::{Constraint, Sums, TOLERANCE};

use crate::{constrained_limit::ConstrainedLimit, episodes::Played};

/// How a constraint was kept.
#[derive(Clone, Debug, PartialEq)]
pub struct ConstraintReport {
    /// Which.
    pub constraint: Constraint,
    /// By policy, in the order of the report's.
    pub policies: Vec<Kept>,
    /// By the physical limit, where it was solved: what is missed there, nobody can keep.
    pub limit: Option<Kept>,
}

/// How a constraint was kept over episodes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kept {
    /// Episodes: of each training on each seed.
    pub episodes: u64,
    /// Those in which it was missed by no more than [`TOLERANCE`].
    pub met_on: u64,
    /// By which share of the bound it was missed: the mean, where room that was left counts as 0.
    pub missed_by: f64,
    /// The same in the worst of them.
    pub worst_missed_by: f64,
    /// The mean price, in points a unit of what it is about: of what is about every tenant, that of the dearest; `None` of
    /// what was not played under prices.
    pub price: Option<f64>,
}

impl Kept {
    /// Of what was missed in each episode, and the price there.
    fn of(missed: impl Iterator<Item = f64>, prices: impl Iterator<Item = f64>) -> Self {
        let missed: Vec<f64> = missed.map(|missed| missed.max(0.0)).collect();
        let prices: Vec<f64> = prices.collect();
        let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len().max(1) as f64;
        Self {
            episodes: missed.len() as u64,
            met_on: missed.iter().filter(|missed| **missed <= TOLERANCE).count() as u64,
            missed_by: mean(&missed),
            worst_missed_by: missed.iter().copied().fold(0.0, f64::max),
            price: (!prices.is_empty()).then(|| mean(&prices)),
        }
    }
}

/// How each of the constraints was kept, where this was achieved, `[contestant][training][seed]`, and this was possible by
/// seed, if that is known.
pub(crate) fn reports(
    constraints: &[Constraint],
    achieved: &[Played],
    limits: &[ConstrainedLimit],
) -> Vec<ConstraintReport> {
    let report = |(i, constraint): (usize, &Constraint)| {
        let of_policy = |played: &Played| {
            let episodes = || played.iter().flatten();
            let missed = episodes().map(|episode| constraint.missed_by(&Sums::of(&episode.metrics)));
            Kept::of(missed, episodes().filter_map(|episode| episode.prices.get(i).copied()))
        };
        // at the highest price that is sought nobody can keep them, whatever they would be worth
        let can_be_kept = |limit: &&ConstrainedLimit| limit.missed_by.iter().all(|missed| *missed == 0.0);
        let of_limit = || {
            let prices = limits.iter().filter(can_be_kept).map(|limit| limit.prices[i]);
            Kept::of(limits.iter().map(|limit| limit.missed_by[i]), prices)
        };
        ConstraintReport {
            constraint: *constraint,
            policies: achieved.iter().map(of_policy).collect(),
            limit: (!limits.is_empty()).then(of_limit),
        }
    };
    constraints.iter().enumerate().map(report).collect()
}

/// What to know before the figures are read.
pub(crate) fn verdicts(reports: &[ConstraintReport]) -> Vec<String> {
    let mut told = Vec::new();
    for report in reports {
        let Some(limit) = report.limit.filter(|limit| limit.met_on < limit.episodes) else { continue };
        told.push(format!(
            "Nobody can keep {} on {} of {} seeds: at best it is missed there by up to {}. The limit is then that of one who \
             misses it by the least.",
            report.title(),
            limit.episodes - limit.met_on,
            limit.episodes,
            percent(limit.worst_missed_by)
        ));
    }
    if !reports.is_empty() {
        told.push(format!(
            "Rewards are without the prices of constraints; gaps are to the limit of those who keep them. Met is what is missed \
             by at most {} of the bound.",
            percent(TOLERANCE)
        ));
    }
    told
}

impl ConstraintReport {
    /// The constraint in a few words.
    #[must_use]
    pub fn title(&self) -> String {
        let Constraint { figure, bound } = self.constraint;
        format!("{} {} {bound}", figure.name(), self.constraint.side().replace('_', " "))
    }
}

fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_that_is_left_in_one_episode_makes_up_for_nothing_in_another() {
        let kept = Kept::of([-0.5, 0.01, 0.02].into_iter(), [1.0, 2.0, 3.0].into_iter());
        assert_eq!((kept.episodes, kept.met_on, kept.price), (3, 2, Some(2.0)));
        assert!((kept.missed_by - 0.01).abs() < 1e-12);
        assert_eq!(kept.worst_missed_by, 0.02);
    }
}
