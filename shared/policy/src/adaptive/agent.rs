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
//! **The swarm.** Agents tell each other on the [`Board`] what they tried and rehearsed, so that all learn from all; an
//! agent that is made to forget starts afresh alone.
//!
//! It plans with the `excess-cost` reward. A step's capacities and budgets end with it, so it needs no discount; its
//! learning rates are those that have predicted best.

use rand::RngExt as _;
use rand_pcg::Pcg64;
use routing_env::{
    Choice, Environment, Episode, Market, Observation, Request, Reward, StepOutcome, Stream, Turn, generator,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    adaptive::model::{Memory, Model, Seen},
    adaptive::settings::Settings,
    adaptive::tuning::Tuning,
    board::Board,
    policy::{Decision, Exploration, Learner, LearningWindow, Policy},
    prices::bid_price::{self, BidPrices, Plan},
    prices::forecast::Beliefs,
};

/// The learner.
#[derive(Clone)]
pub(crate) struct Adaptive {
    env: Environment,
    model: Model,
    tuning: Tuning,
    exploration: Exploration,
    frozen: bool,
    rng: Pcg64,
    prices: BidPrices,
    /// What is believed of this step.
    beliefs: Beliefs,
    /// The step that comes next, and how many have been led.
    step: u32,
    leads: bool,
    window: LearningWindow,
}

impl Adaptive {
    /// An agent that knows the catalog's word.
    pub(crate) fn new(settings: Settings, env: &Environment) -> Self {
        let model = Model::new(env);
        let tuning = Tuning::new();
        Self {
            env: env.clone(),
            beliefs: model.beliefs(0),
            model,
            prices: BidPrices::new(tuning.leader()),
            tuning,
            exploration: Exploration { epsilon: settings.epsilon, raised: None },
            frozen: false,
            rng: generator(0, Stream::Agent(0)),
            step: 0,
            leads: false,
            window: LearningWindow::default(),
        }
    }

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
        let mut board = Board { plan: opening.clone(), ..Board::default() };
        let mut episode =
            Episode::of_step(&self.env, market.clone(), requests.to_vec(), 0, Reward::EXCESS_COST);
        episode.begin_step();
        while let Some(turn) = episode.turn() {
            match turn {
                Turn::Request(observation) => {
                    let decision = prices.decide(&observation, &self.beliefs, &mut board);
                    if opening.is_none() {
                        opening.clone_from(&board.plan);
                    }
                    episode.act(decision.choice);
                }
                Turn::Waiting { requests, waiting, .. } => {
                    let mut order = waiting.to_vec();
                    BidPrices::order_waiting(requests, &mut order, &mut board);
                    episode.order_waiting(&order);
                }
            }
        }
        episode.outcome().metrics.overall.reward
    }
}

impl Policy for Adaptive {
    fn name(&self) -> &'static str {
        "adaptive"
    }

    fn begin_episode(&mut self, seed: u64, agent: u32) {
        self.rng = generator(seed, Stream::Agent(agent));
        self.model.begin_episode();
        self.prices = BidPrices::new(self.tuning.leader());
        self.begin_step(0);
    }

    fn lead_step(&mut self, _board: &mut Board) {
        self.leads = true;
    }

    fn decide(&mut self, observation: &Observation<'_>, board: &mut Board) -> Decision {
        if board.opening.is_none() && !self.frozen {
            board.opening = Some(observation.market.clone());
        }
        let mut decision = self.prices.decide(observation, &self.beliefs, board);
        let epsilon = self.epsilon();
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
            board.tries.entry(observation.index).or_default().push((provider, candidate.latency_ms));
        }
        decision
    }

    fn order_waiting(
        &mut self,
        _market: &Market,
        requests: &[Request],
        waiting: &mut [usize],
        board: &mut Board,
    ) {
        BidPrices::order_waiting(requests, waiting, board);
    }

    fn observe_step(&mut self, outcome: &StepOutcome<'_>, board: &mut Board) {
        if board.seen.is_none() {
            board.seen = Some(Seen::new(&self.env, outcome, &board.tries));
        }
        if std::mem::take(&mut self.leads)
            && !self.frozen
            && let Some(market) = &board.opening
            && let Some(weight) = board.seen.as_ref().and_then(|seen| self.tuning.weight(seen.unserved))
        {
            let mut opening = None;
            let earned = |settings| weight * self.rehearsed(settings, market, outcome.requests, &mut opening);
            board.rehearsed = self.tuning.all().map(earned).collect();
        }
    }

    fn end_step(&mut self, _rewards: &[f64], board: &Board) {
        if let Some(seen) = &board.seen {
            let error = self.model.observe(self.step, seen, !self.frozen);
            self.window.abs_td_error += error.abs();
            self.window.updates += 1;
            if !self.frozen {
                self.tuning.count(seen.unserved, &board.rehearsed);
            }
        }
        self.exploration.end_window();
        self.begin_step(self.step + 1);
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

/// What it has learned.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Knowledge {
    tuning: Tuning,
    model: Memory,
}

impl Learner for Adaptive {
    fn table_size(&self) -> u64 {
        self.model.size()
    }

    fn epsilon(&self) -> f64 {
        if self.frozen { 0.0 } else { self.exploration.now() }
    }

    fn take_window(&mut self) -> LearningWindow {
        std::mem::take(&mut self.window)
    }

    fn freeze(&mut self) {
        self.frozen = true;
    }

    fn forget(&mut self) {
        self.model = Model::new(&self.env);
        self.tuning = Tuning::new();
        self.exploration.raised = None;
    }

    fn explore(&mut self, factor: f64, max: f64, windows: u64) {
        self.exploration.raise(factor, max, windows);
    }

    fn knowledge(&self) -> Value {
        let knowledge = Knowledge { tuning: self.tuning.clone(), model: self.model.memory() };
        serde_json::to_value(knowledge).unwrap_or_default()
    }

    fn progress(&self) -> Value {
        serde_json::to_value(self.exploration).unwrap_or_default()
    }

    fn restore(&mut self, knowledge: &Value, progress: Option<&Value>) -> Result<(), String> {
        let knowledge =
            Knowledge::deserialize(knowledge).map_err(|e| format!("the agent's knowledge: {e}"))?;
        knowledge.tuning.check()?;
        self.tuning = knowledge.tuning;
        self.model.recall(knowledge.model)?;
        if let Some(progress) = progress {
            let progress =
                Exploration::deserialize(progress).map_err(|e| format!("the agent's progress: {e}"))?;
            self.exploration = progress.at_rate(self.exploration.epsilon);
        }
        Ok(())
    }
}
