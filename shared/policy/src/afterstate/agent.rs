//! Bid prices learned by temporal differences: the value of the state *after* a decision (Sutton and Barto 2018, 6.8;
//! Powell 2011, chapter 4.6).
//!
//! The value of a point in a step is the sum of concave tables, one for what is left of each provider and one for what
//! is left of each tenant's budget, both against what the rest of the step is expected to ask for. A request is routed
//! where its reward and the change of this value are most together, held where that is below 0, and set aside where
//! requests like it have earned more at the step's end, less what one of the few waiting places is worth.
//!
//! After each step the values are moved towards λ-returns, backwards over the agent's turns. What counts as earned is
//! the whole team's, beyond what is usual for the requests that came (a control variate: which requests come is luck,
//! and the same for every decision). A request that was set aside has earned its reward when it was set aside. A
//! request has no time of its own: the discount γ is that of a whole step.

use rand::RngExt;
use rand_pcg::Pcg64;
use routing_env::{
    Candidate, Choice, Environment, Fate, Observation, Request, Resolution, Reward, Routed, StepOutcome,
    Stream, generator,
};
use smallvec::SmallVec;

use crate::{
    afterstate::{
        concave_tables::{ConcaveTables, PHASES, Place},
        deferral::DeferralValues,
        knowledge::{Knowledge, Progress},
        prior::{Start, Ways},
        request_classes::{RequestClasses, Returns, UsualRewards},
        scarcity::{Expected, Scarcity, Standing},
        settings::Settings,
    },
    error::SwarmError,
    learning::Learning,
    policy::{Agent, Decision, Learner, Order, Shared},
};

/// λ from one request to the next.
const LAMBDA: f64 = 0.6;

/// After so many updates the learning rate is half of what it was.
const HALF_RATE_AFTER: f64 = 10_000.0;

/// The share of the learning rate that is always left.
const LEAST_RATE: f64 = 0.01;

/// The learner.
#[derive(Clone)]
pub(crate) struct Afterstate {
    settings: Settings,
    /// γ from one request to the next.
    discount: f64,
    scarcity: Scarcity,
    classes: RequestClasses,
    /// What it was last taught: what a decision earns at once is reckoned by it.
    reward: Reward,
    tables: ConcaveTables,
    deferral: DeferralValues,
    usual: UsualRewards,
    updates: u64,
    learning: Learning,
    rng: Pcg64,
    /// This step's turns with requests that had just arrived, and where each led: so many places a turn.
    turns: Vec<Turn>,
    places: Vec<Place>,
}

/// What the agents tell each other of a step.
#[derive(Default)]
pub(crate) struct Step {
    /// How many requests have been set aside.
    waiting: usize,
    /// What the whole step is expected to ask for.
    expected: Option<Expected>,
    /// What was earned beyond what is usual, once the step has ended.
    returns: Option<Returns>,
}

impl Shared for Step {
    fn begin_step(&mut self) {
        *self = Self::default();
    }

    fn withdraw(&mut self, _index: usize) {
        self.waiting -= 1;
    }
}

#[derive(Clone, Copy)]
struct Turn {
    index: usize,
    /// The class and phase in which it was set aside.
    deferred: Option<(usize, usize)>,
}

/// What a turn may come to, and what each choice is worth.
struct Options {
    choices: SmallVec<[(Choice, f64); 10]>,
    best: usize,
}

impl Afterstate {
    /// What routing earns at once and leaves behind.
    fn routed(&self, at: &Standing<'_>, env: &Environment, request: &Request, to: &Candidate) -> f64 {
        let cost = to.price * request.hours;
        let list_cost = env.list_price(request.gpu_type).map_or(cost, |price| price * request.hours);
        let Candidate { provider, price, latency_ms } = *to;
        let reward = self.reward.of_request(&Resolution {
            tenant: request.tenant,
            hours: request.hours,
            deferred: false,
            fate: Fate::Routed(Routed { provider, price, cost, list_cost, latency_ms }),
        });
        if at.left <= 0.0 {
            return reward; // nothing more is to come
        }
        let changes = self.scarcity.routed(at, request, to);
        reward + changes.iter().map(|change| self.change(*change)).sum::<f64>()
    }

    fn change(&self, [before, after]: [Place; 2]) -> f64 {
        self.tables.concave(after) - self.tables.concave(before)
    }

    fn options(&self, at: &Standing<'_>, observation: &Observation<'_>) -> Options {
        let Observation { env, request, candidates, may_hold, may_defer, .. } = *observation;
        let mut choices = SmallVec::<[(Choice, f64); 10]>::new();
        choices.extend(
            candidates.iter().map(|candidate| {
                (Choice::Route(candidate.provider), self.routed(at, env, request, candidate))
            }),
        );
        if may_hold {
            choices.push((Choice::Hold, 0.0));
        }
        if may_defer {
            let later = self.deferral.value(self.classes.of(request), at.phase);
            choices.push((Choice::Defer, later + self.change(self.scarcity.deferred(at))));
        }
        let mut best = 0;
        for (i, (_, value)) in choices.iter().enumerate() {
            if *value > choices[best].1 {
                best = i;
            }
        }
        Options { choices, best }
    }

    fn remember(&mut self, at: &Standing<'_>, observation: &Observation<'_>, choice: Choice) {
        let Observation { request, candidates, index, .. } = *observation;
        let deferred = (choice == Choice::Defer).then(|| (self.classes.of(request), at.phase));
        self.turns.push(Turn { index, deferred });
        let first = self.places.len();
        self.scarcity.places(at, &mut self.places);
        if deferred.is_some() {
            self.places[first + self.scarcity.coordinate_of_waiting()] = self.scarcity.deferred(at)[1];
        }
        let chosen = candidates.iter().find(|candidate| choice == Choice::Route(candidate.provider));
        if let Some(candidate) = chosen {
            let coordinates = self.scarcity.coordinates_of(candidate.provider, request.tenant);
            let changes = self.scarcity.routed(at, request, candidate);
            for (coordinate, [_, after]) in coordinates.into_iter().zip(changes) {
                self.places[first + coordinate] = after;
            }
        }
    }

    /// TD(λ) backwards over the agent's turns; between two of them the others' requests count as one reward.
    fn learn(&mut self, from: &[f64]) {
        let rate = self.settings.learning_rate;
        let mut next: Option<(usize, f64, f64)> = None;
        for (turn, places) in self.turns.iter().zip(self.places.chunks(self.scarcity.coordinates())).rev() {
            let target = match next {
                None => from[turn.index + 1],
                Some((index, value, target)) => {
                    let requests = (index - turn.index) as i32; // of one step
                    let (discount, lambda) = (self.discount.powi(requests), LAMBDA.powi(requests));
                    let until_then = from[turn.index + 1] - discount * from[index + 1];
                    until_then + discount * (value + lambda * (target - value))
                }
            };
            let value = self.tables.learned(places);
            next = Some((turn.index, value, target));
            let share = (1.0 / (1.0 + self.updates as f64 / HALF_RATE_AFTER)).max(LEAST_RATE);
            self.tables.learn(places, rate * share, target - value);
            self.updates += 1;
            self.learning.count(target - value);
        }
        self.tables.settle();
    }
}

/// Where the step stands when this is observed and so many requests wait.
fn standing<'a>(observation: &Observation<'a>, expected: &'a Expected, waiting: usize) -> Standing<'a> {
    let phase = observation.phase;
    Standing {
        expected,
        market: observation.market,
        waiting,
        left: if observation.waited_ms.is_some() { 0.0 } else { 1.0 - phase },
        phase: ((phase * PHASES as f64) as usize).min(PHASES - 1),
    }
}

impl Agent for Afterstate {
    type Shared = Step;
    type Knowledge = Knowledge;
    type Progress = Progress;

    const ORDER: Order = Order::LongestFirst;

    fn begin_episode(&mut self, seed: u64, agent: u32) {
        self.reseed(seed, agent);
    }

    fn reseed(&mut self, seed: u64, agent: u32) {
        self.rng = generator(seed, Stream::Agent(agent));
    }

    fn decide(&mut self, observation: &Observation<'_>, shared: &mut Step) -> Decision {
        let Observation { env, market, .. } = *observation;
        let expected = shared.expected.get_or_insert_with(|| Expected::new(env, market));
        let is_new = observation.waited_ms.is_none() && observation.failed_at.is_none();
        let at = standing(observation, expected, shared.waiting);
        let Options { choices, best } = self.options(&at, observation);
        let epsilon = self.learning.epsilon();
        let explored = epsilon > 0.0 && self.rng.random::<f64>() < epsilon;
        let chosen = if explored { self.rng.random_range(0..choices.len()) } else { best };
        let (choice, value) = choices[chosen];
        if is_new && !self.learning.frozen {
            self.remember(&at, observation, choice);
        }
        if choice == Choice::Defer {
            shared.waiting += 1;
        }
        let share = epsilon / choices.len() as f64;
        Decision {
            choice,
            explored,
            propensity: if chosen == best { 1.0 - epsilon + share } else { share },
            value: Some(value),
        }
    }

    fn score(&mut self, observation: &Observation<'_>, candidate: &Candidate) -> Option<f64> {
        let Observation { env, market, request, .. } = *observation;
        let expected = Expected::new(env, market);
        Some(self.routed(&standing(observation, &expected, 0), env, request, candidate))
    }

    fn observe_step(&mut self, outcome: &StepOutcome<'_>, shared: &mut Step) {
        if self.learning.frozen {
            return;
        }
        self.reward = outcome.reward;
        match &shared.returns {
            Some(returns) => self.usual.follow(returns),
            None => shared.returns = Some(self.usual.measure(&self.classes, outcome, self.discount)),
        }
        for turn in &self.turns {
            if let Some((class, phase)) = turn.deferred {
                let reward = outcome.reward.of_request(&outcome.resolutions[turn.index]);
                self.deferral.learn(class, phase, reward);
            }
        }
    }

    fn end_step(&mut self, _rewards: &[f64], shared: &Step) {
        if let Some(returns) = shared.returns.as_ref().filter(|_| !self.learning.frozen) {
            self.learn(&returns.from);
        }
        self.turns.clear();
        self.places.clear();
    }

    fn learning(&self) -> Option<&Learning> {
        Some(&self.learning)
    }

    fn learning_mut(&mut self) -> Option<&mut Learning> {
        Some(&mut self.learning)
    }

    fn size(&self) -> u64 {
        self.tables.len() as u64
    }

    fn forget(&mut self, kept: f64) {
        if kept > 0.0 {
            self.tables.forget(kept);
            self.deferral.forget(kept);
            self.usual.forget(kept);
            self.updates = (self.updates as f64 * kept) as u64;
            return;
        }
        self.tables = ConcaveTables::new(self.scarcity.coordinates());
        self.deferral = DeferralValues::new(self.classes.len());
        self.usual = UsualRewards::new(&self.classes);
        self.updates = 0;
    }

    fn knowledge(&self) -> Knowledge {
        let [values, means, visits] = self.tables.shown();
        let (deferral, deferral_visits) = self.deferral.shown();
        Knowledge { reward: self.reward, values, means, visits, deferral, deferral_visits }
    }

    fn absorb(&mut self, knowledge: Knowledge) -> Result<(), String> {
        let (coordinates, classes) = (self.scarcity.coordinates(), self.classes.len());
        self.reward = knowledge.reward;
        if !knowledge.is_of(coordinates, classes) {
            return Err(format!(
                "expected the values of {coordinates} coordinates and of {classes} classes of requests"
            ));
        }
        self.tables = ConcaveTables::acting_on(&knowledge.values, &knowledge.means, &knowledge.visits);
        self.deferral = DeferralValues::acting_on(&knowledge.deferral, &knowledge.deferral_visits);
        Ok(())
    }

    fn heed(&mut self, others: Option<Knowledge>) -> Result<(), String> {
        let (coordinates, classes) = (self.scarcity.coordinates(), self.classes.len());
        if others.as_ref().is_some_and(|others| !others.is_of(coordinates, classes)) {
            return Err(format!(
                "expected the values of {coordinates} coordinates and of {classes} classes of requests"
            ));
        }
        self.tables.heed(others.as_ref().map(|others| (&others.means, &others.visits)));
        let deferral = others
            .as_ref()
            .map(|others| (others.deferral.as_flattened(), others.deferral_visits.as_flattened()));
        self.deferral.heed(deferral);
        Ok(())
    }

    fn progress(&self) -> Progress {
        Progress {
            exploration: self.learning.exploration,
            updates: self.updates,
            tables: self.tables.clone(),
            deferral: self.deferral.clone(),
            usual: self.usual.clone(),
        }
    }

    fn resume(&mut self, progress: Progress) -> Result<(), String> {
        let classes = self.classes.len();
        let tables = progress.tables.read(self.scarcity.coordinates());
        let fits = progress.deferral.fits(classes) && progress.usual.0.len() == classes;
        let (Some(tables), true) = (tables, fits) else {
            return Err("the agent's progress is of other tables than its values".into());
        };
        (self.tables, self.deferral, self.usual) = (tables, progress.deferral, progress.usual);
        self.updates = progress.updates;
        self.learning.exploration = progress.exploration.at_rate(self.settings.epsilon);
        Ok(())
    }

    fn merge(team: &mut [Self]) {
        let tables = ConcaveTables::pool(team.iter().map(|agent| &agent.tables));
        let deferral = DeferralValues::pool(team.iter().map(|agent| &agent.deferral));
        for agent in team {
            agent.tables.adopt(&tables);
            agent.deferral.adopt(&deferral);
        }
    }
}

impl Learner for Afterstate {
    type Settings = Settings;
    type Start = Start;
    type Ways = Ways;

    fn begin_with(&mut self, _env: &Environment, start: Start, ways: Ways) -> Result<(), String> {
        start.check()?;
        if !(ways.counts_as.is_finite() && ways.counts_as >= 0.0) {
            return Err("learning: expected counts_as to be 0 or more".into());
        }
        let known = start.knowledge(&self.scarcity, self.classes.len(), &self.knowledge(), ways.counts_as);
        self.absorb(known)?;
        self.updates = ways.updates;
        Ok(())
    }

    fn pool(met: &[(&Environment, Knowledge)]) -> Result<Start, String> {
        let mut start = Start::default();
        met.iter().for_each(|(env, known)| start.add(&Scarcity::new(env), known));
        Ok(start)
    }

    fn ways() -> Vec<Ways> {
        let of = |counts_as, updates| Ways { counts_as, updates };
        vec![of(100.0, 0), of(1000.0, 10_000), of(1000.0, 40_000), of(10.0, 0)]
    }

    /// An agent that knows nothing yet.
    fn new(settings: Settings, _agents: u32, env: &Environment) -> Result<Self, SwarmError> {
        let scarcity = Scarcity::new(env);
        let classes = RequestClasses::new(env);
        let requests = env.expected_requests_of_all();
        Ok(Self {
            settings,
            discount: settings.discount.powf(1.0 / requests.max(1.0)),
            reward: Reward::default(),
            tables: ConcaveTables::new(scarcity.coordinates()),
            deferral: DeferralValues::new(classes.len()),
            usual: UsualRewards::new(&classes),
            scarcity,
            classes,
            updates: 0,
            learning: Learning::at_rate(settings.epsilon),
            rng: generator(0, Stream::Agent(0)),
            turns: Vec::new(),
            places: Vec::new(),
        })
    }
}
