//! Who earns most.

use super::{best_rule, cut, reward, short_name};
use crate::{figures::Figure, origin::Origin, report::Report, tables::mean};

/// So many are listed whoever they are; of the others only those whom somebody asks for.
const FIRST: usize = 5;

/// One row a policy, the best first; who is told what is hidden competes with nobody.
pub(super) fn text(report: &Report, baseline: usize, subjects: &[usize]) -> String {
    let competes = |i: &usize| report.policies[*i].origin != Origin::Reference;
    let mut ranked: Vec<usize> = (0..report.policies.len()).filter(competes).collect();
    ranked.sort_by(|a, b| reward(report, *b).total_cmp(&reward(report, *a)));
    let best_rule = best_rule(report);
    let is_wanted = |i: usize| i == baseline || Some(i) == best_rule || subjects.contains(&i);
    let mut lines = vec![format!(
        "  rank  {:<18}{:>9}{:>9}{:>9}{:>9}{:>6}",
        "policy", "reward", "vs yours", "served", "$/GPU-h", "ms"
    )];
    let mut last = 0;
    for (rank, i) in (1..).zip(ranked) {
        if rank > FIRST && !is_wanted(i) {
            continue;
        }
        if rank > last + 1 {
            lines.push("     …".into());
        }
        last = rank;
        let mark = if subjects.contains(&i) && report.policies[i].is_learned() {
            "  <- learned"
        } else if i == baseline {
            "  <- yours"
        } else {
            ""
        };
        lines.push(row(report, i, rank) + mark);
    }
    lines.join("\n")
}

fn row(report: &Report, i: usize, rank: usize) -> String {
    let policy = &report.policies[i];
    let of = |figure, decimals| mean(policy.metrics.get(figure), decimals).unwrap_or_else(|| "-".into());
    let served = policy.metrics.get(Figure::FillRate);
    let served = served.map_or_else(|| "-".into(), |share| format!("{:.1} %", 100.0 * share.mean));
    let versus = policy.versus_baseline.get(Figure::Reward);
    let versus = versus.map_or_else(|| "-".into(), |by| format!("{:+.2}", by.mean));
    format!(
        "  {rank:>4}  {:<18}{:>9}{versus:>9}{served:>9}{:>9}{:>6}",
        cut(&short_name(report, i), 18),
        of(Figure::Reward, 2),
        of(Figure::CostPerGpuHourUsd, 3),
        of(Figure::AvgLatencyMs, 0),
    )
}
