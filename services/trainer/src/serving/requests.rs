//! From a call on the wire to requests in a market: every mistake is told.

use std::collections::HashSet;

use api::{
    FieldError,
    policies::{DecisionRequest, ProviderNow, RoutingRequest},
};
use routing_env::{Environment, Market, ProviderState, Request};

use super::MOST_LOOKS;

/// How many wrong fields an answer names; the rest would only repeat them.
const MOST_REPORTED: usize = 20;

/// The requests, and the market that they meet: the catalog's, changed by what the caller says of now.
///
/// # Errors
/// Every wrong field by JSON pointer, up to [`MOST_REPORTED`].
pub(super) fn given(
    env: &Environment,
    asked: &DecisionRequest,
) -> Result<(Vec<Request>, Market), Vec<FieldError>> {
    let mut errors = Vec::new();
    let providers = env.catalog().providers.len();
    let most = (MOST_LOOKS / providers).max(1);
    if asked.requests.len() > most {
        let detail =
            format!("expected at most {most} requests a call for a catalog of {providers} providers");
        errors.push(FieldError { pointer: "/requests".into(), detail });
    }
    let requests = asked.requests.iter().enumerate();
    let requests: Vec<_> = requests
        .filter_map(|(i, asked)| request_of(env, asked, &format!("/requests/{i}"), &mut errors))
        .collect();
    let states = states(env, &asked.providers, &mut errors);
    let budgets = budgets(env, asked, &mut errors);
    if errors.is_empty() {
        return Ok((requests, Market::of(env, states, budgets)));
    }
    errors.truncate(MOST_REPORTED);
    Err(errors)
}

/// One request, which stands at `pointer` in what was sent.
pub(crate) fn request_of(
    env: &Environment,
    asked: &RoutingRequest,
    pointer: &str,
    errors: &mut Vec<FieldError>,
) -> Option<Request> {
    let mut known = |field: &str, what: &str, name: &str, all: &mut dyn Iterator<Item = &str>| {
        let names: Vec<_> = all.collect();
        let found = names.iter().position(|known| *known == name);
        if found.is_none() {
            let detail = unknown(what, name, &names);
            errors.push(FieldError { pointer: format!("{pointer}/{field}"), detail });
        }
        found
    };
    let workloads = env.workloads();
    let tenant =
        known("tenant", "tenant", &asked.tenant, &mut workloads.tenants.iter().map(|t| t.id.as_str()));
    let profiles = &workloads.workload_profiles;
    let workload = known("workload", "workload", &asked.workload, &mut profiles.iter().map(|(name, _)| name));
    let gpu_type = match (&asked.gpu_type, workload) {
        (Some(name), _) => {
            known("gpu_type", "GPU type", name, &mut env.gpu_types().iter().map(String::as_str))
        }
        (None, Some(workload)) => {
            let own = &profiles.0[workload].1.gpu_type;
            env.gpu_types().iter().position(|gpu| gpu == own)
        }
        (None, None) => None,
    };
    let mut request = Request::of_tenant(env, tenant?, workload?, gpu_type?, asked.gpu_hours);
    request.max_latency_ms = asked.max_latency_ms.unwrap_or(request.max_latency_ms);
    request.min_reputation = asked.min_reputation.unwrap_or(request.min_reputation);
    Some(request)
}

fn states(env: &Environment, now: &[ProviderNow], errors: &mut Vec<FieldError>) -> Vec<ProviderState> {
    let catalog = &env.catalog().providers;
    let mut states: Vec<_> = (0..catalog.len()).map(|provider| env.base_state(provider)).collect();
    let mut seen = HashSet::new();
    for (i, now) in now.iter().enumerate() {
        let mut wrong = |field: &str, detail: String| {
            errors.push(FieldError { pointer: format!("/providers/{i}/{field}"), detail });
        };
        let Some(provider) = catalog.iter().position(|provider| provider.id == now.id) else {
            let names: Vec<_> = catalog.iter().map(|provider| provider.id.as_str()).collect();
            wrong("id", unknown("provider", &now.id, &names));
            continue;
        };
        if !seen.insert(provider) {
            wrong("id", format!("expected each provider once, but `{}` stands there before", now.id));
        }
        match state_of(&states[provider], now) {
            Ok(state) => states[provider] = state,
            Err(detail) => wrong("remaining_gpu_hours", detail),
        }
    }
    states
}

/// A provider's state where this is said of it: all of its capacity is left when nothing is said of that.
///
/// # Errors
/// Says what is wrong with `remaining_gpu_hours`.
pub(crate) fn state_of(before: &ProviderState, now: &ProviderNow) -> Result<ProviderState, String> {
    let capacity = now.capacity_gpu_hours.unwrap_or(before.capacity);
    let state = ProviderState {
        active: now.available.unwrap_or(before.active),
        latency_ms: now.latency_ms.unwrap_or(before.latency_ms),
        price_multiplier: now.price_multiplier.unwrap_or(before.price_multiplier),
        reputation: now.reputation.unwrap_or(before.reputation),
        capacity,
        remaining: now.remaining_gpu_hours.unwrap_or(capacity),
    };
    if state.remaining > state.capacity {
        return Err(format!(
            "expected at most {}, its whole capacity; found {}. Give `capacity_gpu_hours` too when that has grown",
            state.capacity, state.remaining
        ));
    }
    Ok(state)
}

fn budgets(env: &Environment, asked: &DecisionRequest, errors: &mut Vec<FieldError>) -> Vec<f64> {
    let tenants = &env.workloads().tenants;
    let mut budgets: Vec<_> = (0..tenants.len()).map(|tenant| env.budget(tenant)).collect();
    let mut seen = HashSet::new();
    for (i, now) in asked.tenants.iter().enumerate() {
        let mut wrong =
            |detail: String| errors.push(FieldError { pointer: format!("/tenants/{i}/id"), detail });
        match tenants.iter().position(|tenant| tenant.id == now.id) {
            None => {
                let names: Vec<_> = tenants.iter().map(|tenant| tenant.id.as_str()).collect();
                wrong(unknown("tenant", &now.id, &names));
            }
            Some(tenant) if !seen.insert(tenant) => {
                wrong(format!("expected each tenant once, but `{}` stands there before", now.id));
            }
            Some(tenant) => budgets[tenant] = now.remaining_budget_usd,
        }
    }
    budgets
}

pub(crate) fn unknown(what: &str, found: &str, known: &[&str]) -> String {
    format!("unknown {what} `{found}`: expected one of {}", known.join(", "))
}

#[cfg(test)]
mod tests {
    use api::policies::TenantNow;
    use routing_env::Preset;
    use serde_json::json;

    use super::*;

    fn pointers(asked: serde_json::Value) -> Vec<String> {
        let asked = serde_json::from_value(asked).unwrap();
        let errors = given(&Environment::built_in(Preset::Default), &asked).unwrap_err();
        errors.into_iter().map(|error| error.pointer).collect()
    }

    #[test]
    fn every_wrong_element_is_pointed_at() {
        let good = json!({"tenant": "tenant-dao", "workload": "llm_inference", "gpu_hours": 1});
        let asked = json!({
            "requests": [
                good,
                {"tenant": "tenant-doa", "workload": "llm_inference", "gpu_hours": 1},
                {"tenant": "tenant-dao", "workload": "poetry", "gpu_hours": 1},
                {"tenant": "tenant-dao", "workload": "llm_inference", "gpu_type": "B300", "gpu_hours": 1}
            ],
            "providers": [{"id": "akash"}, {"id": "nimbus"}, {"id": "akash"},
                {"id": "flux", "remaining_gpu_hours": 141}],
            "tenants": [{"id": "tenant-x", "remaining_budget_usd": 1}]
        });
        assert_eq!(
            pointers(asked),
            [
                "/requests/1/tenant",
                "/requests/2/workload",
                "/requests/3/gpu_type",
                "/providers/1/id",
                "/providers/2/id",
                "/providers/3/remaining_gpu_hours",
                "/tenants/0/id"
            ]
        );
    }

    #[test]
    fn a_hopeless_call_is_not_reported_request_by_request() {
        let wrong = json!({"tenant": "x", "workload": "y", "gpu_hours": 1});
        assert_eq!(pointers(json!({"requests": vec![wrong; 500]})).len(), MOST_REPORTED);
    }

    #[test]
    fn a_provider_that_has_grown_has_all_of_it_left_unless_the_caller_says_otherwise() {
        let env = Environment::built_in(Preset::Default);
        let flux = |now: ProviderNow| {
            let providers = vec![ProviderNow { id: "flux".into(), ..now }];
            let asked = DecisionRequest { providers, ..DecisionRequest::default() };
            let state = given(&env, &asked).unwrap().1.providers()[3];
            (state.capacity, state.remaining)
        };
        let grown = ProviderNow { capacity_gpu_hours: Some(200.0), ..ProviderNow::default() };
        assert_eq!(flux(ProviderNow::default()), (140.0, 140.0));
        assert_eq!(flux(grown.clone()), (200.0, 200.0));
        assert_eq!(flux(ProviderNow { remaining_gpu_hours: Some(150.0), ..grown }), (200.0, 150.0));
    }

    #[test]
    fn a_tenant_has_its_whole_budget_unless_the_caller_says_otherwise() {
        let env = Environment::built_in(Preset::Congested); // budgets times 4
        let tenants = vec![TenantNow { id: "tenant-dao".into(), remaining_budget_usd: 12.5 }];
        let asked = DecisionRequest { tenants, ..DecisionRequest::default() };
        assert_eq!(given(&env, &asked).unwrap().1.budgets(), [2000.0, 1600.0, 1400.0, 12.5]);
    }
}
