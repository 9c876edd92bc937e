//! The result as CSV: one row per policy and figure.

use api::evaluator::{Estimate, EvaluationResult};

use crate::figures::Figure;

const HEADER: [&str; 13] = [
    "policy",
    "learned",
    "metric",
    "mean",
    "ci_low",
    "ci_high",
    "diff_to_baseline",
    "diff_to_baseline_ci_low",
    "diff_to_baseline_ci_high",
    "diff_to_best_rule",
    "diff_to_best_rule_ci_low",
    "diff_to_best_rule_ci_high",
    "policy_sha256",
];

/// Writes the result. A figure that no seed has is an empty cell.
///
/// # Errors
/// None that a result in memory can cause.
pub(crate) fn to_csv(result: &EvaluationResult) -> Result<String, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(HEADER)?;
    for policy in &result.policies {
        for figure in Figure::ALL {
            let mut row = vec![policy.name.clone(), policy.learned.to_string(), figure.name().into()];
            for estimates in [&policy.metrics, &policy.versus_baseline, &policy.versus_best_rule] {
                row.extend(cells(figure.among(estimates)));
            }
            row.push(policy.policy_sha256.map(|sha256| sha256.to_string()).unwrap_or_default());
            writer.write_record(row)?;
        }
    }
    let bytes = writer.into_inner().map_err(|error| error.into_error())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn cells(estimate: Option<Estimate>) -> [String; 3] {
    estimate.map_or_else(Default::default, |e| [e.mean, e.ci_low, e.ci_high].map(|v| v.to_string()))
}

#[cfg(test)]
mod tests {
    use api::{
        Hash,
        evaluator::{Fairness, PolicyResult},
    };

    use super::*;
    use crate::figures::estimates;

    #[test]
    fn there_is_one_row_for_every_policy_and_figure_and_empty_cells_where_there_is_no_data() {
        let estimate = |mean| {
            Some(Estimate { mean, ci_low: mean - 0.25, ci_high: mean + 0.25, iqm: mean, std_dev: None })
        };
        let fill = |mean| estimates(move |f| if f == Figure::FillRate { estimate(mean) } else { None });
        let policy = PolicyResult {
            name: "q-learning".into(),
            learned: true,
            reference: false,
            policy_sha256: Some(Hash([0; 32])),
            metrics: fill(0.5),
            versus_baseline: fill(0.0),
            versus_best_rule: fill(-1.0),
            gap_closed: None,
            informed_gap_closed: None,
            probability_of_improvement: None,
            fairness: Fairness { by_tenant: vec![], by_size: vec![] },
            reward_by_seed: vec![],
            reward_on_limit_steps: None,
        };
        let result = EvaluationResult {
            environment_digest: Hash([0; 32]),
            environment: "default".into(),
            steps: 1,
            seeds: vec![1],
            policies: vec![policy],
            best_rule: "cheapest".into(),
            limit: None,
            verdicts: vec![],
        };
        let csv = to_csv(&result).unwrap();
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(lines.len(), 1 + Figure::ALL.len());
        assert_eq!(
            lines[1],
            format!("q-learning,true,fill_rate,0.5,0.25,0.75,0,-0.25,0.25,-1,-1.25,-0.75,{}", "0".repeat(64))
        );
        assert!(lines[2].starts_with("q-learning,true,gpu_hours_fill,,,,,,,,,,"));
    }
}
