//! A deployment over HTTP, call by call, with the simulator as the world behind it ([`world`]): what it achieves is compared
//! with what the same policy achieves when it is asked in the simulator, and with `bid-price`.
//!
//! `cargo run --release -p trainer --example deployments -- [--presets drifting,unreliable] [--late 0,5,20] [--seeds 2]
//! [--steps 120] [--missing 0.1] [--trainer URL]`. Without a URL it starts a trainer of its own, on a ledger in memory: what
//! is decided does not depend on where it is recorded. Hundreds of thousands of calls take their time: the crate's test
//! `figures_of_deployments` plays the same world without HTTP.

#![allow(clippy::print_stdout)] // its output is what it is for

mod world;

use api::{
    deployments::{
        Clock, DeployedRequest, DeploymentRequest, Durability, MarketUpdate, NewDeployment, Promotion,
    },
    policies::{NewPolicy, Outcome, ProviderNow, RoutingRequest, ServedDecision},
    remembrancer::Action,
    trainer::EnvironmentSpec,
};
use chrono::{DateTime, TimeDelta, Utc};
use client::{Endpoint, Trainer};
use routing_env::{Choice, Environment, Episode, Preset, Request};
use service_kit::HttpConfig;
use test_support::{FakePsiField, FakeRemembrancer};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use world::{
    Bounds, Decided, Deployed, Error, HEAD, OUTCOME_DEADLINE_SECONDS, SETTLE_SECONDS, STEP_SECONDS, World,
};

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
    let mut own = None;
    let (ledger, field) = (FakeRemembrancer::start().await, FakePsiField::start().await);
    let url = match &settings.trainer {
        Some(url) => url.clone(),
        None => {
            let (url, service) = start(&ledger, &field, shutdown.clone()).await?;
            own = Some(service);
            url
        }
    };
    let trainer = Trainer::new(Endpoint::new(url))?;
    test_support::eventually("the trainer is ready", async || trainer.ready().await).await;

    println!("{HEAD}");
    for preset in &settings.presets {
        let bounds = Bounds::new(*preset, settings.steps, settings.seeds)?;
        let environment = serde_json::json!({"preset": preset.name()});
        let policy = NewPolicy {
            file: Some(serde_json::to_value(&bounds.policy)?),
            environment: serde_json::from_value::<EnvironmentSpec>(environment)?,
            ..NewPolicy::default()
        };
        let policy_id = trainer.import_policy(&policy).await?.id;
        for late in &settings.late {
            let mut rewards = Vec::new();
            for seed in &bounds.seeds {
                let name = format!("{}-{late}-{seed}-{}", preset.name(), std::process::id());
                let deployed = OverHttp::deploy(&trainer, &bounds.env, name, policy_id).await?;
                rewards.push(World::new(&bounds.env, deployed, *late, settings.missing).play(*seed).await?);
            }
            println!("{}", bounds.row(*late, settings.missing, &rewards));
        }
    }
    // what works in the background ends before the runtime does
    shutdown.cancel();
    if let Some(service) = own {
        service.await??;
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
) -> Result<(String, JoinHandle<std::io::Result<()>>), Error> {
    let config = trainer::Config {
        http: HttpConfig::on_port(0),
        remembrancer_url: ledger.url().to_owned(),
        psi_field_url: field.url().to_owned(),
        ..trainer::Config::default()
    };
    let (listener, deadlines) = (service_kit::listen(&config.http).await?, config.http.deadlines());
    let url = format!("http://{}", listener.local_addr()?);
    let app = trainer::build(config, shutdown.clone()).await?;
    Ok((url, tokio::spawn(service_kit::serve(listener, app, deadlines, shutdown))))
}

/// A deployment that is asked over HTTP.
struct OverHttp<'a> {
    trainer: &'a Trainer,
    env: &'a Environment,
    name: String,
}

impl<'a> OverHttp<'a> {
    async fn deploy(
        trainer: &'a Trainer,
        env: &'a Environment,
        name: String,
        policy_id: Uuid,
    ) -> Result<Self, Error> {
        let deployment = NewDeployment {
            name: name.clone(),
            policy_id,
            step_seconds: STEP_SECONDS,
            settle_seconds: SETTLE_SECONDS,
            clock: Clock::Caller,
            starts_at: Some(moment(0, 0)),
            explore: None,
            outcome_deadline_seconds: OUTCOME_DEADLINE_SECONDS,
            hold_seconds: None,
            challengers: Vec::new(),
            guardrails: None,
            promotion: Promotion::default(),
            preference: None,
            durability: Durability::default(),
            federate: false,
        };
        trainer.deploy(&deployment).await?;
        Ok(Self { trainer, env, name })
    }

    fn decided(&self, decision: &ServedDecision) -> Decided<Uuid> {
        let position = |id: &str| self.env.catalog().providers.iter().position(|provider| provider.id == id);
        let choice = match (decision.action, decision.provider.as_deref().and_then(position)) {
            (Action::Route, Some(provider)) => Choice::Route(provider),
            _ if decision.reason == "deferred" => Choice::Defer,
            _ => Choice::Hold,
        };
        Decided { id: decision.id, sequence: decision.sequence, choice }
    }
}

impl Deployed for OverHttp<'_> {
    type Id = Uuid;

    async fn announce(&mut self, episode: &Episode<'_>, step: u32) -> Result<(), Error> {
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
        let update =
            MarketUpdate { providers: providers.collect(), tenants: Vec::new(), now: Some(moment(step, 0)) };
        self.trainer.set_market(&self.name, &update).await?;
        Ok(())
    }

    async fn ask(
        &mut self,
        step: u32,
        has_settled: bool,
        request: &Request,
        retry_of: Option<Uuid>,
    ) -> Result<Decided<Uuid>, Error> {
        let asked = RoutingRequest {
            tenant: self.env.workloads().tenants[request.tenant].id.clone(),
            workload: self.env.workload_name(request.workload).to_owned(),
            gpu_hours: request.hours,
            ..RoutingRequest::default()
        };
        let seconds = if has_settled { STEP_SECONDS - SETTLE_SECONDS } else { 1 };
        let call = DeploymentRequest {
            requests: vec![DeployedRequest { request: asked, retry_of, id: None }],
            now: Some(moment(step, seconds)),
            ..DeploymentRequest::default()
        };
        let answer = self.trainer.ask_deployment(&self.name, &call, None).await?;
        Ok(self.decided(answer.decisions.first().ok_or("one request has one decision")?))
    }

    async fn settle(&mut self, step: u32, deferrals: &[Uuid]) -> Result<Vec<Decided<Uuid>>, Error> {
        let now = Some(moment(step, STEP_SECONDS - SETTLE_SECONDS));
        let mut decided = Vec::new();
        for deferral in deferrals {
            let answer = self.trainer.deferred_decision(&self.name, *deferral, now).await?;
            let decision = answer.decision.ok_or("a request waits beyond the end of its window")?;
            decided.push(self.decided(&decision));
        }
        Ok(decided)
    }

    async fn tell(&mut self, decision: Uuid, outcome: &Outcome) -> Result<(), Error> {
        self.trainer.tell_outcome(decision, outcome).await?;
        Ok(())
    }
}

/// A moment of a window. Episodes begin on a Monday at midnight.
fn moment(window: u32, seconds: u32) -> DateTime<Utc> {
    let monday = DateTime::from_timestamp(1_764_547_200, 0).unwrap_or_default(); // 2025-12-01
    monday + TimeDelta::seconds(i64::from(window) * i64::from(STEP_SECONDS) + i64::from(seconds))
}
