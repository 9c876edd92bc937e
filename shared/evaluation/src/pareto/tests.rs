use std::sync::Arc;

use policy::{Swarm, SwarmConfig};
use routing_env::{ExcessCost, Preset};
use serde_json::json;

use super::*;
use crate::{
    origin::{Learned, Provenance, Training},
    plan::Kind,
};

const FIRST_SEED: u64 = 1 << 32;

fn plan(steps: u32, rules: &[Rule]) -> Plan {
    let environment = Environment::built_in(Preset::Contended).with_steps(steps);
    let preferences = grid(&environment).into_iter().step_by(9).collect();
    Plan {
        constraints: vec![],
        kind: Kind::Fronts(preferences),
        environment_digest: [0; 32],
        policies: Vec::new(),
        rules: rules.into(),
        seeds: vec![FIRST_SEED, FIRST_SEED + 1],
        sample: Some(Sample::all(&environment)),
        final_opening: None,
        environment: Arc::new(environment),
    }
}

fn found(plan: &Plan, learned: &[Contestant], progress: &Progress) -> Result<Fronts, FrontsError> {
    fronts(plan, plan.kind.preferences(), learned, progress).unwrap()
}

fn trained(algorithm: &str, artifact: u8, plan: &Plan) -> Contestant {
    let config = SwarmConfig::new(algorithm, &json!({}), 2).unwrap();
    let mut swarm = Swarm::new(config, &plan.environment).unwrap();
    swarm.play(&plan.environment, 1, Reward::EXCESS_COST);
    let training = Training { artifact: [artifact; 32], first_seed: 1, provenance: Provenance::Unverified };
    Contestant::of_trainings(1, vec![(training, swarm)])
}

#[test]
fn a_mean_request_is_worth_the_same_to_everybody_in_the_grid() {
    let env = Environment::built_in(Preset::Contended);
    let grid = grid(&env);
    assert_eq!(grid.len(), 27);
    assert!(grid.iter().all(|wanted| (wanted.scale(&env) - 1.0).abs() < 1e-12));
    let mean = Outcome {
        served: 1.0,
        gpu_hours: env.mean_gpu_hours(),
        excess_cost: ExcessCost::of_bill(0.0, 0.0),
        latency_ms: 0.0,
    };
    assert!(grid.iter().all(|wanted| (wanted.reward(&mean) - 50.0).abs() < 1e-9));
}

#[test]
fn whoever_heeds_what_is_wanted_covers_more_of_what_is_possible_than_who_does_not() {
    let plan = plan(8, &[Rule::WeightedScore, Rule::BidPrice]);
    let found = found(&plan, &[], &Progress::default()).unwrap();
    let [baseline, heeding] = &found.policies[..] else { panic!() };
    assert!(baseline.points.iter().all(|point| point.gap_closed.unwrap().mean == 0.0));
    assert!(heeding.least_gap_closed().unwrap() > 0.4, "{heeding:?}");
    assert!(
        heeding.coverage.hypervolume > baseline.coverage.hypervolume && heeding.coverage.hypervolume < 1.0
    );
    assert!(found.rules.hypervolume >= heeding.coverage.hypervolume);
    assert!(found.limit_coverage.expected_utility > heeding.coverage.expected_utility);
    assert_eq!(found.limit_coverage.hypervolume, 1.0);
    assert!(found.verdicts[0].starts_with("bid-price goes "), "{:?}", found.verdicts);
}

/// What a figure says of a mean request, its outcome says in other words.
#[test]
fn the_figures_of_a_point_are_those_of_its_outcome() {
    let plan = plan(4, &[Rule::WeightedScore, Rule::BidPrice]);
    let found = found(&plan, &[], &Progress::default()).unwrap();
    let close = |a: f64, b: f64| (a - b).abs() < 1e-6 * b.abs();
    for (i, limit) in found.limit.iter().enumerate() {
        let own = &found.policies[1].points[i];
        for point in [own, limit] {
            let Outcome { served, gpu_hours, latency_ms, .. } = point.outcome;
            assert!(close(point.fill_rate.unwrap(), served));
            assert!(close(point.avg_latency_ms.unwrap(), latency_ms / served));
            assert!(close(point.reward, point.wanted.reward(&point.outcome)));
            // the same hours were requested of both
            let requested = gpu_hours / point.gpu_hours_fill.unwrap();
            assert!(close(requested, own.outcome.gpu_hours / own.gpu_hours_fill.unwrap()));
            // what is paid is the list price, which no GPU type has below 0.5 $/h, and what is paid beyond it
            let paid = point.cost_per_gpu_hour_usd.unwrap() * gpu_hours;
            assert!(paid > point.outcome.excess_cost.usd() + 0.5 * gpu_hours, "{point:?}");
        }
        assert!(limit.reward > own.reward && limit.gpu_hours_fill_by_size.is_none());
    }
}

#[test]
fn a_policy_and_its_never_trained_twin_are_asked_under_every_preference() {
    let plan = plan(3, &[Rule::WeightedScore]);
    let learned = vec![trained("cem", 7, &plan)];
    let learned =
        crate::episodes::with_never_trained(learned, &plan.environment, plan.kind.first_preference())
            .unwrap();
    let progress = Progress::default();
    let found = found(&plan, &learned, &progress).unwrap();
    let names: Vec<&str> = found.policies.iter().map(|front| front.name.as_str()).collect();
    assert_eq!(names, ["weighted-score", "cem", "cem, never trained"]);
    assert!(matches!(&found.policies[1].origin, Origin::Learned(Learned { trained_episodes: 1, .. })));
    // 3 policies, 2 seeds, 3 preferences; 3 steps of the limit in each episode
    assert_eq!((progress.episodes(), progress.expected()), (18, 18));
    assert_eq!((progress.limit_steps(), plan.limit_steps()), (18, 18));
    let wanted: Vec<Preference> = found.policies[1].points.iter().map(|point| point.wanted).collect();
    assert_eq!(wanted, plan.kind.preferences());
    // it is asked anew under each, as if it had been asked under that one alone
    let alone = learned[0].preferring(wanted[2], &plan.environment).unwrap();
    let played = play(
        &plan.environment,
        Reward::Preference(wanted[2]),
        &[alone],
        &plan.seeds,
        None,
        &Progress::default(),
    );
    let sums = sums(&plan.environment, &played.unwrap()[0]);
    assert_eq!(
        Point { gap_closed: None, ..found.policies[1].points[2].clone() },
        Point::of_metrics(wanted[2], &sums)
    );
}

#[test]
fn policies_of_one_name_are_told_apart() {
    let plan = plan(1, &[Rule::WeightedScore]);
    let learned = [trained("cem", 7, &plan), trained("cem", 8, &plan)];
    let names: Vec<String> = participants(&plan, &learned).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["weighted-score", "cem (07070707)", "cem (08080808)"]);
}

#[test]
fn who_decides_for_one_preference_alone_has_no_front() {
    let plan = plan(1, &[Rule::WeightedScore]);
    let learned = [trained("q-learning", 7, &plan)];
    let error = found(&plan, &learned, &Progress::default()).unwrap_err();
    assert!(matches!(&error, FrontsError::Policy(name) if name == "q-learning"), "{error}");
}

#[test]
fn fronts_that_are_cancelled_are_none() {
    let plan = plan(1, &[Rule::WeightedScore]);
    let cancelled = Progress::default();
    cancelled.cancel();
    assert!(fronts(&plan, plan.kind.preferences(), &[], &cancelled).is_none());
}
