use federation::{Digest, Head, Heads, HeadsOf, Standing, StreamId};
use proptest::prelude::*;

use crate::support::{author, stream};

fn head(sequence: u64, artifact: u8, evidence: u64) -> Head {
    Head { sequence, artifact: Digest::of(&[artifact]), evidence }
}

/// Few values, so that heads meet under one number, and with the same evidence.
fn any_heads() -> impl Strategy<Value = Vec<(u8, u8, Head)>> {
    let head = (0..4_u64, 0..4_u8, 0..4_u64).prop_map(|(s, a, e)| head(s, a, e));
    prop::collection::vec((0..2_u8, 0..3_u8, head), 0..12)
}

fn map(told: &[(u8, u8, Head)]) -> Heads {
    let mut heads = Heads::new();
    for (stream, of, head) in told {
        heads.insert(StreamId(Digest::of(&[*stream])), &author(*of), *head);
    }
    heads
}

fn joined(one: &Heads, other: &Heads) -> Heads {
    let mut all = one.clone();
    all.merge(other);
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn merging_is_the_join_of_a_semilattice(a in any_heads(), b in any_heads(), c in any_heads()) {
        let (a, b, c) = (map(&a), map(&b), map(&c));
        prop_assert_eq!(joined(&a, &a), a.clone());
        prop_assert_eq!(joined(&a, &b), joined(&b, &a));
        prop_assert_eq!(joined(&joined(&a, &b), &c), joined(&a, &joined(&b, &c)));
    }

    #[test]
    fn heads_come_to_the_same_in_any_order_and_however_often(
        (told, shuffled) in any_heads().prop_flat_map(|told| (Just(told.clone()), Just(told).prop_shuffle())),
        again in any::<prop::sample::Index>(),
    ) {
        let mut twice = shuffled.clone();
        if !told.is_empty() {
            twice.push(told[again.index(told.len())]);
        }
        prop_assert_eq!(map(&told), map(&twice));
    }

    #[test]
    fn equal_maps_have_equal_roots_and_others_have_others(a in any_heads(), b in any_heads()) {
        let (a, b) = (map(&a), map(&b));
        prop_assert_eq!(a == b, a.root() == b.root());
    }

    #[test]
    fn a_map_is_what_its_written_entries_say(a in any_heads()) {
        let heads = map(&a);
        let text = serde_json::to_string(&heads).unwrap();
        prop_assert_eq!(serde_json::from_str::<Heads>(&text).unwrap(), heads);
    }

    #[test]
    fn what_is_lacking_is_all_that_a_merge_changes(a in any_heads(), b in any_heads()) {
        let (mut a, b) = (map(&a), map(&b));
        let entries: Vec<HeadsOf> = b.entries().collect();
        let all = joined(&a, &b);
        let lacking = a.lacking(&entries);
        prop_assert_eq!(lacking.is_empty(), all == a);
        for (stream, author, head) in lacking {
            a.insert(stream, &author, head);
        }
        prop_assert_eq!(a, all);
    }
}

#[test]
fn an_empty_map_has_the_root_of_a_tree_without_leaves() {
    assert_eq!(Heads::new().root(), Digest(merkle_log::EMPTY_ROOT));
}

#[test]
fn two_contributions_under_one_number_are_both_withheld_until_there_is_a_higher_one() {
    let mut heads = Heads::new();
    let (one, other) = (head(5, 1, 10), head(5, 2, 10));
    heads.insert(stream(), &author(0), one);
    assert_eq!(heads.standing(stream(), &author(0)), Some(Standing::Sound { head: one }));
    heads.insert(stream(), &author(0), other);
    let Some(Standing::Equivocated { heads: both }) = heads.standing(stream(), &author(0)) else { panic!() };
    assert!(both.contains(&one) && both.contains(&other));
    let next = head(6, 3, 11);
    heads.insert(stream(), &author(0), next);
    assert_eq!(heads.standing(stream(), &author(0)), Some(Standing::Sound { head: next }));
}

#[test]
fn less_evidence_under_a_higher_number_is_withheld_whichever_came_first() {
    let (rich, poor) = (head(5, 1, 100), head(6, 2, 40));
    for order in [[rich, poor], [poor, rich]] {
        let mut heads = Heads::new();
        for head in order {
            heads.insert(stream(), &author(0), head);
        }
        let fallen = Standing::Fallen { head: poor, richest: rich };
        assert_eq!(heads.standing(stream(), &author(0)), Some(fallen));
    }
}
