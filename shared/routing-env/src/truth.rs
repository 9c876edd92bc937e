//! What a policy is not told where knowledge is hidden: how demand drifts, how often jobs fail, how long they
//! really take.

use std::f64::consts::TAU;

use rand::RngExt;
use rand_distr::{Distribution, LogNormal, StandardNormal};
use rand_pcg::Pcg64;

use crate::{
    environment::Environment,
    events::{Effect, Event, Timeline},
    market::ProviderState,
    request::Count,
    streams::{Stream, generator},
};

/// Demand's level: ρ and σ a step of its logarithm.
const PERSISTENCE: f64 = 0.95;
const VOLATILITY: f64 = 0.1;

/// The daily wave: its height, and its length in steps.
const WAVE: (f64, f64) = (0.3, 24.0);

/// Jumps of demand: probability a step, factor, steps.
const JUMP_PROBABILITY: f64 = 0.02;
const JUMP_FACTOR: std::ops::Range<f64> = 0.6..1.6;
const JUMP_STEPS: std::ops::RangeInclusive<u32> = 10..=30;

/// By how much a workload's share has changed at the end of the episode, at most.
const LEAN: f64 = 0.3;

/// A provider without brownout fails `(100 − reputation) / FAILURE_SCALE` of its jobs, times a factor of its own and the
/// workloads' `failure_multiplier`.
const FAILURE_SCALE: f64 = 500.0;
const FAILURE_FACTOR: std::ops::Range<f64> = 0.5..1.5;
const BROWNOUT_FACTOR: f64 = 5.0;

/// The share of the random events that are brownouts instead.
const BROWNOUT_SHARE: f64 = 1.0 / 3.0;

/// A provider's true latency / the advertised one, and the spread (of the logarithm) from job to job.
const LATENCY_FACTOR: std::ops::Range<f64> = 0.85..1.15;
const LATENCY_SPREAD: f64 = 0.1;

/// The truth of one episode, as it is in its current step.
#[derive(Clone, Debug)]
pub struct Truth {
    seed: u64,
    steps: u32,
    events: Timeline,
    providers: Vec<Provider>,
    /// `[tenant][position in its mix]`: change of the share over the episode.
    leans: Vec<Vec<f64>>,
    demand: Pcg64,
    level: f64,
    jumps: Vec<(f64, u32)>,
    /// Requests that the step is expected to have, `[tenant][position in its mix]`: at all sites, and at this one.
    expected_at_all: Vec<Vec<f64>>,
    expected: Vec<Vec<f64>>,
}

#[derive(Clone, Copy, Debug)]
struct Provider {
    latency_factor: f64,
    failure: f64,
    /// Both in this step.
    true_factor: f64,
    true_failure: f64,
}

/// What came of an attempt to run a job.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Attempt {
    pub(crate) succeeds: bool,
    /// True latency / the latency that a policy expected there.
    pub(crate) latency_factor: f64,
}

impl Truth {
    /// The truth of an episode with these events, some of which turn into brownouts.
    pub(crate) fn new(env: &Environment, seed: u64, steps: u32, events: &mut [Event]) -> Self {
        let mut rng = generator(seed, Stream::Truth);
        for event in events.iter_mut() {
            if rng.random_bool(BROWNOUT_SHARE) {
                event.effect = Effect::Brownout;
            }
        }
        let providers = env.catalog().providers.iter().map(|provider| {
            let usual = (100.0 - provider.reputation) / FAILURE_SCALE * env.workloads().failure_multiplier;
            let failure = usual * rng.random_range(FAILURE_FACTOR);
            let latency_factor = rng.random_range(LATENCY_FACTOR);
            Provider { latency_factor, failure, true_factor: latency_factor, true_failure: failure }
        });
        let providers = providers.collect();
        let tenants = 0..env.workloads().tenants.len();
        let mut leans = |tenant| env.mix(tenant).iter().map(|_| rng.random_range(-LEAN..LEAN)).collect();
        Self {
            seed,
            steps,
            events: Timeline::new(events.to_vec()),
            providers,
            leans: tenants.map(&mut leans).collect(),
            demand: generator(seed, Stream::Drift),
            level: 0.0,
            jumps: Vec::new(),
            expected_at_all: Vec::new(),
            expected: Vec::new(),
        }
    }

    /// The same truth from here on, with other jobs failing and another drift: what is so now stays so, and what was to
    /// come does not.
    pub(crate) fn fork(&self, seed: u64) -> Self {
        Self { seed, events: self.events.standing(), demand: generator(seed, Stream::Drift), ..self.clone() }
    }

    /// Goes on to a step; `advertised` are the providers as policies see them.
    pub(crate) fn begin_step(&mut self, env: &Environment, step: u32, advertised: &[ProviderState]) {
        self.drift(env, step);
        let untouched = self.providers.iter().zip(advertised).map(|(p, seen)| (seen.latency_ms, p.failure));
        let mut met: Vec<(f64, f64)> = untouched.collect();
        for event in self.events.begin_step(step) {
            let (latency_ms, failure) = &mut met[event.provider];
            match event.effect {
                Effect::Latency(delta) => *latency_ms = (*latency_ms + delta).max(1.0),
                Effect::Brownout => *failure = self.providers[event.provider].failure * BROWNOUT_FACTOR,
                _ => {}
            }
        }
        for (p, (provider, (latency_ms, failure))) in self.providers.iter_mut().zip(met).enumerate() {
            provider.true_factor = provider.latency_factor * latency_ms / advertised[p].latency_ms;
            provider.true_failure = failure.min(1.0);
        }
    }

    /// Requests that the step is expected to have: `[tenant][position in its mix]`.
    #[must_use]
    pub fn expected_requests(&self) -> &[Vec<f64>] {
        &self.expected
    }

    /// A provider's mean true latency / advertised latency in this step.
    #[must_use]
    pub fn latency_factor(&self, provider: usize) -> f64 {
        self.providers[provider].true_factor * (LATENCY_SPREAD * LATENCY_SPREAD / 2.0).exp()
    }

    /// The probability that a job fails at a provider in this step.
    #[must_use]
    pub fn failure_probability(&self, provider: usize) -> f64 {
        self.providers[provider].true_failure
    }

    /// What comes of running the episode's request number `arrival` there: the same whatever else was decided.
    pub(crate) fn attempt(&self, arrival: u64, provider: usize) -> Attempt {
        let truth = self.providers[provider];
        let mut rng = generator(self.seed, Stream::Outcome { arrival, provider: provider as u32 }); // at most 1000
        let succeeds = rng.random::<f64>() >= truth.true_failure;
        let noise: f64 = LogNormal::new(0.0, LATENCY_SPREAD).map_or(1.0, |noise| noise.sample(&mut rng));
        Attempt { succeeds, latency_factor: truth.true_factor * noise }
    }

    /// How many requests a tenant makes in this step at all sites, and its mix. The spread is that of the catalog's law at the
    /// demand multiplier that would give this mean.
    pub(crate) fn demand(&self, env: &Environment, tenant: usize) -> (Count, Vec<(usize, f64)>) {
        let expected: f64 = self.expected_at_all[tenant].iter().sum();
        let usual = env.workloads().tenants[tenant].avg_requests_per_step;
        if usual == 0.0 {
            return (Count::None, env.mix(tenant).to_vec());
        }
        let mix = env.mix(tenant).iter().zip(&self.expected_at_all[tenant]);
        let mix = mix.map(|((workload, _), requests)| (*workload, requests / expected)).collect();
        (Count::new(usual, expected, expected / usual), mix)
    }

    /// m · e^x · (1 + 0.3 sin(2π·step/24)) · jumps, with x an AR(1); and the leaning mix.
    fn drift(&mut self, env: &Environment, step: u32) {
        let shock: f64 = StandardNormal.sample(&mut self.demand);
        self.level = PERSISTENCE * self.level + VOLATILITY * shock;
        // always as many draws, so that a jump does not change what comes after it
        let (jumps, factor, length) = (
            self.demand.random_bool(JUMP_PROBABILITY),
            self.demand.random_range(JUMP_FACTOR),
            self.demand.random_range(JUMP_STEPS),
        );
        self.jumps.retain(|(_, end)| *end > step);
        if jumps {
            self.jumps.push((factor, step + length));
        }
        let wave = 1.0 + WAVE.0 * (TAU * f64::from(step) / WAVE.1).sin();
        let level = self.level.exp() * wave * self.jumps.iter().map(|(factor, _)| factor).product::<f64>();
        let progress = f64::from(step) / f64::from(self.steps.max(1));
        self.expected_at_all = (0..self.leans.len())
            .map(|tenant| {
                let shares = env.mix(tenant).iter().zip(&self.leans[tenant]);
                let shares: Vec<f64> =
                    shares.map(|((_, share), lean)| share * (1.0 + lean * progress)).collect();
                let requests = env.expected_at_all_sites(tenant) * level / shares.iter().sum::<f64>();
                shares.iter().map(|share| share * requests).collect()
            })
            .collect();
        let sites = f64::from(env.sites());
        let at_site = |mix: &Vec<f64>| mix.iter().map(|requests| requests / sites).collect();
        self.expected = self.expected_at_all.iter().map(at_site).collect();
    }
}
