//! What whoever plays an episode has seen in it: how much is asked for, how often jobs fail, how long they take.

use crate::{episode::Choice, market::Candidate, metrics::Resolution};

/// The last step's weight in the mean of all steps.
const LAST_STEP: f64 = 0.3;

/// Attempts at a provider that count as successful, with the latency that is advertised, before anything is seen.
const ATTEMPTS_BEFORE: f64 = 10.0;

/// What was seen. Only what every policy is shown enters.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    /// Requests of the last step / expected.
    pub(super) demand_last_step: f64,
    /// The exponential mean of it.
    pub(super) demand_mean: f64,
    /// The requests that wait: position in the step and GPU-hours.
    waiting: Vec<(usize, f64)>,
    providers: Vec<Attempts>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Attempts {
    all: f64,
    failed: f64,
    /// Of those whose latency can be told: how many, and met / advertised latency in all.
    timed: f64,
    latency: f64,
}

impl Memory {
    pub(super) fn new(providers: usize) -> Self {
        let providers = vec![Attempts::default(); providers];
        Self { demand_last_step: 1.0, demand_mean: 1.0, waiting: Vec::new(), providers }
    }

    /// Failed jobs / attempted ones.
    pub(super) fn failures(&self, provider: usize) -> f64 {
        let seen = self.providers[provider];
        seen.failed / (seen.all + ATTEMPTS_BEFORE)
    }

    /// Latency met / advertised.
    pub(super) fn latency(&self, provider: usize) -> f64 {
        let seen = self.providers[provider];
        (seen.latency + ATTEMPTS_BEFORE) / (seen.timed + ATTEMPTS_BEFORE)
    }

    /// Requests that wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Their GPU-hours.
    pub(super) fn waiting_hours(&self) -> f64 {
        self.waiting.iter().map(|(_, hours)| hours).sum()
    }

    /// A request is set aside.
    pub(super) fn set_aside(&mut self, position: usize, hours: f64) {
        self.waiting.push((position, hours));
    }

    /// Those that wait come now, the longest first; the answer is their positions.
    pub(super) fn longest_first(&mut self) -> Vec<usize> {
        self.waiting.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        self.waiting.iter().map(|(position, _)| *position).collect()
    }

    /// One that waited comes: those before it, for which there is no provider any more, are gone.
    pub(super) fn come_again(&mut self, position: usize) {
        if let Some(turn) = self.waiting.iter().position(|(waiting, _)| *waiting == position) {
            self.waiting.drain(..=turn);
        }
    }

    /// Counts a step's requests; none of them waits any more.
    pub(super) fn end_step(&mut self, requests: usize, expected: f64) {
        self.waiting.clear();
        if expected > 0.0 {
            self.demand_last_step = requests as f64 / expected;
            self.demand_mean += LAST_STEP * (self.demand_last_step - self.demand_mean);
        }
    }

    /// Counts what came of a choice among these offers. A job's own time is known where it was the first try.
    pub(super) fn tell(
        &mut self,
        choice: Choice,
        offers: &[Candidate],
        is_first_try: bool,
        waited_ms: f64,
        resolution: Option<&Resolution>,
    ) {
        let Choice::Route(provider) = choice else { return };
        let seen = &mut self.providers[provider];
        seen.all += 1.0;
        let Some(routed) = resolution.and_then(Resolution::routed) else {
            seen.failed += 1.0;
            return;
        };
        let offer = offers.iter().find(|offer| offer.provider == provider);
        if let Some(offer) = offer.filter(|_| is_first_try) {
            seen.timed += 1.0;
            seen.latency += (routed.latency_ms - waited_ms) / (offer.latency_ms - waited_ms);
        }
    }
}
