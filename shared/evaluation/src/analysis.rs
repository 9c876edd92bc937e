//! From what was played to what was found: the figures with their intervals.

use limit::Limit;
use policy::Rule;
use rayon::prelude::*;
use routing_env::{Knowledge, Metrics, Reward, Tally};

use crate::{
    bounds::Sample,
    constrained,
    constrained_limit::ConstrainedLimit,
    episodes::{Achieved, Contestant, Played, never_trained_twin},
    figures::{Estimates, Figure},
    origin::Origin,
    plan::Plan,
    report::{Fairness, JobSize, LimitReport, PolicyReport, Report, SizeReport, TenantReport},
    statistics::{BySeed, Estimate, Interval, Intervals, Runs},
    verdicts::{Findings, verdicts},
};

/// A gap of less than this share of the reward where it begins is rounding: the limit is solved to 1e-7.
const ROUNDING: f64 = 1e-6;

/// What an evaluation found whose contestants achieved `achieved[contestant][training][seed]`, where `limits[seed]` was
/// possible, and `constrained[seed]` under the plan's constraints. The baseline is among the contestants.
#[must_use]
pub fn analyse(
    plan: &Plan,
    contestants: &[Contestant],
    achieved: &[Played],
    limits: Option<&[Limit]>,
    constrained: &[ConstrainedLimit],
) -> Report {
    let intervals = Intervals::new(plan.seeds.len());
    let series: Vec<Series> = achieved.iter().map(Series::of).collect();
    let is_rule = |i: &usize| contestants[*i].origin == Origin::Rule;
    let named =
        |rule: Rule| contestants.iter().position(|c| c.origin.learned().is_none() && c.name == rule.name());
    let baseline = named(Rule::BASELINE).unwrap_or_default();
    let best_rule = (0..contestants.len()).filter(is_rule).fold(baseline, |best, i| {
        if series[i].mean(Figure::Reward) > series[best].mean(Figure::Reward) { i } else { best }
    });
    let limit_rewards: Option<BySeed> = limits.map(|l| l.iter().map(Limit::avg_reward).collect());
    let is_hidden = plan.environment.workloads().knowledge == Knowledge::Hidden;
    let told = named(Rule::BidPrice).zip(named(Rule::BidPriceInformed)).filter(|_| is_hidden);
    let reward = |i: usize| series[i].get(Figure::Reward).by_seed();
    let on_limit_steps = series[baseline].on_limit_steps.by_seed();
    let comparison = Compared {
        intervals: &intervals,
        plan,
        contestants,
        achieved,
        series: &series,
        baseline,
        best_rule,
        to_limit: limit_rewards.map(|to| Gap { from: on_limit_steps.clone(), to }),
        to_informed: told.map(|(trusting, informed)| Gap { from: reward(trusting), to: reward(informed) }),
    };
    let policies: Vec<PolicyReport> =
        contestants.par_iter().enumerate().map(|(i, contestant)| comparison.policy(i, contestant)).collect();
    let limit = limits
        .zip(plan.sample)
        .map(|(limits, sample)| of_limit(&intervals, limits, &on_limit_steps, plan, &sample));
    let twins: Vec<Option<usize>> =
        (0..contestants.len()).map(|i| never_trained_twin(contestants, i)).collect();
    let findings = Findings {
        policies: &policies,
        baseline,
        best_rule,
        never_trained: &twins,
        seeds: plan.seeds.len(),
        limit: limit.as_ref(),
        is_limit_missing: plan.sample.is_some() && limits.is_none(),
        is_hidden,
        final_opening: plan.final_opening,
        who_differs: &|i, other| comparison.fairness_versus(i, other),
        p_value: &|i, other| {
            let (own, other) = (series[i].get(Figure::Reward), series[other].get(Figure::Reward));
            intervals.p_value(&own.minus(&other.by_seed()))
        },
    };
    let comparisons = findings.comparisons();
    let mut verdicts = verdicts(&findings, &comparisons);
    // costs and rewards rest on it
    verdicts.extend(plan.environment.catalog().assumption());
    if plan.reward() != Reward::EXCESS_COST {
        verdicts.push(format!("Rewards and limits are by what was asked for: {}.", plan.reward()));
    }
    let constraints = constrained::reports(&plan.constraints, achieved, constrained);
    verdicts.extend(constrained::verdicts(&constraints));
    Report {
        environment_digest: plan.environment_digest,
        environment: plan.environment.preset().name().into(),
        steps: plan.environment.steps(),
        seeds: plan.seeds.clone(),
        final_opening: plan.final_opening,
        verdicts,
        best_rule: contestants[best_rule].name.clone(),
        policies,
        comparisons,
        limit,
        constraints,
    }
}

/// One contestant's figures by training and seed.
struct Series {
    figures: Vec<Runs>,
    /// The reward on the steps whose limit was solved.
    on_limit_steps: Runs,
}

impl Series {
    fn of(played: &Played) -> Self {
        Self {
            figures: Figure::ALL.map(|figure| runs(played, |achieved| figure.of(&achieved.metrics))).into(),
            on_limit_steps: runs(played, |achieved| achieved.on_limit_steps.avg_reward()),
        }
    }

    fn get(&self, figure: Figure) -> &Runs {
        &self.figures[figure as usize]
    }

    fn mean(&self, figure: Figure) -> Option<f64> {
        self.get(figure).mean()
    }

    fn versus(&self, other: &Self, intervals: &Intervals) -> Estimates {
        Estimates::of(|f| intervals.estimate(&self.get(f).minus(&other.get(f).by_seed())))
    }
}

/// What is looked at, by training and seed.
fn runs(played: &Played, of: impl Fn(&Achieved) -> Option<f64>) -> Runs {
    Runs::new(played.iter().map(|episodes| episodes.iter().map(&of).collect()).collect())
}

/// From one reward to a higher one, seed by seed.
struct Gap {
    from: BySeed,
    to: BySeed,
}

impl Gap {
    /// Which share of the gap a reward closes: a ratio of means over seeds, for single seeds may have hardly a gap.
    fn closed_by(&self, reward: &Runs, intervals: &Intervals) -> Option<Interval> {
        let from = Runs::from(self.from.clone());
        let least = ROUNDING * from.mean()?.abs();
        let gap = Runs::from(self.to.clone()).minus(&self.from);
        intervals.ratio(&reward.minus(&self.from), &gap.by_seed(), least)
    }
}

fn of_limit(
    intervals: &Intervals,
    limits: &[Limit],
    baseline: &[Option<f64>],
    plan: &Plan,
    sample: &Sample,
) -> LimitReport {
    let by_seed =
        |figure: fn(&Limit) -> Option<f64>| Runs::from(limits.iter().map(figure).collect::<BySeed>());
    let of = |figure| intervals.estimate(&by_seed(figure));
    let gains = by_seed(Limit::avg_reward).minus(baseline);
    let earned: BySeed = baseline.iter().map(|reward| reward.map(f64::abs)).collect();
    let compared = if sample.is_all() { "" } else { " Gaps compare the policies' rewards on these steps." };
    LimitReport {
        fill_rate: of(Limit::fill_rate),
        avg_cost_usd: of(Limit::avg_cost_usd),
        avg_latency_ms: of(Limit::avg_latency_ms),
        reward: of(Limit::avg_reward),
        headroom: intervals.ratio(&gains, &earned, 0.0),
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
struct Compared<'a> {
    intervals: &'a Intervals,
    plan: &'a Plan,
    contestants: &'a [Contestant],
    achieved: &'a [Played],
    series: &'a [Series],
    /// Which of them is the baseline.
    baseline: usize,
    /// Which is the best hand rule.
    best_rule: usize,
    /// From the baseline to the physical limit, where there is one.
    to_limit: Option<Gap>,
    /// From the rule that trusts the catalog to the one that is told what is hidden, where something is.
    to_informed: Option<Gap>,
}

impl Compared<'_> {
    /// What is told of a contestant.
    fn policy(&self, i: usize, contestant: &Contestant) -> PolicyReport {
        let (own, baseline, intervals) = (&self.series[i], &self.series[self.baseline], self.intervals);
        let reward = own.get(Figure::Reward);
        let improved = reward.minus(&baseline.get(Figure::Reward).by_seed()).improvements();
        let twin = never_trained_twin(self.contestants, i);
        PolicyReport {
            name: contestant.name.clone(),
            origin: contestant.origin.clone(),
            metrics: Estimates::of(|f| bounded(f.is_share(), intervals.estimate(own.get(f)))),
            versus_baseline: own.versus(baseline, intervals),
            versus_best_rule: own.versus(&self.series[self.best_rule], intervals),
            versus_untrained: twin.map(|twin| own.versus(&self.series[twin], intervals)),
            gap_closed: self.to_limit.as_ref().and_then(|gap| gap.closed_by(&own.on_limit_steps, intervals)),
            informed_gap_closed: self.to_informed.as_ref().and_then(|gap| gap.closed_by(reward, intervals)),
            probability_of_improvement: intervals.share(&improved),
            fairness: self.fairness(i),
            reward_by_seed: reward.by_seed(),
            gain_over_time: self.gain_over_time(i, self.baseline),
            reward_on_limit_steps: self
                .to_limit
                .as_ref()
                .and_then(|_| intervals.estimate(&own.on_limit_steps)),
        }
    }

    /// A contestant's figures by tenant and job size.
    fn fairness(&self, contestant: usize) -> Fairness {
        self.tables(&|is_share, figure| {
            bounded(is_share, self.intervals.estimate(&self.of_metrics(contestant, figure)))
        })
    }

    /// Their paired differences to another's.
    fn fairness_versus(&self, contestant: usize, other: usize) -> Fairness {
        self.tables(&|_, figure| {
            let other = self.of_metrics(other, figure).by_seed();
            self.intervals.estimate(&self.of_metrics(contestant, figure).minus(&other))
        })
    }

    /// The paired differences of its reward to another's, part by part of the episodes.
    fn gain_over_time(&self, contestant: usize, other: usize) -> Vec<Option<Interval>> {
        let parts =
            self.achieved[contestant].iter().flatten().next().map_or(0, |achieved| achieved.parts.len());
        let reward =
            |i: usize, part: usize| runs(&self.achieved[i], |achieved| achieved.parts[part].avg_reward());
        let gain = |part| reward(contestant, part).minus(&reward(other, part).by_seed());
        (0..parts).map(|part| self.intervals.of_mean(&gain(part))).collect()
    }

    fn of_metrics(&self, contestant: usize, figure: FigureOf<'_>) -> Runs {
        runs(&self.achieved[contestant], |achieved| figure(&achieved.metrics))
    }

    /// `of` is told whether the figure is a share of a whole.
    fn tables(&self, of: &dyn Fn(bool, FigureOf<'_>) -> Option<Estimate>) -> Fairness {
        let tenants = self.plan.environment.workloads().tenants.iter().enumerate();
        let by_tenant = tenants.map(|(i, tenant)| {
            let of = |is_share, figure: fn(&Tally) -> Option<f64>| {
                of(is_share, &|metrics| figure(&metrics.tenants[i]))
            };
            TenantReport {
                tenant: tenant.id.clone(),
                fill_rate: of(true, Tally::fill_rate),
                gpu_hours_fill: of(true, Tally::gpu_hours_fill),
                cost_per_gpu_hour_usd: of(false, Tally::cost_per_gpu_hour_usd),
                avg_latency_ms: of(false, Tally::avg_latency_ms),
            }
        });
        let sizes = JobSize::ALL.into_iter().enumerate();
        let by_size = sizes.map(|(i, size)| {
            let of = |figure: fn(&Tally) -> Option<f64>| of(true, &|metrics| figure(&metrics.sizes[i]));
            SizeReport { size, fill_rate: of(Tally::fill_rate), gpu_hours_fill: of(Tally::gpu_hours_fill) }
        });
        Fairness { by_tenant: by_tenant.collect(), by_size: by_size.collect() }
    }
}

/// An estimate whose interval does not leave what a share of a whole can be.
fn bounded(is_share: bool, estimate: Option<Estimate>) -> Option<Estimate> {
    estimate.map(|estimate| {
        let interval = estimate.interval();
        let Interval { low, high, .. } = if is_share { interval.within(0.0, 1.0) } else { interval };
        Estimate { low, high, ..estimate }
    })
}
