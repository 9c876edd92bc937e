//! The linear programs of a step.
//!
//! The assignment relaxation: a request may be split over providers and may be served in part, requests
//! come in any order, and nobody waits. Every policy's step is a solution of it, so its optimum bounds them all.
//!
//! **Congestion and surge** make a request's latency and price grow with the square of the utilisation that it
//! meets. Served in any order, jobs with the rates φ per hour pay at least ∫ φ u² dh over the capacity that
//! they take up one after the other, which is least when the highest φ comes first, and is convex in the
//! hours. Its tangents bound it from below (Kelley 1960): they cut a provider's capacity into segments, each
//! with the u² of its tangent. Budgets are charged without surge.
//!
//! **Where knowledge is hidden** the limit is that of one who knows how often jobs fail and how long they take on average,
//! but not what comes of the single job. A request's options are then a first try and, where it fails, a second one
//! elsewhere or none. What a policy does in expectation, given all requests, is a solution of this program: it chooses
//! each try before it sees what comes of it, and what it uses of a resource never exceeds it. So no policy earns more in
//! expectation; in a single episode one may, by luck.
//!
//! **Aggregation.** The requests of a class differ in their hours only, and all that an option earns and takes
//! is linear in the hours. So at given prices the best option over the hours is an upper envelope of lines,
//! and where no line crosses another, a range of requests earns what as many of its mean would. The program
//! is solved over ranges, and those with a crossing in them are split until none is left that matters: then
//! the ranges' optimum is the requests' optimum. What the prices say of the single requests bounds it from
//! above at any time (weak duality), and this bound is the answer.
//!
//! **Column generation** (Gilmore and Gomory 1961). After the first solution a range is given only the options that
//! were among its best at some prices; the bound asks them all, so none is missed for good.

use std::ops::Range;

use routing_env::{ExcessCost, Outcome, Preference, physics};

use crate::{
    allocation::{AllocationError, Demand, Prices, Use, allocate},
    limit::{Best, Limit},
    problem::{Class, Offer, StepProblem},
};

/// Tangents to a provider's congestion beside the one at 0.
const TANGENTS: usize = 6;

/// The bound and the ranges' optimum may differ by this share.
const TOLERANCE: f64 = 1e-7;

/// Ranges of a class at first.
const FIRST_RANGES: usize = 3;

/// How many of a range's best options are added at any prices.
const BEST_OPTIONS: usize = 2;

/// Splits that are tried; the bound holds without, but may be less tight.
const MAX_ROUNDS: usize = 40;

/// What is optimised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goal {
    Reward,
    Fill,
    Cost,
    Latency,
}

/// Requests of a class that are treated as if all had their mean.
#[derive(Clone, Debug)]
struct Part {
    class: usize,
    range: Range<usize>,
    /// The options that the program is given, in ascending order; all of the class's when absent.
    known: Option<Vec<usize>>,
}

/// A part of a provider's capacity, in utilisation, and the u² that stands for it.
#[derive(Clone, Copy, Debug)]
struct Segment {
    width: f64,
    load: f64,
}

/// An attempt to run a request at a provider.
struct Try<'o> {
    offer: &'o Offer,
    /// The part of the provider's capacity that it takes.
    segment: usize,
    /// The probability that it succeeds.
    success: f64,
    /// What it is worth, expected.
    value: f64,
    /// What it takes of the budget, expected: what fails is not charged.
    charge: f64,
    /// What it takes of the capacity, whether it succeeds or not.
    hours: f64,
    /// What a second try that succeeds loses by its time.
    time_lost: f64,
}

/// A goal's program without its demands.
struct Program<'a> {
    problem: &'a StepProblem,
    goal: Goal,
    segments: Vec<Segment>,
    limits: Vec<f64>,
    /// Levels of utilisation below which some offers must stay, `[provider]`, and the first of their resources.
    levels: Vec<(usize, Vec<f64>)>,
    /// The resource that counts what is routed, where so many must be.
    required: Option<usize>,
}

/// An optimum, from below and from above.
struct Bounds {
    /// What the ranges' program attains.
    attained: f64,
    /// What nothing exceeds.
    bound: f64,
}

impl StepProblem {
    /// What is possible at best in this step.
    ///
    /// # Errors
    /// When the solver fails.
    pub fn limit(&self) -> Result<Limit, AllocationError> {
        let mut parts = self.first_parts();
        let fill = self.optimum(Goal::Fill, None, &mut parts)?;
        let required = Some(fill.attained * (1.0 - TOLERANCE));
        let cost = self.optimum(Goal::Cost, required, &mut parts.clone())?;
        let latency = self.optimum(Goal::Latency, required, &mut parts)?;
        let reward = self.optimum(Goal::Reward, None, &mut self.first_parts())?;
        Ok(Limit {
            steps: 1,
            requests: self.requests,
            routed: fill.bound,
            cost_usd: -cost.bound,
            latency_ms: -latency.bound,
            reward: reward.bound,
        })
    }

    /// The highest sum of rewards by the problem's preference, and what comes of the requests in an allocation that attains
    /// it. Where several do, it is one of them.
    ///
    /// # Errors
    /// When the solver fails.
    pub fn best(&self) -> Result<Best, AllocationError> {
        let mut parts = self.first_parts();
        let Bounds { bound, .. } = self.search(Goal::Reward, None, &mut parts)?;
        let program = Program::new(self, Goal::Reward, None);
        let demands: Vec<Demand> = parts.iter().map(|part| program.demand(part)).collect();
        let shares = allocate(&program.limits, &demands)?;
        // a reward is linear in what is wanted: where only one thing is, it says how much of that there is
        let by_part = |goal: Goal, wanted: Preference| -> Vec<f64> {
            let problem = self.clone().with_preference(wanted);
            let program = Program::new(&problem, goal, None);
            let of_part = |(part, shares): (&Part, &Vec<f64>)| {
                let options = program.demand(part).options;
                options.iter().zip(shares).map(|(option, share)| option.value * share).sum::<f64>()
            };
            parts.iter().zip(&shares).map(of_part).collect()
        };
        let sum = |goal: Goal, wanted: Preference| by_part(goal, wanted).into_iter().sum::<f64>();
        let none = Preference::NOTHING;
        let of = |wanted: Preference| sum(Goal::Reward, wanted);
        let hours = by_part(Goal::Reward, Preference { gpu_hour: 1.0, ..none });
        let mut tenant_gpu_hours = vec![0.0; self.budgets.len()];
        for (part, hours) in parts.iter().zip(&hours) {
            tenant_gpu_hours[self.classes[part.class].tenant] += hours;
        }
        let outcome = Outcome {
            served: of(Preference { request: 1.0, ..none }),
            gpu_hours: hours.iter().sum(),
            excess_cost: ExcessCost::of_bill(-of(Preference { cost: 1.0, ..none }), 0.0),
            latency_ms: -of(Preference { latency: 1.0, ..none }),
        };
        let cost_usd = -sum(Goal::Cost, none);
        Ok(Best { requests: self.requests, reward: bound, outcome, tenant_gpu_hours, cost_usd })
    }

    fn first_parts(&self) -> Vec<Part> {
        let ranges = |(class, c): (usize, &Class)| {
            let ends = (0..=FIRST_RANGES).map(|i| c.hours.len() * i / FIRST_RANGES).collect::<Vec<usize>>();
            let ranges = ends.windows(2).map(|w| w[0]..w[1]).filter(|range| !range.is_empty());
            ranges.map(|range| Part { class, range, known: None }).collect::<Vec<Part>>()
        };
        self.classes.iter().enumerate().flat_map(ranges).collect()
    }

    /// The highest value of the goal with so many requests routed at least. Splits the parts as needed.
    fn optimum(
        &self,
        goal: Goal,
        required: Option<f64>,
        parts: &mut Vec<Part>,
    ) -> Result<Bounds, AllocationError> {
        let bounds = self.search(goal, required, parts)?;
        parts.iter_mut().for_each(|part| part.known = None); // the next goal values others
        Ok(bounds)
    }

    /// The same, where the parts keep the options that they were given.
    fn search(
        &self,
        goal: Goal,
        required: Option<f64>,
        parts: &mut Vec<Part>,
    ) -> Result<Bounds, AllocationError> {
        let program = Program::new(self, goal, required);
        let mut bounds = Bounds { attained: f64::NEG_INFINITY, bound: f64::INFINITY };
        for _ in 0..MAX_ROUNDS {
            let demands: Vec<Demand> = parts.iter().map(|part| program.demand(part)).collect();
            let prices = Prices::solve(&program.limits, &demands)?;
            bounds.attained = prices.value;
            bounds.bound = bounds.bound.min(program.bound(&prices));
            if bounds.bound - bounds.attained <= TOLERANCE * bounds.bound.abs() {
                break;
            }
            let split: Vec<Part> = parts.drain(..).flat_map(|part| program.split(&prices, part)).collect();
            *parts = split;
        }
        Ok(bounds)
    }
}

impl<'a> Program<'a> {
    fn new(problem: &'a StepProblem, goal: Goal, required: Option<f64>) -> Self {
        let segments = segments(goal != Goal::Fill && problem.physics.depends_on_load());
        let mut limits = problem.budgets.clone();
        for provider in &problem.providers {
            limits.extend(segments.iter().map(|segment| provider.capacity * segment.width));
        }
        let levels = problem.providers.iter().enumerate().map(|(p, provider)| {
            let offers = problem.classes.iter().flat_map(|class| &class.offers);
            let here = offers.filter(|offer| offer.provider == p && offer.max_utilisation < 1.0);
            let mut levels: Vec<f64> = here.map(|offer| offer.max_utilisation).collect();
            levels.sort_by(f64::total_cmp);
            levels.dedup();
            let first = limits.len();
            limits.extend(levels.iter().map(|level| provider.capacity * level));
            (first, levels)
        });
        let levels = levels.collect();
        let required = required.map(|count| {
            limits.push(-count);
            limits.len() - 1
        });
        Self { problem, goal, segments, limits, levels, required }
    }

    fn demand(&self, part: &Part) -> Demand {
        let class = &self.problem.classes[part.class];
        let mut options = self.options(class, class.mean_hours(&part.range));
        if let Some(known) = &part.known {
            let mut index = 0..;
            options.retain(|_| index.next().is_some_and(|i| known.binary_search(&i).is_ok()));
        }
        Demand { count: part.range.len() as f64, options }
    }

    /// What one request of the class with these hours can be used for: a first try, and where it may fail, a second one
    /// elsewhere or none.
    fn options(&self, class: &Class, hours: f64) -> Vec<Use> {
        let tries: Vec<Try> = class
            .offers
            .iter()
            .flat_map(|offer| (0..self.segments.len()).map(move |segment| (offer, segment)))
            .map(|(offer, segment)| self.attempt(class, offer, segment, hours))
            .collect();
        let mut options = Vec::with_capacity(tries.len());
        for first in &tries {
            options.push(self.used(class, first, None));
            if first.success < 1.0 {
                let others = tries.iter().filter(|other| other.offer.provider != first.offer.provider);
                options.extend(others.map(|second| self.used(class, first, Some(second))));
            }
        }
        options
    }

    fn attempt<'o>(&self, class: &Class, offer: &'o Offer, segment: usize, hours: f64) -> Try<'o> {
        let load = self.segments[segment].load;
        let provider = &self.problem.providers[offer.provider];
        let advertised_ms =
            provider.latency_ms + self.problem.physics.latency_growth_ms(provider.latency_ms) * load;
        let success = provider.success;
        Try {
            offer,
            segment,
            success,
            value: success * (self.value(class, offer, hours) - self.rate(offer, hours) * load),
            charge: if offer.budgeted { success * offer.price * hours } else { 0.0 },
            hours,
            time_lost: self.time_lost(advertised_ms * provider.latency_factor),
        }
    }

    /// Both tries together, the second one as often as the first one fails.
    fn used(&self, class: &Class, first: &Try<'_>, second: Option<&Try<'_>>) -> Use {
        let failure = 1.0 - first.success;
        let (mut value, mut charge, mut served) = (first.value, first.charge, first.success);
        if let Some(second) = second {
            value += failure * (second.value - second.success * first.time_lost);
            charge += failure * second.charge;
            served += failure * second.success;
        }
        let mut takes = vec![self.capacity(first, 1.0)];
        if charge > 0.0 {
            takes.push((class.tenant, charge));
        }
        takes.extend(self.levels(first, 1.0));
        if let Some(second) = second {
            takes.push(self.capacity(second, failure));
            takes.extend(self.levels(second, failure));
        }
        takes.extend(self.required.map(|resource| (resource, -served)));
        Use { value, takes }
    }

    /// The hours that a try of this probability takes of its part of the capacity.
    fn capacity(&self, tried: &Try<'_>, probability: f64) -> (usize, f64) {
        let first = self.problem.budgets.len() + tried.offer.provider * self.segments.len();
        (first + tried.segment, probability * tried.hours)
    }

    /// The hours that it takes below the levels of utilisation that it must stay under.
    fn levels(&self, tried: &Try<'_>, probability: f64) -> impl Iterator<Item = (usize, f64)> {
        let (first, levels) = &self.levels[tried.offer.provider];
        let (most, hours) = (tried.offer.max_utilisation, probability * tried.hours);
        let binding = levels.iter().zip(*first..).filter(move |(level, _)| most <= **level);
        binding.map(move |(_, resource)| (resource, hours))
    }

    /// What it is worth to serve it there without congestion.
    fn value(&self, class: &Class, offer: &Offer, hours: f64) -> f64 {
        let provider = &self.problem.providers[offer.provider];
        let latency_ms = provider.latency_ms * provider.latency_factor;
        match self.goal {
            Goal::Fill => 1.0,
            Goal::Cost => -offer.price * hours,
            Goal::Latency => -latency_ms,
            Goal::Reward => self.problem.wanted.of(class.tenant).reward(&Outcome {
                served: 1.0,
                gpu_hours: hours,
                excess_cost: ExcessCost::of_offer(offer.price, class.list_price, hours),
                latency_ms,
            }),
        }
    }

    /// What congestion takes from that at full utilisation.
    fn rate(&self, offer: &Offer, hours: f64) -> f64 {
        let physics = self.problem.physics;
        let provider = &self.problem.providers[offer.provider];
        let cost = physics.price_growth(offer.price) * hours;
        let latency_ms = physics.latency_growth_ms(provider.latency_ms) * provider.latency_factor;
        match self.goal {
            Goal::Fill => 0.0,
            Goal::Cost => cost,
            Goal::Latency => latency_ms,
            Goal::Reward => -self.problem.wanted.all.reward(&Outcome {
                excess_cost: ExcessCost::of_bill(cost, 0.0),
                latency_ms,
                ..Outcome::default()
            }),
        }
    }

    /// What a second try that succeeds loses by the time of the first one.
    fn time_lost(&self, latency_ms: f64) -> f64 {
        match self.goal {
            Goal::Fill | Goal::Cost => 0.0,
            Goal::Latency => latency_ms,
            Goal::Reward => -self.problem.wanted.all.reward(&Outcome { latency_ms, ..Outcome::default() }),
        }
    }

    /// What the prices say that all requests, each on its own, could earn at most.
    fn bound(&self, prices: &Prices) -> f64 {
        let resources: f64 = prices.of.iter().zip(&self.limits).map(|(price, limit)| price * limit).sum();
        let lines = self.problem.classes.iter().map(|class| (class, self.lines(prices, class)));
        let surplus =
            lines.map(|(class, lines)| class.hours.iter().map(|hours| best(&lines, *hours).1).sum::<f64>());
        resources + surplus.sum::<f64>()
    }

    /// The part in pieces, where its requests do not all have the same best option, each with its best options.
    fn split(&self, prices: &Prices, part: Part) -> Vec<Part> {
        let class = &self.problem.classes[part.class];
        let lines = self.lines(prices, class);
        let choice = |i: usize| best(&lines, class.hours[i]).0;
        let Range { start, end } = part.range;
        let mut ends = vec![start];
        for i in start + 1..end {
            if choice(i) != choice(i - 1) {
                // the crossing may move a little yet: the requests on both sides of it stand alone
                ends.extend([i - 1, i, i + 1]);
            }
        }
        ends.push(end);
        ends.sort_unstable();
        ends.dedup();
        let ranges = ends.windows(2).map(|w| w[0]..w[1]).filter(|range| !range.is_empty());
        let known = |range: &Range<usize>| {
            let hours = class.mean_hours(range);
            let value = |i: usize| lines[i].0 + lines[i].1 * hours;
            let mut best: Vec<usize> = (0..lines.len() - 1).collect(); // the last is no option
            best.sort_by(|a, b| value(*b).total_cmp(&value(*a)));
            best.truncate(BEST_OPTIONS);
            best.extend(part.known.iter().flatten());
            best.sort_unstable();
            best.dedup();
            best
        };
        ranges.map(|range| Part { class: part.class, known: Some(known(&range)), range }).collect()
    }

    /// The net values of a class's options over the hours: `(intercept, slope)`; the last is that of doing nothing.
    fn lines(&self, prices: &Prices, class: &Class) -> Vec<(f64, f64)> {
        let at = |hours: f64| self.options(class, hours).into_iter().map(|option| prices.net(&option));
        let lines = at(0.0).zip(at(1.0)).map(|(intercept, one)| (intercept, one - intercept));
        lines.chain([(0.0, 0.0)]).collect()
    }
}

impl Class {
    /// The mean GPU-hours of the requests in a range that is not empty.
    fn mean_hours(&self, range: &Range<usize>) -> f64 {
        self.hours[range.clone()].iter().sum::<f64>() / range.len() as f64
    }
}

/// The highest line at these hours: which, and how high. On a tie the first.
fn best(lines: &[(f64, f64)], hours: f64) -> (usize, f64) {
    let mut best = (0, f64::NEG_INFINITY);
    for (i, (intercept, slope)) in lines.iter().enumerate() {
        let value = intercept + slope * hours;
        if value > best.1 {
            best = (i, value);
        }
    }
    best
}

/// Tangents to the load's integral, each as the segment in which it is the highest.
fn segments(congested: bool) -> Vec<Segment> {
    if !congested {
        return vec![Segment { width: 1.0, load: 0.0 }];
    }
    let tangents: Vec<f64> = (0..=TANGENTS).map(|i| i as f64 / TANGENTS as f64).collect();
    let meeting = |w: &[f64]| physics::tangents_meet_at([w[0], w[1]]);
    let ends: Vec<f64> = [0.0].into_iter().chain(tangents.windows(2).map(meeting)).chain([1.0]).collect();
    let widths = ends.windows(2).map(|w| w[1] - w[0]);
    tangents.iter().zip(widths).map(|(t, width)| Segment { width, load: physics::load(*t) }).collect()
}

#[cfg(test)]
mod tests {
    use routing_env::{Environment, Preset};

    use super::*;

    #[test]
    fn the_ranges_cover_every_request_once_and_their_optimum_is_the_bound() {
        for preset in [Preset::Contended, Preset::Congested] {
            let env = Environment::built_in(preset).with_steps(4);
            for problem in StepProblem::of_episode(&env, 1 << 32) {
                let mut parts = problem.first_parts();
                let fill = problem.optimum(Goal::Fill, None, &mut parts).unwrap();
                let most = Some(fill.attained * (1.0 - TOLERANCE));
                for (goal, required) in [(Goal::Cost, most), (Goal::Latency, most), (Goal::Reward, None)] {
                    let mut parts = parts.clone();
                    let Bounds { attained, bound } = problem.optimum(goal, required, &mut parts).unwrap();
                    assert!((bound - attained).abs() <= 2.0 * TOLERANCE * bound.abs(), "{attained} {bound}");
                    for (i, class) in problem.classes.iter().enumerate() {
                        let own = parts.iter().filter(|part| part.class == i);
                        let mut covered: Vec<usize> = own.flat_map(|part| part.range.clone()).collect();
                        covered.sort_unstable();
                        assert_eq!(covered, (0..class.hours.len()).collect::<Vec<usize>>(), "{goal:?}");
                    }
                }
            }
        }
    }
}
