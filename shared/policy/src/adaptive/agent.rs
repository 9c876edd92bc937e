//! `adaptive`: bid prices on a learned model, decided by learned settings.
//!
//! **The model** ([`Model`]) estimates what the fluid program needs to know: how many requests a step brings and how
//! sure that is, which ones, how often each provider fails and how long it really takes. What is unsure is not
//! averaged away: prices are the mean over the numbers of requests that are as likely.
//!
//! **The settings** (when to let a request wait, how wide to take what is unsure) are those that have earned most when
//! steps were rehearsed ([`Tuning`]). No request is experimented on: the agent that has led a step plays it again in
//! thought.
//!
//! **The swarm.** Agents tell each other on the [`Step`] what they tried and rehearsed, so that all learn from all; an
//! agent that is made to forget starts afresh alone. Agents of regions do not: each has a [`Member`]'s view of the step,
//! and learns of the others by the [`Board`] alone.
//!
//! It plans for whatever is wanted. A step's capacities and budgets end with it, so it needs no discount; its
//! learning rates are those that have predicted best.

use rand::RngExt as _;
use rand_pcg::Pcg64;
use routing_env::{
    Candidate, Choice, Environment, Episode, Market, Observation, Preference, Preferences, Request, Reward,
    StepOutcome, Stream, Turn, generator,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    adaptive::{
        board::Board,
        knowledge::{Knowledge, World, Worlds, world},
        member::Member,
        model::{Estimators, Model, Seen, Tries},
        prior::{Start, Ways},
        settings::{EstimatorSettings, Settings},
        tuning::{ByKind, KINDS, Rehearsals, Tuning, kind, told_apart},
    },
    division::Regions,
    error::SwarmError,
    fault::Fault,
    learning::{Exploration, Learning},
    policy::{Agent, Decision, Learner, Order, Shared},
    prices::bid_price::{self, BidPrices, Notes, Plan},
    prices::forecast::Beliefs,
    step_evidence::{PastStep, StepEvidence},
    told::Told,
};

/// The learner.
#[derive(Clone)]
pub(crate) struct Adaptive {
    env: Environment,
    estimators: EstimatorSettings,
    model: Model,
    /// By kind of what is wanted, and the kind of what is wanted now.
    rehearsals: [Rehearsals; KINDS],
    kind: usize,
    /// What this world is called, whether it was trained in, and what was found in others.
    world: String,
    knows_this_world: bool,
    elsewhere: Worlds,
    learning: Learning,
    rng: Pcg64,
    wanted: Preferences,
    prices: BidPrices,
    /// What is believed of this step, once something of it has been seen.
    beliefs: Option<Beliefs>,
    leads: bool,
    /// What it has as one of a region, where agents are.
    member: Option<Member>,
}

/// What the agents tell each other of a step.
#[derive(Default)]
pub(crate) struct Step {
    notes: Notes,
    /// What was tried where.
    tries: Tries,
    /// The market before the step's first request.
    opening: Option<Market>,
    /// What the step showed, once it has ended.
    seen: Option<Seen>,
    /// What each of the settings would have earned in the step, where it was rehearsed.
    rehearsed: Vec<f64>,
    /// Whose each request is.
    agents: Vec<usize>,
    /// Where agents of regions report; it lasts for the episode.
    board: Option<Board>,
}

impl Shared for Step {
    fn begin_step(&mut self) {
        self.notes.begin_step();
        let (notes, board) = (std::mem::take(&mut self.notes), self.board.take());
        *self = Self { notes, board, ..Self::default() };
    }

    fn trust(&self, agent: usize) -> Option<f64> {
        self.board.as_ref().map(|board| board.trust(agent))
    }

    fn divide(&mut self, agents: &[usize]) {
        self.agents = agents.to_vec();
    }

    fn withdraw(&mut self, index: usize) {
        self.notes.withdraw(index);
    }

    fn end_arrivals(&mut self, requests: usize) {
        self.notes.end_arrivals(requests);
    }

    fn kept(&self) -> Value {
        self.notes.kept()
    }

    fn keep(&mut self, kept: Value) -> Result<(), String> {
        self.notes.keep(kept)
    }
}

/// What an agent has seen of an episode.
#[derive(Serialize, Deserialize)]
struct EpisodeSeen {
    estimators: Estimators,
    rehearsals: [Rehearsals; KINDS],
}

impl Adaptive {
    /// Those of what is wanted now.
    fn rehearsals(&self) -> &Rehearsals {
        &self.rehearsals[self.kind]
    }

    /// Whether it plays steps again in thought: it does where it learns, and also when it is frozen in a world that it was
    /// not trained in, or asked for another kind of thing there, where what it has learned of the settings says nothing.
    fn rehearses(&self) -> bool {
        !self.learning.frozen || self.rehearsals().is_empty()
    }

    /// What each of the settings would have earned in a step of these requests, where it is to be rehearsed.
    fn rehearse(&self, market: &Market, requests: &[Request], unserved: u64, beliefs: &Beliefs) -> Vec<f64> {
        let Some(weight) = self.rehearsals().now().weight(unserved) else { return Vec::new() };
        let weight = weight / self.wanted.all.scale(&self.env);
        let mut opening = None;
        let earned = |settings| weight * self.rehearsed(settings, market, requests, beliefs, &mut opening);
        self.rehearsals().now().all().map(earned).collect()
    }

    /// Plays a step that it has led again in thought, where it rehearses.
    fn rehearse_step(&self, outcome: &StepOutcome<'_>, unserved: u64, shared: &mut Step) {
        if self.rehearses()
            && let Some((market, beliefs)) = shared.opening.as_ref().zip(self.beliefs.as_ref())
        {
            shared.rehearsed = self.rehearse(market, outcome.requests, unserved, beliefs);
        }
    }

    /// Reports its own part of the step. Whoever is the last to do so rehearses the step that can be read then: all would
    /// read and rehearse the same one.
    fn report(&mut self, outcome: &StepOutcome<'_>, shared: &mut Step) {
        let Some(member) = &mut self.member else { return };
        let report = member.report(&self.env, outcome, &shared.tries);
        let board = shared.board.get_or_insert_with(|| member.board(&self.env));
        let is_complete = board.post(report, shared.opening.as_ref());
        if is_complete
            && self.rehearses()
            && let Some((Some(market), requests, unserved)) = board.readable()
        {
            let beliefs = self.model.beliefs(outcome.hour_of_week);
            shared.rehearsed = self.rehearse(market, &requests, unserved, &beliefs);
        }
    }

    /// Plays the step again as the settings would have it: the rewards of all its requests. All settings begin with the
    /// same prices, which the first one leaves in `opening`.
    fn rehearsed(
        &self,
        settings: bid_price::Settings,
        market: &Market,
        requests: &[Request],
        beliefs: &Beliefs,
        opening: &mut Option<Plan>,
    ) -> f64 {
        let mut prices = BidPrices::new(settings, &self.wanted);
        let mut notes = Notes::at(opening.clone());
        // without what is paid for single tenants: it is the same for all settings that serve them
        let reward = Reward::Preference(self.wanted.all);
        let mut episode = Episode::of_step(&self.env, market.clone(), requests.to_vec(), 0, reward);
        episode.begin_step();
        while let Some(turn) = episode.turn() {
            match turn {
                Turn::Request(observation) => {
                    let decision = prices.decide(&observation, beliefs, &mut notes);
                    if opening.is_none() {
                        opening.clone_from(&notes.plan);
                    }
                    episode.act(decision.choice);
                }
                Turn::Waiting { requests, waiting, .. } => {
                    let mut order = waiting.to_vec();
                    notes.end_arrivals(requests.len());
                    Self::ORDER.sort(requests, &mut order);
                    episode.order_waiting(&order);
                }
            }
        }
        episode.outcome().metrics.overall.reward
    }
}

fn nothing_rehearsed() -> [Rehearsals; KINDS] {
    std::array::from_fn(|_| Rehearsals::new(Tuning::new()))
}

impl Agent for Adaptive {
    type Shared = Step;
    type Knowledge = Knowledge;
    type Progress = Exploration;

    const ORDER: Order = Order::LongestFirst;

    fn begin_episode(&mut self, seed: u64, agent: u32) {
        self.reseed(seed, agent);
        self.model.begin_episode();
        self.rehearsals.iter_mut().for_each(Rehearsals::begin_episode);
        self.beliefs = None;
        if let Some(member) = &mut self.member {
            member.begin_episode(agent as usize);
        }
    }

    fn reseed(&mut self, seed: u64, agent: u32) {
        self.rng = generator(seed, Stream::Agent(agent));
    }

    fn lead_step(&mut self, _shared: &mut Step) {
        self.leads = true;
    }

    fn decide(&mut self, observation: &Observation<'_>, shared: &mut Step) -> Decision {
        let rehearses = self.rehearses();
        let Self { beliefs, prices, model, rehearsals, kind, member, wanted, .. } = self;
        if shared.opening.is_none() && rehearses {
            shared.opening = Some(observation.market.clone());
        }
        let beliefs = beliefs.get_or_insert_with(|| {
            *prices = BidPrices::new(rehearsals[*kind].now().leader(), wanted);
            model.beliefs(observation.hour_of_week)
        });
        let mut decision = match member {
            Some(member) => member.decide(prices, observation, beliefs, &shared.agents),
            None => prices.decide(observation, beliefs, &mut shared.notes),
        };
        let epsilon = self.learning.epsilon();
        if epsilon > 0.0 {
            let count = observation.candidates.len();
            let drawn = observation.candidates[self.rng.random_range(0..count)].provider;
            let share = epsilon / count as f64;
            // what has been set aside stays so: it is decided when it comes back
            if decision.choice != Choice::Defer && self.rng.random::<f64>() < epsilon {
                let is_best = decision.choice == Choice::Route(drawn);
                decision = Decision {
                    choice: Choice::Route(drawn),
                    explored: true,
                    propensity: if is_best { 1.0 - epsilon + share } else { share },
                    ..decision
                };
            } else if decision.choice != Choice::Defer {
                let routed = matches!(decision.choice, Choice::Route(_));
                decision.propensity = 1.0 - epsilon + if routed { share } else { 0.0 };
            }
        }
        if let Choice::Route(provider) = decision.choice
            && let Some(candidate) = observation.candidates.iter().find(|c| c.provider == provider)
        {
            shared.tries.entry(observation.index).or_default().push((provider, candidate.latency_ms));
        }
        decision
    }

    fn score(&mut self, _observation: &Observation<'_>, candidate: &Candidate) -> Option<f64> {
        self.prices.net(candidate)
    }

    fn observe_step(&mut self, outcome: &StepOutcome<'_>, shared: &mut Step) {
        let leads = std::mem::take(&mut self.leads);
        if self.member.is_some() {
            return self.report(outcome, shared);
        }
        let Step { seen, tries, .. } = &mut *shared;
        let seen = seen.get_or_insert_with(|| Seen::new(&self.env, outcome, tries, |_| true));
        let unserved = seen.unserved;
        if leads {
            self.rehearse_step(outcome, unserved, shared);
        }
    }

    fn observe_window(&mut self, outcome: &StepOutcome<'_>, told: &[Told], shared: &mut Step) {
        let leads = std::mem::take(&mut self.leads);
        let seen = shared.seen.get_or_insert_with(|| Seen::told(&self.env, outcome, told));
        let unserved = seen.unserved;
        if leads {
            self.rehearse_step(outcome, unserved, shared);
        }
    }

    fn moment(&self) -> String {
        // kinds of which nothing is known have no place in it, so that it is what it was before they were told apart
        let rehearsals = told_apart(&self.rehearsals, |rehearsals| rehearsals.now().is_empty());
        format!("{:?} {rehearsals:?} {:?}", self.model, self.beliefs)
    }

    fn seen(&self) -> Option<Value> {
        if self.member.is_some() {
            return None; // it has a view of its own, and the others a board
        }
        let (estimators, rehearsals) = (self.model.estimators(), self.rehearsals.clone());
        serde_json::to_value(EpisodeSeen { estimators, rehearsals }).ok()
    }

    fn go_on(&mut self, seen: Value) -> Result<(), String> {
        let EpisodeSeen { estimators, rehearsals } =
            serde_json::from_value(seen).map_err(|error| error.to_string())?;
        if !self.rehearsals.iter().zip(&rehearsals).all(|(own, seen)| own.is_like(seen)) {
            return Err("rehearsals: expected those of the same settings".into());
        }
        self.model.go_on(estimators)?;
        self.rehearsals = rehearsals;
        self.beliefs = None;
        Ok(())
    }

    fn end_step(&mut self, _rewards: &[f64], shared: &Step) {
        let own = self.member.as_mut().and_then(|member| member.seen(shared.board.as_ref()?));
        if let Some(seen) = own.as_ref().or(shared.seen.as_ref()) {
            let error = self.model.observe(seen, !self.learning.frozen);
            self.learning.count(error);
            self.knows_this_world |= !self.learning.frozen;
        }
        let rehearsable = match &shared.board {
            Some(board) => board.readable().map(|(_, _, unserved)| unserved),
            None => shared.seen.as_ref().map(|seen| seen.unserved),
        };
        if let Some(unserved) = rehearsable.filter(|_| self.rehearses()) {
            self.rehearsals[self.kind].count(unserved, &shared.rehearsed, !self.learning.frozen);
        }
        self.beliefs = None;
        if let Some(member) = &mut self.member {
            member.begin_step();
        }
    }

    fn step_evidence(&self, shared: &Step) -> Option<StepEvidence> {
        Some(shared.seen.as_ref()?.evidence())
    }

    fn heed_steps(&mut self, others: &[PastStep]) -> Result<bool, String> {
        if self.member.is_some() {
            return Ok(false);
        }
        others.iter().try_for_each(|past| past.evidence.check(self.env.catalog().providers.len()))?;
        self.model.heed_steps(others);
        self.beliefs = None;
        Ok(true)
    }

    fn prefer(&mut self, wanted: &Preferences) -> bool {
        self.wanted.clone_from(wanted);
        self.kind = kind(&self.env, wanted.all);
        true
    }

    fn set_fault(&mut self, fault: Option<Fault>) -> bool {
        let Some(member) = &mut self.member else { return false };
        member.set_fault(fault);
        true
    }

    fn learning(&self) -> Option<&Learning> {
        Some(&self.learning)
    }

    fn learning_mut(&mut self) -> Option<&mut Learning> {
        Some(&mut self.learning)
    }

    fn size(&self) -> u64 {
        self.model.size()
    }

    fn forget(&mut self, kept: f64) {
        if kept > 0.0 {
            // how far what it has seen of the episode is believed it finds out by itself
            self.model.begin_episode();
            self.rehearsals.iter_mut().for_each(Rehearsals::begin_episode);
            self.beliefs = None;
            return;
        }
        self.model = Model::new(&self.env, self.estimators);
        self.rehearsals = nothing_rehearsed();
        self.elsewhere.clear();
        self.knows_this_world = false;
    }

    fn knowledge(&self) -> Knowledge {
        let mut worlds = self.elsewhere.clone();
        if self.knows_this_world {
            let tunings = ByKind(self.rehearsals.each_ref().map(|rehearsals| rehearsals.learned().clone()));
            let found = World { tunings, records: self.model.records() };
            worlds.insert(self.world.clone(), found);
        }
        Knowledge { facts: self.model.facts(), worlds }
    }

    fn absorb(&mut self, knowledge: Knowledge) -> Result<(), String> {
        let Knowledge { facts, mut worlds } = knowledge;
        worlds.values().flat_map(|world| &world.tunings.0).try_for_each(Tuning::check)?;
        let here = worlds.remove(&self.world);
        self.knows_this_world = here.is_some();
        self.elsewhere = worlds;
        let (tunings, records) = here.map(|here| (here.tunings, here.records)).unzip();
        self.rehearsals = tunings.map_or_else(nothing_rehearsed, |tunings| tunings.0.map(Rehearsals::new));
        self.model = Model::new(&self.env, self.estimators);
        self.model.recall(facts, records)
    }

    fn heed(&mut self, others: Option<Knowledge>) -> Result<(), String> {
        let (facts, mut worlds) = others.map(|Knowledge { facts, worlds }| (facts, worlds)).unzip();
        let here = worlds.as_mut().and_then(|worlds| worlds.remove(&self.world));
        let (tunings, records) = here.map(|here| (here.tunings, here.records)).unzip();
        self.model.heed(facts, records)?;
        let tunings = tunings.map_or_else(|| [const { None }; KINDS], |tunings| tunings.0.map(Some));
        self.rehearsals.iter_mut().zip(tunings).try_for_each(|(own, others)| own.heed(others))
    }

    fn progress(&self) -> Exploration {
        self.learning.exploration
    }

    fn resume(&mut self, progress: Exploration) -> Result<(), String> {
        self.learning.exploration = progress.at_rate(self.learning.exploration.epsilon);
        Ok(())
    }
}

impl Learner for Adaptive {
    type Settings = Settings;

    /// An agent that knows the catalog's word.
    fn new(settings: Settings, agents: u32, env: &Environment) -> Result<Self, SwarmError> {
        let rehearsals = nothing_rehearsed();
        let regions = settings.regions.enabled.then(|| Regions::new(env, agents.max(1) as usize));
        Ok(Self {
            env: env.clone(),
            beliefs: None,
            estimators: settings.estimators,
            model: Model::new(env, settings.estimators),
            prices: BidPrices::new(rehearsals[0].now().leader(), &Preference::EXCESS_COST.into()),
            wanted: Preference::EXCESS_COST.into(),
            rehearsals,
            kind: 0,
            world: world(env),
            knows_this_world: false,
            elsewhere: Worlds::new(),
            learning: Learning::at_rate(settings.epsilon),
            rng: generator(0, Stream::Agent(0)),
            leads: false,
            member: regions.map(|regions| Member::new(regions, settings.regions)),
        })
    }

    type Start = Start;
    type Ways = Ways;

    /// What it rehearses outweighs what a prior says.
    const GUARDED: bool = false;

    fn begin_with(&mut self, env: &Environment, start: Start, ways: Ways) -> Result<(), String> {
        start.check()?;
        if !(ways.counts_as.is_finite() && ways.counts_as >= 0.0) {
            return Err("learning: expected counts_as to be 0 or more".into());
        }
        self.rehearsals = start.tunings(env, ways.counts_as).map(Rehearsals::new);
        if env.workloads().knowledge == routing_env::Knowledge::Hidden {
            let facts = self.model.facts();
            self.model.recall(facts, start.records)?;
        }
        Ok(())
    }

    fn pool(met: &[(&Environment, Knowledge)]) -> Result<Start, String> {
        Start::pool(met)
    }

    fn ways() -> Vec<Ways> {
        [8.0, 2.0, 32.0].map(|counts_as| Ways { counts_as }).into()
    }

    /// Since 2 it plans for second tries, and goes on weighing while it is frozen; since 3 it assigns whole jobs that wait.
    fn revision(_settings: &Settings) -> u32 {
        3
    }
}
