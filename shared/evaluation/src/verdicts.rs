//! What the figures say, in sentences that claim no more than the intervals carry.

use policy::Rule;

use crate::{
    figures::{Estimates, Figure},
    origin::Origin,
    report::{Comparison, Fairness, LimitReport, PolicyReport, Versus},
    statistics::{CONFIDENCE, Estimate, Interval, holm},
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
    /// Of each, who it was before its training, where it was trained.
    pub never_trained: &'a [Option<usize>],
    /// How many seeds they met.
    pub seeds: usize,
    /// The physical limit, where there is one.
    pub limit: Option<&'a LimitReport>,
    /// True when it was wanted, but could not be solved.
    pub is_limit_missing: bool,
    /// True when something is hidden from the policies.
    pub is_hidden: bool,
    /// How often the final seeds have been opened, if these are they.
    pub final_opening: Option<u64>,
    /// The paired differences of one to another, by tenant and job size.
    pub who_differs: &'a dyn Fn(usize, usize) -> Fairness,
    /// How easily the rewards of one and another would differ as much if they did not.
    pub p_value: &'a dyn Fn(usize, usize) -> Option<f64>,
}

/// Every trained policy against itself before its training, the baseline, the best rule and the limit, but those that are
/// only on the way to another one; without a trained policy, the best rule against the baseline and the limit.
pub fn verdicts(findings: &Findings<'_>, comparisons: &[Comparison]) -> Vec<String> {
    let &Findings { policies, baseline, best_rule, .. } = findings;
    let best = &policies[best_rule].name;
    let mut verdicts = Vec::new();
    for i in findings.judged() {
        let of_policy: Vec<&Comparison> = comparisons.iter().filter(|c| c.policy == i).collect();
        if of_policy.is_empty() {
            let name = policies[i].title(policies);
            verdicts.push(format!("{name}: no seed had a request, so there is nothing to compare."));
        }
        for comparison in of_policy {
            verdicts.extend(findings.verdict(comparison));
        }
        verdicts.extend(findings.gaps(i));
        verdicts.extend(on_training(&policies[i].title(policies), &policies[i].origin));
    }
    verdicts.push(if best_rule == baseline {
        format!("The baseline {best} is the best hand rule by mean reward.")
    } else {
        format!("The best hand rule by mean reward is {best}.")
    });
    verdicts.extend(findings.on_limit());
    verdicts.extend(findings.on_multiplicity(comparisons));
    verdicts.extend(findings.final_opening.map(on_final_seeds));
    verdicts
}

/// The same algorithm was trained for longer: this is a point of its learning curve.
pub(crate) fn is_on_the_way(policy: &PolicyReport, policies: &[PolicyReport]) -> bool {
    policies.iter().any(|p| p.name == policy.name && p.trained_episodes() > policy.trained_episodes())
}

pub(crate) fn on_final_seeds(opening: u64) -> String {
    match opening {
        1 => "These are the final seeds, opened for the first time.".into(),
        _ => format!(
            "These are the final seeds, opened for the {}: what was chosen after an earlier time may have been chosen for \
             them.",
            ordinal(opening)
        ),
    }
}

/// What is not known of a learned policy's training.
pub(crate) fn on_training(name: &str, origin: &Origin) -> Vec<String> {
    let Some(learned) = origin.learned() else { return Vec::new() };
    let mut sentences = Vec::new();
    if learned.trainings.len() == 1 {
        sentences.push(format!(
            "{name} was trained once: its intervals say how sure its figures are for other episodes, not for another \
             training."
        ));
    }
    let unverified = learned.unverified().count();
    if unverified > 0 {
        sentences.push(format!(
            "{name} is unverified: the ledger knows no run that wrote {}, so that only the file says how it was \
             trained.",
            if learned.trainings.len() == 1 {
                "its policy file".to_owned()
            } else {
                format!("{unverified} of its {} policy files", learned.trainings.len())
            }
        ));
    }
    sentences
}

fn ordinal(number: u64) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending} time")
}

impl Findings<'_> {
    /// Who is judged.
    fn judged(&self) -> Vec<usize> {
        let policies = self.policies;
        let is_judged = |i: &usize| {
            let policy = &policies[*i];
            policy.is_command() || policy.is_trained() && !is_on_the_way(policy, policies)
        };
        let judged: Vec<usize> = (0..policies.len()).filter(is_judged).collect();
        if judged.is_empty() && self.best_rule != self.baseline { vec![self.best_rule] } else { judged }
    }

    /// The comparisons of rewards that are told, and which of them hold when all are taken together.
    #[must_use]
    pub fn comparisons(&self) -> Vec<Comparison> {
        let mut comparisons = Vec::new();
        for policy in self.judged() {
            let others = [
                (Versus::Untrained, self.never_trained[policy]),
                (Versus::Baseline, Some(self.baseline)),
                (Versus::BestRule, Some(self.best_rule).filter(|best| *best != self.baseline)),
            ];
            for (versus, other) in others {
                if let Some(other) = other.filter(|other| *other != policy)
                    && let Some(p_value) = (self.p_value)(policy, other)
                {
                    comparisons.push(Comparison { policy, other, versus, p_value, holds: false });
                }
            }
        }
        let p_values: Vec<f64> = comparisons.iter().map(|comparison| comparison.p_value).collect();
        let holds = holm(&p_values, 1.0 - CONFIDENCE);
        comparisons.iter_mut().zip(holds).for_each(|(comparison, holds)| comparison.holds = holds);
        comparisons
    }

    fn differences(&self, comparison: &Comparison) -> Option<&Estimates> {
        let policy = &self.policies[comparison.policy];
        match comparison.versus {
            Versus::Untrained => policy.versus_untrained.as_ref(),
            Versus::Baseline => Some(&policy.versus_baseline),
            Versus::BestRule => Some(&policy.versus_best_rule),
        }
    }

    /// On how much a difference rests.
    fn basis(&self, policy: usize) -> String {
        match self.policies[policy].origin.trainings() {
            0 | 1 => format!("{} seeds", self.seeds),
            more => format!("{more} trainings on {} seeds", self.seeds),
        }
    }

    /// Who wins by reward, which unmasking figures are worse, and with whom.
    fn verdict(&self, comparison: &Comparison) -> Vec<String> {
        let &Comparison { policy: i, other, versus, .. } = comparison;
        let name = self.policies[i].title(self.policies);
        let Some(differences) = self.differences(comparison) else { return Vec::new() };
        let Some(reward) = differences.get(Figure::Reward) else { return Vec::new() };
        let difference = format!(
            "{:+.3}, 95 % interval {:+.3} to {:+.3}, {}",
            reward.mean,
            reward.low,
            reward.high,
            self.basis(i)
        );
        let shown = side(&reward);
        let doubt = if shown == Side::Undecided || comparison.holds {
            String::new()
        } else {
            " With so many comparisons as are made here, chance alone may show that.".to_owned()
        };
        let other_name = self.policies[other].title(self.policies);
        if versus == Versus::Untrained {
            let said = match shown {
                Side::Above => {
                    format!("Training makes {name} better: its reward per request is higher than that of")
                }
                Side::Below => {
                    format!("Training makes {name} worse: its reward per request is lower than that of")
                }
                Side::Undecided => {
                    format!("Training adds nothing to {name} that the seeds can show, compared with")
                }
            };
            return vec![format!("{said} the same algorithm never trained ({difference}).{doubt}")];
        }
        let role = if versus == Versus::Baseline { "the baseline" } else { "the best hand rule" };
        let difference = format!("paired difference of the reward per request {difference}");
        let mut sentences = vec![match shown {
            Side::Above => format!("{name} is better than {role} {other_name} ({difference}).{doubt}"),
            Side::Below => format!("{name} is worse than {role} {other_name} ({difference}).{doubt}"),
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
        let headroom = self.limit?.headroom?;
        let share = percent(&headroom);
        Some(if headroom.high < WORTH_LEARNING {
            format!(
                "The baseline's reward is within {share} of the physical limit: there is nothing to learn here."
            )
        } else {
            let expected = if self.is_hidden {
                " It is that of one who knows what is hidden, but not what comes of the single job: luck may pass it in a \
                 single episode."
            } else {
                ""
            };
            format!("The physical limit's reward is above the baseline's by {share}.{expected}")
        })
    }

    /// How much of the way to the best that is possible, or that is known to be, a policy has gone, and had before it was
    /// trained.
    fn gaps(&self, i: usize) -> Vec<String> {
        let policy = &self.policies[i];
        let untrained = self.never_trained[i].map(|twin| &self.policies[twin]);
        let name = policy.title(self.policies);
        let closed = |share: fn(&PolicyReport) -> Option<Interval>, gap: &str| {
            let own = share(policy)?;
            let before = untrained.and_then(share);
            let before =
                before.map_or_else(String::new, |b| format!(" Never trained it closes {}.", percent(&b)));
            Some(if own.high < 0.0 {
                format!(
                    "{name} closes nothing of the gap between {gap}: it closes {}.{before}",
                    percent(&own)
                )
            } else {
                format!("{name} closes {} of the gap between {gap}.{before}", percent(&own))
            })
        };
        let (trusting, informed) = (Rule::BidPrice, Rule::BidPriceInformed);
        let told =
            format!("{trusting}, which trusts the catalog, and {informed}, which is told the hidden truth");
        let to_limit = closed(|p| p.gap_closed, "the baseline and the physical limit");
        to_limit.into_iter().chain(closed(|p| p.informed_gap_closed, &told)).collect()
    }

    /// How many comparisons were made, and which findings stay when all are taken together.
    fn on_multiplicity(&self, comparisons: &[Comparison]) -> Option<String> {
        if comparisons.len() < 2 {
            return None;
        }
        let is_finding = |c: &&Comparison| {
            let reward = self.differences(c).and_then(|differences| differences.get(Figure::Reward));
            reward.is_some_and(|reward| side(&reward) != Side::Undecided)
        };
        let findings: Vec<&Comparison> = comparisons.iter().filter(is_finding).collect();
        let holding = findings.iter().filter(|comparison| comparison.holds).count();
        let made = format!(
            "{} comparisons of rewards are made here, each with its own 95 % interval",
            comparisons.len()
        );
        Some(match (findings.len(), holding) {
            (0, _) => format!("{made}; none shows a difference."),
            (found, holding) if found == holding => {
                format!("{made}; all {found} that show a difference also do so together (Holm's correction).")
            }
            (found, holding) => {
                format!(
                    "{made}; {found} show a difference, {holding} of them also together (Holm's correction)."
                )
            }
        })
    }
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
pub(crate) enum Side {
    Above,
    Below,
    Undecided,
}

pub(crate) fn side(difference: &Estimate) -> Side {
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
    use crate::{
        origin::{Learned, Origin, Provenance, Training},
        report::{JobSize, SizeReport, TenantReport},
    };

    fn estimate(mean: f64, half: f64) -> Option<Estimate> {
        let (low, high) = (mean - half, mean + half);
        Some(Estimate { mean, low, high, iqm: mean, std_dev: None, training_std_dev: None })
    }

    fn trained(trained_episodes: u32, trainings: u8) -> Origin {
        let training = |byte: u8| Training {
            artifact: [0xab + byte; 32],
            first_seed: 1,
            provenance: Provenance::Recorded { run: [1; 32] },
        };
        Origin::Learned(Learned { trained_episodes, trainings: (0..trainings).map(training).collect() })
    }

    fn result(name: &str, origin: Origin, versus: impl Fn(Figure) -> Option<Estimate>) -> PolicyReport {
        PolicyReport {
            name: name.into(),
            metrics: Estimates::of(|_| None),
            versus_baseline: Estimates::of(&versus),
            versus_best_rule: Estimates::of(&versus),
            versus_untrained: origin.learned().map(|_| Estimates::of(&versus)),
            origin,
            gap_closed: None,
            informed_gap_closed: None,
            probability_of_improvement: None,
            fairness: Fairness { by_tenant: vec![], by_size: vec![] },
            reward_by_seed: vec![],
            gain_over_time: vec![],
            reward_on_limit_steps: None,
        }
    }

    fn rule(name: &str) -> PolicyReport {
        result(name, Origin::Rule, |_| estimate(0.0, 0.0))
    }

    fn sentences(versus: impl Fn(Figure) -> Option<Estimate>) -> Vec<String> {
        let policies = [result("q-learning", trained(20, 3), versus), rule("weighted-score")];
        said(&findings(&policies, 1, 1, 20))
    }

    fn said(findings: &Findings<'_>) -> Vec<String> {
        verdicts(findings, &findings.comparisons())
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
        Findings {
            policies,
            baseline,
            best_rule,
            never_trained: &[None; 5],
            seeds,
            limit: None,
            is_limit_missing: false,
            is_hidden: false,
            final_opening: None,
            who_differs,
            p_value: &|_, _| Some(0.001),
        }
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
        assert!(
            of(0.5, 0.4).starts_with("q-learning (3 trainings) is better than the baseline weighted-score")
        );
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
        let learned = |name, episodes| result(name, trained(episodes, 1), |_| estimate(0.0, 0.1));
        let policies =
            [learned("cem", 20), learned("cem", 0), learned("afterstate", 5), rule("weighted-score")];
        let sentences = said(&findings(&policies, 3, 3, 20));
        let judged = |name: &str| {
            sentences
                .iter()
                .filter(|s| s.starts_with(name) && s.contains("the baseline weighted-score"))
                .count()
        };
        assert_eq!((judged("cem ("), judged("afterstate (")), (1, 1), "{sentences:?}");
    }

    #[test]
    fn what_training_adds_is_told_against_the_same_algorithm_never_trained() {
        let of = |mean, half| {
            let mut policies = [
                result("cem", trained(20, 3), move |_| estimate(mean, half)),
                result("cem", trained(0, 0), |_| estimate(0.0, 0.0)),
                rule("weighted-score"),
            ];
            policies[0].gap_closed = Some(Interval { mean: 0.96, low: 0.95, high: 0.97 });
            policies[1].gap_closed = Some(Interval { mean: 0.94, low: 0.93, high: 0.95 });
            let twins = [Some(1), None, None];
            said(&Findings { never_trained: &twins, ..findings(&policies, 2, 2, 50) })
        };
        let better = of(0.25, 0.125);
        assert_eq!(
            better[0],
            "Training makes cem (3 trainings) better: its reward per request is higher than that of the same algorithm \
             never trained (+0.250, 95 % interval +0.125 to +0.375, 3 trainings on 50 seeds)."
        );
        let gap = better.iter().find(|sentence| sentence.contains("closes")).unwrap();
        assert!(gap.ends_with("Never trained it closes 94.00 % (95 % interval 93.00 to 95.00 %)."), "{gap}");
        assert!(of(-0.25, 0.125)[0].starts_with("Training makes cem (3 trainings) worse"));
        assert!(
            of(0.25, 0.5)[0]
                .starts_with("Training adds nothing to cem (3 trainings) that the seeds can show")
        );
    }

    #[test]
    fn a_difference_that_many_comparisons_may_show_by_chance_is_said_to_be_one() {
        let policies = [
            result("cem", trained(20, 3), |_| estimate(0.25, 0.125)),
            result("adaptive", trained(20, 3), |_| estimate(0.25, 0.125)),
            rule("weighted-score"),
        ];
        let p_value = &|policy, _| Some(if policy == 0 { 0.03 } else { 0.001 });
        let sentences = said(&Findings { p_value, ..findings(&policies, 2, 2, 20) });
        let of =
            |name: &str| sentences.iter().find(|s| s.starts_with(name) && s.contains("is better")).unwrap();
        assert!(!of("adaptive").contains("chance alone"), "{sentences:?}");
        assert!(!of("cem").contains("chance alone"), "{sentences:?}"); // .03 · 1 is below .05
        let p_value = &|policy, _| Some(if policy == 0 { 0.03 } else { 0.04 });
        let sentences = said(&Findings { p_value, ..findings(&policies, 2, 2, 20) });
        assert!(sentences.iter().filter(|s| s.contains("chance alone")).count() == 2, "{sentences:?}");
        assert_eq!(
            sentences.last().unwrap(),
            "2 comparisons of rewards are made here, each with its own 95 % interval; 2 show a difference, 0 of them also \
             together (Holm's correction)."
        );
    }

    #[test]
    fn what_is_not_known_of_a_training_is_said() {
        let mut policies = [result("cem", trained(20, 1), |_| estimate(0.0, 0.1)), rule("weighted-score")];
        let once = said(&findings(&policies, 1, 1, 20));
        assert!(once.iter().any(|s| s.contains("was trained once")), "{once:?}");
        assert!(!once.iter().any(|s| s.contains("unverified")), "{once:?}");
        if let Origin::Learned(learned) = &mut policies[0].origin {
            learned.trainings[0].provenance = Provenance::Unverified;
        }
        let edited = said(&findings(&policies, 1, 1, 20));
        assert!(
            edited
                .iter()
                .any(|s| s.contains("cem (abababab) is unverified: the ledger knows no run that wrote"))
        );
    }

    #[test]
    fn the_final_seeds_are_said_to_be_opened_again() {
        let policies = [rule("weighted-score")];
        let opened = |time| {
            said(&Findings { final_opening: Some(time), ..findings(&policies, 0, 0, 20) }).pop().unwrap()
        };
        assert_eq!(opened(1), "These are the final seeds, opened for the first time.");
        for (time, told) in [(2, "2nd time"), (3, "3rd time"), (11, "11th time"), (21, "21st time")] {
            assert!(opened(time).contains(&format!("opened for the {told}: ")), "{}", opened(time));
        }
    }

    #[test]
    fn without_learned_policies_the_best_rule_meets_the_baseline() {
        let policies = [rule("weighted-score"), result("cheapest", Origin::Rule, |_| estimate(1.0, 0.1))];
        let sentences = said(&findings(&policies, 0, 1, 5));
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
        let policies = [rule("weighted-score")];
        let of = |headroom| {
            let limit = limit(headroom);
            let findings = Findings { limit: Some(&limit), ..findings(&policies, 0, 0, 20) };
            said(&findings).pop().unwrap()
        };
        assert_eq!(
            of(0.004),
            "The baseline's reward is within 0.40 % (95 % interval 0.36 to 0.44 %) of the physical limit: there is \
             nothing to learn here."
        );
        assert_eq!(
            of(0.0096), // the interval reaches above 1 %
            "The physical limit's reward is above the baseline's by 0.96 % (95 % interval 0.86 to 1.06 %)."
        );
    }

    #[test]
    fn the_gap_that_was_closed_is_told_with_its_interval() {
        let mut policies =
            [rule("weighted-score"), result("bid-price", Origin::Rule, |_| estimate(1.0, 0.1))];
        policies[1].gap_closed = Some(Interval { mean: 0.9411, low: 0.93, high: 0.95 });
        let sentences = said(&findings(&policies, 0, 1, 5));
        let expected = "bid-price closes 94.11 % (95 % interval 93.00 to 95.00 %) of the gap between the baseline and \
                        the physical limit.";
        assert!(sentences.contains(&expected.to_owned()), "{sentences:?}");
        policies[1].gap_closed = Some(Interval { mean: -0.2, low: -0.3, high: -0.1 });
        let sentences = said(&findings(&policies, 0, 1, 5));
        let expected = "bid-price closes nothing of the gap between the baseline and the physical limit: it closes \
                        -20.00 % (95 % interval -30.00 to -10.00 %).";
        assert!(sentences.contains(&expected.to_owned()), "{sentences:?}");
    }

    #[test]
    fn a_limit_that_is_not_there_is_explained() {
        let policies = [rule("weighted-score")];
        let missing = Findings { is_limit_missing: true, ..findings(&policies, 0, 0, 5) };
        assert!(said(&missing).pop().unwrap().contains("could not be solved"));
        assert_eq!(said(&findings(&policies, 0, 0, 5)).len(), 1);
    }
}
