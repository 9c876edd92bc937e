//! Tabular Q-learning with ε-greedy exploration and experience replay (Watkins 1989; Lin 1992).
//!
//! State: latency, price and remaining capacity of every provider, each in four bins. Actions: the
//! providers; it neither holds nor defers, because its state cannot tell which jobs are worth it. It
//! knows neither tenant nor job size nor budget, which is why good hand rules beat it; it is here
//! because it is the specified agent and the yardstick for better ones.

use std::{any::Any, collections::BTreeMap};

use rand::RngExt;
use rand_pcg::Pcg64;
use routing_env::{Candidate, Choice, Environment, Market, Observation, Stream, generator};
use serde::{Deserialize, Serialize};

use crate::{
    board::Board,
    policy::{Decision, Exploration, Learner, LearningWindow, Policy},
    q_learning::replay::{Drawn, PrioritiesState, Replay, Transition},
    q_learning::settings::Settings,
    q_learning::table::{Knowledge, Pool, QTable, StateKey},
    swarm::SwarmError,
};

/// The most providers that a set of allowed actions can hold.
pub(crate) const MAX_PROVIDERS: usize = 128;

/// The learner.
#[derive(Clone)]
pub(crate) struct QLearning {
    settings: Settings,
    providers: usize,
    bins: Bins,
    table: QTable,
    exploration: Exploration,
    frozen: bool,
    rng: Pcg64,
    replay_rng: Pcg64,
    replay: Option<Replay>,
    batch: Vec<Drawn>,
    /// This step's turns.
    turns: Vec<Visit>,
    /// The last turn before this step, whose next state is not known yet.
    open: Option<(Visit, f64)>,
    window: LearningWindow,
}

/// A state in which an action was taken.
#[derive(Clone, Copy)]
struct Visit {
    state: u32,
    action: u16,
    /// The actions that were allowed, a bit each.
    allowed: u128,
}

impl QLearning {
    /// An agent that knows nothing yet.
    ///
    /// # Errors
    /// More providers than a set of allowed actions can hold.
    pub(crate) fn new(settings: Settings, env: &Environment) -> Result<Self, SwarmError> {
        let providers = env.catalog().providers.len();
        if providers > MAX_PROVIDERS {
            return Err(SwarmError::TooManyProviders { most: MAX_PROVIDERS, found: providers });
        }
        Ok(Self {
            settings,
            providers,
            bins: Bins::new(env),
            table: QTable::new(providers),
            exploration: Exploration { epsilon: settings.epsilon, raised: None },
            frozen: false,
            rng: generator(0, Stream::Agent(0)),
            replay_rng: generator(0, Stream::Replay(0)),
            replay: settings.replay.enabled.then(|| Replay::new(settings.replay)),
            batch: Vec::new(),
            turns: Vec::new(),
            open: None,
            window: LearningWindow::default(),
        })
    }

    fn allowed(&self, observation: &Observation<'_>) -> u128 {
        if self.settings.feasibility_mask {
            observation.candidates.iter().fold(0, |set, c| set | 1 << c.provider)
        } else {
            u128::MAX >> (128 - self.providers)
        }
    }

    /// One step of Q-learning; `weight` is what it counts.
    fn update(&mut self, transition: &Transition, weight: f64) -> f64 {
        let next = transition.next.map_or(0.0, |(state, allowed)| self.table.best(state, allowed).1);
        let value = self.table.value_mut(transition.state, transition.action);
        let error = transition.reward + self.settings.discount * next - *value;
        *value += self.settings.learning_rate * weight * error;
        if self.settings.merge_every > 0 {
            self.table.count_change(transition.state, transition.action);
        }
        error
    }

    fn learn(&mut self, visit: Visit, reward: f64, next: Option<&Visit>) {
        let transition = Transition {
            state: visit.state,
            action: visit.action,
            reward,
            next: next.map(|v| (v.state, v.allowed)),
        };
        let error = self.update(&transition, 1.0);
        self.table.count_visit(visit.state);
        self.window.abs_td_error += error.abs();
        self.window.updates += 1;
        if let Some(replay) = &mut self.replay {
            replay.push(transition);
        }
    }
}

impl Policy for QLearning {
    fn name(&self) -> &'static str {
        "q-learning"
    }

    fn begin_episode(&mut self, seed: u64, agent: u32) {
        self.rng = generator(seed, Stream::Agent(agent));
        self.replay_rng = generator(seed, Stream::Replay(agent));
        self.bins.begin_step();
        // The last update of the episode before belongs to none of this one's windows, and one who goes on
        // from a saved state does not know it.
        self.window = LearningWindow::default();
    }

    fn decide(&mut self, observation: &Observation<'_>, _board: &mut Board) -> Decision {
        let key = self.bins.key(observation.market);
        let allowed = self.allowed(observation);
        if self.frozen {
            // an unknown state has no values: all actions are worth 0, and the first wins the tie
            let (action, value) = match self.table.find(key) {
                Some(state) => self.table.best(state, allowed),
                None => (allowed.trailing_zeros() as usize, 0.0),
            };
            return Decision { value: Some(value), ..Decision::certain(Choice::Route(action)) };
        }
        let state = self.table.find_or_insert(key);
        let epsilon = self.exploration.now();
        let (best, _) = self.table.best(state, allowed);
        let explored = epsilon > 0.0 && self.rng.random::<f64>() < epsilon;
        let count = allowed.count_ones();
        let action = if explored { nth_bit(allowed, self.rng.random_range(0..count)) } else { best };
        let share = epsilon / f64::from(count);
        self.turns.push(Visit { state, action: action as u16, allowed }); // at most MAX_PROVIDERS
        Decision {
            choice: Choice::Route(action),
            explored,
            propensity: if action == best { 1.0 - epsilon + share } else { share },
            value: Some(self.table.value(state, action)),
        }
    }

    fn score(&mut self, observation: &Observation<'_>, candidate: &Candidate) -> Option<f64> {
        let state = self.table.find(self.bins.key(observation.market))?;
        Some(self.table.value(state, candidate.provider))
    }

    fn end_step(&mut self, rewards: &[f64], _board: &Board) {
        self.bins.begin_step();
        if self.frozen {
            return;
        }
        debug_assert_eq!(rewards.len(), self.turns.len());
        let turns = std::mem::take(&mut self.turns);
        for (visit, reward) in turns.iter().zip(rewards) {
            if let Some((before, reward)) = self.open.replace((*visit, *reward)) {
                self.learn(before, reward, Some(visit));
            }
        }
        self.turns = turns;
        self.turns.clear();
        if let Some(mut replay) = self.replay.take() {
            let mut batch = std::mem::take(&mut self.batch);
            replay.draw(&mut self.replay_rng, &mut batch);
            for Drawn { position, transition, weight } in &batch {
                let error = self.update(transition, *weight);
                replay.learned(*position, error);
            }
            self.batch = batch;
            self.replay = Some(replay);
        }
        self.exploration.end_window();
    }

    fn end_episode(&mut self) {
        if let Some((last, reward)) = self.open.take() {
            self.learn(last, reward, None);
        }
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

/// What going on needs beside the table.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Progress {
    exploration: Exploration,
    replay: Option<Vec<Transition>>,
    replay_next: usize,
    /// Where replay is prioritised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    priorities: Option<PrioritiesState>,
    /// Where tables are merged: by state, how often each value changed since the last merge.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    changes: BTreeMap<u32, Vec<u32>>,
}

impl Learner for QLearning {
    fn table_size(&self) -> u64 {
        self.table.len() as u64
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
        self.table = QTable::new(self.providers);
        self.replay = self.settings.replay.enabled.then(|| Replay::new(self.settings.replay));
        self.open = None;
        self.exploration.raised = None;
    }

    fn explore(&mut self, factor: f64, max: f64, windows: u64) {
        self.exploration.raise(factor, max, windows);
    }

    fn knowledge(&self) -> serde_json::Value {
        serde_json::to_value(self.table.knowledge()).unwrap_or_default()
    }

    fn progress(&self) -> serde_json::Value {
        let order = self.table.sorted_positions();
        let replay = self.replay.as_ref().map(|r| r.transitions().map(|t| t.renumbered(&order)).collect());
        let progress = Progress {
            exploration: self.exploration,
            replay,
            replay_next: self.replay.as_ref().map_or(0, Replay::next),
            priorities: self.replay.as_ref().and_then(Replay::priorities),
            changes: self.table.changes(),
        };
        serde_json::to_value(progress).unwrap_or_default()
    }

    fn restore(
        &mut self,
        knowledge: &serde_json::Value,
        progress: Option<&serde_json::Value>,
    ) -> Result<(), String> {
        let knowledge = Knowledge::deserialize(knowledge).map_err(|e| format!("the agent's states: {e}"))?;
        self.table = QTable::from_knowledge(&knowledge, self.providers)?;
        self.open = None;
        if let Some(progress) = progress {
            let progress =
                Progress::deserialize(progress).map_err(|e| format!("the agent's progress: {e}"))?;
            self.exploration = progress.exploration.at_rate(self.settings.epsilon);
            if let (true, Some(transitions)) = (self.settings.replay.enabled, progress.replay) {
                let (states, actions) = (self.table.len() as u32, self.providers);
                if !transitions.iter().all(|t| t.fits(states, actions)) {
                    return Err("the agent's replay memory names states that are not in its table".into());
                }
                let (next, priorities) = (progress.replay_next, progress.priorities);
                self.replay = Some(Replay::restored(self.settings.replay, transitions, next, priorities)?);
            }
            self.table.restore_changes(progress.changes)?;
        }
        Ok(())
    }

    fn pool(&self, team: &[&dyn Learner]) -> Option<Box<dyn Any + Send>> {
        let mut pool = Pool::new();
        for agent in team {
            (*agent as &dyn Any).downcast_ref::<Self>()?.table.add_to(&mut pool);
        }
        (!self.frozen).then(|| Box::new(pool) as _)
    }

    fn adopt(&mut self, pooled: &dyn Any) {
        if let Some(pool) = pooled.downcast_ref() {
            self.table.adopt(pool);
        }
    }
}

/// Turns a market into a state key: for each provider two bits each of latency, price and capacity.
#[derive(Clone)]
struct Bins {
    base_latency_ms: Vec<f64>,
    inverse_capacity: Vec<f64>,
    /// The latency and price bits, which change with the step only.
    of_step: Option<StateKey>,
}

/// Providers a word of the key holds.
const PER_WORD: usize = 10;

impl Bins {
    fn new(env: &Environment) -> Self {
        let providers = &env.catalog().providers;
        Self {
            base_latency_ms: providers.iter().map(|p| p.base_latency_ms).collect(),
            inverse_capacity: providers
                .iter()
                .map(|p| 1.0 / p.capacity_gpu_hours_per_step.max(1e-9))
                .collect(),
            of_step: None,
        }
    }

    fn begin_step(&mut self) {
        self.of_step = None;
    }

    fn key(&mut self, market: &Market) -> StateKey {
        let states = market.providers();
        let base_latency_ms = &self.base_latency_ms;
        let mut key = self
            .of_step
            .get_or_insert_with(|| {
                let mut key = StateKey::from_elem(0, states.len().div_ceil(PER_WORD));
                for (p, state) in states.iter().enumerate() {
                    let latency = level(state.latency_ms / base_latency_ms[p], [1.0, 1.2, 1.5]);
                    let price = level(state.price_multiplier, [1.0, 1.25, 1.6]);
                    key[p / PER_WORD] |= (latency << 4 | price << 2) << (p % PER_WORD * 6);
                }
                key
            })
            .clone();
        for (p, state) in states.iter().enumerate() {
            let left = if state.active { state.remaining * self.inverse_capacity[p] } else { 0.0 };
            key[p / PER_WORD] |= level(left, [0.05, 0.35, 0.7]) << (p % PER_WORD * 6);
        }
        key
    }
}

/// How many of the bounds the value is above.
fn level(value: f64, bounds: [f64; 3]) -> u64 {
    bounds.into_iter().map(|bound| u64::from(value > bound)).sum()
}

/// The position of the n-th set bit.
fn nth_bit(mut set: u128, n: u32) -> usize {
    for _ in 0..n {
        set &= set - 1;
    }
    set.trailing_zeros() as usize
}

#[cfg(test)]
mod tests {
    use routing_env::Preset;

    use super::*;

    #[test]
    fn an_update_moves_the_value_by_alpha_times_the_error() {
        let settings = Settings { learning_rate: 0.5, discount: 0.9, epsilon: 0.0, ..Settings::default() };
        let mut agent = QLearning::new(settings, &Environment::built_in(Preset::Default)).unwrap();
        let (here, there) = (StateKey::from_elem(1, 1), StateKey::from_elem(2, 1));
        let (here, there) = (agent.table.find_or_insert(here), agent.table.find_or_insert(there));
        *agent.table.value_mut(there, 0) = 7.0;
        *agent.table.value_mut(there, 3) = 20.0;
        *agent.table.value_mut(there, 5) = 99.0; // not allowed there
        let transition = Transition { state: here, action: 2, reward: 4.0, next: Some((there, 0b1001)) };
        // error = 4 + .9·20 − 0 = 22; the value moves by .5·22
        assert_eq!(agent.update(&transition, 1.0), 22.0);
        assert_eq!(agent.table.value(here, 2), 11.0);
        // at the episode's end nothing follows: error = 4 − 11
        assert_eq!(agent.update(&Transition { next: None, ..transition }, 1.0), -7.0);
        assert_eq!(agent.table.value(here, 2), 7.5);
    }

    #[test]
    fn levels_count_the_bounds_that_are_exceeded() {
        let bounds = [1.0, 1.2, 1.5];
        assert_eq!([0.5, 1.0, 1.1, 1.3, 9.0].map(|v| level(v, bounds)), [0, 0, 1, 2, 3]);
    }

    #[test]
    fn the_nth_bit_counts_set_bits_only() {
        assert_eq!([0, 1, 2].map(|n| nth_bit(0b1010_0100, n)), [2, 5, 7]);
    }
}
