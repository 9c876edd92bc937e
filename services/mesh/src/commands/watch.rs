use std::{
    io::{self, IsTerminal as _},
    time::Duration,
};

use api::trainer::{Run, RunEvent, RunProgress, RunStatus, WindowMetrics};
use clap::Args;
use client::{ClientError, RunEvents, Trainer};
use indicatif::{ProgressBar, ProgressStyle};
use uuid::Uuid;

use super::interventions::targets;
use crate::{
    exit::Answer,
    interrupts::Interrupts,
    output::{figure, note, say, tell},
    progress,
    remote::{RemoteArgs, RunName, trainer_error},
    runtime,
};

/// Watch a run of a running stack until it ends
///
/// In a terminal, one line shows reward, fill, Ψ, C and PE of the last window, and interventions scroll by above it;
/// elsewhere every window and every intervention is a line of its own. Ctrl-C stops watching; the run continues. The
/// exit code is 1 when the run failed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mesh watch last
  mesh watch 01936c1e-5f6a-7c3e-9d55-0a9e1d0f6b21
  mesh watch last | grep intervention
  mesh watch last --trainer http://127.0.0.1:18001")]
pub(crate) struct Watch {
    /// The run's id or its first digits, or `last`
    #[arg(value_name = "RUN")]
    run: RunName,
    #[command(flatten)]
    remote: RemoteArgs,
}

/// How long to wait between two attempts to reach a trainer that has gone away.
const PAUSE: Duration = Duration::from_secs(1);

impl Watch {
    /// Watches it.
    pub(crate) fn run(self) -> anyhow::Result<Answer> {
        let trainer = self.remote.trainer()?;
        runtime::block_on("error", async {
            let mut interrupts = Interrupts::watch()?;
            let watched = async {
                let id = self.run.id(&trainer).await?;
                let run = trainer.run(id).await.map_err(|error| trainer_error(&trainer, error))?;
                watch(&trainer, run).await
            };
            tokio::select! {
                answer = watched => answer,
                () = interrupts.next() => {
                    note("stopped watching; the run continues");
                    Ok(Answer::Yes)
                }
            }
        })
    }
}

/// Shows the run's events until it ends. Resumes a broken stream where it stopped.
async fn watch(trainer: &Trainer, run: Run) -> anyhow::Result<Answer> {
    let mut view = View::new(&run);
    loop {
        match listen(trainer, run.id, &mut view).await {
            Ok(Some(ended)) => return view.end(&ended),
            Ok(None) => view.wait("the trainer has closed the connection; connecting again"),
            Err(Broken::Stream(error)) if error.is_transient() => view.wait("waiting for the trainer"),
            Err(Broken::Stream(error)) => return Err(trainer_error(trainer, error)),
            Err(Broken::View(error)) => return Err(error),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Why listening ended before the run did.
enum Broken {
    Stream(ClientError),
    View(anyhow::Error),
}

async fn listen(trainer: &Trainer, id: Uuid, view: &mut View) -> Result<Option<Run>, Broken> {
    let mut events: RunEvents = trainer.events(id, view.last).await.map_err(Broken::Stream)?;
    while let Some(event) = events.next().await.map_err(Broken::Stream)? {
        if let RunEvent::End(run) = event {
            return Ok(Some(*run));
        }
        view.show(event).map_err(Broken::View)?;
    }
    Ok(None)
}

/// What is seen of the run.
struct View {
    id: Uuid,
    steps: u32,
    /// Only in a terminal.
    bar: Option<ProgressBar>,
    /// The last window that was shown.
    last: Option<u64>,
    window: Option<WindowMetrics>,
    progress: Option<RunProgress>,
    waits: bool,
}

impl View {
    fn new(run: &Run) -> Self {
        let steps = run.config.steps_per_episode;
        let length = u64::from(steps) * u64::from(run.config.episodes);
        let bar = io::stdout().is_terminal().then(|| progress::bar(length, style()));
        Self { id: run.id, steps, bar, last: None, window: None, progress: None, waits: false }
    }

    fn show(&mut self, event: RunEvent) -> anyhow::Result<()> {
        self.waits = false;
        match event {
            RunEvent::Window(window) => {
                self.last = Some(window.window);
                if self.bar.is_none() {
                    tell(&window_line(&window))?;
                }
                self.window = Some(window);
            }
            RunEvent::Intervention(applied) => {
                let line = format!(
                    "intervention window={} kind={} targets={} reason={}",
                    applied.issued_at_window,
                    applied.kind.name(),
                    targets(&applied.targets).replace(' ', ","),
                    applied.reason
                );
                match &self.bar {
                    Some(bar) => bar.println(line),
                    None => tell(&line)?,
                }
            }
            RunEvent::Progress(progress) => {
                let before = self.progress.as_ref().map(|before| before.status);
                if self.bar.is_none() && before != Some(progress.status) {
                    tell(&format!("status {}", progress.status.name()))?;
                }
                self.progress = Some(progress);
            }
            RunEvent::End(_) => {}
        }
        self.draw("");
        Ok(())
    }

    fn draw(&self, waiting: &str) {
        let Some(bar) = &self.bar else { return };
        if let Some(RunProgress { progress, .. }) = &self.progress {
            let steps = u64::from(self.steps) * u64::from(progress.episodes_done);
            bar.set_position(steps + u64::from(progress.step));
        }
        let mut parts = Vec::new();
        if let Some(RunProgress { status, progress }) = &self.progress {
            let episode = (progress.episodes_done + 1).min(progress.episodes_total);
            parts.push(format!("{} · episode {episode}/{}", status.name(), progress.episodes_total));
            parts.extend(progress.waiting_for.as_ref().map(|service| format!("waiting for {service}")));
        }
        parts.extend(self.window.as_ref().map(figures));
        if !waiting.is_empty() {
            parts.push(waiting.to_owned());
        }
        bar.set_message(parts.join(" · "));
    }

    /// Told once for each time that it happens.
    fn wait(&mut self, why: &str) {
        self.draw(why);
        if !std::mem::replace(&mut self.waits, true) && self.bar.is_none() {
            note(why);
        }
    }

    fn end(&self, run: &Run) -> anyhow::Result<Answer> {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let mut line = format!(
            "run {} {}: {} of {} episodes, {} decisions",
            self.id,
            run.status.name(),
            run.progress.episodes_done,
            run.progress.episodes_total,
            run.progress.decisions
        );
        if let Some(root) = &run.run_root {
            line.push_str(&format!(", root {root}"));
        }
        if let Some(error) = &run.error {
            line.push_str(&format!(": {error}"));
        }
        say(&line)?;
        Ok(if run.status == RunStatus::Failed { Answer::No } else { Answer::Yes })
    }
}

/// A window as a line that other programs can read: the same words in the same order.
fn window_line(window: &WindowMetrics) -> String {
    format!(
        "window={} episode={} step={} reward={} fill={} psi={} c={} pe={} interventions={}",
        window.window,
        window.episode,
        window.step,
        figure(window.avg_reward, 4),
        figure(window.fill_rate, 4),
        figure(window.psi, 4),
        figure(window.continuity, 4),
        figure(window.prediction_error, 4),
        window.interventions
    )
}

fn figures(window: &WindowMetrics) -> String {
    format!(
        "reward {} · fill {} · Ψ {} · C {} · PE {}",
        figure(window.avg_reward, 2),
        figure(window.fill_rate, 3),
        figure(window.psi, 3),
        figure(window.continuity, 3),
        figure(window.prediction_error, 3)
    )
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {bar:14} {percent:>3}% {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_one_line_of_names_and_figures_and_what_is_not_known_is_a_dash() {
        let window = serde_json::from_value(serde_json::json!({
            "window": 7, "episode": 1, "step": 2, "requests": 9, "avg_reward": -0.5, "fill_rate": 0.75,
            "psi": 0.5, "interventions": 1}))
        .unwrap();
        assert_eq!(
            window_line(&window),
            "window=7 episode=1 step=2 reward=-0.5000 fill=0.7500 psi=0.5000 c=- pe=- interventions=1"
        );
        assert_eq!(figures(&window), "reward -0.50 · fill 0.750 · Ψ 0.500 · C - · PE -");
    }
}
