use plots::{Block, Figure, Interval, Reference, Role, Row, RowPanel, Rows};

use super::assert_up_to_date;
use crate::support::{file, rows};

const COLUMNS: [&str; 5] = ["policy", "fill", "$/GPU-h", "latency ms", "gap closed, % [95 %]"];

#[test]
fn the_readme_can_be_read_in_a_few_minutes() {
    let length = file("README.md").len();
    assert!(
        length <= 8192,
        "README.md has {length} bytes, expected at most 8192: what explains more belongs in docs"
    );
}

#[test]
fn the_chart_of_the_readme_is_drawn_from_the_table_of_the_results() {
    let policies = rows(&file("docs/results.md"), &COLUMNS);
    assert!(policies.len() >= 9, "the table of the README's command has {} policies", policies.len());
    assert_up_to_date("docs/main_job.svg", &chart(&policies).svg().unwrap());
}

/// What each policy closes of the gap between the baseline (0) and the physical limit (100).
fn chart(policies: &[Vec<String>]) -> Figure {
    let line = |role: Role, value: f64| {
        let label = format!("{}: {value} %", role.label());
        Reference { label, colour: role.colour(), value }
    };
    let of_policies = || policies.iter().filter(|row| row[0] != Role::Limit.label());
    Figure {
        name: "main_job",
        title: "How much of what is possible each policy achieves".into(),
        caption: String::new(),
        blocks: vec![Block::Rows(Rows {
            legend: true,
            labels: of_policies().map(|row| (row[0].clone(), role(&row[0]))).collect(),
            panels: vec![RowPanel {
                x_title:
                    "Share of the gap between baseline and physical limit closed, %: mean [95 % interval]"
                        .into(),
                rows: of_policies()
                    .map(|row| Row { interval: Some(interval(&row[4])), dots: Vec::new() })
                    .collect(),
                references: vec![line(Role::Baseline, 0.0), line(Role::Limit, 100.0)],
                written: Some(1),
            }],
        })],
    }
}

fn role(policy: &str) -> Role {
    match policy {
        _ if policy.starts_with("adaptive") => Role::Learned,
        "weighted-score" => Role::Baseline,
        "bid-price-tuned" => Role::BestRule,
        _ => Role::Rule,
    }
}

/// `95.2 [94.7, 95.6]`
fn interval(text: &str) -> Interval {
    let numbers =
        text.split(|c: char| !(c.is_ascii_digit() || ".-".contains(c))).filter(|part| !part.is_empty());
    let numbers: Vec<f64> = numbers.map(|number| number.parse().unwrap()).collect();
    let [mean, low, high] = numbers[..] else { panic!("`{text}` is no mean with an interval") };
    Interval { mean, low, high }
}
