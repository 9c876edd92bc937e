//! Between what an evaluation found and how it travels: every field once in each direction.

use api::{
    Hash,
    evaluator::{
        Estimate, EvaluationResult, Fairness, FillBySize, JobSize, LimitResult, MetricEstimates,
        PolicyResult, Share, SizeEstimates, TenantEstimates,
    },
};
use evaluation::{
    figures::{Estimates, Figure},
    report::{self, LimitReport, PolicyReport, Report, SizeReport, TenantReport},
    statistics::{self, Interval},
};

/// What was found, as it travels.
#[must_use]
pub fn to_wire(report: &Report) -> EvaluationResult {
    EvaluationResult {
        environment_digest: Hash(report.environment_digest),
        environment: report.environment.clone(),
        steps: report.steps,
        seeds: report.seeds.clone(),
        policies: report.policies.iter().map(policy_to_wire).collect(),
        best_rule: report.best_rule.clone(),
        limit: report.limit.as_ref().map(limit_to_wire),
        verdicts: report.verdicts.clone(),
    }
}

/// What travelled, as it was found.
#[must_use]
pub fn from_wire(result: &EvaluationResult) -> Report {
    Report {
        environment_digest: result.environment_digest.0,
        environment: result.environment.clone(),
        steps: result.steps,
        seeds: result.seeds.clone(),
        policies: result.policies.iter().map(policy_from_wire).collect(),
        best_rule: result.best_rule.clone(),
        limit: result.limit.as_ref().map(limit_from_wire),
        verdicts: result.verdicts.clone(),
    }
}

fn policy_to_wire(policy: &PolicyReport) -> PolicyResult {
    PolicyResult {
        name: policy.name.clone(),
        learned: policy.is_learned(),
        reference: policy.reference,
        policy_sha256: policy.artifact.map(Hash),
        trained_episodes: policy.trained_episodes,
        metrics: metrics_to_wire(&policy.metrics),
        versus_baseline: metrics_to_wire(&policy.versus_baseline),
        versus_best_rule: metrics_to_wire(&policy.versus_best_rule),
        gap_closed: policy.gap_closed.map(share_to_wire),
        informed_gap_closed: policy.informed_gap_closed.map(share_to_wire),
        probability_of_improvement: policy.probability_of_improvement.map(share_to_wire),
        fairness: fairness_to_wire(&policy.fairness),
        reward_by_seed: policy.reward_by_seed.clone(),
        gain_over_time: policy.gain_over_time.iter().map(|gain| gain.map(share_to_wire)).collect(),
        reward_on_limit_steps: policy.reward_on_limit_steps.map(estimate_to_wire),
    }
}

fn policy_from_wire(policy: &PolicyResult) -> PolicyReport {
    PolicyReport {
        name: policy.name.clone(),
        reference: policy.reference,
        artifact: policy.policy_sha256.map(|sha256| sha256.0),
        trained_episodes: policy.trained_episodes,
        metrics: metrics_from_wire(&policy.metrics),
        versus_baseline: metrics_from_wire(&policy.versus_baseline),
        versus_best_rule: metrics_from_wire(&policy.versus_best_rule),
        gap_closed: policy.gap_closed.map(share_from_wire),
        informed_gap_closed: policy.informed_gap_closed.map(share_from_wire),
        probability_of_improvement: policy.probability_of_improvement.map(share_from_wire),
        fairness: fairness_from_wire(&policy.fairness),
        reward_by_seed: policy.reward_by_seed.clone(),
        gain_over_time: policy.gain_over_time.iter().map(|gain| gain.map(share_from_wire)).collect(),
        reward_on_limit_steps: policy.reward_on_limit_steps.map(estimate_from_wire),
    }
}

fn metrics_to_wire(estimates: &Estimates) -> MetricEstimates {
    let of = |figure| estimates.get(figure).map(estimate_to_wire);
    MetricEstimates {
        fill_rate: of(Figure::FillRate),
        gpu_hours_fill: of(Figure::GpuHoursFill),
        avg_cost_usd: of(Figure::AvgCostUsd),
        cost_per_gpu_hour_usd: of(Figure::CostPerGpuHourUsd),
        cost_index: of(Figure::CostIndex),
        fill_by_size: FillBySize {
            under_3h: of(Figure::FillUnder3h),
            from_3h_to_6h: of(Figure::FillFrom3hTo6h),
            from_6h: of(Figure::FillFrom6h),
        },
        worst_tenant_gpu_hours_fill: of(Figure::WorstTenantGpuHoursFill),
        deferred_share: of(Figure::DeferredShare),
        avg_latency_ms: of(Figure::AvgLatencyMs),
        reward: of(Figure::Reward),
    }
}

fn metrics_from_wire(metrics: &MetricEstimates) -> Estimates {
    let of = |figure| match figure {
        Figure::FillRate => metrics.fill_rate,
        Figure::GpuHoursFill => metrics.gpu_hours_fill,
        Figure::AvgCostUsd => metrics.avg_cost_usd,
        Figure::CostPerGpuHourUsd => metrics.cost_per_gpu_hour_usd,
        Figure::CostIndex => metrics.cost_index,
        Figure::FillUnder3h => metrics.fill_by_size.under_3h,
        Figure::FillFrom3hTo6h => metrics.fill_by_size.from_3h_to_6h,
        Figure::FillFrom6h => metrics.fill_by_size.from_6h,
        Figure::WorstTenantGpuHoursFill => metrics.worst_tenant_gpu_hours_fill,
        Figure::DeferredShare => metrics.deferred_share,
        Figure::AvgLatencyMs => metrics.avg_latency_ms,
        Figure::Reward => metrics.reward,
    };
    Estimates::of(|figure| of(figure).map(estimate_from_wire))
}

fn fairness_to_wire(fairness: &report::Fairness) -> Fairness {
    let tenant = |by: &TenantReport| TenantEstimates {
        tenant: by.tenant.clone(),
        fill_rate: by.fill_rate.map(estimate_to_wire),
        gpu_hours_fill: by.gpu_hours_fill.map(estimate_to_wire),
        cost_per_gpu_hour_usd: by.cost_per_gpu_hour_usd.map(estimate_to_wire),
        avg_latency_ms: by.avg_latency_ms.map(estimate_to_wire),
    };
    let size = |by: &SizeReport| SizeEstimates {
        size: match by.size {
            report::JobSize::Under3h => JobSize::Under3h,
            report::JobSize::From3hTo6h => JobSize::From3hTo6h,
            report::JobSize::From6h => JobSize::From6h,
        },
        fill_rate: by.fill_rate.map(estimate_to_wire),
        gpu_hours_fill: by.gpu_hours_fill.map(estimate_to_wire),
    };
    Fairness {
        by_tenant: fairness.by_tenant.iter().map(tenant).collect(),
        by_size: fairness.by_size.iter().map(size).collect(),
    }
}

fn fairness_from_wire(fairness: &Fairness) -> report::Fairness {
    let tenant = |by: &TenantEstimates| TenantReport {
        tenant: by.tenant.clone(),
        fill_rate: by.fill_rate.map(estimate_from_wire),
        gpu_hours_fill: by.gpu_hours_fill.map(estimate_from_wire),
        cost_per_gpu_hour_usd: by.cost_per_gpu_hour_usd.map(estimate_from_wire),
        avg_latency_ms: by.avg_latency_ms.map(estimate_from_wire),
    };
    let size = |by: &SizeEstimates| SizeReport {
        size: match by.size {
            JobSize::Under3h => report::JobSize::Under3h,
            JobSize::From3hTo6h => report::JobSize::From3hTo6h,
            JobSize::From6h => report::JobSize::From6h,
        },
        fill_rate: by.fill_rate.map(estimate_from_wire),
        gpu_hours_fill: by.gpu_hours_fill.map(estimate_from_wire),
    };
    report::Fairness {
        by_tenant: fairness.by_tenant.iter().map(tenant).collect(),
        by_size: fairness.by_size.iter().map(size).collect(),
    }
}

fn limit_to_wire(limit: &LimitReport) -> LimitResult {
    LimitResult {
        fill_rate: limit.fill_rate.map(estimate_to_wire),
        avg_cost_usd: limit.avg_cost_usd.map(estimate_to_wire),
        avg_latency_ms: limit.avg_latency_ms.map(estimate_to_wire),
        reward: limit.reward.map(estimate_to_wire),
        headroom: limit.headroom.map(share_to_wire),
        steps_solved: limit.steps_solved,
        steps_total: limit.steps_total,
        note: limit.note.clone(),
    }
}

fn limit_from_wire(limit: &LimitResult) -> LimitReport {
    LimitReport {
        fill_rate: limit.fill_rate.map(estimate_from_wire),
        avg_cost_usd: limit.avg_cost_usd.map(estimate_from_wire),
        avg_latency_ms: limit.avg_latency_ms.map(estimate_from_wire),
        reward: limit.reward.map(estimate_from_wire),
        headroom: limit.headroom.map(share_from_wire),
        steps_solved: limit.steps_solved,
        steps_total: limit.steps_total,
        note: limit.note.clone(),
    }
}

fn estimate_to_wire(estimate: statistics::Estimate) -> Estimate {
    let statistics::Estimate { mean, low, high, iqm, std_dev } = estimate;
    Estimate { mean, ci_low: low, ci_high: high, iqm, std_dev }
}

fn estimate_from_wire(estimate: Estimate) -> statistics::Estimate {
    let Estimate { mean, ci_low, ci_high, iqm, std_dev } = estimate;
    statistics::Estimate { mean, low: ci_low, high: ci_high, iqm, std_dev }
}

fn share_to_wire(interval: Interval) -> Share {
    Share { mean: interval.mean, ci_low: interval.low, ci_high: interval.high }
}

fn share_from_wire(share: Share) -> Interval {
    Interval { mean: share.mean, low: share.ci_low, high: share.ci_high }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(mean: f64) -> statistics::Estimate {
        statistics::Estimate {
            mean,
            low: mean - 1.0,
            high: mean + 1.0,
            iqm: mean + 0.5,
            std_dev: Some(mean / 2.0),
        }
    }

    /// A report in which no two values are the same.
    fn report() -> Report {
        let mut last = 0.0;
        let mut next = || {
            last += 10.0;
            estimate(last)
        };
        let share = |mean| Some(Interval { mean, low: mean - 0.25, high: mean + 0.25 });
        let policy = PolicyReport {
            name: "cem".into(),
            reference: false,
            artifact: Some([7; 32]),
            trained_episodes: Some(40),
            metrics: Estimates::of(|_| Some(next())),
            versus_baseline: Estimates::of(|_| Some(next())),
            versus_best_rule: Estimates::of(|_| Some(next())),
            gap_closed: share(0.1),
            informed_gap_closed: share(0.2),
            probability_of_improvement: share(0.3),
            fairness: report::Fairness {
                by_tenant: vec![TenantReport {
                    tenant: "acme".into(),
                    fill_rate: Some(next()),
                    gpu_hours_fill: Some(next()),
                    cost_per_gpu_hour_usd: Some(next()),
                    avg_latency_ms: Some(next()),
                }],
                by_size: report::JobSize::ALL
                    .map(|size| SizeReport { size, fill_rate: Some(next()), gpu_hours_fill: Some(next()) })
                    .into(),
            },
            reward_by_seed: vec![Some(1.0), None],
            gain_over_time: vec![share(0.4), None],
            reward_on_limit_steps: Some(next()),
        };
        Report {
            environment_digest: [9; 32],
            environment: "contended".into(),
            steps: 3,
            seeds: vec![1, 2],
            policies: vec![policy],
            best_rule: "reserve".into(),
            limit: Some(LimitReport {
                fill_rate: Some(next()),
                avg_cost_usd: Some(next()),
                avg_latency_ms: Some(next()),
                reward: Some(next()),
                headroom: share(0.5),
                steps_solved: 5,
                steps_total: 6,
                note: "how to read it".into(),
            }),
            verdicts: vec!["a sentence".into()],
        }
    }

    #[test]
    fn what_travels_arrives_as_it_was() {
        assert_eq!(from_wire(&to_wire(&report())), report());
    }

    #[test]
    fn the_names_in_files_are_those_of_the_wire() {
        let report = report();
        let json = serde_json::to_value(to_wire(&report).policies[0].metrics.clone()).unwrap();
        for figure in Figure::ALL {
            let pointer = format!("/{}/mean", figure.name().replace('.', "/"));
            let mean = report.policies[0].metrics.get(figure).map(|estimate| estimate.mean);
            assert_eq!(json.pointer(&pointer).and_then(serde_json::Value::as_f64), mean, "{pointer}");
        }
    }
}
