//! Every figure of a result, computed again by an outsider: from the values by seed alone, with arithmetic of its own.

use std::collections::BTreeMap;

use routing_env::{Environment, Preset};
use serde_json::{Value, json};
use test_support::FakeRemembrancer;

use crate::support::{evaluator, policy_file};

/// A metric by training and seed.
type Table = Vec<Vec<f64>>;

/// What the CSV says: by policy's place (`limit` for the limit's) and metric.
type Values = BTreeMap<(String, String), Table>;

/// Reads `values.csv`.
fn read(csv: &str) -> Values {
    let mut lines = csv.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = lines.next().unwrap();
    assert_eq!(header[..6], ["policy", "place", "training", "policy_sha256", "trained_episodes", "seed"]);
    let mut values = Values::new();
    for cells in lines {
        let place = if cells[0] == "limit" { "limit" } else { cells[1] };
        let training: usize = cells[2].parse().unwrap_or_default();
        for (metric, cell) in header.iter().zip(&cells).skip(6).filter(|(_, cell)| !cell.is_empty()) {
            let table = values.entry((place.into(), (*metric).into())).or_default();
            table.resize(table.len().max(training + 1), Vec::new());
            table[training].push(cell.parse().unwrap());
        }
    }
    values
}

fn average(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn deviation(values: &[f64]) -> f64 {
    let centre = average(values);
    let squares: f64 = values.iter().map(|value| (value - centre) * (value - centre)).sum();
    (squares / (values.len() as f64 - 1.0)).sqrt()
}

fn over_trainings(table: &Table) -> Vec<f64> {
    (0..table[0].len()).map(|seed| average(&table.iter().map(|row| row[seed]).collect::<Vec<_>>())).collect()
}

fn minus(table: &Table, other: &Table) -> Table {
    let other = over_trainings(other);
    table.iter().map(|row| row.iter().zip(&other).map(|(mine, its)| mine - its).collect()).collect()
}

fn same(told: &Value, expected: f64, what: &str) {
    let told = told.as_f64().unwrap_or_else(|| panic!("{what}: no figure"));
    assert!(
        (told - expected).abs() <= 1e-9 * (1.0 + expected.abs()),
        "{what}: {told} is told, {expected} computed"
    );
}

/// Mean, interquartile mean and standard deviations of an estimate.
fn same_estimate(told: &Value, table: &Table, what: &str) {
    let by_seed = over_trainings(table);
    same(&told["mean"], average(&by_seed), what);
    let mut runs: Vec<f64> = table.concat();
    runs.sort_by(f64::total_cmp);
    let cut = runs.len() / 4;
    same(&told["iqm"], average(&runs[cut..runs.len() - cut]), what);
    same(&told["std_dev"], deviation(&by_seed), what);
    if table.len() > 1 {
        let by_training: Vec<f64> = table.iter().map(|row| average(row)).collect();
        same(&told["training_std_dev"], deviation(&by_training), what);
    }
    assert!(
        told["ci_low"].as_f64() <= told["mean"].as_f64() && told["mean"].as_f64() <= told["ci_high"].as_f64()
    );
}

const METRICS: [&str; 12] = [
    "fill_rate",
    "gpu_hours_fill",
    "avg_cost_usd",
    "cost_per_gpu_hour_usd",
    "cost_index",
    "fill_by_size.under_3h",
    "fill_by_size.from_3h_to_6h",
    "fill_by_size.from_6h",
    "worst_tenant_gpu_hours_fill",
    "deferred_share",
    "avg_latency_ms",
    "reward",
];

/// Checks a result against the values; how many figures there were.
fn check(result: &Value, values: &Values) -> usize {
    let policies = result["policies"].as_array().unwrap();
    let get = |place: usize, metric: &str| &values[&(place.to_string(), metric.to_owned())];
    let find = |name: &str| policies.iter().position(|policy| policy["name"] == name).unwrap();
    let baseline = find("weighted-score");
    let best = find(result["best_rule"].as_str().unwrap());
    let ratio = |numerator: &Table, denominator: &Table| {
        average(&over_trainings(numerator)) / average(&over_trainings(denominator))
    };
    let mut checked = 0;
    for (place, policy) in policies.iter().enumerate() {
        let name = format!("{place} {}", policy["name"]);
        let twin = policies.iter().position(|other| {
            other["name"] == policy["name"] && other["trained_episodes"] == json!(0) && *other != *policy
        });
        for metric in METRICS {
            let pointer = format!("/{}", metric.replace('.', "/"));
            let what = format!("{name}: {metric}");
            let own = get(place, metric);
            same_estimate(policy["metrics"].pointer(&pointer).unwrap(), own, &what);
            for (versus, other) in [
                ("versus_baseline", Some(baseline)),
                ("versus_best_rule", Some(best)),
                ("versus_untrained", twin),
            ] {
                let Some(other) = other else { continue };
                let told = policy[versus].pointer(&pointer).unwrap();
                same_estimate(told, &minus(own, get(other, metric)), &format!("{what} {versus}"));
                checked += 1;
            }
        }
        let reward = get(place, "reward");
        let by_seed: Vec<f64> = policy["reward_by_seed"]
            .as_array()
            .unwrap()
            .iter()
            .map(|reward| reward.as_f64().unwrap())
            .collect();
        for (told, expected) in by_seed.iter().zip(over_trainings(reward)) {
            same(&json!(told), expected, &name);
        }
        let gains = minus(reward, get(baseline, "reward"));
        let improved: Vec<f64> = gains.concat().iter().map(|gain| (gain.signum() + 1.0) / 2.0).collect();
        let ties = gains.concat().iter().filter(|gain| **gain == 0.0).count() as f64;
        let probability = improved.iter().sum::<f64>() - ties / 2.0; // the sign of zero is 1
        same(&policy["probability_of_improvement"]["mean"], probability / improved.len() as f64, &name);
        if !result["limit"].is_null() {
            let limit = &values[&("limit".to_owned(), "reward".to_owned())];
            let [own, from] = [get(place, "reward_on_limit_steps"), get(baseline, "reward_on_limit_steps")];
            let closed = ratio(&minus(own, from), &minus(limit, from));
            same(&policy["gap_closed"]["mean"], closed, &format!("{name} gap_closed"));
            same_estimate(&policy["reward_on_limit_steps"], own, &name);
            checked += 2;
        } else if !policy["informed_gap_closed"].is_null() {
            let [from, to] = ["bid-price", "bid-price-informed"].map(|name| get(find(name), "reward"));
            let closed = ratio(&minus(reward, from), &minus(to, from));
            same(&policy["informed_gap_closed"]["mean"], closed, &format!("{name} informed_gap_closed"));
            checked += 1;
        }
        for tenant in policy["fairness"]["by_tenant"].as_array().unwrap() {
            for metric in ["fill_rate", "gpu_hours_fill", "cost_per_gpu_hour_usd", "avg_latency_ms"] {
                let column = format!("by_tenant.{}.{metric}", tenant["tenant"].as_str().unwrap());
                same_estimate(&tenant[metric], get(place, &column), &format!("{name} {column}"));
                checked += 1;
            }
        }
        for size in policy["fairness"]["by_size"].as_array().unwrap() {
            let size_name = size["size"].as_str().unwrap();
            let fill = get(place, &format!("fill_by_size.{size_name}"));
            same_estimate(&size["fill_rate"], fill, size_name);
            let hours = get(place, &format!("by_size.{size_name}.gpu_hours_fill"));
            same_estimate(&size["gpu_hours_fill"], hours, size_name);
        }
        for (part, told) in policy["gain_over_time"].as_array().unwrap().iter().enumerate() {
            let metric = format!("reward_over_time.{}", part + 1);
            let gains = minus(get(place, &metric), get(baseline, &metric));
            same(&told["mean"], average(&over_trainings(&gains)), &format!("{name} {metric}"));
            checked += 1;
        }
    }
    if let Some(limit) = result["limit"].as_object() {
        let get = |metric: &str| &values[&("limit".to_owned(), metric.to_owned())];
        for metric in ["fill_rate", "avg_cost_usd", "avg_latency_ms", "reward"] {
            same_estimate(&limit[metric], get(metric), metric);
        }
        let from = &values[&(baseline.to_string(), "reward_on_limit_steps".to_owned())];
        let headroom = ratio(
            &minus(get("reward"), from),
            &vec![over_trainings(from).into_iter().map(f64::abs).collect()],
        );
        same(&limit["headroom"]["mean"], headroom, "headroom");
    }
    checked
}

async fn recomputed(preset: Preset) -> usize {
    let ledger = FakeRemembrancer::start().await;
    let service = evaluator(ledger.url()).await;
    let environment = Environment::built_in(preset).with_steps(6);
    let [a, b] = [7, 8]
        .map(|seed| ledger.put_artifact(&serde_json::to_vec(&policy_file(&environment, seed)).unwrap()));
    let request = json!({
        "policies": [[a, b]], "rules": ["bid-price", "random", "bid-price-informed"],
        "environment": {"preset": preset.name()}, "seeds": 9, "steps": 6,
    });
    let evaluation = service.completed(&request).await;
    let csv =
        service.get(&format!("/v1/evaluations/{}/values.csv", evaluation.id)).await.text().await.unwrap();
    let values = read(&csv);
    // the JSON says the same, and is the artifact that the result names
    let result = evaluation.result.unwrap();
    let json: Value =
        service.get(&format!("/v1/evaluations/{}/values", evaluation.id)).await.json().await.unwrap();
    let kept: Value =
        serde_json::from_slice(&ledger.artifact(result.values_sha256.unwrap()).unwrap()).unwrap();
    assert_eq!(json, kept);
    for policy in json["policies"].as_array().unwrap() {
        let training = policy["training"].as_u64().unwrap() as usize;
        for (metric, by_seed) in policy["metrics"].as_object().unwrap() {
            let by_seed: Vec<f64> = by_seed.as_array().unwrap().iter().filter_map(Value::as_f64).collect();
            let in_csv = values.get(&(policy["policy"].to_string(), metric.clone()));
            assert_eq!(in_csv.map_or(&[][..], |table| &table[training]), by_seed, "{metric}");
        }
    }
    check(&serde_json::to_value(&result).unwrap(), &values)
}

#[tokio::test]
async fn an_outsider_computes_every_figure_again_from_the_values_by_seed() {
    let checked = recomputed(Preset::Contended).await;
    assert!(checked > 250, "{checked}");
}

#[tokio::test]
async fn also_where_something_is_hidden() {
    let checked = recomputed(Preset::Drifting).await;
    assert!(checked > 250, "{checked}");
}
