//! A request as a vector: [`Space::features`] says what its entries mean.

use std::f64::consts::TAU;

use super::{memory::Memory, space::Space};
use crate::{
    episode::{MAX_WAITING, Observation},
    market::{Candidate, ProviderState},
    preference::Preference,
};

/// Ratios are cut here: beyond, more makes no difference.
const MOST: f64 = 4.0;

/// Writes the entries in the order of [`Space::features`].
pub(super) fn write(space: &Space, memory: &Memory, observation: &Observation<'_>, into: &mut Vec<f32>) {
    into.clear();
    let Observation { env, market, request, .. } = observation;
    let demand = if space.demand_is_known { 1.0 } else { memory.demand_mean };
    let to_come = demand * (1.0 - observation.phase);
    let budget_left = |tenant: usize| share(market.budgets()[tenant], env.budget(tenant));
    let mut put = |entry: f64| into.push(entry as f32);

    (0..market.budgets().len()).for_each(|tenant| put(flag(tenant == request.tenant)));
    (0..env.gpu_types().len()).for_each(|gpu_type| put(flag(gpu_type == request.gpu_type)));

    put(share(request.hours, space.longest_hours));
    put(flag(observation.waited_ms.is_some()));
    put(observation.waited_ms.unwrap_or_default() / 100.0);
    put(flag(observation.failed_at.is_some()));
    put(observation.phase);
    put(memory.waiting() as f64 / MAX_WAITING as f64);
    put(share(memory.waiting_hours(), space.longest_hours));
    let hour_of_day = f64::from(observation.hour_of_week % 24) / 24.0 * TAU;
    put(hour_of_day.sin());
    put(hour_of_day.cos());
    put(memory.demand_last_step.min(MOST));
    put(memory.demand_mean.min(MOST));
    put(budget_left(request.tenant));
    put(slack(market.budgets()[request.tenant], space.spending[request.tenant] * to_come));

    (0..market.budgets().len()).for_each(|tenant| put(budget_left(tenant)));
    for (providers, hours) in space.providers_of.iter().zip(&space.gpu_hours) {
        let left = providers.iter().map(|p| remaining(&market.providers()[*p])).sum();
        put(slack(left, hours * to_come));
    }

    for (provider, state) in market.providers().iter().enumerate() {
        let offer = observation.candidates.iter().find(|candidate| candidate.provider == provider);
        let [price, latency, worth] = offer.map_or([0.0; 3], |offer| terms(observation, offer));
        put(flag(offer.is_some()));
        put(price);
        put(latency);
        put(worth);
        put(state.reputation / 100.0);
        put(share(remaining(state), state.capacity));
        put(share(request.hours, remaining(state)).min(1.0));
        put(slack(remaining(state), space.provider_hours[provider] * to_come));
        put(memory.failures(provider));
        put(memory.latency(provider).min(MOST));
    }
}

/// Price, latency and worth of an offer.
fn terms(observation: &Observation<'_>, offer: &Candidate) -> [f64; 3] {
    let Observation { env, request, .. } = observation;
    let list_price = env.list_price(request.gpu_type).unwrap_or(offer.price);
    let above = if list_price > 0.0 { offer.price / list_price - 1.0 } else { offer.price };
    let wanted = Preference::EXCESS_COST;
    let worth = wanted.reward(&offer.outcome(env, request)) / wanted.request;
    [above.min(MOST), offer.latency_ms / 1000.0, worth.clamp(-MOST, MOST)]
}

fn flag(is_so: bool) -> f64 {
    f64::from(u8::from(is_so))
}

/// What can still be used of it, in GPU-hours.
fn remaining(state: &ProviderState) -> f64 {
    if state.active { state.remaining } else { 0.0 }
}

fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { (part / whole).min(MOST) } else { 0.0 }
}

/// What is left / what is still to be asked of it; the most where nothing is.
fn slack(left: f64, to_come: f64) -> f64 {
    if to_come > 0.0 { (left / to_come).clamp(0.0, MOST) } else { MOST }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slack_is_what_is_left_of_what_is_still_asked_and_capped() {
        assert_eq!(slack(30.0, 60.0), 0.5);
        assert_eq!(slack(600.0, 60.0), MOST);
        assert_eq!(slack(0.0, 0.0), MOST);
        assert_eq!(slack(-1e-12, 60.0), 0.0);
    }
}
