//! Figures at the ends of their ranges, for every learner and every rule: each means what it says, and all that is decided
//! can be written down.

use policy::{DecidedRequest, Rule, StepReport, Swarm, SwarmConfig, registry::LEARNERS};
use routing_env::{Catalog, Environment, Episode, Fate, Preset, Workloads};
use serde_json::json;

use crate::support::REWARD;

/// The built-in files on a preset, changed.
fn environment(preset: Preset, change: impl Fn(&mut Catalog, &mut Workloads)) -> Environment {
    let (mut catalog, mut workloads) = (Catalog::built_in(), Workloads::built_in());
    change(&mut catalog, &mut workloads);
    Environment::new(catalog, workloads, preset).unwrap().with_steps(6)
}

fn decide(swarm: &mut Swarm, env: &Environment) -> Vec<DecidedRequest> {
    let mut report = StepReport::new(env);
    let mut decided = Vec::new();
    for seed in 1..3 {
        let mut episode = Episode::new(env, seed, REWARD);
        swarm.begin_episode(seed);
        while swarm.run_step(&mut episode, REWARD, &mut report) {
            decided.extend_from_slice(&report.decisions);
        }
        swarm.end_episode();
    }
    decided
}

/// Every learner and every rule, by name.
fn swarms(env: &Environment) -> Vec<(String, Swarm)> {
    let learners = LEARNERS.iter().map(|learner| {
        let config = SwarmConfig::new(learner.name, &json!({}), 2).unwrap();
        (learner.name.to_owned(), Swarm::new(config, env).unwrap())
    });
    let rules = Rule::ALL.into_iter().chain(Rule::REFERENCES);
    learners.chain(rules.map(|rule| (rule.to_string(), Swarm::of_rule(rule, env)))).collect()
}

fn free(catalog: &mut Catalog, provider: usize) {
    catalog.providers[provider].base_price_usd_per_hour.0.iter_mut().for_each(|(_, price)| *price = 0.0);
}

#[test]
fn every_figure_of_a_decision_can_be_written_down_however_extreme_the_market_is() {
    type Change = fn(&mut Catalog, &mut Workloads);
    let changes: [(&str, Change); 7] = [
        ("nothing costs anything", |catalog, _| (0..7).for_each(|provider| free(catalog, provider))),
        ("one is free and prices have no weight", |catalog, workloads| {
            free(catalog, 0);
            workloads.tenants.iter_mut().for_each(|tenant| tenant.weights.price = 0.0);
        }),
        ("nobody has a budget", |catalog, workloads| {
            free(catalog, 0);
            workloads.tenants.iter_mut().for_each(|tenant| tenant.budget_usd_per_step = 0.0);
        }),
        ("two have no capacity", |catalog, _| {
            catalog.providers[..2].iter_mut().for_each(|p| p.capacity_gpu_hours_per_step = 0.0);
        }),
        ("two have no reputation", |catalog, _| {
            catalog.providers[..2].iter_mut().for_each(|provider| provider.reputation = 0.0);
        }),
        ("one asks for nothing", |_, workloads| workloads.tenants[0].avg_requests_per_step = 0.0),
        ("nobody asks", |_, workloads| {
            workloads.tenants.iter_mut().for_each(|tenant| tenant.avg_requests_per_step = 0.0);
        }),
    ];
    for (what, change) in changes {
        for preset in [Preset::Contended, Preset::Congested, Preset::Drifting] {
            let env = environment(preset, change);
            for (name, mut swarm) in swarms(&env) {
                let decided = decide(&mut swarm, &env);
                assert_eq!(decided.is_empty(), what == "nobody asks", "{name} where {what} on {preset}");
                for request in decided {
                    let latency = request.resolution.routed().map_or(0.0, |routed| routed.latency_ms);
                    let finite = [request.reward, request.value.unwrap_or(0.0), latency].map(f64::is_finite);
                    assert_eq!(finite, [true; 3], "{name} where {what} on {preset}: {request:?}");
                    assert!(
                        request.propensity > 0.0 && request.propensity <= 1.0,
                        "{name} where {what} on {preset}: {request:?}"
                    );
                }
                let written = serde_json::to_value(swarm.state()).unwrap().to_string();
                assert!(!written.contains("null,null"), "{name} where {what} on {preset}");
            }
        }
    }
}

#[test]
fn the_baseline_sends_to_what_is_free_whatever_else_there_is_and_among_the_free_by_its_other_terms() {
    // flux and aethir both serve eu-west-1; aethir's reputation is the better one
    let env = environment(Preset::Default, |catalog, workloads| {
        free(catalog, 3);
        free(catalog, 4);
        workloads.scenarios.clear();
    });
    let decided = decide(&mut Swarm::of_rule(Rule::WeightedScore, &env), &env);
    let to = |tenant: usize| {
        let of_tenant = decided.iter().filter(move |d| d.request.tenant == tenant);
        of_tenant.filter_map(|d| d.resolution.routed()).map(|routed| routed.provider).collect::<Vec<_>>()
    };
    let dao = to(3);
    assert!(dao.iter().all(|provider| [3, 4].contains(provider)), "{dao:?}");
    // the first in the file would win each of them if being free were all that counts
    assert!(dao.iter().filter(|provider| **provider == 4).count() > dao.len() / 2, "{dao:?}");
}

#[test]
fn an_epsilon_of_0_never_explores_and_one_of_1_always_does() {
    for algorithm in ["adaptive", "afterstate", "q-learning"] {
        let env = environment(Preset::Contended, |_, _| {});
        let explored = |epsilon: f64| {
            let config = SwarmConfig::new(algorithm, &json!({"epsilon": epsilon}), 2).unwrap();
            let decided = decide(&mut Swarm::new(config, &env).unwrap(), &env);
            // what nobody could serve was not decided, and what waited was decided twice
            let asked = decided.into_iter().filter(|d| d.resolution.fate != Fate::NoViableProvider);
            asked.map(|d| (d.explored, d.resolution.routed().is_some())).collect::<Vec<_>>()
        };
        assert!(explored(0.0).iter().all(|(explored, _)| !explored), "{algorithm}");
        let always = explored(1.0);
        assert!(always.iter().all(|(explored, routed)| *explored || !routed), "{algorithm}");
    }
}
