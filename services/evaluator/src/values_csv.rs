//! What every policy achieved on every seed, as CSV.

use std::collections::{BTreeMap, BTreeSet};

use api::evaluator::{EvaluationValues, PolicyValues};

/// What tells a row from the others; the metrics follow.
const HEADER: [&str; 6] = ["policy", "place", "training", "policy_sha256", "trained_episodes", "seed"];

type Metrics = BTreeMap<String, Vec<Option<f64>>>;

/// One row for each policy, training and seed, then one of the limit for each seed.
///
/// # Errors
/// None that values in memory can cause.
pub(crate) fn values_csv(values: &EvaluationValues) -> Result<String, csv::Error> {
    let policies = values.policies.iter().map(|policy| &policy.metrics);
    let names: BTreeSet<&str> =
        policies.chain(&values.limit).flat_map(|metrics| metrics.keys().map(String::as_str)).collect();
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(HEADER.iter().copied().chain(names.iter().copied()))?;
    let mut write = |of: [String; 5], metrics: &Metrics| -> Result<(), csv::Error> {
        for (i, seed) in values.seeds.iter().enumerate() {
            let value =
                |name: &&str| metrics.get(*name).and_then(|by_seed| by_seed.get(i).copied().flatten());
            let cell = |name: &&str| value(name).map(|value| value.to_string()).unwrap_or_default();
            let cells = of.iter().cloned().chain([seed.to_string()]).chain(names.iter().map(cell));
            writer.write_record(cells)?;
        }
        Ok(())
    };
    for policy in &values.policies {
        write(of_policy(policy), &policy.metrics)?;
    }
    if let Some(limit) = &values.limit {
        write(["limit".into(), String::new(), String::new(), String::new(), String::new()], limit)?;
    }
    let bytes = writer.into_inner().map_err(|error| error.into_error())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn of_policy(policy: &PolicyValues) -> [String; 5] {
    let sha256 = policy.policy_sha256.map(|sha256| sha256.to_string()).unwrap_or_default();
    let episodes = policy.trained_episodes.map(|episodes| episodes.to_string()).unwrap_or_default();
    [policy.name.clone(), policy.policy.to_string(), policy.training.to_string(), sha256, episodes]
}
