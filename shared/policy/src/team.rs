//! A team: agents of one kind, and what they tell each other.

use routing_env::{Candidate, Observation, Preferences, Request, StepOutcome, Truth};
use serde::Deserialize as _;
use serde_json::Value;

use crate::{
    fault::Fault,
    knowledge::Knowledge,
    learning::LearningWindow,
    policy::{Agent, Decision, Shared as _},
    step_evidence::{PastStep, StepEvidence},
    told::Told,
};

/// A team, whatever its agents are. Agents are numbered from 0.
pub(crate) trait Team: Send {
    fn len(&self) -> usize;

    /// True when its agents learn.
    fn learns(&self) -> bool;

    fn begin_episode(&mut self, seed: u64);

    /// What its learners draw from here on they draw as in an episode of this seed.
    fn reseed(&mut self, seed: u64);

    /// Begins a step that this agent leads, and whose requests are these agents'.
    fn begin_step(&mut self, leader: usize, agents: &[usize]);

    /// Tells the truth of the step that has begun to those that are there to be told it: references, no others.
    fn tell(&mut self, truth: &Truth);

    fn decide(&mut self, agent: usize, observation: &Observation<'_>) -> Decision;

    /// Forgets that the request at this position in the step was to wait: another team has decided it.
    fn withdraw(&mut self, index: usize);

    fn score(&mut self, agent: usize, observation: &Observation<'_>, candidate: &Candidate) -> Option<f64>;

    /// Puts the waiting requests (positions in `requests`) in the order in which they shall be decided.
    fn order_waiting(&mut self, requests: &[Request], waiting: &mut [usize]);

    fn observe_step(&mut self, outcome: &StepOutcome<'_>);

    /// The same for a window of a stream, and what was told in it.
    fn observe_window(&mut self, outcome: &StepOutcome<'_>, told: &[Told]);

    /// What each has seen of the episode, as texts to be compared.
    fn moments(&self) -> Vec<String>;

    /// What each has seen of the episode and decides by, and what they keep of it together, to go on from at the beginning of
    /// a step; `None` where that cannot be written down.
    fn seen(&self) -> Option<(Vec<Value>, Value)>;

    /// Takes that up again, after the episode has begun.
    fn go_on(&mut self, agents: Vec<Value>, kept: Value) -> Result<(), String>;

    /// Ends a step with each agent's rewards, and tells what each has learned.
    fn end_step(&mut self, rewards: &[Vec<f64>], learned: &mut dyn FnMut(usize, LearningWindow));

    /// What the step that has just ended showed of providers; `None` where no such figures are kept.
    fn step_evidence(&self) -> Option<StepEvidence>;

    /// Lets each act in this episode also on what others have seen in its steps; `false` where it is not heeded.
    fn heed_steps(&mut self, others: &[PastStep]) -> Result<bool, String>;

    fn end_episode(&mut self);

    fn freeze(&mut self);

    /// Decides for those who want this from now on; `false` where it does not heed it.
    fn prefer(&mut self, wanted: &Preferences) -> bool;

    fn forget(&mut self, agent: usize, kept: f64);

    /// Raises the agent's ε to min(`max`, `factor`·ε) for so many windows.
    fn explore(&mut self, agent: usize, factor: f64, max: f64, windows: u64);

    /// The agent's ε now.
    fn epsilon(&self, agent: usize) -> f64;

    /// Figures that the agent has learned.
    fn size(&self, agent: usize) -> u64;

    /// How far the agent's reports can be trusted, from 0 to 1; `None` where nobody compares them.
    fn trust(&self, agent: usize) -> Option<f64>;

    /// Makes what the agent reports false, or right again; `false` where it reports nothing.
    fn set_fault(&mut self, agent: usize, fault: Option<Fault>) -> bool;

    /// Lets all go on from what all have learned.
    fn merge(&mut self);

    /// What each has learned; hand rules, nothing.
    fn knowledge(&self) -> Vec<Knowledge>;

    /// What all have learned, once they are merged; hand rules, nothing.
    fn gathered(&self) -> Option<Knowledge>;

    /// Gives each knowledge in the place of its own.
    fn absorb(&mut self, knowledge: &[Knowledge]) -> Result<(), String>;

    /// Lets each act also on what others have learned.
    fn heed(&mut self, others: Option<&Knowledge>) -> Result<(), String>;

    /// What going on needs beside the knowledge.
    fn progress(&self) -> Vec<Value>;

    fn resume(&mut self, progress: &[Value]) -> Result<(), String>;

    /// A copy, for acting on several threads.
    fn boxed_clone(&self) -> Box<dyn Team>;
}

/// A team of agents of this kind.
pub(crate) struct TeamOf<A: Agent> {
    name: &'static str,
    agents: Vec<A>,
    shared: A::Shared,
}

impl<A: Agent> TeamOf<A> {
    /// So many agents (at least one) that are like this one, of an algorithm of this name.
    pub(crate) fn new(name: &'static str, agent: A, agents: u32) -> Self {
        Self { name, agents: vec![agent; agents.max(1) as usize], shared: A::Shared::default() }
    }

    fn check_count(&self, found: usize) -> Result<(), String> {
        let expected = if self.learns() { self.agents.len() } else { 0 };
        if found == expected {
            return Ok(());
        }
        Err(format!("expected the knowledge of {expected} agents, found {found}"))
    }
}

impl<A: Agent> Team for TeamOf<A> {
    fn len(&self) -> usize {
        self.agents.len()
    }

    fn learns(&self) -> bool {
        self.agents[0].learning().is_some()
    }

    fn begin_episode(&mut self, seed: u64) {
        self.shared = A::Shared::default();
        for (agent, number) in self.agents.iter_mut().zip(0..) {
            agent.begin_episode(seed, number);
            if let Some(learning) = agent.learning_mut() {
                // what was learned at the end of the episode before belongs to none of this one's windows, and one who
                // goes on from a saved state does not know it
                learning.window = LearningWindow::default();
            }
        }
    }

    fn begin_step(&mut self, leader: usize, agents: &[usize]) {
        self.shared.begin_step();
        self.shared.divide(agents);
        self.agents[leader].lead_step(&mut self.shared);
    }

    fn reseed(&mut self, seed: u64) {
        for (agent, number) in self.agents.iter_mut().zip(0..) {
            agent.reseed(seed, number);
        }
    }

    fn tell(&mut self, truth: &Truth) {
        self.agents.iter_mut().filter_map(Agent::informed).for_each(|agent| agent.tell(truth));
    }

    fn decide(&mut self, agent: usize, observation: &Observation<'_>) -> Decision {
        self.agents[agent].decide(observation, &mut self.shared)
    }

    fn withdraw(&mut self, index: usize) {
        self.shared.withdraw(index);
    }

    fn score(&mut self, agent: usize, observation: &Observation<'_>, candidate: &Candidate) -> Option<f64> {
        self.agents[agent].score(observation, candidate)
    }

    fn order_waiting(&mut self, requests: &[Request], waiting: &mut [usize]) {
        self.shared.end_arrivals(requests.len());
        A::ORDER.sort(requests, waiting);
    }

    fn observe_step(&mut self, outcome: &StepOutcome<'_>) {
        self.agents.iter_mut().for_each(|agent| agent.observe_step(outcome, &mut self.shared));
    }

    fn observe_window(&mut self, outcome: &StepOutcome<'_>, told: &[Told]) {
        self.agents.iter_mut().for_each(|agent| agent.observe_window(outcome, told, &mut self.shared));
    }

    fn moments(&self) -> Vec<String> {
        self.agents.iter().map(Agent::moment).collect()
    }

    fn seen(&self) -> Option<(Vec<Value>, Value)> {
        if self.agents.iter().filter_map(Agent::learning).any(|learning| !learning.frozen) {
            return None;
        }
        let agents: Option<Vec<Value>> = self.agents.iter().map(Agent::seen).collect();
        Some((agents?, self.shared.kept()))
    }

    fn go_on(&mut self, agents: Vec<Value>, kept: Value) -> Result<(), String> {
        if agents.len() != self.agents.len() {
            return Err(format!("expected {} agents, found {}", self.agents.len(), agents.len()));
        }
        self.agents.iter_mut().zip(agents).try_for_each(|(agent, seen)| agent.go_on(seen))?;
        self.shared.keep(kept)
    }

    fn end_step(&mut self, rewards: &[Vec<f64>], learned: &mut dyn FnMut(usize, LearningWindow)) {
        for (number, (agent, rewards)) in self.agents.iter_mut().zip(rewards).enumerate() {
            agent.end_step(rewards, &self.shared);
            if let Some(learning) = agent.learning_mut() {
                learning.exploration.end_window();
                learned(number, std::mem::take(&mut learning.window));
            }
        }
    }

    fn step_evidence(&self) -> Option<StepEvidence> {
        // what agents tell each other of a step they tell once
        self.agents[0].step_evidence(&self.shared)
    }

    fn heed_steps(&mut self, others: &[PastStep]) -> Result<bool, String> {
        self.agents.iter_mut().try_fold(true, |all, agent| Ok(agent.heed_steps(others)? && all))
    }

    fn end_episode(&mut self) {
        self.agents.iter_mut().for_each(Agent::end_episode);
    }

    fn freeze(&mut self) {
        self.agents.iter_mut().filter_map(Agent::learning_mut).for_each(|learning| learning.frozen = true);
    }

    fn prefer(&mut self, wanted: &Preferences) -> bool {
        let heeded: Vec<bool> = self.agents.iter_mut().map(|agent| agent.prefer(wanted)).collect();
        heeded.into_iter().all(|heeded| heeded)
    }

    fn forget(&mut self, agent: usize, kept: f64) {
        let agent = &mut self.agents[agent];
        agent.forget(kept);
        if let Some(learning) = agent.learning_mut() {
            learning.exploration.raised = None;
        }
    }

    fn explore(&mut self, agent: usize, factor: f64, max: f64, windows: u64) {
        if let Some(learning) = self.agents[agent].learning_mut() {
            learning.exploration.raise(factor, max, windows);
        }
    }

    fn epsilon(&self, agent: usize) -> f64 {
        self.agents[agent].learning().map_or(0.0, |learning| learning.epsilon())
    }

    fn size(&self, agent: usize) -> u64 {
        self.agents[agent].size()
    }

    fn trust(&self, agent: usize) -> Option<f64> {
        self.shared.trust(agent)
    }

    fn set_fault(&mut self, agent: usize, fault: Option<Fault>) -> bool {
        self.agents[agent].set_fault(fault)
    }

    fn merge(&mut self) {
        if self.agents.len() > 1 && self.agents[0].learning().is_some_and(|learning| !learning.frozen) {
            A::merge(&mut self.agents);
        }
    }

    fn knowledge(&self) -> Vec<Knowledge> {
        let learners = self.agents.iter().filter(|agent| agent.learning().is_some());
        learners.map(|agent| Knowledge::of(self.name, &agent.knowledge())).collect()
    }

    fn gathered(&self) -> Option<Knowledge> {
        self.learns().then(|| Knowledge::of(self.name, &A::gathered(&self.agents)))
    }

    fn absorb(&mut self, knowledge: &[Knowledge]) -> Result<(), String> {
        self.check_count(knowledge.len())?;
        for (number, (agent, knowledge)) in self.agents.iter_mut().zip(knowledge).enumerate() {
            let result = knowledge.read(self.name).and_then(|knowledge| agent.absorb(knowledge));
            result.map_err(|what| format!("agent {number}: {what}"))?;
        }
        Ok(())
    }

    fn heed(&mut self, others: Option<&Knowledge>) -> Result<(), String> {
        let others = others.map(|others| others.read::<A::Knowledge>(self.name)).transpose()?;
        self.agents.iter_mut().try_for_each(|agent| agent.heed(others.clone()))
    }

    fn progress(&self) -> Vec<Value> {
        let learners = self.agents.iter().filter(|agent| agent.learning().is_some());
        learners.map(|agent| serde_json::to_value(agent.progress()).unwrap_or_default()).collect()
    }

    fn resume(&mut self, progress: &[Value]) -> Result<(), String> {
        self.check_count(progress.len())?;
        for (number, (agent, progress)) in self.agents.iter_mut().zip(progress).enumerate() {
            let progress =
                A::Progress::deserialize(progress).map_err(|e| format!("the agent's progress: {e}"));
            let result = progress.and_then(|progress| agent.resume(progress));
            result.map_err(|what| format!("agent {number}: {what}"))?;
        }
        Ok(())
    }

    fn boxed_clone(&self) -> Box<dyn Team> {
        let (name, agents) = (self.name, self.agents.clone());
        Box::new(Self { name, agents, shared: A::Shared::default() })
    }
}

#[cfg(test)]
mod tests;
