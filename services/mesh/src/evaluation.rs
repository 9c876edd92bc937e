//! Following an evaluation, and its table.

use std::time::Duration;

use api::evaluator::{Estimate, Evaluation, EvaluationResult, EvaluationStatus, NewEvaluation, PolicyResult};
use client::{Evaluator, retry_while_transient};
use indicatif::{ProgressBar, ProgressStyle};
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
            bar.set_message("evaluating");
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

/// The result for people: a table, and what the figures say.
pub(crate) fn tables(result: &EvaluationResult) -> String {
    let header = [
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
    let table = table(&header, result.policies.iter().map(row));
    format!(
        "Environment {}, {} steps, {} held-out seeds from {}:\n{table}\n{}",
        result.environment,
        result.steps,
        result.seeds.len(),
        result.seeds.first().copied().unwrap_or_default(),
        result.verdicts.join("\n")
    )
}

fn row(policy: &PolicyResult) -> Vec<String> {
    let metrics = &policy.metrics;
    let mean = |estimate: Option<Estimate>, decimals| figure(estimate.map(|e| e.mean), decimals);
    let name = match policy.policy_sha256 {
        Some(sha256) => format!("{} ({}) *", policy.name, &sha256.to_string()[..8]),
        None => policy.name.clone(),
    };
    vec![
        name,
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
