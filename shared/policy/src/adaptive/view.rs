//! What an agent of a region sees within a step.
//!
//! It sees its own requests and their candidates; what is left of the providers that serve its region, who tell that to
//! whoever may buy there; and what is left of its own tenants' budgets. It sees neither how many requests have come to
//! others nor what is left of the rest of the market: for those it takes what is expected at this part of the step. Which
//! part that is it tells from its own requests: they are a sample of all.

use routing_env::{ArrivalOrder, Environment, Market, Observation, ProviderState};

use crate::{
    division::Regions,
    policy::{Decision, Shared as _},
    prices::{
        bid_price::{BidPrices, Notes},
        forecast::Beliefs,
    },
};

/// No agent takes its requests for a smaller share of all: positions stay numbers that can be reckoned with.
const LEAST_SHARE: f64 = 1e-6;

/// An agent's view of the step that is under way.
#[derive(Clone, Default)]
pub(crate) struct View {
    notes: Notes,
    /// Its requests so far: the position in the step, and where it takes that position to be.
    positions: Vec<(usize, usize)>,
    /// The tenant of each.
    tenants: Vec<usize>,
    /// Whether all of the step's requests have come.
    has_ended: bool,
}

impl View {
    pub(crate) fn begin_step(&mut self) {
        self.notes.begin_step();
        self.positions.clear();
        self.tenants.clear();
        self.has_ended = false;
    }

    /// Decides a request by what is seen of it by this agent, which has had so many in the step before it: in all, once all
    /// have come.
    pub(crate) fn decide(
        &mut self,
        prices: &mut BidPrices,
        observation: &Observation<'_>,
        beliefs: &Beliefs,
        own: usize,
        by: (&Regions, usize),
    ) -> Decision {
        let has_waited = observation.waited_ms.is_some();
        if has_waited && !std::mem::replace(&mut self.has_ended, true) {
            let all = own as f64 / share(beliefs, by);
            let last = self.positions.last().map_or(0, |(_, position)| position + 1);
            self.notes.end_arrivals(last.max(all as usize));
        }
        let index = self.position(observation, beliefs, own, by);
        let phase = if has_waited { 1.0 } else { beliefs.phase(index).min(1.0) };
        let market = visible(observation.env, observation.market, phase, by);
        let seen = Observation { market: &market, index, phase, ..*observation };
        prices.decide(&seen, beliefs, &mut self.notes)
    }

    /// Where in the step it takes a request to be: as many of the others' requests have come as their share is.
    fn position(
        &mut self,
        observation: &Observation<'_>,
        beliefs: &Beliefs,
        own: usize,
        by: (&Regions, usize),
    ) -> usize {
        let Observation { env, request, index, .. } = *observation;
        if let Some((_, position)) = self.positions.iter().find(|(own, _)| *own == index) {
            return *position;
        }
        let tenant = request.tenant;
        let position = match env.workloads().arrival_order {
            ArrivalOrder::Shuffled => (own as f64 + 0.5) / share(beliefs, by),
            ArrivalOrder::Tenant => {
                let before = beliefs.demand[..tenant].iter().flatten().sum::<f64>();
                let of_tenant = self.tenants.iter().filter(|other| **other == tenant).count();
                before + (of_tenant as f64 + 0.5) / by.0.share(by.1, tenant)
            }
        } as usize;
        self.positions.push((index, position));
        self.tenants.push(tenant);
        position
    }
}

/// The share of all requests that are an agent's own; above 0, for it has one to decide.
fn share(beliefs: &Beliefs, (regions, agent): (&Regions, usize)) -> f64 {
    let (mut own, mut all) = (0.0, 0.0);
    for (tenant, mix) in beliefs.demand.iter().enumerate() {
        let requests = mix.iter().sum::<f64>();
        own += regions.share(agent, tenant) * requests;
        all += requests;
    }
    if own > 0.0 { (own / all).max(LEAST_SHARE) } else { 1.0 / regions.agents() as f64 }
}

/// The market as an agent sees it at this part of the step.
fn visible(env: &Environment, market: &Market, phase: f64, (regions, agent): (&Regions, usize)) -> Market {
    let providers = market.providers().iter().enumerate().map(|(provider, state)| {
        let expected = ProviderState { remaining: state.capacity * (1.0 - phase), ..*state };
        if regions.serves(agent, provider) { *state } else { expected }
    });
    let budgets = market.budgets().iter().enumerate().map(|(tenant, left)| {
        if regions.share(agent, tenant) > 0.0 { *left } else { env.budget(tenant) * (1.0 - phase) }
    });
    Market::of(env, providers.collect(), budgets.collect())
}
