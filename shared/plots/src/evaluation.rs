//! Charts of an evaluation, from its result.

use api::evaluator::{Estimate, EvaluationResult, Fairness, JobSize, MetricEstimates, PolicyResult, Share};

use crate::{
    figure::{
        BarSeries, Bars, Block, Curve, CurvePanel, Curves, Figure, Form, Interval, Point, Reference, Row,
        RowPanel, Rows,
    },
    fronts::pareto,
    palette::{Colour, Role},
};

/// The hand rule that all are compared with.
pub(crate) const BASELINE: &str = "weighted-score";

/// As many tenants have bars at most; of more, those who fare worst.
const MOST_TENANTS: usize = 40;

/// All charts of a result that have data. Each policy has a title, which tells it from others of its name.
#[must_use]
pub fn evaluation_figures(result: &EvaluationResult, titles: &[String]) -> Vec<Figure> {
    if let Some(fronts) = &result.fronts {
        return [pareto(result, fronts)].into_iter().filter(Figure::has_data).collect();
    }
    let figures = [
        policy_comparison(result, titles),
        learning_curve(result),
        gain_over_time(result),
        reward_by_seed(result, titles),
        fill_by_tenant(result, titles),
        fill_by_job_size(result, titles),
    ];
    figures.into_iter().filter(Figure::has_data).collect()
}

/// By how much every policy's reward differs from the best hand rule's on the same seeds, beside baseline and limit; fill, GPU-hours
/// fill, $ per GPU-hour and latency below. Rewards themselves would have intervals that overlap where differences are certain.
fn policy_comparison(result: &EvaluationResult, titles: &[String]) -> Figure {
    let panel = |title: &str, of: fn(&MetricEstimates) -> Option<Estimate>, limit: Option<Estimate>| {
        let rows = result.policies.iter().map(|p| Row { interval: interval(of(&p.metrics)), dots: vec![] });
        let baseline = baseline(result).and_then(|p| of(&p.metrics));
        RowPanel {
            x_title: title.into(),
            rows: rows.collect(),
            references: references(baseline.map(|e| e.mean), limit.map(|e| e.mean)),
            written: None,
        }
    };
    // the fill on some of the steps is no limit for that on all of them
    let of_all_steps = result.limit.as_ref().filter(|limit| limit.steps_solved == limit.steps_total);
    let others = vec![
        panel("Fill, share of requests", |m| m.fill_rate, of_all_steps.and_then(|limit| limit.fill_rate)),
        panel("Fill, share of GPU-hours", |m| m.gpu_hours_fill, None),
        panel("Cost, $ per GPU-hour", |m| m.cost_per_gpu_hour_usd, None),
        panel("Latency, ms", |m| m.avg_latency_ms, None),
    ];
    let rows = |legend, panels| {
        Block::Rows(Rows { legend, labels: labels(0..titles.len(), result, titles), panels })
    };
    let limit = match &result.limit {
        None => "The physical limit was not solved for it.".to_owned(),
        Some(limit) => {
            let steps = if of_all_steps.is_some() {
                String::new()
            } else {
                format!(
                    ", solved on {} of {} steps: the line is as far from the best hand rule's as on these",
                    limit.steps_solved, limit.steps_total
                )
            };
            format!(
                "No policy can pass the physical limit in the mean{steps}. An interval may, for the seeds' limits differ."
            )
        }
    };
    Figure {
        name: "policy_comparison",
        title: format!("Learned policies, hand rules and physical limit on {}", result.environment),
        caption: format!(
            "Means over {} held-out seeds with 95 % intervals; every policy met the same seeds. {limit}",
            result.seeds.len()
        ),
        blocks: vec![rows(true, vec![differences_to_best_rule(result)]), rows(false, others)],
    }
}

/// The paired differences of the rewards to the best hand rule's.
fn differences_to_best_rule(result: &EvaluationResult) -> RowPanel {
    let row =
        |policy: &PolicyResult| Row { interval: interval(policy.versus_best_rule.reward), dots: vec![] };
    let best = result.policies.iter().find(|policy| result.best_rule.as_ref() == Some(&policy.name));
    let mut lines = references(
        baseline(result).and_then(|p| p.versus_best_rule.reward).map(|difference| difference.mean),
        best.and_then(|best| limit_above(result, best)),
    );
    lines.extend(best.map(|best| Reference {
        label: format!("{} {}", Role::BestRule.label(), best.name),
        colour: Role::BestRule.colour(),
        value: 0.0,
    }));
    RowPanel {
        x_title:
            "Reward minus that of the best hand rule on the same seeds, per request: mean [95 % interval]"
                .into(),
        rows: result.policies.iter().map(row).collect(),
        references: lines,
        written: Some(3),
    }
}

/// What the policies of an algorithm gained over the baseline, by the episodes of their training; a curve for each
/// algorithm that was trained for longer and shorter.
fn learning_curve(result: &EvaluationResult) -> Figure {
    const COLOURS: [Colour; 4] = [Colour::Blue, Colour::Vermillion, Colour::Purple, Colour::SkyBlue];
    let mut by_name: Vec<(&str, Vec<(u32, &PolicyResult)>)> = Vec::new();
    for policy in &result.policies {
        let Some(episodes) = policy.trained_episodes else { continue };
        match by_name.iter_mut().find(|(name, _)| *name == policy.name) {
            Some((_, policies)) => policies.push((episodes, policy)),
            None => by_name.push((&policy.name, vec![(episodes, policy)])),
        }
    }
    let curves =
        by_name.into_iter().zip(COLOURS.into_iter().cycle()).filter_map(|((name, mut policies), colour)| {
            policies.sort_by_key(|(episodes, _)| *episodes);
            policies.dedup_by_key(|(episodes, _)| *episodes);
            let points = policies.iter().map(|(episodes, policy)| {
                let x = f64::from(*episodes);
                match policy.versus_baseline.reward {
                    Some(gain) => Point::with_band(x, gain.mean, (gain.ci_low, gain.ci_high)),
                    None => Point { x, y: None, band: None },
                }
            });
            let points: Vec<Point> = points.collect();
            (points.len() > 1).then(|| Curve { label: name.to_owned(), colour, form: Form::Line, points })
        });
    let line = |label: String, role: Role, value: f64| Reference { label, colour: role.colour(), value };
    let mut references = vec![line(format!("{BASELINE}: {}", Role::Baseline.label()), Role::Baseline, 0.0)];
    references.extend(result.policies.iter().filter_map(|policy| {
        let role = role(policy, result);
        let gain = policy.versus_baseline.reward?.mean;
        matches!(role, Role::BestRule | Role::Informed).then(|| line(line_label(policy, role), role, gain))
    }));
    let limit = limit_over_baseline(result);
    references.extend(limit.map(|limit| line(Role::Limit.label().to_owned(), Role::Limit, limit)));
    let panel = CurvePanel {
        height: 320,
        references,
        ..CurvePanel::new("Reward minus the baseline's, per request", curves.collect())
    };
    Figure {
        name: "learning_curve",
        title: format!("What training is worth on {}", result.environment),
        caption: format!(
            "Each point is a policy that was frozen after so many episodes of training: its mean over the same {} \
             held-out seeds, the bands 95 % intervals.",
            result.seeds.len()
        ),
        blocks: vec![Block::Curves(Curves { x_title: "episodes of training".into(), panels: vec![panel] })],
    }
}

/// By how much the physical limit's reward is above the baseline's.
pub(crate) fn limit_over_baseline(result: &EvaluationResult) -> Option<f64> {
    limit_above(result, baseline(result)?)
}

/// By how much the physical limit's reward is above the policy's, on the steps for which it was solved.
fn limit_above(result: &EvaluationResult, policy: &PolicyResult) -> Option<f64> {
    Some(result.limit.as_ref()?.reward?.mean - policy.reward_on_limit_steps?.mean)
}

/// What the best learned policy, the best hand rule and one that is told what is hidden gained over the baseline in
/// each part of the episodes.
fn gain_over_time(result: &EvaluationResult) -> Figure {
    let informed = result.policies.iter().find(|p| role(p, result) == Role::Informed);
    let compared = compared_policies(result).into_iter().map(|i| &result.policies[i]);
    let compared = compared.filter(|p| role(p, result) != Role::Baseline);
    let curves = compared.chain(informed).map(|policy| {
        let role = role(policy, result);
        let parts = policy.gain_over_time.len() as f64;
        let point = |(i, gain): (usize, &Option<Share>)| {
            let step = (i as f64 + 0.5) / parts * f64::from(result.steps);
            match gain {
                Some(gain) => Point::with_band(step, gain.mean, (gain.ci_low, gain.ci_high)),
                None => Point { x: step, y: None, band: None },
            }
        };
        let points = policy.gain_over_time.iter().enumerate().map(point).collect();
        Curve { label: line_label(policy, role), colour: role.colour(), form: Form::Line, points }
    });
    let zero = Reference {
        label: format!("{BASELINE}: {}", Role::Baseline.label()),
        colour: Role::Baseline.colour(),
        value: 0.0,
    };
    let panel = CurvePanel {
        height: 320,
        references: vec![zero],
        ..CurvePanel::new("Reward minus the baseline's, per request", curves.collect())
    };
    Figure {
        name: "gain_over_time",
        title: format!("How policies get on within the episodes of {}", result.environment),
        caption: format!(
            "Means over {} held-out seeds, part by part of the episodes, the bands 95 % intervals. A policy that \
             adapts to what it meets begins lower than it ends.",
            result.seeds.len()
        ),
        blocks: vec![Block::Curves(Curves { x_title: "step of the episode".into(), panels: vec![panel] })],
    }
}

/// What each policy gained over the baseline on each seed.
fn reward_by_seed(result: &EvaluationResult, titles: &[String]) -> Figure {
    let others = || (0..titles.len()).filter(|i| role(&result.policies[*i], result) != Role::Baseline);
    let differences = |policy: &PolicyResult| -> Vec<f64> {
        let Some(baseline) = baseline(result) else { return vec![] };
        let pairs = policy.reward_by_seed.iter().zip(&baseline.reward_by_seed);
        pairs.filter_map(|(mine, its)| Some((*mine)? - (*its)?)).collect()
    };
    let rows = others().map(|i| &result.policies[i]);
    let rows = rows
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
            labels: labels(others(), result, titles),
            panels: vec![panel],
        })],
    }
}

/// The GPU-hours fill of each tenant.
fn fill_by_tenant(result: &EvaluationResult, titles: &[String]) -> Figure {
    let compared = compared_policies(result);
    let first = compared.first().map_or(&[][..], |i| &result.policies[*i].fairness.by_tenant);
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
            "Means with 95 % intervals, of the best learned policy, the baseline and the best hand rule.{which}"
        ),
        blocks: vec![Block::Bars(Bars {
            x_title: "GPU-hours served, share of GPU-hours requested".into(),
            groups: shown.iter().map(|i| first[*i].tenant.clone()).collect(),
            series: series(&compared, result, titles, of),
        })],
    }
}

/// The fill of small, middling and large jobs.
fn fill_by_job_size(result: &EvaluationResult, titles: &[String]) -> Figure {
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
        caption: "Means with 95 % intervals. A policy that earns its reward by dropping the large jobs \
                  shows it here."
            .into(),
        blocks: vec![Block::Bars(Bars {
            x_title: "requests routed, share of requests".into(),
            groups: SIZES.iter().map(|(_, label)| (*label).to_owned()).collect(),
            series: series(&compared_policies(result), result, titles, of),
        })],
    }
}

/// Those whose fairness is compared: the best learned policy, the baseline and the best hand rule, as far as there
/// are any; each by its place among the policies.
#[must_use]
pub fn compared_policies(result: &EvaluationResult) -> Vec<usize> {
    let reward = |i: &usize| result.policies[*i].metrics.reward.map_or(f64::NEG_INFINITY, |e| e.mean);
    let learned = (0..result.policies.len()).filter(|i| role(&result.policies[*i], result) == Role::Learned);
    let best_learned = learned.max_by(|a, b| reward(a).total_cmp(&reward(b)));
    let of = |wanted| result.policies.iter().position(|p| role(p, result) == wanted);
    best_learned.into_iter().chain(of(Role::Baseline)).chain(of(Role::BestRule)).collect()
}

fn series(
    compared: &[usize],
    result: &EvaluationResult,
    titles: &[String],
    of: impl Fn(&Fairness) -> Vec<Option<Interval>>,
) -> Vec<BarSeries> {
    let bars = |i: &usize| {
        let role = role(&result.policies[*i], result);
        BarSeries {
            label: format!("{} {}", role.label(), titles[*i]),
            role,
            values: of(&result.policies[*i].fairness),
        }
    };
    compared.iter().map(bars).collect()
}

fn labels(
    policies: impl Iterator<Item = usize>,
    result: &EvaluationResult,
    titles: &[String],
) -> Vec<(String, Role)> {
    policies.map(|i| (titles[i].clone(), role(&result.policies[i], result))).collect()
}

/// What stands at the end of a line. The name of the informed rule tells its part.
fn line_label(policy: &PolicyResult, role: Role) -> String {
    match role {
        Role::Informed => policy.name.clone(),
        _ => format!("{}: {}", policy.name, role.label()),
    }
}

fn role(policy: &PolicyResult, result: &EvaluationResult) -> Role {
    if policy.learned && policy.trained_episodes == Some(0) {
        Role::Untrained
    } else if policy.learned {
        Role::Learned
    } else if policy.name == BASELINE {
        Role::Baseline
    } else if policy.reference {
        Role::Informed
    } else if result.best_rule.as_ref() == Some(&policy.name) {
        Role::BestRule
    } else {
        Role::Rule
    }
}

fn baseline(result: &EvaluationResult) -> Option<&PolicyResult> {
    result.policies.iter().find(|policy| role(policy, result) == Role::Baseline)
}

fn references(baseline: Option<f64>, limit: Option<f64>) -> Vec<Reference> {
    let line = |value: Option<f64>, label: String, colour: Colour| {
        value.map(|value| Reference { label, colour, value })
    };
    let baseline = line(baseline, format!("baseline {BASELINE}"), Role::Baseline.colour());
    let limit = line(limit, Role::Limit.label().to_owned(), Role::Limit.colour());
    baseline.into_iter().chain(limit).collect()
}

fn interval(estimate: Option<Estimate>) -> Option<Interval> {
    estimate.map(|e| Interval { mean: e.mean, low: e.ci_low, high: e.ci_high })
}
