//! What an evaluation found: the figures with their intervals.

use api::evaluator::{
    Estimate, EvaluationResult, Fairness, JobSize, MetricEstimates, PolicyResult, Share, SizeEstimates,
    TenantEstimates,
};
use policy::Rule;
use rayon::prelude::*;
use routing_env::{Metrics, Tally};

use crate::{
    episodes::Contestant,
    figures::{Figure, estimates},
    plan::Plan,
    statistics::{Bootstrap, Interval, improvements, interquartile_mean, mean, paired, standard_deviation},
    verdicts::verdicts,
};

/// A figure by seed; `None` where a seed has no data.
type BySeed = Vec<Option<f64>>;

/// The result of an evaluation whose contestants achieved `metrics[contestant][seed]`. The hand rules,
/// the baseline among them, come after the learned policies.
pub(crate) fn report(plan: &Plan, contestants: &[Contestant], metrics: &[Vec<Metrics>]) -> EvaluationResult {
    let bootstrap = Bootstrap::new(plan.seeds.len());
    let series: Vec<Series> = metrics.iter().map(|m| Series::of(m)).collect();
    let rules = plan.policies.len()..contestants.len();
    let baseline =
        rules.clone().find(|i| contestants[*i].name == Rule::BASELINE.name()).unwrap_or(rules.start);
    let best_rule = rules.filter(|i| !contestants[*i].reference).fold(baseline, |best, i| {
        if series[i].mean(Figure::Reward) > series[best].mean(Figure::Reward) { i } else { best }
    });
    let tenants: Vec<&str> = plan.environment.workloads().tenants.iter().map(|t| t.id.as_str()).collect();
    let policies: Vec<PolicyResult> = contestants
        .iter()
        .map(|c| (c.name.clone(), c.sha256, c.reference))
        .zip(series.iter().zip(metrics))
        .collect::<Vec<_>>()
        .into_par_iter()
        .map(|((name, policy_sha256, reference), (figures, metrics))| {
            let rewards = figures.get(Figure::Reward);
            let differences = paired(rewards, series[baseline].get(Figure::Reward));
            PolicyResult {
                name,
                learned: policy_sha256.is_some(),
                reference,
                policy_sha256,
                metrics: estimates(|f| estimate(&bootstrap, figures.get(f))),
                versus_baseline: figures.versus(&series[baseline], &bootstrap),
                versus_best_rule: figures.versus(&series[best_rule], &bootstrap),
                gap_closed: None,
                informed_gap_closed: None,
                probability_of_improvement: bootstrap.estimate(&improvements(&differences)).map(share),
                fairness: fairness(&bootstrap, &tenants, metrics),
                reward_by_seed: rewards.to_vec(),
                reward_on_limit_steps: None,
            }
        })
        .collect();
    EvaluationResult {
        environment_digest: plan.environment_digest,
        environment: plan.environment.preset().name().into(),
        steps: plan.environment.steps(),
        seeds: plan.seeds.clone(),
        verdicts: verdicts(&policies, baseline, best_rule, plan.seeds.len()),
        policies,
        best_rule: contestants[best_rule].name.clone(),
        limit: None,
    }
}

/// One contestant's figures by seed.
struct Series(Vec<BySeed>);

impl Series {
    fn of(metrics: &[Metrics]) -> Self {
        Self(Figure::ALL.map(|figure| metrics.iter().map(|m| figure.of(m)).collect()).into())
    }

    fn get(&self, figure: Figure) -> &[Option<f64>] {
        &self.0[figure as usize]
    }

    fn mean(&self, figure: Figure) -> Option<f64> {
        mean(&self.get(figure).iter().copied().flatten().collect::<Vec<_>>())
    }

    fn versus(&self, other: &Self, bootstrap: &Bootstrap) -> MetricEstimates {
        estimates(|f| estimate(bootstrap, &paired(self.get(f), other.get(f))))
    }
}

/// Who gets what of this contestant.
fn fairness(bootstrap: &Bootstrap, tenants: &[&str], metrics: &[Metrics]) -> Fairness {
    let over_seeds = |tally: &dyn Fn(&Metrics) -> Tally, figure: fn(&Tally) -> Option<f64>| {
        let by_seed: BySeed = metrics.iter().map(|m| figure(&tally(m))).collect();
        estimate(bootstrap, &by_seed)
    };
    let by_tenant = tenants.iter().enumerate().map(|(i, tenant)| {
        let of = |figure| over_seeds(&|m| m.tenants[i], figure);
        TenantEstimates {
            tenant: (*tenant).to_owned(),
            fill_rate: of(Tally::fill_rate),
            gpu_hours_fill: of(Tally::gpu_hours_fill),
            cost_per_gpu_hour_usd: of(Tally::cost_per_gpu_hour_usd),
            avg_latency_ms: of(Tally::avg_latency_ms),
        }
    });
    let sizes = [JobSize::Under3h, JobSize::From3hTo6h, JobSize::From6h];
    let by_size = sizes.into_iter().enumerate().map(|(i, size)| {
        let of = |figure| over_seeds(&|m| m.sizes[i], figure);
        SizeEstimates { size, fill_rate: of(Tally::fill_rate), gpu_hours_fill: of(Tally::gpu_hours_fill) }
    });
    Fairness { by_tenant: by_tenant.collect(), by_size: by_size.collect() }
}

/// A figure over seeds. `None` where no seed has it.
fn estimate(bootstrap: &Bootstrap, by_seed: &[Option<f64>]) -> Option<Estimate> {
    let values: Vec<f64> = by_seed.iter().copied().flatten().collect();
    let interval = bootstrap.estimate(by_seed)?;
    let Share { mean, ci_low, ci_high } = share(interval);
    let iqm = interquartile_mean(&values).unwrap_or(mean) + 0.0;
    Some(Estimate { mean, ci_low, ci_high, iqm, std_dev: standard_deviation(&values) })
}

fn share(interval: Interval) -> Share {
    // `+ 0.0` makes a negative zero positive: canonical JSON has only one zero, and a result read back from
    // the ledger must have the same bytes
    Share { mean: interval.mean + 0.0, ci_low: interval.low + 0.0, ci_high: interval.high + 0.0 }
}
