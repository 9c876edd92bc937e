//! `cem`: the cross-entropy method over a linear score (Rubinstein 1999; Szita and Lőrincz 2006).
//!
//! **The population.** Members are weights of a [`score`], drawn from a [`Distribution`]. Each agent carries its share
//! of at least [`POPULATION`] of them, and tries one after the other.
//!
//! **Credit.** In one market nobody can be judged by its own requests: what it earns, it may have taken from others. So
//! the agent that leads a step tells the [`Board`] the member to try, all follow it, and what the team earns in the
//! step is the member's, minus what a [`Control`] variate expects of such a step. Capacities and budgets are whole
//! again in each step, so that nothing of it is owed to another step.
//!
//! **A generation** ends when [`GENERATION_STEPS`] steps have been led. Then all tell the board their members and what
//! these earned, and each makes the same distribution of the best of them. It draws its next members from its own
//! stream.
//!
//! **ε** is how wide the search is: the mean over the weights of their spread / their first spread, 1 at first. The
//! configured ε is the noise, as a share of the first spread, that the first refit adds. Nigredo draws anew those of an agent's members
//! that have earned less than was expected; albedo lets the steps that it leads be played by members of a wider spread.
//!
//! Frozen, it acts on the mean.

use rand_pcg::Pcg64;
use routing_env::{
    Candidate, Choice, Environment, Episode, Market, Observation, Request, Reward, StepOutcome, Stream, Turn,
    generator,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    control::{Control, Difficulty},
    distribution::{Distribution, Member, Written},
    pressure::Pressure,
    score::{self, WEIGHTS},
    settings::Settings,
};
use crate::{
    board::{Board, shortest_first},
    policy::{Decision, Exploration, Learner, LearningWindow, Policy},
    prices::forecast::Beliefs,
};

/// The least number of members of a generation.
const POPULATION: usize = 50;

/// The steps of a generation: three for each of the least number of members.
const GENERATION_STEPS: u32 = 150;

/// What the agents tell each other of it within a step.
#[derive(Clone, Default)]
pub(crate) struct Notes {
    pressure: Option<Pressure>,
    /// How many requests have been set aside.
    waiting: usize,
    /// How difficult the step was, and what it earned in points per request.
    step: Option<(Difficulty, f64)>,
    /// All members, where a generation has ended.
    generation: Vec<Member>,
}

/// The learner.
#[derive(Clone)]
pub(crate) struct Cem {
    env: Environment,
    beliefs: Beliefs,
    /// GPU-hours of a step, as expected.
    expected_hours: f64,
    /// How many members it carries, and how many there are in all.
    carried: usize,
    population: usize,
    /// ε of the configuration.
    noise: f64,
    distribution: Distribution,
    control: Control,
    /// Its members of this generation; those that are missing are drawn when it leads.
    members: Vec<Member>,
    /// Steps of this generation so far, whoever led them.
    steps: u32,
    raised: Option<(f64, u64)>,
    /// The member that it leads the step with.
    leads: Option<usize>,
    frozen: bool,
    rng: Pcg64,
    window: LearningWindow,
}

impl Cem {
    /// One of so many agents that know nothing yet.
    pub(crate) fn new(agents: u32, settings: Settings, env: &Environment) -> Self {
        let agents = agents.max(1) as usize;
        let carried = POPULATION.div_ceil(agents);
        let beliefs = Beliefs::of_catalog(env);
        let expected_hours =
            beliefs.jobs_to_come(env, 0).map(|jobs| jobs.count * (jobs.hours[0] + jobs.hours[1]) / 2.0).sum();
        Self {
            env: env.clone(),
            beliefs,
            expected_hours,
            carried,
            population: carried * agents,
            noise: settings.epsilon,
            distribution: Distribution::first(),
            control: Control::new(),
            members: Vec::new(),
            steps: 0,
            raised: None,
            leads: None,
            frozen: false,
            rng: generator(0, Stream::Agent(0)),
            window: LearningWindow::default(),
        }
    }

    /// The member that it tries next: the one with the fewest steps; while the spread is raised, a new and wider one.
    fn next_member(&mut self) -> usize {
        if self.raised.is_some() {
            let widening = self.epsilon() / self.distribution.relative_spread().max(f64::MIN_POSITIVE);
            self.members.push(Member::new(self.distribution.draw(widening, &mut self.rng)));
            return self.members.len() - 1;
        }
        while self.members.len() < self.carried {
            self.members.push(Member::new(self.distribution.draw(1.0, &mut self.rng)));
        }
        let fewest = self.members.iter().enumerate().min_by_key(|(_, member)| member.steps);
        fewest.map_or(0, |(position, _)| position)
    }

    /// What the mean would have earned in the step, by the catalog's word and in points of `excess-cost` per request.
    fn rehearsed(&self, opening: &Market, requests: &[Request]) -> f64 {
        let kind = Reward::EXCESS_COST;
        let mut episode = Episode::of_step(&self.env, opening.clone(), requests.to_vec(), 0, kind);
        let mut notes = Notes::default();
        episode.begin_step();
        while let Some(turn) = episode.turn() {
            match turn {
                Turn::Request(observation) => {
                    let (choice, _) = self.chosen(&observation, &self.distribution.mean, &mut notes);
                    episode.act(choice);
                }
                Turn::Waiting { requests, waiting, .. } => {
                    let mut order = waiting.to_vec();
                    shortest_first(requests, &mut order);
                    episode.order_waiting(&order);
                }
            }
        }
        episode.outcome().metrics.overall.avg_reward().unwrap_or_default()
    }

    /// What these weights choose, and the best candidate's score.
    fn chosen(&self, observation: &Observation<'_>, weights: &[f64], notes: &mut Notes) -> (Choice, f64) {
        let phase = observation.phase;
        let pressure = match notes.pressure.take() {
            Some(pressure) if pressure.is_of(phase) => pressure,
            _ => Pressure::new(&self.env, observation.market, &self.beliefs, observation.index, phase),
        };
        let pressure = notes.pressure.insert(pressure);
        let chosen = score::choose(observation, pressure, phase, notes.waiting, weights);
        notes.waiting += usize::from(chosen.0 == Choice::Defer);
        chosen
    }

    /// How many steps a member has in a generation, on average.
    fn steps_per_member(&self) -> f64 {
        (f64::from(GENERATION_STEPS) / self.population as f64).max(1.0)
    }
}

impl Policy for Cem {
    fn name(&self) -> &'static str {
        "cem"
    }

    fn begin_episode(&mut self, seed: u64, agent: u32) {
        self.rng = generator(seed, Stream::Agent(agent));
        self.leads = None;
        self.window = LearningWindow::default();
    }

    fn lead_step(&mut self, board: &mut Board) {
        if !self.frozen {
            let member = self.next_member();
            board.member = Some(self.members[member].weights.clone());
            self.leads = Some(member);
        }
    }

    /// All follow the member on the board, so that its choice is certain.
    fn decide(&mut self, observation: &Observation<'_>, board: &mut Board) -> Decision {
        if !self.frozen && board.opening.is_none() {
            board.opening = Some(observation.market.clone());
        }
        let weights = board.member.as_ref().unwrap_or(&self.distribution.mean);
        let (choice, score) = self.chosen(observation, weights, &mut board.cem);
        Decision { value: Some(score), ..Decision::certain(choice) }
    }

    fn score(&mut self, observation: &Observation<'_>, candidate: &Candidate) -> Option<f64> {
        let phase = observation.phase;
        let pressure = Pressure::new(&self.env, observation.market, &self.beliefs, observation.index, phase);
        Some(score::score(observation, candidate, &pressure, phase, &self.distribution.mean).0)
    }

    fn order_waiting(
        &mut self,
        _market: &Market,
        requests: &[Request],
        waiting: &mut [usize],
        _board: &mut Board,
    ) {
        shortest_first(requests, waiting);
    }

    fn observe_step(&mut self, outcome: &StepOutcome<'_>, board: &mut Board) {
        if self.frozen {
            return;
        }
        self.steps += 1;
        // where no request had a feasible provider, there was nothing to decide
        if let Some(leads) = self.leads.take()
            && let Some(opening) = &board.opening
            && let Some(reward) = outcome.metrics.overall.avg_reward()
        {
            let requests = outcome.requests.len() as f64 / self.beliefs.demand.iter().flatten().sum::<f64>();
            let hours = outcome.requests.iter().map(|r| r.hours).sum::<f64>() / self.expected_hours;
            let difficulty = [1.0, requests, hours, self.rehearsed(opening, outcome.requests)];
            let member = &mut self.members[leads];
            // a request of a busy step counts as much as one of a quiet step
            member.credit += requests * (reward - self.control.expected(&difficulty));
            member.steps += 1;
            board.cem.step = Some((difficulty, reward));
        }
        if self.steps >= GENERATION_STEPS {
            board.cem.generation.extend(self.members.iter().filter(|m| m.steps > 0).cloned());
        }
    }

    fn end_step(&mut self, _rewards: &[f64], board: &Board) {
        if self.frozen {
            return;
        }
        if let Some((difficulty, reward)) = &board.cem.step {
            self.window.abs_td_error += (reward - self.control.expected(difficulty)).abs();
            self.window.updates += 1;
            self.control.observe(difficulty, *reward);
        }
        if self.steps >= GENERATION_STEPS {
            self.distribution.refit(&board.cem.generation, self.steps_per_member(), self.noise);
            self.members.clear();
            self.steps = 0;
        }
        self.raised = self.raised.and_then(|(epsilon, left)| (left > 1).then(|| (epsilon, left - 1)));
    }

    fn boxed_clone(&self) -> Box<dyn Policy> {
        Box::new(self.clone())
    }

    fn learner(&self) -> Option<&dyn Learner> {
        Some(self)
    }

    fn learner_mut(&mut self) -> Option<&mut dyn Learner> {
        Some(self)
    }
}

/// What going on needs beside the distribution.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Progress {
    control: Control,
    members: Vec<Member>,
    steps: u32,
    raised: Option<(f64, u64)>,
}

impl Learner for Cem {
    /// How many weights it has.
    fn table_size(&self) -> u64 {
        WEIGHTS as u64
    }

    fn epsilon(&self) -> f64 {
        if self.frozen {
            return 0.0;
        }
        let epsilon = self.distribution.relative_spread();
        self.raised.map_or(epsilon, |(raised, _)| raised.max(epsilon))
    }

    fn take_window(&mut self) -> LearningWindow {
        std::mem::take(&mut self.window)
    }

    fn freeze(&mut self) {
        self.frozen = true;
    }

    /// Draws anew those of its members that have earned less than was expected; what the team has learned stays.
    fn forget(&mut self) {
        self.members.retain(|member| member.credit >= 0.0);
        self.raised = None;
    }

    fn explore(&mut self, factor: f64, max: f64, windows: u64) {
        let mut exploration = Exploration { epsilon: self.distribution.relative_spread(), raised: None };
        exploration.raise(factor, max, windows);
        self.raised = exploration.raised;
    }

    fn knowledge(&self) -> Value {
        serde_json::to_value(Written::from(&self.distribution)).unwrap_or_default()
    }

    fn progress(&self) -> Value {
        let Self { control, members, steps, raised, .. } = self;
        let progress =
            Progress { control: *control, members: members.clone(), steps: *steps, raised: *raised };
        serde_json::to_value(progress).unwrap_or_default()
    }

    fn restore(&mut self, knowledge: &Value, progress: Option<&Value>) -> Result<(), String> {
        let written = Written::deserialize(knowledge).map_err(|e| format!("the agent's weights: {e}"))?;
        self.distribution = written.try_into()?;
        if let Some(progress) = progress {
            let Progress { control, members, steps, raised } =
                Progress::deserialize(progress).map_err(|e| format!("the agent's progress: {e}"))?;
            control.check()?;
            members.iter().try_for_each(Member::check)?;
            (self.control, self.members, self.steps, self.raised) = (control, members, steps, raised);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
