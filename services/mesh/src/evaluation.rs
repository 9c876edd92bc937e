//! Following an evaluation, and its table.

use std::time::Duration;

use api::{
    Hash,
    evaluator::{
        Evaluation, EvaluationResult, EvaluationStatus, FIRST_FINAL_SEED, Fronts, LogRange, LoggedResult,
        NewEvaluation, Trainings,
    },
};
use client::{Evaluator, retry_while_transient};
use evaluation::{
    brief::brief,
    origin::{Origin, Provenance},
    report::{LimitReport, PolicyReport, Report},
    tables::{self, mean, summary},
};
use evaluator::{
    conversion::from_wire,
    fronts::{coverage_table, gaps_table},
    logged::{estimates_table, support_table},
};
use indicatif::ProgressStyle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{output::table, progress};

/// Flags that say which held-out seeds policies meet.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct HeldOutArgs {
    /// Held-out seeds to evaluate on
    #[arg(long, value_name = "N", default_value_t = NewEvaluation::default().seeds, value_parser = clap::value_parser!(u32).range(2..=1000))]
    pub(crate) seeds: u32,
    /// The first of them, from 2^32 on: choose others to see whether a finding stays
    #[arg(long, value_name = "N", default_value_t = NewEvaluation::default().first_seed, value_parser = first_seeds())]
    pub(crate) first_seed: u64,
    /// Open the final seeds, which are kept for the end, when nothing is chosen any more. The ledger records it, and the
    /// report says how often they had been opened
    #[arg(long = "final", conflicts_with = "first_seed")]
    pub(crate) is_final: bool,
}

fn first_seeds() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(api::FIRST_HELD_OUT_SEED..=FIRST_FINAL_SEED - 1000)
}

impl HeldOutArgs {
    /// An evaluation on these seeds.
    pub(crate) fn request(&self) -> NewEvaluation {
        let &Self { seeds, first_seed, is_final } = self;
        NewEvaluation { seeds, first_seed, is_final, ..NewEvaluation::default() }
    }

    /// The flags that say the same, as far as they are not the defaults.
    pub(crate) fn to_flags(&self) -> Vec<String> {
        let (default, mut flags) = (NewEvaluation::default(), Vec::new());
        if self.seeds != default.seeds {
            flags.extend(["--seeds".to_owned(), self.seeds.to_string()]);
        }
        if self.first_seed != default.first_seed {
            flags.extend(["--first-seed".to_owned(), self.first_seed.to_string()]);
        }
        flags.extend(self.is_final.then(|| "--final".to_owned()));
        flags
    }
}

/// A policy that was trained once or several times.
pub(crate) fn trainings_of(mut artifacts: Vec<Hash>) -> Trainings {
    match artifacts.len() {
        1 => Trainings::One(artifacts.remove(0)),
        _ => Trainings::Several(artifacts),
    }
}

/// Starts an evaluation and waits for its result.
///
/// # Errors
/// The evaluator refuses it, or it fails.
pub(crate) async fn evaluate(evaluator: &Evaluator, request: &NewEvaluation) -> anyhow::Result<Evaluation> {
    let bar = progress::bar(0, style());
    let never = CancellationToken::new();
    let key = Uuid::now_v7().to_string();
    let waiting = |wait: client::Wait<'_>| bar.set_message(format!("waiting: {}", wait.error));
    let started =
        retry_while_transient(&never, || evaluator.create_evaluation(request, Some(&key)), waiting).await?;
    bar.set_length(started.episodes_total);
    loop {
        let evaluation = retry_while_transient(&never, || evaluator.evaluation(started.id), waiting).await?;
        let (what, done, total) = at_work(&evaluation);
        bar.set_message(what);
        bar.set_length(total);
        bar.set_position(done);
        match evaluation.status {
            EvaluationStatus::Running => tokio::time::sleep(Duration::from_millis(200)).await,
            EvaluationStatus::Completed => {
                bar.finish_and_clear();
                return Ok(evaluation);
            }
            EvaluationStatus::Failed => {
                let why = evaluation.error.unwrap_or_else(|| "it did not say why".into());
                anyhow::bail!("evaluation {} failed: {why}", evaluation.id);
            }
        }
    }
}

/// What the evaluation is doing, how much of that is done, and of how much. Episodes come first, the limit's steps after
/// them; each has the bar for itself, because nobody knows what a step takes beside an episode.
fn at_work(evaluation: &Evaluation) -> (&'static str, u64, u64) {
    let &Evaluation { episodes_done, episodes_total, limit_steps_done, limit_steps_total, .. } = evaluation;
    if episodes_done == episodes_total && limit_steps_done < limit_steps_total {
        ("steps of the physical limit", limit_steps_done, limit_steps_total)
    } else {
        ("episodes of the evaluation", episodes_done, episodes_total)
    }
}

/// The result for people: what it comes to, or all of it.
pub(crate) fn told(result: &EvaluationResult, details: bool) -> String {
    if let Some(fronts) = &result.fronts {
        return front_tables(result, fronts);
    }
    if let Some(logged) = &result.logged {
        return logged_tables(result, logged);
    }
    let report = from_wire(result);
    if !details {
        return in_brief(&report);
    }
    let parts = [brief(&report), all_of(&report)].into_iter().filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("\n\n")
}

/// What it comes to, and what somebody asked for.
fn in_brief(report: &Report) -> String {
    let mut parts = vec![brief(report)];
    if parts[0].is_empty() {
        return all_of(report); // where the rule that all are compared with took no part
    }
    if report.policies.iter().any(PolicyReport::is_command) {
        parts.push("What a program of yours played is your word.".into());
    }
    parts.extend(constraints(report));
    parts.join("\n\n")
}

/// A table, and its findings in sentences.
fn all_of(report: &Report) -> String {
    let summary = summary(report);
    let mut lines = vec![format!(
        "Environment {}, {} steps, {} held-out seeds from {}:\n{}",
        report.environment,
        report.steps,
        report.seeds.len(),
        report.seeds.first().copied().unwrap_or_default(),
        table(&summary.header, summary.filled("-"))
    )];
    if report.policies.iter().any(|policy| policy.origin == Origin::Reference) {
        lines.push("† is told what is hidden from the others: a reference, no rival.".into());
    }
    if report.policies.iter().any(PolicyReport::is_command) {
        lines.push("‡ is a program of yours: what it played is your word.".into());
    }
    lines.extend(report.policies.iter().flat_map(|policy| trained(policy, &policy.title(&report.policies))));
    lines.extend(constraints(report));
    lines.extend(report.verdicts.iter().cloned());
    lines.extend(report.limit.as_ref().map(limit_line));
    lines.join("\n")
}

/// How what was constrained was kept.
fn constraints(report: &Report) -> Option<String> {
    let kept = (!report.constraints.is_empty())
        .then(|| tables::constraints(&report.constraints, &report.titles()))?;
    Some(table(&kept.header, kept.filled("-")))
}

/// One row a policy of what its front covers, then one row a preference.
fn front_tables(result: &EvaluationResult, fronts: &Fronts) -> String {
    let [covered, gaps] =
        [coverage_table(fronts), gaps_table(fronts)].map(|shown| table(&shown.header, shown.filled("-")));
    let mut lines = vec![format!(
        "Environment {}, {} steps, {} held-out seeds from {}. Hypervolume beside the limit's; expected utility in points a \
         request, the mean over the preferences:\n{covered}\nShare of the way from the baseline to the limit under the same \
         weights [95 %], and the limit in points a request:\n{gaps}",
        result.environment,
        result.steps,
        result.seeds.len(),
        result.seeds.first().copied().unwrap_or_default(),
    )];
    lines.extend(result.verdicts.iter().cloned());
    lines.join("\n")
}

/// One row a policy of what a log says of it, then what that rests on.
fn logged_tables(result: &EvaluationResult, logged: &LoggedResult) -> String {
    let [estimates, support] =
        [estimates_table(logged), support_table(logged)].map(|shown| table(&shown.header, shown.filled("-")));
    let LogRange { first_leaf, last_leaf, tree_size, root_hash } = logged.log;
    let mut lines = vec![format!(
        "Deployment {}, {} decisions with a choice. Points a decision [95 %]; gain is over what the\nlog earned in the same \
         decisions; * is the deployment's own policy:\n{estimates}\nOverlap of choices, effective size, largest weight, and the \
         other estimators:\n{support}",
        logged.deployment, logged.decisions
    )];
    lines.extend(result.verdicts.iter().cloned());
    lines.push(format!(
        "Leaves {first_leaf} to {last_leaf} of a log of {tree_size} with the root {root_hash}."
    ));
    lines.join("\n")
}

/// Who says how a learned policy was trained: a line, where it has a file.
fn trained(policy: &PolicyReport, title: &str) -> Option<String> {
    let learned = policy.origin.learned().filter(|learned| !learned.trainings.is_empty())?;
    let runs: Vec<String> = learned
        .trainings
        .iter()
        .map(|training| match training.provenance {
            Provenance::Recorded { run } => Hash(run).to_string()[..8].to_owned(),
            Provenance::Unverified => "unverified".into(),
        })
        .collect();
    let all_recorded = learned.unverified().next().is_none();
    let told =
        if all_recorded { "trained: recorded run" } else { "trained, by recorded run where one is known:" };
    Some(format!("* {title}: {told} {}.", runs.join(", ")))
}

fn limit_line(limit: &LimitReport) -> String {
    let figure = |estimate, decimals| mean(estimate, decimals).unwrap_or_else(|| "-".into());
    format!(
        "At the limit's fill a request costs ${} and takes {} ms at least. {}",
        figure(limit.avg_cost_usd, 3),
        figure(limit.avg_latency_ms, 1),
        limit.note
    )
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {bar:20} {pos}/{len} · {eta} left · {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}
