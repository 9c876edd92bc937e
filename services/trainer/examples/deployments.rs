//! The simulator as the world behind a deployment: it posts its requests one by one, draws from what is hidden what becomes
//! of each job, and tells it late or never. What the deployment achieves is compared with what the same policy achieves when
//! it is asked in the simulator, and with `bid-price`.
//!
//! `cargo run --release -p trainer --example deployments -- [--presets drifting,unreliable] [--late 0,5,20] [--seeds 2]
//! [--steps 120] [--missing 0.1] [--trainer URL]`. Without a URL it starts a trainer of its own, on a ledger in memory: what
//! is decided does not depend on where it is recorded.

#![allow(clippy::print_stdout)] // its output is what it is for

use std::collections::{BTreeMap, HashMap};

use api::{
    FIRST_HELD_OUT_SEED,
    deployments::{Clock, DeployedRequest, DeploymentRequest, MarketUpdate, NewDeployment, Promotion},
    policies::{NewPolicy, Outcome, ProviderNow, RoutingRequest, ServedDecision},
    remembrancer::Action,
    trainer::EnvironmentSpec,
};
use chrono::{DateTime, TimeDelta, Utc};
use client::{Endpoint, Trainer};
use policy::{PolicyFile, Rule, StepReport, Swarm, SwarmConfig, Training};
use routing_env::{Choice, Environment, Episode, Fate, Metrics, Preset, Request, Reward, Turn};
use service_kit::HttpConfig;
use test_support::{FakePsiField, FakeRemembrancer};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

type Error = Box<dyn std::error::Error + Send + Sync>;

const STEP_SECONDS: i64 = 3600;
const SETTLE_SECONDS: i64 = 60;
const REWARD: Reward = Reward::EXCESS_COST;

/// Episodes that the policy is trained for.
const TRAINING_EPISODES: u32 = 20;

struct Settings {
    presets: Vec<Preset>,
    late: Vec<u32>,
    seeds: u64,
    steps: u32,
    missing: f64,
    trainer: Option<String>,
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let settings = Settings::read()?;
    let shutdown = CancellationToken::new();
    let _stop = shutdown.clone().drop_guard();
    let (ledger, field) = (FakeRemembrancer::start().await, FakePsiField::start().await);
    let url = match &settings.trainer {
        Some(url) => url.clone(),
        None => start(&ledger, &field, shutdown).await?,
    };
    let trainer = Trainer::new(Endpoint::new(url))?;
    test_support::eventually("the trainer is ready", async || trainer.ready().await).await;

    println!(
        "{:<12} {:>5} {:>8} {:>10} {:>10} {:>10} {:>7}",
        "preset", "late", "missing", "bid-price", "simulator", "deployment", "share"
    );
    for preset in &settings.presets {
        let env = Environment::built_in(*preset).with_steps(settings.steps);
        let swarm = trained(&env);
        let file = PolicyFile::new(&swarm, &env, training(*preset));
        let policy = NewPolicy {
            file: Some(serde_json::to_value(&file)?),
            environment: serde_json::from_value::<EnvironmentSpec>(
                serde_json::json!({"preset": preset.name()}),
            )?,
            ..NewPolicy::default()
        };
        let policy_id = trainer.import_policy(&policy).await?.id;
        let seeds: Vec<u64> = (0..settings.seeds).map(|seed| FIRST_HELD_OUT_SEED + seed).collect();
        let mean = |rewards: Vec<f64>| rewards.iter().sum::<f64>() / rewards.len() as f64;
        let played = |swarm: &Swarm| mean(seeds.iter().map(|seed| simulate(&env, swarm, *seed)).collect());
        let (baseline, simulated) =
            (played(&Swarm::of_rule(Rule::BidPrice, &env)), played(&file.swarm(&env)?));
        for late in &settings.late {
            let mut rewards = Vec::new();
            for seed in &seeds {
                let name = format!("{}-{late}-{seed}-{}", preset.name(), std::process::id());
                let world = World::new(&trainer, &env, &name, policy_id, *late, settings.missing).await?;
                rewards.push(world.play(*seed).await?);
            }
            let deployed = mean(rewards);
            let share = 100.0 * (deployed - baseline) / (simulated - baseline);
            println!(
                "{:<12} {late:>5} {:>6.0} % {baseline:>10.4} {simulated:>10.4} {deployed:>10.4} {share:>5.1} %",
                preset.name(),
                100.0 * settings.missing
            );
        }
    }
    Ok(())
}

impl Settings {
    fn read() -> Result<Self, Error> {
        let mut settings = Self {
            presets: vec![Preset::Drifting, Preset::Unreliable],
            late: vec![0, 5, 20],
            seeds: 2,
            steps: 120,
            missing: 0.1,
            trainer: None,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(flag) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{flag}: expected a value"))?;
            match flag.as_str() {
                "--presets" => {
                    settings.presets = value.split(',').map(str::parse).collect::<Result<_, _>>()?
                }
                "--late" => settings.late = value.split(',').map(str::parse).collect::<Result<_, _>>()?,
                "--seeds" => settings.seeds = value.parse()?,
                "--steps" => settings.steps = value.parse()?,
                "--missing" => settings.missing = value.parse()?,
                "--trainer" => settings.trainer = Some(value),
                _ => return Err(format!("{flag}: there is no such flag").into()),
            }
        }
        Ok(settings)
    }
}

/// A trainer in this process.
async fn start(
    ledger: &FakeRemembrancer,
    field: &FakePsiField,
    shutdown: CancellationToken,
) -> Result<String, Error> {
    let config = trainer::Config {
        http: HttpConfig::on_port(0),
        remembrancer_url: ledger.url().to_owned(),
        psi_field_url: field.url().to_owned(),
        ..trainer::Config::default()
    };
    let (listener, deadlines) = (service_kit::listen(&config.http).await?, config.http.deadlines());
    let url = format!("http://{}", listener.local_addr()?);
    let app = trainer::build(config, shutdown.clone()).await?;
    tokio::spawn(service_kit::serve(listener, app, deadlines, shutdown));
    Ok(url)
}

/// `adaptive` with its usual settings, trained on seeds that are for training.
fn trained(env: &Environment) -> Swarm {
    let config = SwarmConfig::new("adaptive", &serde_json::json!({}), 10).expect("settings by default");
    let mut swarm = Swarm::new(config, env).expect("a catalog of its own");
    for seed in 0..u64::from(TRAINING_EPISODES) {
        play(env, &mut swarm, seed);
    }
    swarm
}

fn training(preset: Preset) -> Training {
    Training {
        preset: preset.name().to_owned(),
        reward: REWARD.to_string(),
        preference: None,
        prior: None,
        first_seed: 0,
        episodes: TRAINING_EPISODES,
        decisions: 0,
    }
}

/// The mean reward of a policy that is asked in the simulator.
fn simulate(env: &Environment, swarm: &Swarm, seed: u64) -> f64 {
    let mut swarm = swarm.clone();
    swarm.freeze();
    play(env, &mut swarm, seed)
}

fn play(env: &Environment, swarm: &mut Swarm, seed: u64) -> f64 {
    let (mut episode, mut report) = (Episode::new(env, seed, REWARD), StepReport::new(env));
    let mut metrics = Metrics::new(env);
    swarm.begin_episode(seed);
    while swarm.run_step(&mut episode, REWARD, &mut report) {
        metrics.merge(&report.metrics);
    }
    swarm.end_episode();
    metrics.overall.avg_reward().unwrap_or_default()
}

/// The world behind one deployment.
struct World<'a> {
    trainer: &'a Trainer,
    env: &'a Environment,
    name: &'a str,
    late: u32,
    missing: f64,
    /// What is to be told, by the step in which it is.
    untold: BTreeMap<u32, Vec<(Uuid, Outcome)>>,
}

/// What is known of a step's requests.
#[derive(Default)]
struct Step {
    number: u32,
    /// How many of them were posted.
    posted: usize,
    /// The last decision about each.
    decisions: HashMap<usize, ServedDecision>,
}

impl<'a> World<'a> {
    async fn new(
        trainer: &'a Trainer,
        env: &'a Environment,
        name: &'a str,
        policy_id: Uuid,
        late: u32,
        missing: f64,
    ) -> Result<Self, Error> {
        let deployment = NewDeployment {
            name: name.to_owned(),
            policy_id,
            step_seconds: STEP_SECONDS as u32,
            settle_seconds: SETTLE_SECONDS as u32,
            clock: Clock::Caller,
            starts_at: Some(moment(0, 0)),
            explore: None,
            outcome_deadline_seconds: 48 * STEP_SECONDS as u32,
            hold_seconds: None,
            challengers: Vec::new(),
            guardrails: None,
            promotion: Promotion::default(),
        };
        trainer.deploy(&deployment).await?;
        Ok(Self { trainer, env, name, late, missing, untold: BTreeMap::new() })
    }

    /// Plays an episode; its mean reward.
    async fn play(mut self, seed: u64) -> Result<f64, Error> {
        let mut episode = Episode::new(self.env, seed, REWARD);
        let mut metrics = Metrics::new(self.env);
        let mut number = 0;
        while episode.begin_step() {
            self.announce(&episode, number).await?;
            for (decision, outcome) in self.untold.remove(&number).unwrap_or_default() {
                self.trainer.tell_outcome(decision, &outcome).await?;
            }
            self.play_step(&mut episode, number).await?;
            metrics.merge(episode.outcome().metrics);
            number += 1;
        }
        Ok(metrics.overall.avg_reward().unwrap_or_default())
    }

    /// Says what everybody is told of a step that begins.
    async fn announce(&self, episode: &Episode<'_>, number: u32) -> Result<(), Error> {
        let providers = self.env.catalog().providers.iter().zip(episode.market().providers());
        let providers = providers.map(|(provider, state)| ProviderNow {
            id: provider.id.clone(),
            available: Some(state.active),
            capacity_gpu_hours: Some(state.capacity),
            remaining_gpu_hours: Some(state.remaining),
            latency_ms: Some(state.latency_ms),
            price_multiplier: Some(state.price_multiplier),
            reputation: Some(state.reputation),
        });
        let update = MarketUpdate {
            providers: providers.collect(),
            tenants: Vec::new(),
            now: Some(moment(number, 0)),
        };
        self.trainer.set_market(self.name, &update).await?;
        Ok(())
    }

    async fn play_step(&mut self, episode: &mut Episode<'_>, number: u32) -> Result<(), Error> {
        let requests = episode.outcome().requests.to_vec();
        let mut step = Step { number, ..Step::default() };
        loop {
            let (index, failed) = match episode.turn() {
                None => break,
                Some(Turn::Request(observation)) => (observation.index, observation.failed_at.is_some()),
                Some(Turn::Waiting { waiting, .. }) => {
                    let mut order = waiting.to_vec();
                    self.post_up_to(&mut step, &requests, requests.len()).await?;
                    self.settle(&mut step, &order).await?;
                    // those that were not deferred there, for whatever reason, are decided last
                    order.sort_by_key(|index| step.decisions.get(index).map_or(u64::MAX, |d| d.sequence));
                    episode.order_waiting(&order);
                    continue;
                }
            };
            if failed {
                let before = step.decisions[&index].id;
                self.post(&mut step, index, &requests[index], Some(before)).await?;
            } else {
                // those before it that nobody could take were asked for too
                self.post_up_to(&mut step, &requests, index + 1).await?;
            }
            let decision = &step.decisions[&index];
            let choice = self.choice(decision);
            episode.act(choice);
            if let Choice::Route(_) = choice {
                self.observe(episode, number, decision.id).await?;
            }
        }
        self.post_up_to(&mut step, &requests, requests.len()).await
    }

    /// What became of a job that was just sent somewhere, told now, later or never.
    async fn observe(&mut self, episode: &Episode<'_>, number: u32, decision: Uuid) -> Result<(), Error> {
        let outcome = match episode.outcome().turns.last() {
            Some((_, None)) => Outcome::default(), // it failed, and is tried again
            Some((_, Some(resolution))) => match resolution.fate {
                Fate::Routed(routed) => Outcome {
                    succeeded: true,
                    latency_ms: Some(routed.latency_ms),
                    cost_usd: Some(routed.cost),
                    ..Outcome::default()
                },
                Fate::Failed => Outcome::default(),
                // the world could not have it there: there was no job
                Fate::Held | Fate::NoViableProvider | Fate::InfeasibleChoice => return Ok(()),
            },
            None => return Ok(()),
        };
        // the same for every policy that comes to the same decision
        let drawn = (decision.as_u128() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11;
        if (drawn as f64 / (1_u64 << 53) as f64) < self.missing {
            return Ok(());
        }
        if self.late == 0 {
            self.trainer.tell_outcome(decision, &outcome).await?;
        } else {
            self.untold.entry(number + self.late).or_default().push((decision, outcome));
        }
        Ok(())
    }

    fn choice(&self, decision: &ServedDecision) -> Choice {
        let position = |id: &str| self.env.catalog().providers.iter().position(|provider| provider.id == id);
        match (decision.action, decision.provider.as_deref().and_then(position)) {
            (Action::Route, Some(provider)) => Choice::Route(provider),
            _ if decision.reason == "deferred" => Choice::Defer,
            _ => Choice::Hold,
        }
    }

    async fn post_up_to(&self, step: &mut Step, requests: &[Request], end: usize) -> Result<(), Error> {
        while step.posted < end {
            let index = step.posted;
            self.post(step, index, &requests[index], None).await?;
            step.posted += 1;
        }
        Ok(())
    }

    async fn post(
        &self,
        step: &mut Step,
        index: usize,
        request: &Request,
        retry_of: Option<Uuid>,
    ) -> Result<(), Error> {
        let asked = RoutingRequest {
            tenant: self.env.workloads().tenants[request.tenant].id.clone(),
            workload: self.env.workload_name(request.workload).to_owned(),
            gpu_hours: request.hours,
            ..RoutingRequest::default()
        };
        let has_settled = step.decisions.values().any(|decision| decision.deferred);
        let seconds = if has_settled { STEP_SECONDS - SETTLE_SECONDS } else { 1 };
        let call = DeploymentRequest {
            requests: vec![DeployedRequest { request: asked, retry_of, id: None }],
            now: Some(moment(step.number, seconds)),
            ..DeploymentRequest::default()
        };
        let mut answer = self.trainer.ask_deployment(self.name, &call).await?;
        step.decisions.insert(index, answer.decisions.remove(0));
        Ok(())
    }

    /// Asks where those go that waited.
    async fn settle(&self, step: &mut Step, waiting: &[usize]) -> Result<(), Error> {
        let now = Some(moment(step.number, STEP_SECONDS - SETTLE_SECONDS));
        for index in waiting {
            let deferral = step.decisions[index].id;
            let decided = self.trainer.deferred_decision(self.name, deferral, now).await?;
            let decision = decided.decision.ok_or("a request waits beyond the end of its window")?;
            step.decisions.insert(*index, decision);
        }
        Ok(())
    }
}

/// A moment of a window. Episodes begin on a Monday at midnight.
fn moment(window: u32, seconds: i64) -> DateTime<Utc> {
    let monday = DateTime::from_timestamp(1_764_547_200, 0).unwrap_or_default(); // 2025-12-01
    monday + TimeDelta::seconds(i64::from(window) * STEP_SECONDS + seconds)
}
