//! The result as CSV: one row per policy and figure, then those of the physical limit.

use crate::{
    bounds::Digest,
    figures::Figure,
    origin::Learned,
    report::{LimitReport, PolicyReport, Report},
    statistics::{Estimate, Interval},
};

const HEADER: [&str; 22] = [
    "policy",
    "learned",
    "metric",
    "mean",
    "ci_low",
    "ci_high",
    "iqm",
    "std_dev",
    "training_std_dev",
    "diff_to_baseline",
    "diff_to_baseline_ci_low",
    "diff_to_baseline_ci_high",
    "diff_to_best_rule",
    "diff_to_best_rule_ci_low",
    "diff_to_best_rule_ci_high",
    "diff_to_untrained",
    "diff_to_untrained_ci_low",
    "diff_to_untrained_ci_high",
    "policy_sha256",
    "trained_episodes",
    "trainings",
    "provenance",
];

/// A row's figure; a cell of what is not there is empty.
#[derive(Default)]
struct Row {
    metric: String,
    share: Option<Interval>,
    iqm: Option<f64>,
    std_dev: Option<f64>,
    training_std_dev: Option<f64>,
    versus_baseline: Option<Interval>,
    versus_best_rule: Option<Interval>,
    versus_untrained: Option<Interval>,
}

/// Writes the result. A figure that no seed has is an empty cell.
///
/// # Errors
/// None that a result in memory can cause.
pub fn to_csv(result: &Report) -> Result<String, ::csv::Error> {
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    writer.write_record(HEADER)?;
    for policy in &result.policies {
        for row in of_policy(policy) {
            writer.write_record(row.cells(&policy.name, Some(policy)))?;
        }
    }
    for row in result.limit.iter().flat_map(of_limit) {
        writer.write_record(row.cells("limit", None))?;
    }
    let bytes = writer.into_inner().map_err(|error| error.into_error())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn of_policy(policy: &PolicyReport) -> Vec<Row> {
    let figures = Figure::ALL.into_iter().map(|figure| Row {
        versus_baseline: policy.versus_baseline.get(figure).map(|e| e.interval()),
        versus_best_rule: policy.versus_best_rule.get(figure).map(|e| e.interval()),
        versus_untrained: policy.versus_untrained.as_ref().and_then(|v| v.get(figure)).map(|e| e.interval()),
        ..Row::of_estimate(figure.name(), policy.metrics.get(figure))
    });
    let shares = [
        Row::of_share("gap_closed", policy.gap_closed),
        Row::of_share("informed_gap_closed", policy.informed_gap_closed),
        Row::of_share("probability_of_improvement", policy.probability_of_improvement),
        Row::of_estimate("reward_on_limit_steps", policy.reward_on_limit_steps),
    ];
    let tenants = policy.fairness.by_tenant.iter().flat_map(|by| {
        let row =
            |metric: &str, figure| Row::of_estimate(&format!("by_tenant.{}.{metric}", by.tenant), figure);
        [
            row("fill_rate", by.fill_rate),
            row("gpu_hours_fill", by.gpu_hours_fill),
            row("cost_per_gpu_hour_usd", by.cost_per_gpu_hour_usd),
            row("avg_latency_ms", by.avg_latency_ms),
        ]
    });
    // the fill rate by size is among the figures
    let sizes = policy.fairness.by_size.iter().map(|by| {
        let size = by.size.name();
        Row::of_estimate(&format!("by_size.{size}.gpu_hours_fill"), by.gpu_hours_fill)
    });
    let parts = policy.gain_over_time.iter().enumerate();
    let parts = parts.map(|(i, gain)| Row::of_share(&format!("gain_over_time.{}", i + 1), *gain));
    figures.chain(shares).chain(tenants).chain(sizes).chain(parts).collect()
}

fn of_limit(limit: &LimitReport) -> [Row; 5] {
    [
        Row::of_estimate("fill_rate", limit.fill_rate),
        Row::of_estimate("avg_cost_usd", limit.avg_cost_usd),
        Row::of_estimate("avg_latency_ms", limit.avg_latency_ms),
        Row::of_estimate("reward", limit.reward),
        Row::of_share("headroom", limit.headroom),
    ]
}

impl Row {
    fn of_estimate(metric: &str, estimate: Option<Estimate>) -> Self {
        Self {
            metric: metric.into(),
            share: estimate.map(|e| e.interval()),
            iqm: estimate.map(|e| e.iqm),
            std_dev: estimate.and_then(|e| e.std_dev),
            training_std_dev: estimate.and_then(|e| e.training_std_dev),
            ..Self::default()
        }
    }

    fn of_share(metric: &str, share: Option<Interval>) -> Self {
        Self { metric: metric.into(), share, ..Self::default() }
    }

    fn cells(self, name: &str, policy: Option<&PolicyReport>) -> Vec<String> {
        let is_learned = policy.is_some_and(PolicyReport::is_learned);
        let learned = policy.and_then(|policy| policy.origin.learned());
        let of_training = [
            learned.and_then(Learned::artifact).map(hex),
            learned.map(|learned| learned.trained_episodes.to_string()),
            learned.map(|learned| learned.trainings.len().to_string()),
            learned.and_then(provenance),
        ];
        let number = |value: Option<f64>| value.map(|v| v.to_string()).unwrap_or_default();
        let interval = |share: Option<Interval>| {
            [share.map(|s| s.mean), share.map(|s| s.low), share.map(|s| s.high)].map(number)
        };
        let mut cells = vec![name.to_owned(), is_learned.to_string(), self.metric];
        cells.extend(interval(self.share));
        cells.extend([self.iqm, self.std_dev, self.training_std_dev].map(number));
        cells.extend(interval(self.versus_baseline));
        cells.extend(interval(self.versus_best_rule));
        cells.extend(interval(self.versus_untrained));
        cells.extend(of_training.map(Option::unwrap_or_default));
        cells
    }
}

/// `recorded` when the ledger knows every training, `unverified` when it lacks one.
fn provenance(learned: &Learned) -> Option<String> {
    let is_recorded = learned.unverified().next().is_none();
    (!learned.trainings.is_empty()).then(|| if is_recorded { "recorded" } else { "unverified" }.to_owned())
}

fn hex(digest: Digest) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        figures::Estimates,
        origin::{Origin, Provenance, Training},
        report::{Fairness, JobSize, SizeReport, TenantReport},
    };

    fn estimate(mean: f64) -> Option<Estimate> {
        Some(Estimate {
            mean,
            low: mean - 0.25,
            high: mean + 0.25,
            iqm: mean + 0.125,
            std_dev: Some(0.75),
            training_std_dev: None,
        })
    }

    #[test]
    fn there_is_one_row_for_every_policy_and_figure_and_empty_cells_where_there_is_no_data() {
        let fill = |mean| Estimates::of(move |f| if f == Figure::FillRate { estimate(mean) } else { None });
        let tenant = TenantReport {
            tenant: "acme".into(),
            fill_rate: None,
            gpu_hours_fill: estimate(0.5),
            cost_per_gpu_hour_usd: None,
            avg_latency_ms: None,
        };
        let size = SizeReport { size: JobSize::From6h, fill_rate: None, gpu_hours_fill: estimate(0.75) };
        let policy = PolicyReport {
            name: "q-learning".into(),
            origin: Origin::Learned(Learned {
                trained_episodes: 20,
                trainings: vec![Training {
                    artifact: [0; 32],
                    first_seed: 1,
                    provenance: Provenance::Unverified,
                }],
            }),
            metrics: fill(0.5),
            versus_baseline: fill(0.0),
            versus_best_rule: fill(-1.0),
            versus_untrained: Some(fill(2.0)),
            gap_closed: Some(Interval { mean: 0.5, low: 0.25, high: 0.75 }),
            informed_gap_closed: None,
            probability_of_improvement: None,
            fairness: Fairness { by_tenant: vec![tenant], by_size: vec![size] },
            reward_by_seed: vec![],
            gain_over_time: vec![],
            reward_on_limit_steps: None,
        };
        let limit = LimitReport {
            fill_rate: None,
            avg_cost_usd: None,
            avg_latency_ms: None,
            reward: estimate(2.0),
            headroom: None,
            steps_solved: 1,
            steps_total: 1,
            note: String::new(),
        };
        let result = Report {
            environment_digest: [0; 32],
            environment: "default".into(),
            steps: 1,
            seeds: vec![1],
            final_opening: None,
            comparisons: vec![],
            policies: vec![policy],
            best_rule: "cheapest".into(),
            limit: Some(limit),
            constraints: vec![],
            verdicts: vec![],
        };
        let csv = to_csv(&result).unwrap();
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(lines.len(), 1 + Figure::ALL.len() + 4 + 4 + 1 + 5);
        let training = format!("{},20,1,unverified", "0".repeat(64));
        assert_eq!(
            lines[1],
            format!(
                "q-learning,true,fill_rate,0.5,0.25,0.75,0.625,0.75,,0,-0.25,0.25,-1,-1.25,-0.75,2,1.75,2.25,{training}"
            )
        );
        assert_eq!(lines[2], format!("q-learning,true,gpu_hours_fill,,,,,,,,,,,,,,,,{training}"));
        for row in [
            format!("q-learning,true,gap_closed,0.5,0.25,0.75,,,,,,,,,,,,,{training}"),
            format!(
                "q-learning,true,by_tenant.acme.gpu_hours_fill,0.5,0.25,0.75,0.625,0.75,,,,,,,,,,,{training}"
            ),
            format!(
                "q-learning,true,by_size.from_6h.gpu_hours_fill,0.75,0.5,1,0.875,0.75,,,,,,,,,,,{training}"
            ),
            "limit,false,reward,2,1.75,2.25,2.125,0.75,,,,,,,,,,,,,,".into(),
        ] {
            assert!(lines.contains(&row.as_str()), "{row} is not in {csv}");
        }
    }
}
