//! Tenants, workload profiles, timed events and the simulation's settings: the public schema of
//! `workloads.json`, with this project's optional additions.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    catalog::Catalog,
    events::Event,
    input::{self, Checker, InputError, OrderedMap, token},
};

/// Who asks for what, and what happens meanwhile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workloads {
    /// The tenants; requests are generated in this order.
    pub tenants: Vec<Tenant>,
    /// What a workload needs.
    pub workload_profiles: OrderedMap<WorkloadProfile>,
    /// Steps and seed.
    #[serde(default)]
    pub simulation: SimulationSettings,
    /// Timed events; replaced by drawn ones where `random_events` is above 0.
    #[serde(default)]
    pub scenarios: Vec<ScenarioEvent>,
    /// m: demand is `avg_requests_per_step · m`.
    #[serde(default = "one")]
    pub demand_multiplier: f64,
    /// The order of a step's requests.
    #[serde(default)]
    pub arrival_order: ArrivalOrder,
    /// Every tenant's budget is multiplied by it.
    #[serde(default = "one")]
    pub budget_multiplier: f64,
    /// c: latency × (1 + c·u²), with u the utilisation after the request.
    #[serde(default)]
    pub congestion: f64,
    /// s: price × (1 + s·u²).
    #[serde(default)]
    pub surge: f64,
    /// Events drawn for each episode instead of `scenarios`.
    #[serde(default)]
    pub random_events: u32,
    /// What a policy may do beside routing.
    #[serde(default)]
    pub actions: Actions,
    /// What a policy is told.
    #[serde(default, skip_serializing_if = "Knowledge::is_catalog")]
    pub knowledge: Knowledge,
    /// Where knowledge is hidden, jobs fail so many times as often.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub failure_multiplier: f64,
}

/// One tenant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// Its unique id.
    pub id: String,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it must be served.
    pub region: String,
    /// What it can spend in a step.
    pub budget_usd_per_step: f64,
    /// The weights of the baseline's score.
    pub weights: Weights,
    /// The lowest reputation that it accepts.
    pub min_reputation: f64,
    /// The highest latency that it accepts.
    pub max_latency_ms: f64,
    /// How likely each workload is, in the order in which they are drawn; the sum is 1.
    pub mix: OrderedMap<f64>,
    /// How many requests it makes in a step, on average and before `demand_multiplier`; 0: none. Below 4 the number is
    /// drawn from a Poisson law of that mean, from 4 on as the reference does, which makes half a request less.
    pub avg_requests_per_step: f64,
}

/// The weights of the baseline's score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Weights {
    pub price: f64,
    pub latency: f64,
    pub reputation: f64,
    pub availability: f64,
}

/// What a workload needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadProfile {
    /// The GPU type.
    pub gpu_type: String,
    /// GPU-hours, uniform between the two.
    pub gpu_hours: [f64; 2],
}

/// Steps and seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SimulationSettings {
    /// Steps of an episode.
    pub steps: u32,
    /// The seed of an episode that nobody gave another.
    pub seed: u64,
}

impl Default for SimulationSettings {
    fn default() -> Self {
        Self { steps: 120, seed: 42 }
    }
}

/// The order of a step's requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArrivalOrder {
    /// Tenant by tenant, in the file's order.
    #[default]
    Tenant,
    /// In random order.
    Shuffled,
}

/// What a policy is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Knowledge {
    /// The providers' effective state and each tenant's expected demand: what the files say is so.
    #[default]
    Catalog,
    /// What is advertised and what has arrived. Demand drifts, jobs fail, latencies differ; see
    /// [`Truth`](crate::Truth).
    Hidden,
}

impl Knowledge {
    fn is_catalog(&self) -> bool {
        *self == Self::Catalog
    }
}

/// What a policy may do beside routing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Actions {
    /// Refuse a request although a provider is feasible.
    pub hold: bool,
    /// Set a request aside to the end of the step, once.
    pub defer: bool,
}

/// One timed event, as it stands in the file. Which figure it needs depends on `event`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioEvent {
    /// The step at which it starts.
    pub step: u32,
    /// `outage`, `latency_spike`, `capacity_surge`, `price_spike` or `reputation_drop`.
    pub event: String,
    /// The provider that it hits.
    pub provider_id: String,
    /// For `capacity_surge` and `price_spike`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multiplier: Option<f64>,
    /// For `latency_spike`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta_ms: Option<f64>,
    /// For `reputation_drop`; negative.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta: Option<f64>,
    /// Steps; 5 for an outage, 10 for the others where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<u32>,
}

fn one() -> f64 {
    1.0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_one(value: &f64) -> bool {
    *value == 1.0
}

impl Workloads {
    /// The workloads that the project ships.
    #[must_use]
    pub fn built_in() -> Self {
        let file = "the built-in workloads.json";
        #[allow(clippy::expect_used)] // a test loads the same bytes
        Self::parse(file, include_str!("../data/workloads.json"), &Catalog::built_in())
            .expect("valid built-in workloads")
    }

    /// Reads workloads from JSON text; `file` names them in errors. The catalog is needed because
    /// events name its providers.
    ///
    /// # Errors
    /// The first mistake: malformed JSON, an unknown field, a value out of range, an unknown name.
    pub fn parse(file: &str, text: &str, catalog: &Catalog) -> Result<Self, InputError> {
        input::parse::<Self>(file, text)?.validated(file, catalog)
    }

    /// Like [`Workloads::parse`], from a JSON value.
    ///
    /// # Errors
    /// The first mistake.
    pub fn from_value(file: &str, value: &serde_json::Value, catalog: &Catalog) -> Result<Self, InputError> {
        input::from_value::<Self>(file, value)?.validated(file, catalog)
    }

    fn validated(self, file: &str, catalog: &Catalog) -> Result<Self, InputError> {
        let check = Checker { file };
        let profiles = &self.workload_profiles;
        check.require((1..=1000).contains(&self.tenants.len()), "/tenants", || {
            format!("expected 1 to 1000 tenants, found {}", self.tenants.len())
        })?;
        check.require((1..=1000).contains(&profiles.0.len()), "/workload_profiles", || {
            format!("expected 1 to 1000 workload profiles, found {}", profiles.0.len())
        })?;
        for (name, profile) in profiles.iter() {
            let at = format!("/workload_profiles/{}", token(name));
            check.name(name, &at)?;
            check.name(&profile.gpu_type, &format!("{at}/gpu_type"))?;
            let [low, high] = profile.gpu_hours;
            check.positive(low, 1e6, &format!("{at}/gpu_hours/0"))?;
            check.within(high, low, 1e6, &format!("{at}/gpu_hours/1"))?;
        }
        let known: BTreeSet<&str> = profiles.iter().map(|(name, _)| name).collect();
        for (i, tenant) in self.tenants.iter().enumerate() {
            tenant.validate(&check, &format!("/tenants/{i}"), &known)?;
            if let Some(first) = self.tenants[..i].iter().position(|t| t.id == tenant.id) {
                return Err(check.error(
                    format!("/tenants/{i}/id"),
                    format!("expected a unique id, but `{}` is also the id of /tenants/{first}", tenant.id),
                ));
            }
        }
        let steps = self.simulation.steps;
        check.require((1..=1_000_000).contains(&steps), "/simulation/steps", || {
            format!("expected 1 to 1000000 steps, found {steps}")
        })?;
        check.require(self.simulation.seed < 1 << 53, "/simulation/seed", || {
            "expected a seed below 2^53 (it travels in JSON)".into()
        })?;
        check.positive(self.demand_multiplier, 10_000.0, "/demand_multiplier")?;
        self.check_demand(&check)?;
        check.positive(self.budget_multiplier, 1e6, "/budget_multiplier")?;
        check.within(self.congestion, 0.0, 100.0, "/congestion")?;
        check.within(self.surge, 0.0, 100.0, "/surge")?;
        check.within(self.failure_multiplier, 0.0, 1000.0, "/failure_multiplier")?;
        check.require(self.random_events <= 1000, "/random_events", || {
            format!("expected at most 1000 events an episode, found {}", self.random_events)
        })?;
        check.require(self.scenarios.len() <= 1000, "/scenarios", || {
            format!("expected at most 1000 events, found {}", self.scenarios.len())
        })?;
        for (i, event) in self.scenarios.iter().enumerate() {
            Event::from_file(event, catalog, &check, &format!("/scenarios/{i}"))?;
        }
        Ok(self)
    }

    /// Steps of more requests than this are refused, whether the file asks for them or a preset on top of it.
    pub(crate) fn check_demand(&self, check: &Checker<'_>) -> Result<(), InputError> {
        let mean_requests: f64 =
            self.tenants.iter().map(|t| t.avg_requests_per_step * self.demand_multiplier).sum();
        check.require(mean_requests <= 1e6, "/demand_multiplier", || {
            format!("expected at most 1000000 requests a step on average, found {mean_requests}")
        })
    }
}

impl Tenant {
    fn validate(&self, check: &Checker<'_>, at: &str, profiles: &BTreeSet<&str>) -> Result<(), InputError> {
        check.name(&self.id, &format!("{at}/id"))?;
        check.name(&self.region, &format!("{at}/region"))?;
        check.within(self.budget_usd_per_step, 0.0, 1e12, &format!("{at}/budget_usd_per_step"))?;
        let Weights { price, latency, reputation, availability } = self.weights;
        for (name, weight) in [
            ("price", price),
            ("latency", latency),
            ("reputation", reputation),
            ("availability", availability),
        ] {
            check.within(weight, 0.0, 1e6, &format!("{at}/weights/{name}"))?;
        }
        check.within(self.min_reputation, 0.0, 100.0, &format!("{at}/min_reputation"))?;
        check.positive(self.max_latency_ms, 1e9, &format!("{at}/max_latency_ms"))?;
        check.within(self.avg_requests_per_step, 0.0, 1e6, &format!("{at}/avg_requests_per_step"))?;
        for (workload, share) in self.mix.iter() {
            let pointer = format!("{at}/mix/{}", token(workload));
            check.require(profiles.contains(workload), &pointer, || {
                let known: Vec<&str> = profiles.iter().copied().collect();
                format!("expected a workload of workload_profiles ({})", known.join(", "))
            })?;
            check.within(*share, 0.0, 1.0, &pointer)?;
        }
        let sum: f64 = self.mix.iter().map(|(_, share)| share).sum();
        check.require((sum - 1.0).abs() <= 0.01, &format!("{at}/mix"), || {
            format!("expected shares that sum to 1, found {sum}")
        })
    }
}
