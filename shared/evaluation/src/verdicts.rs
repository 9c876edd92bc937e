//! What the figures say, in sentences that claim no more than the intervals carry.

use policy::Rule;

use crate::{
    figures::{Estimates, Figure},
    report::{Fairness, LimitReport, PolicyReport},
    statistics::{Estimate, Interval},
};

/// Below this share of the baseline's reward there is nothing to learn.
const WORTH_LEARNING: f64 = 0.01;

/// What sentences are made from.
pub struct Findings<'a> {
    /// All who took part.
    pub policies: &'a [PolicyReport],
    /// Which of them is the baseline.
    pub baseline: usize,
    /// Which is the best hand rule.
    pub best_rule: usize,
    /// How many seeds they met.
    pub seeds: usize,
    /// The physical limit, where there is one.
    pub limit: Option<&'a LimitReport>,
    /// True when it was wanted, but could not be solved.
    pub is_limit_missing: bool,
    /// True when something is hidden from the policies, and from the limit.
    pub is_hidden: bool,
    /// The paired differences of one to another, by tenant and job size.
    pub who_differs: &'a dyn Fn(usize, usize) -> Fairness,
}

/// Every learned policy against the baseline, the best rule and the limit, but those that are only on the way to
/// another one; without a learned policy, the best rule against the baseline and the limit.
pub fn verdicts(findings: &Findings<'_>) -> Vec<String> {
    let &Findings { policies, baseline, best_rule, .. } = findings;
    let best = &policies[best_rule].name;
    let is_judged = |i: &usize| policies[*i].is_learned() && !is_on_the_way(&policies[*i], policies);
    let mut judged: Vec<usize> = (0..policies.len()).filter(is_judged).collect();
    if judged.is_empty() && best_rule != baseline {
        judged.push(best_rule);
    }
    let mut verdicts = Vec::new();
    for &i in &judged {
        verdicts.extend(findings.verdict(i, baseline, "the baseline", &policies[i].versus_baseline));
        if best_rule != baseline && best_rule != i {
            let differences = &policies[i].versus_best_rule;
            verdicts.extend(findings.verdict(i, best_rule, "the best hand rule", differences));
        }
        verdicts.extend(gaps(&policies[i], policies));
    }
    verdicts.push(if best_rule == baseline {
        format!("The baseline {best} is the best hand rule by mean reward.")
    } else {
        format!("The best hand rule by mean reward is {best}.")
    });
    verdicts.extend(findings.on_limit());
    verdicts
}

/// The same algorithm was trained for longer: this is a point of its learning curve.
fn is_on_the_way(policy: &PolicyReport, policies: &[PolicyReport]) -> bool {
    policies.iter().any(|p| p.name == policy.name && p.trained_episodes > policy.trained_episodes)
}

impl Findings<'_> {
    /// Who wins by reward, which unmasking figures are worse, and with whom.
    fn verdict(&self, i: usize, other: usize, role: &str, differences: &Estimates) -> Vec<String> {
        let (name, seeds) = (self.policies[i].title(self.policies), self.seeds);
        let other_name = &self.policies[other].name;
        let Some(reward) = differences.get(Figure::Reward) else {
            return vec![format!(
                "{name} and {role} {other_name}: no seed had a request, so there is nothing to compare."
            )];
        };
        let difference = format!(
            "paired difference of the reward per request {:+.3}, 95 % interval {:+.3} to {:+.3}, {seeds} seeds",
            reward.mean, reward.low, reward.high
        );
        let mut sentences = vec![match side(&reward) {
            Side::Above => format!("{name} is better than {role} {other_name} ({difference})."),
            Side::Below => format!("{name} is worse than {role} {other_name} ({difference})."),
            Side::Undecided => {
                format!(
                    "{name} and {role} {other_name}: no difference that the seeds can show ({difference})."
                )
            }
        }];
        let worse: Vec<(Figure, f64)> = Figure::UNMASKING
            .into_iter()
            .filter_map(|(figure, more_is_better)| {
                let bad = if more_is_better { Side::Below } else { Side::Above };
                let estimate = differences.get(figure).filter(|estimate| side(estimate) == bad)?;
                Some((figure, estimate.mean))
            })
            .collect();
        if worse.is_empty() {
            sentences.push(format!(
                "No unmasking figure of {name} is worse than that of {other_name}: GPU-hours fill, fill by job size, \
                 the worst tenant, cost index, $ per GPU-hour, deferred share."
            ));
            return sentences;
        }
        let list = worse.iter().map(|(figure, mean)| format!("{} {mean:+.4}", figure.words()));
        sentences.push(format!("Worse than with {other_name}: {}.", list.collect::<Vec<_>>().join(", ")));
        let worse: Vec<Figure> = worse.into_iter().map(|(figure, _)| figure).collect();
        sentences.extend(reasons(&worse, differences, &(self.who_differs)(i, other)));
        sentences
    }

    fn on_limit(&self) -> Option<String> {
        if self.is_limit_missing {
            return Some("The physical limit could not be solved, so no gap to it is told.".into());
        }
        if self.is_hidden {
            return Some(format!(
                "What happens is hidden here, from the physical limit too, so there is none; {} is told it and shows \
                 what that would be worth.",
                Rule::BidPriceInformed
            ));
        }
        let headroom = self.limit?.headroom?;
        let share = percent(&headroom);
        Some(if headroom.high < WORTH_LEARNING {
            format!(
                "The baseline's reward is within {share} of the physical limit: there is nothing to learn here."
            )
        } else {
            format!("The physical limit's reward is above the baseline's by {share}.")
        })
    }
}

/// How much of the way to the best that is possible, or that is known to be, a policy has gone.
fn gaps(policy: &PolicyReport, policies: &[PolicyReport]) -> Vec<String> {
    let name = policy.title(policies);
    let closed = |share: Interval, gap: &str| {
        if share.high < 0.0 {
            format!("{name} closes nothing of the gap between {gap}: it closes {}.", percent(&share))
        } else {
            format!("{name} closes {} of the gap between {gap}.", percent(&share))
        }
    };
    let to_limit = policy.gap_closed.map(|share| closed(share, "the baseline and the physical limit"));
    let to_informed = policy.informed_gap_closed.map(|share| {
        let (trusting, informed) = (Rule::BidPrice, Rule::BidPriceInformed);
        closed(
            share,
            &format!("{trusting}, which trusts the catalog, and {informed}, which is told the hidden truth"),
        )
    });
    to_limit.into_iter().chain(to_informed).collect()
}

/// Why unmasking figures are worse, as far as tenants and job sizes tell.
fn reasons(worse: &[Figure], differences: &Estimates, who: &Fairness) -> Vec<String> {
    let any = |figures: &[Figure]| figures.iter().any(|figure| worse.contains(figure));
    let mut reasons = Vec::new();
    if any(&[
        Figure::GpuHoursFill,
        Figure::FillUnder3h,
        Figure::FillFrom3hTo6h,
        Figure::FillFrom6h,
        Figure::WorstTenantGpuHoursFill,
    ]) {
        let sizes = who.by_size.iter().map(|by| (by.size.words().to_owned(), by.gpu_hours_fill));
        let tenants = who.by_tenant.iter().map(|by| (by.tenant.clone(), by.gpu_hours_fill));
        reasons.push(match (listed(sizes, Side::Below), listed(tenants, Side::Below)) {
            (None, None) => "No job size and no tenant loses more GPU-hours than the seeds can show.".into(),
            (Some(sizes), None) => format!("A smaller share of the GPU-hours is served to {sizes}."),
            (None, Some(tenants)) => format!("A smaller share of the GPU-hours is served to {tenants}."),
            (Some(sizes), Some(tenants)) => {
                format!("A smaller share of the GPU-hours is served to {sizes}; by tenant, to {tenants}.")
            }
        });
    }
    if any(&[Figure::CostIndex, Figure::CostPerGpuHourUsd]) {
        let tenants = who.by_tenant.iter().map(|by| (by.tenant.clone(), by.cost_per_gpu_hour_usd));
        reasons.push(match listed(tenants, Side::Above) {
            Some(tenants) => format!("More $ per GPU-hour are paid by {tenants}."),
            None => "No tenant pays more $ per GPU-hour than the seeds can show.".into(),
        });
    }
    if any(&[Figure::DeferredShare])
        && let Some(latency) = differences.get(Figure::AvgLatencyMs)
    {
        reasons.push(format!(
            "More requests wait; with their waiting the latency differs by {:+.1} ms.",
            latency.mean
        ));
    }
    reasons
}

/// Those whose difference lies on this side, with it.
fn listed(differences: impl Iterator<Item = (String, Option<Estimate>)>, on: Side) -> Option<String> {
    let on_it = differences.filter_map(|(name, estimate)| {
        let estimate = estimate.filter(|estimate| side(estimate) == on)?;
        Some(format!("{name} ({:+.4})", estimate.mean))
    });
    Some(on_it.collect::<Vec<_>>().join(", ")).filter(|list| !list.is_empty())
}

/// A share with its interval, for people.
fn percent(share: &Interval) -> String {
    let [mean, low, high] = [share.mean, share.low, share.high].map(|value| 100.0 * value);
    format!("{mean:.2} % (95 % interval {low:.2} to {high:.2} %)")
}

/// Where a difference's interval lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Above,
    Below,
    Undecided,
}

fn side(difference: &Estimate) -> Side {
    if difference.low > 0.0 {
        Side::Above
    } else if difference.high < 0.0 {
        Side::Below
    } else {
        Side::Undecided
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{JobSize, SizeReport, TenantReport};

    fn estimate(mean: f64, half: f64) -> Option<Estimate> {
        Some(Estimate { mean, low: mean - half, high: mean + half, iqm: mean, std_dev: None })
    }

    fn result(name: &str, learned: bool, versus: impl Fn(Figure) -> Option<Estimate>) -> PolicyReport {
        PolicyReport {
            name: name.into(),
            reference: false,
            artifact: learned.then_some([0xab; 32]),
            trained_episodes: learned.then_some(20),
            metrics: Estimates::of(|_| None),
            versus_baseline: Estimates::of(&versus),
            versus_best_rule: Estimates::of(&versus),
            gap_closed: None,
            informed_gap_closed: None,
            probability_of_improvement: None,
            fairness: Fairness { by_tenant: vec![], by_size: vec![] },
            reward_by_seed: vec![],
            gain_over_time: vec![],
            reward_on_limit_steps: None,
        }
    }

    fn sentences(versus: impl Fn(Figure) -> Option<Estimate>) -> Vec<String> {
        let policies =
            [result("q-learning", true, versus), result("weighted-score", false, |_| estimate(0.0, 0.0))];
        verdicts(&findings(&policies, 1, 1, 20))
    }

    fn findings(policies: &[PolicyReport], baseline: usize, best_rule: usize, seeds: usize) -> Findings<'_> {
        let who_differs = &|_, _| Fairness {
            by_tenant: [("acme", -0.03), ("borg", 0.04)]
                .map(|(tenant, difference)| TenantReport {
                    tenant: tenant.into(),
                    fill_rate: None,
                    gpu_hours_fill: estimate(difference, 0.01),
                    cost_per_gpu_hour_usd: estimate(difference, 0.01),
                    avg_latency_ms: None,
                })
                .into(),
            by_size: [(JobSize::Under3h, 0.01), (JobSize::From6h, -0.2)]
                .map(|(size, difference)| SizeReport {
                    size,
                    fill_rate: None,
                    gpu_hours_fill: estimate(difference, 0.02),
                })
                .into(),
        };
        let (limit, is_limit_missing, is_hidden) = (None, false, false);
        Findings { policies, baseline, best_rule, seeds, limit, is_limit_missing, is_hidden, who_differs }
    }

    fn limit(headroom: f64) -> LimitReport {
        LimitReport {
            fill_rate: None,
            avg_cost_usd: None,
            avg_latency_ms: None,
            reward: None,
            headroom: Some(Interval { mean: headroom, low: 0.9 * headroom, high: 1.1 * headroom }),
            steps_solved: 1,
            steps_total: 1,
            note: String::new(),
        }
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
        assert_eq!(
            sentences[2],
            "A smaller share of the GPU-hours is served to jobs from 6 GPU-hours on (-0.2000); by tenant, to acme \
             (-0.0300)."
        );
        assert_eq!(sentences[3], "More $ per GPU-hour are paid by borg (+0.0400).");
    }

    #[test]
    fn a_clean_winner_is_told_so_too() {
        let sentences = sentences(|_| estimate(0.0, 0.1));
        assert!(sentences[1].starts_with("No unmasking figure"), "{}", sentences[1]);
    }

    #[test]
    fn of_a_learning_curve_only_its_end_is_judged() {
        let learned = |name, trained_episodes| PolicyReport {
            trained_episodes: Some(trained_episodes),
            ..result(name, true, |_| estimate(0.0, 0.1))
        };
        let policies = [
            learned("cem", 20),
            learned("cem", 0),
            learned("afterstate", 5),
            result("weighted-score", false, |_| estimate(0.0, 0.0)),
        ];
        let sentences = verdicts(&findings(&policies, 3, 3, 20));
        let judged = |name: &str| sentences.iter().filter(|s| s.starts_with(name)).count();
        assert_eq!((judged("cem ("), judged("afterstate (")), (1, 1), "{sentences:?}");
    }

    #[test]
    fn without_learned_policies_the_best_rule_meets_the_baseline() {
        let policies = [
            result("weighted-score", false, |_| estimate(0.0, 0.0)),
            result("cheapest", false, |_| estimate(1.0, 0.1)),
        ];
        let sentences = verdicts(&findings(&policies, 0, 1, 5));
        assert!(sentences[0].starts_with("cheapest is better than the baseline weighted-score"));
        assert_eq!(sentences.last().unwrap(), "The best hand rule by mean reward is cheapest.");
    }

    #[test]
    fn who_lets_requests_wait_is_told_what_that_does_to_the_latency() {
        let sentences = sentences(|f| match f {
            Figure::DeferredShare => estimate(0.05, 0.01),
            Figure::AvgLatencyMs => estimate(-7.25, 1.0),
            _ => estimate(0.0, 0.1),
        });
        assert_eq!(sentences[1], "Worse than with weighted-score: deferred share +0.0500.");
        assert_eq!(sentences[2], "More requests wait; with their waiting the latency differs by -7.2 ms.");
    }

    #[test]
    fn a_baseline_at_the_limit_leaves_nothing_to_learn() {
        let policies = [result("weighted-score", false, |_| estimate(0.0, 0.0))];
        let said = |headroom| {
            let limit = limit(headroom);
            let findings = Findings { limit: Some(&limit), ..findings(&policies, 0, 0, 20) };
            verdicts(&findings).pop().unwrap()
        };
        assert_eq!(
            said(0.004),
            "The baseline's reward is within 0.40 % (95 % interval 0.36 to 0.44 %) of the physical limit: there is \
             nothing to learn here."
        );
        assert_eq!(
            said(0.0096), // the interval reaches above 1 %
            "The physical limit's reward is above the baseline's by 0.96 % (95 % interval 0.86 to 1.06 %)."
        );
    }

    #[test]
    fn the_gap_that_was_closed_is_told_with_its_interval() {
        let mut policies = [
            result("weighted-score", false, |_| estimate(0.0, 0.0)),
            result("bid-price", false, |_| estimate(1.0, 0.1)),
        ];
        policies[1].gap_closed = Some(Interval { mean: 0.9411, low: 0.93, high: 0.95 });
        let sentences = verdicts(&findings(&policies, 0, 1, 5));
        let expected = "bid-price closes 94.11 % (95 % interval 93.00 to 95.00 %) of the gap between the baseline and \
                        the physical limit.";
        assert!(sentences.contains(&expected.to_owned()), "{sentences:?}");
        policies[1].gap_closed = Some(Interval { mean: -0.2, low: -0.3, high: -0.1 });
        let sentences = verdicts(&findings(&policies, 0, 1, 5));
        let expected = "bid-price closes nothing of the gap between the baseline and the physical limit: it closes \
                        -20.00 % (95 % interval -30.00 to -10.00 %).";
        assert!(sentences.contains(&expected.to_owned()), "{sentences:?}");
    }

    #[test]
    fn a_limit_that_is_not_there_is_explained() {
        let policies = [result("weighted-score", false, |_| estimate(0.0, 0.0))];
        let missing = Findings { is_limit_missing: true, ..findings(&policies, 0, 0, 5) };
        assert!(verdicts(&missing).pop().unwrap().contains("could not be solved"));
        let hidden = Findings { is_hidden: true, ..findings(&policies, 0, 0, 5) };
        assert!(verdicts(&hidden).pop().unwrap().contains("bid-price-informed"));
        assert_eq!(verdicts(&findings(&policies, 0, 0, 5)).len(), 1);
    }
}
