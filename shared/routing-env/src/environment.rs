//! The environment: a catalog and workloads, with every name turned into an index.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    catalog::{Catalog, Provider},
    events::Event,
    input::{Checker, InputError},
    market::ProviderState,
    physics::Physics,
    preset::Preset,
    request::FEW_REQUESTS,
    spec::EnvironmentSpec,
    workloads::{Tenant, Workloads},
};

/// Routing GPU requests of several tenants to several providers.
///
/// * **Description**: each step, tenants ask for GPU-hours; each request is routed to a provider, held,
///   or deferred to the end of the step. Capacities and budgets last for one step.
/// * **Actions**: route to a feasible provider; hold and defer where the workloads allow them.
/// * **Observations**: [`crate::Observation`]: the request, the feasible candidates with price and
///   latency, the providers' state, the tenants' budgets, the phase of the step.
/// * **Start**: step 0, all capacities and budgets whole.
/// * **Rewards**: [`crate::Reward`].
/// * **End**: after `steps` steps, or where the trace ends.
#[derive(Clone, Debug)]
pub struct Environment {
    catalog: Catalog,
    workloads: Workloads,
    preset: Preset,
    regions: Vec<String>,
    gpu_types: Vec<String>,
    profiles: Vec<Profile>,
    mixes: Vec<Vec<(usize, f64)>>,
    /// `[gpu_type]`: the lowest base price in the catalog, whatever the region.
    list_prices: Vec<Option<f64>>,
    /// `[provider]`: the GPU types that it lists without a price.
    assumed: Vec<Vec<usize>>,
    /// `[region · gpu types + gpu type]`: the providers that could serve it, with their base prices.
    eligible: Vec<Vec<(usize, f64)>>,
    timed_events: Vec<Event>,
    mean_gpu_hours: f64,
    mean_list_cost_usd: f64,
    /// Where requests are dealt out to several sites.
    site: Option<Site>,
}

/// One of several sites, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Site {
    number: u32,
    of: u32,
}

/// A workload profile with its GPU type as an index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Profile {
    pub(crate) gpu_type: usize,
    pub(crate) hours: [f64; 2],
}

impl Environment {
    /// Puts a catalog and workloads together and applies the preset on top of them.
    ///
    /// # Errors
    /// When the preset makes a figure of the workloads leave its range.
    pub fn new(catalog: Catalog, workloads: Workloads, preset: Preset) -> Result<Self, InputError> {
        let workloads = preset.applied_to(workloads);
        let check = Checker { file: EnvironmentSpec::WORKLOADS };
        workloads.check_demand(&check)?;
        let (mut regions, mut gpu_types) = (Names::default(), Names::default());
        for provider in &catalog.providers {
            provider.regions.iter().for_each(|region| _ = regions.index(region));
            provider.gpu_types.iter().for_each(|gpu| _ = gpu_types.index(gpu));
        }
        for tenant in &workloads.tenants {
            regions.index(&tenant.region);
        }
        let profiles = workloads
            .workload_profiles
            .iter()
            .map(|(_, p)| Profile { gpu_type: gpu_types.index(&p.gpu_type), hours: p.gpu_hours })
            .collect();
        let names = workloads.workload_profiles.iter().zip(0..);
        let position: BTreeMap<&str, usize> = names.map(|((name, _), i)| (name, i)).collect();
        let mixes = workloads
            .tenants
            .iter()
            .map(|t| t.mix.iter().filter_map(|(name, share)| Some((*position.get(name)?, *share))).collect())
            .collect();
        let (list_prices, eligible) = offers(&catalog, &regions, &gpu_types)?;
        let assumed = catalog.providers.iter().map(|p| {
            let types = gpu_types.list.iter().enumerate().filter(|(_, gpu)| p.assumes_price_of(gpu));
            types.map(|(index, _)| index).collect()
        });
        let assumed = assumed.collect();
        let timed_events = workloads
            .scenarios
            .iter()
            .enumerate()
            .map(|(i, event)| Event::from_file(event, &catalog, &check, &format!("/scenarios/{i}")))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            catalog,
            workloads,
            preset,
            regions: regions.list,
            gpu_types: gpu_types.list,
            profiles,
            mixes,
            list_prices,
            assumed,
            eligible,
            timed_events,
            mean_gpu_hours: 1.0,
            mean_list_cost_usd: 0.0,
            site: None,
        }
        .measured())
    }

    /// What requests are like on average.
    fn measured(mut self) -> Self {
        let (mut requests, mut hours, mut list_cost) = (0.0, 0.0, 0.0);
        for tenant in 0..self.workloads.tenants.len() {
            for (workload, share) in self.mix(tenant) {
                let expected = self.expected_requests(tenant) * share;
                let own = self.workload_hours(*workload).iter().sum::<f64>() / 2.0;
                requests += expected;
                hours += expected * own;
                list_cost +=
                    expected * own * self.list_price(self.workload_gpu_type(*workload)).unwrap_or_default();
            }
        }
        if requests > 0.0 {
            (self.mean_gpu_hours, self.mean_list_cost_usd) = (hours / requests, list_cost / requests);
        }
        self
    }

    /// The project's own catalog and workloads under a preset.
    #[must_use]
    pub fn built_in(preset: Preset) -> Self {
        #[allow(clippy::expect_used)] // a test builds every preset
        Self::new(Catalog::built_in(), Workloads::built_in(), preset).expect("valid built-in files")
    }

    /// The same environment with episodes of another length.
    #[must_use]
    pub fn with_steps(mut self, steps: u32) -> Self {
        self.workloads.simulation.steps = steps;
        self
    }

    /// One of several sites among which this environment's requests are dealt out in turn. All of them have its hidden
    /// truth, and an episode's requests are those of the whole one's episode of that seed, each at one site. What comes of a
    /// job does not depend on which site sent it. Each site has whole capacities and budgets: what one
    /// takes of a provider is not missing at another.
    ///
    /// # Panics
    /// When there is no such site: a mistake of the caller's code.
    #[must_use]
    pub fn at_site(mut self, number: u32, of: u32) -> Self {
        assert!(number < of, "site {number} of {of}");
        self.site = Some(Site { number, of });
        self
    }

    /// The provider catalog.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The workloads, the preset applied.
    #[must_use]
    pub fn workloads(&self) -> &Workloads {
        &self.workloads
    }

    /// The preset that was applied.
    #[must_use]
    pub fn preset(&self) -> Preset {
        self.preset
    }

    /// Steps of an episode.
    #[must_use]
    pub fn steps(&self) -> u32 {
        self.workloads.simulation.steps
    }

    /// All GPU types of catalog and workloads; requests name them by index.
    #[must_use]
    pub fn gpu_types(&self) -> &[String] {
        &self.gpu_types
    }

    /// The name of a workload profile.
    #[must_use]
    pub fn workload_name(&self, workload: usize) -> &str {
        &self.workloads.workload_profiles.0[workload].0
    }

    /// What defines this environment, as deterministic JSON text. It keeps the order of workload
    /// mixes, which matters, and so is not RFC 8785.
    ///
    /// `rules` is there where this version decides or records otherwise than an earlier one did with the same files, so
    /// that neither takes the other's decisions for its own.
    #[must_use]
    pub fn definition(&self) -> String {
        #[derive(Serialize)]
        struct Definition<'a> {
            catalog: &'a Catalog,
            workloads: &'a Workloads,
            #[serde(skip_serializing_if = "Option::is_none")]
            rules: Option<u32>,
            #[serde(skip_serializing_if = "Option::is_none")]
            site: Option<Site>,
        }
        let rules = self.has_changed_rules().then_some(2);
        #[allow(clippy::expect_used)] // string keys and finite numbers only
        serde_json::to_string(&Definition {
            catalog: &self.catalog,
            workloads: &self.workloads,
            rules,
            site: self.site,
        })
        .expect("serialisable")
    }

    /// Whether it has what the first rules meant otherwise: few requests, workloads without a share, assumed prices.
    fn has_changed_rules(&self) -> bool {
        let tenants = &self.workloads.tenants;
        let few = tenants.iter().any(|tenant| tenant.avg_requests_per_step < FEW_REQUESTS);
        let without_share =
            |tenant: &Tenant| tenant.mix.iter().last().is_some_and(|(_, share)| *share == 0.0);
        few || tenants.iter().any(without_share) || self.catalog.assumed_prices().next().is_some()
    }

    /// How use makes providers slower and dearer.
    #[must_use]
    pub fn physics(&self) -> Physics {
        Physics::of(&self.workloads)
    }

    /// GPU-hours of a request, on average by the word of the files; 1 where they expect none.
    #[must_use]
    pub fn mean_gpu_hours(&self) -> f64 {
        self.mean_gpu_hours
    }

    /// What a request costs at the lowest list price of its GPU type, on average by the word of the files, in USD: the
    /// environment's price level.
    #[must_use]
    pub fn mean_list_cost_usd(&self) -> f64 {
        self.mean_list_cost_usd
    }

    /// The lowest base price of the GPU type in the catalog; `None` when no provider has it.
    #[must_use]
    pub fn list_price(&self, gpu_type: usize) -> Option<f64> {
        self.list_prices[gpu_type]
    }

    /// Whether the catalog does not say what a GPU type costs at a provider, so that its price there is an assumed one.
    #[must_use]
    pub fn price_is_assumed(&self, provider: usize, gpu_type: usize) -> bool {
        self.assumed[provider].contains(&gpu_type)
    }

    /// A tenant's budget for one step, in USD.
    #[must_use]
    pub fn budget(&self, tenant: usize) -> f64 {
        self.workloads.tenants[tenant].budget_usd_per_step * self.workloads.budget_multiplier
    }

    /// How many requests a tenant is expected to make in a step.
    #[must_use]
    pub fn expected_requests(&self, tenant: usize) -> f64 {
        self.expected_at_all_sites(tenant) / f64::from(self.sites())
    }

    /// The same at all sites together, where there are several.
    pub(crate) fn expected_at_all_sites(&self, tenant: usize) -> f64 {
        self.workloads.tenants[tenant].avg_requests_per_step * self.workloads.demand_multiplier
    }

    /// Among how many sites requests are dealt out.
    pub(crate) fn sites(&self) -> u32 {
        self.site.map_or(1, |site| site.of)
    }

    /// Whether the request at this position of the whole episode is dealt to this site.
    pub(crate) fn is_dealt(&self, arrival: u64) -> bool {
        self.site.is_none_or(|site| arrival % u64::from(site.of) == u64::from(site.number))
    }

    /// The position in the whole episode of the request that is at this position in the site's.
    pub(crate) fn arrival_in_all(&self, arrival: u64) -> u64 {
        self.site.map_or(arrival, |site| arrival * u64::from(site.of) + u64::from(site.number))
    }

    /// How many requests all tenants together are expected to make in a step.
    #[must_use]
    pub fn expected_requests_of_all(&self) -> f64 {
        (0..self.workloads.tenants.len()).map(|tenant| self.expected_requests(tenant)).sum()
    }

    /// A provider without any event.
    #[must_use]
    pub fn base_state(&self, provider: usize) -> ProviderState {
        let p = &self.catalog.providers[provider];
        ProviderState {
            active: true,
            latency_ms: p.base_latency_ms,
            price_multiplier: 1.0,
            capacity: p.capacity_gpu_hours_per_step,
            remaining: p.capacity_gpu_hours_per_step,
            reputation: p.reputation,
        }
    }

    pub(crate) fn profile(&self, workload: usize) -> Profile {
        self.profiles[workload]
    }

    /// The GPU type of a workload, as requests name it.
    #[must_use]
    pub fn workload_gpu_type(&self, workload: usize) -> usize {
        self.profiles[workload].gpu_type
    }

    /// The least and the most GPU-hours of a workload; they are uniform between the two.
    #[must_use]
    pub fn workload_hours(&self, workload: usize) -> [f64; 2] {
        self.profiles[workload].hours
    }

    /// A tenant's workloads with their shares, in the file's order.
    #[must_use]
    pub fn mix(&self, tenant: usize) -> &[(usize, f64)] {
        &self.mixes[tenant]
    }

    pub(crate) fn timed_events(&self) -> &[Event] {
        &self.timed_events
    }

    pub(crate) fn eligible(&self, region: usize, gpu_type: usize) -> &[(usize, f64)] {
        &self.eligible[region * self.gpu_types.len() + gpu_type]
    }

    pub(crate) fn region_index(&self, region: &str) -> Option<usize> {
        self.regions.iter().position(|r| r == region)
    }

    pub(crate) fn regions(&self) -> &[String] {
        &self.regions
    }
}

/// Combinations of region and GPU type, over all providers: a catalog is read in a moment and fits in memory.
const MOST_OFFERS: usize = 1_000_000;

/// The lowest base price of each GPU type, and for each region and GPU type the providers that could serve it.
type Offers = (Vec<Option<f64>>, Vec<Vec<(usize, f64)>>);

fn offers(catalog: &Catalog, regions: &Names, gpu_types: &Names) -> Result<Offers, InputError> {
    let served = |provider: &Provider| match provider.serves_all() {
        true => (0..regions.list.len()).collect(),
        false => regions.indexes(&provider.regions),
    };
    let in_all: usize = catalog
        .providers
        .iter()
        .map(|p| if p.serves_all() { regions.list.len() } else { p.regions.len() } * p.gpu_types.len())
        .sum();
    let combinations = in_all.max(regions.list.len() * gpu_types.list.len());
    let check = Checker { file: EnvironmentSpec::PROVIDERS };
    check.require(combinations <= MOST_OFFERS, "/providers", || {
        format!(
            "expected at most {MOST_OFFERS} combinations of provider, region and GPU type, found {combinations}"
        )
    })?;
    let mut list_prices: Vec<Option<f64>> = vec![None; gpu_types.list.len()];
    let mut eligible = vec![Vec::new(); regions.list.len() * gpu_types.list.len()];
    for (i, provider) in catalog.providers.iter().enumerate() {
        let regions: Vec<usize> = served(provider);
        for gpu in gpu_types.indexes(&provider.gpu_types) {
            let Some(price) = provider.base_price(&gpu_types.list[gpu]) else { continue };
            let lowest = &mut list_prices[gpu];
            *lowest = Some(lowest.map_or(price, |lowest| lowest.min(price)));
            for region in &regions {
                eligible[region * gpu_types.list.len() + gpu].push((i, price));
            }
        }
    }
    Ok((list_prices, eligible))
}

/// Names, each with its index: in the order in which they came.
#[derive(Default)]
struct Names {
    list: Vec<String>,
    indexes: BTreeMap<String, usize>,
}

impl Names {
    /// The name's index; it is new where the name is.
    fn index(&mut self, name: &str) -> usize {
        if let Some(index) = self.indexes.get(name) {
            return *index;
        }
        let index = self.list.len();
        self.list.push(name.to_owned());
        self.indexes.insert(name.to_owned(), index);
        index
    }

    /// The indexes of known names, each once.
    fn indexes(&self, names: &[String]) -> Vec<usize> {
        let mut indexes: Vec<usize> =
            names.iter().filter_map(|name| self.indexes.get(name).copied()).collect();
        indexes.sort_unstable();
        indexes.dedup();
        indexes
    }
}
