use federation::{
    Advised, Author, Digest, Exclusion, Gossip, Head, Heads, Message, News, ProvedAdvice, Refused, Replica,
    Sealed, Standing,
    memory::{Faults, Network},
};
use rand::SeedableRng as _;
use rand_pcg::Pcg64Mcg;
use serde_json::json;

use crate::support::{ByName, author, authors, cem, folded, knowledge, no_cem, proof, sealed, stream};

type Out = Vec<(Author, Message)>;

fn told(from: &Replica) -> Message {
    Message::Heads {
        entries: from.heads().entries().collect(),
        advice: from.proved_advice().collect(),
        answer: false,
    }
}

fn with(n: u8, of: &[Sealed]) -> Replica {
    let mut replica = Replica::new(author(n));
    for sealed in of {
        replica.publish(sealed.clone(), proof(&sealed.contribution().author));
    }
    replica
}

#[test]
fn every_message_is_read_as_it_was_written() {
    let mut one = with(0, &[sealed(&author(0), 1, 1, no_cem())]);
    let other = with(1, &[sealed(&author(1), 1, 1, no_cem())]);
    let mut gossip = Gossip::new(vec![author(1)]);
    let mut out = Out::new();
    gossip.receive(&mut one, &author(1), told(&other), &ByName, &mut out);
    out.push((author(1), Message::Roots { roots: federation::gossip::roots(&one), answer: true }));
    let kinds: Vec<String> = out
        .iter()
        .map(|(_, message)| {
            let text = serde_json::to_string(message).unwrap();
            assert_eq!(serde_json::from_str::<Message>(&text).unwrap(), *message);
            serde_json::to_value(message).unwrap()["message"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(kinds, ["want", "artifact", "roots"]);
}

#[test]
fn what_its_author_has_not_said_is_refused_and_told() {
    let mut one = with(0, &[]);
    let mut gossip = Gossip::new(vec![author(1)]);
    let forged = sealed(&author(2), 1, 1, no_cem());
    let mut liar = Replica::new(author(1));
    liar.publish(forged.clone(), proof(&author(1)));
    let mut out = Out::new();
    gossip.receive(&mut one, &author(1), told(&liar), &ByName, &mut out);
    let Some((_, want)) = out.pop() else { panic!("it was not asked for") };
    let mut answer = Out::new();
    Gossip::new(vec![author(0)]).receive(&mut liar, &author(0), want, &ByName, &mut answer);
    let news = gossip.receive(&mut one, &author(1), answer.remove(0).1, &ByName, &mut out);
    assert!(
        matches!(&news[..], [News::Refused { artifact: Some(name), .. }] if *name == forged.name()),
        "{news:?}"
    );
    assert!(one.heads().is_empty());
    gossip.receive(&mut one, &author(1), told(&liar), &ByName, &mut out);
    assert!(
        !out.iter().any(|(_, message)| matches!(message, Message::Want { .. })),
        "it is not asked for again"
    );
    let honest = with(2, &[forged]);
    gossip.receive(&mut one, &author(2), told(&honest), &ByName, &mut out);
    assert!(matches!(out.last(), Some((_, Message::Want { .. }))), "another one may have the proof");
}

#[test]
fn a_contribution_in_ones_own_name_that_one_has_not_made_is_told() {
    let authors = authors(2);
    let mut network = Network::new(&authors, Faults::default(), ByName, 1);
    network.publish(0, sealed(&authors[0], 4, 10, no_cem()), proof(&authors[0]));
    network.publish(1, sealed(&authors[0], 4, 11, no_cem()), proof(&authors[0]));
    network.round();
    let in_own_name = network.news(0).into_iter().find_map(|news| match news {
        News::Admitted(admitted) => Some((admitted.in_own_name, admitted.standing)),
        _ => None,
    });
    let Some((true, Standing::Equivocated { .. })) = in_own_name else { panic!("{in_own_name:?}") };
}

#[test]
fn of_a_large_contribution_only_what_has_changed_travels() {
    let authors = authors(2);
    let mut network = Network::new(&authors, Faults::default(), ByName, 1);
    network.count_bytes();
    let table = |last: f64| {
        let rows: Vec<(u32, u32, f64)> = (0..20_000).map(|n| (n, 1, f64::from(n) / 7.0)).collect();
        knowledge("q-learning", 4, json!({"cells": rows, "hours": [[0, 1, last]]}))
    };
    let first = sealed(&authors[0], 1, 1, table(0.0));
    network.publish(0, first.clone(), proof(&authors[0]));
    network.round();
    assert!(network.agrees());
    assert!(network.traffic().bytes > first.bytes().len() as u64);
    network.publish(0, sealed(&authors[0], 2, 2, table(1.0)), proof(&authors[0]));
    network.round();
    assert!(network.agrees());
    let bytes = network.traffic().bytes as usize;
    assert!(20 * bytes < first.bytes().len(), "{bytes} of {}", first.bytes().len());
}

#[test]
fn advice_reaches_everybody_and_binds_nobody() {
    let authors = authors(5);
    let mut network = Network::new(&authors, Faults { lost: 0.3, ..Faults::default() }, ByName, 3);
    let mut rng = Pcg64Mcg::seed_from_u64(1);
    for (node, author) in authors.iter().enumerate() {
        network.publish(node, sealed(author, 1, 1, cem(3, &mut rng)), proof(author));
    }
    let exclusion = Exclusion { author: authors[4].clone(), from_sequence: 0, reason: "it lies".into() };
    let advised = Advised { by: authors[0].clone(), version: 1, exclusion, stands: true };
    network.advise(0, advised.clone(), proof(&authors[0]));
    for _ in 0..20 {
        network.round();
    }
    assert!(network.agrees());
    for node in 0..5 {
        let replica = network.replica(node);
        assert_eq!(replica.advice().standing().collect::<Vec<_>>(), [&advised]);
        assert_eq!(replica.heads().standings(stream()).count(), 5, "the map is as it was");
        assert_eq!(folded(replica).heeded.len(), 4, "who follows it leaves the author out");
    }
}

#[test]
fn advice_that_nobody_gave_or_that_does_not_end_is_refused() {
    let mut replica = with(0, &[]);
    let advice = |reason: String, by: u8| ProvedAdvice {
        advised: Advised {
            by: author(1),
            version: 1,
            exclusion: Exclusion { author: author(2), from_sequence: 0, reason },
            stands: true,
        },
        proof: proof(&author(by)),
    };
    let long = replica.admit_advice(advice("a".repeat(1001), 1), &ByName);
    assert_eq!(long, Err(Refused::Reason(1001)));
    let forged = replica.admit_advice(advice("it lies".into(), 2), &ByName);
    assert!(matches!(forged, Err(Refused::Unproved(_))), "{forged:?}");
    assert!(replica.advice().iter().next().is_none());
    assert_eq!(replica.admit_advice(advice("it lies".into(), 1), &ByName), Ok(true));
    assert_eq!(replica.admit_advice(advice("it lies".into(), 1), &ByName), Ok(false));
}

#[test]
fn a_peer_that_invents_heads_changes_nothing_but_what_is_asked_for() {
    let mut one = with(0, &[sealed(&author(0), 1, 1, no_cem())]);
    let before = one.clone();
    let mut gossip = Gossip::new(vec![author(1)]);
    let mut out = Out::new();
    for n in 0..2000_u64 {
        let mut invented = Heads::new();
        let head =
            Head { sequence: u64::MAX - n, artifact: Digest::of(&n.to_be_bytes()), evidence: u64::MAX };
        invented.insert(stream(), &author(2), head);
        let message =
            Message::Heads { entries: invented.entries().collect(), advice: Vec::new(), answer: true };
        gossip.receive(&mut one, &author(1), message, &ByName, &mut out);
    }
    assert_eq!(one, before);
    assert!(gossip.lacking() <= 4096);
    out.clear();
    gossip.round(&one, &mut Pcg64Mcg::seed_from_u64(1), &mut out);
    assert!(out.len() <= 65, "{} are asked for at once", out.len());
}
