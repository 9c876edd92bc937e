//! The chart of an evaluation under many preferences.

use api::evaluator::{EvaluationResult, Front, FrontPoint, Fronts};

use crate::{
    evaluation::BASELINE,
    figure::{Block, Figure, Scatter, ScatterPanel, ScatterPoint, ScatterSeries},
    palette::Role,
};

/// What a cent buys: GPU-hours served against what one costs, with the latency as colour, of each trained policy beside the
/// limit, the hand rules and the baseline. Without a trained policy, of the hand rules.
pub(crate) fn pareto(result: &EvaluationResult, fronts: &Fronts) -> Figure {
    let trained = fronts.policies.iter().filter(|front| front.trained_episodes.is_some_and(|n| n > 0));
    let of_trained = |front: &Front| ScatterPanel {
        title: bought(&front.name, &front.points),
        series: with_others(fronts, Some(series("learned policy", Role::Learned, true, &front.points))),
    };
    let mut panels: Vec<ScatterPanel> = trained.map(of_trained).collect();
    if panels.is_empty() {
        panels.push(ScatterPanel {
            title: bought("the hand rules", &of_rules(fronts)),
            series: with_others(fronts, None),
        });
    }
    Figure {
        name: "pareto",
        title: format!("What a cent buys on {}", result.environment),
        caption: format!(
            "Each point is the mean over {} held-out seeds under one of {} preferences. Further up more GPU-hours are served, \
             further left each costs less, and the darker a point the lower is its latency. Lines join the points that no other \
             one of their shape betters in both.",
            result.seeds.len(),
            fronts.limit.points.len()
        ),
        blocks: vec![Block::Scatter(Scatter {
            x_title: "Cost, $ per GPU-hour served".into(),
            y_title: "GPU-hours served, share of those requested".into(),
            colour_title: "Latency, ms".into(),
            panels,
        })],
    }
}

/// What a panel is about, with the rules below and the limit above it.
fn with_others(fronts: &Fronts, own: Option<ScatterSeries>) -> Vec<ScatterSeries> {
    let baseline =
        fronts.policies.iter().filter(|front| front.name == BASELINE).flat_map(|front| &front.points);
    let baseline: Vec<FrontPoint> = baseline.cloned().collect();
    let mut all = vec![
        series("hand rules", Role::Rule, false, &of_rules(fronts)),
        series(&format!("baseline {BASELINE}"), Role::Baseline, false, &baseline),
    ];
    all.extend(own);
    all.push(series(Role::Limit.label(), Role::Limit, true, &fronts.limit.points));
    all
}

/// The points of all hand rules but the baseline.
fn of_rules(fronts: &Fronts) -> Vec<FrontPoint> {
    let rules =
        fronts.policies.iter().filter(|front| !front.learned && !front.reference && front.name != BASELINE);
    rules.flat_map(|front| front.points.iter().cloned()).collect()
}

fn series(label: &str, role: Role, is_front: bool, points: &[FrontPoint]) -> ScatterSeries {
    let points = points.iter().filter_map(placed).collect();
    ScatterSeries { label: label.to_owned(), role, is_front, points }
}

fn placed(point: &FrontPoint) -> Option<ScatterPoint> {
    let FrontPoint { cost_per_gpu_hour_usd, gpu_hours_fill, avg_latency_ms, .. } = point;
    Some(ScatterPoint { x: (*cost_per_gpu_hour_usd)?, y: (*gpu_hours_fill)?, colour: (*avg_latency_ms)? })
}

/// What more money than at the cheapest point buys: more GPU-hours, and less latency.
fn bought(name: &str, points: &[FrontPoint]) -> String {
    let placed: Vec<ScatterPoint> = points.iter().filter_map(placed).collect();
    let by_cost = |a: &ScatterPoint, b: &ScatterPoint| a.x.total_cmp(&b.x);
    let Some(cheapest) = placed.iter().min_by(|a, b| by_cost(a, b)) else {
        return format!("With {name} no request was served.");
    };
    let mut told = format!(
        "Cheapest with {name}: ${:.3} a GPU-hour, {:.1} % of them served, {:.0} ms a request.",
        cheapest.x,
        100.0 * cheapest.y,
        cheapest.colour
    );
    let cents = |point: &ScatterPoint| 100.0 * (point.x - cheapest.x);
    let most = placed.iter().min_by(|a, b| b.y.total_cmp(&a.y).then(by_cost(a, b)));
    if let Some(most) = most.filter(|most| most.y > cheapest.y) {
        told.push_str(&format!(" {:.1} ¢ more: {:.1} %.", cents(most), 100.0 * most.y));
    }
    let fastest = placed.iter().min_by(|a, b| a.colour.total_cmp(&b.colour).then(by_cost(a, b)));
    if let Some(fastest) = fastest.filter(|fastest| fastest.colour < cheapest.colour) {
        told.push_str(&format!(" {:.1} ¢ more: {:.0} ms.", cents(fastest), fastest.colour));
    }
    told
}
