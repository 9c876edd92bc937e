//! Following an evaluation, and its table.

use std::time::Duration;

use api::evaluator::{
    Estimate, Evaluation, EvaluationResult, EvaluationStatus, LimitResult, NewEvaluation, PolicyResult, Share,
};
use client::{Evaluator, retry_while_transient};
use indicatif::{ProgressBar, ProgressStyle};
use plots::policy_title;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::output::{figure, table};

/// Has an evaluation done and waits for its result.
///
/// # Errors
/// The evaluator refuses it, or it fails.
pub(crate) async fn evaluate(evaluator: &Evaluator, request: &NewEvaluation) -> anyhow::Result<Evaluation> {
    let bar = ProgressBar::new(0).with_style(style());
    let never = CancellationToken::new();
    'started: loop {
        let key = Uuid::now_v7().to_string();
        let waiting = |wait: client::Wait<'_>| bar.set_message(format!("waiting: {}", wait.error));
        let started =
            retry_while_transient(&never, || evaluator.create_evaluation(request, Some(&key)), waiting)
                .await?;
        bar.set_length(started.episodes_total);
        loop {
            let asked = retry_while_transient(&never, || evaluator.evaluation(started.id), waiting).await;
            let evaluation = match asked {
                Ok(evaluation) => evaluation,
                // an evaluator that was restarted meanwhile has forgotten what it had not recorded
                Err(error) if error.is_not_found() => continue 'started,
                Err(error) => return Err(error.into()),
            };
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
}

/// What the evaluation is at.
fn at_work(evaluation: &Evaluation) -> String {
    let Evaluation { limit_steps_done: done, limit_steps_total: total, .. } = evaluation;
    if evaluation.episodes_done == evaluation.episodes_total && done < total {
        format!("limit of {done}/{total} steps")
    } else {
        "evaluating".into()
    }
}

/// The result for people: a table, and what the figures say.
pub(crate) fn tables(result: &EvaluationResult) -> String {
    let gap = gap_of(result);
    let mut header = vec![
        "policy",
        "fill",
        "GPU-h fill",
        "$/GPU-h",
        "cost index",
        "latency ms",
        "deferred",
        "worst tenant",
        "reward",
        "Δ reward vs baseline [95 %]",
    ];
    header.extend(gap.map(|(title, _)| title));
    let rows = result.policies.iter().map(|policy| {
        let mut row = row(policy, &result.policies);
        row.extend(gap.map(|(_, of)| share(of(policy))));
        row
    });
    let limit = result.limit.as_ref().map(limit_row);
    let mut lines = vec![format!(
        "Environment {}, {} steps, {} held-out seeds from {}:\n{}",
        result.environment,
        result.steps,
        result.seeds.len(),
        result.seeds.first().copied().unwrap_or_default(),
        table(&header, rows.chain(limit))
    )];
    if result.policies.iter().any(|policy| policy.reference) {
        lines.push("† is told what is hidden from the others: a reference, no rival.".into());
    }
    lines.extend(result.verdicts.iter().cloned());
    lines.extend(result.limit.as_ref().map(limit_line));
    lines.join("\n")
}

/// The gap that is told, where there is one: its title and a policy's share.
type GapColumn = (&'static str, fn(&PolicyResult) -> Option<Share>);

fn gap_of(result: &EvaluationResult) -> Option<GapColumn> {
    let to_limit: GapColumn = ("gap to limit closed [95 %]", |policy| policy.gap_closed);
    let to_informed: GapColumn = ("gap to informed closed [95 %]", |policy| policy.informed_gap_closed);
    let has = |(_, of): &GapColumn| result.policies.iter().any(|policy| of(policy).is_some());
    [to_limit, to_informed].into_iter().find(has)
}

/// The limit among the policies, with what it has in common with them.
fn limit_row(limit: &LimitResult) -> Vec<String> {
    let none = figure(None, 0);
    let mut row = vec![none; 10];
    row[0] = "physical limit".into();
    row[1] = mean(limit.fill_rate, 4);
    row[5] = mean(limit.avg_latency_ms, 1);
    row[8] = mean(limit.reward, 3);
    row
}

fn limit_line(limit: &LimitResult) -> String {
    format!(
        "At the limit's fill a request costs ${} and takes {} ms at least. {}",
        mean(limit.avg_cost_usd, 3),
        mean(limit.avg_latency_ms, 1),
        limit.note
    )
}

fn mean(estimate: Option<Estimate>, decimals: usize) -> String {
    figure(estimate.map(|e| e.mean), decimals)
}

fn share(share: Option<Share>) -> String {
    share.map_or_else(
        || figure(None, 0),
        |s| {
            let [mean, low, high] = [s.mean, s.ci_low, s.ci_high].map(|value| 100.0 * value);
            format!("{mean:.1} % [{low:.1}, {high:.1}]")
        },
    )
}

fn row(policy: &PolicyResult, policies: &[PolicyResult]) -> Vec<String> {
    let metrics = &policy.metrics;
    let mark = match (policy.learned, policy.reference) {
        (true, _) => " *",
        (false, true) => " †",
        (false, false) => "",
    };
    vec![
        format!("{}{mark}", policy_title(policy, policies)),
        mean(metrics.fill_rate, 4),
        mean(metrics.gpu_hours_fill, 4),
        mean(metrics.cost_per_gpu_hour_usd, 4),
        mean(metrics.cost_index, 4),
        mean(metrics.avg_latency_ms, 1),
        mean(metrics.deferred_share, 3),
        mean(metrics.worst_tenant_gpu_hours_fill, 4),
        mean(metrics.reward, 3),
        policy
            .versus_baseline
            .reward
            .map_or_else(|| "-".into(), |e| format!("{:+.3} [{:+.3}, {:+.3}]", e.mean, e.ci_low, e.ci_high)),
    ]
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {bar:30} {pos}/{len} episodes {msg} {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}
