//! Deciding under constraints.

use std::ops::ControlFlow;

use policy::{Constrained, Rule, Swarm, SwarmConfig};
use routing_env::{
    ConstrainedFigure, Constraint, Environment, Metrics, Preference, Preferences, Preset, Reward, Sums,
    TOLERANCE,
};
use serde_json::json;

const USUAL: Preference = Preference::EXCESS_COST;
const SEED: u64 = 1_000_000;

fn env() -> Environment {
    Environment::built_in(Preset::Contended).with_steps(60)
}

fn at_most_ms(bound: f64) -> Constraint {
    Constraint { figure: ConstrainedFigure::AvgLatencyMs, bound }
}

/// What comes of an episode under constraints, and their mean prices.
fn played(
    swarm: &Swarm,
    wanted: Preference,
    constraints: &[Constraint],
    env: &Environment,
) -> (Metrics, Vec<f64>) {
    let constrained = Constrained::rehearsed(wanted, constraints.to_vec(), swarm, env);
    let mut sum = Metrics::new(env);
    let watch = |step: &policy::StepReport| {
        sum.merge(&step.metrics);
        ControlFlow::Continue(())
    };
    let prices = constrained.play(&mut swarm.clone(), env, SEED, watch).unwrap();
    (sum, prices)
}

fn missed(constraint: Constraint, metrics: &Metrics) -> f64 {
    constraint.missed_by(&Sums::of(metrics))
}

#[test]
fn whoever_heeds_a_price_meets_a_constraint_that_it_would_miss() {
    let env = env();
    let (tight, tighter) = (at_most_ms(305.0), at_most_ms(300.0));
    for swarm in [Rule::BidPrice, Rule::GreedyReward, Rule::Reserve].map(|rule| Swarm::of_rule(rule, &env)) {
        let name = swarm.config().algorithm.name();
        let free = swarm.clone().play(&env, SEED, Reward::EXCESS_COST);
        assert!(missed(tight, &free) > 2.0 * TOLERANCE, "{name}: {free:?}");
        let (met, price) = played(&swarm, USUAL, &[tight], &env);
        assert!(missed(tight, &met) <= TOLERANCE, "{name}: {met:?}");
        let (_, higher) = played(&swarm, USUAL, &[tighter], &env);
        assert!(0.0 < price[0] && price[0] < higher[0], "{name}: {price:?} {higher:?}");
    }
}

#[test]
fn a_learner_heeds_prices_as_it_heeds_preferences() {
    let env = Environment::built_in(Preset::Contended).with_steps(20);
    for algorithm in ["adaptive", "cem"] {
        let mut swarm = Swarm::new(SwarmConfig::new(algorithm, &json!({}), 2).unwrap(), &env).unwrap();
        swarm.freeze();
        let free = swarm.clone().play(&env, SEED, Reward::EXCESS_COST);
        let bound = at_most_ms(0.96 * free.overall.avg_latency_ms().unwrap());
        let (met, prices) = played(&swarm, USUAL, &[bound], &env);
        assert!(missed(bound, &met) <= TOLERANCE, "{algorithm}: {met:?} {prices:?}");
    }
}

#[test]
fn several_constraints_are_met_at_a_price_each() {
    let env = Environment::built_in(Preset::Contended);
    let swarm = Swarm::of_rule(Rule::BidPrice, &env);
    let hours = Constraint { figure: ConstrainedFigure::GpuHoursFill, bound: 0.916 };
    let constraints = [at_most_ms(312.0), hours];
    let free = swarm.clone().play(&env, SEED, Reward::EXCESS_COST);
    assert!(constraints.iter().all(|constraint| missed(*constraint, &free) > TOLERANCE), "{free:?}");
    let (met, prices) = played(&swarm, USUAL, &constraints, &env);
    assert!(constraints.iter().all(|constraint| missed(*constraint, &met) <= TOLERANCE), "{met:?}");
    assert!(prices.iter().all(|price| *price > 0.0), "{prices:?}");
}

#[test]
fn a_rule_heeds_prices_where_it_heeds_a_preference() {
    let env = env();
    for rule in Rule::ALL.into_iter().filter(|rule| *rule != Rule::BidPriceTuned) {
        let heeds = Swarm::of_rule(rule, &env).reprice(&USUAL.into());
        assert_eq!(heeds, rule.heeds_preference(), "{rule}");
    }
}

#[test]
fn what_holds_anyway_has_no_price_and_changes_nothing() {
    let env = env();
    for rule in Rule::ALL.into_iter().filter(|rule| *rule != Rule::BidPriceTuned) {
        let swarm = Swarm::of_rule(rule, &env);
        let (met, prices) = played(&swarm, USUAL, &[at_most_ms(10_000.0)], &env);
        assert_eq!(prices, [0.0], "{rule}");
        assert_eq!(met, swarm.clone().play(&env, SEED, Reward::EXCESS_COST), "{rule}");
    }
}

/// Points have no unit: twice as many for everything are the same wish, and prices are in points.
#[test]
fn prices_are_in_the_points_of_what_is_wanted() {
    let env = env();
    let swarm = Swarm::of_rule(Rule::GreedyReward, &env);
    let twice = Preference { request: 100.0, gpu_hour: 0.0, cost: 6.0, latency: 0.04 };
    let [once, twice] = [USUAL, twice].map(|wanted| played(&swarm, wanted, &[at_most_ms(305.0)], &env));
    assert!((twice.1[0] / once.1[0] - 2.0).abs() < 1e-6, "{once:?} {twice:?}");
    assert_eq!(once.0.overall.routed, twice.0.overall.routed);
}

fn worst_tenant(bound: f64) -> Constraint {
    Constraint { figure: ConstrainedFigure::WorstTenantGpuHoursFill, bound }
}

#[test]
fn of_the_worst_tenant_more_is_served_where_that_is_constrained() {
    // where tenants compete; on `contended` each is bound by its own budget
    let env = Environment::built_in(Preset::Overloaded).with_steps(60);
    let mut adaptive = Swarm::new(SwarmConfig::new("adaptive", &json!({}), 2).unwrap(), &env).unwrap();
    adaptive.freeze();
    for swarm in [Swarm::of_rule(Rule::BidPrice, &env), adaptive] {
        let name = swarm.config().algorithm.name();
        let free = swarm.clone().play(&env, SEED, Reward::EXCESS_COST);
        let bound = worst_tenant(1.025 * free.worst_tenant_gpu_hours_fill().unwrap());
        assert!(missed(bound, &free) > 2.0 * TOLERANCE, "{name}: {free:?}");
        let (met, prices) = played(&swarm, USUAL, &[bound], &env);
        assert!(
            missed(bound, &met) <= TOLERANCE,
            "{name}: {prices:?} {:?}",
            met.worst_tenant_gpu_hours_fill()
        );
        assert!(prices.len() == 1 && prices[0] > 0.0, "{name}: one constraint, one price: {prices:?}");
    }
}

/// And where all are worth the same, nothing changes.
#[test]
fn the_hours_of_a_tenant_may_be_worth_more_than_those_of_others() {
    let env = env();
    for rule in [Rule::BidPrice, Rule::GreedyReward, Rule::Reserve] {
        let swarm = Swarm::of_rule(rule, &env);
        let free = swarm.clone().play(&env, SEED, Reward::EXCESS_COST);
        let alike = Preferences { all: USUAL, tenants: vec![USUAL; 4] };
        let with = |wanted: &Preferences| {
            let mut swarm = swarm.clone();
            assert!(swarm.reprice(wanted));
            swarm.play(&env, SEED, Reward::EXCESS_COST)
        };
        assert_eq!(with(&alike), free, "{rule}");
    }
    let swarm = Swarm::of_rule(Rule::BidPrice, &env);
    let served = |tenants: Vec<Preference>| {
        let mut swarm = swarm.clone();
        assert!(swarm.reprice(&Preferences { all: USUAL, tenants }));
        swarm
            .play(&env, SEED, Reward::EXCESS_COST)
            .tenants
            .iter()
            .map(|t| t.hours_served)
            .collect::<Vec<f64>>()
    };
    let free = served(vec![]);
    for tenant in 0..free.len() {
        let mut tenants = vec![USUAL; free.len()];
        tenants[tenant].gpu_hour += 20.0;
        let more = served(tenants);
        assert!(more[tenant] >= free[tenant], "{tenant}: {free:?} {more:?}");
    }
}
