//! Fronts as they travel, and as tables.

use api::{
    Hash,
    evaluator::{
        Coverage, EvaluationResult, Front, FrontPoint, Fronts, GpuHoursFillBySize, LimitFront, PointOutcome,
        Share, Weights,
    },
};
use evaluation::{
    origin::Origin,
    pareto::{self, Point},
    plan::Plan,
    tables::Table,
};
use routing_env::{Outcome, Preference};

use crate::conversion::{share_to_wire, trainings_to_wire};

/// What was found, as it travels.
#[must_use]
pub fn to_wire(plan: &Plan, found: &pareto::Fronts) -> EvaluationResult {
    let [served, gpu_hours, excess_cost, latency] = found.reference;
    EvaluationResult {
        environment_digest: Hash(plan.environment_digest),
        environment: plan.environment.preset().name().into(),
        steps: plan.environment.steps(),
        seeds: plan.seeds.clone(),
        final_opening: plan.final_opening,
        policies: Vec::new(),
        comparisons: Vec::new(),
        best_rule: None,
        limit: None,
        constraints: Vec::new(),
        fronts: Some(Fronts {
            policies: found.policies.iter().map(front_to_wire).collect(),
            rules: coverage_to_wire(found.rules),
            limit: LimitFront {
                points: found.limit.iter().map(point_to_wire).collect(),
                coverage: coverage_to_wire(found.limit_coverage),
            },
            // what is lost counts as less there, so that more is better of all
            reference: PointOutcome {
                served,
                gpu_hours,
                excess_cost_usd: -excess_cost,
                latency_ms: -latency,
            },
        }),
        logged: None,
        values_sha256: None,
        verdicts: found.verdicts.clone(),
    }
}

fn front_to_wire(front: &pareto::Front) -> Front {
    let learned = front.origin.learned();
    Front {
        name: front.name.clone(),
        learned: learned.is_some(),
        reference: front.origin == Origin::Reference,
        trained_episodes: learned.map(|learned| learned.trained_episodes),
        trainings: learned.map_or_else(Vec::new, trainings_to_wire),
        points: front.points.iter().map(point_to_wire).collect(),
        coverage: coverage_to_wire(front.coverage),
        least_gap_closed: front.least_gap_closed(),
        mean_gap_closed: front.mean_gap_closed(),
    }
}

fn coverage_to_wire(coverage: pareto::Coverage) -> Coverage {
    let pareto::Coverage { hypervolume, expected_utility } = coverage;
    Coverage { hypervolume, expected_utility }
}

fn point_to_wire(point: &Point) -> FrontPoint {
    let Preference { request, gpu_hour, cost, latency } = point.wanted;
    let Outcome { served, gpu_hours, excess_cost, latency_ms } = point.outcome;
    let by_size = |[under_3h, from_3h_to_6h, from_6h]: [Option<f64>; 3]| GpuHoursFillBySize {
        under_3h,
        from_3h_to_6h,
        from_6h,
    };
    FrontPoint {
        weights: Weights { request, gpu_hour, cost, latency },
        reward: point.reward,
        outcome: PointOutcome { served, gpu_hours, excess_cost_usd: excess_cost.usd(), latency_ms },
        gap_closed: point.gap_closed.map(share_to_wire),
        fill_rate: point.fill_rate,
        gpu_hours_fill: point.gpu_hours_fill,
        gpu_hours_fill_by_size: point.gpu_hours_fill_by_size.map(by_size),
        cost_per_gpu_hour_usd: point.cost_per_gpu_hour_usd,
        avg_latency_ms: point.avg_latency_ms,
    }
}

/// One row a policy of what its front covers, then what all hand rules cover together, and the limit.
#[must_use]
pub fn coverage_table(fronts: &Fronts) -> Table {
    let header = ["policy", "hypervolume", "expected utility", "gap closed: least", "mean"];
    let row = |name: &str, coverage: Coverage, gaps: [Option<f64>; 2]| {
        let mut cells = vec![
            Some(name.to_owned()),
            Some(percent(coverage.hypervolume)),
            Some(format!("{:.3}", coverage.expected_utility)),
        ];
        cells.extend(gaps.map(|gap| gap.map(percent)));
        cells
    };
    let mut rows: Vec<_> = fronts
        .policies
        .iter()
        .map(|front| row(&front.name, front.coverage, [front.least_gap_closed, front.mean_gap_closed]))
        .collect();
    rows.push(row("all hand rules together", fronts.rules, [None, None]));
    rows.push(row("limit", fronts.limit.coverage, [None, None]));
    Table { header: header.map(str::to_owned).into(), rows }
}

/// One row a preference: the share of the way from the baseline to the limit that each policy goes, and the limit.
#[must_use]
pub fn gaps_table(fronts: &Fronts) -> Table {
    let policies = fronts.policies.get(1..).unwrap_or_default(); // the first one is the baseline
    let names = policies.iter().map(|front| front.name.clone());
    let row = |(i, limit): (usize, &FrontPoint)| {
        let closed = policies.iter().map(|front| front.points.get(i)?.gap_closed.map(with_interval));
        weights(&limit.weights)
            .into_iter()
            .chain(closed)
            .chain([Some(format!("{:.3}", limit.reward))])
            .collect()
    };
    Table {
        header: WEIGHTS.map(str::to_owned).into_iter().chain(names).chain(["limit".to_owned()]).collect(),
        rows: fronts.limit.points.iter().enumerate().map(row).collect(),
    }
}

/// One row a preference: what these points came to.
#[must_use]
pub fn points_table(points: &[FrontPoint]) -> Table {
    let figures = ["gap closed [95 %]", "fill", "GPU-h fill", "of jobs < 3 h, 3–6 h, ≥ 6 h", "$/GPU-h", "ms"];
    let row = |point: &FrontPoint| {
        let figure = |value: Option<f64>, decimals: usize| value.map(|value| format!("{value:.decimals$}"));
        let by_size = point.gpu_hours_fill_by_size.map(|fill| {
            let of = [fill.under_3h, fill.from_3h_to_6h, fill.from_6h];
            of.map(|fill| figure(fill, 3).unwrap_or_else(|| "–".into())).join(", ")
        });
        let cells = [
            point.gap_closed.map(with_interval),
            figure(point.fill_rate, 3),
            figure(point.gpu_hours_fill, 3),
            by_size,
            figure(point.cost_per_gpu_hour_usd, 3),
            figure(point.avg_latency_ms, 1),
        ];
        weights(&point.weights).into_iter().chain(cells).collect()
    };
    Table {
        header: WEIGHTS.into_iter().chain(figures).map(str::to_owned).collect(),
        rows: points.iter().map(row).collect(),
    }
}

const WEIGHTS: [&str; 4] = ["a request", "a GPU-hour", "a USD", "a ms"];

fn weights(weights: &Weights) -> [Option<String>; 4] {
    let Weights { request, gpu_hour, cost, latency } = weights;
    [format!("{request:.1}"), format!("{gpu_hour:.1}"), format!("-{cost}"), format!("-{latency}")].map(Some)
}

fn with_interval(gap: Share) -> String {
    format!("{} [{:.1}, {:.1}]", percent(gap.mean), 100.0 * gap.ci_low, 100.0 * gap.ci_high)
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use evaluation::{
        bounds::Sample,
        origin::{Learned, Provenance, Training},
        plan::Kind,
        statistics::Interval,
    };
    use policy::Rule;
    use routing_env::{Environment, ExcessCost, Preset};
    use serde_json::json;

    use super::*;

    /// Fronts in which no two values are the same.
    fn found() -> pareto::Fronts {
        let mut last = 0.0;
        let mut next = || {
            last += 1.25;
            last
        };
        let mut point = |is_limit: bool| Point {
            wanted: Preference { request: next(), gpu_hour: next(), cost: next(), latency: next() },
            outcome: Outcome {
                served: next(),
                gpu_hours: next(),
                excess_cost: ExcessCost::of_bill(next(), 0.0),
                latency_ms: next(),
            },
            reward: next(),
            gap_closed: (!is_limit).then(|| Interval { mean: next(), low: next(), high: next() }),
            fill_rate: Some(next()),
            gpu_hours_fill: Some(next()),
            gpu_hours_fill_by_size: (!is_limit).then(|| [Some(next()), None, Some(next())]),
            cost_per_gpu_hour_usd: Some(next()),
            avg_latency_ms: Some(next()),
        };
        let (rule, learned, limit) = (vec![point(false)], vec![point(false)], vec![point(true)]);
        let mut coverage = || pareto::Coverage { hypervolume: next(), expected_utility: next() };
        let training =
            Training { artifact: [7; 32], first_seed: 3, provenance: Provenance::Recorded { run: [6; 32] } };
        let origin = Origin::Learned(Learned { trained_episodes: 40, trainings: vec![training] });
        let mut front = |name: &str, origin, points| pareto::Front {
            name: name.into(),
            origin,
            points,
            coverage: coverage(),
        };
        pareto::Fronts {
            policies: vec![front("weighted-score", Origin::Rule, rule), front("cem", origin, learned)],
            rules: coverage(),
            limit,
            limit_coverage: coverage(),
            reference: [0.5, 0.75, -0.25, -340.0],
            verdicts: vec!["a sentence".into()],
        }
    }

    fn wire() -> EvaluationResult {
        let environment = Environment::built_in(Preset::Contended).with_steps(3);
        let plan = Plan {
            kind: Kind::Fronts(vec![Preference::EXCESS_COST]),
            constraints: vec![],
            environment_digest: [9; 32],
            policies: vec![vec![[7; 32]]],
            rules: vec![Rule::BASELINE],
            seeds: vec![1, 2],
            sample: Some(Sample::all(&environment)),
            final_opening: Some(2),
            environment: Arc::new(environment),
        };
        to_wire(&plan, &found())
    }

    #[test]
    fn what_is_written_as_json_is_read_as_it_was() {
        let text = serde_json::to_string(&wire()).unwrap();
        assert_eq!(serde_json::from_str::<EvaluationResult>(&text).unwrap(), wire());
    }

    #[test]
    fn what_does_not_apply_is_left_out() {
        let json = serde_json::to_value(wire()).unwrap();
        let keys = |pointer: &str| -> Vec<String> {
            json.pointer(pointer).unwrap().as_object().unwrap().keys().cloned().collect()
        };
        assert!(!keys("").contains(&"best_rule".to_owned()) && !keys("").contains(&"comparisons".to_owned()));
        assert_eq!(
            (&json["policies"], &json["limit"], &json["final_opening"]),
            (&json!([]), &json!(null), &json!(2))
        );
        assert!(!keys("/fronts/limit/points/0").contains(&"gap_closed".to_owned()));
        assert_eq!(json["fronts"]["policies"][1]["trainings"][0]["provenance"], "recorded");
        assert!(!keys("/fronts/policies/0").contains(&"trained_episodes".to_owned()));
        let reference =
            json!({"served": 0.5, "gpu_hours": 0.75, "excess_cost_usd": 0.25, "latency_ms": 340.0});
        assert_eq!(json["fronts"]["reference"], reference);
    }

    #[test]
    fn tables_have_a_row_for_each_preference_and_each_front() {
        let fronts = wire().fronts.unwrap();
        let covered = coverage_table(&fronts);
        let names: Vec<_> = covered.rows.iter().map(|row| row[0].clone().unwrap()).collect();
        assert_eq!(names, ["weighted-score", "cem", "all hand rules together", "limit"]);
        let gaps = gaps_table(&fronts);
        assert_eq!(gaps.header, ["a request", "a GPU-hour", "a USD", "a ms", "cem", "limit"]);
        let gap = fronts.policies[1].points[0].gap_closed.unwrap();
        assert_eq!(gaps.rows.len(), 1);
        assert!(gaps.rows[0][4].as_ref().unwrap().starts_with(&format!("{:.1} % [", 100.0 * gap.mean)));
    }
}
