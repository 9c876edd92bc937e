//! Bid-price control (Talluri and van Ryzin 1998): every GPU-hour of a provider and every dollar of a budget
//! has a price, and a request is routed where it earns most beyond what it takes at these prices.
//!
//! The prices are the dual solution of the [`Fluid`] program of the rest of the step. It is solved when a step
//! begins and again after each further quarter of its expected requests. Requests that are hardly worth their
//! prices wait for the end of the step, where the best allocation of all that wait is known.

use std::collections::BTreeMap;

use limit::{Use, assign};
use nalgebra::DVector;
use routing_env::{
    Candidate, Choice, Environment, MAX_WAITING, Observation, Outcome, Preference, Preferences, Request,
    physics,
};
use serde_json::{Value, json};

use crate::{
    policy::{Decision, Shared},
    prices::fluid::{Cut, Early, Fluid, Nets, Waiting, cuts, resources},
    prices::forecast::Beliefs,
};

/// Net values per GPU-hour below which a request may wait, of which whoever tunes chooses, and the one that is tried first:
/// that of [`Settings::OF_REWARD`]. All that is in points here is so at the scale of `excess-cost` ([`Preference::scale`]).
pub(crate) const DEFER_BELOW_PER_HOUR: [f64; 8] = [0.5, 0.75, 1.0, 1.5, 2.0, 2.75, 3.5, 5.0];
pub(crate) const FIRST_THRESHOLD: usize = 5;

/// Where waiting keeps a provider free for others, a request waits also if it earns less then by this share of the threshold:
/// whoever decides last knows more.
const CAUTION: f64 = 0.1;

/// How its prices are made and used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Settings {
    /// Over how many numbers of requests, all as likely, the prices are averaged: their number is not known before
    /// the step has ended, and what a resource is worth is no linear function of it (Talluri and van Ryzin 1999).
    pub(crate) scenarios: usize,
    /// Solutions per step.
    pub(crate) solutions: f64,
    /// Below this net value per GPU-hour a request waits for the end of the step.
    pub(crate) defer_below_per_hour: f64,
    /// By what the spread of the number of requests is multiplied.
    pub(crate) spread_factor: f64,
    /// By how much latency counts for more than whoever asks wants it to.
    pub(crate) latency_factor: f64,
    /// What is wanted beside that where those that wait compete for what is left. It counts what is asked for, served or
    /// not.
    pub(crate) leftover: Preference,
}

impl Settings {
    /// Those that earn most of the reward itself; `adaptive` begins with them too.
    pub(crate) const OF_REWARD: Self = Self {
        scenarios: 5,
        solutions: 8.0,
        defer_below_per_hour: DEFER_BELOW_PER_HOUR[FIRST_THRESHOLD],
        spread_factor: 2.0,
        latency_factor: 1.0,
        leftover: Preference::NOTHING,
    };

    /// Those that want GPU-hours and low latencies beyond the reward (ADR 12): latency counts for a tenth more, which costs
    /// little of it.
    pub(crate) const OF_HOURS: Self = Self {
        scenarios: 1,
        solutions: 4.0,
        defer_below_per_hour: 3.0,
        spread_factor: 1.0,
        latency_factor: 1.1,
        leftover: Preference { gpu_hour: 3.0, ..Preference::NOTHING },
    };
}

/// Prices, and the part of the step that they are for.
#[derive(Clone)]
pub(crate) struct Plan {
    /// `None` before the episode's first solution.
    part: Option<u32>,
    /// Those of each scenario, from which the next ones are sought.
    scenarios: Vec<DVector<f64>>,
    prices: DVector<f64>,
    /// How what was left of each provider was cut.
    cuts: Vec<Cut>,
}

impl Plan {
    fn new(env: &Environment, scenarios: usize) -> Self {
        let none = DVector::zeros(resources(env));
        Self { part: None, scenarios: vec![none.clone(); scenarios], prices: none, cuts: Vec::new() }
    }
}

/// What is known of a step by those that decide in it.
#[derive(Clone, Default)]
pub(crate) struct Notes {
    /// The prices that the step is played at.
    pub(crate) plan: Option<Plan>,
    /// The requests that have been set aside, in order of arrival, and are still to be decided.
    waiting: Vec<Waiting>,
    /// What is planned for them once all are known, by their positions in the step.
    planned: BTreeMap<usize, Choice>,
}

impl Notes {
    /// Those of a step that begins with these prices.
    pub(crate) fn at(plan: Option<Plan>) -> Self {
        Self { plan, ..Self::default() }
    }
}

impl Shared for Notes {
    fn begin_step(&mut self) {
        if let Some(plan) = &mut self.plan {
            plan.part = None; // its prices are where the next ones are sought from
        }
        self.waiting.clear();
        self.planned.clear();
    }

    fn kept(&self) -> Value {
        let prices = |plan: &Plan| -> Vec<Vec<f64>> {
            let of_all = plan.scenarios.iter().chain([&plan.prices]);
            of_all.map(|prices| prices.iter().copied().collect()).collect()
        };
        self.plan.as_ref().map_or(Value::Null, |plan| json!(prices(plan)))
    }

    fn keep(&mut self, kept: Value) -> Result<(), String> {
        let prices: Option<Vec<Vec<f64>>> =
            serde_json::from_value(kept).map_err(|error| format!("prices: {error}"))?;
        let plan = |prices: Vec<Vec<f64>>| {
            let mut prices: Vec<_> = prices.into_iter().map(DVector::from_vec).collect();
            let mean = prices.pop().ok_or("prices: expected those of a step, found none")?;
            Ok::<_, String>(Plan { part: None, scenarios: prices, prices: mean, cuts: Vec::new() })
        };
        self.plan = prices.map(plan).transpose()?;
        Ok(())
    }

    fn withdraw(&mut self, index: usize) {
        self.waiting.retain(|waiting| waiting.index != index);
    }

    fn end_arrivals(&mut self, requests: usize) {
        for own in &mut self.waiting {
            own.wait_ms = physics::wait_ms(1.0 - (own.index + 1) as f64 / requests as f64);
        }
    }
}

/// Decides at the prices of the step's plan.
#[derive(Clone)]
pub(crate) struct BidPrices {
    settings: Settings,
    wanted: Preferences,
    candidates: Vec<Candidate>,
    nets: Nets,
    /// What each candidate of the last decision was worth, where it was decided by that: providers and net values.
    judged: Vec<(usize, f64)>,
}

impl BidPrices {
    /// For those who want this.
    pub(crate) fn new(settings: Settings, wanted: &Preferences) -> Self {
        let (candidates, nets, judged) = (Vec::new(), Nets::default(), Vec::new());
        let mut prices = Self { settings, wanted: wanted.clone(), candidates, nets, judged };
        prices.prefer(wanted);
        prices
    }

    /// For those who want this from the next step on.
    pub(crate) fn prefer(&mut self, wanted: &Preferences) {
        self.wanted.clone_from(wanted);
        self.wanted.all.latency *= self.settings.latency_factor;
    }

    /// Decides one request as these beliefs have it.
    pub(crate) fn decide(
        &mut self,
        observation: &Observation<'_>,
        beliefs: &Beliefs,
        notes: &mut Notes,
    ) -> Decision {
        self.judged.clear();
        if observation.failed_at.is_some() {
            notes.planned.clear(); // it was planned for what has not come about
        }
        if observation.waited_ms.is_some()
            && let Some(choice) = self.assigned(observation, beliefs, notes)
        {
            return Decision::certain(choice);
        }
        let (candidate, net) = self.best(observation, beliefs, notes);
        let request = *observation.request;
        let scale = self.wanted.all.scale(observation.env);
        let defer_below = self.settings.defer_below_per_hour * scale * request.hours;
        let waits = observation.may_defer
            && (net < defer_below || self.is_better_late(observation, beliefs, notes, [net, defer_below]));
        let choice = if waits {
            let wait_ms = physics::wait_ms(1.0 - observation.phase);
            notes.waiting.push(Waiting { index: observation.index, request, wait_ms });
            Choice::Defer
        } else if observation.may_hold && net < 0.0 {
            Choice::Hold
        } else {
            Choice::Route(candidate.provider)
        };
        Decision { value: Some(net), ..Decision::certain(choice) }
    }

    /// What a candidate of the last decision is worth beyond what it takes, in points of the reward. `None` where the request
    /// was assigned together with all that waited.
    pub(crate) fn net(&self, candidate: &Candidate) -> Option<f64> {
        self.judged.iter().find(|(provider, _)| *provider == candidate.provider).map(|(_, net)| *net)
    }

    /// The prices for this part of the step.
    fn prices<'b>(
        &mut self,
        observation: &Observation<'_>,
        beliefs: &Beliefs,
        notes: &'b mut Notes,
    ) -> &'b DVector<f64> {
        let Observation { env, market, index, .. } = *observation;
        let has_waited = observation.waited_ms.is_some();
        let part =
            if has_waited { u32::MAX } else { (beliefs.phase(index) * self.settings.solutions) as u32 };
        let plan = notes.plan.get_or_insert_with(|| Plan::new(env, self.settings.scenarios));
        if plan.part != Some(part) {
            plan.cuts = cuts(env, market, beliefs);
            let count = plan.scenarios.len();
            let left: Vec<Vec<f64>> = (0..count)
                .map(|i| {
                    if has_waited {
                        return vec![0.0; beliefs.demand.len()];
                    }
                    let probability = (i as f64 + 0.5) / count as f64;
                    beliefs.still_to_come_at(env, index, probability, self.settings.spread_factor)
                })
                .collect();
            let mut program = |early: Early| {
                let cuts = (early, plan.cuts.as_slice());
                Fluid::new(env, market, beliefs, &self.wanted, cuts, &notes.waiting, &mut self.candidates)
            };
            let mut fluid = program(Early::GoElsewhere);
            if !has_waited && plan.cuts.iter().any(Cut::ends_early) {
                let places = match env.workloads().actions.defer {
                    true => MAX_WAITING.saturating_sub(notes.waiting.len()) as f64,
                    false => 0.0,
                };
                // whoever comes at any time of the rest waits for half of it in the mean
                let wait_ms = physics::wait_ms((1.0 - observation.phase) / 2.0);
                let mut kept_free = program(Early::AreKeptFreeFor { places, wait_ms });
                // the scenario in the middle says which of the two is worth more
                let (prices, left) = (&mut plan.scenarios[count / 2], &left[count / 2]);
                let mut of_kept_free = prices.clone();
                if kept_free.price(left, &mut of_kept_free) > fluid.price(left, prices) {
                    (fluid, *prices) = (kept_free, of_kept_free);
                }
            }
            for (prices, left) in plan.scenarios.iter_mut().zip(&left) {
                fluid.price(left, prices);
            }
            plan.prices.fill(0.0);
            for prices in &plan.scenarios {
                plan.prices.axpy(1.0 / count as f64, prices, 1.0);
            }
            plan.part = Some(part);
        }
        &plan.prices
    }

    /// Whether a request earns more than this when it waits, and goes where it keeps nobody out then.
    fn is_better_late(
        &self,
        observation: &Observation<'_>,
        beliefs: &Beliefs,
        notes: &Notes,
        [net, defer_below]: [f64; 2],
    ) -> bool {
        let Some(plan) = notes.plan.as_ref().filter(|plan| plan.cuts.iter().any(Cut::ends_early)) else {
            return false;
        };
        let preference = self.wanted.of(observation.request.tenant);
        let waiting = beliefs.net_of_waiting(observation, preference, &plan.cuts, &plan.prices);
        waiting.is_some_and(|waiting| waiting + CAUTION * defer_below > net)
    }

    /// The best provider and its net value.
    fn best(
        &mut self,
        observation: &Observation<'_>,
        beliefs: &Beliefs,
        notes: &mut Notes,
    ) -> (Candidate, f64) {
        let preference = self.wanted.of(observation.request.tenant);
        let mut nets = std::mem::take(&mut self.nets);
        beliefs.nets(observation, preference, self.prices(observation, beliefs, notes), &mut nets);
        let candidates = observation.candidates.iter().zip(&nets.of);
        let first = (observation.candidates[0], f64::NEG_INFINITY);
        let best = candidates
            .fold(first, |best, (candidate, net)| if *net > best.1 { (*candidate, *net) } else { best });
        self.judged.extend(observation.candidates.iter().map(|c| c.provider).zip(nets.of.iter().copied()));
        self.nets = nets;
        best
    }

    /// The request's part in the best assignment of all that still wait.
    fn assigned(
        &mut self,
        observation: &Observation<'_>,
        beliefs: &Beliefs,
        notes: &mut Notes,
    ) -> Option<Choice> {
        let own = notes.waiting.iter().position(|waiting| waiting.index == observation.index)?;
        let is_possible = |choice: &Choice| match choice {
            Choice::Route(provider) => observation.candidates.iter().any(|c| c.provider == *provider),
            Choice::Hold | Choice::Defer => true,
        };
        if !notes.planned.get(&observation.index).is_some_and(is_possible) {
            notes.planned = self.assignment(observation, beliefs, &notes.waiting)?;
        }
        notes.waiting.remove(own);
        notes.planned.remove(&observation.index)
    }

    /// The best assignment of all that wait, each to one provider or to none: what is left of a provider is worth only as
    /// much as whole jobs find room in it.
    fn assignment(
        &mut self,
        observation: &Observation<'_>,
        beliefs: &Beliefs,
        waiting: &[Waiting],
    ) -> Option<BTreeMap<usize, Choice>> {
        let Observation { env, market, .. } = *observation;
        let mut limits = market.budgets().to_vec();
        limits.extend(market.providers().iter().map(|p| p.remaining));
        let (mut firsts, mut demands) =
            (Vec::with_capacity(waiting.len()), Vec::with_capacity(waiting.len()));
        for Waiting { index, request, wait_ms } in waiting {
            if *index == observation.index {
                // what it may choose from now: its wait is known
                self.candidates.clear();
                self.candidates.extend_from_slice(observation.candidates);
            } else {
                market.candidates(env, request, *wait_ms, &mut self.candidates);
            }
            let (providers, uses): (Vec<usize>, Vec<Use>) =
                self.uses(env, beliefs, request, *wait_ms).into_iter().unzip();
            firsts.push(providers);
            demands.push(uses);
        }
        let chosen = assign(&limits, &demands).ok()?;
        let choices = chosen.iter().zip(&firsts).map(|(option, providers)| match option {
            Some(option) => Choice::Route(providers[*option]),
            None => Choice::Hold,
        });
        Some(waiting.iter().map(|waiting| waiting.index).zip(choices).collect())
    }

    /// What a request that waits can be used for, and where it is tried first: at each of the candidates, and where its
    /// job may fail there, with each of the others as the second try.
    fn uses(
        &self,
        env: &Environment,
        beliefs: &Beliefs,
        request: &Request,
        wait_ms: f64,
    ) -> Vec<(usize, Use)> {
        let preference = self.wanted.of(request.tenant);
        let scale = self.wanted.all.scale(env);
        let bonus = scale
            * self.settings.leftover.reward(&Outcome { gpu_hours: request.hours, ..Outcome::default() });
        let value = |candidate: &Candidate| beliefs.reward(env, preference, request, candidate);
        let charge =
            |candidate: &Candidate| beliefs.success[candidate.provider] * candidate.price * request.hours;
        let resource = |candidate: &Candidate| beliefs.demand.len() + candidate.provider;
        let mut uses = Vec::with_capacity(self.candidates.len());
        for first in &self.candidates {
            let takes = vec![(request.tenant, charge(first)), (resource(first), request.hours)];
            uses.push((first.provider, Use { value: value(first) + bonus, takes }));
            let failure = 1.0 - beliefs.success[first.provider];
            let time_lost = beliefs.time_lost(preference, first.provider, first.latency_ms - wait_ms);
            let others = self.candidates.iter().filter(|other| other.provider != first.provider);
            for second in others.filter(|_| failure > 0.0) {
                let again = value(second) - beliefs.success[second.provider] * time_lost;
                let takes = vec![
                    (request.tenant, charge(first) + failure * charge(second)),
                    (resource(first), request.hours),
                    (resource(second), failure * request.hours),
                ];
                uses.push((first.provider, Use { value: value(first) + bonus + failure * again, takes }));
            }
        }
        uses
    }
}
