//! A swarm in a stream of real requests: it decides each as it comes, and learns at a window's end from what it was told
//! meanwhile.

use routing_env::{Choice, Observation, Request, StepOutcome};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Swarm;
use crate::{division::Division, error::SwarmError, policy::Decision, told::Told};

/// What a swarm has seen of a stream and decides by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamState {
    windows_seen: u64,
    /// Each agent's.
    agents: Vec<Value>,
    /// What they keep together from step to step.
    kept: Value,
}

impl Swarm {
    /// Whether it can decide requests one by one. Agents of regions divide a step's requests among them beforehand.
    #[must_use]
    pub fn decides_one_by_one(&self) -> bool {
        matches!(self.division, Division::InTurn { .. })
    }

    /// The agent that decides a request of this tenant, at this position in the stream.
    #[must_use]
    pub fn agent_of(&self, tenant: usize, arrival: u64) -> u32 {
        self.division.agent_of(tenant, arrival) as u32 // at most u32 agents
    }

    /// How many windows it has seen.
    #[must_use]
    pub fn steps_seen(&self) -> u64 {
        self.steps_learned
    }

    /// Begins a window of the stream that [`Swarm::begin_episode`] began.
    pub fn begin_window(&mut self, number: u32) {
        let count = self.team.len() as u64;
        let leader = (self.episode_seed % count + u64::from(number)) % count;
        self.team.begin_step(leader as usize, &[]);
    }

    /// Decides a request.
    pub fn decide(&mut self, observation: &Observation<'_>) -> Decision {
        let agent = self.division.agent_of(observation.request.tenant, observation.arrival);
        self.team.decide(agent, observation)
    }

    /// What it would do with a request that another swarm decides. It sets nothing aside for it.
    pub fn consider(&mut self, observation: &Observation<'_>) -> Decision {
        let decision = self.decide(observation);
        if decision.choice == Choice::Defer {
            self.team.withdraw(observation.index);
        }
        decision
    }

    /// Puts the requests that wait (positions in the window) in the order in which they shall be decided, once all others
    /// have come.
    pub fn order_waiting(&mut self, requests: &[Request], waiting: &mut [usize]) {
        self.team.order_waiting(requests, waiting);
    }

    /// Ends a window: what it came to, as far as it is known, and what was told in it, of whichever window's jobs, in order.
    pub fn end_window(&mut self, outcome: &StepOutcome<'_>, told: &[Told]) {
        self.team.observe_window(outcome, told);
        if self.is_learner() {
            let rewards = vec![Vec::new(); self.team.len()];
            self.team.end_step(&rewards, &mut |_, _| {});
        }
        self.steps_learned += 1;
    }

    /// What its agents have seen of the episode and decide by, as texts that are the same exactly where that is the same;
    /// empty ones where they decide by what they had learned before.
    #[must_use]
    pub fn moment(&self) -> Vec<String> {
        self.team.moments()
    }

    /// What it has seen of the stream and decides by, before the first request of a window: what [`Swarm::go_on`] takes up
    /// again. `None` where that cannot be written down: where it learns, draws at random, is of regions, goes on from a prior, or
    /// is told the truth.
    #[must_use]
    pub fn stream_state(&self) -> Option<StreamState> {
        if self.guard.is_some() {
            return None;
        }
        let (agents, kept) = self.team.seen()?;
        Some(StreamState { windows_seen: self.steps_learned, agents, kept })
    }

    /// Takes a stream up again that [`Swarm::begin_episode`] has begun with the same seed. A window is begun next.
    ///
    /// # Errors
    /// It is the state of another policy.
    pub fn go_on(&mut self, state: StreamState) -> Result<(), SwarmError> {
        let StreamState { windows_seen, agents, kept } = state;
        self.team.go_on(agents, kept).map_err(SwarmError::Mismatch)?;
        self.steps_learned = windows_seen;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use routing_env::{Choice, Environment, Episode, Preset, Request, Reward, Turn, Window};

    use crate::{StepReport, Swarm, SwarmConfig, Told};

    /// The choices of a frozen learner in the first steps of an episode, and the requests of each.
    fn in_steps(
        swarm: &mut Swarm,
        env: &Environment,
        steps: usize,
    ) -> Vec<(Vec<Request>, Vec<Option<usize>>)> {
        let mut episode = Episode::new(env, 5, Reward::EXCESS_COST);
        let mut report = StepReport::new(env);
        swarm.begin_episode(5);
        let mut step = || {
            swarm.run_step(&mut episode, Reward::EXCESS_COST, &mut report);
            let routed =
                report.decisions.iter().map(|decided| decided.resolution.routed().map(|r| r.provider));
            (report.decisions.iter().map(|decided| decided.request).collect(), routed.collect())
        };
        (0..steps).map(|_| step()).collect()
    }

    /// What is shown beside a decision: the candidate that a request is sent to has the highest score of all.
    #[test]
    fn whoever_decides_by_value_sends_a_request_where_its_score_is_highest() {
        let env = Environment::built_in(Preset::Contended);
        for name in ["adaptive", "afterstate", "cem", "q-learning", "bid-price", "bid-price-counting"] {
            let config = SwarmConfig::new(name, &serde_json::json!({}), 1).unwrap();
            let mut swarm = Swarm::new(config, &env).unwrap();
            swarm.freeze();
            swarm.begin_episode(5);
            swarm.begin_window(0);
            let mut episode = Episode::new(&env, 5, Reward::EXCESS_COST);
            assert!(episode.begin_step());
            let mut sent = 0;
            while let Some(turn) = episode.turn() {
                let Turn::Request(observation) = turn else { break };
                let choice = swarm.decide(&observation).choice;
                if let Choice::Route(provider) = choice {
                    let scores: Vec<_> = observation
                        .candidates
                        .iter()
                        .map(|c| (c.provider, swarm.score(&observation, c).unwrap()))
                        .collect();
                    let best = scores.iter().map(|(_, score)| *score).fold(f64::NEG_INFINITY, f64::max);
                    assert!(scores.contains(&(provider, best)), "{name}: {provider} of {scores:?}");
                    sent += 1;
                }
                episode.act(choice);
            }
            assert!(sent > 20, "{name}: {sent}");
        }
    }

    #[test]
    fn where_all_is_told_in_time_a_stream_is_decided_like_an_episode() {
        let env = Environment::built_in(Preset::Contended);
        for name in ["adaptive", "afterstate", "cem", "q-learning", "bid-price-counting", "weighted-score"] {
            let config = SwarmConfig::new(name, &serde_json::json!({}), 3).unwrap();
            let mut swarm = Swarm::new(config, &env).unwrap();
            swarm.freeze();
            let steps = in_steps(&mut swarm.clone(), &env, 4);
            swarm.begin_episode(5);
            let (mut arrival, mut world) = (0, Episode::new(&env, 5, Reward::EXCESS_COST));
            for (number, (requests, expected)) in (0_u32..).zip(steps) {
                assert!(world.begin_step()); // its events do not depend on what is decided
                let market = world.market().clone();
                let mut window = Window::new(&env, market, (number, number), arrival, Reward::EXCESS_COST);
                swarm.begin_window(number);
                let mut told = Vec::new();
                let mut decide = |swarm: &mut Swarm, window: &mut Window, index: usize| {
                    let Some(observation) = window.observe(&env, index, None) else { return };
                    let choice = swarm.decide(&observation).choice;
                    if let Choice::Route(provider) = choice {
                        let candidate =
                            observation.candidates.iter().find(|c| c.provider == provider).unwrap();
                        let expected_ms = candidate.latency_ms - observation.waited_ms.unwrap_or_default();
                        let latency_ms = Some(expected_ms);
                        told.push(Told {
                            provider,
                            succeeded: true,
                            expected_ms,
                            latency_ms,
                            is_second_try: false,
                        });
                    }
                    window.act(&env, index, None, choice);
                };
                for request in requests {
                    let index = window.arrive(request);
                    decide(&mut swarm, &mut window, index);
                }
                for index in window.settle(|requests, waiting| swarm.order_waiting(requests, waiting)) {
                    decide(&mut swarm, &mut window, index);
                }
                arrival = window.next_arrival();
                let outcome = window.end(&env);
                let routed = outcome.resolutions.iter().map(|r| r.routed().map(|routed| routed.provider));
                assert_eq!(routed.collect::<Vec<_>>(), expected, "{name}, step {number}");
                swarm.end_window(&outcome, &told);
            }
        }
    }
}
