//! What the figures say, in sentences that claim no more than the intervals carry.

use std::fmt::Write as _;

use api::evaluator::{Estimate, MetricEstimates, PolicyResult};

use crate::figures::Figure;

/// Every learned policy against the baseline and against the best rule; without one, the best rule
/// against the baseline.
pub(crate) fn verdicts(
    policies: &[PolicyResult],
    baseline: usize,
    best_rule: usize,
    seeds: usize,
) -> Vec<String> {
    let mut verdicts = Vec::new();
    let best = &policies[best_rule].name;
    for policy in policies.iter().filter(|p| p.learned) {
        let title = title(policy);
        verdicts.extend(verdict(
            &title,
            "the baseline",
            &policies[baseline].name,
            &policy.versus_baseline,
            seeds,
        ));
        if best_rule != baseline {
            verdicts.extend(verdict(&title, "the best hand rule", best, &policy.versus_best_rule, seeds));
        }
    }
    if verdicts.is_empty() && best_rule != baseline {
        let differences = &policies[best_rule].versus_baseline;
        verdicts.extend(verdict(best, "the baseline", &policies[baseline].name, differences, seeds));
    }
    if best_rule == baseline {
        verdicts.push(format!("The baseline {best} is the best hand rule by mean reward."));
    } else {
        verdicts.push(format!("The best hand rule by mean reward is {best}."));
    }
    verdicts
}

/// Who wins by reward, and then which unmasking figures are worse.
fn verdict(name: &str, role: &str, other: &str, differences: &MetricEstimates, seeds: usize) -> Vec<String> {
    let Some(reward) = differences.reward else {
        return vec![format!(
            "{name} and {role} {other}: no seed had a request, so there is nothing to compare."
        )];
    };
    let difference = format!(
        "paired difference of the reward per request {:+.3}, 95 % interval {:+.3} to {:+.3}, {seeds} seeds",
        reward.mean, reward.ci_low, reward.ci_high
    );
    let mut sentences = vec![match side(&reward) {
        Side::Above => format!("{name} is better than {role} {other} ({difference})."),
        Side::Below => format!("{name} is worse than {role} {other} ({difference})."),
        Side::Undecided => {
            format!("{name} and {role} {other}: no difference that the seeds can show ({difference}).")
        }
    }];
    let mut worse = String::new();
    for (figure, more_is_better) in Figure::UNMASKING {
        let Some(estimate) = figure.among(differences) else { continue };
        let bad = if more_is_better { Side::Below } else { Side::Above };
        if side(&estimate) == bad {
            let separator = if worse.is_empty() { "" } else { ", " };
            // writing to a String cannot fail
            let _ = write!(worse, "{separator}{} {:+.4}", figure.words(), estimate.mean);
        }
    }
    sentences.push(if worse.is_empty() {
        format!(
            "No unmasking figure of {name} is worse than that of {other}: GPU-hours fill, fill by job size, the \
             worst tenant, cost index, $ per GPU-hour, deferred share."
        )
    } else {
        format!("Worse than with {other}: {worse}.")
    });
    sentences
}

/// Where a difference's interval lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Above,
    Below,
    Undecided,
}

fn side(difference: &Estimate) -> Side {
    if difference.ci_low > 0.0 {
        Side::Above
    } else if difference.ci_high < 0.0 {
        Side::Below
    } else {
        Side::Undecided
    }
}

/// The algorithm and, as two policies may have the same, the start of the artifact's name.
fn title(policy: &PolicyResult) -> String {
    match policy.policy_sha256 {
        Some(sha256) => format!("{} ({})", policy.name, &sha256.to_string()[..8]),
        None => policy.name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use api::{Hash, evaluator::Fairness};

    use super::*;
    use crate::figures::estimates;

    fn estimate(mean: f64, half: f64) -> Option<Estimate> {
        Some(Estimate { mean, ci_low: mean - half, ci_high: mean + half, iqm: mean, std_dev: None })
    }

    fn result(name: &str, learned: bool, versus: impl Fn(Figure) -> Option<Estimate>) -> PolicyResult {
        PolicyResult {
            name: name.into(),
            learned,
            reference: false,
            policy_sha256: learned.then_some(Hash([0xab; 32])),
            metrics: estimates(|_| None),
            versus_baseline: estimates(&versus),
            versus_best_rule: estimates(&versus),
            gap_closed: None,
            informed_gap_closed: None,
            probability_of_improvement: None,
            fairness: Fairness { by_tenant: vec![], by_size: vec![] },
            reward_by_seed: vec![],
            reward_on_limit_steps: None,
        }
    }

    fn sentences(versus: impl Fn(Figure) -> Option<Estimate>) -> Vec<String> {
        let policies =
            [result("q-learning", true, versus), result("weighted-score", false, |_| estimate(0.0, 0.0))];
        verdicts(&policies, 1, 1, 20)
    }

    #[test]
    fn better_and_worse_are_said_only_where_the_interval_excludes_zero() {
        let of = |mean, half| {
            sentences(move |f| if f == Figure::Reward { estimate(mean, half) } else { None })[0].clone()
        };
        assert!(of(0.5, 0.4).starts_with("q-learning (abababab) is better than the baseline weighted-score"));
        assert!(of(-0.5, 0.4).contains(" is worse than "));
        for undecided in [of(0.5, 0.5), of(-0.5, 0.6), of(0.0, 0.0)] {
            assert!(undecided.contains("no difference that the seeds can show"), "{undecided}");
        }
    }

    #[test]
    fn a_winner_that_drops_large_jobs_and_pays_more_is_told_so() {
        let sentences = sentences(|f| match f {
            Figure::Reward => estimate(2.0, 0.1),
            Figure::FillFrom6h | Figure::GpuHoursFill => estimate(-0.2, 0.05),
            Figure::CostIndex => estimate(0.01, 0.005),
            Figure::CostPerGpuHourUsd => estimate(-0.01, 0.005),
            _ => estimate(0.0, 0.1),
        });
        assert!(sentences[0].contains("is better"));
        assert_eq!(
            sentences[1],
            "Worse than with weighted-score: GPU-hours fill -0.2000, fill of jobs from 6 GPU-hours on -0.2000, \
             cost index +0.0100."
        );
    }

    #[test]
    fn a_clean_winner_is_told_so_too() {
        let sentences = sentences(|_| estimate(0.0, 0.1));
        assert!(sentences[1].starts_with("No unmasking figure"), "{}", sentences[1]);
    }

    #[test]
    fn without_learned_policies_the_best_rule_meets_the_baseline() {
        let policies = [
            result("weighted-score", false, |_| estimate(0.0, 0.0)),
            result("cheapest", false, |_| estimate(1.0, 0.1)),
        ];
        let sentences = verdicts(&policies, 0, 1, 5);
        assert!(sentences[0].starts_with("cheapest is better than the baseline weighted-score"));
        assert_eq!(sentences.last().unwrap(), "The best hand rule by mean reward is cheapest.");
    }

    #[test]
    fn a_figure_lies_where_the_series_keeps_it() {
        for (i, figure) in Figure::ALL.into_iter().enumerate() {
            assert_eq!(figure as usize, i);
        }
    }
}
