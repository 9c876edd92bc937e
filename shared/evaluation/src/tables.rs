//! What was found, as tables: of words and numbers, however they are then drawn.

use crate::{
    constrained::{ConstraintReport, Kept},
    figures::Figure,
    origin::Origin,
    report::{LimitReport, PolicyReport, Report},
    statistics::{Estimate, Interval},
};

/// A table whose first column says what a row is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// The columns' headings.
    pub header: Vec<String>,
    /// As many cells in each as there are headings; `None` where there is no data.
    pub rows: Vec<Vec<Option<String>>>,
}

impl Table {
    /// The rows with a sign of the caller's choice where there is no data.
    #[must_use]
    pub fn filled(&self, none: &str) -> Vec<Vec<String>> {
        let row = |row: &Vec<Option<String>>| {
            row.iter().map(|cell| cell.clone().unwrap_or_else(|| none.into())).collect()
        };
        self.rows.iter().map(row).collect()
    }

    /// The table in Markdown; a cell without data is empty.
    #[must_use]
    pub fn markdown(&self) -> String {
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            let cell = |text: &str| if text.is_empty() { " |".to_owned() } else { format!(" {text} |") };
            format!("|{}\n", cells.map(cell).collect::<String>())
        };
        let mut text = line(&mut self.header.iter().map(String::as_str));
        text.push_str(&format!("|{}\n", "---|".repeat(self.header.len())));
        for row in &self.rows {
            text.push_str(&line(&mut row.iter().map(|cell| cell.as_deref().unwrap_or_default())));
        }
        text
    }
}

/// One row a policy, with the figures that unmask one which games the reward: for a terminal, which may be too narrow for
/// all of them, so that the most important come first.
#[must_use]
pub fn summary(report: &Report) -> Table {
    let gap = gap_of(report);
    let mut header = vec!["policy", "reward", "Δ reward vs baseline [95 %]"];
    header.extend(gap.map(|(title, _)| title));
    let first_figure = header.len();
    header.extend(["fill", "$/GPU-h", "latency ms", "GPU-h fill", "worst tenant", "deferred", "cost index"]);
    let row = |policy: &PolicyReport| {
        let mark = match policy.origin {
            Origin::Learned(_) => " *",
            Origin::Command { .. } => " ‡",
            Origin::Reference => " †",
            Origin::Rule => "",
        };
        let mut cells = vec![
            Some(format!("{}{mark}", policy.title(&report.policies))),
            mean(policy.metrics.get(Figure::Reward), 3),
            policy.versus_baseline.get(Figure::Reward).map(|e| signed(e.interval(), " ")),
        ];
        cells.extend(gap.map(|(_, of)| of(policy).map(percent)));
        cells.extend(
            [
                (Figure::FillRate, 4),
                (Figure::CostPerGpuHourUsd, 4),
                (Figure::AvgLatencyMs, 1),
                (Figure::GpuHoursFill, 4),
                (Figure::WorstTenantGpuHoursFill, 4),
                (Figure::DeferredShare, 3),
                (Figure::CostIndex, 4),
            ]
            .map(|(figure, decimals)| mean(policy.metrics.get(figure), decimals)),
        );
        cells
    };
    let limit = |limit: &LimitReport| {
        let mut cells = vec![None; header.len()];
        cells[0] = Some("physical limit".to_owned());
        cells[1] = mean(limit.reward, 3);
        cells[first_figure] = mean(limit.fill_rate, 4);
        cells[first_figure + 2] = mean(limit.avg_latency_ms, 1);
        cells
    };
    let rows = report.policies.iter().map(row).chain(report.limit.iter().map(limit));
    Table { rows: rows.collect(), header: owned(&header) }
}

/// The means over the seeds, with the figures that unmask a policy which games the reward.
#[must_use]
pub fn means(report: &Report) -> Table {
    let header = [
        "policy",
        "reward per request",
        "fill",
        "GPU-hours fill",
        "$ per GPU-hour",
        "cost index",
        "fill below 3 GPU-hours",
        "fill 3 to below 6",
        "fill from 6 on",
        "worst tenant's GPU-hours fill",
        "deferred share",
        "latency, ms",
        "$ per routed request",
    ];
    let row = |policy: &PolicyReport| {
        let figures = [
            (Figure::Reward, 3),
            (Figure::FillRate, 4),
            (Figure::GpuHoursFill, 4),
            (Figure::CostPerGpuHourUsd, 4),
            (Figure::CostIndex, 4),
            (Figure::FillUnder3h, 4),
            (Figure::FillFrom3hTo6h, 4),
            (Figure::FillFrom6h, 4),
            (Figure::WorstTenantGpuHoursFill, 4),
            (Figure::DeferredShare, 4),
            (Figure::AvgLatencyMs, 1),
            (Figure::AvgCostUsd, 3),
        ];
        let cells = figures.map(|(figure, decimals)| mean(policy.metrics.get(figure), decimals));
        std::iter::once(Some(policy.title(&report.policies))).chain(cells).collect()
    };
    let limit = |limit: &LimitReport| {
        let label = if limit.steps_solved == limit.steps_total {
            "physical limit".to_owned()
        } else {
            format!("physical limit ({} of {} steps)", limit.steps_solved, limit.steps_total)
        };
        let mut cells = vec![None; header.len()];
        cells[0] = Some(label);
        cells[1] = mean(limit.reward, 3);
        cells[2] = mean(limit.fill_rate, 4);
        cells[11] = mean(limit.avg_latency_ms, 1);
        cells[12] = mean(limit.avg_cost_usd, 3);
        cells
    };
    let rows = report.policies.iter().map(row).chain(report.limit.iter().map(limit));
    Table { rows: rows.collect(), header: owned(&header) }
}

/// Reward and its differences, with intervals.
#[must_use]
pub fn differences(report: &Report) -> Table {
    let header = [
        "policy",
        "reward per request",
        "interquartile mean",
        "standard deviation of the seeds",
        "of the trainings",
        "minus the baseline's",
        "minus the best hand rule's",
        "minus the same never trained",
        "probability of improvement",
        "gap to the limit closed",
        "gap to the informed rule closed",
    ];
    let difference = |estimate: Option<Estimate>| estimate.map(|e| signed(e.interval(), "\u{a0}"));
    let share =
        |share: Option<Interval>| share.map(|s| format!("{:.3} [{:.3},\u{a0}{:.3}]", s.mean, s.low, s.high));
    let row = |policy: &PolicyReport| {
        let reward = policy.metrics.get(Figure::Reward);
        vec![
            Some(policy.title(&report.policies)),
            with_interval(reward, 3),
            reward.map(|e| format!("{:.3}", e.iqm)),
            reward.and_then(|e| e.std_dev).map(|s| format!("{s:.3}")),
            reward.and_then(|e| e.training_std_dev).map(|s| format!("{s:.3}")),
            difference(policy.versus_baseline.get(Figure::Reward)),
            difference(policy.versus_best_rule.get(Figure::Reward)),
            difference(policy.versus_untrained.as_ref().and_then(|versus| versus.get(Figure::Reward))),
            share(policy.probability_of_improvement),
            share(policy.gap_closed),
            share(policy.informed_gap_closed),
        ]
    };
    Table { rows: report.policies.iter().map(row).collect(), header: owned(&header) }
}

/// The gap that is told, where there is one: its title and a policy's share.
type GapColumn = (&'static str, fn(&PolicyReport) -> Option<Interval>);

fn gap_of(report: &Report) -> Option<GapColumn> {
    let to_limit: GapColumn = ("gap to limit closed [95 %]", |policy| policy.gap_closed);
    let to_informed: GapColumn = ("gap to informed closed [95 %]", |policy| policy.informed_gap_closed);
    let has = |(_, of): &GapColumn| report.policies.iter().any(|policy| of(policy).is_some());
    [to_limit, to_informed].into_iter().find(has)
}

/// A mean with so many decimals.
pub fn mean(estimate: Option<Estimate>, decimals: usize) -> Option<String> {
    estimate.map(|e| format!("{:.decimals$}", e.mean))
}

/// A mean with its interval, with so many decimals. No line break parts the interval.
pub fn with_interval(estimate: Option<Estimate>, decimals: usize) -> Option<String> {
    estimate.map(|e| format!("{:.decimals$} [{:.decimals$},\u{a0}{:.decimals$}]", e.mean, e.low, e.high))
}

/// A difference of rewards with its interval.
pub(crate) fn signed(interval: Interval, space: &str) -> String {
    let Interval { mean, low, high } = interval;
    format!("{mean:+.3} [{low:+.3},{space}{high:+.3}]")
}

pub(crate) fn percent(share: Interval) -> String {
    let [mean, low, high] = [share.mean, share.low, share.high].map(|value| 100.0 * value);
    format!("{mean:.1} % [{low:.1}, {high:.1}]")
}

fn owned(header: &[&str]) -> Vec<String> {
    header.iter().map(|title| (*title).to_owned()).collect()
}

/// One row a policy and constraint; `titles` are the policies'.
#[must_use]
pub fn constraints(reports: &[ConstraintReport], titles: &[String]) -> Table {
    let header = ["constraint", "policy", "met on", "missed by", "at worst", "price"].map(str::to_owned);
    let rows = reports.iter().flat_map(|report| {
        let row = move |title: &str, kept: &Kept| {
            vec![
                Some(report.title()),
                Some(title.to_owned()),
                Some(format!("{} of {}", kept.met_on, kept.episodes)),
                Some(percent_of_bound(kept.missed_by)),
                Some(percent_of_bound(kept.worst_missed_by)),
                kept.price.map(|price| format!("{price:.4}")),
            ]
        };
        let policies = titles.iter().zip(&report.policies).map(move |(title, kept)| row(title, kept));
        policies.chain(report.limit.iter().map(move |kept| row("physical limit", kept)))
    });
    Table { header: header.into(), rows: rows.collect() }
}

/// Misses are small: with two digits.
fn percent_of_bound(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_without_data_is_blank_in_markdown_and_a_sign_elsewhere() {
        let table =
            Table { header: owned(&["policy", "fill"]), rows: vec![vec![Some("limit".into()), None]] };
        assert_eq!(table.markdown(), "| policy | fill |\n|---|---|\n| limit | |\n");
        assert_eq!(table.filled("–"), [["limit", "–"]]);
    }
}
