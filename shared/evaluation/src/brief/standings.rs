//! How a policy stands: against the baseline, the best hand rule, all that is possible, and itself before its training.

use super::{best_rule, changes, reward, short_name};
use crate::{
    figures::{Estimates, Figure},
    report::{Comparison, Report, Versus},
    statistics::Estimate,
    verdicts::{Side, side},
};

/// One line of how a policy stands.
struct Standing {
    /// Against what.
    label: String,
    /// The answer in a word.
    word: String,
    /// By how much, where that is a figure of its own.
    by: String,
    /// How certain it is.
    detail: String,
}

/// How this policy stands; under its name where several do.
pub(super) fn text(report: &Report, subject: usize, is_named: bool) -> String {
    let standings = standings(report, subject);
    let label = standings.iter().map(|standing| standing.label.chars().count()).max().unwrap_or_default();
    let mut lines: Vec<String> =
        is_named.then(|| format!("  {}", short_name(report, subject))).into_iter().collect();
    for Standing { label: against, word, by, detail } in &standings {
        let line = format!("  {against:label$}  {word:<6}  {by}");
        lines.push(line.trim_end().to_owned());
        lines.push(format!("        ({detail})"));
    }
    lines.join("\n")
}

/// Who wins in one sentence, and in another who pays for it, for the top of a page.
#[must_use]
pub fn headline(report: &Report) -> Option<String> {
    let subject = *super::subjects(report).first()?;
    let baseline = super::baseline(report)?;
    let policy = &report.policies[subject];
    let name = short_name(report, subject);
    let than = |role: &str, other: usize, versus: Versus, differences: &Estimates| {
        let difference = differences.get(Figure::Reward)?;
        let by = gain(&difference, reward(report, other));
        let other = short_name(report, other);
        let holds = comparison(report, subject, versus).is_some_and(|made| made.holds);
        Some(match Place::of(&difference, holds) {
            Place::Better => format!("is better than {role}, {other} (reward {by})"),
            Place::Worse => format!("is worse than {role}, {other} (reward {by})"),
            Place::Ahead => format!("is ahead of {role}, {other} (reward {by}, which may be chance)"),
            Place::Behind => format!("is behind {role}, {other} (reward {by}, which may be chance)"),
            Place::Even => format!("shows no difference to {role}, {other}"),
        })
    };
    let best = best_rule(report).filter(|best| *best != subject && *best != baseline);
    let said: Vec<String> =
        than("your rule", baseline, Versus::Baseline, &policy.versus_baseline)
            .filter(|_| subject != baseline)
            .into_iter()
            .chain(best.and_then(|best| {
                than("the best hand rule", best, Versus::BestRule, &policy.versus_best_rule)
            }))
            .collect();
    let gap = policy.gap_closed.filter(|_| subject != baseline).map(|share| {
        format!("; it goes {:.0} % of the way from your rule to the physical limit", 100.0 * share.mean)
    });
    let payers = changes::sentence(&report.policies[baseline], policy);
    let payers = payers.map_or_else(String::new, |payers| format!(" {payers}"));
    (!said.is_empty()).then(|| format!("{name} {}{}.{payers}", said.join(" and "), gap.unwrap_or_default()))
}

fn standings(report: &Report, subject: usize) -> Vec<Standing> {
    let policy = &report.policies[subject];
    let mut standings = Vec::new();
    let of = |versus| comparison(report, subject, versus);
    let against = |label: &str, made: &Comparison, differences: &Estimates| {
        let difference = differences.get(Figure::Reward)?;
        Some(Standing {
            label: format!("{label}, {}", short_name(report, made.other)),
            word: Place::of(&difference, made.holds).word().into(),
            by: format!("reward {}", gain(&difference, reward(report, made.other))),
            detail: certainty(&difference, made.holds),
        })
    };
    standings.extend(
        of(Versus::Baseline).and_then(|made| against("against your rule", made, &policy.versus_baseline)),
    );
    standings.extend(
        of(Versus::BestRule)
            .and_then(|made| against("against the best rule", made, &policy.versus_best_rule)),
    );
    standings.extend(policy.gap_closed.filter(|_| !standings.is_empty()).map(|share| {
        let [mean, low, high] = [share.mean, share.low, share.high].map(|value| 100.0 * value);
        Standing {
            label: "of all that is possible".into(),
            word: format!("{mean:.0} %"),
            by: String::new(),
            detail: format!("the way from your rule to the physical limit, 95 % {low:.1} to {high:.1}"),
        }
    }));
    if let (Some(made), Some(differences)) = (of(Versus::Untrained), &policy.versus_untrained)
        && let Some(difference) = differences.get(Figure::Reward)
    {
        standings.push(Standing {
            label: "training".into(),
            word: match Place::of(&difference, made.holds) {
                Place::Better => "ADDS",
                Place::Worse => "HARMS",
                place => place.word(),
            }
            .into(),
            by: format!("reward {}", gain(&difference, reward(report, made.other))),
            detail: format!("{}, over the same untrained", certainty(&difference, made.holds)),
        });
    }
    standings
}

/// How one stands to another.
#[derive(Clone, Copy)]
enum Place {
    Better,
    /// Better on these seeds, which may be chance.
    Ahead,
    Even,
    /// Worse on these seeds, which may be chance.
    Behind,
    Worse,
}

impl Place {
    /// Who is called better is so beyond doubt: `holds` says that it is not one of many comparisons that came out so.
    fn of(difference: &Estimate, holds: bool) -> Self {
        match side(difference) {
            Side::Above if holds => Self::Better,
            Side::Below if holds => Self::Worse,
            Side::Above => Self::Ahead,
            Side::Below => Self::Behind,
            Side::Undecided => Self::Even,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Better => "BETTER",
            Self::Ahead => "AHEAD",
            Self::Even => "EVEN",
            Self::Behind => "BEHIND",
            Self::Worse => "WORSE",
        }
    }
}

/// What a policy was compared with.
fn comparison(report: &Report, subject: usize, versus: Versus) -> Option<&Comparison> {
    report.comparisons.iter().find(|made| made.policy == subject && made.versus == versus)
}

/// A difference of rewards as a share of what the other earns; as it is, where that is no gain.
fn gain(difference: &Estimate, other: f64) -> String {
    if other <= 0.0 {
        return signed(difference.mean);
    }
    let percent = 100.0 * difference.mean / other;
    // a difference that is certain and written as 0.0 would be a riddle
    let decimals = if percent.abs() < 0.095 { 2 } else { 1 };
    format!("{percent:+.decimals$} %")
}

fn certainty(difference: &Estimate, holds: bool) -> String {
    let &Estimate { mean, low, high, .. } = difference;
    let sure = match side(difference) {
        Side::Undecided => "not certain",
        _ if holds => "certain",
        // so many comparisons are made that one of them may come out so
        _ => "may be chance",
    };
    format!("{sure}: {}, 95 % {} to {}", signed(mean), signed(low), signed(high))
}

/// A difference of rewards, with the digits that say something.
fn signed(difference: f64) -> String {
    if difference.abs() < 0.1 { format!("{difference:+.3}") } else { format!("{difference:+.2}") }
}
