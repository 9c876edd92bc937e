//! From what was played to what was found: the figures with their intervals.

use limit::Limit;
use policy::Rule;
use rayon::prelude::*;
use routing_env::{Knowledge, Metrics, Tally};

use crate::{
    bounds::Sample,
    episodes::{Achieved, Contestant},
    figures::{Estimates, Figure},
    plan::Plan,
    report::{Fairness, JobSize, LimitReport, PolicyReport, Report, SizeReport, TenantReport},
    statistics::{
        Bootstrap, Estimate, Interval, improvements, interquartile_mean, mean, paired, standard_deviation,
    },
    verdicts::{Findings, verdicts},
};

/// A gap of less than this share of the reward where it begins is rounding: the limit is solved to 1e-7.
const ROUNDING: f64 = 1e-6;

/// A figure by seed; `None` where a seed has no data.
type BySeed = Vec<Option<f64>>;

/// What an evaluation found whose contestants achieved `achieved[contestant][seed]`, where `limits[seed]` was possible.
/// The hand rules, the baseline among them, come after the learned policies.
#[must_use]
pub fn analyse(
    plan: &Plan,
    contestants: &[Contestant],
    achieved: &[Vec<Achieved>],
    limits: Option<&[Limit]>,
) -> Report {
    let bootstrap = Bootstrap::new(plan.seeds.len());
    let series: Vec<Series> = achieved.iter().map(|a| Series::of(a)).collect();
    let named = |rule: Rule| contestants.iter().position(|c| c.artifact.is_none() && c.name == rule.name());
    let rules = plan.policies.len()..contestants.len();
    let baseline = named(Rule::BASELINE).unwrap_or(rules.start);
    let best_rule = rules.filter(|i| !contestants[*i].reference).fold(baseline, |best, i| {
        if series[i].mean(Figure::Reward) > series[best].mean(Figure::Reward) { i } else { best }
    });
    let limit_rewards: Option<BySeed> = limits.map(|l| l.iter().map(Limit::avg_reward).collect());
    let is_hidden = plan.environment.workloads().knowledge == Knowledge::Hidden;
    let told = named(Rule::BidPrice).zip(named(Rule::BidPriceInformed)).filter(|_| is_hidden);
    let reward = |i: usize| series[i].get(Figure::Reward);
    let comparison = Comparison {
        bootstrap: &bootstrap,
        plan,
        achieved,
        series: &series,
        baseline,
        best_rule,
        to_limit: limit_rewards.as_ref().map(|to| Gap { from: &series[baseline].on_limit_steps, to }),
        to_informed: told.map(|(trusting, informed)| Gap { from: reward(trusting), to: reward(informed) }),
    };
    let policies: Vec<PolicyReport> =
        contestants.par_iter().enumerate().map(|(i, contestant)| comparison.policy(i, contestant)).collect();
    let limit = limits.zip(plan.sample).map(|(limits, sample)| {
        of_limit(&bootstrap, limits, &series[baseline].on_limit_steps, plan, &sample)
    });
    let findings = Findings {
        policies: &policies,
        baseline,
        best_rule,
        seeds: plan.seeds.len(),
        limit: limit.as_ref(),
        is_limit_missing: plan.sample.is_some() && limits.is_none(),
        is_hidden,
        who_differs: &|i, other| comparison.fairness_versus(i, other),
    };
    let mut verdicts = verdicts(&findings);
    // costs and rewards rest on it
    verdicts.extend(plan.environment.catalog().assumption());
    Report {
        environment_digest: plan.environment_digest,
        environment: plan.environment.preset().name().into(),
        steps: plan.environment.steps(),
        seeds: plan.seeds.clone(),
        verdicts,
        best_rule: contestants[best_rule].name.clone(),
        policies,
        limit,
    }
}

/// One contestant's figures by seed.
struct Series {
    figures: Vec<BySeed>,
    /// The reward on the steps whose limit was solved.
    on_limit_steps: BySeed,
}

impl Series {
    fn of(achieved: &[Achieved]) -> Self {
        let by_seed = |figure: Figure| achieved.iter().map(|a| figure.of(&a.metrics)).collect();
        Self {
            figures: Figure::ALL.map(by_seed).into(),
            on_limit_steps: achieved.iter().map(|a| a.on_limit_steps.avg_reward()).collect(),
        }
    }

    fn get(&self, figure: Figure) -> &[Option<f64>] {
        &self.figures[figure as usize]
    }

    fn mean(&self, figure: Figure) -> Option<f64> {
        mean_of(self.get(figure))
    }

    fn versus(&self, other: &Self, bootstrap: &Bootstrap) -> Estimates {
        Estimates::of(|f| estimate(bootstrap, &paired(self.get(f), other.get(f))))
    }
}

/// From one reward to a higher one, seed by seed.
#[derive(Clone, Copy)]
struct Gap<'a> {
    from: &'a [Option<f64>],
    to: &'a [Option<f64>],
}

impl Gap<'_> {
    /// Which share of the gap a reward closes: a ratio of means over seeds, for single seeds may have hardly a gap.
    fn closed_by(&self, reward: &[Option<f64>], bootstrap: &Bootstrap) -> Option<Interval> {
        let least = ROUNDING * mean_of(self.from)?.abs();
        bootstrap.ratio(&paired(reward, self.from), &paired(self.to, self.from), least).map(unsigned_zero)
    }
}

fn of_limit(
    bootstrap: &Bootstrap,
    limits: &[Limit],
    baseline: &[Option<f64>],
    plan: &Plan,
    sample: &Sample,
) -> LimitReport {
    let by_seed = |figure: fn(&Limit) -> Option<f64>| limits.iter().map(figure).collect::<BySeed>();
    let of = |figure| estimate(bootstrap, &by_seed(figure));
    let gains = paired(&by_seed(Limit::avg_reward), baseline);
    let earned: BySeed = baseline.iter().map(|reward| reward.map(f64::abs)).collect();
    let compared = if sample.is_all() { "" } else { " Gaps compare the policies' rewards on these steps." };
    LimitReport {
        fill_rate: of(Limit::fill_rate),
        avg_cost_usd: of(Limit::avg_cost_usd),
        avg_latency_ms: of(Limit::avg_latency_ms),
        reward: of(Limit::avg_reward),
        headroom: bootstrap.ratio(&gains, &earned, 0.0).map(unsigned_zero),
        steps_solved: limits.iter().map(|limit| limit.steps).sum(),
        steps_total: u64::from(plan.environment.steps()) * plan.seeds.len() as u64,
        note: format!(
            "Solved on {sample}.{compared} Cost and latency are the least that is possible at the limit's own fill, \
             each by itself: compare them only with a policy of equal fill, for who serves less can be cheaper."
        ),
    }
}

/// What is looked at in an episode's figures.
type FigureOf<'a> = &'a dyn Fn(&Metrics) -> Option<f64>;

/// All contestants beside each other.
struct Comparison<'a> {
    bootstrap: &'a Bootstrap,
    plan: &'a Plan,
    achieved: &'a [Vec<Achieved>],
    series: &'a [Series],
    /// Which of them is the baseline.
    baseline: usize,
    /// Which is the best hand rule.
    best_rule: usize,
    /// From the baseline to the physical limit, where there is one.
    to_limit: Option<Gap<'a>>,
    /// From the rule that trusts the catalog to the one that is told what is hidden, where something is.
    to_informed: Option<Gap<'a>>,
}

impl Comparison<'_> {
    /// What is told of a contestant.
    fn policy(&self, i: usize, contestant: &Contestant) -> PolicyReport {
        let (own, baseline, bootstrap) = (&self.series[i], &self.series[self.baseline], self.bootstrap);
        let reward = own.get(Figure::Reward);
        let improved = improvements(&paired(reward, baseline.get(Figure::Reward)));
        PolicyReport {
            name: contestant.name.clone(),
            reference: contestant.reference,
            artifact: contestant.artifact,
            trained_episodes: contestant.trained_episodes,
            metrics: Estimates::of(|f| estimate(bootstrap, own.get(f))),
            versus_baseline: own.versus(baseline, bootstrap),
            versus_best_rule: own.versus(&self.series[self.best_rule], bootstrap),
            gap_closed: self.to_limit.and_then(|gap| gap.closed_by(&own.on_limit_steps, bootstrap)),
            informed_gap_closed: self.to_informed.and_then(|gap| gap.closed_by(reward, bootstrap)),
            probability_of_improvement: bootstrap.estimate(&improved).map(unsigned_zero),
            fairness: self.fairness(i),
            reward_by_seed: reward.to_vec(),
            gain_over_time: self.gain_over_time(i, self.baseline),
            reward_on_limit_steps: self.to_limit.and_then(|_| estimate(bootstrap, &own.on_limit_steps)),
        }
    }

    /// A contestant's figures by tenant and job size.
    fn fairness(&self, contestant: usize) -> Fairness {
        self.tables(&|figure| estimate(self.bootstrap, &self.by_seed(contestant, figure)))
    }

    /// Their paired differences to another's.
    fn fairness_versus(&self, contestant: usize, other: usize) -> Fairness {
        self.tables(&|figure| {
            let differences = paired(&self.by_seed(contestant, figure), &self.by_seed(other, figure));
            estimate(self.bootstrap, &differences)
        })
    }

    /// The paired differences of its reward to another's, part by part of the episodes.
    fn gain_over_time(&self, contestant: usize, other: usize) -> Vec<Option<Interval>> {
        let parts = self.achieved[contestant].first().map_or(0, |achieved| achieved.parts.len());
        let reward = |i: usize, part: usize| -> BySeed {
            self.achieved[i].iter().map(|achieved| achieved.parts[part].avg_reward()).collect()
        };
        let gain = |part| self.bootstrap.estimate(&paired(&reward(contestant, part), &reward(other, part)));
        (0..parts).map(|part| gain(part).map(unsigned_zero)).collect()
    }

    fn by_seed(&self, contestant: usize, figure: FigureOf<'_>) -> BySeed {
        self.achieved[contestant].iter().map(|achieved| figure(&achieved.metrics)).collect()
    }

    fn tables(&self, of: &dyn Fn(FigureOf<'_>) -> Option<Estimate>) -> Fairness {
        let tenants = self.plan.environment.workloads().tenants.iter().enumerate();
        let by_tenant = tenants.map(|(i, tenant)| {
            let of = |figure: fn(&Tally) -> Option<f64>| of(&|metrics| figure(&metrics.tenants[i]));
            TenantReport {
                tenant: tenant.id.clone(),
                fill_rate: of(Tally::fill_rate),
                gpu_hours_fill: of(Tally::gpu_hours_fill),
                cost_per_gpu_hour_usd: of(Tally::cost_per_gpu_hour_usd),
                avg_latency_ms: of(Tally::avg_latency_ms),
            }
        });
        let sizes = JobSize::ALL.into_iter().enumerate();
        let by_size = sizes.map(|(i, size)| {
            let of = |figure: fn(&Tally) -> Option<f64>| of(&|metrics| figure(&metrics.sizes[i]));
            SizeReport { size, fill_rate: of(Tally::fill_rate), gpu_hours_fill: of(Tally::gpu_hours_fill) }
        });
        Fairness { by_tenant: by_tenant.collect(), by_size: by_size.collect() }
    }
}

/// A figure over seeds. `None` where no seed has it.
fn estimate(bootstrap: &Bootstrap, by_seed: &[Option<f64>]) -> Option<Estimate> {
    let values: Vec<f64> = by_seed.iter().copied().flatten().collect();
    let Interval { mean, low, high } = unsigned_zero(bootstrap.estimate(by_seed)?);
    let iqm = interquartile_mean(&values)? + 0.0;
    Some(Estimate { mean, low, high, iqm, std_dev: standard_deviation(&values) })
}

/// `+ 0.0` makes a negative zero positive: canonical JSON has only one zero, and a result read back from the ledger must
/// have the same bytes.
fn unsigned_zero(interval: Interval) -> Interval {
    Interval { mean: interval.mean + 0.0, low: interval.low + 0.0, high: interval.high + 0.0 }
}

fn mean_of(by_seed: &[Option<f64>]) -> Option<f64> {
    mean(&by_seed.iter().copied().flatten().collect::<Vec<_>>())
}
