use super::*;
use crate::{
    figures::Estimates,
    origin::{Learned, Provenance, Training},
    report::{Comparison, Fairness, Versus},
    statistics::{Estimate, Interval},
};

fn estimate(mean: f64, half: f64) -> Option<Estimate> {
    let (low, high) = (mean - half, mean + half);
    Some(Estimate { mean, low, high, iqm: mean, std_dev: None, training_std_dev: None })
}

/// A policy that earns so much more than a baseline of 40.
fn policy(name: &str, origin: Origin, gain: f64, half: f64) -> PolicyReport {
    let metrics = |figure: Figure| match figure {
        Figure::Reward => estimate(40.0 + gain, half),
        Figure::AvgLatencyMs => estimate(316.4, 1.0),
        figure if figure.is_share() => estimate(0.95, 0.001),
        _ => estimate(2.0, 0.01),
    };
    let versus = |figure: Figure| match figure {
        Figure::Reward => estimate(gain, half),
        Figure::FillRate => estimate(0.028, 0.001),
        Figure::GpuHoursFill => estimate(0.001, 0.002),
        Figure::FillFrom6h => estimate(-0.121, 0.01),
        Figure::DeferredShare => estimate(0.025, 0.001),
        Figure::CostPerGpuHourUsd => estimate(-0.07, 0.01),
        _ => estimate(0.0, 0.5),
    };
    PolicyReport {
        name: name.into(),
        metrics: Estimates::of(metrics),
        versus_baseline: Estimates::of(versus),
        versus_best_rule: Estimates::of(versus),
        versus_untrained: None,
        gap_closed: Some(Interval { mean: 0.952, low: 0.948, high: 0.956 }),
        informed_gap_closed: None,
        probability_of_improvement: None,
        fairness: Fairness { by_tenant: vec![], by_size: vec![] },
        reward_by_seed: vec![],
        gain_over_time: vec![],
        reward_on_limit_steps: None,
        origin,
    }
}

fn learned(trained_episodes: u32, trainings: u8) -> Origin {
    let training = |byte: u8| Training {
        artifact: [byte; 32],
        first_seed: 1,
        provenance: Provenance::Recorded { run: [1; 32] },
    };
    Origin::Learned(Learned { trained_episodes, trainings: (0..trainings).map(training).collect() })
}

fn report(mut policies: Vec<PolicyReport>, holds: bool) -> Report {
    policies[0].versus_untrained = Some(Estimates::of(|_| estimate(0.003, 0.004)));
    let comparison = |(other, versus)| Comparison {
        policy: 0,
        other,
        versus,
        p_value: if holds { 0.001 } else { 0.5 },
        holds,
    };
    Report {
        environment_digest: [0; 32],
        environment: "contended".into(),
        steps: 120,
        seeds: (0..20).collect(),
        final_opening: None,
        comparisons: [(1, Versus::Untrained), (3, Versus::Baseline), (2, Versus::BestRule)]
            .map(comparison)
            .into(),
        best_rule: "bid-price-tuned".into(),
        limit: None,
        constraints: vec![],
        verdicts: vec![],
        policies,
    }
}

fn four(gain: f64, half: f64) -> Vec<PolicyReport> {
    vec![
        policy("adaptive", learned(20, 3), gain, half),
        policy("adaptive", learned(0, 0), gain - 0.1, half),
        policy("bid-price-tuned", Origin::Rule, gain - 0.2, half),
        policy("weighted-score", Origin::Rule, 0.0, 0.0),
    ]
}

#[test]
fn a_person_reads_who_wins_how_certainly_what_changes_and_who_pays() {
    let told = brief(&report(four(1.56, 0.05), true));
    let expected = [
        "adaptive on contended: 20 held-out episodes, 3 trainings",
        "",
        "  against your rule, weighted-score       BETTER  reward +3.9 %",
        "        (certain: +1.56, 95 % +1.51 to +1.61)",
        "  against the best rule, bid-price-tuned  BETTER  reward +3.8 %",
        "        (certain: +1.56, 95 % +1.51 to +1.61)",
        "  of all that is possible                 95 %",
        "        (the way from your rule to the physical limit, 95 % 94.8 to 95.6)",
        "  training                                EVEN    reward +0.01 %",
        "        (not certain: +0.003, 95 % -0.001 to +0.007, over the same untrained)",
        "",
        "  what changes               your rule      adaptive       change",
        "    requests served             95.0 %        95.0 %  +2.8 points",
        "    GPU-hours served            95.0 %        95.0 %  +0.1 points (not certain)",
        "    $ per GPU-hour               2.000         2.000       -3.5 %",
        "    latency                     316 ms        316 ms       +0.0 % (not certain)",
        "  who pays for it",
        "    jobs of 6+ GPU-hours        95.0 %        95.0 % -12.1 points  !",
        "    requests that wait          95.0 %        95.0 %  +2.5 points",
        "",
        "  rank  policy               reward vs yours   served  $/GPU-h    ms",
        "     1  adaptive              41.56    +1.56   95.0 %    2.000   316  <- learned",
        "     2  never trained         41.46    +1.46   95.0 %    2.000   316",
        "     3  bid-price-tuned       41.36    +1.36   95.0 %    2.000   316",
        "     4  weighted-score        40.00    +0.00   95.0 %    2.000   316  <- yours",
    ];
    assert_eq!(told, expected.join("\n"));
}

#[test]
fn nothing_is_called_better_that_the_interval_or_the_number_of_comparisons_does_not_carry() {
    let told = |gain, half, holds| brief(&report(four(gain, half), holds));
    assert!(told(-1.0, 0.1, true).contains("weighted-score       WORSE   reward -2.5 %"));
    let undecided = told(0.02, 0.1, true);
    assert!(undecided.contains("weighted-score       EVEN    reward +0.05 %"), "{undecided}");
    assert!(undecided.contains("(not certain: +0.020, 95 % -0.080 to +0.12)"), "{undecided}");
    let chance = told(1.0, 0.1, false);
    assert!(chance.contains("(may be chance: +1.00, 95 % +0.90 to +1.10)"), "{chance}");
    assert!(chance.contains("weighted-score       AHEAD   reward +2.5 %"), "{chance}");
    assert!(told(-1.0, 0.1, false).contains("weighted-score       BEHIND  reward -2.5 %"));
    for uncertain in [told(1.0, 0.1, false), told(-1.0, 0.1, false)] {
        let claims = ["BETTER", "WORSE", "ADDS", "HARMS"].map(|word| uncertain.contains(word));
        assert_eq!(claims, [false; 4], "{uncertain}");
    }
}

#[test]
fn no_line_is_wider_than_the_terminal_that_everybody_has() {
    let mut policies = four(-123.456, 99.0);
    for name in ["a-program-whose-name-has-no-end-in-sight-at-all", "another-such-program-of-the-same-person"]
    {
        policies.push(policy(name, Origin::Command { programs: 12 }, -60.0, 99.0));
    }
    let report = Report { final_opening: Some(2), ..report(policies, true) };
    let told = brief(&report);
    let wide: Vec<&str> = told.lines().filter(|line| line.chars().count() > WIDTH).collect();
    assert!(wide.is_empty(), "{wide:#?}");
    assert!(told.contains("opened for the 2nd"), "{told}");
}

#[test]
fn of_many_policies_the_first_the_learned_one_and_the_two_rules_are_ranked() {
    let mut policies = four(-1.0, 0.1);
    policies[2].name = "reserve".into();
    policies.extend((0..8).map(|i| policy(&format!("rule-{i}"), Origin::Rule, f64::from(i), 0.1)));
    let told = brief(&Report { best_rule: "rule-7".into(), ..report(policies, true) });
    let ranks: Vec<&str> = told
        .lines()
        .skip_while(|line| !line.starts_with("  rank"))
        .skip(1)
        .map(|line| line.get(..24).unwrap_or(line).trim())
        .collect();
    let expected = ["1  rule-7", "2  rule-6", "3  rule-5", "4  rule-4", "5  rule-3", "…", "8  rule-0"];
    // rule-0 earns what the baseline does, which stands behind it
    assert_eq!(ranks[..6], expected[..6], "{told}");
    assert!(told.contains("  <- learned") && told.contains("  <- yours"), "{told}");
}

#[test]
fn a_page_begins_with_who_wins() {
    assert_eq!(
        headline(&report(four(1.56, 0.05), true)).unwrap(),
        "adaptive is better than your rule, weighted-score (reward +3.9 %) and is better than the best hand rule, \
         bid-price-tuned (reward +3.8 %); it goes 95 % of the way from your rule to the physical limit. Who pays for it: \
         jobs of 6+ GPU-hours (-12.1 points), requests that wait (+2.5 points)."
    );
    let chance = headline(&report(four(1.56, 0.05), false)).unwrap();
    assert!(
        chance.starts_with(
            "adaptive is ahead of your rule, weighted-score (reward +3.9 %, which may be chance)"
        )
    );
    let alone = report(four(0.0, 0.1), true);
    assert!(headline(&alone).unwrap().contains("shows no difference to your rule"));
}

#[test]
fn without_learned_policies_the_best_rule_is_told_of() {
    let policies = vec![
        policy("bid-price-tuned", Origin::Rule, 1.0, 0.1),
        policy("weighted-score", Origin::Rule, 0.0, 0.0),
    ];
    let comparisons =
        vec![Comparison { policy: 0, other: 1, versus: Versus::Baseline, p_value: 0.001, holds: true }];
    let mut policies = policies;
    policies[0].versus_untrained = None;
    let told = brief(&Report { comparisons, policies, ..report(four(0.0, 0.1), true) });
    assert!(told.starts_with("bid-price-tuned on contended: 20 held-out episodes\n"), "{told}");
    assert!(told.contains("against your rule, weighted-score  BETTER"), "{told}");
    assert!(!told.contains("training"), "{told}");
}
