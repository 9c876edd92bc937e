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
//! agent that is made to forget starts afresh alone.
//!
//! It plans with the `excess-cost` reward. A step's capacities and budgets end with it, so it needs no discount; its
//! learning rates are those that have predicted best.

use rand::RngExt as _;
use rand_pcg::Pcg64;
use routing_env::{
    Choice, Environment, Episode, Market, Observation, Request, Reward, StepOutcome, Stream, Turn, generator,
};

use crate::{
    adaptive::{
        knowledge::Knowledge,
        model::{Model, Seen, Tries},
        settings::Settings,
        tuning::Tuning,
    },
    error::SwarmError,
    learning::{Exploration, Learning},
    policy::{Agent, Decision, Learner, Order, Shared},
    prices::bid_price::{self, BidPrices, Notes, Plan},
    prices::forecast::Beliefs,
};

/// The learner.
#[derive(Clone)]
pub(crate) struct Adaptive {
    env: Environment,
    model: Model,
    tuning: Tuning,
    learning: Learning,
    rng: Pcg64,
    prices: BidPrices,
    /// What is believed of this step.
    beliefs: Beliefs,
    /// The step that comes next, and how many have been led.
    step: u32,
    leads: bool,
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
}

impl Shared for Step {
    fn begin_step(&mut self) {
        self.notes.begin_step();
        let notes = std::mem::take(&mut self.notes);
        *self = Self { notes, ..Self::default() };
    }

    fn end_arrivals(&mut self, requests: usize) {
        self.notes.end_arrivals(requests);
    }
}

impl Adaptive {
    fn begin_step(&mut self, step: u32) {
        self.step = step;
        self.beliefs = self.model.beliefs(step);
    }

    /// Plays the step again as the settings would have it: the rewards of all its requests. All settings begin with the
    /// same prices, which the first one leaves in `opening`.
    fn rehearsed(
        &self,
        settings: bid_price::Settings,
        market: &Market,
        requests: &[Request],
        opening: &mut Option<Plan>,
    ) -> f64 {
        let mut prices = BidPrices::new(settings);
        let mut notes = Notes::at(opening.clone());
        let mut episode =
            Episode::of_step(&self.env, market.clone(), requests.to_vec(), 0, Reward::EXCESS_COST);
        episode.begin_step();
        while let Some(turn) = episode.turn() {
            match turn {
                Turn::Request(observation) => {
                    let decision = prices.decide(&observation, &self.beliefs, &mut notes);
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

impl Agent for Adaptive {
    type Shared = Step;
    type Knowledge = Knowledge;
    type Progress = Exploration;

    const ORDER: Order = Order::LongestFirst;

    fn begin_episode(&mut self, seed: u64, agent: u32) {
        self.rng = generator(seed, Stream::Agent(agent));
        self.model.begin_episode();
        self.prices = BidPrices::new(self.tuning.leader());
        self.begin_step(0);
    }

    fn lead_step(&mut self, _shared: &mut Step) {
        self.leads = true;
    }

    fn decide(&mut self, observation: &Observation<'_>, shared: &mut Step) -> Decision {
        if shared.opening.is_none() && !self.learning.frozen {
            shared.opening = Some(observation.market.clone());
        }
        let mut decision = self.prices.decide(observation, &self.beliefs, &mut shared.notes);
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

    fn observe_step(&mut self, outcome: &StepOutcome<'_>, shared: &mut Step) {
        if shared.seen.is_none() {
            shared.seen = Some(Seen::new(&self.env, outcome, &shared.tries));
        }
        if std::mem::take(&mut self.leads)
            && !self.learning.frozen
            && let Some(market) = &shared.opening
            && let Some(weight) = shared.seen.as_ref().and_then(|seen| self.tuning.weight(seen.unserved))
        {
            let mut opening = None;
            let earned = |settings| weight * self.rehearsed(settings, market, outcome.requests, &mut opening);
            shared.rehearsed = self.tuning.all().map(earned).collect();
        }
    }

    fn end_step(&mut self, _rewards: &[f64], shared: &Step) {
        if let Some(seen) = &shared.seen {
            let error = self.model.observe(self.step, seen, !self.learning.frozen);
            self.learning.count(error);
            if !self.learning.frozen {
                self.tuning.count(seen.unserved, &shared.rehearsed);
            }
        }
        self.begin_step(self.step + 1);
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

    fn forget(&mut self) {
        self.model = Model::new(&self.env);
        self.tuning = Tuning::new();
    }

    fn knowledge(&self) -> Knowledge {
        Knowledge { tuning: self.tuning.clone(), model: self.model.memory() }
    }

    fn absorb(&mut self, knowledge: Knowledge) -> Result<(), String> {
        knowledge.tuning.check()?;
        self.tuning = knowledge.tuning;
        self.model.recall(knowledge.model)
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
    fn new(settings: Settings, _agents: u32, env: &Environment) -> Result<Self, SwarmError> {
        let model = Model::new(env);
        let tuning = Tuning::new();
        Ok(Self {
            env: env.clone(),
            beliefs: model.beliefs(0),
            model,
            prices: BidPrices::new(tuning.leader()),
            tuning,
            learning: Learning::at_rate(settings.epsilon),
            rng: generator(0, Stream::Agent(0)),
            step: 0,
            leads: false,
        })
    }
}
