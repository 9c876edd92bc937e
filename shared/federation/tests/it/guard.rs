use std::collections::BTreeMap;

use federation::{Claim, Kind, Verdict, judge};

use crate::{
    liars::{Lie, World, errors},
    support::author,
};

const WORLD: World = World { authors: 20, providers: 10, tries: 60.0, correlation: 0.05 };

#[test]
fn hardly_ever_is_an_honest_author_left_out() {
    for correlation in [0.0, 0.05, 0.1] {
        for (authors, providers) in [(20, 10), (5, 3)] {
            let world = World { authors, providers, correlation, ..WORLD };
            let worlds = 600 / authors as u32;
            let out = errors(world, None, worlds, 7).honest_out;
            assert!(out <= 0.01, "{authors} authors, {providers} providers, {correlation}: {out}");
        }
    }
}

#[test]
fn a_liar_does_no_harm_to_speak_of_and_is_left_out() {
    let honest = errors(WORLD, None, 20, 3);
    for lie in [Lie::AllFailed, Lie::ManyAtThreeTenths] {
        let lied_to = errors(WORLD, Some(lie), 20, 3);
        assert!(lied_to.sum > 2.0 * lied_to.guarded, "{lie:?}: the sum of all is harmed");
        assert!(lied_to.liars_out >= 0.75, "{lie:?}: {} are left out", lied_to.liars_out);
        let kept = (lied_to.alone - lied_to.guarded) / (honest.alone - honest.guarded);
        assert!(kept > 0.75, "{lie:?}: {kept} of the gain is kept");
    }
}

#[test]
fn a_third_of_all_who_lie_modestly_do_not_make_anybody_worse_off_than_alone() {
    for lie in [Lie::TwoDouble, Lie::SixDouble, Lie::SixATenthMore] {
        for correlation in [0.0, 0.05, 0.1] {
            let lied_to = errors(World { correlation, ..WORLD }, Some(lie), 10, 5);
            assert!(lied_to.guarded < 0.7 * lied_to.alone, "{lie:?} {correlation}: {}", lied_to.guarded);
            assert!(lied_to.guarded < lied_to.sum, "{lie:?} {correlation}");
        }
    }
}

fn share(count: f64, mean: f64) -> Vec<Claim> {
    vec![Claim { name: "failures a try".into(), kind: Kind::Share, count, mean }]
}

#[test]
fn more_evidence_than_others_have_counts_for_three_times_the_median_at_most() {
    let mut claims: BTreeMap<_, _> = (0..9).map(|n| (author(n), share(100.0, 0.1))).collect();
    claims.insert(author(9), share(1e9, 0.1));
    let Verdict::Heeded(bounded) = &judge(&claims)[&author(9)] else { panic!("it says what all say") };
    assert_eq!(bounded[0], share(300.0, 0.1)[0]);
}

#[test]
fn three_who_disagree_are_taken_at_their_word() {
    let claims: BTreeMap<_, _> = [0.0, 0.1, 1.0]
        .into_iter()
        .enumerate()
        .map(|(n, mean)| (author(n as u8), share(1e6, mean)))
        .collect();
    for (author, verdict) in judge(&claims) {
        assert_eq!(verdict, Verdict::Heeded(claims[&author].clone()));
    }
}

#[test]
fn what_may_differ_between_sites_is_bounded_and_nobody_is_left_out_for_it() {
    let local = |mean| vec![Claim { name: "level".into(), kind: Kind::Local, count: 10.0, mean }];
    let mut claims: BTreeMap<_, _> = (0..9).map(|n| (author(n), local(1.0 + f64::from(n) / 10.0))).collect();
    claims.insert(author(9), local(1e9));
    let verdicts = judge(&claims);
    let Verdict::Heeded(bounded) = &verdicts[&author(9)] else { panic!("local claims leave nobody out") };
    assert!(bounded[0].mean < 3.0, "{}", bounded[0].mean);
}

#[test]
fn verdicts_are_figures_whatever_is_claimed() {
    let extremes = [0.0, f64::MIN_POSITIVE, 1e-9, 0.5, 1.0];
    for kind in [Kind::Share, Kind::Ratio, Kind::Local] {
        for (at, one) in extremes.into_iter().enumerate() {
            let most = if kind == Kind::Share { 1.0 } else { 1e12 };
            let mean = |n: u8| if n < 3 { one * most } else { extremes[(at + usize::from(n)) % 5] * most };
            let claim =
                |n: u8| Claim { name: "a".into(), kind, count: 10_f64.powi(i32::from(n)), mean: mean(n) };
            let claims: BTreeMap<_, _> = (0..8).map(|n| (author(n), vec![claim(n)])).collect();
            for verdict in judge(&claims).into_values() {
                match verdict {
                    Verdict::Heeded(claims) => claims[0].check().unwrap(),
                    Verdict::LeftOut(figures) => assert!(figures[0].deviations.is_finite()),
                }
            }
        }
    }
}
