//! What was found, as CSV.

use api::evaluator::{EvaluationResult, FrontPoint, Fronts};
use evaluation::csv::to_csv;

use crate::{conversion::from_wire, logged};

/// Under one preference a row for each policy and metric, under many one for each policy and preference, from a log one for
/// each policy.
///
/// # Errors
/// None that a result in memory can cause.
pub(crate) fn results_csv(result: &EvaluationResult) -> Result<String, csv::Error> {
    match (&result.fronts, &result.logged) {
        (_, Some(logged)) => logged::to_csv(logged),
        (Some(fronts), None) => points_csv(fronts),
        (None, None) => to_csv(&from_wire(result)),
    }
}

const POINTS_HEADER: [&str; 20] = [
    "policy",
    "request",
    "gpu_hour",
    "cost",
    "latency",
    "reward",
    "gap_closed",
    "gap_closed_low",
    "gap_closed_high",
    "served",
    "gpu_hours",
    "excess_cost_usd",
    "latency_ms",
    "fill_rate",
    "gpu_hours_fill",
    "gpu_hours_fill_under_3h",
    "gpu_hours_fill_from_3h_to_6h",
    "gpu_hours_fill_from_6h",
    "cost_per_gpu_hour_usd",
    "avg_latency_ms",
];

/// The policies' points, then the limit's.
fn points_csv(fronts: &Fronts) -> Result<String, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(POINTS_HEADER)?;
    let policies = fronts.policies.iter().map(|front| (front.name.as_str(), &front.points));
    for (name, points) in policies.chain([("limit", &fronts.limit.points)]) {
        for point in points {
            let cells = point_cells(point).map(|cell| cell.map(|cell| cell.to_string()).unwrap_or_default());
            writer.write_record([name.to_owned()].into_iter().chain(cells))?;
        }
    }
    let bytes = writer.into_inner().map_err(|error| error.into_error())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn point_cells(point: &FrontPoint) -> [Option<f64>; 19] {
    let FrontPoint { weights, outcome, gap_closed, gpu_hours_fill_by_size: by_size, .. } = point;
    [
        Some(weights.request),
        Some(weights.gpu_hour),
        Some(weights.cost),
        Some(weights.latency),
        Some(point.reward),
        gap_closed.map(|gap| gap.mean),
        gap_closed.map(|gap| gap.ci_low),
        gap_closed.map(|gap| gap.ci_high),
        Some(outcome.served),
        Some(outcome.gpu_hours),
        Some(outcome.excess_cost_usd),
        Some(outcome.latency_ms),
        point.fill_rate,
        point.gpu_hours_fill,
        by_size.and_then(|fill| fill.under_3h),
        by_size.and_then(|fill| fill.from_3h_to_6h),
        by_size.and_then(|fill| fill.from_6h),
        point.cost_per_gpu_hour_usd,
        point.avg_latency_ms,
    ]
}
