//! What changes for those whose jobs are routed, and who of them pays for it.

use super::cut;
use crate::{
    figures::Figure,
    report::PolicyReport,
    statistics::Estimate,
    tables::Table,
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

/// One figure of the baseline and of another policy beside each other.
struct Line {
    label: &'static str,
    /// What it is with the baseline, with the other policy, and by how much it changes.
    figures: [String; 3],
    /// What is to be said of the change.
    remark: &'static str,
}

impl Line {
    fn of(baseline: &PolicyReport, policy: &PolicyReport, label: &'static str, figure: Figure) -> Self {
        let [before, after] =
            [baseline, policy].map(|of| of.metrics.get(figure).map(|e| value(figure, e.mean)));
        let difference = policy.versus_baseline.get(figure);
        let change = difference.map(|by| change(figure, &by, baseline.metrics.get(figure)));
        let is_undecided = difference.is_some_and(|by| side(&by) == Side::Undecided);
        let figures = [before, after, change].map(Option::unwrap_or_default);
        Self { label, figures, remark: if is_undecided { " (not certain)" } else { "" } }
    }

    fn text(&self) -> String {
        let Self { label, figures: [before, after, change], remark } = self;
        format!("    {label:<22}{before:>12}{after:>14}{change:>13}{remark}")
    }
}

/// What everybody asks for.
fn changes(baseline: &PolicyReport, policy: &PolicyReport) -> impl Iterator<Item = Line> {
    CHANGES.into_iter().map(|(label, figure)| Line::of(baseline, policy, label, figure))
}

/// Those who lose beyond doubt; who loses much is marked.
fn payers(baseline: &PolicyReport, policy: &PolicyReport) -> impl Iterator<Item = Line> {
    PAYERS.into_iter().filter_map(|(label, figure, bad)| {
        let loss = policy.versus_baseline.get(figure).filter(|by| side(by) == bad)?;
        let remark = if loss.mean.abs() > MUCH { "  !" } else { "" };
        Some(Line { remark, ..Line::of(baseline, policy, label, figure) })
    })
}

/// All of it as a table.
pub(super) fn table(baseline: &PolicyReport, policy: &PolicyReport) -> Table {
    let row = |prefix: &'static str| {
        move |Line { label, figures: [before, after, change], remark }: Line| {
            [format!("{prefix}{label}"), before, after, format!("{change}{remark}")].map(Some).into()
        }
    };
    let header = ["", "your rule", &policy.name, "change"].map(str::to_owned).into();
    let rows = changes(baseline, policy).map(row("")).chain(payers(baseline, policy).map(row("who pays: ")));
    Table { header, rows: rows.collect() }
}

/// Who pays, in a sentence; nothing where nobody does.
pub(super) fn sentence(baseline: &PolicyReport, policy: &PolicyReport) -> Option<String> {
    let payers = payers(baseline, policy);
    let payers = payers.map(|Line { label, figures: [_, _, change], .. }| format!("{label} ({change})"));
    let payers: Vec<String> = payers.collect();
    (!payers.is_empty()).then(|| format!("Who pays for it: {}.", payers.join(", ")))
}

/// All of it for a terminal.
pub(super) fn text(baseline: &PolicyReport, policy: &PolicyReport) -> String {
    let mut lines = vec![format!(
        "  {:<24}{:>12}{:>14}{:>13}",
        "what changes",
        "your rule",
        cut(&policy.name, 12),
        "change"
    )];
    lines.extend(changes(baseline, policy).map(|line| line.text()));
    lines.push("  who pays for it".into());
    let payers: Vec<String> = payers(baseline, policy).map(|line| line.text()).collect();
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
