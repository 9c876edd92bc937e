//! Tabular Q-learning with ε-greedy exploration and experience replay (Watkins 1989; Lin 1992), over either of two states.

use routing_env::{Candidate, Environment, Observation, StepOutcome};

use crate::{
    error::SwarmError,
    knowledge::Learned as _,
    learning::Learning,
    policy::{Agent, Decision, Learner, Order},
    q_learning::{
        knowledge::{Knowledge, Progress},
        prior::{Start, Ways},
        request::{agent::RequestAware, knowledge as request, step::Step},
        settings::{Settings, State},
        specified::{agent::Specified, knowledge as specified},
    },
};

/// The learner, by what it sees.
#[derive(Clone)]
pub(crate) enum QLearning {
    Request(Box<RequestAware>),
    Specified(Box<Specified>),
}

/// The same of either.
macro_rules! either {
    ($own:expr, $agent:ident => $does:expr) => {
        match $own {
            Self::Request($agent) => $does,
            Self::Specified($agent) => $does,
        }
    };
}

impl Agent for QLearning {
    type Shared = Step;
    type Knowledge = Knowledge;
    type Progress = Progress;

    /// The specified agent sets nothing aside.
    const ORDER: Order = RequestAware::ORDER;

    fn begin_episode(&mut self, seed: u64, number: u32) {
        either!(self, agent => agent.begin_episode(seed, number));
    }

    fn reseed(&mut self, seed: u64, number: u32) {
        either!(self, agent => agent.reseed(seed, number));
    }

    fn decide(&mut self, observation: &Observation<'_>, shared: &mut Step) -> Decision {
        match self {
            Self::Request(agent) => agent.decide(observation, shared),
            Self::Specified(agent) => agent.decide(observation, &mut ()),
        }
    }

    fn score(&mut self, observation: &Observation<'_>, candidate: &Candidate) -> Option<f64> {
        either!(self, agent => agent.score(observation, candidate))
    }

    fn observe_step(&mut self, outcome: &StepOutcome<'_>, shared: &mut Step) {
        match self {
            Self::Request(agent) => agent.observe_step(outcome, shared),
            Self::Specified(agent) => agent.observe_step(outcome, &mut ()),
        }
    }

    fn end_step(&mut self, rewards: &[f64], shared: &Step) {
        match self {
            Self::Request(agent) => agent.end_step(rewards, shared),
            Self::Specified(agent) => agent.end_step(rewards, &()),
        }
    }

    fn end_episode(&mut self) {
        either!(self, agent => agent.end_episode());
    }

    fn learning(&self) -> Option<&Learning> {
        either!(self, agent => agent.learning())
    }

    fn learning_mut(&mut self) -> Option<&mut Learning> {
        either!(self, agent => agent.learning_mut())
    }

    fn size(&self) -> u64 {
        either!(self, agent => agent.size())
    }

    fn forget(&mut self, kept: f64) {
        either!(self, agent => agent.forget(kept));
    }

    fn knowledge(&self) -> Knowledge {
        match self {
            Self::Request(agent) => Knowledge::Request(agent.knowledge()),
            Self::Specified(agent) => Knowledge::Specified(agent.knowledge()),
        }
    }

    fn absorb(&mut self, knowledge: Knowledge) -> Result<(), String> {
        match (self, knowledge) {
            (Self::Request(agent), Knowledge::Request(knowledge)) => agent.absorb(knowledge),
            (Self::Specified(agent), Knowledge::Specified(knowledge)) => agent.absorb(knowledge),
            (Self::Request(_), other) => Err(other.is_not_of(State::Request)),
            (Self::Specified(_), other) => Err(other.is_not_of(State::Specified)),
        }
    }

    fn heed(&mut self, others: Option<Knowledge>) -> Result<(), String> {
        match (self, others) {
            (Self::Request(agent), None) => agent.heed(None),
            (Self::Specified(agent), None) => agent.heed(None),
            (Self::Request(agent), Some(Knowledge::Request(others))) => agent.heed(Some(others)),
            (Self::Specified(agent), Some(Knowledge::Specified(others))) => agent.heed(Some(others)),
            (Self::Request(_), Some(other)) => Err(other.is_not_of(State::Request)),
            (Self::Specified(_), Some(other)) => Err(other.is_not_of(State::Specified)),
        }
    }

    fn progress(&self) -> Progress {
        match self {
            Self::Request(agent) => Progress::Request(agent.progress()),
            Self::Specified(agent) => Progress::Specified(agent.progress()),
        }
    }

    fn resume(&mut self, progress: Progress) -> Result<(), String> {
        match (self, progress) {
            (Self::Request(agent), Progress::Request(progress)) => agent.resume(progress),
            (Self::Specified(agent), Progress::Specified(progress)) => agent.resume(progress),
            _ => Err("the agent's progress is of another state than its settings".into()),
        }
    }

    /// All agents of a team see the same.
    fn merge(team: &mut [Self]) {
        let (mut aware, mut specified) = (Vec::new(), Vec::new());
        for agent in team {
            match agent {
                Self::Request(agent) => aware.push(&mut **agent),
                Self::Specified(agent) => specified.push(&mut **agent),
            }
        }
        RequestAware::merge_all(&mut aware);
        Specified::merge_all(&mut specified);
    }

    /// Each agent of the specified state counts its own visits only.
    fn gathered(team: &[Self]) -> Knowledge {
        let specified = team.iter().filter_map(|agent| match agent {
            Self::Specified(agent) => Some(agent.knowledge()),
            Self::Request(_) => None,
        });
        let all = specified.reduce(|mut all, other| {
            other.states.iter().for_each(|(state, cells)| all.add(state, cells.iter().copied()));
            all
        });
        all.map_or_else(|| team[0].knowledge(), Knowledge::Specified)
    }
}

impl Learner for QLearning {
    type Settings = Settings;
    type Start = Start;
    type Ways = Ways;

    const OF_ONE_CATALOG: bool = true;

    fn begin_with(&mut self, env: &Environment, start: Start, Ways {}: Ways) -> Result<(), String> {
        let version = match self {
            Self::Request(_) => request::Knowledge::VERSION,
            Self::Specified(_) => specified::Knowledge::VERSION,
        };
        self.absorb(start.known(env, version)?)
    }

    fn pool(met: &[(&Environment, Knowledge)]) -> Result<Start, String> {
        Start::pool(met)
    }

    fn ways() -> Vec<Ways> {
        vec![Ways {}]
    }

    fn new(settings: Settings, _agents: u32, env: &Environment) -> Result<Self, SwarmError> {
        Ok(match settings.state {
            State::Request => Self::Request(Box::new(RequestAware::new(settings, env)?)),
            State::Specified => Self::Specified(Box::new(Specified::new(settings, env)?)),
        })
    }

    /// Since 2 the state `request` knows what providers' hours are worth to others, and counts demand where it is hidden.
    fn revision(settings: &Settings) -> u32 {
        match settings.state {
            State::Request => 2,
            State::Specified => 1,
        }
    }
}
