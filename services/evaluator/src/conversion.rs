//! Between what an evaluation found and how it travels: every field once in each direction.

use api::{
    Hash,
    evaluator::{
        self, ConstraintResult, Estimate, EvaluationResult, EvaluationValues, Fairness, FillBySize, JobSize,
        LimitResult, MetricEstimates, PolicyResult, PolicyValues, Share, SizeEstimates, TenantEstimates,
        TrainingResult,
    },
};
use evaluation::{
    constrained::{ConstraintReport, Kept},
    figures::{Estimates, Figure},
    origin::{Learned, Origin, Provenance, Training},
    report::{self, Comparison, LimitReport, PolicyReport, Report, SizeReport, TenantReport, Versus},
    statistics::{self, Interval},
    values::{Metric, Values},
};
use routing_env::{ConstrainedFigure, Constraint};

/// What was found, as it travels.
#[must_use]
pub fn to_wire(report: &Report) -> EvaluationResult {
    EvaluationResult {
        environment_digest: Hash(report.environment_digest),
        environment: report.environment.clone(),
        steps: report.steps,
        seeds: report.seeds.clone(),
        final_opening: report.final_opening,
        fronts: None,
        logged: None,
        values_sha256: None,
        policies: report.policies.iter().map(policy_to_wire).collect(),
        comparisons: report.comparisons.iter().map(comparison_to_wire).collect(),
        best_rule: Some(report.best_rule.clone()),
        limit: report.limit.as_ref().map(limit_to_wire),
        constraints: report.constraints.iter().map(constraint_to_wire).collect(),
        verdicts: report.verdicts.clone(),
    }
}

/// What travelled, as it was found; of fronts, which compare nobody, there is nothing to be told.
#[must_use]
pub fn from_wire(result: &EvaluationResult) -> Report {
    Report {
        environment_digest: result.environment_digest.0,
        environment: result.environment.clone(),
        steps: result.steps,
        seeds: result.seeds.clone(),
        final_opening: result.final_opening,
        policies: result.policies.iter().map(policy_from_wire).collect(),
        comparisons: result.comparisons.iter().map(comparison_from_wire).collect(),
        best_rule: result.best_rule.clone().unwrap_or_default(),
        limit: result.limit.as_ref().map(limit_from_wire),
        constraints: result.constraints.iter().filter_map(constraint_from_wire).collect(),
        verdicts: result.verdicts.clone(),
    }
}

fn policy_to_wire(policy: &PolicyReport) -> PolicyResult {
    PolicyResult {
        name: policy.name.clone(),
        learned: policy.is_learned(),
        reference: policy.origin == Origin::Reference,
        policy_sha256: policy.origin.learned().and_then(Learned::artifact).map(Hash),
        trained_episodes: policy.trained_episodes(),
        trainings: policy.origin.learned().map_or_else(Vec::new, trainings_to_wire),
        programs: match policy.origin {
            Origin::Command { programs } => u32::try_from(programs).ok(),
            _ => None,
        },
        metrics: metrics_to_wire(&policy.metrics),
        versus_baseline: metrics_to_wire(&policy.versus_baseline),
        versus_best_rule: metrics_to_wire(&policy.versus_best_rule),
        versus_untrained: policy.versus_untrained.as_ref().map(metrics_to_wire),
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
        origin: origin_from_wire(policy),
        metrics: metrics_from_wire(&policy.metrics),
        versus_baseline: metrics_from_wire(&policy.versus_baseline),
        versus_best_rule: metrics_from_wire(&policy.versus_best_rule),
        versus_untrained: policy.versus_untrained.as_ref().map(metrics_from_wire),
        gap_closed: policy.gap_closed.map(share_from_wire),
        informed_gap_closed: policy.informed_gap_closed.map(share_from_wire),
        probability_of_improvement: policy.probability_of_improvement.map(share_from_wire),
        fairness: fairness_from_wire(&policy.fairness),
        reward_by_seed: policy.reward_by_seed.clone(),
        gain_over_time: policy.gain_over_time.iter().map(|gain| gain.map(share_from_wire)).collect(),
        reward_on_limit_steps: policy.reward_on_limit_steps.map(estimate_from_wire),
    }
}

pub(crate) fn trainings_to_wire(learned: &Learned) -> Vec<TrainingResult> {
    let training = |training: &Training| {
        let (provenance, run) = match training.provenance {
            Provenance::Recorded { run } => (evaluator::Provenance::Recorded, Some(Hash(run))),
            Provenance::Unverified => (evaluator::Provenance::Unverified, None),
        };
        let (policy_sha256, first_seed) = (Hash(training.artifact), training.first_seed);
        TrainingResult { policy_sha256, first_seed, provenance, run }
    };
    learned.trainings.iter().map(training).collect()
}

fn origin_from_wire(policy: &PolicyResult) -> Origin {
    if policy.reference {
        return Origin::Reference;
    }
    if let Some(programs) = policy.programs {
        return Origin::Command { programs: programs as usize };
    }
    if !policy.learned {
        return Origin::Rule;
    }
    let training = |training: &TrainingResult| Training {
        artifact: training.policy_sha256.0,
        first_seed: training.first_seed,
        provenance: match (training.provenance, training.run) {
            (evaluator::Provenance::Recorded, Some(run)) => Provenance::Recorded { run: run.0 },
            _ => Provenance::Unverified,
        },
    };
    let mut trainings: Vec<Training> = policy.trainings.iter().map(training).collect();
    if let (true, Some(artifact)) = (trainings.is_empty(), policy.policy_sha256) {
        // of a result of the time when a policy was one file, and nobody asked where it came from
        trainings.push(Training { artifact: artifact.0, first_seed: 0, provenance: Provenance::Unverified });
    }
    Origin::Learned(Learned { trained_episodes: policy.trained_episodes.unwrap_or_default(), trainings })
}

fn comparison_to_wire(comparison: &Comparison) -> evaluator::Comparison {
    let &Comparison { policy, other, versus, p_value, holds } = comparison;
    let versus = match versus {
        Versus::Untrained => evaluator::Versus::Untrained,
        Versus::Baseline => evaluator::Versus::Baseline,
        Versus::BestRule => evaluator::Versus::BestRule,
    };
    evaluator::Comparison { policy: place(policy), other: place(other), versus, p_value, holds }
}

fn comparison_from_wire(comparison: &evaluator::Comparison) -> Comparison {
    let &evaluator::Comparison { policy, other, versus, p_value, holds } = comparison;
    let versus = match versus {
        evaluator::Versus::Untrained => Versus::Untrained,
        evaluator::Versus::Baseline => Versus::Baseline,
        evaluator::Versus::BestRule => Versus::BestRule,
    };
    Comparison { policy: policy as usize, other: other as usize, versus, p_value, holds }
}

/// There are some dozen policies, and a few trainings of each.
fn place(of: usize) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}

/// What was achieved on every seed, as it travels.
#[must_use]
pub fn values_to_wire(report: &Report, values: &Values) -> EvaluationValues {
    let by_name = |metrics: &[Metric]| metrics.iter().map(|m| (m.name.clone(), m.by_seed.clone())).collect();
    let of_policy = |values: &evaluation::values::PolicyValues| {
        let policy = &report.policies[values.policy];
        let training = policy.origin.learned().and_then(|learned| learned.trainings.get(values.training));
        PolicyValues {
            policy: place(values.policy),
            name: policy.name.clone(),
            training: place(values.training),
            policy_sha256: training.map(|training| Hash(training.artifact)),
            trained_episodes: policy.trained_episodes(),
            metrics: by_name(&values.metrics),
        }
    };
    EvaluationValues {
        environment_digest: Hash(report.environment_digest),
        seeds: values.seeds.clone(),
        policies: values.policies.iter().map(of_policy).collect(),
        limit: values.limit.as_deref().map(by_name),
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

fn constraint_to_wire(report: &ConstraintReport) -> ConstraintResult {
    let Constraint { figure, bound } = report.constraint;
    ConstraintResult {
        figure: figure.name().into(),
        at_most: figure.is_at_most().then_some(bound),
        at_least: (!figure.is_at_most()).then_some(bound),
        policies: report.policies.iter().map(kept_to_wire).collect(),
        limit: report.limit.as_ref().map(kept_to_wire),
    }
}

/// `None` where the figure is one that this version does not constrain.
fn constraint_from_wire(result: &ConstraintResult) -> Option<ConstraintReport> {
    let figure = ConstrainedFigure::ALL.into_iter().find(|figure| figure.name() == result.figure)?;
    Some(ConstraintReport {
        constraint: Constraint { figure, bound: result.at_most.or(result.at_least)? },
        policies: result.policies.iter().map(kept_from_wire).collect(),
        limit: result.limit.as_ref().map(kept_from_wire),
    })
}

fn kept_to_wire(kept: &Kept) -> evaluator::Kept {
    let &Kept { episodes, met_on, missed_by, worst_missed_by, price } = kept;
    evaluator::Kept { episodes, met_on, missed_by, worst_missed_by, price }
}

fn kept_from_wire(kept: &evaluator::Kept) -> Kept {
    let &evaluator::Kept { episodes, met_on, missed_by, worst_missed_by, price } = kept;
    Kept { episodes, met_on, missed_by, worst_missed_by, price }
}

fn estimate_to_wire(estimate: statistics::Estimate) -> Estimate {
    let statistics::Estimate { mean, low, high, iqm, std_dev, training_std_dev } = estimate;
    Estimate { mean, ci_low: low, ci_high: high, iqm, std_dev, training_std_dev }
}

fn estimate_from_wire(estimate: Estimate) -> statistics::Estimate {
    let Estimate { mean, ci_low, ci_high, iqm, std_dev, training_std_dev } = estimate;
    statistics::Estimate { mean, low: ci_low, high: ci_high, iqm, std_dev, training_std_dev }
}

pub(crate) fn share_to_wire(interval: Interval) -> Share {
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
            training_std_dev: Some(mean / 4.0),
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
            origin: Origin::Learned(Learned {
                trained_episodes: 40,
                trainings: vec![
                    Training {
                        artifact: [7; 32],
                        first_seed: 3,
                        provenance: Provenance::Recorded { run: [6; 32] },
                    },
                    Training { artifact: [8; 32], first_seed: 43, provenance: Provenance::Unverified },
                ],
            }),
            metrics: Estimates::of(|_| Some(next())),
            versus_baseline: Estimates::of(|_| Some(next())),
            versus_best_rule: Estimates::of(|_| Some(next())),
            versus_untrained: Some(Estimates::of(|_| Some(next()))),
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
            final_opening: Some(2),
            comparisons: vec![Comparison {
                policy: 0,
                other: 3,
                versus: Versus::BestRule,
                p_value: 0.25,
                holds: true,
            }],
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
            constraints: [(ConstrainedFigure::AvgLatencyMs, 305.0), (ConstrainedFigure::GpuHoursFill, 0.9)]
                .map(|(figure, bound)| ConstraintReport {
                    constraint: Constraint { figure, bound },
                    policies: vec![kept(bound)],
                    limit: Some(kept(bound + 1.0)),
                })
                .into(),
            verdicts: vec!["a sentence".into()],
        }
    }

    fn kept(missed_by: f64) -> Kept {
        Kept {
            episodes: 20,
            met_on: 19,
            missed_by,
            worst_missed_by: 2.0 * missed_by,
            price: Some(3.0 * missed_by),
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
