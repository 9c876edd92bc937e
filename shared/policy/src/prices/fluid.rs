//! The fluid program of the rest of a step: requests in expected numbers on what is left of capacities and
//! budgets (Gallego and van Ryzin 1997).
//!
//! Use makes a provider slower, until it is too slow for those who want it fastest. A program that knows no order of arrival
//! has them come first; in truth they come at any time, and find it full of others. So what is beyond their level is had by
//! waiting for the end of the step alone, for which places are few; or they are given up, where that is worth more.

use nalgebra::DVector;
use routing_env::{
    Candidate, Environment, Market, Observation, Outcome, Preference, Preferences, ProviderState, Request,
    physics,
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

/// How the rest of a provider's capacity is cut into segments: congestion makes each slower and dearer than the last. Where it
/// makes the provider too slow for somebody who is expected, a segment ends there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cut {
    /// GPU-hours of each segment.
    hours: Vec<f64>,
    /// `[segment]`: the square of the utilisation that stands for it.
    loads: Vec<f64>,
    /// The utilisation from which on it is too slow for somebody, or 1.
    level: f64,
    /// The first segment beyond the level; as many as there are where it has none.
    late_from: usize,
}

/// How what is left of each provider is cut.
pub(crate) fn cuts(env: &Environment, market: &Market, beliefs: &Beliefs) -> Vec<Cut> {
    let count = segments(env);
    let levels = if count > 1 { levels(env, market, beliefs) } else { vec![1.0; market.providers().len()] };
    market.providers().iter().zip(levels).map(|(provider, level)| Cut::new(provider, count, level)).collect()
}

/// Up to which utilisation of each provider all who are expected and can go there now always can.
fn levels(env: &Environment, market: &Market, beliefs: &Beliefs) -> Vec<f64> {
    let mut levels = vec![1.0_f64; market.providers().len()];
    let mut candidates = Vec::new();
    for (tenant, counts) in beliefs.demand.iter().enumerate() {
        for ((workload, _), _) in env.mix(tenant).iter().zip(counts).filter(|(_, count)| **count > 0.0) {
            let request = Request::new(env, tenant, *workload, env.workload_hours(*workload)[0]);
            market.candidates(env, &request, 0.0, &mut candidates);
            for candidate in &candidates {
                let level = &mut levels[candidate.provider];
                *level = level.min(max_utilisation(env, market, &request, candidate));
            }
        }
    }
    levels
}

/// Up to which utilisation a request can go to this candidate.
fn max_utilisation(env: &Environment, market: &Market, request: &Request, candidate: &Candidate) -> f64 {
    let provider = &market.providers()[candidate.provider];
    let idle_price = idle_price(env, provider, request, candidate);
    env.physics().max_utilisation(provider.latency_ms, request.max_latency_ms, idle_price)
}

/// The candidate's price when it is idle.
fn idle_price(env: &Environment, provider: &ProviderState, request: &Request, candidate: &Candidate) -> f64 {
    env.physics().idle_price(candidate.price, provider.utilisation_with(request.hours))
}

impl Cut {
    fn new(provider: &ProviderState, count: usize, level: f64) -> Self {
        let ProviderState { capacity, remaining, .. } = *provider;
        let used = (capacity - remaining) / capacity;
        let (late_from, below) = if used < level && level < 1.0 {
            (count / 2, level * capacity - (capacity - remaining))
        } else {
            (count, remaining)
        };
        let hours = |i: usize| match i < late_from {
            true => below / late_from as f64,
            false => (remaining - below) / (count - late_from) as f64,
        };
        let hours: Vec<f64> = (0..count).map(hours).collect();
        let load = |(hours, end): (&f64, f64)| physics::mean_load([end - hours, end].map(|at| at / capacity));
        let ends = hours.iter().scan(capacity - remaining, |end, hours| {
            *end += hours;
            Some(*end)
        });
        let loads = hours.iter().zip(ends).map(load).collect();
        Self { hours, loads, level, late_from }
    }

    /// Whether it is too slow for somebody before it is full.
    pub(crate) fn ends_early(&self) -> bool {
        self.late_from < self.loads.len()
    }
}

/// What those can expect for whom a provider becomes too slow before it is full.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Early {
    /// It is kept free for them: others take what is beyond the level only by waiting for the end of the step, for so many ms
    /// in the mean, and there are so many places for those that wait.
    AreKeptFreeFor { places: f64, wait_ms: f64 },
    /// Nothing: they go elsewhere.
    GoElsewhere,
}

/// The program on what is left of a market. Its resources are the tenants' budgets, then the providers' hours, then the places
/// among those that wait.
pub(crate) struct Fluid<'a> {
    env: &'a Environment,
    market: &'a Market,
    beliefs: &'a Beliefs,
    wanted: &'a Preferences,
    early: Early,
    /// By provider.
    cuts: &'a [Cut],
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
        (early, cuts): (Early, &'a [Cut]),
        waiting: &[Waiting],
        candidates: &mut Vec<Candidate>,
    ) -> Self {
        let mut limits = market.budgets().to_vec();
        limits.extend(cuts.iter().flat_map(|cut| &cut.hours));
        limits.push(match early {
            Early::AreKeptFreeFor { places, .. } => places,
            Early::GoElsewhere => 0.0,
        });
        let scale = wanted.all.scale(env);
        let program = Program { limits, scale, ..Program::default() };
        let mut fluid = Self { env, market, beliefs, wanted, early, cuts, program, expected: Vec::new() };
        for (tenant, counts) in beliefs.demand.iter().enumerate() {
            for ((workload, _), requests) in env.mix(tenant).iter().zip(counts) {
                let [low, high] = env.workload_hours(*workload);
                for size in 0..SIZES {
                    let hours = low + (high - low) * (size as f64 + 0.5) / SIZES as f64;
                    let request = Request::new(env, tenant, *workload, hours);
                    fluid.add(&request, None, candidates);
                    fluid.expected.push((tenant, requests / SIZES as f64));
                }
            }
        }
        for Waiting { request, wait_ms, .. } in waiting {
            fluid.add(request, Some(*wait_ms), candidates);
        }
        fluid
    }

    /// Improves prices to those at which this part of each tenant's requests is still to come. What all is worth at them.
    pub(crate) fn price(&mut self, left: &[f64], prices: &mut DVector<f64>) -> f64 {
        for ((tenant, requests), class) in self.expected.iter().zip(&mut self.program.classes) {
            class.count = requests * left[*tenant];
        }
        self.program.solve(prices)
    }

    /// Adds a request; one that has been set aside waits for so many ms.
    fn add(&mut self, request: &Request, waits_ms: Option<f64>, candidates: &mut Vec<Candidate>) {
        self.market.candidates(self.env, request, waits_ms.unwrap_or_default(), candidates);
        for candidate in candidates.iter() {
            self.add_ways(request, candidate, waits_ms);
        }
        let ways_end = self.program.ways.len();
        self.program.classes.push(Class { count: 1.0, budget: request.tenant, ways_end });
    }

    fn add_ways(&mut self, request: &Request, candidate: &Candidate, waits_ms: Option<f64>) {
        let cut = &self.cuts[candidate.provider];
        let is_early = || max_utilisation(self.env, self.market, request, candidate) <= cut.level;
        if cut.ends_early() && self.early == Early::GoElsewhere && waits_ms.is_none() && is_early() {
            return;
        }
        for segment in 0..cut.loads.len() {
            let place = match self.early {
                Early::AreKeptFreeFor { wait_ms, .. } if waits_ms.is_none() && segment >= cut.late_from => {
                    Some(wait_ms)
                }
                _ => None,
            };
            let wait_ms = place.or(waits_ms).unwrap_or_default();
            let way = segment_way(
                (self.env, self.market, self.beliefs),
                self.wanted.of(request.tenant),
                request,
                candidate,
                (cut, segment),
                wait_ms,
            );
            let place = place.map(|_| self.program.limits.len() - 1);
            self.program.ways.extend(way.map(|way| Way { place, ..way }));
        }
    }
}

/// The way of a request to a segment of a provider, after so much waiting; `None` where it is too slow for it.
fn segment_way(
    (env, market, beliefs): (&Environment, &Market, &Beliefs),
    preference: Preference,
    request: &Request,
    candidate: &Candidate,
    (cut, segment): (&Cut, usize),
    wait_ms: f64,
) -> Option<Way> {
    let physics = env.physics();
    let provider = &market.providers()[candidate.provider];
    let load = cut.loads[segment];
    let price = physics.price(idle_price(env, provider, request, candidate), load);
    let latency_ms = physics.latency_ms(provider.latency_ms, load) + wait_ms;
    let met = Candidate { provider: candidate.provider, price, latency_ms };
    (latency_ms <= request.max_latency_ms).then(|| Way {
        value: beliefs.reward(env, preference, request, &met),
        resource: beliefs.demand.len() + candidate.provider * cut.loads.len() + segment,
        hours: request.hours,
        charge: beliefs.success[candidate.provider] * price * request.hours,
        ..beliefs.way(preference, candidate.provider, latency_ms - wait_ms)
    })
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
            place: None,
        }
    }

    /// What the request of an observation is expected to earn beyond what it takes at these prices, if it waits for the end of
    /// the step and goes then where others, who are expected before, could not go if it went there now. `None` where there is no
    /// such place.
    pub(crate) fn net_of_waiting(
        &self,
        observation: &Observation<'_>,
        preference: Preference,
        cuts: &[Cut],
        prices: &DVector<f64>,
    ) -> Option<f64> {
        let Observation { env, market, request, candidates, phase, .. } = *observation;
        let wait_ms = physics::wait_ms(1.0 - phase);
        let of_candidate = |candidate: &Candidate| {
            let cut = &cuts[candidate.provider];
            (cut.late_from..cut.loads.len())
                .filter_map(|segment| {
                    segment_way((env, market, self), preference, request, candidate, (cut, segment), wait_ms)
                })
                .map(|way| way.value - way.hours * prices[way.resource] - way.charge * prices[request.tenant])
                .reduce(f64::max)
        };
        let best = candidates.iter().filter_map(of_candidate).reduce(f64::max)?;
        Some(best - prices[prices.len() - 1])
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
    env.workloads().tenants.len() + env.catalog().providers.len() * segments(env) + 1
}

fn segments(env: &Environment) -> usize {
    if env.physics().depends_on_load() { SEGMENTS } else { 1 }
}

#[cfg(test)]
mod tests {
    use routing_env::{Episode, Preset, Reward, Turn};

    use super::*;

    fn cuts_of(preset: Preset) -> (Vec<Cut>, Vec<ProviderState>) {
        let env = Environment::built_in(preset);
        let mut episode = Episode::new(&env, 1, Reward::EXCESS_COST);
        episode.begin_step();
        let Some(Turn::Request(observation)) = episode.turn() else { panic!("nothing is asked for") };
        (cuts(&env, observation.market, &Beliefs::of_catalog(&env)), observation.market.providers().to_vec())
    }

    /// `tenant-gaming` wants 300 ms at most, aethir takes 260 ms when it is idle, and half as much again when it is full:
    /// 260·(1 + u²/2) = 300 at u = √(4/13).
    #[test]
    fn a_segment_ends_where_a_provider_becomes_too_slow_for_a_tenant() {
        let (cuts, providers) = cuts_of(Preset::Congested);
        let aethir = 4;
        assert_eq!((providers[aethir].latency_ms, providers[aethir].capacity), (260.0, 200.0));
        let cut = &cuts[aethir];
        let before: f64 = cut.hours[..cut.late_from].iter().sum();
        assert!((before - 200.0 * (4.0_f64 / 13.0).sqrt()).abs() < 1e-9, "{cut:?}");
        for (cut, provider) in cuts.iter().zip(&providers) {
            assert!((cut.hours.iter().sum::<f64>() - provider.remaining).abs() < 1e-9);
            assert!(cut.loads.windows(2).all(|loads| loads[0] < loads[1]), "{cut:?}");
        }
    }

    #[test]
    fn where_use_changes_nothing_a_provider_is_one_segment() {
        let (cuts, providers) = cuts_of(Preset::Contended);
        assert!(cuts.iter().zip(&providers).all(|(cut, p)| cut.hours == [p.remaining] && !cut.ends_early()));
    }
}
