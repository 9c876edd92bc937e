//! What is hidden under `knowledge: hidden`, and that it changes nothing elsewhere.

use routing_env::{
    Catalog, Choice, Environment, Episode, Fate, Knowledge, Observation, Preset, Request, Reward, Turn,
    Workloads,
};

const REWARD: Reward = Reward::EXCESS_COST;

fn drifting() -> Environment {
    Environment::built_in(Preset::Drifting)
}

/// Plays an episode and gives every step's requests.
fn play(
    env: &Environment,
    seed: u64,
    mut choose: impl FnMut(&Observation<'_>) -> Choice,
) -> Vec<Vec<Request>> {
    let mut episode = Episode::new(env, seed, REWARD);
    let mut steps = Vec::new();
    while episode.begin_step() {
        while let Some(turn) = episode.turn() {
            if let Turn::Request(seen) = turn {
                let choice = choose(&seen);
                episode.act(choice);
            }
        }
        steps.push(episode.outcome().requests.to_vec());
    }
    steps
}

fn first(seen: &Observation<'_>) -> Choice {
    Choice::Route(seen.candidates[0].provider)
}

#[test]
fn knowledge_is_the_catalogs_unless_asked_otherwise_and_then_not_even_written() {
    let text = serde_json::to_string(&Workloads::built_in()).unwrap();
    assert!(!text.contains("knowledge"));
    let mut workloads = serde_json::to_value(Workloads::built_in()).unwrap();
    workloads["knowledge"] = "hidden".into();
    let hidden = Workloads::from_value("workloads", &workloads, &Catalog::built_in()).unwrap();
    assert_eq!(hidden.knowledge, Knowledge::Hidden);
    assert_eq!(serde_json::to_value(&hidden).unwrap()["knowledge"], "hidden");
    workloads["knowledge"] = "secret".into();
    let error = Workloads::from_value("workloads", &workloads, &Catalog::built_in()).unwrap_err();
    assert!(error.to_string().contains("/knowledge"), "{error}");
}

#[test]
fn what_is_asked_and_what_comes_of_a_choice_do_not_depend_on_other_choices() {
    let env = drifting().with_steps(8);
    let last = |seen: &Observation<'_>| Choice::Route(seen.candidates[seen.candidates.len() - 1].provider);
    assert_eq!(play(&env, 7, first), play(&env, 7, last));
    // the first request of a step, whatever came before: the same provider treats it the same way
    let fates = |other: bool| {
        let mut episode = Episode::new(&env, 7, REWARD);
        let mut fates = Vec::new();
        while episode.begin_step() {
            while let Some(turn) = episode.turn() {
                let Turn::Request(seen) = turn else { continue };
                let choice = match (seen.index == 0, other) {
                    (true, _) | (_, false) => first(&seen),
                    (false, true) => Choice::Hold,
                };
                episode.act(choice);
            }
            fates.push(episode.outcome().resolutions[0].fate);
        }
        fates
    };
    assert_eq!(fates(false), fates(true));
}

/// The routed requests of an episode in which all go to the first candidate, with what came of each.
fn served(env: &Environment, seed: u64) -> Vec<Vec<(Request, Fate)>> {
    let mut episode = Episode::new(env, seed, REWARD);
    let mut steps = Vec::new();
    while episode.begin_step() {
        while let Some(turn) = episode.turn() {
            if let Turn::Request(seen) = turn {
                let choice = first(&seen);
                episode.act(choice);
            }
        }
        let outcome = episode.outcome();
        let fates = outcome.resolutions.iter().map(|resolution| resolution.fate);
        steps.push(outcome.requests.iter().copied().zip(fates).collect());
    }
    steps
}

/// A world in which neither capacities nor budgets bind.
fn roomy(preset: Preset) -> Environment {
    let (mut catalog, mut workloads) = (Catalog::built_in(), Workloads::built_in());
    catalog.providers.iter_mut().for_each(|provider| provider.capacity_gpu_hours_per_step *= 1000.0);
    workloads.budget_multiplier *= 1000.0;
    Environment::new(catalog, workloads, preset).unwrap().with_steps(12)
}

#[test]
fn sites_have_the_same_truth_and_together_the_requests_of_the_whole_with_the_same_fates() {
    for preset in [Preset::Drifting, Preset::Contended] {
        let env = roomy(preset);
        let sites: Vec<_> = (0..3).map(|site| served(&env.clone().at_site(site, 3), 7)).collect();
        let mut taken = [0; 3].map(|_: u8| Vec::new().into_iter());
        let mut arrival = 0;
        for (step, whole) in served(&env, 7).into_iter().enumerate() {
            taken = std::array::from_fn(|site| {
                assert_eq!(taken[site].next(), None, "a request came twice");
                sites[site][step].clone().into_iter()
            });
            for told in whole {
                assert_eq!(taken[arrival % 3].next(), Some(told));
                arrival += 1;
            }
        }
        assert!(arrival > 1000, "{arrival}");
    }
}

#[test]
fn a_site_expects_its_part_and_is_an_environment_of_its_own() {
    let (env, site) = (drifting(), drifting().at_site(2, 5));
    assert!((5.0 * site.expected_requests_of_all() - env.expected_requests_of_all()).abs() < 1e-9);
    assert_ne!(site.definition(), env.definition());
    assert_ne!(site.definition(), drifting().at_site(1, 5).definition());
    assert!(!env.definition().contains("site\":"), "what is whole is defined as ever");
}

#[test]
fn providers_are_seen_as_advertised() {
    let env = drifting();
    for seed in 0..4 {
        let mut episode = Episode::new(&env, seed, REWARD);
        let mut expected = Vec::new();
        while episode.begin_step() {
            for (provider, state) in env.catalog().providers.iter().zip(episode.market().providers()) {
                assert_eq!(state.latency_ms, provider.base_latency_ms, "a spike was announced");
            }
            let truth = episode.truth().unwrap();
            expected.push(truth.expected_requests().iter().flatten().sum::<f64>());
        }
        let (low, high) = expected.iter().fold((f64::MAX, 0.0f64), |(l, h), e| (l.min(*e), h.max(*e)));
        assert!(high > 1.5 * low, "demand hardly drifts: {low} to {high}");
    }
}

#[test]
fn jobs_fail_as_often_and_take_as_long_as_the_truth_says() {
    let env = drifting();
    let providers = env.catalog().providers.len();
    let (mut tries, mut failures, mut told) =
        (vec![0.0; providers], vec![0.0; providers], vec![0.0; providers]);
    let (mut latency, mut latency_told) = (0.0, 0.0);
    for seed in 0..6 {
        let mut episode = Episode::new(&env, seed, REWARD);
        while episode.begin_step() {
            let truth = episode.truth().unwrap();
            let told_here: Vec<(f64, f64)> =
                (0..providers).map(|p| (truth.latency_factor(p), truth.failure_probability(p))).collect();
            let mut chosen: Option<usize> = None;
            while let Some(turn) = episode.turn() {
                let Turn::Request(seen) = turn else { continue };
                if let (Some(provider), Some(failed)) = (chosen.take(), seen.failed_at) {
                    assert_eq!(provider, failed);
                    assert!(seen.candidates.iter().all(|c| c.provider != failed) && !seen.may_defer);
                    failures[failed] += 1.0;
                    // once more would be counted twice
                    episode.act(Choice::Hold);
                    continue;
                }
                let candidate = seen.candidates[seen.index % seen.candidates.len()];
                let (latency_factor, failure) = told_here[candidate.provider];
                let expected = candidate.latency_ms * latency_factor;
                // only where a failure shows: another provider to try
                if seen.candidates.len() > 1 {
                    tries[candidate.provider] += 1.0;
                    told[candidate.provider] += failure;
                    chosen = Some(candidate.provider);
                }
                let index = seen.index;
                episode.act(Choice::Route(candidate.provider));
                if let Fate::Routed(routed) = episode.outcome().resolutions[index].fate {
                    latency += routed.latency_ms;
                    latency_told += expected;
                }
            }
        }
    }
    assert!((latency / latency_told - 1.0).abs() < 0.005, "{latency} ms, {latency_told} ms told");
    let (all, all_told): (f64, f64) = (failures.iter().sum(), told.iter().sum());
    // the last feasible alternative may be gone after the failure, which then does not show
    assert!(
        all > 500.0 && all < all_told + 4.0 * all_told.sqrt() && all > 0.9 * all_told,
        "{all} {all_told}"
    );
    assert!(tries.iter().filter(|tries| **tries > 1000.0).count() >= 4);
}

#[test]
fn a_job_that_fails_uses_its_hours_is_not_charged_and_adds_its_time_to_the_second_try() {
    let env = drifting().with_steps(40);
    let mut episode = Episode::new(&env, 3, REWARD);
    let mut seen_second_tries = 0;
    while episode.begin_step() {
        let mut before: Option<(Vec<f64>, Vec<f64>, usize)> = None;
        while let Some(turn) = episode.turn() {
            let Turn::Request(seen) = turn else { continue };
            let remaining: Vec<f64> = seen.market.providers().iter().map(|p| p.remaining).collect();
            let budgets = seen.market.budgets().to_vec();
            let (index, provider, hours) = (seen.index, seen.candidates[0].provider, seen.request.hours);
            if let (Some(failed), Some((old_remaining, old_budgets, old_index))) =
                (seen.failed_at, before.take())
            {
                assert_eq!((index, &budgets), (old_index, &old_budgets));
                assert!((old_remaining[failed] - hours - remaining[failed]).abs() < 1e-9);
                let advertised = seen.candidates[0].latency_ms;
                episode.act(Choice::Route(provider));
                let outcome = episode.outcome();
                match outcome.resolutions[index].fate {
                    Fate::Routed(routed) => {
                        // two tries of 200 ms and more each, however lucky
                        assert!(routed.latency_ms > advertised + 100.0, "{routed:?}");
                        let tenant = outcome.requests[index].tenant;
                        let charged = old_budgets[tenant] - episode.market().budgets()[tenant];
                        assert!((charged - routed.cost).abs() < 1e-9);
                        seen_second_tries += 1;
                    }
                    fate => assert_eq!(fate, Fate::Failed),
                }
                continue;
            }
            before = Some((remaining, budgets, index));
            episode.act(Choice::Route(provider));
        }
    }
    assert!(seen_second_tries > 100, "{seen_second_tries}");
}
