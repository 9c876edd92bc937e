//! Following an evaluation, and its table.

use std::time::Duration;

use api::evaluator::{Evaluation, EvaluationResult, EvaluationStatus, NewEvaluation};
use client::{Evaluator, retry_while_transient};
use evaluation::{
    report::LimitReport,
    tables::{mean, summary},
};
use evaluator::conversion::from_wire;
use indicatif::{ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::output::table;

/// Starts an evaluation and waits for its result.
///
/// # Errors
/// The evaluator refuses it, or it fails.
pub(crate) async fn evaluate(evaluator: &Evaluator, request: &NewEvaluation) -> anyhow::Result<Evaluation> {
    let bar = ProgressBar::new(0).with_style(style());
    let never = CancellationToken::new();
    let key = Uuid::now_v7().to_string();
    let waiting = |wait: client::Wait<'_>| bar.set_message(format!("waiting: {}", wait.error));
    let started =
        retry_while_transient(&never, || evaluator.create_evaluation(request, Some(&key)), waiting).await?;
    bar.set_length(started.episodes_total);
    loop {
        let evaluation = retry_while_transient(&never, || evaluator.evaluation(started.id), waiting).await?;
        bar.set_message(at_work(&evaluation));
        bar.set_position(evaluation.episodes_done);
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

/// What the evaluation is doing.
fn at_work(evaluation: &Evaluation) -> String {
    let Evaluation { limit_steps_done: done, limit_steps_total: total, .. } = evaluation;
    if evaluation.episodes_done == evaluation.episodes_total && done < total {
        format!("limit of {done}/{total} steps")
    } else {
        "evaluating".into()
    }
}

/// The result for people: a table, and its findings in sentences.
pub(crate) fn tables(result: &EvaluationResult) -> String {
    let report = from_wire(result);
    let summary = summary(&report);
    let mut lines = vec![format!(
        "Environment {}, {} steps, {} held-out seeds from {}:\n{}",
        report.environment,
        report.steps,
        report.seeds.len(),
        report.seeds.first().copied().unwrap_or_default(),
        table(&summary.header, summary.filled("-"))
    )];
    if report.policies.iter().any(|policy| policy.reference) {
        lines.push("† is told what is hidden from the others: a reference, no rival.".into());
    }
    lines.extend(report.verdicts.iter().cloned());
    lines.extend(report.limit.as_ref().map(limit_line));
    lines.join("\n")
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
    ProgressStyle::with_template("{spinner} {bar:30} {pos}/{len} episodes {msg} {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}
