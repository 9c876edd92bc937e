//! Charts of an evaluation, from its result.

use api::evaluator::{
    Estimate, EvaluationResult, Fairness, JobSize, LimitResult, MetricEstimates, PolicyResult,
};

use crate::{
    figure::{BarSeries, Bars, Block, Figure, Interval, Reference, Row, RowPanel, Rows},
    palette::{Colour, Role},
};

/// The hand rule that all are compared with.
const BASELINE: &str = "weighted-score";

/// As many tenants have bars at most; of more, those who fare worst.
const MOST_TENANTS: usize = 40;

/// All charts of a result that have data.
#[must_use]
pub fn evaluation_figures(result: &EvaluationResult) -> Vec<Figure> {
    let figures =
        [policy_comparison(result), reward_by_seed(result), fill_by_tenant(result), fill_by_job_size(result)];
    figures.into_iter().filter(Figure::has_data).collect()
}

/// A policy's name, and of a learned one, as two may have the same, the start of its artifact's.
#[must_use]
pub fn policy_title(policy: &PolicyResult) -> String {
    match policy.policy_sha256 {
        Some(sha256) => format!("{} ({})", policy.name, &sha256.to_string()[..8]),
        None => policy.name.clone(),
    }
}

/// Every policy's reward beside baseline and limit; fill, GPU-hours fill, $ per GPU-hour and latency below.
fn policy_comparison(result: &EvaluationResult) -> Figure {
    let panel = |title: &str, of: fn(&MetricEstimates) -> Option<Estimate>, limit: Option<Estimate>| {
        let rows = result.policies.iter().map(|p| Row { interval: interval(of(&p.metrics)), dots: vec![] });
        let baseline = baseline(result).and_then(|p| of(&p.metrics));
        RowPanel {
            x_title: title.into(),
            rows: rows.collect(),
            references: references(baseline, limit),
            written: None,
        }
    };
    // a limit of some of the steps is no limit for what was achieved on all of them
    let of_all_steps = result.limit.as_ref().filter(|limit| limit.steps_solved == limit.steps_total);
    let limit_of = |of: fn(&LimitResult) -> Option<Estimate>| of_all_steps.and_then(of);
    let reward = RowPanel {
        written: Some(2),
        ..panel("Reward, per request: mean [95 % interval]", |m| m.reward, limit_of(|limit| limit.reward))
    };
    let others = vec![
        panel("Fill, share of requests", |m| m.fill_rate, limit_of(|limit| limit.fill_rate)),
        panel("Fill, share of GPU-hours", |m| m.gpu_hours_fill, None),
        panel("Cost, $ per GPU-hour", |m| m.cost_per_gpu_hour_usd, None),
        panel("Latency, ms", |m| m.avg_latency_ms, None),
    ];
    let rows =
        |legend, panels| Block::Rows(Rows { legend, labels: labels(result.policies.iter(), result), panels });
    let mut blocks = vec![rows(true, vec![reward])];
    if let (Some(limit), None) = (&result.limit, of_all_steps) {
        let solved = result.policies.iter().map(|p| p.reward_on_limit_steps);
        let baseline = baseline(result).and_then(|p| p.reward_on_limit_steps);
        blocks.push(rows(
            true,
            vec![RowPanel {
                x_title: format!(
                    "Reward, per request, on the {} of {} steps whose limit was solved: mean [95 % interval]",
                    limit.steps_solved, limit.steps_total
                ),
                rows: solved.map(|e| Row { interval: interval(e), dots: vec![] }).collect(),
                references: references(baseline, limit.reward),
                written: Some(2),
            }],
        ));
    }
    blocks.push(rows(false, others));
    let limit = match (&result.limit, of_all_steps) {
        (None, _) => "The physical limit was not solved for it.",
        (Some(_), Some(_)) => {
            "No policy can pass the line of the physical limit; an interval may, for the seeds' limits differ."
        }
        (Some(_), None) => {
            "No policy can pass the line of the physical limit, which was solved for some of the steps; an interval may, for \
             the seeds' limits differ."
        }
    };
    Figure {
        name: "policy_comparison",
        title: format!("Learned policies, hand rules and physical limit on {}", result.environment),
        caption: format!(
            "Means over {} held-out seeds with 95 % bootstrap intervals; every policy met the same seeds. {limit}",
            result.seeds.len()
        ),
        blocks,
    }
}

/// What each policy gained over the baseline on each seed.
fn reward_by_seed(result: &EvaluationResult) -> Figure {
    let others = || result.policies.iter().filter(|p| role(p, result) != Role::Baseline);
    let differences = |policy: &PolicyResult| -> Vec<f64> {
        let Some(baseline) = baseline(result) else { return vec![] };
        let pairs = policy.reward_by_seed.iter().zip(&baseline.reward_by_seed);
        pairs.filter_map(|(mine, its)| Some((*mine)? - (*its)?)).collect()
    };
    let rows = others()
        .map(|policy| Row { interval: interval(policy.versus_baseline.reward), dots: differences(policy) });
    let zero =
        Reference { label: format!("baseline {BASELINE}"), colour: Role::Baseline.colour(), value: 0.0 };
    let panel = RowPanel {
        x_title: "Reward minus the baseline's on the same seed, per request: mean [95 % interval]".into(),
        rows: rows.collect(),
        references: vec![zero],
        written: Some(2),
    };
    Figure {
        name: "reward_by_seed",
        title: "Reward gained over the baseline, seed by seed".into(),
        caption: format!(
            "One dot for each of the {} seeds. A policy is called better or worse only where its interval lies on \
             one side of the dashed line.",
            result.seeds.len()
        ),
        blocks: vec![Block::Rows(Rows {
            legend: true,
            labels: labels(others(), result),
            panels: vec![panel],
        })],
    }
}

/// The GPU-hours fill of each tenant.
fn fill_by_tenant(result: &EvaluationResult) -> Figure {
    let compared = compared_policies(result);
    let first = compared.first().map_or(&[][..], |p| &p.fairness.by_tenant);
    let mut shown: Vec<usize> = (0..first.len()).collect();
    if first.len() > MOST_TENANTS {
        let fill = |i: &usize| first[*i].gpu_hours_fill.map_or(f64::INFINITY, |e| e.mean);
        shown.sort_by(|a, b| fill(a).total_cmp(&fill(b)));
        shown.truncate(MOST_TENANTS);
        shown.sort_unstable();
    }
    let which = if first.len() > MOST_TENANTS {
        format!(" Of {} tenants, the {MOST_TENANTS} who fare worst with the first policy.", first.len())
    } else {
        String::new()
    };
    let of = |fairness: &Fairness| {
        shown.iter().map(|i| interval(fairness.by_tenant.get(*i).and_then(|t| t.gpu_hours_fill))).collect()
    };
    Figure {
        name: "fill_by_tenant",
        title: "Who is served: GPU-hours fill by tenant".into(),
        caption: format!(
            "Means with 95 % bootstrap intervals, of the best learned policy, the baseline and the best hand rule.{which}"
        ),
        blocks: vec![Block::Bars(Bars {
            x_title: "GPU-hours served, share of GPU-hours requested".into(),
            groups: shown.iter().map(|i| first[*i].tenant.clone()).collect(),
            series: series(&compared, result, of),
        })],
    }
}

/// The fill of small, middling and large jobs.
fn fill_by_job_size(result: &EvaluationResult) -> Figure {
    const SIZES: [(JobSize, &str); 3] = [
        (JobSize::Under3h, "below 3 GPU-hours"),
        (JobSize::From3hTo6h, "3 to below 6 GPU-hours"),
        (JobSize::From6h, "6 GPU-hours or more"),
    ];
    let of = |fairness: &Fairness| {
        let fill = |size| fairness.by_size.iter().find(|s| s.size == size).and_then(|s| s.fill_rate);
        SIZES.iter().map(|(size, _)| interval(fill(*size))).collect()
    };
    Figure {
        name: "fill_by_job_size",
        title: "What is served: fill by job size".into(),
        caption:
            "Means with 95 % bootstrap intervals. A policy that earns its reward by dropping the large jobs \
                  shows it here."
                .into(),
        blocks: vec![Block::Bars(Bars {
            x_title: "requests routed, share of requests".into(),
            groups: SIZES.iter().map(|(_, label)| (*label).to_owned()).collect(),
            series: series(&compared_policies(result), result, of),
        })],
    }
}

/// Those whose fairness is compared: the best learned policy, the baseline and the best hand rule, as far as there
/// are any.
#[must_use]
pub fn compared_policies(result: &EvaluationResult) -> Vec<&PolicyResult> {
    let reward = |p: &PolicyResult| p.metrics.reward.map_or(f64::NEG_INFINITY, |e| e.mean);
    let learned = result.policies.iter().filter(|p| p.learned);
    let best_learned = learned.max_by(|a, b| reward(a).total_cmp(&reward(b)));
    let of = |wanted| result.policies.iter().find(move |p| role(p, result) == wanted);
    best_learned.into_iter().chain(of(Role::Baseline)).chain(of(Role::BestRule)).collect()
}

fn series(
    compared: &[&PolicyResult],
    result: &EvaluationResult,
    of: impl Fn(&Fairness) -> Vec<Option<Interval>>,
) -> Vec<BarSeries> {
    let bars = |policy: &&PolicyResult| {
        let role = role(policy, result);
        BarSeries {
            label: format!("{} {}", role.label(), policy_title(policy)),
            role,
            values: of(&policy.fairness),
        }
    };
    compared.iter().map(bars).collect()
}

fn labels<'a>(
    policies: impl Iterator<Item = &'a PolicyResult>,
    result: &EvaluationResult,
) -> Vec<(String, Role)> {
    policies.map(|policy| (policy_title(policy), role(policy, result))).collect()
}

fn role(policy: &PolicyResult, result: &EvaluationResult) -> Role {
    if policy.learned {
        Role::Learned
    } else if policy.name == BASELINE {
        Role::Baseline
    } else if policy.reference {
        Role::Informed
    } else if policy.name == result.best_rule {
        Role::BestRule
    } else {
        Role::Rule
    }
}

fn baseline(result: &EvaluationResult) -> Option<&PolicyResult> {
    result.policies.iter().find(|policy| role(policy, result) == Role::Baseline)
}

fn references(baseline: Option<Estimate>, limit: Option<Estimate>) -> Vec<Reference> {
    let line = |value: Option<Estimate>, label: String, colour: Colour| {
        value.map(|value| Reference { label, colour, value: value.mean })
    };
    let baseline = line(baseline, format!("baseline {BASELINE}"), Role::Baseline.colour());
    let limit = line(limit, Role::Limit.label().to_owned(), Role::Limit.colour());
    baseline.into_iter().chain(limit).collect()
}

fn interval(estimate: Option<Estimate>) -> Option<Interval> {
    estimate.map(|e| Interval { mean: e.mean, low: e.ci_low, high: e.ci_high })
}
