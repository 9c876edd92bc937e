use api::{
    deployments::{Clock, Durability, Explore, MarketUpdate, NewDeployment},
    policies::{NewPolicy, ProviderNow, TenantNow},
};
use clap::{ArgGroup, Args, Subcommand};
use client::{ClientError, Trainer};

use self::{
    challengers::{ChallengerArgs, Promote, Rollback},
    show::{shown, status, stream_shown},
};
use crate::{
    environment::EnvironmentArgs,
    exit::{Answer, usage},
    output::{say, say_json, table},
    preference::{PreferenceArgs, TenantPreferenceArgs},
    remote::{RemoteArgs, RunName, trainer_error},
    runtime,
};

mod challengers;
mod show;

/// Let a policy of a running stack decide a stream of real requests
///
/// A deployment remembers what it sent where, and its policy learns from what became of it. Its steps are windows of time, for
/// which capacities and budgets are given. Requests and outcomes come over HTTP: POST /v1/deployments/{name}/decisions and
/// POST /v1/decisions/{id}/outcome of the trainer.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mesh deploy create gateway --rule bid-price --preset contended
  mesh deploy status
  mesh deploy status gateway
  mesh deploy market gateway --down flux --price akash=1.2
  mesh deploy promote gateway --reason \"it has agreed for a week\"
  mesh deploy rollback gateway --reason \"tenants complain\"
  mesh deploy stop gateway --reason \"another policy is better\"")]
pub(crate) struct Deploy {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Create(Create),
    Status(Status),
    Market(Market),
    Promote(Promote),
    Rollback(Rollback),
    Stop(Stop),
}

/// Deploy a policy
///
/// The same deployment once more is the same one. A name is used once in a ledger.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("decides").required(true)), after_help = "Examples:
  mesh deploy create gateway --rule bid-price --preset contended
  mesh deploy create gateway --policy last
  mesh deploy create gateway --rule bid-price --providers providers.json --workloads workloads.json
  mesh deploy create gateway --policy 1fcb0350-dd98-567b-8e27-2cbd7cecde9d --window 600 --epsilon 0.02
  mesh deploy create gateway --rule bid-price --preset contended --preference cheap
  mesh deploy create gateway --policy 1fcb0350-dd98-567b-8e27-2cbd7cecde9d --canary f2f233f8-0939-522b-98c7-6b83d771f591=0.1 --max-failure-rate 0.05")]
struct Create {
    /// The deployment's name: lowercase letters, digits and hyphens
    #[arg(value_name = "NAME")]
    name: String,
    /// The policy: a run's id or its first digits, or `last`; or the id of an imported one
    #[arg(long, value_name = "POLICY", group = "decides")]
    policy: Option<RunName>,
    /// A hand rule instead, by its name
    #[arg(long, value_name = "RULE", group = "decides")]
    rule: Option<String>,
    #[command(flatten, next_help_heading = "The environment in which the hand rule decides")]
    environment: EnvironmentArgs,
    /// How long a window is, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u32).range(1..=604_800))]
    window: u32,
    /// How long before a window's end those requests are decided that wait for it, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    settle: u32,
    /// The probability with which a request is sent to a provider at random
    #[arg(long, value_name = "E", default_value_t = 0.0, value_parser = share)]
    epsilon: f64,
    /// By how much a provider that is tried at random may be dearer than the cheapest: 0.2 is a fifth
    #[arg(long, value_name = "SHARE", default_value_t = 0.2)]
    cost_guard: f64,
    /// How long an outcome is waited for, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 86_400, value_parser = clap::value_parser!(u32).range(1..=31_536_000))]
    outcome_deadline: u32,
    /// Answer calls before their decisions are in the ledger, with a signed promise that they will be, which `mesh verify --promise promise.json` checks
    #[arg(long)]
    promise: bool,
    /// Tell other nodes window by window what providers do, and act on what they tell; for policies of adaptive, between nodes whose trainers are peers
    #[arg(long)]
    federate: bool,
    #[command(flatten)]
    challengers: ChallengerArgs,
    #[command(flatten)]
    preference: PreferenceArgs,
    #[command(flatten)]
    tenants: TenantPreferenceArgs,
    #[command(flatten)]
    shown: Shown,
}

/// List the deployments, or show where one stands
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mesh deploy status
  mesh deploy status gateway --json")]
struct Status {
    /// The deployment; all are listed without one
    #[arg(value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    shown: Shown,
}

/// Say how providers and tenants are
///
/// Providers stay so until something else is said of them; what is left of a capacity or a budget is said for the window under
/// way.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mesh deploy market gateway --down flux
  mesh deploy market gateway --up flux --capacity flux=90 --price akash=1.2 --left aethir=12.5
  mesh deploy market gateway --budget tenant-dao=250")]
struct Market {
    /// The deployment
    #[arg(value_name = "NAME")]
    name: String,
    /// A provider that takes no jobs; can be given several times
    #[arg(long, value_name = "PROVIDER")]
    down: Vec<String>,
    /// A provider that takes jobs again; can be given several times
    #[arg(long, value_name = "PROVIDER")]
    up: Vec<String>,
    /// What a provider's catalog prices are multiplied by; can be given several times
    #[arg(long, value_name = "PROVIDER=FACTOR", value_parser = figure)]
    price: Vec<(String, f64)>,
    /// A provider's capacity, in GPU-hours a window; can be given several times
    #[arg(long, value_name = "PROVIDER=HOURS", value_parser = figure)]
    capacity: Vec<(String, f64)>,
    /// What is left of a provider's capacity, in GPU-hours; can be given several times
    #[arg(long, value_name = "PROVIDER=HOURS", value_parser = figure)]
    left: Vec<(String, f64)>,
    /// A provider's latency without load, in ms; can be given several times
    #[arg(long, value_name = "PROVIDER=MS", value_parser = figure)]
    latency: Vec<(String, f64)>,
    /// What is left of a tenant's budget, in USD; can be given several times
    #[arg(long, value_name = "TENANT=USD", value_parser = figure)]
    budget: Vec<(String, f64)>,
    #[command(flatten)]
    shown: Shown,
}

/// Stop a deployment for good
///
/// It takes no requests any more; what is told of its jobs is still recorded.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mesh deploy stop gateway --reason \"another policy is better\"")]
struct Stop {
    /// The deployment
    #[arg(value_name = "NAME")]
    name: String,
    /// Why, for whoever reads the ledger
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    shown: Shown,
}

/// Where the stack is, and how its answer is shown.
#[derive(Debug, Args)]
struct Shown {
    /// Print the answer as one JSON object, as the API shows it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: RemoteArgs,
}

impl Deploy {
    pub(crate) fn run(self) -> anyhow::Result<Answer> {
        match self.action {
            Action::Create(create) => create.run(),
            Action::Status(status) => status.run(),
            Action::Market(market) => market.run(),
            Action::Promote(Promote { change }) => {
                change.run(async |trainer, name, change| trainer.promote_challenger(name, change).await)
            }
            Action::Rollback(Rollback { change }) => {
                change.run(async |trainer, name, change| trainer.roll_back_challenger(name, change).await)
            }
            Action::Stop(stop) => stop.run(),
        }
    }
}

impl Create {
    fn run(self) -> anyhow::Result<Answer> {
        if self.settle >= self.window {
            return Err(usage("--settle: expected less than --window"));
        }
        if self.rule.is_none() && self.environment.is_named() {
            return Err(usage(
                "--preset, --providers, --workloads: expected --rule beside them; a policy brings the environment along that it \
                 was trained in",
            ));
        }
        let explore = (self.epsilon > 0.0)
            .then_some(Explore { epsilon: self.epsilon, cost_guard: self.cost_guard.clamp(0.0, 1000.0) });
        let trainer = self.shown.remote.trainer()?;
        let told = |error| trainer_error(&trainer, error);
        let deployed = runtime::block_on("error", async {
            let policy_id = match (&self.policy, &self.rule) {
                (Some(policy), _) => policy.id(&trainer).await?,
                (None, rule) => {
                    let environment = self.environment.spec()?;
                    let policy = NewPolicy { rule: rule.clone(), environment, ..NewPolicy::default() };
                    trainer.import_policy(&policy).await.map_err(told)?.id
                }
            };
            let deployment = NewDeployment {
                name: self.name.clone(),
                policy_id,
                step_seconds: self.window,
                settle_seconds: self.settle,
                clock: Clock::System,
                starts_at: None,
                explore,
                outcome_deadline_seconds: self.outcome_deadline,
                hold_seconds: None,
                challengers: self.challengers.challengers(&trainer).await?,
                guardrails: self.challengers.guardrails(),
                promotion: self.challengers.promotion(),
                preference: self.tenants.on_the_wire(self.preference.on_the_wire()),
                durability: if self.promise { Durability::Promise } else { Durability::Ledger },
                federate: self.federate,
            };
            trainer.deploy(&deployment).await.map_err(told)
        })?;
        self.shown.say(&deployed, |deployed| {
            format!(
                "{} deploys {}; its requests go to POST {}/v1/deployments/{}/decisions",
                deployed.name,
                deployed.algorithm,
                self.shown.url(),
                deployed.name
            )
        })
    }
}

impl Status {
    fn run(self) -> anyhow::Result<Answer> {
        let Some(name) = &self.name else {
            let deployments = self.shown.ask(async |trainer| trainer.deployments().await)?;
            return self.shown.say(&deployments, |page| {
                let rows = page.items.iter().map(|deployment| {
                    let settings = &deployment.settings;
                    let window = format!("{} s", settings.step_seconds);
                    let status = status(deployment.status).to_owned();
                    vec![deployment.name.clone(), status, deployment.algorithm.clone(), window]
                });
                table(&["deployment", "status", "policy", "window"], rows)
            });
        };
        let deployment = self.shown.ask(async |trainer| trainer.deployment(name, None).await)?;
        self.shown.say(&deployment, shown)
    }
}

impl Market {
    fn run(self) -> anyhow::Result<Answer> {
        let update = self.update();
        if update == MarketUpdate::default() {
            return Err(usage(
                "nothing to say: give --down, --up, --price, --capacity, --left, --latency or --budget",
            ));
        }
        let stream = self.shown.ask(async |trainer| trainer.set_market(&self.name, &update).await)?;
        self.shown.say(&stream, stream_shown)
    }

    fn update(&self) -> MarketUpdate {
        let mut providers: Vec<ProviderNow> = Vec::new();
        let mut say = |id: &str, what: &dyn Fn(&mut ProviderNow)| {
            let known = providers.iter().position(|provider| provider.id == id);
            let known = known.unwrap_or_else(|| {
                providers.push(ProviderNow { id: id.to_owned(), ..ProviderNow::default() });
                providers.len() - 1
            });
            what(&mut providers[known]);
        };
        self.down.iter().for_each(|id| say(id, &|provider| provider.available = Some(false)));
        self.up.iter().for_each(|id| say(id, &|provider| provider.available = Some(true)));
        self.price
            .iter()
            .for_each(|(id, factor)| say(id, &|provider| provider.price_multiplier = Some(*factor)));
        self.capacity
            .iter()
            .for_each(|(id, hours)| say(id, &|provider| provider.capacity_gpu_hours = Some(*hours)));
        self.left
            .iter()
            .for_each(|(id, hours)| say(id, &|provider| provider.remaining_gpu_hours = Some(*hours)));
        self.latency.iter().for_each(|(id, ms)| say(id, &|provider| provider.latency_ms = Some(*ms)));
        let tenants = self.budget.iter();
        let tenants =
            tenants.map(|(id, usd)| TenantNow { id: id.clone(), remaining_budget_usd: *usd }).collect();
        MarketUpdate { providers, tenants, now: None }
    }
}

impl Stop {
    fn run(self) -> anyhow::Result<Answer> {
        let stopped =
            self.shown.ask(async |trainer| trainer.stop_deployment(&self.name, self.reason.clone()).await)?;
        self.shown.say(&stopped, |stopped| format!("{} takes no requests any more", stopped.name))
    }
}

impl Shown {
    fn ask<T>(&self, call: impl AsyncFnOnce(&Trainer) -> Result<T, ClientError>) -> anyhow::Result<T> {
        let trainer = self.remote.trainer()?;
        runtime::block_on("error", async {
            call(&trainer).await.map_err(|error| trainer_error(&trainer, error))
        })
    }

    fn say<T: serde::Serialize>(
        &self,
        answer: &T,
        tell: impl FnOnce(&T) -> String,
    ) -> anyhow::Result<Answer> {
        if self.json {
            say_json(answer)?
        } else {
            say(&tell(answer))?
        }
        Ok(Answer::Yes)
    }

    fn url(&self) -> String {
        self.remote.trainer().map(|trainer| trainer.endpoint().url.clone()).unwrap_or_default()
    }
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "expected a number from 0 to 1".into())
}

/// A name and a figure.
fn figure(text: &str) -> Result<(String, f64), String> {
    let (name, figure) = text.split_once('=').ok_or("expected a name, `=` and a number")?;
    let figure = figure.parse().ok().filter(|figure: &f64| figure.is_finite() && *figure >= 0.0);
    figure
        .map(|figure| (name.to_owned(), figure))
        .ok_or_else(|| "expected a number, at least 0, behind `=`".into())
}
