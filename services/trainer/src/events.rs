//! Following a run: what happened since somebody looked last.
//!
//! A reader fetches; the run never sends. It holds the run's state for moments, at its own pace, so that a
//! reader who is slow, or stops, holds up nothing: who is too slow misses the windows that are not kept.

use std::{collections::VecDeque, sync::Arc};

use api::{
    psi_field::Intervention,
    trainer::{Run, RunEvent, RunProgress, WindowMetrics},
};

use crate::{
    run::{self, History},
    runs::{HistoryError, Runs},
};

/// The most windows that are copied at once.
const BATCH: usize = 256;

/// One reader's place in a run.
pub struct Follower {
    run: Arc<run::Run>,
    /// The window that comes next.
    next: u64,
    told: Option<RunProgress>,
    ended: bool,
}

impl Follower {
    /// From the window after `after` on; from the oldest that is kept when there is none.
    #[must_use]
    pub fn new(run: Arc<run::Run>, after: Option<u64>) -> Self {
        Self { run, next: after.map_or(0, |window| window.saturating_add(1)), told: None, ended: false }
    }

    /// What is new, in order; empty when nothing is. The last event of all is [`RunEvent::End`].
    ///
    /// Of a run that another trainer plays, windows come with its checkpoints.
    pub async fn read(&mut self, runs: &Runs) -> Vec<RunEvent> {
        if self.ended {
            return Vec::new();
        }
        // Before the windows: whatever the run did until it ended is then among them.
        let shown = self.run.to_wire();
        let figures = async {
            let windows = runs.windows(&self.run, self.next, BATCH).await?;
            Ok::<_, HistoryError>((windows, runs.with_history(&self.run, |h| self.interventions(h)).await?))
        };
        match figures.await {
            Ok((windows, interventions)) => self.tell(shown, windows, interventions),
            // Neither the end nor anything else may overtake what cannot be had now; it is asked for again.
            Err(HistoryError::Ledger(error)) => {
                tracing::warn!(run = %self.run.id, %error, "a follower waits for figures of the run");
                Vec::new()
            }
            Err(error) => {
                tracing::error!(run = %self.run.id, %error, "figures of the run are lost, and its followers miss them");
                self.tell(shown, Vec::new(), VecDeque::new())
            }
        }
    }

    /// The interventions from the next window on.
    fn interventions(&self, history: &History) -> VecDeque<Intervention> {
        let begin = history.interventions.partition_point(|i| i.issued_at_window < self.next);
        history.interventions.range(begin..).cloned().collect()
    }

    fn tell(
        &mut self,
        shown: Run,
        windows: Vec<WindowMetrics>,
        mut interventions: VecDeque<Intervention>,
    ) -> Vec<RunEvent> {
        let caught_up = windows.len() < BATCH;
        let mut events = Vec::new();
        for window in windows {
            while interventions.front().is_some_and(|first| first.issued_at_window <= window.window) {
                events.extend(interventions.pop_front().map(|first| RunEvent::Intervention(Box::new(first))));
            }
            self.next = window.window + 1;
            events.push(RunEvent::Window(window));
        }
        let progress = RunProgress { status: shown.status, progress: shown.progress.clone() };
        if self.told.as_ref().is_none_or(|told| differs(told, &progress)) {
            events.push(RunEvent::Progress(progress.clone()));
            self.told = Some(progress);
        }
        if shown.status.is_final() && caught_up {
            // Those whose windows are not kept any more.
            events.extend(interventions.into_iter().map(|last| RunEvent::Intervention(Box::new(last))));
            events.push(RunEvent::End(Box::new(shown)));
            self.ended = true;
        }
        events
    }
}

/// Whether there is anything to tell; the speed alone changes all the time.
fn differs(one: &RunProgress, other: &RunProgress) -> bool {
    let without_speed = |shown: &RunProgress| {
        let mut shown = shown.clone();
        shown.progress.decisions_per_second = None;
        shown
    };
    without_speed(one) != without_speed(other)
}

#[cfg(test)]
mod tests {
    use api::{
        Hash,
        psi_field::{InterventionKind, InterventionParameters},
        trainer::{NewRun, RunStatus},
    };
    use uuid::Uuid;

    use super::*;

    fn run() -> Arc<run::Run> {
        Arc::new(run::Run::new(Uuid::now_v7(), Hash([0; 32]), NewRun::default()))
    }

    fn play(run: &run::Run, windows: std::ops::Range<u64>) {
        for number in windows {
            let mut state = run.state();
            state.decisions += 1;
            state.history_mut().add_window(window(number));
            if number % 4 == 2 {
                state.history_mut().add_intervention(intervention(number));
            }
        }
    }

    fn window(number: u64) -> WindowMetrics {
        serde_json::from_value(serde_json::json!({
            "window": number, "episode": 0, "step": number, "requests": 1, "interventions": 0}))
        .unwrap()
    }

    fn intervention(window: u64) -> Intervention {
        Intervention {
            id: Uuid::from_u128(window.into()),
            kind: InterventionKind::Albedo,
            targets: vec![1],
            parameters: InterventionParameters::default(),
            reason: "why not".into(),
            evidence: serde_json::Map::new(),
            issued_at_window: window,
            expires_after_windows: 10,
            by_operator: false,
        }
    }

    /// What is new of a run whose figures are all in memory.
    fn read(follower: &mut Follower) -> Vec<RunEvent> {
        if follower.ended {
            return Vec::new();
        }
        let (shown, run) = (follower.run.to_wire(), follower.run.clone());
        let state = run.state();
        let Some(history) = &state.history else { return Vec::new() };
        let windows = history.windows.iter().filter(|window| window.window >= follower.next);
        let windows = windows.take(BATCH).cloned().collect();
        follower.tell(shown, windows, follower.interventions(history))
    }

    /// `3` is window 3, `i2` the intervention of window 2, `p` progress, `end` the end.
    fn told(follower: &mut Follower) -> String {
        let name = |event: &RunEvent| match event {
            RunEvent::Progress(_) => "p".to_owned(),
            RunEvent::Window(window) => window.window.to_string(),
            RunEvent::Intervention(intervention) => format!("i{}", intervention.issued_at_window),
            RunEvent::End(_) => "end".to_owned(),
        };
        read(follower).iter().map(name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_reader_is_told_everything_once_in_order_and_the_end_last() {
        let run = run();
        let mut follower = Follower::new(run.clone(), None);
        assert_eq!(told(&mut follower), "p");
        assert_eq!(told(&mut follower), "");
        play(&run, 0..4);
        assert_eq!(told(&mut follower), "0 1 i2 2 3 p");
        play(&run, 4..5);
        run.state().status = RunStatus::Completed;
        assert_eq!(told(&mut follower), "4 p end");
        assert_eq!(told(&mut follower), "");
    }

    #[test]
    fn a_reader_goes_on_after_the_window_that_it_had_last() {
        let run = run();
        play(&run, 0..8);
        assert_eq!(told(&mut Follower::new(run.clone(), Some(1))), "i2 2 3 4 5 i6 6 7 p");
        assert_eq!(told(&mut Follower::new(run.clone(), Some(7))), "p");
        assert_eq!(told(&mut Follower::new(run, Some(u64::MAX))), "p");
    }

    #[test]
    fn windows_that_come_again_after_a_restart_are_not_told_again() {
        let run = run();
        play(&run, 0..6);
        let mut follower = Follower::new(run.clone(), None);
        assert_eq!(told(&mut follower), "0 1 i2 2 3 4 5 p");
        run.state().history = None;
        play(&run, 4..8);
        assert_eq!(told(&mut follower), "i6 6 7 p");
    }

    #[test]
    fn a_slow_reader_gets_many_windows_in_parts_and_the_end_only_after_them() {
        let run = run();
        play(&run, 0..600);
        run.state().status = RunStatus::Completed;
        let mut follower = Follower::new(run, None);
        let (mut windows, mut reads) = (Vec::new(), 0);
        while !follower.ended {
            let events = read(&mut follower);
            windows.extend(events.into_iter().filter_map(|event| match event {
                RunEvent::Window(window) => Some(window.window),
                _ => None,
            }));
            reads += 1;
        }
        assert!(windows.into_iter().eq(0..600));
        assert_eq!(reads, 3);
    }

    #[test]
    fn interventions_whose_windows_are_gone_come_before_the_end() {
        let run = run();
        run.state().history_mut().add_intervention(intervention(2));
        run.state().status = RunStatus::Stopped;
        assert_eq!(told(&mut Follower::new(run, None)), "p i2 end");
    }
}
