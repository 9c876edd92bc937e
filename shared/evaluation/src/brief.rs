//! What an evaluation found, in the ten seconds that a person gives it: who wins and how certain that is, what changes,
//! who pays for it, and a short ranking. Nothing is wider than [`WIDTH`]; all else is in [tables](crate::tables) and
//! [verdicts](crate::verdicts).

mod changes;
mod ranking;
mod standings;

use policy::Rule;

use crate::{
    figures::Figure,
    origin::Origin,
    report::{PolicyReport, Report},
    tables::Table,
    verdicts::{is_on_the_way, on_final_seeds, on_training},
};

pub use standings::headline;

/// The widest line, in columns: that of the terminal that everybody has.
pub const WIDTH: usize = 80;

/// What was found, for people.
#[must_use]
pub fn brief(report: &Report) -> String {
    let Some(baseline) = baseline(report) else { return String::new() };
    let subjects = subjects(report);
    let mut parts = vec![title(report, &subjects)];
    parts.extend(subjects.iter().map(|subject| standings::text(report, *subject, subjects.len() > 1)));
    parts.extend(compared(report).map(|(baseline, best)| changes::text(baseline, best)));
    parts.push(ranking::text(report, baseline, &subjects));
    let mut notes: Vec<String> = Vec::new();
    for subject in &subjects {
        let policy = &report.policies[*subject];
        notes.extend(on_training(&policy.title(&report.policies), &policy.origin));
    }
    notes.extend(report.final_opening.map(on_final_seeds));
    parts.extend(notes.iter().map(|note| wrapped(note)));
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n")
}

/// What changes with the best of those who are judged, and who pays for it, beside the baseline.
#[must_use]
pub fn what_changes(report: &Report) -> Option<Table> {
    compared(report).map(|(baseline, best)| changes::table(baseline, best))
}

/// The baseline, and the best of those who are judged.
fn compared(report: &Report) -> Option<(&PolicyReport, &PolicyReport)> {
    let baseline = baseline(report)?;
    let subjects = subjects(report).into_iter();
    let best = subjects.max_by(|a, b| reward(report, *a).total_cmp(&reward(report, *b)));
    let best = best.filter(|best| *best != baseline)?;
    Some((&report.policies[baseline], &report.policies[best]))
}

/// Whose rule the others are compared with: "your rule".
fn baseline(report: &Report) -> Option<usize> {
    report.policies.iter().position(|p| p.origin == Origin::Rule && p.name == Rule::BASELINE.name())
}

/// Who is judged: what was learned, at the end of its training, and programs; else the best hand rule.
fn subjects(report: &Report) -> Vec<usize> {
    let policies = &report.policies;
    let is_judged = |policy: &PolicyReport| {
        policy.is_command() || policy.is_trained() && !is_on_the_way(policy, policies)
    };
    let judged: Vec<usize> = (0..policies.len()).filter(|i| is_judged(&policies[*i])).collect();
    if judged.is_empty() { best_rule(report).into_iter().collect() } else { judged }
}

fn best_rule(report: &Report) -> Option<usize> {
    report.policies.iter().position(|p| p.origin == Origin::Rule && p.name == report.best_rule)
}

fn reward(report: &Report, policy: usize) -> f64 {
    report.policies[policy].metrics.get(Figure::Reward).map_or(f64::NEG_INFINITY, |reward| reward.mean)
}

fn title(report: &Report, subjects: &[usize]) -> String {
    let names: Vec<String> = subjects.iter().map(|i| short_name(report, *i)).collect();
    let learned = subjects.iter().filter_map(|i| report.policies[*i].origin.learned());
    let trainings = learned.map(|learned| learned.trainings.len()).max().unwrap_or(1);
    let trained = if trainings > 1 { format!(", {trainings} trainings") } else { String::new() };
    let (who, seeds) = (names.join(", "), report.seeds.len());
    wrapped(&format!("{who} on {}: {seeds} held-out episodes{trained}", report.environment))
}

/// What tells a policy from the others in as few letters as do.
fn short_name(report: &Report, policy: usize) -> String {
    let own = &report.policies[policy];
    let is_alone = |like: &dyn Fn(&PolicyReport) -> bool| {
        report.policies.iter().filter(|other| like(other)).count() == 1
    };
    let is_untrained = |policy: &PolicyReport| policy.is_learned() && !policy.is_trained();
    if is_untrained(own) {
        if is_alone(&is_untrained) {
            return "never trained".into();
        }
    } else if is_alone(&|other| other.name == own.name && !is_untrained(other)) {
        return own.name.clone();
    }
    own.title(&report.policies)
}

/// A text cut at the end where it has more than so many letters.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// A sentence in lines of the width.
fn wrapped(sentence: &str) -> String {
    let mut lines = vec![String::new()];
    for word in sentence.split(' ') {
        let fits =
            |line: &String| line.is_empty() || line.chars().count() + 1 + word.chars().count() <= WIDTH;
        match lines.last_mut().filter(|line| fits(line)) {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) => line.extend([" ", word]),
            None => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests;
