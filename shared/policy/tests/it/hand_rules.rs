//! What the hand rules that hold and defer do, seen from outside.

use policy::{Rule, StepReport, Swarm};
use routing_env::{Catalog, Environment, Episode, Fate, MAX_WAITING, Preset, Reward, Workloads};
use serde_json::json;

const REWARD: Reward = Reward::EXCESS_COST;

fn steps(env: &Environment, rule: Rule, seed: u64, mut see: impl FnMut(&StepReport)) {
    let mut swarm = Swarm::of_rule(rule, env);
    let mut episode = Episode::new(env, seed, REWARD);
    let mut report = StepReport::new(env);
    swarm.begin_episode(seed);
    while swarm.run_step(&mut episode, REWARD, &mut report) {
        see(&report);
    }
    swarm.end_episode();
}

fn mean_reward(env: &Environment, rule: Rule, seeds: std::ops::Range<u64>) -> f64 {
    let (mut reward, mut requests) = (0.0, 0);
    for seed in seeds {
        steps(env, rule, seed, |report| {
            reward += report.metrics.overall.reward;
            requests += report.metrics.overall.requests;
        });
    }
    reward / requests as f64
}

/// Two tenants with about 20 jobs of one hour each. A cheap provider with 20 hours serves both of them, one that
/// is a little dearer serves only the first.
fn scarce() -> Environment {
    let provider = |id: &str, region: &str, price: f64| {
        json!({"id": id, "regions": ["eu", region], "gpu_types": ["A100"], "reputation": 80,
            "base_price_usd_per_hour": {"A100": price}, "base_latency_ms": 100,
            "capacity_gpu_hours_per_step": 20})
    };
    let catalog = json!({"providers": [provider("shared", "us", 1.0), provider("eu-only", "eu", 1.5)]});
    let catalog = Catalog::from_value("catalog", &catalog).unwrap();
    let tenant = |id: &str, region: &str| {
        json!({"id": id, "region": region, "budget_usd_per_step": 1000,
            "weights": {"price": 1, "latency": 1, "reputation": 1, "availability": 0},
            "min_reputation": 0, "max_latency_ms": 1000, "mix": {"w": 1.0}, "avg_requests_per_step": 20})
    };
    let workloads = json!({
        "tenants": [tenant("flexible", "eu"), tenant("bound", "us")],
        "workload_profiles": {"w": {"gpu_type": "A100", "gpu_hours": [1, 1]}},
        "arrival_order": "shuffled", "actions": {"hold": true, "defer": true}, "simulation": {"steps": 20}
    });
    let workloads = Workloads::from_value("workloads", &workloads, &catalog).unwrap();
    Environment::new(catalog, workloads, Preset::Default).unwrap()
}

#[test]
fn bid_prices_leave_a_scarce_provider_to_those_who_have_no_other() {
    let env = scarce();
    let on_shared = |rule| {
        let mut jobs = [0, 0];
        steps(&env, rule, 3, |report| {
            for decided in &report.decisions {
                let routed = decided.resolution.routed();
                jobs[decided.request.tenant] += u64::from(routed.is_some_and(|r| r.provider == 0));
            }
        });
        jobs
    };
    let [flexible, bound] = on_shared(Rule::BidPrice);
    assert!(bound > 3 * flexible, "{flexible} {bound}");
    let [flexible, bound] = on_shared(Rule::Cheapest);
    assert!(5 * flexible > 4 * bound, "{flexible} {bound}");
    assert!(mean_reward(&env, Rule::BidPrice, 0..3) > mean_reward(&env, Rule::GreedyReward, 0..3) + 2.0);
}

#[test]
fn defer_large_sets_the_longest_jobs_aside_and_no_more_than_may_wait() {
    let env = Environment::built_in(Preset::Contended).with_steps(10);
    let (mut deferred, mut longest) = (0, 0);
    steps(&env, Rule::DeferLarge, 5, |report| {
        let waited = |d: &&policy::DecidedRequest| d.resolution.deferred;
        let shortest =
            report.decisions.iter().filter(waited).map(|d| d.request.hours).fold(f64::INFINITY, f64::min);
        let count = report.decisions.iter().filter(waited).count();
        assert!(count <= MAX_WAITING && shortest >= 3.0);
        deferred += count;
        let mut hours: Vec<f64> = report.decisions.iter().map(|d| d.request.hours).collect();
        hours.sort_by(f64::total_cmp);
        let threshold = hours[hours.len() - MAX_WAITING];
        let of_longest = |d: &&policy::DecidedRequest| d.request.hours >= threshold;
        longest += report.decisions.iter().filter(waited).filter(of_longest).count();
    });
    // the ten longest are not known beforehand, but most of them are found
    assert!(deferred > 90 && longest > deferred * 6 / 10, "{longest} of {deferred}");
}

#[test]
fn reserve_refuses_long_jobs_rather_than_short_ones() {
    let env = Environment::built_in(Preset::Overloaded).with_steps(20);
    let (mut refused, mut all) = ((0.0, 0.0), (0.0, 0.0));
    steps(&env, Rule::Reserve, 5, |report| {
        for decided in &report.decisions {
            let hours = decided.request.hours;
            all = (all.0 + hours, all.1 + 1.0);
            if decided.resolution.fate == Fate::Held {
                refused = (refused.0 + hours, refused.1 + 1.0);
            }
        }
    });
    assert!(refused.1 > 50.0 && refused.0 / refused.1 > 2.0 * all.0 / all.1, "{refused:?} {all:?}");
}

#[test]
fn where_nothing_may_be_held_or_deferred_the_rules_route_whatever_can_be_routed() {
    let env = Environment::built_in(Preset::Default).with_steps(30);
    for rule in [Rule::Reserve, Rule::DeferLarge, Rule::BidPrice] {
        steps(&env, rule, 5, |report| {
            for decided in &report.decisions {
                let fate = decided.resolution.fate;
                assert!(matches!(fate, Fate::Routed(_) | Fate::NoViableProvider), "{rule}: {fate:?}");
            }
        });
    }
}

#[test]
fn a_rule_that_plays_an_episode_again_does_the_same_whatever_it_played_before() {
    let env = Environment::built_in(Preset::Contended).with_steps(3);
    for rule in Rule::ALL {
        let mut swarm = Swarm::of_rule(rule, &env);
        let mut play = |seed| {
            let mut episode = Episode::new(&env, seed, REWARD);
            let mut report = StepReport::new(&env);
            let mut decisions = Vec::new();
            swarm.begin_episode(seed);
            while swarm.run_step(&mut episode, REWARD, &mut report) {
                decisions.extend(report.decisions.clone());
            }
            swarm.end_episode();
            decisions
        };
        let first = play(7);
        play(8);
        assert_eq!(play(7), first, "{rule}");
    }
}

/// The prototype's gains over the baseline on 20 seeds that are not known: the best rule without prices had
/// 1.566, 3.484 and 1.474, bid prices 1.602, 4.042 and 1.520. Four seeds here, so the tolerance is wide.
#[test]
fn the_rules_gain_on_every_preset_about_what_the_prototype_measured() {
    for (preset, rule, gain, tolerance) in [
        (Preset::Contended, Rule::DeferLarge, 1.57, 0.35),
        (Preset::Contended, Rule::Reserve, 1.57, 0.35),
        (Preset::Contended, Rule::BidPrice, 1.60, 0.35),
        (Preset::Overloaded, Rule::Reserve, 3.48, 0.6),
        (Preset::Overloaded, Rule::BidPrice, 4.04, 0.6),
        (Preset::Congested, Rule::DeferLarge, 1.47, 0.6),
        (Preset::Congested, Rule::BidPrice, 1.52, 0.6),
    ] {
        let env = Environment::built_in(preset);
        let seeds = 1 << 32..(1 << 32) + 4;
        let found = mean_reward(&env, rule, seeds.clone()) - mean_reward(&env, Rule::BASELINE, seeds);
        assert!((found - gain).abs() < tolerance, "{preset} {rule}: found {found}, expected {gain}");
    }
}

#[test]
fn where_nothing_is_hidden_being_told_the_truth_changes_nothing() {
    let env = Environment::built_in(Preset::Contended).with_steps(3);
    let decisions = |rule| {
        let mut decisions = Vec::new();
        steps(&env, rule, 5, |report| decisions.extend(report.decisions.clone()));
        decisions
    };
    assert_eq!(decisions(Rule::BidPriceInformed), decisions(Rule::BidPrice));
}

fn earned(env: &Environment, rule: Rule) -> f64 {
    crate::support::play(&mut Swarm::of_rule(rule, env), env, 1000..1004).overall.avg_reward().unwrap()
}

#[test]
fn where_demand_drifts_it_pays_to_count_and_where_the_catalog_tells_it_to_believe_the_catalog() {
    let drifting = Environment::built_in(Preset::Drifting);
    let (trusting, counting) = (earned(&drifting, Rule::BidPrice), earned(&drifting, Rule::BidPriceCounting));
    assert!(counting > trusting + 0.1, "{trusting} {counting}");
    let informed = earned(&drifting, Rule::BidPriceInformed);
    assert!(informed > counting + 0.05, "{counting} {informed}");
}

#[test]
fn a_rule_that_was_tuned_on_training_seeds_is_as_good_as_the_better_one_of_those_it_was_made_of() {
    for preset in [Preset::Drifting, Preset::Contended] {
        let env = Environment::built_in(preset).with_steps(40);
        let [trusting, counting, tuned] =
            [Rule::BidPrice, Rule::BidPriceCounting, Rule::BidPriceTuned].map(|rule| earned(&env, rule));
        assert!(tuned > trusting.max(counting) - 0.05, "{preset}: {trusting} {counting} {tuned}");
    }
}

#[test]
fn whoever_is_told_how_often_jobs_fail_does_better_where_they_fail_often() {
    let env = Environment::built_in(Preset::Unreliable);
    let (counting, informed) = (earned(&env, Rule::BidPriceCounting), earned(&env, Rule::BidPriceInformed));
    assert!(informed > counting + 0.2, "{counting} {informed}");
}
