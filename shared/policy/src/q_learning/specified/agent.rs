//! The agent as it was specified: one table over latency, price and remaining capacity of every provider, each in four
//! bins. Actions: the providers; it neither holds nor defers, because its state cannot tell which jobs are worth it. It
//! knows neither tenant nor job size nor budget, which is why hand rules beat it, and why more training makes it worse:
//! what it learns of a state is the luck of the requests that came there. It is here because it was specified.

use rand::RngExt;
use rand_pcg::Pcg64;
use routing_env::{Candidate, Choice, Environment, Observation, Stream, generator};

use crate::{
    error::SwarmError,
    learning::Learning,
    policy::{Agent, Decision, Order},
    q_learning::{
        replay::{Drawn, Replay},
        settings::Settings,
        specified::{
            bins::Bins,
            knowledge::{Knowledge, Progress},
            table::QTable,
            transition::Transition,
        },
    },
};

/// The most providers that a set of allowed actions can hold.
pub(crate) const MAX_PROVIDERS: usize = 128;

/// The learner.
#[derive(Clone)]
pub(crate) struct Specified {
    settings: Settings,
    providers: usize,
    bins: Bins,
    table: QTable,
    learning: Learning,
    rng: Pcg64,
    replay_rng: Pcg64,
    replay: Option<Replay<Transition>>,
    batch: Vec<Drawn>,
    /// This step's turns.
    turns: Vec<Visit>,
    /// The last turn before this step, whose next state is not known yet.
    open: Option<(Visit, f64)>,
}

/// A state in which an action was taken.
#[derive(Clone, Copy)]
struct Visit {
    state: u32,
    action: u16,
    /// The actions that were allowed, a bit each.
    allowed: u128,
}

impl Specified {
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
        self.table.count_visit(visit.state, visit.action);
        self.learning.count(error);
        if let Some(replay) = &mut self.replay {
            replay.push(transition);
        }
    }
}

impl Agent for Specified {
    type Shared = ();
    type Knowledge = Knowledge;
    type Progress = Progress;

    const ORDER: Order = Order::Arrival;

    fn begin_episode(&mut self, seed: u64, agent: u32) {
        self.reseed(seed, agent);
        self.bins.begin_step();
    }

    fn reseed(&mut self, seed: u64, agent: u32) {
        self.rng = generator(seed, Stream::Agent(agent));
        self.replay_rng = generator(seed, Stream::Replay(agent));
    }

    fn decide(&mut self, observation: &Observation<'_>, (): &mut ()) -> Decision {
        let key = self.bins.key(observation.market);
        let allowed = self.allowed(observation);
        if self.learning.frozen {
            // an unknown state has no values: all actions are worth 0, and the first wins the tie
            let (action, value) = match self.table.find(key) {
                Some(state) => self.table.best(state, allowed),
                None => (allowed.trailing_zeros() as usize, 0.0),
            };
            return Decision { value: Some(value), ..Decision::certain(Choice::Route(action)) };
        }
        let state = self.table.find_or_insert(key);
        let epsilon = self.learning.exploration.now();
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

    fn end_step(&mut self, rewards: &[f64], (): &()) {
        self.bins.begin_step();
        if self.learning.frozen {
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
            for Drawn { position, weight } in &batch {
                let error = self.update(replay.at(*position), *weight);
                replay.learned(*position, error);
            }
            self.batch = batch;
            self.replay = Some(replay);
        }
    }

    fn end_episode(&mut self) {
        if let Some((last, reward)) = self.open.take() {
            self.learn(last, reward, None);
        }
    }

    fn learning(&self) -> Option<&Learning> {
        Some(&self.learning)
    }

    fn learning_mut(&mut self) -> Option<&mut Learning> {
        Some(&mut self.learning)
    }

    fn size(&self) -> u64 {
        self.table.len() as u64
    }

    fn forget(&mut self, kept: f64) {
        if kept <= 0.0 {
            self.table = QTable::new(self.providers);
        } // its learning rate is the same however often it has learned
        self.replay = self.settings.replay.enabled.then(|| Replay::new(self.settings.replay));
        self.open = None;
    }

    fn knowledge(&self) -> Knowledge {
        self.table.knowledge()
    }

    fn absorb(&mut self, knowledge: Knowledge) -> Result<(), String> {
        self.table = QTable::from_knowledge(&knowledge, self.providers)?;
        // both name states by their numbers in the other table
        self.replay = self.settings.replay.enabled.then(|| Replay::new(self.settings.replay));
        self.open = None;
        Ok(())
    }

    fn heed(&mut self, others: Option<Knowledge>) -> Result<(), String> {
        self.table.heed(&others.unwrap_or_default())
    }

    fn progress(&self) -> Progress {
        let order = self.table.sorted_positions();
        let replay = self.replay.as_ref();
        Progress {
            exploration: self.learning.exploration,
            replay: replay.map(|r| r.transitions().map(|t| t.renumbered(&order)).collect()),
            replay_next: replay.map_or(0, Replay::next),
            priorities: replay.and_then(Replay::priorities),
            changes: self.table.changes(),
        }
    }

    fn resume(&mut self, progress: Progress) -> Result<(), String> {
        self.learning.exploration = progress.exploration.at_rate(self.settings.epsilon);
        if let (true, Some(transitions)) = (self.settings.replay.enabled, progress.replay) {
            let (states, actions) = (self.table.len() as u32, self.providers);
            if !transitions.iter().all(|t| t.fits(states, actions)) {
                return Err("the agent's replay memory names states that are not in its table".into());
            }
            let (next, priorities) = (progress.replay_next, progress.priorities);
            self.replay = Some(Replay::restored(self.settings.replay, transitions, next, priorities)?);
        }
        self.table.restore_changes(progress.changes)
    }
}

impl Specified {
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
            learning: Learning::at_rate(settings.epsilon),
            rng: generator(0, Stream::Agent(0)),
            replay_rng: generator(0, Stream::Replay(0)),
            replay: settings.replay.enabled.then(|| Replay::new(settings.replay)),
            batch: Vec::new(),
            turns: Vec::new(),
            open: None,
        })
    }

    /// Each takes the mean of what changed since the last merge, weighted by the number of changes.
    pub(crate) fn merge_all(team: &mut [&mut Self]) {
        let mut all = Knowledge::default();
        team.iter().for_each(|agent| agent.table.add_changes(&mut all));
        team.iter_mut().for_each(|agent| agent.table.adopt(&all));
    }
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
    use crate::q_learning::specified::knowledge::StateKey;

    #[test]
    fn an_update_moves_the_value_by_alpha_times_the_error() {
        let settings = Settings { learning_rate: 0.5, discount: 0.9, epsilon: 0.0, ..Settings::default() };
        let mut agent = Specified::new(settings, &Environment::built_in(Preset::Default)).unwrap();
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
    fn the_nth_bit_counts_set_bits_only() {
        assert_eq!([0, 1, 2].map(|n| nth_bit(0b1010_0100, n)), [2, 5, 7]);
    }
}
