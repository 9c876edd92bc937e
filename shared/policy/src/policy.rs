//! The interface: what every learner and every hand rule is to the team that it plays in.

use routing_env::{Candidate, Choice, Environment, Observation, Preferences, Request, StepOutcome, Truth};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    error::SwarmError,
    fault::Fault,
    knowledge::Learned,
    learning::Learning,
    settings::Settings,
    step_evidence::{PastStep, StepEvidence},
    told::Told,
};

/// A policy's answer to an observation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// What to do.
    pub choice: Choice,
    /// True when exploration chose it.
    pub explored: bool,
    /// The probability with which the policy takes this choice here, for off-policy evaluation.
    pub propensity: f64,
    /// The estimated value of the choice, where the policy has one.
    pub value: Option<f64>,
}

impl Decision {
    /// A choice that the policy always makes here.
    #[must_use]
    pub fn certain(choice: Choice) -> Self {
        Self { choice, explored: false, propensity: 1.0, value: None }
    }
}

/// One agent: it decides requests, and may learn from what the team earned.
///
/// Order of calls: `begin_episode`, then for each step `lead_step` if it leads it, `decide` for each of its turns, and
/// `observe_step` and `end_step` once, then `end_episode`.
pub(crate) trait Agent: Clone + Send + 'static {
    /// What the agents of a team tell each other within an episode.
    type Shared: Shared;
    /// What it has learned: all that acting needs.
    type Knowledge: Learned + Clone;
    /// What going on needs beside its knowledge.
    type Progress: Serialize + DeserializeOwned;

    /// In which order requests that wait are decided.
    const ORDER: Order;

    /// Starts an episode; all randomness of the episode comes from its seed.
    fn begin_episode(&mut self, _seed: u64, _agent: u32) {}

    /// What it draws from here on, a learner draws as in an episode of this seed.
    fn reseed(&mut self, _seed: u64, _agent: u32) {}

    /// Begins a step that this agent leads: what it tells the others, they may follow.
    fn lead_step(&mut self, _shared: &mut Self::Shared) {}

    /// The agent as one that is told what is hidden from others; no learner is, and of the hand rules only those that are
    /// references.
    fn informed(&mut self) -> Option<&mut dyn Informed> {
        None
    }

    /// Decides one request.
    fn decide(&mut self, observation: &Observation<'_>, shared: &mut Self::Shared) -> Decision;

    /// What it thinks of a candidate of the request that it decided last, on a scale of its own on which higher is better;
    /// `None` where it has no figure for it. It changes nothing that is decided.
    fn score(&mut self, _observation: &Observation<'_>, _candidate: &Candidate) -> Option<f64> {
        None
    }

    /// Shows what a step came to, whoever decided it, before [`Agent::end_step`].
    fn observe_step(&mut self, _outcome: &StepOutcome<'_>, _shared: &mut Self::Shared) {}

    /// Shows a window of a stream likewise, of which it is not known yet what came of its jobs, and what was `told` in it of
    /// jobs, of whichever window.
    fn observe_window(&mut self, outcome: &StepOutcome<'_>, _told: &[Told], shared: &mut Self::Shared) {
        self.observe_step(outcome, shared);
    }

    /// All that it has seen of the episode and decides by, as a text that is the same exactly where that is the same.
    fn moment(&self) -> String {
        String::new()
    }

    /// What it has seen of the episode and decides by, to go on from at the beginning of a step, where it neither learns nor
    /// explores; `None` where that cannot be written down.
    fn seen(&self) -> Option<Value> {
        Some(Value::Null)
    }

    /// Takes that up again, after the episode has begun.
    ///
    /// # Errors
    /// Says what does not fit.
    fn go_on(&mut self, _seen: Value) -> Result<(), String> {
        Ok(())
    }

    /// Ends a step. `rewards` are the team's, one for each of this agent's turns of the step in order.
    fn end_step(&mut self, _rewards: &[f64], _shared: &Self::Shared) {}

    /// What the step that has just ended showed of providers; `None` where it keeps no such figures, or tells them in another
    /// way.
    fn step_evidence(&self, _shared: &Self::Shared) -> Option<StepEvidence> {
        None
    }

    /// Acts in this episode also on what others have seen in its steps, in the place of all that it heard of them before;
    /// whether it learns makes no difference. `false` where it does not heed it. Nothing of it becomes its own: neither what
    /// it has learned nor [`Agent::step_evidence`] has any of it.
    ///
    /// # Errors
    /// Says what does not fit. Nothing has changed then.
    fn heed_steps(&mut self, _others: &[PastStep]) -> Result<bool, String> {
        Ok(false)
    }

    /// Ends an episode.
    fn end_episode(&mut self) {}

    /// How it explores and whether it still learns; hand rules have none.
    fn learning(&self) -> Option<&Learning>;

    /// The same, to be changed.
    fn learning_mut(&mut self) -> Option<&mut Learning>;

    /// Figures that it has learned: for a table, its states.
    fn size(&self) -> u64;

    /// Forgets what it has learned, but for this share (0 to 1) of how sure it is: what it knows stays its belief for as
    /// long as nothing else is seen, and counts as if only that share of it had been seen. With 0 it starts afresh.
    fn forget(&mut self, kept: f64);

    /// What it has learned.
    fn knowledge(&self) -> Self::Knowledge;

    /// Takes knowledge in the place of its own. What it keeps of how it came to its own (past turns to replay, members to
    /// try) goes with it.
    ///
    /// # Errors
    /// Says what does not fit.
    fn absorb(&mut self, knowledge: Self::Knowledge) -> Result<(), String>;

    /// Acts from the next episode on also on what others have learned (`None`: no more), in the place of what it heeded
    /// before. Its own knowledge stays its own, so that nothing is counted twice, and the others' can be taken back. What it
    /// heeds goes with its knowledge: where that is replaced or forgotten, it has to be told again.
    ///
    /// # Errors
    /// Says what does not fit.
    fn heed(&mut self, others: Option<Self::Knowledge>) -> Result<(), String>;

    /// What going on needs beside its knowledge. Only between episodes.
    fn progress(&self) -> Self::Progress;

    /// Goes on from there, after it has absorbed the knowledge that belongs to it.
    ///
    /// # Errors
    /// Says what does not fit.
    fn resume(&mut self, progress: Self::Progress) -> Result<(), String>;

    /// Decides for those who want this from now on; `false` where it does not heed it, because what it has learned are the
    /// values of what it was trained for.
    fn prefer(&mut self, _wanted: &Preferences) -> bool {
        false
    }

    /// Makes what it reports to others false, or right again; `false` where it reports nothing.
    fn set_fault(&mut self, _fault: Option<Fault>) -> bool {
        false
    }

    /// Lets the agents of a team go on from what all have learned since this was last done.
    fn merge(_team: &mut [Self]) {}

    /// What the agents of a team have learned together, each thing counted once, where they have just been merged: what
    /// one of them knows.
    fn gathered(team: &[Self]) -> Self::Knowledge {
        team[0].knowledge()
    }
}

/// Who is told what is hidden from others. It is no policy that anybody could follow, but says what knowing would be worth.
pub(crate) trait Informed {
    /// Tells the truth of the step that begins.
    fn tell(&mut self, truth: &Truth);
}

/// An agent that is made of settings: a learner.
pub(crate) trait Learner: Agent {
    /// What it can be told.
    type Settings: Settings;

    /// One of so many agents that know nothing yet.
    ///
    /// # Errors
    /// A catalog that it cannot handle.
    fn new(settings: Self::Settings, agents: u32, env: &Environment) -> Result<Self, SwarmError>;

    /// What it carries from other worlds into a new one.
    type Start: Serialize + DeserializeOwned;

    /// How it learns from there.
    type Ways: Serialize + DeserializeOwned;

    /// Whether it has to be guarded against a prior that harms it, because it does not itself outweigh what a prior says by
    /// what it sees.
    const GUARDED: bool = true;

    /// Whether its priors are for one catalog and its tenants.
    const OF_ONE_CATALOG: bool = false;

    /// What holds for worlds like these, from what an agent came to in each.
    ///
    /// # Errors
    /// Says what does not fit.
    fn pool(met: &[(&Environment, Self::Knowledge)]) -> Result<Self::Start, String>;

    /// The ways of learning that are tried in meta-training, of which there is at least one; its rounds are played by the
    /// first.
    fn ways() -> Vec<Self::Ways>;

    /// Begins with what was learned in other worlds, before anything else.
    ///
    /// # Errors
    /// Says what does not fit.
    fn begin_with(&mut self, env: &Environment, start: Self::Start, ways: Self::Ways) -> Result<(), String>;

    /// See [`revision`](crate::registry::revision).
    fn revision(_settings: &Self::Settings) -> u32 {
        1
    }
}

/// What the agents of a team tell each other: new in each episode, and wiped where each step begins.
pub(crate) trait Shared: Default + Send {
    /// Wipes what is of the step before.
    fn begin_step(&mut self);

    /// Tells whose each of the step's requests is. Nobody may look at those that have not come yet.
    fn divide(&mut self, _agents: &[usize]) {}

    /// The request at this position in the step, which was set aside, is none of theirs.
    fn withdraw(&mut self, _index: usize) {}

    /// All of the step's requests, so many, have come: those that wait are decided next.
    fn end_arrivals(&mut self, _requests: usize) {}

    /// How far an agent's reports can be trusted, from 0 to 1; `None` where nobody compares them.
    fn trust(&self, _agent: usize) -> Option<f64> {
        None
    }

    /// What is kept from step to step.
    fn kept(&self) -> Value {
        Value::Null
    }

    /// Takes that up again.
    ///
    /// # Errors
    /// Says what does not fit.
    fn keep(&mut self, _kept: Value) -> Result<(), String> {
        Ok(())
    }
}

impl Shared for () {
    fn begin_step(&mut self) {}
}

/// In which order requests are decided that waited for the end of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// As they came.
    Arrival,
    /// The longest first: what is left over is small enough to find a place.
    LongestFirst,
    /// The shortest first: a request earns about the same whatever its size.
    ShortestFirst,
}

impl Order {
    /// Puts positions in `requests` into the order.
    pub(crate) fn sort(self, requests: &[Request], waiting: &mut [usize]) {
        let hours = |position: &usize| requests[*position].hours;
        match self {
            Self::Arrival => {}
            Self::LongestFirst => waiting.sort_by(|a, b| hours(b).total_cmp(&hours(a))),
            Self::ShortestFirst => waiting.sort_by(|a, b| hours(a).total_cmp(&hours(b))),
        }
    }
}
