//! What a run's steps and episodes came to: for psi-field, for the API and for the checkpoint.

use std::collections::BTreeMap;

use api::{
    psi_field::{AgentWindow, Intervention, InterventionKind, SwarmWindow, Window, WindowAnswer},
    trainer::{AgentState, EpisodeMetrics, WindowMetrics},
};
use policy::{StepReport, Swarm};
use routing_env::{Environment, Metrics};

/// The window that psi-field is told of a step, without acknowledgements. Figures without data are absent,
/// not 0.
#[must_use]
pub fn window(number: u64, swarm: &Swarm, report: &StepReport) -> Window {
    let agents = report.agents.iter().zip(0..).map(|(step, agent)| {
        let (epsilon, q_table_size) = swarm.learning(agent as usize);
        AgentWindow {
            agent,
            mean_reward: mean(step.reward, step.decisions),
            mean_abs_td_error: mean(step.learning.abs_td_error, step.learning.updates),
            epsilon,
            q_table_size,
            decisions: step.decisions,
        }
    });
    let overall = &report.metrics.overall;
    Window {
        number,
        repeated: false,
        time: None,
        channels: BTreeMap::new(),
        agents: agents.collect(),
        swarm: SwarmWindow {
            fill_rate: overall.fill_rate(),
            gpu_hours_fill: overall.gpu_hours_fill(),
            avg_cost: overall.avg_cost_usd(),
            avg_latency_ms: overall.avg_latency_ms(),
            mean_reward: overall.avg_reward(),
            provider_shares: report.metrics.provider_shares(),
        },
        acknowledged: Vec::new(),
        trials: Vec::new(),
    }
}

/// A step as the API shows it.
#[must_use]
pub fn window_metrics(
    number: u64,
    episode: u32,
    report: &StepReport,
    answer: Option<&WindowAnswer>,
) -> WindowMetrics {
    let overall = &report.metrics.overall;
    let state = answer.map(|answer| &answer.state);
    WindowMetrics {
        window: number,
        episode,
        step: report.step,
        requests: overall.requests,
        avg_reward: overall.avg_reward(),
        seed_reward: overall.seed_reward(),
        fill_rate: overall.fill_rate(),
        gpu_hours_fill: overall.gpu_hours_fill(),
        avg_cost_usd: overall.avg_cost_usd(),
        avg_latency_ms: overall.avg_latency_ms(),
        psi: state.and_then(|s| s.psi),
        continuity: state.and_then(|s| s.continuity),
        prediction_error: state.and_then(|s| s.prediction_error),
        interventions: answer.map_or(0, |answer| answer.interventions.len() as u32),
    }
}

/// Sums over an episode.
pub struct EpisodeTally {
    episode: u32,
    metrics: Metrics,
    rewards: Vec<f64>,
    decisions: Vec<u64>,
    psi: Option<f64>,
    continuity: Option<f64>,
    prediction_error: Option<f64>,
    nigredo: u32,
    albedo: u32,
}

impl EpisodeTally {
    /// Nothing counted yet.
    #[must_use]
    pub fn new(episode: u32, env: &Environment, agents: usize) -> Self {
        Self {
            episode,
            metrics: Metrics::new(env),
            rewards: vec![0.0; agents],
            decisions: vec![0; agents],
            psi: None,
            continuity: None,
            prediction_error: None,
            nigredo: 0,
            albedo: 0,
        }
    }

    /// Counts a step, what psi-field said of it, and which interventions were applied after it.
    pub fn add(&mut self, report: &StepReport, answer: Option<&WindowAnswer>, applied: &[Intervention]) {
        self.metrics.merge(&report.metrics);
        for (agent, step) in report.agents.iter().enumerate() {
            self.rewards[agent] += step.reward;
            self.decisions[agent] += step.decisions;
        }
        let state = answer.map(|answer| &answer.state);
        self.psi = state.and_then(|s| s.psi);
        self.continuity = state.and_then(|s| s.continuity);
        let surprise = state.and_then(|s| s.prediction_error);
        self.prediction_error = self.prediction_error.into_iter().chain(surprise).reduce(f64::max);
        for intervention in applied {
            match intervention.kind {
                InterventionKind::Nigredo => self.nigredo += 1,
                InterventionKind::Albedo => self.albedo += 1,
            }
        }
    }

    /// The episode as the API shows it, beside what the baseline earned in it.
    #[must_use]
    pub fn metrics(&self, swarm: &Swarm, baseline_reward: Option<f64>) -> EpisodeMetrics {
        let overall = &self.metrics.overall;
        let learners = || (0..swarm.agents()).map(|agent| swarm.learning(agent));
        EpisodeMetrics {
            episode: self.episode,
            avg_reward: overall.avg_reward(),
            fill_rate: overall.fill_rate(),
            gpu_hours_fill: overall.gpu_hours_fill(),
            avg_cost_usd: overall.avg_cost_usd(),
            avg_latency_ms: overall.avg_latency_ms(),
            epsilon: mean_of(learners().map(|(epsilon, _)| epsilon)),
            q_table_size: learners().map(|(_, states)| states).sum(),
            psi: self.psi,
            continuity: self.continuity,
            prediction_error: self.prediction_error,
            interventions: self.nigredo + self.albedo,
            cost_index: overall.cost_index(),
            cost_per_gpu_hour_usd: overall.cost_per_gpu_hour_usd(),
            deferred_share: overall.deferred_share(),
            worst_tenant_gpu_hours_fill: self.metrics.worst_tenant_gpu_hours_fill(),
            baseline_reward,
            nigredo: Some(self.nigredo),
            albedo: Some(self.albedo),
        }
    }

    /// Writes each agent's mean reward in this episode.
    pub fn write_rewards(&self, agents: &mut [AgentState]) {
        for (agent, (reward, decisions)) in agents.iter_mut().zip(self.rewards.iter().zip(&self.decisions)) {
            agent.avg_reward = mean(*reward, *decisions);
        }
    }
}

/// The agents of a swarm that has not decided anything yet.
#[must_use]
pub fn new_agents(swarm: &Swarm) -> Vec<AgentState> {
    (0..)
        .zip(0..swarm.agents())
        .map(|(agent, number)| {
            let (epsilon, q_table_size) = swarm.learning(number);
            AgentState { agent, q_table_size, avg_reward: None, epsilon, decisions: 0, trust: None }
        })
        .collect()
}

/// Brings the agents up to date after a step.
pub fn update_agents(agents: &mut [AgentState], swarm: &Swarm, report: &StepReport) {
    for (number, (agent, step)) in agents.iter_mut().zip(&report.agents).enumerate() {
        (agent.epsilon, agent.q_table_size) = swarm.learning(number);
        agent.decisions += step.decisions;
        agent.trust = step.trust;
    }
}

/// Around the first value, so that the mean of equal values is that value exactly.
pub fn mean_of(mut values: impl Iterator<Item = f64>) -> f64 {
    let Some(first) = values.next() else { return 0.0 };
    let (count, above) = values.fold((1.0, 0.0), |(count, sum), value| (count + 1.0, sum + (value - first)));
    first + above / count
}

fn mean(sum: f64, count: u64) -> Option<f64> {
    (count > 0).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests {
    use api::psi_field::FieldState;
    use policy::{AgentStep, LearningWindow, Rule};
    use routing_env::Preset;

    use super::*;

    fn answer(psi: Option<f64>, surprise: Option<f64>) -> WindowAnswer {
        WindowAnswer {
            swarm: "s".into(),
            window: 0,
            state: FieldState { psi, prediction_error: surprise, ..FieldState::default() },
            anomaly: None,
            interventions: vec![],
        }
    }

    fn intervention(kind: &str) -> Intervention {
        serde_json::from_value(serde_json::json!({
            "id": uuid::Uuid::nil(), "kind": kind, "targets": [], "parameters": {}, "reason": "", "evidence": {},
            "issued_at_window": 0, "expires_after_windows": 1, "by_operator": false,
        }))
        .unwrap()
    }

    #[test]
    fn a_step_without_requests_has_no_figures_rather_than_zeros() {
        let env = Environment::built_in(Preset::Default);
        let swarm = Swarm::of_rule(Rule::Cheapest, &env);
        let mut report = StepReport::new(&env);
        report.agents = vec![AgentStep::default()];
        let window = window(9, &swarm, &report);
        assert_eq!((window.number, window.agents.len()), (9, 1));
        let agent = &window.agents[0];
        assert_eq!((agent.mean_reward, agent.mean_abs_td_error, agent.decisions), (None, None, 0));
        assert_eq!((window.swarm.fill_rate, window.swarm.avg_cost), (None, None));
        assert!(window.swarm.provider_shares.is_empty());
        let shown = window_metrics(9, 0, &report, None);
        assert_eq!((shown.requests, shown.avg_reward, shown.seed_reward, shown.psi), (0, None, None, None));
    }

    #[test]
    fn an_agents_mean_is_over_its_own_decisions_and_updates() {
        let env = Environment::built_in(Preset::Default);
        let mut report = StepReport::new(&env);
        let learning = LearningWindow { abs_td_error: 6.0, updates: 3 };
        report.agents = vec![AgentStep { decisions: 4, reward: 10.0, learning, trust: None }];
        let window = window(0, &Swarm::of_rule(Rule::Cheapest, &env), &report);
        assert_eq!(window.agents[0].mean_reward, Some(2.5));
        assert_eq!(window.agents[0].mean_abs_td_error, Some(2.0));
    }

    #[test]
    fn an_episode_has_its_highest_surprise_and_the_field_of_its_last_window() {
        let env = Environment::built_in(Preset::Default);
        let swarm = Swarm::of_rule(Rule::Cheapest, &env);
        let mut report = StepReport::new(&env);
        report.agents = vec![AgentStep { decisions: 2, reward: 3.0, ..AgentStep::default() }];
        let mut tally = EpisodeTally::new(4, &env, 1);
        let (nigredo, albedo) = (intervention("nigredo"), intervention("albedo"));
        tally.add(&report, Some(&answer(Some(0.9), Some(0.8))), std::slice::from_ref(&nigredo));
        tally.add(&report, Some(&answer(Some(0.5), None)), &[]);
        tally.add(&report, Some(&answer(Some(0.6), Some(0.2))), &[albedo, nigredo]);
        let metrics = tally.metrics(&swarm, Some(1.25));
        assert_eq!((metrics.episode, metrics.psi, metrics.prediction_error), (4, Some(0.6), Some(0.8)));
        assert_eq!((metrics.interventions, metrics.nigredo, metrics.albedo), (3, Some(2), Some(1)));
        let mut agents = new_agents(&swarm);
        assert_eq!((agents[0].decisions, agents[0].avg_reward), (0, None));
        update_agents(&mut agents, &swarm, &report);
        tally.write_rewards(&mut agents);
        assert_eq!((agents[0].decisions, agents[0].avg_reward), (2, Some(1.5)));
    }
}
