//! A challenger that decides every request in thought, beside the champion: in a stream of its own, on the same market.
//!
//! It is a function of what happens in the deployment's stream ([`Event`]), in its order. It has sent nothing anywhere: what
//! is told of a job is told of its own where it had sent the request to the same provider.

use std::collections::{BTreeMap, BTreeSet};

use api::{deployments::ShadowStatus, policies::Outcome};
use policy::{Swarm, Told};
use routing_env::{Environment, ProviderState, Request, Resolution, Rewards, Window};

use super::{
    engine::{Job, heed, window},
    event::{Event, Real},
    schedule::Schedule,
    tally::Tally,
};
use crate::digest::sha256;

/// A shadow.
pub(crate) struct Shadow {
    env: Environment,
    swarm: Swarm,
    rewards: Rewards,
    schedule: Schedule,
    base: Vec<ProviderState>,
    window: Window,
    /// Its own jobs, by the decisions that really sent their requests somewhere.
    jobs: BTreeMap<u64, Job>,
    /// Those that both sent to the same provider: what is told is told of its own.
    agreed: BTreeSet<u64>,
    told: Vec<Told>,
    /// This window's requests by their positions in the real one.
    requests: BTreeMap<usize, Twin>,
    figures: Figures,
}

/// A request that both decide.
#[derive(Clone, Debug, PartialEq)]
struct Twin {
    /// Its position in the shadow's window.
    index: usize,
    real: Real,
    own: Option<Resolution>,
    is_compared: bool,
}

/// How it does beside the champion.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Figures {
    compared: u64,
    disagreements: u64,
    reward: f64,
    both_sent: u64,
    cost_usd: f64,
    latency_ms: f64,
    agreed: Tally,
}

impl Shadow {
    /// One that begins with the deployment. The swarm was made one of this stream ([`super::engine::begin_stream`]).
    pub(crate) fn new(env: Environment, swarm: Swarm, rewards: Rewards, schedule: Schedule) -> Self {
        let base: Vec<_> =
            (0..env.catalog().providers.len()).map(|provider| env.base_state(provider)).collect();
        let window = window(&env, &base, &BTreeMap::new(), (0, &schedule), 0, rewards.all);
        Self {
            env,
            swarm,
            rewards,
            schedule,
            base,
            window,
            jobs: BTreeMap::new(),
            agreed: BTreeSet::new(),
            told: Vec::new(),
            requests: BTreeMap::new(),
            figures: Figures::default(),
        }
    }

    /// Its swarm, to decide from now on.
    pub(crate) fn into_swarm(self) -> Swarm {
        self.swarm
    }

    /// Follows what happened.
    pub(crate) fn follow(&mut self, event: Event) {
        match event {
            Event::Market { providers, budgets } => self.hear_market(&providers, &budgets),
            Event::Decided { index, request, retry_of, real } => self.decide(index, request, retry_of, real),
            Event::Settled => self.settle(),
            Event::Resolved { index, real } => {
                if let Some(twin) = self.requests.get_mut(&index) {
                    twin.real = real;
                    self.compare(index);
                }
            }
            Event::Told { sequence, told, outcome } => self.hear(sequence, told, &outcome),
            Event::Window { next } => self.begin_window(next),
            Event::Heard { steps } => heed(&mut self.swarm, &steps),
            Event::ChampionChanged => self.figures = Figures::default(),
        }
    }

    fn hear_market(&mut self, providers: &[(usize, ProviderState)], budgets: &[(usize, f64)]) {
        for (provider, state) in providers {
            self.base[*provider] = ProviderState { remaining: state.capacity, ..*state };
            self.window.market_mut().set_provider(*provider, *state);
        }
        for (tenant, usd) in budgets {
            self.window.market_mut().set_budget(*tenant, *usd);
        }
    }

    /// Decides a request; one whose job has failed only where its own job has failed with it.
    fn decide(&mut self, position: usize, request: Request, retry_of: Option<u64>, real: Real) {
        let failed = match retry_of {
            None => None,
            Some(decision) => match self.jobs.get_mut(&decision) {
                Some(job) if self.agreed.contains(&decision) => {
                    job.was_retried = true;
                    Some(*job)
                }
                _ => return,
            },
        };
        let (index, failed_at) = match failed {
            Some(job) if job.window == self.window.number() => {
                if !job.is_told {
                    self.window.market_mut().correct_cost(job.tenant, job.cost, 0.0);
                }
                (job.index, Some(job.provider))
            }
            failed => (self.window.arrive(request), failed.map(|job| job.provider)),
        };
        let own = self.decide_at(index, failed_at);
        self.requests.insert(position, Twin { index, real, own, is_compared: false });
        self.compare(position);
    }

    fn decide_at(&mut self, index: usize, failed_at: Option<usize>) -> Option<Resolution> {
        let Self { env, swarm, window, .. } = self;
        let choice =
            window.observe(env, index, failed_at).map(|observation| swarm.decide(&observation).choice);
        match choice {
            Some(choice) => window.act(env, index, failed_at, choice),
            None => Some(*window.resolution(index)),
        }
    }

    fn settle(&mut self) {
        let swarm = &mut self.swarm;
        let waiting = self.window.settle(|requests, waiting| swarm.order_waiting(requests, waiting));
        for index in waiting {
            let own = self.decide_at(index, None);
            let twin = self.requests.iter_mut().find(|(_, twin)| twin.index == index);
            if let Some((position, twin)) = twin {
                let position = *position;
                twin.own = own;
                self.compare(position);
            }
        }
    }

    /// Compares what both did in the end, once both are known.
    fn compare(&mut self, position: usize) {
        let Some(twin) = self.requests.get_mut(&position) else { return };
        let Twin { index, real, own: Some(own), is_compared: false } = twin else { return };
        if real.waits {
            return;
        }
        let (index, own) = (*index, *own);
        twin.is_compared = true;
        let routed = own.routed().copied();
        let provider = routed.map(|routed| self.env.catalog().providers[routed.provider].id.as_str());
        let agrees = provider == real.provider.as_deref();
        if real.is_champions {
            let figures = &mut self.figures;
            figures.compared += 1;
            figures.disagreements += u64::from(!agrees);
            figures.reward += self.rewards.of_request(&own) - real.reward;
            if let (Some(routed), Some(cost), Some(latency)) = (routed, real.cost_usd, real.latency_ms) {
                figures.both_sent += 1;
                figures.cost_usd += routed.cost - cost;
                figures.latency_ms += routed.latency_ms - latency;
            }
        }
        let Some(routed) = routed else { return };
        let wait_ms = self.window.wait_ms(index);
        let job = Job {
            window: self.window.number(),
            index,
            provider: routed.provider,
            tenant: own.tenant,
            hours: own.hours,
            cost: routed.cost,
            wait_ms,
            expected_ms: routed.latency_ms - wait_ms,
            is_second_try: false,
            was_retried: false,
            is_told: false,
            arm: 0,
        };
        let sequence = twin.real.sequence;
        self.jobs.insert(sequence, job);
        if agrees {
            self.agreed.insert(sequence);
        }
    }

    /// Everything that is told of providers is learned from, as the champion learns from it.
    fn hear(&mut self, sequence: u64, told: Told, outcome: &Outcome) {
        self.told.push(told);
        let Some(job) = self.jobs.get_mut(&sequence).filter(|job| !job.is_told) else { return };
        if !self.agreed.contains(&sequence) {
            return;
        }
        job.is_told = true;
        let job = *job;
        let latency_ms = outcome.latency_ms.unwrap_or(job.expected_ms + job.wait_ms);
        let cost = outcome.cost_usd.unwrap_or(job.cost);
        self.figures.agreed.decide();
        self.figures.agreed.hear(outcome.succeeded.then_some((latency_ms, cost)));
        if job.window == self.window.number() {
            let charged = outcome.cost_usd.unwrap_or(if outcome.succeeded { job.cost } else { 0.0 });
            let returned = if job.was_retried { 0.0 } else { job.cost };
            let market = self.window.market_mut();
            market.correct_cost(job.tenant, returned, charged);
            if let Some(used) = outcome.gpu_hours_used {
                market.correct_hours(job.provider, job.hours, used);
            }
        }
    }

    fn begin_window(&mut self, next: u32) {
        let told = std::mem::take(&mut self.told);
        let outcome = self.window.end(&self.env);
        self.swarm.end_window(&outcome, &told);
        let arrival = self.window.next_arrival();
        let deadline = self.schedule.outcome_windows();
        self.jobs.retain(|_, job| !job.is_told && next - job.window <= deadline);
        self.agreed.retain(|decision| self.jobs.contains_key(decision));
        self.requests.clear();
        self.window =
            window(&self.env, &self.base, &self.jobs, (next, &self.schedule), arrival, self.rewards.all);
        self.swarm.begin_window(next);
    }

    /// How it does.
    pub(crate) fn status(&self) -> ShadowStatus {
        let Figures { compared, disagreements, reward, both_sent, cost_usd, latency_ms, agreed } =
            self.figures;
        let mean = |sum: f64, count: u64| (count > 0).then(|| sum / count as f64);
        ShadowStatus {
            behind: 0,
            failure: None,
            compared,
            disagreements,
            disagreement_rate: mean(disagreements as f64, compared),
            expected_reward: mean(reward, compared),
            expected_cost_usd: mean(cost_usd, both_sent),
            expected_latency_ms: mean(latency_ms, both_sent),
            agreed: agreed.figures(),
            state_sha256: Some(self.state_sha256()),
        }
    }

    fn state_sha256(&self) -> api::Hash {
        let state = serde_json::json!({
            "window": self.window.number(),
            "next_arrival": self.window.next_arrival(),
            "providers": format!("{:?}", self.window.market().providers()),
            "budgets": self.window.market().budgets(),
            "jobs": self.jobs.iter().collect::<Vec<_>>(),
            "told": format!("{:?}", self.told),
            "figures": format!("{:?}", self.figures),
            "policy": self.swarm.moment(),
        });
        sha256(state.to_string().as_bytes())
    }
}
