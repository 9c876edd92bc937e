use std::collections::BTreeMap;

use federation::{Exclusion, KEPT_STEPS, Law, Reason, Replica, StepsLaw, Verdict, Window, judge};
use policy::{Knowledge, StepEvidence};
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand_distr::{Binomial, Distribution as _, Gamma};
use rand_pcg::Pcg64Mcg;
use serde_json::json;

use crate::{
    sites::{Guard, Lie, World},
    support::{author, authors, proof, sealed, stream},
};

const PROVIDERS: usize = 3;

fn law(last: u64) -> StepsLaw {
    StepsLaw { providers: PROVIDERS, last }
}

/// What a node has seen in so many steps.
fn window(steps: u64, rng: &mut Pcg64Mcg) -> Window {
    let mut window = Window::default();
    for step in 0..steps {
        let mut seen = StepEvidence::nothing(PROVIDERS);
        for provider in 0..PROVIDERS {
            let tries = rng.random_range(0..12_u64);
            let failed = Binomial::new(tries, 0.1).unwrap().sample(rng);
            seen.failures[provider] = (tries as f64, failed as f64);
            let jobs = tries - failed;
            seen.latencies[provider] = (jobs as f64, (0..jobs).map(|_| rng.random_range(0.8..1.3)).sum());
        }
        window.push(step, seen).unwrap();
    }
    window
}

fn some(n: u8, steps: u64) -> Knowledge {
    window(steps, &mut Pcg64Mcg::seed_from_u64(n.into())).knowledge()
}

fn replica(of: impl IntoIterator<Item = (u8, u64, Knowledge)>) -> Replica {
    let mut replica = Replica::new(author(0));
    for (n, sequence, told) in of {
        replica.publish(sealed(&author(n), sequence, sequence, told), proof(&author(n)));
    }
    replica
}

fn nothing() -> Knowledge {
    Window::default().knowledge()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn order_and_duplicates_do_not_matter_and_the_latest_window_counts(
        order in Just((0..6_u8).flat_map(|n| (1..4_u64).map(move |step| (n, step))).collect::<Vec<_>>()).prop_shuffle(),
        doubled in prop::collection::vec(0..18_usize, 0..6),
        last in 0..6_u64,
    ) {
        let told = |(n, steps): (u8, u64)| (n, steps, some(n, steps));
        let again: Vec<_> = doubled.iter().map(|at| order[*at]).collect();
        let fold = |of: Vec<(u8, u64)>| {
            replica(of.into_iter().map(told)).fold(stream(), &[], &law(last), &nothing()).unwrap()
        };
        let latest = fold((0..6).map(|n| (n, 3)).collect());
        prop_assert_eq!(fold(order.into_iter().chain(again).collect()), latest);
    }

    #[test]
    fn whoever_is_left_out_leaves_the_bytes_of_those_who_never_had_it(out in 0..6_u8, last in 0..20_u64) {
        let all = |n: u8| (n, 1, some(n, 20));
        let exclusion = Exclusion { author: author(out), from_sequence: 0, reason: "by hand".into() };
        let undone = replica((0..6).map(all)).fold(stream(), &[exclusion], &law(last), &nothing()).unwrap();
        let never = replica((0..6).filter(|n| *n != out).map(all));
        let never = never.fold(stream(), &[], &law(last), &nothing()).unwrap();
        prop_assert_eq!(undone.sha256, never.sha256);
        prop_assert_eq!(undone.knowledge, never.knowledge);
    }

    #[test]
    fn a_window_is_read_as_it_was_told_and_has_its_last_steps(steps in 0..200_u64) {
        let window = window(steps, &mut Pcg64Mcg::seed_from_u64(steps));
        let read = Window::read(&window.knowledge(), PROVIDERS);
        prop_assert_eq!(read.as_ref(), Ok(&window));
        let past = window.past_steps(steps);
        prop_assert_eq!(past.len() as u64, steps.min(KEPT_STEPS));
        prop_assert!(past.iter().all(|past| (1..=KEPT_STEPS).contains(&past.steps_ago.into())));
    }

    #[test]
    fn a_window_that_is_to_claim_something_else_claims_that(seed: u64, times in 0.1..1.0_f64, mean in 0.0..1.0_f64) {
        let window = window(40, &mut Pcg64Mcg::seed_from_u64(seed));
        let mut claims = window.claims(PROVIDERS, 39);
        for claim in claims.iter_mut().filter(|claim| claim.count > 0.0 && claim.mean > 0.0 && claim.mean < 1.0) {
            (claim.count, claim.mean) = (times * claim.count, 0.5 * (claim.mean + mean));
        }
        let changed = window.with_claims(PROVIDERS, 39, &claims).unwrap();
        for (found, expected) in changed.claims(PROVIDERS, 39).iter().zip(&claims) {
            prop_assert!((found.count - expected.count).abs() < 1e-9 * (1.0 + expected.count));
            prop_assert!((found.mean - expected.mean).abs() < 1e-9);
            prop_assert_eq!(found.check(), Ok(()));
        }
    }
}

#[test]
fn what_is_left_as_it_was_keeps_its_bytes() {
    let told = some(1, 40);
    let claims = law(39).claims(&told).unwrap();
    assert_eq!(law(39).with_claims(&told, &claims).unwrap(), told);
}

#[test]
fn what_nobody_can_have_seen_is_refused_with_one_clear_error() {
    let honest = || (1..4).map(|n| (n, 1, some(n, 3)));
    let good = replica(honest()).fold(stream(), &[], &law(2), &nothing()).unwrap();
    let step = |step: u64, failures: serde_json::Value| json!({"step": step, "failures": failures, "latencies": [[0, 0], [0, 0], [0, 0]]});
    let nine = |figure: serde_json::Value| json!([figure, [0, 0], [0, 0]]);
    for (steps, expected) in [
        (json!([step(0, nine(json!([-1, 0])))]), "step 0: failures of provider 0: expected a sum from 0"),
        (json!([step(0, nine(json!([3, 4])))]), "found 4 over 3"),
        (json!([step(0, nine(json!([1e13, 0])))]), "found 0 over 10000000000000"),
        (json!([step(0, nine(json!([null, 0])))]), "invalid type: null"), // what JSON has for NaN
        (json!([step(0, json!([[0, 0]]))]), "expected figures of 3 providers, found 1"),
        (
            json!([step(2, nine(json!([0, 0]))), step(1, nine(json!([0, 0])))]),
            "expected a step after 2, found 1",
        ),
        (
            json!([step(0, nine(json!([0, 0]))), step(500, nine(json!([0, 0])))]),
            "expected 128 steps, found 0 to 500",
        ),
    ] {
        let bad = Knowledge { learned: json!({ "steps": steps }), ..nothing() };
        let fold = replica(honest().chain([(0, 1, bad)])).fold(stream(), &[], &law(2), &nothing()).unwrap();
        assert_eq!(fold.sha256, good.sha256, "{steps}");
        let Reason::Unfit { what } = &fold.left_out[0].reason else { panic!("{:?}", fold.left_out) };
        assert!(what.contains(expected), "{what}");
    }
    let mut window = Window::default();
    for figures in [(f64::NAN, 0.0), (1.0, f64::NAN), (f64::INFINITY, 1.0)] {
        let mut seen = StepEvidence::nothing(PROVIDERS);
        seen.latencies[0] = figures;
        assert!(window.push(0, seen).unwrap_err().starts_with("step 0: latencies of provider 0: "));
    }
    assert_eq!(window, Window::default());
}

/// A clock that is ahead tells of steps that are not over yet.
#[test]
fn what_is_later_than_the_last_step_is_not_heeded_yet() {
    let early =
        replica((1..3).map(|n| (n, 1, some(n, 10)))).fold(stream(), &[], &law(4), &nothing()).unwrap();
    let then = replica((1..3).map(|n| (n, 1, some(n, 5)))).fold(stream(), &[], &law(4), &nothing()).unwrap();
    assert_eq!(early.knowledge, then.knowledge);
}

/// Nodes that try the same providers while failures come and go with heavy tails: by the tolerated hundredth, no more.
#[test]
fn honest_authors_of_a_world_that_changes_are_left_out_at_most_once_in_a_hundred_times() {
    let mut rng = Pcg64Mcg::seed_from_u64(3);
    let (mut judged, mut out) = (0, 0);
    for _ in 0..30 {
        let mut windows: Vec<Window> = vec![Window::default(); 20];
        for step in 0..40 {
            // a few steps in which a provider fails often, in most hardly ever
            let rates: Vec<f64> =
                (0..PROVIDERS).map(|_| Gamma::new(0.5, 0.1_f64).unwrap().sample(&mut rng).min(0.9)).collect();
            for window in &mut windows {
                let mut seen = StepEvidence::nothing(PROVIDERS);
                for (figures, rate) in seen.failures.iter_mut().zip(&rates) {
                    let tries = rng.random_range(0..6_u64);
                    *figures = (tries as f64, Binomial::new(tries, *rate).unwrap().sample(&mut rng) as f64);
                }
                window.push(step, seen).unwrap();
            }
        }
        let claims: BTreeMap<_, _> =
            authors(20).into_iter().zip(windows.iter().map(|window| window.claims(PROVIDERS, 39))).collect();
        judged += 20;
        out += judge(&claims).values().filter(|verdict| matches!(verdict, Verdict::LeftOut(_))).count();
    }
    assert!(100 * out <= judged, "{out} of {judged}");
}

/// What is left of nodes' evidence where one of eight says that all failed in its last steps, and whether it is left out.
fn lied_to_for(steps: u64) -> (Knowledge, bool) {
    let mut liar = Window::default();
    for past in Window::read(&some(0, 108), PROVIDERS).unwrap().past_steps(107) {
        let mut seen = past.evidence;
        if u64::from(past.steps_ago) < steps {
            seen.failures.fill((10.0, 10.0));
        }
        liar.push(107 - u64::from(past.steps_ago), seen).unwrap();
    }
    let all = (1..8).map(|n| (n, 1, some(n, 108))).chain([(0, 1, liar.knowledge())]);
    let fold = replica(all).fold(stream(), &[], &law(107), &nothing()).unwrap();
    let is_out = |out: &federation::LeftOut| {
        assert_eq!(out.author, author(0), "no honest one is left out");
        matches!(out.reason, Reason::Unlikely { .. })
    };
    (fold.knowledge, fold.left_out.iter().any(is_out))
}

#[test]
fn whoever_was_honest_for_long_and_lies_now_moves_little_until_it_is_left_out() {
    let of_last_steps = |told: &Knowledge| law(107).claims(told).unwrap()[..PROVIDERS].to_vec();
    let ((honest, _), (lied_to, is_out)) = (lied_to_for(0), lied_to_for(8));
    assert!(!is_out, "most of what it claims is still true");
    for (honest, lied_to) in of_last_steps(&honest).iter().zip(of_last_steps(&lied_to)) {
        assert!(lied_to.name.ends_with("0 to 7 steps ago"), "{}", lied_to.name);
        let believed = 80.0 / (7.0 / 8.0 * honest.count + 80.0); // where it were taken at its word
        assert!((lied_to.mean - honest.mean).abs() < 0.3 * believed, "{lied_to:?} {honest:?}");
    }
    assert!(lied_to_for(40).1);
}

#[test]
fn in_one_world_nodes_that_tell_each_other_earn_more_than_alone_and_a_liar_takes_little_of_it() {
    let world = World::new(routing_env::Preset::Unreliable, 10, 40);
    let earned = |heard| {
        let played = (1..4).map(|seed| world.sites(seed, heard).reward(1..));
        played.sum::<f64>() / 3.0
    };
    let alone = earned(None);
    let told = earned(Some((1, None, Guard::On)));
    let lied_to = earned(Some((1, Some(Lie::AllFailed), Guard::On)));
    assert!(told > alone, "{told} {alone}");
    assert!(lied_to - alone > 0.75 * (told - alone), "{lied_to} {told} {alone}");
}
