//! `cem`: the cross-entropy method over a linear score (Rubinstein 1999; Szita and Lőrincz 2006).
//!
//! **The population.** Members are weights of a [`score`], drawn from a [`Distribution`]. Each agent carries its share
//! of at least [`POPULATION`] of them, and tries one after the other.
//!
//! **Credit.** In one market nobody can be judged by its own requests: what it earns, it may have taken from others. So
//! the agent that leads a step tells the others the member to try, all follow it, and what the team earns in the
//! step is the member's, minus what a [`Control`] variate expects of such a step. Capacities and budgets are whole
//! again in each step, so that nothing of it is owed to another step.
//!
//! **A generation** ends when [`Search::generation_steps`] steps have been led. Then all tell each other their members and what
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
    Candidate, Choice, Environment, Episode, Market, Observation, Preference, Preferences, Request, Reward,
    StepOutcome, Stream, Turn, generator,
};
use serde::{Deserialize, Serialize};

use super::{
    control::{Control, Difficulty},
    distribution::{Distribution, Member},
    knowledge::Knowledge,
    pressure::Pressure,
    prior::{Search, Start},
    score,
    settings::Settings,
};
use crate::{
    error::SwarmError,
    learning::Learning,
    policy::{Agent, Decision, Learner, Order, Shared},
    prices::forecast::Beliefs,
};

/// The least number of members of a generation.
const POPULATION: usize = 50;

/// What is known of a step by those that decide in it.
#[derive(Default)]
struct Notes {
    pressure: Option<Pressure>,
    /// How many requests have been set aside.
    waiting: usize,
}

/// What the agents tell each other of a step.
#[derive(Default)]
pub(crate) struct Step {
    notes: Notes,
    /// The weights that the agent that leads the step wants to see tried by all.
    member: Option<Vec<f64>>,
    /// The market before the step's first request.
    opening: Option<Market>,
    /// How difficult the step was, and what it earned in points per request.
    outcome: Option<(Difficulty, f64)>,
    /// All members, where a generation has ended.
    generation: Vec<Member>,
}

impl Shared for Step {
    fn begin_step(&mut self) {
        *self = Self::default();
    }

    fn withdraw(&mut self, _index: usize) {
        self.notes.waiting -= 1;
    }
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
    wanted: Preferences,
    search: Search,
    /// What it draws from and acts on: its own, and the others' where it heeds any.
    distribution: Distribution,
    /// What its own generations came to.
    own: Distribution,
    /// What others came to, which is acted on beside its own.
    others: Option<Distribution>,
    control: Control,
    /// Its members of this generation; those that are missing are drawn when it leads.
    members: Vec<Member>,
    /// Steps of this generation so far, whoever led them.
    steps: u32,
    /// The member that it leads the step with.
    leads: Option<usize>,
    /// Its ε is how wide the distribution is.
    learning: Learning,
    rng: Pcg64,
}

impl Cem {
    /// The member that it tries next: the one with the fewest steps; while the spread is raised, a new and wider one.
    fn next_member(&mut self) -> usize {
        if self.learning.exploration.raised.is_some() {
            let widening =
                self.learning.epsilon() / self.distribution.relative_spread().max(f64::MIN_POSITIVE);
            self.members.push(Member::new(self.distribution.draw(widening, &mut self.rng)));
            return self.members.len() - 1;
        }
        while self.members.len() < self.carried {
            self.members.push(Member::new(self.distribution.draw(1.0, &mut self.rng)));
        }
        let fewest = self.members.iter().enumerate().min_by_key(|(_, member)| member.steps);
        fewest.map_or(0, |(position, _)| position)
    }

    /// What the mean would have earned in the step, by the catalog's word and in points per request.
    fn rehearsed(&self, opening: &Market, requests: &[Request]) -> f64 {
        let kind = Reward::Preference(self.wanted.all);
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
                    Self::ORDER.sort(requests, &mut order);
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
        let chosen = score::choose(observation, pressure, phase, notes.waiting, (weights, &self.wanted));
        notes.waiting += usize::from(chosen.0 == Choice::Defer);
        chosen
    }

    /// Acts on and searches around what its own generations have come to now, and the others'.
    fn follow(&mut self, own: Distribution) {
        self.distribution = own.clone();
        self.others.iter().for_each(|others| self.distribution.mix(others));
        self.learning.exploration.epsilon = self.distribution.relative_spread();
        self.own = own;
    }

    /// How many steps a member has in a generation, on average.
    fn steps_per_member(&self) -> f64 {
        (f64::from(self.search.generation_steps) / self.population as f64).max(1.0)
    }
}

impl Agent for Cem {
    type Shared = Step;
    type Knowledge = Knowledge;
    type Progress = Progress;

    const ORDER: Order = Order::ShortestFirst;

    fn begin_episode(&mut self, seed: u64, agent: u32) {
        self.reseed(seed, agent);
        self.leads = None;
    }

    fn reseed(&mut self, seed: u64, agent: u32) {
        self.rng = generator(seed, Stream::Agent(agent));
    }

    fn lead_step(&mut self, shared: &mut Step) {
        if !self.learning.frozen {
            let member = self.next_member();
            shared.member = Some(self.members[member].weights.clone());
            self.leads = Some(member);
        }
    }

    /// All follow the leader's member, so that its choice is certain.
    fn decide(&mut self, observation: &Observation<'_>, shared: &mut Step) -> Decision {
        if !self.learning.frozen && shared.opening.is_none() {
            shared.opening = Some(observation.market.clone());
        }
        let weights = shared.member.as_ref().unwrap_or(&self.distribution.mean);
        let (choice, score) = self.chosen(observation, weights, &mut shared.notes);
        Decision { value: Some(score), ..Decision::certain(choice) }
    }

    fn score(&mut self, observation: &Observation<'_>, candidate: &Candidate) -> Option<f64> {
        let phase = observation.phase;
        let pressure = Pressure::new(&self.env, observation.market, &self.beliefs, observation.index, phase);
        Some(
            score::score(observation, candidate, &pressure, phase, (&self.distribution.mean, &self.wanted)).0,
        )
    }

    fn observe_step(&mut self, outcome: &StepOutcome<'_>, shared: &mut Step) {
        if self.learning.frozen {
            return;
        }
        self.steps += 1;
        // where no request had a feasible provider, there was nothing to decide
        if let Some(leads) = self.leads.take()
            && let Some(opening) = &shared.opening
            && let Some(reward) = outcome.metrics.overall.avg_reward()
        {
            let requests = outcome.requests.len() as f64 / self.beliefs.demand.iter().flatten().sum::<f64>();
            let hours = outcome.requests.iter().map(|r| r.hours).sum::<f64>() / self.expected_hours;
            // where what is wanted changes from episode to episode, its scale must not
            let scale = self.wanted.all.scale(&self.env);
            let reward = reward / scale;
            let difficulty = [1.0, requests, hours, self.rehearsed(opening, outcome.requests) / scale];
            let member = &mut self.members[leads];
            // a request of a busy step counts as much as one of a quiet step
            member.credit += requests * (reward - self.control.expected(&difficulty));
            member.steps += 1;
            shared.outcome = Some((difficulty, reward));
        }
        if self.steps >= self.search.generation_steps {
            shared.generation.extend(self.members.iter().filter(|m| m.steps > 0).cloned());
        }
    }

    fn end_step(&mut self, _rewards: &[f64], shared: &Step) {
        if self.learning.frozen {
            return;
        }
        if let Some((difficulty, reward)) = &shared.outcome {
            self.learning.count(reward - self.control.expected(difficulty));
            self.control.observe(difficulty, *reward);
        }
        if self.steps >= self.search.generation_steps {
            let mut own = self.own.clone();
            let noise = if self.search.noisy { self.noise } else { 0.0 };
            let rate = self.search.refit_rate;
            own.refit(&shared.generation, self.steps_per_member(), noise, rate);
            self.follow(own);
            self.members.clear();
            self.steps = 0;
        }
    }

    fn learning(&self) -> Option<&Learning> {
        Some(&self.learning)
    }

    fn learning_mut(&mut self) -> Option<&mut Learning> {
        Some(&mut self.learning)
    }

    /// How many weights it has.
    fn size(&self) -> u64 {
        score::WEIGHTS as u64
    }

    /// Draws anew those of its members that have earned less than was expected; what the team has learned stays.
    fn forget(&mut self, _kept: f64) {
        self.members.retain(|member| member.credit >= 0.0);
    }

    fn knowledge(&self) -> Knowledge {
        Knowledge::from(&self.own)
    }

    fn absorb(&mut self, knowledge: Knowledge) -> Result<(), String> {
        self.others = None;
        self.follow(knowledge.try_into()?);
        self.members.clear(); // they were drawn from another distribution
        self.steps = 0;
        Ok(())
    }

    /// Members that were drawn before are tried to the end.
    fn heed(&mut self, others: Option<Knowledge>) -> Result<(), String> {
        self.others = others.map(Distribution::try_from).transpose()?;
        self.follow(self.own.clone());
        Ok(())
    }

    fn prefer(&mut self, wanted: &Preferences) -> bool {
        self.wanted.clone_from(wanted);
        true
    }

    fn progress(&self) -> Progress {
        let Self { control, members, steps, learning, .. } = self;
        Progress {
            control: *control,
            members: members.clone(),
            steps: *steps,
            raised: learning.exploration.raised,
        }
    }

    fn resume(&mut self, progress: Progress) -> Result<(), String> {
        let Progress { control, members, steps, raised } = progress;
        control.check()?;
        members.iter().try_for_each(Member::check)?;
        (self.control, self.members, self.steps) = (control, members, steps);
        self.learning.exploration.raised = raised;
        Ok(())
    }
}

/// What going on needs beside the distribution.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Progress {
    control: Control,
    members: Vec<Member>,
    steps: u32,
    raised: Option<(f64, u64)>,
}

impl Learner for Cem {
    type Settings = Settings;
    type Start = Start;
    type Ways = Search;

    fn begin_with(&mut self, env: &Environment, start: Start, ways: Search) -> Result<(), String> {
        ways.check()?;
        self.search = ways;
        self.follow(start.distribution(env, ways.widening)?);
        Ok(())
    }

    fn pool(met: &[(&Environment, Knowledge)]) -> Result<Start, String> {
        Start::pool(met)
    }

    fn ways() -> Vec<Search> {
        Search::candidates()
    }

    fn new(settings: Settings, agents: u32, env: &Environment) -> Result<Self, SwarmError> {
        let agents = agents.max(1) as usize;
        let carried = POPULATION.div_ceil(agents);
        let beliefs = Beliefs::of_catalog(env);
        let expected_hours =
            beliefs.jobs_to_come(env, 0).map(|jobs| jobs.count * (jobs.hours[0] + jobs.hours[1]) / 2.0).sum();
        let distribution = Distribution::first();
        Ok(Self {
            env: env.clone(),
            beliefs,
            expected_hours,
            carried,
            population: carried * agents,
            noise: settings.epsilon,
            wanted: Preference::EXCESS_COST.into(),
            learning: Learning::at_rate(distribution.relative_spread()),
            search: Search::default(),
            own: distribution.clone(),
            others: None,
            distribution,
            control: Control::new(),
            members: Vec::new(),
            steps: 0,
            leads: None,
            rng: generator(0, Stream::Agent(0)),
        })
    }
}

#[cfg(test)]
mod tests;
