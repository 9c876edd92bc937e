use federation::{Claim, Exclusion, Fold, Kind, Law, LearnersLaw, Reason, Replica, Standing, TwinsLaw};
use policy::{Knowledge, StepReport, Swarm, SwarmConfig};
use rand::SeedableRng as _;
use rand_pcg::Pcg64Mcg;
use routing_env::{Environment, Episode, Preset, Reward};
use serde_json::json;

use crate::support::{author, cem, knowledge, no_cem, proof, sealed, stream};

fn replica(of: impl IntoIterator<Item = (u8, Knowledge)>) -> Replica {
    let mut replica = Replica::new(author(0));
    for (n, knowledge) in of {
        replica.publish(sealed(&author(n), 1, 1, knowledge), proof(&author(n)));
    }
    replica
}

fn some(n: u8) -> Knowledge {
    cem(1 + u64::from(n), &mut Pcg64Mcg::seed_from_u64(n.into()))
}

fn without(replica: &Replica, excluded: &[u8]) -> Fold {
    let exclude = |n: &u8| Exclusion { author: author(*n), from_sequence: 0, reason: "by hand".into() };
    let exclusions: Vec<Exclusion> = excluded.iter().map(exclude).collect();
    replica.fold(stream(), &exclusions, &LearnersLaw, &no_cem()).unwrap()
}

#[test]
fn whoever_is_left_out_leaves_the_bytes_of_a_map_that_never_had_it() {
    for out in 0..6 {
        let undone = without(&replica((0..6).map(|n| (n, some(n)))), &[out]);
        let never = without(&replica((0..6).filter(|n| *n != out).map(|n| (n, some(n)))), &[]);
        assert_eq!(undone.sha256, never.sha256);
        assert_eq!(undone.knowledge, never.knowledge);
        assert_eq!(undone.heeded, never.heeded);
        let reason = Reason::Excluded { from_sequence: 0, why: "by hand".into() };
        assert_eq!(undone.left_out.iter().map(|out| &out.reason).collect::<Vec<_>>(), [&reason]);
    }
}

#[test]
fn what_the_others_have_seen_and_ones_own_are_what_all_have_seen() {
    let all = replica((0..6).map(|n| (n, some(n))));
    let others = all.fold_of_others(stream(), &[], &LearnersLaw, &no_cem()).unwrap();
    let never = without(&replica((1..6).map(|n| (n, some(n)))), &[]);
    assert_eq!((others.sha256, others.heeded, others.left_out), (never.sha256, never.heeded, Vec::new()));
}

#[test]
fn an_exclusion_begins_with_its_number() {
    let replica = replica([(0, some(0)), (1, some(1))]);
    let later = Exclusion { author: author(1), from_sequence: 2, reason: String::new() };
    let fold = replica.fold(stream(), &[later], &LearnersLaw, &no_cem()).unwrap();
    assert_eq!(fold, without(&replica, &[]));
}

#[test]
fn the_order_of_arrival_would_give_other_bytes_and_is_not_what_is_folded_by() {
    let fold = |order: &[u8]| without(&replica(order.iter().map(|n| (*n, some(*n)))), &[]).sha256;
    assert_eq!(fold(&[0, 1, 2, 3, 4]), fold(&[4, 2, 0, 3, 1]));
    let sum = |order: &[u8]| {
        let mut all = no_cem();
        order.iter().for_each(|n| all.merge(&some(*n)).unwrap());
        all
    };
    assert_ne!(sum(&[0, 1, 2, 3, 4]), sum(&[4, 2, 0, 3, 1]));
}

#[test]
fn who_sends_what_does_not_belong_there_spoils_nothing() {
    let good = without(&replica((1..5).map(|n| (n, some(n)))), &[]);
    let other_weights = json!({"generation": 9, "weights": [{"name": "z", "mean": 1, "spread": 1}]});
    for bad in [
        knowledge("cem", 1, other_weights),
        knowledge("cem", 1, json!("nothing of the kind")),
        knowledge("cem", 99, some(0).learned),
        knowledge("adaptive", 3, json!({})),
        knowledge("nobody's", 1, json!({})),
    ] {
        let fold = without(&replica((1..5).map(|n| (n, some(n))).chain([(0, bad)])), &[]);
        assert_eq!(fold.sha256, good.sha256);
        assert!(matches!(&fold.left_out[0].reason, Reason::Unfit { .. }), "{:?}", fold.left_out);
    }
}

#[test]
fn who_says_two_things_under_one_number_is_left_out_and_both_are_told() {
    let mut replica = replica((0..3).map(|n| (n, some(n))));
    let never = without(&self::replica([(0, some(0)), (2, some(2))]), &[]);
    replica.publish(sealed(&author(1), 1, 1, some(9)), proof(&author(1)));
    let fold = without(&replica, &[]);
    assert_eq!(fold.sha256, never.sha256);
    let Reason::Withheld { standing: Standing::Equivocated { heads } } = &fold.left_out[0].reason else {
        panic!("{:?}", fold.left_out)
    };
    assert!(heads.iter().all(|head| replica.held(head.artifact).is_some()), "both can be shown to anybody");
}

#[test]
fn nothing_from_nobody_is_what_has_seen_nothing() {
    assert_eq!(without(&replica([]), &[]).knowledge, no_cem());
}

/// What `adaptive` has learned after some episodes of `drifting`.
fn adaptive(seed: u64, episodes: u64) -> Knowledge {
    let env = Environment::built_in(Preset::Drifting).with_steps(12);
    let config = SwarmConfig::new("adaptive", &json!({}), 1).unwrap();
    let mut swarm = Swarm::new(config, &env).unwrap();
    let mut report = StepReport::new(&env);
    for seed in (0..episodes).map(|episode| seed + episode) {
        let mut episode = Episode::new(&env, seed, Reward::EXCESS_COST);
        swarm.begin_episode(seed);
        while swarm.run_step(&mut episode, Reward::EXCESS_COST, &mut report) {}
        swarm.end_episode();
    }
    swarm.knowledge().remove(0)
}

#[test]
fn a_liar_among_learners_is_left_out_with_the_figures_and_changes_nothing() {
    let nothing = adaptive(0, 0);
    let honest: Vec<(u8, Knowledge)> = (1..7).map(|n| (n, adaptive(100 * u64::from(n), 2))).collect();
    let fold = |of: Vec<(u8, Knowledge)>| replica(of).fold(stream(), &[], &LearnersLaw, &nothing).unwrap();
    let good = fold(honest.clone());
    assert_eq!(good.left_out, []);
    let mut lie = adaptive(700, 2);
    let claims = LearnersLaw.claims(&lie).unwrap();
    assert_eq!(LearnersLaw.with_claims(&lie, &claims).unwrap(), lie, "claims are written as they were read");
    let told = |claim: Claim| match claim.kind {
        Kind::Share => Claim { count: 1000.0 + claim.count, mean: 1.0, ..claim },
        _ => claim,
    };
    lie = LearnersLaw.with_claims(&lie, &claims.into_iter().map(told).collect::<Vec<_>>()).unwrap();
    let lied_to = fold(honest.into_iter().chain([(0, lie)]).collect());
    assert_eq!(lied_to.sha256, good.sha256);
    let Reason::Unlikely { claims } = &lied_to.left_out[0].reason else { panic!("{:?}", lied_to.left_out) };
    assert!(claims.iter().any(|figure| figure.mean == 1.0 && figure.deviations > 5.0), "{claims:?}");
}

#[test]
fn figures_that_nobody_can_have_seen_are_unfit() {
    let nothing = adaptive(0, 0);
    for (pointer, figure) in [
        ("/facts/failures/0", json!([-1, 0])),
        ("/facts/failures/0", json!([10, 11])),
        ("/facts/failures/0", json!([0, 1])),
        ("/facts/latencies/0", json!([1e20, 1e20])),
        ("/facts/latencies/0", json!([3, -1])),
    ] {
        let mut known = nothing.clone();
        *known.learned.pointer_mut(pointer).unwrap() = figure.clone();
        let fold = replica([(1, known)]).fold(stream(), &[], &LearnersLaw, &nothing).unwrap();
        assert!(matches!(&fold.left_out[0].reason, Reason::Unfit { .. }), "{pointer} {figure}");
        assert_eq!(fold.knowledge, nothing);
    }
}

/// Found by a fuzzer: a table of q-learning with a state that the catalog does not have.
#[test]
fn whose_evidence_cannot_be_acted_on_is_left_out_alone() {
    let env = Environment::built_in(Preset::Contended).with_steps(10);
    let new = || Swarm::new(SwarmConfig::new("q-learning", &json!({}), 1).unwrap(), &env).unwrap();
    let seen = |seed| {
        let mut swarm = new();
        swarm.play(&env, seed, Reward::EXCESS_COST);
        swarm.gathered().unwrap()
    };
    let (good, mut bad) = (seen(1), seen(2));
    bad.learned["cells"][0][0][0] = json!(200);
    let mut twin = new();
    let nothing = twin.gathered().unwrap();
    let fold =
        |of: Vec<(u8, Knowledge)>| replica(of).fold(stream(), &[], &TwinsLaw(&twin), &nothing).unwrap();
    let told = fold(vec![(1, good.clone()), (2, bad)]);
    assert_eq!(told.sha256, fold(vec![(1, good)]).sha256, "the other one is heeded as ever");
    let [out] = told.left_out.as_slice() else { panic!("{:?}", told.left_out) };
    assert_eq!(out.author, author(2));
    assert!(matches!(&out.reason, Reason::Unfit { what } if what.contains("GPU types")), "{:?}", out.reason);
    assert_eq!(twin.heed(Some(&told.knowledge)), Ok(()));
}
