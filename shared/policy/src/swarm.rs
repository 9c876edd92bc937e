//! A swarm: agents that take requests in turn, or are of regions, and share the team's reward.

mod window;

pub use window::StreamState;

use routing_env::{
    Candidate, Environment, Episode, Metrics, Observation, Preference, Preferences, Resolution, Reward, Turn,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    division::{Division, Regions},
    error::SwarmError,
    fault::Fault,
    guard::{Guard, GuardState, Rehearses, Step},
    knowledge::Knowledge,
    prior::Prior,
    registry::Algorithm,
    rules::rule::Rule,
    settings::SettingError,
    step_evidence::{PastStep, StepEvidence},
    step_report::{AgentStep, DecidedRequest, StepReport},
    team::Team,
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

/// The swarm.
pub struct Swarm {
    config: SwarmConfig,
    team: Box<dyn Team>,
    division: Division,
    episode_seed: u64,
    steps_learned: u64,
    rewards: Vec<f64>,
    rewards_by_agent: Vec<Vec<f64>>,
    /// Where it began with a prior.
    guard: Option<Guard<Self>>,
    has_left_prior: bool,
    /// How many steps of the episode came before the first one that it plays.
    steps_before: u32,
    /// What others learned, on which it acts too.
    heeded: Option<Knowledge>,
}

/// A command of the psi-field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Command {
    /// The targets forget what they have learned, but for a share of how sure they are.
    Nigredo {
        /// That share, from 0 (they start afresh) to 1.
        kept: f64,
    },
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
    pub knowledge: Vec<Knowledge>,
    /// Each agent's progress.
    pub progress: Vec<Value>,
    /// How its twin does, where it began with a prior and goes on from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<Box<GuardState<Self>>>,
}

impl Swarm {
    /// A swarm that knows nothing yet.
    ///
    /// # Errors
    /// A catalog that the algorithm cannot handle.
    pub fn new(config: SwarmConfig, env: &Environment) -> Result<Self, SwarmError> {
        let team = config.algorithm.team(config.agents, env)?;
        let agents = team.len();
        let by_region = config.algorithm.is_by_region();
        let mut swarm = Self::of(config, team);
        if by_region {
            swarm.division = Division::ByRegion(Regions::new(env, agents));
        }
        Ok(swarm)
    }

    /// A swarm that begins with what was learned in other worlds.
    ///
    /// # Errors
    /// A prior of another learner, or one that does not fit; a catalog that the algorithm cannot handle.
    pub fn with_prior(config: SwarmConfig, env: &Environment, prior: &Prior) -> Result<Self, SwarmError> {
        let twin = Self::new(config, env)?;
        let mut swarm = twin.clone();
        swarm.team = twin.config.algorithm.team_with(prior, twin.config.agents, env)?;
        swarm.guard = twin.config.algorithm.is_guarded().then(|| Guard::new(twin));
        Ok(swarm)
    }

    /// One agent that follows a hand rule.
    #[must_use]
    pub fn of_rule(rule: Rule, env: &Environment) -> Self {
        Self::of_rule_for(rule, env, Preference::EXCESS_COST)
    }

    /// One agent that follows a hand rule for those who want this.
    #[must_use]
    pub fn of_rule_for(rule: Rule, env: &Environment, wanted: impl Into<Preferences>) -> Self {
        Self::of(SwarmConfig { algorithm: rule.into(), agents: 1 }, team_for(rule, 1, env, &wanted.into()))
    }

    fn of(config: SwarmConfig, team: Box<dyn Team>) -> Self {
        let (rewards, rewards_by_agent) = (Vec::new(), Vec::new());
        let division = Division::InTurn { agents: team.len() };
        Self {
            config,
            team,
            division,
            episode_seed: 0,
            steps_learned: 0,
            rewards,
            rewards_by_agent,
            guard: None,
            has_left_prior: false,
            steps_before: 0,
            heeded: None,
        }
    }

    /// How it was made.
    #[must_use]
    pub fn config(&self) -> &SwarmConfig {
        &self.config
    }

    /// How many agents there are.
    #[must_use]
    pub fn agents(&self) -> usize {
        self.team.len()
    }

    /// The agent's exploration rate now, and how many figures it has learned: for a table, its states. Both are 0 for a
    /// hand rule.
    #[must_use]
    pub fn learning(&self, agent: usize) -> (f64, u64) {
        (self.team.epsilon(agent), self.team.size(agent))
    }

    /// True when it learns.
    #[must_use]
    pub fn is_learner(&self) -> bool {
        self.team.learns()
    }

    /// Stops learning and exploring: what was learned is acted on.
    pub fn freeze(&mut self) {
        self.team.freeze();
        self.guard = None;
    }

    /// Decides for those who want this from now on. `false` where it does not heed it, because what it has learned are the
    /// values of what it was trained for. Hand rules begin anew, so that it is for them between episodes only.
    pub fn prefer(&mut self, wanted: impl Into<Preferences>, env: &Environment) -> bool {
        let wanted = wanted.into();
        match self.config.algorithm.rule() {
            Some(rule) => {
                self.team = team_for(rule, self.config.agents, env, &wanted);
                true
            }
            None => {
                if let Some(guard) = &mut self.guard {
                    guard.twin().prefer(wanted.clone(), env);
                }
                self.team.prefer(&wanted)
            }
        }
    }

    /// The same from the next step of an episode on, where only prices have changed: what was found for the preference
    /// before stays. `false` where it does not heed it.
    pub fn reprice(&mut self, wanted: &Preferences) -> bool {
        self.team.prefer(wanted)
    }

    /// Starts an episode.
    pub fn begin_episode(&mut self, seed: u64) {
        self.episode_seed = seed;
        self.steps_before = 0;
        self.team.begin_episode(seed);
        if let Some(guard) = &mut self.guard {
            guard.twin().begin_episode(seed);
        }
    }

    /// A copy that draws otherwise from here on, as in an episode of this seed.
    #[must_use]
    pub fn fork(&self, seed: u64) -> Self {
        let mut fork = self.clone();
        fork.team.reseed(seed);
        if let Some(guard) = &mut fork.guard {
            guard.twin().team.reseed(seed);
        }
        fork
    }

    /// Plays one step and learns from it; false when the episode is over.
    pub fn run_step(&mut self, episode: &mut Episode<'_>, reward: Reward, report: &mut StepReport) -> bool {
        if !episode.begin_step() {
            return false;
        }
        let count = self.team.len();
        report.decisions.clear();
        {
            let outcome = episode.outcome();
            report.decisions.extend(
                outcome.requests.iter().zip(outcome.resolutions).zip(outcome.first_arrival..).map(
                    |((&request, &resolution), arrival)| DecidedRequest {
                        agent: self.division.agent_of(request.tenant, arrival) as u32, // at most u32 agents
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
            // agents lead in turn, and where they begin depends on nothing but the episode
            let leader =
                (self.episode_seed % count as u64) as usize + (self.steps_before + outcome.step) as usize;
            let agents: Vec<usize> = report.decisions.iter().map(|decided| decided.agent as usize).collect();
            self.team.begin_step(leader % count, &agents);
        }
        if let Some(truth) = episode.truth() {
            self.team.tell(truth);
        }
        let opening = self.guard.is_some().then(|| episode.market().clone());
        while let Some(turn) = episode.turn() {
            match turn {
                Turn::Request(observation) => {
                    let agent = self.division.agent_of(observation.request.tenant, observation.arrival);
                    let decision = self.team.decide(agent, &observation);
                    let decided = &mut report.decisions[observation.index];
                    decided.explored |= decision.explored;
                    decided.propensity *= decision.propensity;
                    decided.value = decision.value;
                    episode.act(decision.choice);
                }
                Turn::Waiting { requests, waiting, .. } => {
                    let mut order = waiting.to_vec();
                    self.team.order_waiting(requests, &mut order);
                    episode.order_waiting(&order);
                }
            }
        }
        let outcome = episode.outcome();
        self.team.observe_step(&outcome);
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
        self.learn(outcome.turns, reward, report);
        if let Some(market) = opening {
            let (number, requests) = (outcome.step, outcome.requests);
            self.watch(&Step { env: episode.env(), market: &market, requests, number, reward });
        }
        for (number, agent) in report.agents.iter_mut().enumerate() {
            agent.trust = self.team.trust(number);
        }
        true
    }

    /// What the agent whose turn it is thinks of a candidate, on a scale of its own on which higher is better; `None`
    /// where it has no figure for it. It changes nothing that is decided.
    pub fn score(&mut self, observation: &Observation<'_>, candidate: &Candidate) -> Option<f64> {
        let agent = self.division.agent_of(observation.request.tenant, observation.arrival);
        self.team.score(agent, observation, candidate)
    }

    /// Ends an episode.
    pub fn end_episode(&mut self) {
        self.team.end_episode();
        if let Some(guard) = &mut self.guard {
            guard.twin().end_episode();
        }
    }

    /// Carries out a command; targets that do not exist are passed over. Hand rules take none.
    pub fn apply(&mut self, command: Command, targets: &[u32]) {
        let agents = targets.iter().map(|target| *target as usize).filter(|agent| *agent < self.team.len());
        for agent in agents.collect::<Vec<_>>() {
            match command {
                Command::Nigredo { kept } => self.team.forget(agent, kept),
                Command::Albedo { factor, max, windows } => self.team.explore(agent, factor, max, windows),
            }
        }
        if matches!(command, Command::Nigredo { .. }) {
            self.heed_again();
        }
    }

    /// An agent that has forgotten what it learned, or another team, is told again what others learned.
    fn heed_again(&mut self) {
        if let Some(heeded) = &self.heeded {
            let fits_as_before = self.team.heed(Some(heeded));
            debug_assert_eq!(fits_as_before, Ok(()));
        }
    }

    /// Makes what an agent reports to the others false, or right again, to measure what that costs. `false` where there is
    /// no such agent, or where it reports nothing. A copy of the swarm has the fault too; no file or state tells it.
    pub fn set_fault(&mut self, agent: usize, fault: Option<Fault>) -> bool {
        agent < self.team.len() && self.team.set_fault(agent, fault)
    }

    /// What training goes on from. Only between episodes.
    #[must_use]
    pub fn state(&self) -> SwarmState {
        let (knowledge, progress) = (self.team.knowledge(), self.team.progress());
        let guard = self.guard.as_ref().map(|guard| Box::new(guard.state(Self::state)));
        SwarmState { steps_learned: self.steps_learned, knowledge, progress, guard }
    }

    /// Takes a state that a swarm of the same configuration gave.
    ///
    /// # Errors
    /// When it does not fit.
    pub fn restore(&mut self, state: &SwarmState) -> Result<(), SwarmError> {
        match (&mut self.guard, &state.guard) {
            (Some(guard), Some(state)) => guard.restore(state, Self::restore)?,
            (Some(_), None) => self.go_on_from_scratch(),
            (None, Some(_)) => {
                let what = "the swarm's state is of one that began with a prior: expected that prior";
                return Err(SwarmError::Mismatch(what.into()));
            }
            (None, None) => {}
        }
        self.absorb(&state.knowledge)?;
        self.team.resume(&state.progress).map_err(SwarmError::Mismatch)?;
        self.steps_learned = state.steps_learned;
        Ok(())
    }

    /// What each agent has learned; hand rules, nothing.
    #[must_use]
    pub fn knowledge(&self) -> Vec<Knowledge> {
        self.team.knowledge()
    }

    /// Gives each agent knowledge in the place of its own, such as what it came to when it was merged with others'. It
    /// may be acted on, and learned on from. Only between episodes.
    ///
    /// # Errors
    /// When it is not of as many agents of this algorithm on this catalog.
    pub fn absorb(&mut self, knowledge: &[Knowledge]) -> Result<(), SwarmError> {
        self.heeded = None;
        self.team.absorb(knowledge).map_err(SwarmError::Mismatch)
    }

    /// Lets all agents act from the next episode on also on what others have learned, such as the swarms of other sites.
    /// [`Swarm::knowledge`] stays what its own agents learned. What is heeded is no part of the swarm's state: whoever
    /// restores one tells it again. Only between episodes.
    ///
    /// # Errors
    /// When it is not of this algorithm on this catalog.
    pub fn heed(&mut self, others: Option<&Knowledge>) -> Result<(), SwarmError> {
        self.team.heed(others).map_err(SwarmError::Mismatch)?;
        self.heeded = others.cloned();
        Ok(())
    }

    /// What the step or window that has just ended showed its own agents of providers; `None` where no such figures are kept:
    /// by other learners than `adaptive`, and by agents of regions, which tell each other on their board.
    #[must_use]
    pub fn step_evidence(&self) -> Option<StepEvidence> {
        self.team.step_evidence()
    }

    /// Lets all agents act for the rest of this episode also on what others, who route in the same world, have seen in its
    /// steps, in the place of all that they were told so before: whoever is left out of it is undone. It is forgotten with
    /// age as what is seen oneself is, and believed as long as it has not predicted what one sees worse than that does.
    /// Frozen or not, nothing of it becomes the swarm's own: [`Swarm::knowledge`], [`Swarm::state`] and
    /// [`Swarm::step_evidence`] have none of it, and the next episode begins without. `false` where it is not heeded,
    /// as above.
    ///
    /// # Errors
    /// It has figures that nobody can have seen, or is of another catalog; nothing has changed then.
    pub fn heed_steps(&mut self, others: &[PastStep]) -> Result<bool, SwarmError> {
        self.team.heed_steps(others).map_err(SwarmError::Mismatch)
    }

    /// What its agents have learned together, each thing counted once: all go on from what all have learned, as they do
    /// where they are merged every so many steps. `None` where nothing is learned. Only between episodes.
    pub fn gathered(&mut self) -> Option<Knowledge> {
        self.team.merge();
        self.team.gathered()
    }

    /// What each agent acts on: its own knowledge, and what it heeds.
    #[must_use]
    pub fn acted_on(&self) -> Vec<Knowledge> {
        let mut known = self.team.knowledge();
        if let Some(heeded) = &self.heeded {
            for own in &mut known {
                let fits_as_before = own.merge(heeded);
                debug_assert_eq!(fits_as_before, Ok(()));
            }
        }
        known
    }

    /// Goes on from its prior, whatever comes of it: nobody guards it any more.
    pub fn trust_prior(&mut self) {
        self.guard = None;
    }

    /// Whether it goes on from the prior that it began with; `None` where it began with none, or where the learner itself
    /// outweighs what a prior says by what it sees.
    #[must_use]
    pub fn trusts_prior(&self) -> Option<bool> {
        self.guard.is_some().then_some(true).or(self.has_left_prior.then_some(false))
    }

    /// Shows the guard a step, and follows it.
    fn watch(&mut self, step: &Step<'_>) {
        let Some(mut guard) = self.guard.take() else { return };
        let is_harmful = guard.watch(self, step);
        self.guard = Some(guard);
        if is_harmful {
            self.go_on_from_scratch();
        }
    }

    /// Goes on as the twin that began without the prior.
    fn go_on_from_scratch(&mut self) {
        if let Some(guard) = self.guard.take() {
            self.team = guard.into_twin().team;
            self.has_left_prior = true;
            self.heed_again();
        }
    }

    /// Plays a step again, alone in the same market.
    fn in_thought(&mut self, step: &Step<'_>) -> Metrics {
        let (market, requests) = (step.market.clone(), step.requests.to_vec());
        let mut episode = Episode::of_step(step.env, market, requests, 0, step.reward);
        let mut report = StepReport::new(step.env);
        self.steps_before = step.number;
        self.run_step(&mut episode, step.reward, &mut report);
        report.metrics
    }

    /// A copy that nobody guards.
    fn unguarded_clone(&self) -> Self {
        let mut clone = Self::of(self.config.clone(), self.team.boxed_clone());
        (clone.division, clone.steps_learned) = (self.division.clone(), self.steps_learned);
        clone.episode_seed = self.episode_seed;
        clone.heeded.clone_from(&self.heeded);
        clone
    }

    fn learn(&mut self, turns: &[(usize, Option<Resolution>)], reward: Reward, report: &mut StepReport) {
        if self.is_learner() {
            let count = self.team.len();
            reward.of_team(turns, &mut self.rewards);
            self.rewards_by_agent.resize_with(count, Vec::new);
            self.rewards_by_agent.iter_mut().for_each(Vec::clear);
            for ((index, resolution), reward) in turns.iter().zip(&self.rewards) {
                // without a feasible provider nobody decided
                if resolution.is_none_or(|r| r.fate != routing_env::Fate::NoViableProvider) {
                    self.rewards_by_agent[report.decisions[*index].agent as usize].push(*reward);
                }
            }
            let agents = &mut report.agents;
            self.team.end_step(&self.rewards_by_agent, &mut |agent, window| agents[agent].learning = window);
        }
        self.steps_learned += 1;
        let merge_every = self.config.algorithm.merge_every();
        if merge_every > 0 && self.steps_learned.is_multiple_of(merge_every) {
            self.team.merge();
        }
    }
}

impl Rehearses for Swarm {
    fn would_earn(&self, step: &Step<'_>) -> Option<f64> {
        let mut acting = self.unguarded_clone();
        acting.freeze();
        acting.in_thought(step).overall.avg_reward()
    }

    fn learn_from(&mut self, step: &Step<'_>) {
        self.in_thought(step);
    }
}

impl Clone for Swarm {
    fn clone(&self) -> Self {
        Self { guard: self.guard.clone(), has_left_prior: self.has_left_prior, ..self.unguarded_clone() }
    }
}

/// The team of a rule for those who want this: what it is tuned for is what all want.
fn team_for(rule: Rule, agents: u32, env: &Environment, wanted: &Preferences) -> Box<dyn Team> {
    let mut team = rule.team(agents, env, wanted.all);
    if !wanted.tenants.is_empty() {
        team.prefer(wanted);
    }
    team
}
