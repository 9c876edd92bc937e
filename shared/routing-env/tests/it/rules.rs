//! The simulator's rules, each against figures calculated by hand.

use routing_env::{
    Catalog, Choice, Environment, Episode, Fate, Infeasible, Market, Preference, Preset, ProviderState,
    Request, Resolution, Reward, Routed, Turn, Workloads,
};
use serde_json::json;

/// One tenant with one A100 workload of `hours`, and two providers.
fn environment(hours: f64, budget: f64, additions: serde_json::Value) -> Environment {
    let catalog = json!({"providers": [
        {"id": "near", "regions": ["eu"], "gpu_types": ["A100"], "base_price_usd_per_hour": {"A100": 2.0},
         "base_latency_ms": 100, "capacity_gpu_hours_per_step": 10, "reputation": 80},
        {"id": "far", "regions": ["global"], "gpu_types": ["A100", "H100"], "base_price_usd_per_hour": {"A100": 1.0},
         "base_latency_ms": 200, "capacity_gpu_hours_per_step": 20, "reputation": 60},
        {"id": "elsewhere", "regions": ["us"], "gpu_types": ["A100"], "base_price_usd_per_hour": {"A100": 0.5},
         "base_latency_ms": 100, "capacity_gpu_hours_per_step": 10, "reputation": 90}
    ]});
    let mut workloads = json!({
        "tenants": [{"id": "t", "region": "eu", "budget_usd_per_step": budget,
            "weights": {"price": 1, "latency": 1, "reputation": 1, "availability": 1},
            "min_reputation": 50, "max_latency_ms": 250, "mix": {"w": 1.0}, "avg_requests_per_step": 30}],
        "workload_profiles": {"w": {"gpu_type": "A100", "gpu_hours": [hours, hours]}},
        "simulation": {"steps": 40, "seed": 1}
    });
    for (key, value) in additions.as_object().unwrap() {
        workloads[key] = value.clone();
    }
    let catalog = Catalog::from_value("providers", &catalog).unwrap();
    let workloads = Workloads::from_value("workloads", &workloads, &catalog).unwrap();
    Environment::new(catalog, workloads, Preset::Default).unwrap()
}

/// The candidates of the first request of a step: (provider, price, latency).
fn first_candidates(env: &Environment, step: u32) -> Vec<(usize, f64, f64)> {
    let mut episode = Episode::new(env, 1, Reward::EXCESS_COST);
    for _ in 0..=step {
        assert!(episode.begin_step());
    }
    match episode.turn() {
        Some(Turn::Request(seen)) => {
            seen.candidates.iter().map(|c| (c.provider, c.price, c.latency_ms)).collect()
        }
        _ => Vec::new(),
    }
}

#[test]
fn a_provider_of_another_region_is_not_feasible_and_a_global_one_is() {
    assert_eq!(first_candidates(&environment(1.0, 1e6, json!({})), 0), [(0, 2.0, 100.0), (1, 1.0, 200.0)]);
}

#[test]
fn capacity_must_hold_the_whole_request() {
    assert_eq!(first_candidates(&environment(10.5, 1e6, json!({})), 0), [(1, 1.0, 200.0)]);
    assert_eq!(first_candidates(&environment(20.5, 1e6, json!({})), 0), []);
}

#[test]
fn the_price_may_not_exceed_what_the_budget_leaves_an_hour() {
    // 1.5 $ for one hour: the 2 $ provider is too dear; with 0.9 $ both are
    assert_eq!(first_candidates(&environment(1.0, 1.5, json!({})), 0), [(1, 1.0, 200.0)]);
    assert_eq!(first_candidates(&environment(1.0, 0.9, json!({})), 0), []);
}

#[test]
fn congestion_and_surge_count_the_requests_own_hours() {
    // near: u = 5/10, 1 + .5·.25 = 1.125 on latency, 1 + 1·.25 = 1.25 on price; far: u = 5/20
    let env = environment(5.0, 1e6, json!({"congestion": 0.5, "surge": 1.0}));
    assert_eq!(first_candidates(&env, 0), [(0, 2.5, 112.5), (1, 1.0625, 206.25)]);
}

/// Requests of an episode by tenant.
fn requests_of_each(env: &Environment) -> Vec<u64> {
    let mut metrics = routing_env::Metrics::new(env);
    let mut episode = Episode::new(env, 1, Reward::EXCESS_COST);
    while episode.begin_step() {
        while let Some(turn) = episode.turn() {
            if let Turn::Request(seen) = turn {
                let provider = seen.candidates[0].provider;
                episode.act(Choice::Route(provider));
            }
        }
        metrics.merge(episode.outcome().metrics);
    }
    metrics.tenants.iter().map(|tenant| tenant.requests).collect()
}

#[test]
fn a_tenant_with_a_mean_of_0_makes_no_request_in_any_preset() {
    for preset in Preset::ALL {
        let mut workloads = Workloads::built_in();
        workloads.tenants[1].avg_requests_per_step = 0.0;
        let env = Environment::new(Catalog::built_in(), workloads.clone(), preset).unwrap();
        let requests = requests_of_each(&env);
        assert_eq!(requests[1], 0, "{preset}: {requests:?}");
        assert!(requests[0] > 0 && requests[2] > 0 && requests[3] > 0, "{preset}: {requests:?}");
        workloads.tenants.iter_mut().for_each(|tenant| tenant.avg_requests_per_step = 0.0);
        let env = Environment::new(Catalog::built_in(), workloads, preset).unwrap();
        assert_eq!(requests_of_each(&env), [0; 4], "{preset}");
    }
}

#[test]
fn a_provider_that_costs_nothing_is_affordable_with_no_budget_and_its_excess_cost_is_0() {
    let mut workloads = Workloads::built_in();
    workloads.tenants.iter_mut().for_each(|tenant| tenant.budget_usd_per_step = 0.0);
    let mut catalog = Catalog::built_in();
    catalog.providers[0].base_price_usd_per_hour.0[0].1 = 0.0;
    let env = Environment::new(catalog, workloads, Preset::Default).unwrap();
    let mut episode = Episode::new(&env, 1, Reward::EXCESS_COST);
    assert!(episode.begin_step());
    let mut chosen = Vec::new();
    while let Some(turn) = episode.turn() {
        if let Turn::Request(seen) = turn {
            chosen.push((seen.candidates.len(), seen.candidates[0].provider, seen.candidates[0].price));
            episode.act(Choice::Route(0));
        }
    }
    assert!(!chosen.is_empty() && chosen.iter().all(|c| *c == (1, 0, 0.0)), "{chosen:?}");
    let overall = &episode.outcome().metrics.overall;
    assert_eq!((overall.cost_usd, overall.cost_per_gpu_hour_usd()), (0.0, Some(0.0)));
    assert_eq!(overall.cost_index(), None, "nothing can be said in proportion to a list price of 0");
}

#[test]
fn events_start_overlap_and_end_as_written() {
    let env = environment(
        1.0,
        1e6,
        json!({"scenarios": [
            {"step": 2, "event": "outage", "provider_id": "far"},
            {"step": 3, "event": "latency_spike", "provider_id": "near", "delta_ms": 50, "duration": 2},
            {"step": 4, "event": "latency_spike", "provider_id": "near", "delta_ms": 20, "duration": 2},
            {"step": 4, "event": "price_spike", "provider_id": "near", "multiplier": 1.5},
            {"step": 5, "event": "price_spike", "provider_id": "near", "multiplier": 2, "duration": 1},
            {"step": 8, "event": "reputation_drop", "provider_id": "near", "delta": -40, "duration": 1},
            {"step": 9, "event": "capacity_surge", "provider_id": "far", "multiplier": 0, "duration": 1}
        ]}),
    );
    let far = (1, 1.0, 200.0);
    for (step, expected) in [
        (1, vec![(0, 2.0, 100.0), far]),
        (2, vec![(0, 2.0, 100.0)]), // an outage lasts 5 steps by default: 2 to 6
        (3, vec![(0, 2.0, 150.0)]),
        (4, vec![(0, 3.0, 170.0)]), // deltas add
        (5, vec![(0, 6.0, 120.0)]), // multipliers multiply; the first spike is over
        (6, vec![(0, 3.0, 100.0)]),
        (7, vec![(0, 3.0, 100.0), far]),
        (8, vec![far]),             // reputation 40 is below the 50 that the tenant asks for
        (9, vec![(0, 3.0, 100.0)]), // no capacity
        (14, vec![(0, 2.0, 100.0), far]), // a price spike lasts 10 steps by default: 4 to 13
    ] {
        assert_eq!(first_candidates(&env, step), expected, "step {step}");
    }
}

#[test]
fn effective_figures_stay_in_their_ranges() {
    let env = environment(
        1.0,
        1e6,
        json!({"scenarios": [
            {"step": 0, "event": "latency_spike", "provider_id": "near", "delta_ms": -500}
        ]}),
    );
    assert_eq!(first_candidates(&env, 0)[0], (0, 2.0, 1.0));
}

fn routed(cost: f64, list_cost: f64, latency_ms: f64) -> Resolution {
    let fate = Fate::Routed(Routed { provider: 0, price: 1.0, cost, list_cost, latency_ms });
    Resolution { tenant: 0, hours: 1.0, deferred: false, fate }
}

#[test]
fn the_teams_reward_is_the_mean_over_the_rest_of_the_step() {
    let held = Resolution { fate: Fate::Held, ..routed(0.0, 0.0, 0.0) };
    // rewards: 50 − 3·(5 − 4) − 0.02·100 = 45; held 0; deferred (counts at its second turn); 50 − 0 − 4 = 46
    let turns =
        [(0, Some(routed(5.0, 4.0, 100.0))), (1, Some(held)), (2, None), (2, Some(routed(3.0, 3.0, 200.0)))];
    let mut rewards = Vec::new();
    Reward::EXCESS_COST.of_team(&turns, &mut rewards);
    let expected = [(45.0 + 0.0 + 46.0) / 3.0, 23.0, 46.0, 46.0];
    for (found, expected) in rewards.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-12, "{rewards:?}");
    }
    // seed reward over all: fill 2/3, cost 4, latency 150 → 50·2/3 − 3·4 − 0.02·150
    Reward::Seed.of_team(&turns, &mut rewards);
    assert!((rewards[0] - (100.0 / 3.0 - 12.0 - 3.0)).abs() < 1e-12, "{rewards:?}");
}

#[test]
fn another_preference_weighs_the_same_outcome_otherwise() {
    let served = Resolution { hours: 4.0, ..routed(5.0, 4.0, 100.0) };
    let held = Resolution { fate: Fate::Held, ..served };
    let patient = Preference { request: 10.0, gpu_hour: 2.0, cost: 1.0, latency: 0.0 };
    let hurried = Preference { latency: 1.0, ..Preference::NOTHING };
    for (preference, expected) in [(Preference::EXCESS_COST, 45.0), (patient, 17.0), (hurried, -100.0)] {
        let found = Reward::Preference(preference).of_request(&served);
        assert!((found - expected).abs() < 1e-12, "{preference:?}: {found}");
        assert_eq!(Reward::Preference(preference).of_request(&held), 0.0);
    }
}

#[test]
fn a_reward_is_written_by_its_name_or_else_by_its_weights() {
    let patient = Reward::Preference(Preference { gpu_hour: 2.0, ..Preference::EXCESS_COST });
    for (reward, written) in [
        (Reward::EXCESS_COST, json!("excess-cost")),
        (Reward::Seed, json!("seed")),
        (patient, json!({"request": 50.0, "gpu_hour": 2.0, "cost": 3.0, "latency": 0.02})),
    ] {
        assert_eq!(serde_json::to_value(reward).unwrap(), written);
        assert_eq!(serde_json::from_value::<Reward>(written).unwrap(), reward);
    }
    let error = "money".parse::<Reward>().unwrap_err();
    assert_eq!(error.to_string(), "unknown reward `money`: expected excess-cost or seed");
}

#[test]
fn a_deferred_request_comes_again_at_the_end_and_pays_for_its_waiting() {
    let env = environment(0.5, 1e6, json!({"actions": {"defer": true, "hold": true}}));
    let mut episode = Episode::new(&env, 1, Reward::EXCESS_COST);
    episode.begin_step();
    let requests = episode.outcome().requests.len();
    let mut waits = Vec::new();
    let mut announced = 0;
    while let Some(turn) = episode.turn() {
        match turn {
            Turn::Request(seen) if seen.index < 12 && seen.may_defer => episode.act(Choice::Defer),
            Turn::Request(seen) => {
                if let Some(waited) = seen.waited_ms {
                    assert!(!seen.may_defer, "only once");
                    waits.push((seen.index, waited, seen.candidates[0].latency_ms));
                }
                // arrivals go to the last candidate, so that the fast first one is left for those that wait
                let position = if seen.waited_ms.is_some() { 0 } else { seen.candidates.len() - 1 };
                let provider = seen.candidates[position].provider;
                episode.act(Choice::Route(provider));
            }
            Turn::Waiting { waiting, .. } => {
                announced = waiting.len();
                let longest_last: Vec<usize> = waiting.iter().rev().copied().collect();
                episode.order_waiting(&longest_last);
            }
        }
    }
    assert_eq!(announced, 10, "at most ten wait at a time");
    assert_eq!(waits.iter().map(|w| w.0).collect::<Vec<_>>(), (0..10).rev().collect::<Vec<_>>());
    for (index, waited, latency) in waits {
        let expected = 10.0 + 100.0 * (1.0 - (index + 1) as f64 / requests as f64);
        assert!((waited - expected).abs() < 1e-9);
        assert!((latency - waited - 100.0).abs() < 1e-9);
    }
}

#[test]
fn an_infeasible_choice_drops_the_request_and_nothing_viable_is_not_asked() {
    let env = environment(6.0, 1e6, json!({}));
    let mut episode = Episode::new(&env, 1, Reward::EXCESS_COST);
    episode.begin_step();
    let mut asked = 0;
    while let Some(turn) = episode.turn() {
        if let Turn::Request(seen) = turn {
            asked += 1;
            let elsewhere = Choice::Route(2);
            let choice = if seen.index == 0 { elsewhere } else { Choice::Route(seen.candidates[0].provider) };
            episode.act(choice);
        }
    }
    let outcome = episode.outcome();
    // 6 hours each: near takes one, far takes three; then nothing is viable
    assert_eq!(asked, 5);
    assert_eq!(outcome.resolutions[0].fate, Fate::InfeasibleChoice);
    assert_eq!(outcome.metrics.overall.routed, 4);
    assert!(outcome.resolutions[5..].iter().all(|r| r.fate == Fate::NoViableProvider));
}

#[test]
fn a_step_that_is_given_whole_is_played_in_its_own_market_whatever_the_events() {
    let outage = json!({"scenarios": [{"step": 0, "event": "outage", "provider_id": "near"}]});
    let env = environment(4.0, 1e6, outage);
    let mut states: Vec<_> = (0..3).map(|provider| env.base_state(provider)).collect();
    states[0].remaining = 9.0;
    states[1].price_multiplier = 3.0;
    let market = Market::of(&env, states, vec![100.0]);
    let request = Request::of_tenant(&env, 0, 0, 0, 4.0);
    let mut episode = Episode::of_step(&env, market, vec![request; 3], 70, Reward::EXCESS_COST);
    assert!(episode.begin_step());
    let mut seen_candidates = Vec::new();
    while let Some(Turn::Request(seen)) = episode.turn() {
        seen_candidates.push((seen.arrival, seen.candidates.iter().map(|c| c.provider).collect::<Vec<_>>()));
        let cheapest = seen.candidates.iter().min_by(|a, b| a.price.total_cmp(&b.price)).unwrap().provider;
        episode.act(Choice::Route(cheapest));
    }
    // near takes 4 of its 9 hours twice; the third finds far alone
    assert_eq!(seen_candidates, [(70, vec![0, 1]), (71, vec![0, 1]), (72, vec![1])]);
    assert_eq!(episode.market().budgets(), [100.0 - 2.0 * 8.0 - 3.0 * 4.0]);
    assert!(!episode.begin_step());
}

#[test]
fn a_provider_that_cannot_take_a_request_is_told_with_the_first_reason() {
    let env = environment(4.0, 8.0, json!({}));
    let assess = |change: &dyn Fn(&mut ProviderState), request: &dyn Fn(&mut Request), provider| {
        let mut states: Vec<_> = (0..3).map(|provider| env.base_state(provider)).collect();
        change(&mut states[provider]);
        let mut asked = Request::of_tenant(&env, 0, 0, 0, 4.0);
        request(&mut asked);
        Market::of(&env, states, vec![8.0]).assess(&env, &asked, 0.0, provider)
    };
    let (same, plain) = (|_: &mut ProviderState| (), |_: &mut Request| ());
    assert_eq!(assess(&same, &plain, 0).map(|c| (c.price, c.latency_ms)), Ok((2.0, 100.0)));
    assert_eq!(assess(&same, &plain, 2), Err(Infeasible::Region));
    assert_eq!(assess(&same, &|r| r.gpu_type = 1, 0), Err(Infeasible::GpuType));
    assert_eq!(assess(&|s| s.active = false, &plain, 0), Err(Infeasible::Outage));
    assert_eq!(assess(&|s| s.remaining = 3.9, &plain, 0), Err(Infeasible::Capacity { remaining: 3.9 }));
    assert_eq!(assess(&|s| s.reputation = 49.0, &plain, 0), Err(Infeasible::Reputation { reputation: 49.0 }));
    assert_eq!(
        assess(&same, &|r| r.max_latency_ms = 99.0, 0),
        Err(Infeasible::Latency { latency_ms: 100.0 })
    );
    let dear = Infeasible::Budget { price: 4.0, affordable: 2.0 };
    assert_eq!(assess(&|s| s.price_multiplier = 2.0, &plain, 0), Err(dear));
}
