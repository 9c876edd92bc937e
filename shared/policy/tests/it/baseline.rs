//! The rules on the presets, against figures that an independent prototype measured.

use policy::{Rule, StepReport, Swarm};
use routing_env::{Environment, Episode, Metrics, Preset, Reward};

/// The prototype's seeds are not known; these are as many, and the tolerances allow for both samples.
const TEST_SEEDS: std::ops::Range<u64> = 1 << 32..(1 << 32) + 20;

fn play(preset: Preset, rule: Rule, seeds: std::ops::Range<u64>) -> Metrics {
    let env = Environment::built_in(preset);
    let mut swarm = Swarm::of_rule(rule, &env);
    let mut report = StepReport::new(&env);
    let mut total = Metrics::new(&env);
    for seed in seeds {
        let mut episode = Episode::new(&env, seed, Reward::EXCESS_COST);
        swarm.begin_episode(seed);
        while swarm.run_step(&mut episode, Reward::EXCESS_COST, &mut report) {
            total.merge(&report.metrics);
        }
        swarm.end_episode();
    }
    total
}

fn assert_near(what: &str, found: Option<f64>, expected: f64, tolerance: f64) {
    let found = found.unwrap();
    assert!(
        (found - expected).abs() <= tolerance,
        "{what}: expected {expected} ± {tolerance}, found {found}"
    );
}

/// Fill, $ per request, latency of the prototype's baseline over 20 seeds.
#[test]
fn the_baseline_does_on_every_preset_what_the_prototype_measured() {
    for (preset, fill, cost, latency) in [
        (Preset::Default, 0.996, 3.37, 320.0),
        (Preset::Contended, 0.950, 3.09, 327.0),
        (Preset::Overloaded, 0.874, 2.73, 328.0),
        (Preset::Congested, 0.952, 3.89, 319.0),
    ] {
        let metrics = play(preset, Rule::WeightedScore, TEST_SEEDS);
        let overall = &metrics.overall;
        assert_near(&format!("{preset} fill"), overall.fill_rate(), fill, 0.015);
        assert_near(&format!("{preset} cost"), overall.avg_cost_usd(), cost, 0.1);
        assert_near(&format!("{preset} latency"), overall.avg_latency_ms(), latency, 5.0);
    }
}

#[test]
fn on_contended_an_episode_has_about_34_300_requests_and_the_baseline_serves_89_percent_of_the_hours() {
    let metrics = play(Preset::Contended, Rule::WeightedScore, TEST_SEEDS);
    assert_near("requests", Some(metrics.overall.requests as f64 / 20.0), 34_300.0, 200.0);
    assert_near("GPU-hours", metrics.overall.gpu_hours_fill(), 0.889, 0.01);
}

#[test]
fn the_rules_rank_on_contended_as_the_prototype_ranked_them() {
    let reward = |rule| play(Preset::Contended, rule, TEST_SEEDS).overall.avg_reward().unwrap();
    let baseline = reward(Rule::WeightedScore);
    assert_near("cheapest", Some(reward(Rule::Cheapest) - baseline), 0.23, 0.1);
    assert_near("fastest", Some(reward(Rule::Fastest) - baseline), -0.32, 0.25);
    assert_near("random", Some(reward(Rule::Random) - baseline), -0.60, 0.12);
}
