//! The fluid program of the rest of a step: requests in expected numbers on what is left of capacities and
//! budgets (Gallego and van Ryzin 1997).

use nalgebra::DVector;
use routing_env::{
    Candidate, Environment, Market, Observation, Outcome, Preference, Preferences, Request, physics,
};

use crate::{
    prices::duals::{Class, Program, Way, second_try},
    prices::forecast::Beliefs,
};

/// A request that was set aside.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Waiting {
    /// Its position in the step.
    pub(crate) index: usize,
    pub(crate) request: Request,
    /// An estimate until the step's requests are all known.
    pub(crate) wait_ms: f64,
}

/// Classes of each workload by size.
const SIZES: usize = 4;

/// Parts into which the rest of a provider's capacity is cut where congestion makes each dearer than the last.
const SEGMENTS: usize = 4;

/// The program on what is left of a market. Its resources are the tenants' budgets, then the providers' hours.
pub(crate) struct Fluid<'a> {
    env: &'a Environment,
    market: &'a Market,
    beliefs: &'a Beliefs,
    wanted: &'a Preferences,
    /// `[provider][segment]`: the square of the utilisation that stands for it.
    loads: Vec<Vec<f64>>,
    program: Program,
    /// The tenants of the program's classes, and how many requests each class has in a whole step. Those that wait
    /// come after them.
    expected: Vec<(usize, f64)>,
}

impl<'a> Fluid<'a> {
    /// The program of a whole step's requests and of those that wait.
    pub(crate) fn new(
        env: &'a Environment,
        market: &'a Market,
        beliefs: &'a Beliefs,
        wanted: &'a Preferences,
        waiting: &[Waiting],
        candidates: &mut Vec<Candidate>,
    ) -> Self {
        let count = segments(env);
        let mut limits = market.budgets().to_vec();
        let mut loads = Vec::with_capacity(market.providers().len());
        for provider in market.providers() {
            let width = provider.remaining / count as f64;
            let used = provider.capacity - provider.remaining;
            limits.extend((0..count).map(|_| width));
            loads.push(
                (0..count)
                    .map(|i| {
                        physics::mean_load([i, i + 1].map(|i| (used + width * i as f64) / provider.capacity))
                    })
                    .collect(),
            );
        }
        let scale = wanted.all.scale(env);
        let program = Program { limits, scale, ..Program::default() };
        let mut fluid = Self { env, market, beliefs, wanted, loads, program, expected: Vec::new() };
        for (tenant, counts) in beliefs.demand.iter().enumerate() {
            for ((workload, _), requests) in env.mix(tenant).iter().zip(counts) {
                let [low, high] = env.workload_hours(*workload);
                for size in 0..SIZES {
                    let hours = low + (high - low) * (size as f64 + 0.5) / SIZES as f64;
                    let request = Request::new(env, tenant, *workload, hours);
                    fluid.add(&request, 0.0, candidates);
                    fluid.expected.push((tenant, requests / SIZES as f64));
                }
            }
        }
        for Waiting { request, wait_ms, .. } in waiting {
            fluid.add(request, *wait_ms, candidates);
        }
        fluid
    }

    /// Improves prices to those at which this part of each tenant's requests is still to come.
    pub(crate) fn price(&mut self, left: &[f64], prices: &mut DVector<f64>) {
        for ((tenant, requests), class) in self.expected.iter().zip(&mut self.program.classes) {
            class.count = requests * left[*tenant];
        }
        self.program.solve(prices);
    }

    fn add(&mut self, request: &Request, wait_ms: f64, candidates: &mut Vec<Candidate>) {
        self.market.candidates(self.env, request, wait_ms, candidates);
        for candidate in candidates.iter() {
            self.add_ways(request, candidate, wait_ms);
        }
        let ways_end = self.program.ways.len();
        self.program.classes.push(Class { count: 1.0, budget: request.tenant, ways_end });
    }

    fn add_ways(&mut self, request: &Request, candidate: &Candidate, wait_ms: f64) {
        let physics = self.env.physics();
        let preference = self.wanted.of(request.tenant);
        let provider = &self.market.providers()[candidate.provider];
        let idle_price = physics.idle_price(candidate.price, provider.utilisation_with(request.hours));
        let first = self.beliefs.demand.len() + candidate.provider * self.loads[candidate.provider].len();
        for (i, load) in self.loads[candidate.provider].iter().enumerate() {
            let price = physics.price(idle_price, *load);
            let latency_ms = physics.latency_ms(provider.latency_ms, *load) + wait_ms;
            if latency_ms <= request.max_latency_ms {
                let candidate = Candidate { provider: candidate.provider, price, latency_ms };
                self.program.ways.push(Way {
                    value: self.beliefs.reward(self.env, preference, request, &candidate),
                    resource: first + i,
                    hours: request.hours,
                    charge: self.beliefs.success[candidate.provider] * price * request.hours,
                    ..self.beliefs.way(preference, candidate.provider, latency_ms - wait_ms)
                });
            }
        }
    }
}

impl Beliefs {
    /// What routing a request there is expected to earn by a preference.
    pub(crate) fn reward(
        &self,
        env: &Environment,
        preference: Preference,
        request: &Request,
        candidate: &Candidate,
    ) -> f64 {
        let latency_ms = candidate.latency_ms * self.latency_factor[candidate.provider];
        let outcome = Candidate { latency_ms, ..*candidate }.outcome(env, request);
        self.success[candidate.provider] * preference.reward(&outcome)
    }

    /// What is believed of a way to a provider whatever the request, at this advertised latency without waiting.
    fn way(&self, preference: Preference, provider: usize, latency_ms: f64) -> Way {
        Way {
            provider,
            value: 0.0,
            resource: 0,
            hours: 0.0,
            charge: 0.0,
            success: self.success[provider],
            time_lost: self.time_lost(preference, provider, latency_ms),
        }
    }

    /// What the time of a first try that fails takes from what the second one earns, at this advertised latency without
    /// waiting.
    pub(crate) fn time_lost(&self, preference: Preference, provider: usize, latency_ms: f64) -> f64 {
        let latency_ms = latency_ms * self.latency_factor[provider];
        -preference.reward(&Outcome { latency_ms, ..Outcome::default() })
    }

    /// What each candidate of an observation is expected to earn beyond what it takes at these prices of a [`Fluid`], a
    /// second try included. An hour costs what the provider's next segment is worth: to take it is to push others
    /// further up.
    pub(crate) fn nets(
        &self,
        observation: &Observation<'_>,
        preference: Preference,
        prices: &DVector<f64>,
        into: &mut Nets,
    ) {
        let Observation { env, market, request, candidates, failed_at, waited_ms, .. } = *observation;
        let waited_ms = waited_ms.unwrap_or_default();
        let count = segments(env);
        let dollar = prices[request.tenant];
        let Nets { ways, first, of } = into;
        ways.clear();
        first.clear();
        for candidate in candidates {
            let hour = prices[self.demand.len() + candidate.provider * count];
            let charge = self.success[candidate.provider] * candidate.price;
            let value = self.reward(env, preference, request, candidate);
            first.push(value - request.hours * (hour + dollar * charge));
            let way = self.way(preference, candidate.provider, candidate.latency_ms - waited_ms);
            ways.push(Way { value, ..way });
        }
        of.clone_from(first);
        if let Some(failed) = failed_at {
            // this is the second try: what the first one took is lost if it succeeds, and there is no third one
            let lost = self.time_lost(preference, failed, market.providers()[failed].latency_ms);
            of.iter_mut().zip(&*ways).for_each(|(net, way)| *net -= way.success * lost);
            return;
        }
        for (net, way) in of.iter_mut().zip(&*ways).filter(|(_, way)| way.success < 1.0) {
            let second = second_try(ways, first, way);
            *net += (1.0 - way.success) * second.map_or(0.0, |(_, net)| net);
        }
    }
}

/// What the candidates of an observation earn, and what it takes to find out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Nets {
    ways: Vec<Way>,
    first: Vec<f64>,
    /// By candidate.
    pub(crate) of: Vec<f64>,
}

/// How many resources the programs of an environment have.
pub(crate) fn resources(env: &Environment) -> usize {
    env.workloads().tenants.len() + env.catalog().providers.len() * segments(env)
}

fn segments(env: &Environment) -> usize {
    if env.physics().depends_on_load() { SEGMENTS } else { 1 }
}
