//! Following a run until it has ended, and asking it to end.

use std::{collections::HashSet, time::Duration};

use anyhow::bail;
use api::{
    psi_field::Intervention,
    trainer::{MetricsQuery, Run, RunEvent, RunStatus, WindowMetrics},
};
use client::{Trainer, retry_while_transient};
use indicatif::ProgressStyle;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use uuid::Uuid;

use crate::{
    interrupts::Interrupts,
    output::{figure, note},
    progress::{self, calm_note},
};

/// How often the trainer is asked.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// Waits until the run has ended. The first interrupt, which may have come already, asks it to stop with a
/// checkpoint.
///
/// # Errors
/// The trainer does not know the run any more, or a second interrupt came.
pub(crate) async fn follow(
    trainer: &Trainer,
    started: Run,
    mut interrupted: bool,
    interrupts: &mut Interrupts,
) -> anyhow::Result<Run> {
    let steps = u64::from(started.config.steps_per_episode);
    let bar = progress::bar(steps * u64::from(started.progress.episodes_total), style());
    let told = tokio::spawn(tell_interventions(trainer.clone(), started.id, steps));
    let _told = AbortOnDropHandle::new(told);
    let mut run = started;
    if interrupted {
        stop(trainer, &run, interrupts).await?;
    }
    while !run.status.is_final() {
        tokio::select! {
            () = tokio::time::sleep(ASK_EVERY) => {}
            () = interrupts.next() => {
                if interrupted {
                    bar.abandon();
                    bail!(
                        "interrupted again: run {} was left as it is, and resumes from its last checkpoint when a \
                         stack is started on the same data",
                        run.id
                    );
                }
                interrupted = true;
                stop(trainer, &run, interrupts).await?;
            }
        }
        match trainer.run(run.id).await {
            Ok(now) => run = now,
            Err(error) if error.is_transient() => {
                bar.set_message("waiting for the trainer");
                continue;
            }
            Err(error) => return Err(error.into()),
        }
        let done = u64::from(run.progress.episodes_done) * steps + u64::from(run.progress.step);
        bar.set_position(done);
        let window = last_window(trainer, &run, done).await;
        bar.set_message(message(&run, window.as_ref(), interrupted));
    }
    bar.finish_and_clear();
    Ok(run)
}

/// Asks the run to stop with a checkpoint.
async fn stop(trainer: &Trainer, run: &Run, interrupts: &mut Interrupts) -> anyhow::Result<()> {
    let hint = "stopping at the end of this episode, with a checkpoint; interrupt again to give it up";
    note(hint);
    let never = CancellationToken::new();
    let cancelled = tokio::select! {
        cancelled = retry_while_transient(&never, || trainer.cancel_run(run.id), |_| {}) => cancelled,
        () = interrupts.next() => bail!("interrupted again while the trainer did not answer"),
    };
    match cancelled {
        Ok(_) => Ok(()),
        Err(error) if error.code() == Some("run_already_ended") => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Writes a line for each intervention, until the run has ended. What nobody can be told now is told by the report.
async fn tell_interventions(trainer: Trainer, run: Uuid, steps: u64) {
    let (mut told, mut last) = (HashSet::new(), None);
    loop {
        let Ok(mut events) = trainer.events(run, last).await else { return };
        // a stream that breaks is opened again after the last window
        while let Ok(Some(event)) = events.next().await {
            match event {
                RunEvent::Window(window) => last = Some(window.window),
                RunEvent::Intervention(applied) if told.insert(applied.id) => {
                    calm_note(&intervention_line(&applied, steps));
                }
                RunEvent::End(_) => return,
                _ => {}
            }
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// An intervention in a line.
fn intervention_line(applied: &Intervention, steps: u64) -> String {
    let window = applied.issued_at_window;
    let agents = match applied.targets.as_slice() {
        [agent] => format!("agent {agent}"),
        targets => format!("{} agents", targets.len()),
    };
    format!(
        "episode {}, step {}: {} of {agents}: {}",
        window / steps.max(1) + 1,
        window % steps.max(1),
        applied.kind.name(),
        applied.reason
    )
}

/// The newest window there is; it is only shown, so that not having it is no error.
async fn last_window(trainer: &Trainer, run: &Run, windows: u64) -> Option<WindowMetrics> {
    let query =
        MetricsQuery { from: Some(windows.checked_sub(1)?), limit: Some(1), ..MetricsQuery::default() };
    trainer.window_metrics(run.id, &query).await.ok()?.items.pop()
}

fn message(run: &Run, window: Option<&WindowMetrics>, interrupted: bool) -> String {
    let progress = &run.progress;
    let episode = (progress.episodes_done + 1).min(progress.episodes_total);
    let mut parts = vec![format!("episode {episode}/{}", progress.episodes_total)];
    if run.status == RunStatus::Queued {
        parts.push("waits for its turn".into());
    }
    if run.status == RunStatus::Paused {
        parts.push("paused".into());
    }
    if let Some(rate) = progress.decisions_per_second {
        parts.push(format!("{rate:.0} decisions/s"));
    }
    if let Some(window) = window {
        parts.push(format!("reward {}", figure(window.avg_reward, 2)));
        parts.push(format!("fill {}", figure(window.fill_rate, 3)));
        parts.push(format!("Ψ {}", figure(window.psi, 3)));
    }
    if let Some(service) = &progress.waiting_for {
        parts.push(format!("waiting for {service}"));
    }
    if interrupted {
        parts.push("stopping".into());
    }
    parts.join(" · ")
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {bar:14} {percent:>3}% · {eta} left · {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}
