//! What a deployment sees of providers, window by window, and what it has heard of deployments of other nodes that see the same
//! ones.
//!
//! Windows are numbered by the clock here, so that all mean the same time by the same number.

use api::deployments::HeardOthers;
use federation::Window;
use policy::{Knowledge, PastStep, StepEvidence};
use records::deployments::Heard;
use serde::{Deserialize, Serialize};

/// The steps of a deployment that learns with others.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Steps {
    own: Window,
    heard: Window,
    /// How often something was taken in.
    taken_in: u64,
    others: Option<HeardOthers>,
}

/// The same, as a checkpoint has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StepsState {
    own: Knowledge,
    heard: Knowledge,
    taken_in: u64,
    others: Option<HeardOthers>,
}

impl Steps {
    pub(crate) fn state(&self) -> StepsState {
        let Self { own, heard, taken_in, others } = self;
        let (own, heard) = (own.knowledge(), heard.knowledge());
        StepsState { own, heard, taken_in: *taken_in, others: others.clone() }
    }

    /// Reads those of so many providers.
    ///
    /// # Errors
    /// They are of others.
    pub(crate) fn read(state: StepsState, providers: usize) -> Result<Self, String> {
        let StepsState { own, heard, taken_in, others } = state;
        let [own, heard] = [own, heard].map(|told| Window::read(&told, providers));
        Ok(Self { own: own?, heard: heard?, taken_in, others })
    }

    /// What it has seen itself.
    pub(crate) fn own(&self) -> &Window {
        &self.own
    }

    /// How often something of others was taken in.
    pub(crate) fn taken_in(&self) -> u64 {
        self.taken_in
    }

    /// Whose contributions were taken in last.
    pub(crate) fn others(&self) -> Option<&HeardOthers> {
        self.others.as_ref()
    }

    /// Keeps what was seen in a step that has ended; one in which nothing was tried tells nothing.
    pub(crate) fn see(&mut self, step: u64, evidence: StepEvidence) {
        let has_seen = evidence.failures.iter().chain(&evidence.latencies).any(|(count, _)| *count > 0.0);
        if has_seen && let Err(error) = self.own.push(step, evidence) {
            tracing::warn!(step, error, "what was seen in a window is not told to others");
        }
    }

    /// Takes in what others have seen, in the place of all that was taken in before.
    pub(crate) fn take_in(&mut self, record: &Heard, heard: Window) {
        self.heard = heard;
        self.taken_in += 1;
        let (authors, left_out) = (record.heads.clone(), record.left_out.clone());
        self.others = Some(HeardOthers { window: record.window, authors, left_out });
    }

    /// What was heard, as old as it is when this step has just ended; `None` where nothing ever was.
    pub(crate) fn past(&self, last: u64) -> Option<Vec<PastStep>> {
        (self.taken_in > 0).then(|| self.heard.past_steps(last))
    }

    /// All of it, as JSON.
    pub(crate) fn shown(&self) -> serde_json::Value {
        serde_json::json!({
            "own": self.own.knowledge().learned,
            "heard": self.heard.knowledge().learned,
            "taken_in": self.taken_in,
        })
    }
}
