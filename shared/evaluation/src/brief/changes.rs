//! What changes for those whose jobs are routed, and who of them pays for it.

use super::cut;
use crate::{
    figures::Figure,
    report::PolicyReport,
    statistics::Estimate,
    verdicts::{Side, side},
};

/// What everybody asks for first.
const CHANGES: [(&str, Figure); 4] = [
    ("requests served", Figure::FillRate),
    ("GPU-hours served", Figure::GpuHoursFill),
    ("$ per GPU-hour", Figure::CostPerGpuHourUsd),
    ("latency", Figure::AvgLatencyMs),
];

/// Who may have to pay for what others gain, with what is bad for them.
const PAYERS: [(&str, Figure, Side); 5] = [
    ("jobs under 3 GPU-hours", Figure::FillUnder3h, Side::Below),
    ("jobs of 3-6 GPU-hours", Figure::FillFrom3hTo6h, Side::Below),
    ("jobs of 6+ GPU-hours", Figure::FillFrom6h, Side::Below),
    ("worst tenant's hours", Figure::WorstTenantGpuHoursFill, Side::Below),
    ("requests that wait", Figure::DeferredShare, Side::Above),
];

/// Whoever loses more than this share is marked.
const MUCH: f64 = 0.05;

/// Figures of the baseline and of another policy beside each other.
pub(super) fn text(baseline: &PolicyReport, policy: &PolicyReport) -> String {
    let line = |label: &str, figure: Figure| {
        let [before, after] =
            [baseline, policy].map(|of| of.metrics.get(figure).map(|e| value(figure, e.mean)));
        let difference = policy.versus_baseline.get(figure);
        let change = difference.map(|by| change(figure, &by, baseline.metrics.get(figure)));
        let doubt = difference.filter(|by| side(by) == Side::Undecided).map_or("", |_| " (not certain)");
        let [before, after, change] = [before, after, change].map(Option::unwrap_or_default);
        format!("    {label:<22}{before:>12}{after:>14}{change:>13}{doubt}")
    };
    let mut lines = vec![format!(
        "  {:<24}{:>12}{:>14}{:>13}",
        "what changes",
        "your rule",
        cut(&policy.name, 12),
        "change"
    )];
    lines.extend(CHANGES.iter().map(|(label, figure)| line(label, *figure)));
    lines.push("  who pays for it".into());
    let payers = PAYERS.iter().filter_map(|&(label, figure, bad)| {
        let loss = policy.versus_baseline.get(figure).filter(|by| side(by) == bad)?;
        let mark = if loss.mean.abs() > MUCH { "  !" } else { "" };
        Some(line(label, figure) + mark)
    });
    let payers: Vec<String> = payers.collect();
    if payers.is_empty() {
        lines.push("    nobody that these episodes show".into());
    }
    lines.extend(payers);
    lines.join("\n")
}

fn value(figure: Figure, value: f64) -> String {
    match figure {
        _ if figure.is_share() => format!("{:.1} %", 100.0 * value),
        Figure::AvgLatencyMs => format!("{value:.0} ms"),
        _ => format!("{value:.3}"),
    }
}

/// A share changes by points, another figure by a share of what it was.
fn change(figure: Figure, by: &Estimate, from: Option<Estimate>) -> String {
    if figure.is_share() {
        return format!("{:+.1} points", 100.0 * by.mean);
    }
    from.filter(|from| from.mean > 0.0)
        .map_or_else(String::new, |from| format!("{:+.1} %", 100.0 * by.mean / from.mean))
}
