//! What the entries of an observation and the numbers of the actions mean in an environment.

use crate::{environment::Environment, episode::Choice, workloads::Knowledge};

/// What a vector says of each provider, in this order.
pub(super) const OF_PROVIDER: [&str; 10] = [
    "feasible",
    "price",
    "latency",
    "worth",
    "reputation",
    "remaining",
    "fits",
    "slack",
    "failures_seen",
    "latency_seen",
];

/// What a vector says of the request and the step, in this order, between the one-hot entries and the scarce resources.
pub(super) const OF_REQUEST: [&str; 13] = [
    "hours",
    "has_waited",
    "waited_ms",
    "has_failed",
    "phase",
    "waiting",
    "waiting_hours",
    "hour_sin",
    "hour_cos",
    "demand_last_step",
    "demand_mean",
    "budget_left",
    "budget_slack",
];

/// The meaning of observations and actions in an environment.
#[derive(Clone, Debug, PartialEq)]
pub struct Space {
    features: Vec<String>,
    actions: Vec<String>,
    providers: usize,
    /// The longest job of any workload, in GPU-hours.
    pub(super) longest_hours: f64,
    /// Requests that a step is expected to have.
    pub(super) requests: f64,
    /// `[tenant]`: USD that a step's requests are expected to cost at list prices.
    pub(super) spending: Vec<f64>,
    /// `[gpu_type]`: GPU-hours that a step is expected to ask for.
    pub(super) gpu_hours: Vec<f64>,
    /// `[provider]`: those of them that the provider could serve, by region and GPU type.
    pub(super) provider_hours: Vec<f64>,
    /// `[gpu_type]`: the providers that have it.
    pub(super) providers_of: Vec<Vec<usize>>,
    /// Whether demand is what the catalog says.
    pub(super) demand_is_known: bool,
}

impl Space {
    /// The space of this environment.
    #[must_use]
    pub fn new(env: &Environment) -> Self {
        let (tenants, providers) = (&env.workloads().tenants, &env.catalog().providers);
        let names = |kind: &str, names: &mut dyn Iterator<Item = &str>| {
            names.map(|name| format!("{kind}:{name}")).collect::<Vec<_>>()
        };
        let tenant_names = |kind| names(kind, &mut tenants.iter().map(|t| t.id.as_str()));
        let gpu_names = |kind| names(kind, &mut env.gpu_types().iter().map(String::as_str));
        let of_provider =
            providers.iter().flat_map(|p| OF_PROVIDER.map(|what| format!("provider:{}:{what}", p.id)));
        let features = [tenant_names("tenant"), gpu_names("gpu_type"), OF_REQUEST.map(String::from).into()]
            .into_iter()
            .chain([tenant_names("budget_left"), gpu_names("gpu_slack")])
            .flatten()
            .chain(of_provider);
        let mut actions = names("route", &mut providers.iter().map(|p| p.id.as_str()));
        actions.extend(["hold".to_owned(), "defer".to_owned()]);
        let mut space = Self {
            features: features.collect(),
            actions,
            providers: providers.len(),
            longest_hours: 0.0,
            requests: 0.0,
            spending: vec![0.0; tenants.len()],
            gpu_hours: vec![0.0; env.gpu_types().len()],
            provider_hours: vec![0.0; providers.len()],
            providers_of: (env.gpu_types().iter())
                .map(|gpu| (0..providers.len()).filter(|p| providers[*p].base_price(gpu).is_some()).collect())
                .collect(),
            demand_is_known: env.workloads().knowledge == Knowledge::Catalog,
        };
        for (tenant, asking) in tenants.iter().enumerate() {
            let region = env.region_index(&asking.region).unwrap_or_default();
            for (workload, share) in env.mix(tenant) {
                space.expect(env, (tenant, region, *workload), env.expected_requests(tenant) * share);
            }
        }
        space
    }

    /// Counts requests of a tenant, in its region, for a workload as a step's expected demand.
    fn expect(
        &mut self,
        env: &Environment,
        (tenant, region, workload): (usize, usize, usize),
        requests: f64,
    ) {
        let [low, high] = env.workload_hours(workload);
        let gpu_type = env.workload_gpu_type(workload);
        let hours = requests * (low + high) / 2.0;
        self.longest_hours = self.longest_hours.max(high);
        self.requests += requests;
        self.spending[tenant] += hours * env.list_price(gpu_type).unwrap_or_default();
        self.gpu_hours[gpu_type] += hours;
        for (provider, _) in env.eligible(region, gpu_type) {
            self.provider_hours[*provider] += hours;
        }
    }

    /// What each entry of an observation is called.
    ///
    /// `tenant:ID` and `gpu_type:TYPE` are 1 for the request's own, else 0. Of the request: `hours` as a share of the longest
    /// workload's, `has_waited`, `waited_ms` / 100, `has_failed` (its job has just failed at a provider that is no longer
    /// feasible), `phase` (the share of the step's expected requests that have been seen), `waiting` (requests that were deferred, / as many as may be)
    /// and `waiting_hours` (theirs, / the longest workload's), `hour_sin` and `hour_cos` of the day (UTC), `demand_last_step` and
    /// `demand_mean` (requests of the last step, and their exponential mean, / expected), `budget_left` of its tenant and
    /// `budget_slack`. Then `budget_left:ID` of every tenant and `gpu_slack:TYPE`. Of each provider: `feasible`; `price` (share
    /// above the cheapest list price), `latency` in seconds and `worth` (the reward there / 50) where it is feasible, else
    /// 0; `reputation` / 100; `remaining` share of its capacity; `fits` (the request's hours / remaining hours); `slack`;
    /// `failures_seen` (failed / attempted jobs of this episode) and `latency_seen` (met / advertised). A slack is what is
    /// left / what the requests that are still to come are expected to ask of it. Ratios are capped at 4.
    #[must_use]
    pub fn features(&self) -> &[String] {
        &self.features
    }

    /// What each action is called: `route:PROVIDER` in catalog order, `hold`, `defer`.
    #[must_use]
    pub fn actions(&self) -> &[String] {
        &self.actions
    }

    /// The number of `hold`.
    #[must_use]
    pub fn hold(&self) -> usize {
        self.providers
    }

    /// The number of `defer`.
    #[must_use]
    pub fn defer(&self) -> usize {
        self.providers + 1
    }

    pub(super) fn choice(&self, action: usize) -> Choice {
        match action {
            hold if hold == self.hold() => Choice::Hold,
            defer if defer == self.defer() => Choice::Defer,
            provider => Choice::Route(provider),
        }
    }
}
