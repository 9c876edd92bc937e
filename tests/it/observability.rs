//! The alert rules and dashboards of docs/observability ask for what the services expose, and the documents tell of them.
//! What only Prometheus' own tool can say of them is in `tests/observability`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::support::{file, path, rows};

const RULES: &str = "docs/observability/alerts.yaml";
const METRICS: [&str; 6] = ["service", "name", "type", "unit", "labels", "meaning"];

/// What Prometheus adds to every sample, and what the scrape configurations do.
const LABELS_OF_THE_SCRAPE: [&str; 3] = ["job", "instance", "service"];

#[test]
fn every_metric_and_label_in_a_rule_or_on_a_dashboard_is_one_that_a_service_exposes() {
    let documented = documented();
    for (place, expression) in rules().into_iter().chain(panels()) {
        let Asked { metrics, labels } = Asked::by(&expression);
        assert!(!metrics.is_empty(), "{place}: {expression}");
        let mut known: BTreeSet<&str> = LABELS_OF_THE_SCRAPE.into();
        for metric in metrics.iter().filter(|metric| *metric != "up") {
            let found = documented.get(metric.as_str());
            known.extend(found.unwrap_or_else(|| panic!("{place}: no service exposes `{metric}`")));
        }
        let unknown: Vec<_> = labels.iter().filter(|label| !known.contains(label.as_str())).collect();
        assert!(unknown.is_empty(), "{place}: {metrics:?} have no labels {unknown:?}");
    }
}

#[test]
fn every_metric_is_on_a_dashboard() {
    let shown: BTreeSet<String> =
        panels().iter().flat_map(|(_, expression)| Asked::by(expression).metrics).collect();
    for row in rows(&file("docs/metrics.md"), &METRICS) {
        let name = if row[2] == "histogram" { format!("{}_bucket", row[1]) } else { row[1].clone() };
        assert!(shown.contains(&name), "no dashboard shows {name}");
    }
}

#[test]
fn every_alert_has_a_row_in_the_documents_and_is_tried_firing_and_not_firing() {
    let alerts: BTreeSet<String> = rules().into_iter().map(|(alert, _)| alert).collect();
    assert!(alerts.len() >= 10, "{alerts:?}");
    let told: BTreeSet<String> = rows(&file("docs/metrics.md"), &["alert", "what to do"])
        .into_iter()
        .map(|row| row[0].clone())
        .collect();
    assert_eq!(told, alerts, "the table of alerts of docs/metrics.md, and {RULES}");

    let tests = file("docs/observability/alerts_test.yaml");
    let mut tried: BTreeMap<&str, BTreeSet<bool>> = BTreeMap::new();
    for case in tests.split("- alertname: ").skip(1) {
        let (alert, case) = case.split_once('\n').unwrap();
        let (_, expected) = case.split_once("exp_alerts:").unwrap();
        tried.entry(alert).or_default().insert(!expected.trim_start().starts_with("[]"));
    }
    for alert in &alerts {
        let tried = tried.get(alert.as_str()).map_or(0, BTreeSet::len);
        assert_eq!(tried, 2, "{alert}: one case in which it fires and one in which it does not");
    }
}

#[test]
fn no_two_dashboards_or_panels_of_one_share_an_id() {
    let mut uids = BTreeSet::new();
    for (name, dashboard) in dashboards() {
        assert!(uids.insert(dashboard["uid"].as_str().unwrap().to_owned()), "{name}");
        let panels = dashboard["panels"].as_array().unwrap();
        let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
        assert_eq!(ids.len(), panels.len(), "{name}");
    }
}

/// The metrics of docs/metrics.md as a query names them, with their labels.
fn documented() -> BTreeMap<String, BTreeSet<&'static str>> {
    let mut metrics = BTreeMap::new();
    for row in rows(&file("docs/metrics.md"), &METRICS) {
        // leaked: a test's few names
        let labels = row[4].split(", ").filter(|label| !label.is_empty());
        let mut labels: BTreeSet<&'static str> = labels.map(|label| &*label.to_owned().leak()).collect();
        if row[2] == "histogram" {
            for part in ["_sum", "_count"] {
                metrics.insert(format!("{}{part}", row[1]), labels.clone());
            }
            labels.insert("le");
            metrics.insert(format!("{}_bucket", row[1]), labels);
        } else {
            metrics.insert(row[1].clone(), labels);
        }
    }
    metrics
}

/// Each alert and its expression.
fn rules() -> Vec<(String, String)> {
    let text = file(RULES);
    let mut rules = Vec::new();
    let mut alert = None;
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("- alert: ") {
            assert_eq!(alert.replace(name.to_owned()), None, "{name} comes before the expression of another");
        } else if let Some(expression) = line.strip_prefix("expr: ") {
            rules.push((alert.take().unwrap(), expression.to_owned()));
        }
    }
    rules
}

/// Each panel and what it asks for.
fn panels() -> Vec<(String, String)> {
    let mut queries = Vec::new();
    for (name, dashboard) in dashboards() {
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let place = format!("{name}: {}", panel["title"].as_str().unwrap());
                queries.push((place, target["expr"].as_str().unwrap().to_owned()));
            }
        }
    }
    queries
}

fn dashboards() -> Vec<(String, Value)> {
    let folder = path("docs/observability/grafana/dashboards");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: std::path::PathBuf| {
        (path.display().to_string(), serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap())
    };
    let dashboards: Vec<_> = files.map(read).collect();
    assert!(dashboards.len() >= 3);
    dashboards
}

/// What a PromQL expression asks for.
#[derive(Debug, Default, PartialEq)]
struct Asked {
    metrics: BTreeSet<String>,
    labels: BTreeSet<String>,
}

impl Asked {
    /// Reads names: those in braces or behind `by` and its like are labels, those before a parenthesis functions, and of the
    /// others those that are no words of the language metrics. Texts and durations are left out.
    fn by(expression: &str) -> Self {
        const GROUPING: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
        const WORDS: [&str; 5] = ["and", "or", "unless", "offset", "bool"];
        let mut asked = Self::default();
        let mut rest = expression;
        let (mut in_braces, mut in_grouping) = (false, false);
        while let Some(next) = rest.chars().next() {
            let length = match next {
                '"' => rest[1..].find('"').unwrap() + 2,
                '[' => rest.find(']').unwrap() + 1,
                c if c.is_ascii_digit() => {
                    rest.find(|c: char| !c.is_alphanumeric() && c != '.').unwrap_or(rest.len())
                }
                c if c.is_alphabetic() || c == '_' => {
                    rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').unwrap_or(rest.len())
                }
                c => c.len_utf8(),
            };
            let (token, after) = rest.split_at(length);
            rest = after;
            let is_function = ["(", "by", "without"].iter().any(|next| after.trim_start().starts_with(next));
            match next {
                '{' => in_braces = true,
                '}' => in_braces = false,
                ')' => in_grouping = false,
                c if !c.is_alphabetic() && c != '_' => {}
                _ if in_braces || in_grouping => drop(asked.labels.insert(token.to_owned())),
                _ if GROUPING.contains(&token) => in_grouping = true,
                _ if WORDS.contains(&token) || is_function => {}
                _ => drop(asked.metrics.insert(token.to_owned())),
            }
        }
        asked
    }
}

#[test]
fn metrics_and_labels_of_an_expression_are_told_apart() {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let asked = Asked::by(
        "topk(3, sum by (le, a) (rate(x_total{b=~\"c.*d\"}[5m] offset 10m))) / on (e) y > 1.5e3 and z == 0",
    );
    assert_eq!(asked, Asked { metrics: set(&["x_total", "y", "z"]), labels: set(&["le", "a", "b", "e"]) });
}
