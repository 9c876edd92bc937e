//! The request-aware agent: Q-learning (Watkins 1989) over who asks for what, how scarce their money is, and what each
//! choice takes of it. Actions: the feasible providers, hold and defer.
//!
//! A step is one task, for budgets and capacities are whole again in the next. What is earned is counted as a loss: what
//! requests earned less than the best offer at the step's start promised ([`Losses`]). The value of a choice is
//!
//! - what it promises at once, which the offer says and nobody has to learn;
//! - what was learned of what its tenant's later requests lose. It is learned from the agent's turn to its next one with a
//!   request of the same tenant: between them lie the losses of all the tenant's requests, whichever agent decided them, for
//!   an agent that feels its own requests only does not feel what it takes from the others;
//! - what was learned of what everybody loses by the hours that it takes ([`Hours`]).
//!
//! Losses for which a provider was short of hours are in the last, all others in the second: what other tenants lose is far
//! larger than what one choice does to them, and drowns it where it is not told apart by what was short.

use rand::RngExt;
use rand_pcg::Pcg64;
use routing_env::{
    Candidate, Choice, Environment, Observation, Reward, StepOutcome, Stream, generator, physics,
};
use smallvec::SmallVec;

use crate::{
    error::SwarmError,
    learning::Learning,
    policy::{Agent, Decision, Order},
    q_learning::{
        replay::{Drawn, Replay},
        request::{
            experience::Experience,
            hours::{Hours, Use},
            knowledge::{Knowledge, Progress},
            losses::Losses,
            start::{Start, promise},
            state::{State, StateAction, comes_again},
            step::Step,
            values::{Pool, Values},
        },
        settings::Settings,
        specified::agent::MAX_PROVIDERS,
    },
};

/// The learner.
#[derive(Clone)]
pub(crate) struct RequestAware {
    settings: Settings,
    /// What it was last taught: what a choice promises is reckoned by it.
    reward: Reward,
    tenants: usize,
    gpu_types: usize,
    providers: usize,
    values: Values<StateAction>,
    hours: Values<Use>,
    learning: Learning,
    rng: Pcg64,
    replay_rng: Pcg64,
    replay: Option<Replay<Experience>>,
    batch: Vec<Drawn>,
    /// This step's turns.
    turns: Vec<Turn>,
}

/// What can be done with a request.
#[derive(Clone, Copy)]
struct Action {
    choice: Choice,
    at: StateAction,
    /// What it earns at once, if nothing goes wrong.
    promise: f64,
    /// The promise, and what its tenant's requests lose by it.
    own: f64,
    /// The same, and what everybody loses by the hours that it takes.
    value: f64,
}

type Actions = SmallVec<[Action; 9]>;

/// A turn of the step. Promises and values are counted beyond the best offer at the step's start.
#[derive(Clone)]
struct Turn {
    /// Of all agents' in the step.
    number: usize,
    index: usize,
    tenant: usize,
    comes_again: bool,
    at: StateAction,
    promise: f64,
    /// What the best action is worth to the tenant.
    best: f64,
    /// How much of each provider is used.
    uses: SmallVec<[Use; 8]>,
    /// What could be done and what it promised, where turns are remembered.
    actions: Vec<(StateAction, f64)>,
}

impl RequestAware {
    pub(crate) fn new(settings: Settings, env: &Environment) -> Result<Self, SwarmError> {
        let providers = env.catalog().providers.len();
        if providers > MAX_PROVIDERS {
            return Err(SwarmError::TooManyProviders { most: MAX_PROVIDERS, found: providers });
        }
        Ok(Self {
            settings,
            reward: Reward::default(),
            tenants: env.workloads().tenants.len(),
            gpu_types: env.gpu_types().len(),
            providers,
            values: Values::default(),
            hours: Values::default(),
            learning: Learning::at_rate(settings.epsilon),
            rng: generator(0, Stream::Agent(0)),
            replay_rng: generator(0, Stream::Replay(0)),
            replay: settings.replay.enabled.then(|| Replay::new(settings.replay)),
            batch: Vec::new(),
            turns: Vec::new(),
        })
    }

    /// Each takes the mean of what changed since the last merge, weighted by the number of changes.
    pub(crate) fn merge_all(team: &mut [&mut Self]) {
        let (mut values, mut hours) = (Pool::default(), Pool::default());
        for agent in &*team {
            agent.values.pool(&mut values);
            agent.hours.pool(&mut hours);
        }
        for agent in team {
            agent.values.adopt(&values);
            agent.hours.adopt(&hours);
        }
    }

    fn actions(&self, observation: &Observation<'_>, state: State, hours: &[Hours]) -> Actions {
        let Observation { env, request, candidates, .. } = *observation;
        let mut actions = Actions::new();
        let mut add = |choice, promise, dollars| {
            let at = state.with(choice, dollars);
            let own = promise + self.values.get(at);
            let taken = match choice {
                Choice::Route(provider) => hours[provider].taken(request.hours, &self.hours),
                Choice::Hold | Choice::Defer => 0.0,
            };
            actions.push(Action { choice, at, promise, own, value: own + taken });
        };
        // what waits is promised the best that there is now, less what waiting costs
        let wait_ms = physics::wait_ms(1.0 - observation.phase);
        let mut later = (f64::NEG_INFINITY, 0.0);
        for to in candidates {
            let dollars = to.price * request.hours;
            add(Choice::Route(to.provider), promise(env, request, to, 0.0, self.reward), dollars);
            if observation.may_defer {
                let promise = promise(env, request, to, wait_ms, self.reward);
                later = if promise > later.0 { (promise, dollars) } else { later };
            }
        }
        if observation.may_hold {
            add(Choice::Hold, 0.0, 0.0);
        }
        if observation.may_defer {
            add(Choice::Defer, later.0, later.1);
        }
        actions
    }

    fn remember(
        &mut self,
        observation: &Observation<'_>,
        shared: &mut Step,
        actions: &Actions,
        chosen: usize,
        hours: &[Hours],
    ) {
        let routes = actions.iter().filter(|action| matches!(action.choice, Choice::Route(_)));
        let number = shared.see(observation, routes.map(|route| route.promise).fold(0.0, f64::max));
        let promised = shared.start(observation, self.reward).promised(observation.request);
        let comes_again = comes_again(observation);
        let is_kept = self.replay.is_some() && !comes_again;
        let kept = actions.iter().filter(|_| is_kept);
        self.turns.push(Turn {
            number,
            index: observation.index,
            tenant: observation.request.tenant,
            comes_again,
            at: actions[chosen].at,
            promise: actions[chosen].promise - promised,
            best: actions[best(actions)].own - promised,
            uses: hours.iter().map(|hours| hours.place()).collect(),
            actions: kept.map(|action| (action.at, action.promise - promised)).collect(),
        });
    }

    /// Learns from the step's turns, the last one first.
    fn learn(&mut self, losses: &Losses) {
        let turns = std::mem::take(&mut self.turns);
        let mut next: SmallVec<[Option<&Turn>; 8]> = SmallVec::from_elem(None, self.tenants);
        for turn in turns.iter().rev() {
            for (at, lost) in turn.uses.iter().zip(&losses.by_provider[turn.number]) {
                self.hours.learn(*at, *lost, self.settings.learning_rate, 1.0);
            }
            if turn.comes_again {
                // all others have come: nothing follows but what becomes of this request
                self.update(turn.at, losses.of(turn.index) - turn.promise);
                continue;
            }
            let next = next[turn.tenant].replace(turn);
            let earned = losses.until(turn.index, next.map(|next| next.index)) - turn.promise;
            self.update(turn.at, earned + self.settings.discount * next.map_or(0.0, |next| next.best));
            if let Some(replay) = &mut self.replay {
                let next = next.map(|next| next.actions.clone()).unwrap_or_default();
                replay.push(Experience { at: turn.at, earned, next });
            }
        }
    }

    fn check(&self, knowledge: &Knowledge) -> Result<(), String> {
        let is_known = |at: &StateAction| {
            usize::from(at.tenant) < self.tenants && usize::from(at.gpu_type) < self.gpu_types
        };
        if !knowledge.cells.keys().all(is_known) {
            let Self { tenants, gpu_types, .. } = self;
            return Err(format!("expected values of {tenants} tenants and {gpu_types} GPU types"));
        }
        if !knowledge.hours.keys().all(|at| usize::from(at.provider) < self.providers) {
            return Err(format!("expected values of the hours of {} providers", self.providers));
        }
        Ok(())
    }

    fn update(&mut self, at: StateAction, target: f64) {
        let error = self.values.learn(at, target, self.settings.learning_rate, 1.0);
        self.learning.count(error);
    }

    /// Learns once more from some of what it remembers.
    fn replay(&mut self) {
        let Some(mut replay) = self.replay.take() else { return };
        let mut batch = std::mem::take(&mut self.batch);
        replay.draw(&mut self.replay_rng, &mut batch);
        for Drawn { position, weight } in &batch {
            let Experience { at, earned, next } = replay.at(*position);
            let values = next.iter().map(|(at, promise)| promise + self.values.get(*at));
            let best = values.reduce(f64::max).unwrap_or(0.0);
            let target = earned + self.settings.discount * best;
            let error = self.values.learn(*at, target, self.settings.learning_rate, *weight);
            replay.learned(*position, error);
        }
        self.batch = batch;
        self.replay = Some(replay);
    }
}

impl Agent for RequestAware {
    type Shared = Step;
    type Knowledge = Knowledge;
    type Progress = Progress;

    const ORDER: Order = Order::ShortestFirst;

    fn begin_episode(&mut self, seed: u64, agent: u32) {
        self.reseed(seed, agent);
    }

    fn reseed(&mut self, seed: u64, agent: u32) {
        self.rng = generator(seed, Stream::Agent(agent));
        self.replay_rng = generator(seed, Stream::Replay(agent));
    }

    fn decide(&mut self, observation: &Observation<'_>, shared: &mut Step) -> Decision {
        let start = shared.start(observation, self.reward);
        let hours = Hours::of_all(observation, start.phase(observation));
        let actions = self.actions(observation, State::new(observation, start), &hours);
        let best = best(&actions);
        let epsilon = self.learning.epsilon();
        let explored = epsilon > 0.0 && self.rng.random::<f64>() < epsilon;
        let chosen = if explored { self.rng.random_range(0..actions.len()) } else { best };
        if !self.learning.frozen {
            self.remember(observation, shared, &actions, chosen, &hours);
        }
        let Action { choice, value, .. } = actions[chosen];
        let share = epsilon / actions.len() as f64;
        Decision {
            choice,
            explored,
            propensity: if chosen == best { 1.0 - epsilon + share } else { share },
            value: Some(value),
        }
    }

    fn score(&mut self, observation: &Observation<'_>, candidate: &Candidate) -> Option<f64> {
        let Observation { env, market, request, .. } = *observation;
        let Candidate { provider, price, .. } = *candidate;
        let state = State::new(observation, &Start::new(env, market, self.reward, 1.0));
        let hours = Hours::of_all(observation, observation.phase)[provider];
        let own = self.values.get(state.with(Choice::Route(provider), price * request.hours));
        let taken = hours.taken(request.hours, &self.hours);
        Some(promise(env, request, candidate, 0.0, self.reward) + own + taken)
    }

    fn observe_step(&mut self, outcome: &StepOutcome<'_>, shared: &mut Step) {
        self.reward = outcome.reward;
        shared.end(outcome);
    }

    fn end_step(&mut self, _rewards: &[f64], shared: &Step) {
        if let Some(losses) = &shared.losses {
            self.learn(losses);
            self.replay();
        }
        self.turns.clear();
    }

    fn learning(&self) -> Option<&Learning> {
        Some(&self.learning)
    }

    fn learning_mut(&mut self) -> Option<&mut Learning> {
        Some(&mut self.learning)
    }

    fn size(&self) -> u64 {
        (self.values.len() + self.hours.len()) as u64
    }

    fn forget(&mut self, kept: f64) {
        self.values.forget(kept);
        self.hours.forget(kept);
        self.replay = self.settings.replay.enabled.then(|| Replay::new(self.settings.replay));
    }

    fn knowledge(&self) -> Knowledge {
        Knowledge { reward: self.reward, cells: self.values.cells(), hours: self.hours.cells() }
    }

    fn absorb(&mut self, knowledge: Knowledge) -> Result<(), String> {
        self.check(&knowledge)?;
        self.reward = knowledge.reward;
        self.values = Values::of_cells(&knowledge.cells);
        self.hours = Values::of_cells(&knowledge.hours);
        self.replay = self.settings.replay.enabled.then(|| Replay::new(self.settings.replay));
        Ok(())
    }

    fn heed(&mut self, others: Option<Knowledge>) -> Result<(), String> {
        let others = others.unwrap_or_default();
        self.check(&others)?;
        self.values.heed(&others.cells);
        self.hours.heed(&others.hours);
        Ok(())
    }

    fn progress(&self) -> Progress {
        let replay = self.replay.as_ref();
        Progress {
            exploration: self.learning.exploration,
            fresh: self.values.fresh(),
            fresh_hours: self.hours.fresh(),
            replay: replay.map(|replay| replay.transitions().cloned().collect()),
            replay_next: replay.map_or(0, Replay::next),
            priorities: replay.and_then(Replay::priorities),
        }
    }

    fn resume(&mut self, progress: Progress) -> Result<(), String> {
        self.learning.exploration = progress.exploration.at_rate(self.settings.epsilon);
        if let (true, Some(experiences)) = (self.settings.replay.enabled, progress.replay) {
            let (next, priorities) = (progress.replay_next, progress.priorities);
            self.replay = Some(Replay::restored(self.settings.replay, experiences, next, priorities)?);
        }
        self.hours.restore_fresh(progress.fresh_hours)?;
        self.values.restore_fresh(progress.fresh)
    }
}

/// The position of the highest value; of equal ones the first.
fn best(actions: &Actions) -> usize {
    let mut best = 0;
    for (i, action) in actions.iter().enumerate() {
        if action.value > actions[best].value {
            best = i;
        }
    }
    best
}
