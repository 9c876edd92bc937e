//! How often the intervals of off-policy estimates cover the truth.
//!
//! A policy that explores decides the requests of simulated episodes one by one, in the market that everybody is told of; what
//! becomes of its jobs is drawn from what is hidden, and some of it is never told. Other policies are judged from that log.
//! What they would really have earned a decision is known from what is hidden.
//!
//! `cargo run --release -p evaluation --example off_policy -- [--presets drifting,unreliable] [--logs 200] [--steps 120]
//! [--epsilon 0.2] [--missing 0.1]`

#![allow(clippy::print_stdout)] // its output is what it is for

use std::collections::BTreeMap;

use evaluation::{
    off_policy::{
        Estimates, Judged, judge,
        replay::{Action, Logged, Outcome, Replay, Terms},
        situation::{Sample, Situation},
    },
    statistics::Interval,
};
use policy::{Decision, Exploration, Rule, Swarm};
use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64;
use rayon::prelude::*;
use routing_env::{
    Candidate, Choice, Environment, Episode, Fate, Observation, Preset, Resolution, Reward, Routed, Truth,
    Window,
};

type Error = Box<dyn std::error::Error + Send + Sync>;

const REWARD: Reward = Reward::EXCESS_COST;

/// Who decides, and who is judged.
const OWN: Rule = Rule::BidPrice;
const JUDGED: [Rule; 4] = [Rule::WeightedScore, Rule::Cheapest, Rule::Fastest, Rule::GreedyReward];

/// Providers up to twice as dear as the cheapest one are tried.
const COST_GUARD: f64 = 1.0;

/// What jobs take, as a share of the mean: even.
const LATENCIES: std::ops::Range<f64> = 0.8..1.2;

struct Settings {
    presets: Vec<Preset>,
    logs: u64,
    steps: u32,
    epsilon: f64,
    missing: f64,
}

/// The intervals that are looked at.
type Intervals = [Interval; 6];
const NAMES: [&str; 6] = ["logged", "IPS", "SNIPS", "direct", "DR", "gain"];

/// A policy judged from one log.
struct Trial {
    overlap: f64,
    effective_size: f64,
    /// The intervals and what they should cover; `None` where there was no estimate.
    judged: Option<(Intervals, [f64; 6])>,
}

fn main() -> Result<(), Error> {
    let settings = Settings::read()?;
    println!(
        "{:<11} {:<15} {:>7} {:>6} {:>8} {:>7} {}  {:>7}",
        "preset",
        "policy",
        "overlap",
        "eff.",
        "refused",
        "truth",
        NAMES.map(|name| format!("{name:>7}")).join(" "),
        "DR ±"
    );
    for preset in &settings.presets {
        let env = Environment::built_in(*preset).with_steps(settings.steps);
        let trials: Vec<Vec<Trial>> = (0..settings.logs)
            .into_par_iter()
            .map(|seed| World::new(&env, &settings, seed).judged())
            .collect();
        for (i, rule) in JUDGED.iter().enumerate() {
            let of_rule: Vec<&Trial> = trials.iter().map(|trials| &trials[i]).collect();
            println!("{:<11} {:<15} {}", preset.name(), rule.name(), row(&of_rule));
        }
    }
    Ok(())
}

impl Settings {
    fn read() -> Result<Self, Error> {
        let presets = vec![Preset::Drifting, Preset::Unreliable];
        let mut settings = Self { presets, logs: 200, steps: 120, epsilon: 0.2, missing: 0.1 };
        let mut arguments = std::env::args().skip(1);
        while let Some(flag) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{flag}: expected a value"))?;
            match flag.as_str() {
                "--presets" => {
                    settings.presets = value.split(',').map(str::parse).collect::<Result<_, _>>()?
                }
                "--logs" => settings.logs = value.parse()?,
                "--steps" => settings.steps = value.parse()?,
                "--epsilon" => settings.epsilon = value.parse()?,
                "--missing" => settings.missing = value.parse()?,
                _ => return Err(format!("{flag}: there is no such flag").into()),
            }
        }
        Ok(settings)
    }
}

/// The figures of a policy over all logs: the shares of intervals that cover the truth, in percent.
fn row(trials: &[&Trial]) -> String {
    let mean = |figure: &dyn Fn(&Trial) -> f64| {
        trials.iter().map(|trial| figure(trial)).sum::<f64>() / trials.len() as f64
    };
    let judged: Vec<_> = trials.iter().filter_map(|trial| trial.judged.as_ref()).collect();
    let count = judged.len() as f64;
    let covered = |i: usize| {
        let covers = judged
            .iter()
            .filter(|(intervals, truths)| intervals[i].low <= truths[i] && truths[i] <= intervals[i].high);
        format!("{:>7.1}", 100.0 * covers.count() as f64 / count)
    };
    let shares: Vec<String> = (0..NAMES.len()).map(covered).collect();
    let truth = judged.iter().map(|(_, truths)| truths[4]).sum::<f64>() / count;
    let reach =
        judged.iter().map(|(intervals, _)| (intervals[4].high - intervals[4].low) / 2.0).sum::<f64>() / count;
    format!(
        "{:>7.3} {:>6.0} {:>8} {truth:>7.2} {}  {reach:>7.3}",
        mean(&|trial| trial.overlap),
        mean(&|trial| trial.effective_size),
        trials.len() - judged.len(),
        shares.join(" ")
    )
}

/// What a choice really earns on average, for every choice of a decision.
#[derive(Default)]
struct Expected {
    /// By choice; what is refused earns nothing.
    by_provider: BTreeMap<usize, f64>,
    /// What the log earns there on average.
    logged: f64,
    /// What a request that waits comes to on average, as the log goes on.
    deferred: f64,
}

/// A log that is being written, and the same being read.
struct World<'a> {
    env: &'a Environment,
    episode: Episode<'a>,
    own: Swarm,
    exploration: Exploration,
    missing: f64,
    window: Window,
    replay: Replay,
    rng: Pcg64,
    next_sequence: u64,
    /// What becomes of jobs, told at the window's end.
    untold: Vec<(u64, Outcome)>,
    expected: BTreeMap<u64, Expected>,
    /// The decisions that set requests aside, by their positions.
    deferrals: BTreeMap<usize, u64>,
}

impl<'a> World<'a> {
    fn new(env: &'a Environment, settings: &Settings, seed: u64) -> Self {
        let exploration = Exploration::new(seed, settings.epsilon, COST_GUARD);
        let mut own = Swarm::of_rule(OWN, env);
        let others = JUDGED.map(|rule| Swarm::of_rule(rule, env)).into();
        let terms = Terms { hold_windows: 1, outcome_windows: 1, exploration, rewards: REWARD.into() };
        let replay = Replay::new(env.clone(), terms, own.clone(), others, (seed, 0));
        own.freeze();
        own.begin_episode(seed);
        let window = replay.window().clone();
        Self {
            env,
            episode: Episode::new(env, seed, REWARD),
            own,
            exploration,
            missing: settings.missing,
            window,
            replay,
            rng: Pcg64::seed_from_u64(seed),
            next_sequence: 0,
            untold: Vec::new(),
            expected: BTreeMap::new(),
            deferrals: BTreeMap::new(),
        }
    }

    /// Writes a log, and judges all policies from it.
    fn judged(mut self) -> Vec<Trial> {
        let mut number = 0;
        while self.episode.begin_step() {
            self.begin(number);
            for index in 0..self.episode.outcome().requests.len() {
                let arrived = self.window.arrive(self.episode.outcome().requests[index]);
                self.decide(arrived, None);
            }
            let own = &mut self.own;
            for index in self.window.settle(|requests, waiting| own.order_waiting(requests, waiting)) {
                let deferral = self.deferrals.remove(&index);
                self.decide(index, deferral);
            }
            self.tell();
            number += 1;
        }
        let Self { replay, expected, .. } = self;
        let situations = replay.situations();
        (0..JUDGED.len()).map(|policy| trial(&situations, &expected, policy)).collect()
    }

    fn begin(&mut self, number: u32) {
        let hour = number % 168;
        if number > 0 {
            let outcome = self.window.end(self.env);
            self.own.end_window(&outcome, &[]);
            self.replay.begin_window(number, hour);
        }
        let market = self.episode.market().clone();
        let providers: Vec<_> = market.providers().iter().copied().enumerate().collect();
        self.replay.hear_market(&providers, &[]);
        let arrival = self.window.next_arrival();
        self.window = Window::new(self.env, market, (number, hour), arrival, REWARD);
        self.own.begin_window(number);
    }

    /// Decides a request, which a decision may have set aside before.
    fn decide(&mut self, index: usize, deferral: Option<u64>) {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let Self { env, window, own, exploration, episode, .. } = self;
        let decided = window.observe(env, index, None).map(|observation| {
            let kept = own.decide(&observation);
            let expected = expected(&observation, episode.truth(), exploration, &kept);
            (exploration.explore(kept, &observation, sequence), expected)
        });
        let (decision, mut expected) = match decided {
            Some((decision, expected)) => (Some(decision), expected),
            None => (None, Expected::default()),
        };
        let resolution = match decision {
            Some(decision) => self.window.act(self.env, index, None, decision.choice),
            None => Some(*self.window.resolution(index)),
        };
        if let Some(before) = deferral.and_then(|deferral| self.expected.get_mut(&deferral)) {
            (before.deferred, before.logged) = (expected.logged, expected.logged);
        }
        if resolution.is_none() {
            self.deferrals.insert(index, sequence);
            expected.logged = 0.0; // known when it comes again
        }
        self.expected.insert(sequence, expected);
        self.write(sequence, index, deferral.is_some(), decision, resolution);
    }

    fn write(
        &mut self,
        sequence: u64,
        index: usize,
        has_waited: bool,
        decision: Option<Decision>,
        resolution: Option<Resolution>,
    ) {
        let action = match resolution.map(|resolution| resolution.fate) {
            None => Action::Deferred,
            Some(Fate::Routed(Routed { provider, price, latency_ms, .. })) => {
                self.job(sequence, provider, latency_ms, self.window.wait_ms(index));
                Action::Routed { provider, price, latency_ms }
            }
            Some(Fate::Held) => Action::Held,
            Some(_) => Action::Dropped,
        };
        let logged = Logged {
            sequence,
            request: self.window.requests()[index],
            retry_of: None,
            waited_ms: has_waited.then_some(self.window.wait_ms(index)),
            action,
            explored: decision.is_some_and(|decision| decision.explored),
            propensity: decision.map_or(1.0, |decision| decision.propensity),
        };
        #[allow(clippy::expect_used)] // it was written by the same rules
        self.replay.decide(&logged).expect("a log that is what happened");
    }

    /// Draws what becomes of a job.
    fn job(&mut self, sequence: u64, provider: usize, latency_ms: f64, wait_ms: f64) {
        let (failure, factor) = hidden(self.episode.truth(), provider);
        let succeeded = self.rng.random::<f64>() >= failure;
        let latency_ms = wait_ms + (latency_ms - wait_ms) * factor * self.rng.random_range(LATENCIES);
        let outcome =
            Outcome { succeeded, latency_ms: succeeded.then_some(latency_ms), ..Outcome::default() };
        if self.rng.random::<f64>() >= self.missing {
            self.untold.push((sequence, outcome));
        }
    }

    fn tell(&mut self) {
        for (sequence, outcome) in std::mem::take(&mut self.untold) {
            self.replay.hear(sequence, &outcome);
        }
    }
}

/// A provider's probability of failing a job, and its mean true latency / the advertised one.
fn hidden(truth: Option<&Truth>, provider: usize) -> (f64, f64) {
    truth.map_or((0.0, 1.0), |truth| (truth.failure_probability(provider), truth.latency_factor(provider)))
}

/// What each choice earns on average: a reward is linear in latency, so that the mean latency gives the mean reward.
fn expected(
    observation: &Observation<'_>,
    truth: Option<&Truth>,
    exploration: &Exploration,
    kept: &Decision,
) -> Expected {
    let waited_ms = observation.waited_ms.unwrap_or_default();
    let earns = |candidate: &Candidate| {
        let (failure, factor) = hidden(truth, candidate.provider);
        let latency_ms = waited_ms + (candidate.latency_ms - waited_ms) * factor;
        let request = observation.request;
        let list_price = observation.env.list_price(request.gpu_type).unwrap_or(candidate.price);
        let routed = Routed {
            provider: candidate.provider,
            price: candidate.price,
            cost: candidate.price * request.hours,
            list_cost: list_price * request.hours,
            latency_ms,
        };
        let fate = Fate::Routed(routed);
        let resolution = Resolution { tenant: request.tenant, hours: request.hours, deferred: false, fate };
        (candidate.provider, (1.0 - failure) * REWARD.of_request(&resolution))
    };
    let by_provider: BTreeMap<usize, f64> = observation.candidates.iter().map(earns).collect();
    let probability =
        |provider| exploration.probability(kept, observation.candidates, Choice::Route(provider));
    let logged = by_provider.iter().map(|(provider, earns)| probability(*provider) * earns).sum();
    Expected { by_provider, logged, deferred: 0.0 }
}

/// Judges a policy, and says what is true of it in the same decisions.
fn trial(situations: &[Situation], expected: &BTreeMap<u64, Expected>, policy: usize) -> Trial {
    let (mut samples, mut truths, mut logged) = (Vec::<Sample>::new(), Vec::new(), Vec::new());
    for situation in situations {
        let Some(sample) = situation.sample(|situation| situation.others[policy]) else { continue };
        samples.push(sample);
        if sample.target.propensity > 0.0 {
            let expected = &expected[&situation.sequence];
            truths.push(match sample.target.choice {
                Choice::Route(provider) => expected.by_provider[&provider],
                Choice::Hold => 0.0,
                Choice::Defer => expected.deferred,
            });
            logged.push(expected.logged);
        }
    }
    let Judged { support, estimates } = judge(&samples);
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let judged = estimates.ok().map(|estimates| {
        let Estimates { logged: log, inverse_propensity, self_normalised, direct, doubly_robust, gain } =
            estimates;
        let (value, earned) = (mean(&truths), mean(&logged));
        let intervals = [log, inverse_propensity, self_normalised, direct, doubly_robust, gain];
        (intervals, [earned, value, value, value, value, value - earned])
    });
    Trial { overlap: support.overlap, effective_size: support.effective_size, judged }
}
