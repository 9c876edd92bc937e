//! What must hold for any policy in any environment.

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use routing_env::{
    Choice, Environment, Episode, Fate, Knowledge, MAX_WAITING, Preset, Request, Reward, Turn,
};

/// Plays an episode with arbitrary choices and checks every turn and every step; gives all requests.
fn play_anyhow(env: &Environment, seed: u64, choices: u64) -> Vec<Request> {
    let mut rng = Pcg64::seed_from_u64(choices);
    let mut episode = Episode::new(env, seed, Reward::EXCESS_COST);
    let mut all = Vec::new();
    while episode.begin_step() {
        let mut waiting_now = 0;
        while let Some(turn) = episode.turn() {
            let choice = match turn {
                Turn::Request(seen) => {
                    for c in seen.candidates {
                        let provider = &seen.market.providers()[c.provider];
                        assert!(provider.active && provider.remaining >= seen.request.hours);
                        assert!(c.latency_ms <= seen.request.max_latency_ms);
                        assert!(provider.reputation >= seen.request.min_reputation);
                    }
                    assert!(!seen.candidates.is_empty());
                    let waited = seen.waited_ms.unwrap_or(0.0);
                    let providers = 0..env.catalog().providers.len();
                    let assessed =
                        providers.filter_map(|p| seen.market.assess(env, seen.request, waited, p).ok());
                    // where the job has just failed it is not tried again
                    let open = assessed.filter(|candidate| Some(candidate.provider) != seen.failed_at);
                    assert_eq!(open.collect::<Vec<_>>(), seen.candidates);
                    assert!((0.0..=1.0).contains(&seen.phase));
                    assert!(waiting_now < MAX_WAITING || !seen.may_defer);
                    let any_provider = rng.random_range(0..env.catalog().providers.len());
                    let candidate = seen.candidates[rng.random_range(0..seen.candidates.len())].provider;
                    match rng.random_range(0..6) {
                        0 if seen.may_hold => Choice::Hold,
                        1 if seen.may_defer => {
                            waiting_now += 1;
                            Choice::Defer
                        }
                        2 => Choice::Route(any_provider),
                        _ => Choice::Route(candidate),
                    }
                }
                Turn::Waiting { waiting, .. } => {
                    let reversed: Vec<usize> = waiting.iter().rev().copied().collect();
                    episode.order_waiting(&reversed);
                    continue;
                }
            };
            episode.act(choice);
        }
        let outcome = episode.outcome();
        let resolved = outcome.turns.iter().filter(|(_, r)| r.is_some()).count();
        assert_eq!(resolved, outcome.requests.len(), "every request is resolved exactly once");
        assert_eq!(outcome.metrics.overall.requests as usize, outcome.requests.len());
        for (i, resolution) in outcome.resolutions.iter().enumerate() {
            let waited = outcome.waits_ms[i];
            assert_eq!(resolution.deferred, waited > 0.0);
            assert!(waited == 0.0 || (10.0..=110.0).contains(&waited));
            if let Fate::Routed(routed) = resolution.fate {
                // where latencies are hidden, only the advertised one has to be within the SLA
                let told = env.workloads().knowledge == Knowledge::Catalog;
                assert!(!told || routed.latency_ms <= outcome.requests[i].max_latency_ms);
                assert!((routed.cost - routed.price * resolution.hours).abs() < 1e-9);
            }
        }
        let by_tenant: u64 = outcome.metrics.tenants.iter().map(|t| t.requests).sum();
        let by_size: u64 = outcome.metrics.sizes.iter().map(|t| t.requests).sum();
        let by_provider: u64 = outcome.metrics.providers.iter().map(|t| t.routed).sum();
        assert_eq!(
            (by_tenant, by_size),
            (outcome.metrics.overall.requests, outcome.metrics.overall.requests)
        );
        assert_eq!(by_provider, outcome.metrics.overall.routed);
        all.extend_from_slice(outcome.requests);
        for provider in episode.market().providers() {
            assert!(provider.remaining >= -1e-9 && provider.remaining <= provider.capacity + 1e-9);
        }
        for (tenant, budget) in episode.market().budgets().iter().enumerate() {
            // the price floor of 0.1 $/h may overdraw a budget that is nearly spent, by one job at most
            assert!(*budget <= env.budget(tenant) && *budget >= -0.1 * 10.0 - 1e-9);
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_choice_breaks_the_rules(seed in 0..1u64 << 40, choices: u64, preset in 0..Preset::ALL.len()) {
        let env = Environment::built_in(Preset::ALL[preset]).with_steps(12);
        play_anyhow(&env, seed, choices);
    }

    #[test]
    fn what_is_asked_does_not_depend_on_what_is_done(seed in 0..1u64 << 40, one: u64, other: u64) {
        let env = Environment::built_in(Preset::Contended).with_steps(6);
        prop_assert_eq!(play_anyhow(&env, seed, one), play_anyhow(&env, seed, other));
    }
}

#[test]
fn events_do_not_change_the_requests() {
    let contended = play_anyhow(&Environment::built_in(Preset::Contended).with_steps(20), 7, 1);
    let steady = play_anyhow(&Environment::built_in(Preset::Steady).with_steps(20), 7, 1);
    assert_eq!(contended, steady);
}

#[test]
fn another_seed_asks_for_something_else() {
    let env = Environment::built_in(Preset::Default).with_steps(3);
    assert_ne!(play_anyhow(&env, 7, 1), play_anyhow(&env, 8, 1));
}
