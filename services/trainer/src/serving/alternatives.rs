//! Why a request went where it went, and not elsewhere.

use api::policies::{Alternative, AlternativeReason};
use policy::Swarm;
use routing_env::{Candidate, Environment, Infeasible, Market, Observation, Request, StepOutcome};

/// For each request of a step the providers that it was not sent to, as they were when it was decided for the
/// last time. `market` is the one that the step began with.
pub(super) fn alternatives(
    env: &Environment,
    swarm: &mut Swarm,
    mut market: Market,
    outcome: &StepOutcome<'_>,
) -> Vec<Vec<Alternative>> {
    let mut answer = vec![Vec::new(); outcome.requests.len()];
    let mut has_waited = vec![false; outcome.requests.len()];
    for (turn, (index, resolution)) in outcome.turns.iter().enumerate() {
        let Some(resolution) = resolution else {
            has_waited[*index] = true;
            continue;
        };
        let request = &outcome.requests[*index];
        let wait_ms = if has_waited[*index] { outcome.waits_ms[*index] } else { 0.0 };
        let mut candidates = Vec::new();
        market.candidates(env, request, wait_ms, &mut candidates);
        let observation = Observation {
            env,
            market: &market,
            request,
            candidates: &candidates,
            may_hold: env.workloads().actions.hold,
            may_defer: false,
            waited_ms: has_waited[*index].then_some(wait_ms),
            failed_at: None,
            step: outcome.step,
            hour_of_week: outcome.hour_of_week,
            index: *index,
            arrival: outcome.first_arrival + *index as u64,
            phase: (turn as f64 / outcome.turns.len() as f64).min(1.0),
        };
        let taken = resolution.routed().map(|routed| routed.provider);
        answer[*index] = alternatives_of(swarm, &observation, taken);
        if let Some(candidate) = candidates.iter().find(|candidate| Some(candidate.provider) == taken) {
            market.take(request, *candidate);
        }
    }
    answer
}

/// Every provider that a request was not sent to, as it is now.
pub(crate) fn alternatives_of(
    swarm: &mut Swarm,
    observation: &Observation<'_>,
    taken: Option<usize>,
) -> Vec<Alternative> {
    let Observation { env, market, request, .. } = *observation;
    let wait_ms = observation.waited_ms.unwrap_or_default();
    let others = (0..env.catalog().providers.len()).filter(|provider| Some(*provider) != taken);
    let alternative = |provider: usize| {
        let told = match market.assess(env, request, wait_ms, provider) {
            Ok(_) if observation.failed_at == Some(provider) => Alternative {
                reason: AlternativeReason::Failed,
                detail: "its job has failed there".to_owned(),
                ..feasible_nowhere()
            },
            Ok(candidate) => feasible(env, request, &candidate, swarm.score(observation, &candidate)),
            Err(reason) => infeasible(env, request, provider, &reason),
        };
        Alternative { provider: env.catalog().providers[provider].id.clone(), ..told }
    };
    others.map(alternative).collect()
}

fn feasible(env: &Environment, request: &Request, candidate: &Candidate, score: Option<f64>) -> Alternative {
    let Candidate { provider, price, latency_ms } = candidate;
    let price_assumed = env.price_is_assumed(*provider, request.gpu_type);
    let assumed = if price_assumed { " (assumed: the catalog has no price)" } else { "" };
    Alternative {
        provider: String::new(),
        reason: AlternativeReason::NotChosen,
        detail: format!(
            "it is feasible at {price} $/h{assumed} and {latency_ms} ms; the policy chose otherwise"
        ),
        expected_cost_usd: Some(price * request.hours),
        price_assumed,
        expected_latency_ms: Some(*latency_ms),
        score: score.filter(|score| score.is_finite()),
    }
}

fn infeasible(env: &Environment, request: &Request, provider: usize, reason: &Infeasible) -> Alternative {
    let price_assumed =
        matches!(reason, Infeasible::Budget { .. }) && env.price_is_assumed(provider, request.gpu_type);
    let assumed = if price_assumed { " (assumed: the catalog has no price)" } else { "" };
    let tenant = &env.workloads().tenants[request.tenant];
    let (reason, detail) = match *reason {
        Infeasible::Region => (
            AlternativeReason::Region,
            format!("it does not serve {}, the region of {}", tenant.region, tenant.id),
        ),
        Infeasible::GpuType => {
            (AlternativeReason::GpuType, format!("it has no {}", env.gpu_types()[request.gpu_type]))
        }
        Infeasible::Outage => (AlternativeReason::Outage, "it takes nothing now".to_owned()),
        Infeasible::Capacity { remaining } => (
            AlternativeReason::Capacity,
            format!("{remaining} GPU-hours are left, {} are needed", request.hours),
        ),
        Infeasible::Reputation { reputation } => (
            AlternativeReason::Reputation,
            format!("its reputation is {reputation}, {} is wanted", request.min_reputation),
        ),
        Infeasible::Latency { latency_ms } => (
            AlternativeReason::Latency,
            format!("it would take {latency_ms} ms, {} are accepted", request.max_latency_ms),
        ),
        Infeasible::Budget { price, affordable } => (
            AlternativeReason::Budget,
            format!("it costs {price} $/h{assumed}, the budget of {} leaves {affordable}", tenant.id),
        ),
    };
    Alternative { reason, detail, price_assumed, ..feasible_nowhere() }
}

fn feasible_nowhere() -> Alternative {
    Alternative {
        provider: String::new(),
        reason: AlternativeReason::Failed,
        detail: String::new(),
        expected_cost_usd: None,
        price_assumed: false,
        expected_latency_ms: None,
        score: None,
    }
}

#[cfg(test)]
mod tests {
    use policy::Rule;
    use routing_env::{Choice, Episode, Preset, Reward, Turn};

    use super::*;

    #[test]
    fn a_deferred_request_is_explained_by_how_things_stood_when_it_came_again() {
        let env = Environment::built_in(Preset::Contended);
        let states: Vec<_> = (0..env.catalog().providers.len()).map(|p| env.base_state(p)).collect();
        let budgets = (0..env.workloads().tenants.len()).map(|t| env.budget(t)).collect();
        let market = Market::of(&env, states, budgets);
        // the research tenant has 500 $ for A100 hours: akash has 220 at 1.8 $, flux 140 at 1.7 $, aethir costs 2.5 $
        let a100 = env.gpu_types().iter().position(|gpu| gpu == "A100").unwrap();
        let request = |hours| Request::of_tenant(&env, 0, 0, a100, hours);
        let requests = vec![request(30.0), request(120.0), request(1.0)];
        let mut episode = Episode::of_step(&env, market.clone(), requests, 0, Reward::EXCESS_COST);
        assert!(episode.begin_step());
        let mut choices = [Choice::Defer, Choice::Route(3), Choice::Hold, Choice::Route(0)].into_iter();
        while let Some(turn) = episode.turn() {
            if let Turn::Request(_) = turn {
                episode.act(choices.next().unwrap());
            }
        }
        let told = alternatives(&env, &mut Swarm::of_rule(Rule::Cheapest, &env), market, &episode.outcome());
        let of = |request: usize, id: &str| told[request].iter().find(|a| a.provider == id);
        let flux = of(0, "flux").unwrap();
        assert_eq!(flux.reason, AlternativeReason::Capacity);
        assert_eq!(flux.detail, "20 GPU-hours are left, 30 are needed");
        assert!(of(0, "akash").is_none() && of(1, "flux").is_none());
        // its own 260 ms, and for the waiting 10 ms and two thirds of 100 ms, as two of three were still to come
        let waited = of(0, "aethir").map(|a| (a.reason, a.expected_latency_ms));
        assert_eq!(
            waited,
            Some((AlternativeReason::NotChosen, Some(260.0 + 10.0 + 100.0 * (1.0 - 1.0 / 3.0))))
        );
        assert_eq!(of(1, "akash").unwrap().expected_latency_ms, Some(300.0));
    }
}
