//! A swarm: agents that take requests in turn and share the team's reward.

use routing_env::{Candidate, Environment, Episode, Observation, Resolution, Reward, Turn};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    board::Board,
    policy::{Learner, Policy},
    registry::Algorithm,
    rules::rule::Rule,
    settings::SettingError,
    step_report::{AgentStep, DecidedRequest, StepReport},
};

/// How a swarm is made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwarmConfig {
    /// A learner or a hand rule, with its settings.
    pub algorithm: Algorithm,
    /// How many agents, at least 1.
    pub agents: u32,
}

impl SwarmConfig {
    /// So many agents of the algorithm of this name, told these settings (an object); the rest is as by default.
    ///
    /// # Errors
    /// As [`Algorithm::new`].
    pub fn new(algorithm: &str, settings: &Value, agents: u32) -> Result<Self, Vec<SettingError>> {
        let settings = settings.as_object().ok_or_else(|| {
            vec![SettingError { setting: "settings".into(), expected: "an object of settings".into() }]
        })?;
        Ok(Self { algorithm: Algorithm::new(algorithm, settings)?, agents })
    }
}

/// Why a swarm cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SwarmError {
    /// The catalog is too large for the learner.
    #[error("q-learning handles at most {most} providers, this catalog has {found}")]
    TooManyProviders {
        /// What it handles.
        most: usize,
        /// What there are.
        found: usize,
    },
    /// The file or checkpoint is of another swarm or environment, or damaged.
    #[error("{0}")]
    Mismatch(String),
}

/// The swarm.
pub struct Swarm {
    config: SwarmConfig,
    agents: Vec<Box<dyn Policy>>,
    board: Board,
    episode_seed: u64,
    steps_learned: u64,
    rewards: Vec<f64>,
    rewards_by_agent: Vec<Vec<f64>>,
}

/// A command of the psi-field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Command {
    /// The targets forget what they have learned.
    Nigredo,
    /// The targets' ε becomes min(`max`, `factor`·ε) for so many windows.
    Albedo {
        /// What ε is multiplied by.
        factor: f64,
        /// The highest ε that it may lead to.
        max: f64,
        /// For how many windows.
        windows: u64,
    },
}

/// What training goes on from. Only between episodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwarmState {
    /// How many steps were learned from.
    pub steps_learned: u64,
    /// Each agent's knowledge.
    pub knowledge: Vec<Value>,
    /// Each agent's progress.
    pub progress: Vec<Value>,
}

impl Swarm {
    /// A swarm that knows nothing yet.
    ///
    /// # Errors
    /// A catalog that the algorithm cannot handle.
    pub fn new(config: SwarmConfig, env: &Environment) -> Result<Self, SwarmError> {
        let agent = config.algorithm.agent(config.agents, env)?;
        let agents = (0..config.agents).map(|_| agent.boxed_clone()).collect();
        Ok(Self::of(config, agents))
    }

    /// One agent that follows a hand rule.
    #[must_use]
    pub fn of_rule(rule: Rule) -> Self {
        let config = SwarmConfig { algorithm: rule.into(), agents: 1 };
        Self::of(config, vec![rule.policy()])
    }

    fn of(config: SwarmConfig, agents: Vec<Box<dyn Policy>>) -> Self {
        Self {
            config,
            agents,
            board: Board::default(),
            episode_seed: 0,
            steps_learned: 0,
            rewards: Vec::new(),
            rewards_by_agent: Vec::new(),
        }
    }

    /// How it was made.
    #[must_use]
    pub fn config(&self) -> &SwarmConfig {
        &self.config
    }

    /// The agents.
    #[must_use]
    pub fn agents(&self) -> &[Box<dyn Policy>] {
        &self.agents
    }

    /// True when it learns.
    #[must_use]
    pub fn is_learner(&self) -> bool {
        self.agents[0].learner().is_some()
    }

    /// Stops learning and exploring: what was learned is acted on.
    pub fn freeze(&mut self) {
        self.agents.iter_mut().filter_map(|a| a.learner_mut()).for_each(Learner::freeze);
    }

    /// Starts an episode.
    pub fn begin_episode(&mut self, seed: u64) {
        self.episode_seed = seed;
        self.board = Board::default();
        for (agent, number) in self.agents.iter_mut().zip(0..) {
            agent.begin_episode(seed, number);
        }
    }

    /// Plays one step and learns from it; false when the episode is over.
    pub fn run_step(&mut self, episode: &mut Episode<'_>, reward: Reward, report: &mut StepReport) -> bool {
        if !episode.begin_step() {
            return false;
        }
        let count = self.agents.len();
        let turn_of = |arrival: u64| (arrival % count as u64) as usize;
        report.decisions.clear();
        let first_arrival = {
            let outcome = episode.outcome();
            report.decisions.extend(
                outcome.requests.iter().zip(outcome.resolutions).zip(outcome.first_arrival..).map(
                    |((&request, &resolution), arrival)| DecidedRequest {
                        agent: turn_of(arrival) as u32, // at most u32 agents
                        request,
                        resolution,
                        wait_ms: 0.0,
                        reward: 0.0,
                        explored: false,
                        propensity: 1.0,
                        value: None,
                    },
                ),
            );
            self.board.wipe();
            // agents lead in turn, and where they begin depends on nothing but the episode
            let leader = (self.episode_seed % count as u64) as usize + outcome.step as usize;
            self.agents[leader % count].lead_step(&mut self.board);
            outcome.first_arrival
        };
        while let Some(turn) = episode.turn() {
            match turn {
                Turn::Request(observation) => {
                    let decision =
                        self.agents[turn_of(observation.arrival)].decide(&observation, &mut self.board);
                    let decided = &mut report.decisions[observation.index];
                    decided.explored |= decision.explored;
                    decided.propensity *= decision.propensity;
                    decided.value = decision.value;
                    episode.act(decision.choice);
                }
                Turn::Waiting { market, requests, waiting } => {
                    // all that wait are ordered together, by the agent whose request has waited longest
                    let mut order = waiting.to_vec();
                    let agent = turn_of(first_arrival + waiting[0] as u64);
                    self.agents[agent].order_waiting(market, requests, &mut order, &mut self.board);
                    episode.order_waiting(&order);
                }
            }
        }
        let outcome = episode.outcome();
        self.agents.iter_mut().for_each(|agent| agent.observe_step(&outcome, &mut self.board));
        report.step = outcome.step;
        report.policy_version = self.steps_learned;
        report.metrics.clone_from(outcome.metrics);
        report.agents.clear();
        report.agents.resize(count, AgentStep::default());
        for (index, decided) in report.decisions.iter_mut().enumerate() {
            decided.resolution = outcome.resolutions[index];
            decided.wait_ms = outcome.waits_ms[index];
            decided.reward = reward.of_request(&decided.resolution);
            let agent = &mut report.agents[decided.agent as usize];
            agent.decisions += 1;
            agent.reward += decided.reward;
        }
        self.learn(outcome.turns, outcome.first_arrival, reward, report);
        true
    }

    /// What the agent whose turn it is thinks of a candidate: see [`Policy::score`].
    pub fn score(&mut self, observation: &Observation<'_>, candidate: &Candidate) -> Option<f64> {
        let agent = (observation.arrival % self.agents.len() as u64) as usize;
        self.agents[agent].score(observation, candidate)
    }

    /// Ends an episode.
    pub fn end_episode(&mut self) {
        self.agents.iter_mut().for_each(|agent| agent.end_episode());
    }

    /// Carries out a command; targets that do not exist are passed over. Hand rules take none.
    pub fn apply(&mut self, command: Command, targets: &[u32]) {
        for &target in targets {
            let agent = self.agents.get_mut(target as usize);
            let Some(learner) = agent.and_then(|a| a.learner_mut()) else { continue };
            match command {
                Command::Nigredo => learner.forget(),
                Command::Albedo { factor, max, windows } => learner.explore(factor, max, windows),
            }
        }
    }

    /// What training goes on from. Only between episodes.
    #[must_use]
    pub fn state(&self) -> SwarmState {
        let learners = || self.agents.iter().filter_map(|a| a.learner());
        SwarmState {
            steps_learned: self.steps_learned,
            knowledge: learners().map(Learner::knowledge).collect(),
            progress: learners().map(Learner::progress).collect(),
        }
    }

    /// Takes a state that a swarm of the same configuration gave.
    ///
    /// # Errors
    /// When it does not fit.
    pub fn restore(&mut self, state: &SwarmState) -> Result<(), SwarmError> {
        self.check_count(state.knowledge.len())?;
        self.check_count(state.progress.len())?;
        self.steps_learned = state.steps_learned;
        let learners = self.agents.iter_mut().filter_map(|a| a.learner_mut());
        for (i, (learner, (knowledge, progress))) in
            learners.zip(state.knowledge.iter().zip(&state.progress)).enumerate()
        {
            let result = learner.restore(knowledge, Some(progress));
            result.map_err(|what| SwarmError::Mismatch(format!("agent {i}: {what}")))?;
        }
        Ok(())
    }

    pub(crate) fn restore_knowledge(&mut self, knowledge: &[Value]) -> Result<(), SwarmError> {
        self.check_count(knowledge.len())?;
        for (i, (learner, knowledge)) in
            self.agents.iter_mut().filter_map(|a| a.learner_mut()).zip(knowledge).enumerate()
        {
            let result = learner.restore(knowledge, None);
            result.map_err(|what| SwarmError::Mismatch(format!("agent {i}: {what}")))?;
        }
        Ok(())
    }

    fn check_count(&self, found: usize) -> Result<(), SwarmError> {
        let expected = self.agents.iter().filter(|a| a.learner().is_some()).count();
        if found == expected {
            return Ok(());
        }
        Err(SwarmError::Mismatch(format!("expected the knowledge of {expected} agents, found {found}")))
    }

    fn learn(
        &mut self,
        turns: &[(usize, Option<Resolution>)],
        first_arrival: u64,
        reward: Reward,
        report: &mut StepReport,
    ) {
        if self.is_learner() {
            let count = self.agents.len();
            reward.of_team(turns, &mut self.rewards);
            self.rewards_by_agent.resize_with(count, Vec::new);
            self.rewards_by_agent.iter_mut().for_each(Vec::clear);
            for ((index, resolution), reward) in turns.iter().zip(&self.rewards) {
                // without a feasible provider nobody decided
                if resolution.is_none_or(|r| r.fate != routing_env::Fate::NoViableProvider) {
                    let agent = (first_arrival + *index as u64) % count as u64;
                    self.rewards_by_agent[agent as usize].push(*reward);
                }
            }
            for ((agent, rewards), step) in
                self.agents.iter_mut().zip(&self.rewards_by_agent).zip(&mut report.agents)
            {
                agent.end_step(rewards, &self.board);
                if let Some(learner) = agent.learner_mut() {
                    step.learning = learner.take_window();
                }
            }
        }
        self.steps_learned += 1;
        let merge_every = self.config.algorithm.merge_every();
        if merge_every > 0 && self.steps_learned.is_multiple_of(merge_every) {
            self.merge();
        }
    }

    /// Lets every agent go on from what all have learned.
    fn merge(&mut self) {
        let team: Vec<_> = self.agents.iter().filter_map(|agent| agent.learner()).collect();
        let [first, _, ..] = team.as_slice() else { return };
        if let Some(pooled) = first.pool(&team) {
            self.agents.iter_mut().filter_map(|a| a.learner_mut()).for_each(|l| l.adopt(pooled.as_ref()));
        }
    }
}

impl Clone for Swarm {
    fn clone(&self) -> Self {
        let agents = self.agents.iter().map(|a| a.boxed_clone()).collect();
        let mut clone = Self::of(self.config.clone(), agents);
        clone.steps_learned = self.steps_learned;
        clone
    }
}
