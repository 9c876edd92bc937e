//! What the federation comes to on a network that fails, as a table:
//!
//! `cargo run --release -p federation --example federation_rounds -- [SCHEDULES [NETWORKS [PROCESSES]]]`
//!
//! By default 10,000 schedules, 1,000 networks of 20 nodes, 10 decision processes; 0 leaves a part out.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "an example may print, and fail by panicking")]

use federation::{
    Advised, Author, Exclusion,
    memory::{Faults, Network},
};
use rand::SeedableRng as _;
use rand_pcg::Pcg64Mcg;
use support::{ByName, Outcome, authors, cem, folded, proof, schedule, sealed};

#[path = "support/known_mdp.rs"]
mod known_mdp;
#[path = "support/mod.rs"]
#[allow(dead_code, reason = "tests ask for more")]
mod support;

const NODES: usize = 20;

fn main() {
    let number = |at: usize, usual: u64| std::env::args().nth(at).map_or(usual, |n| n.parse().unwrap());
    let (schedules, networks, processes) = (number(1, 10_000), number(2, 1000), number(3, 10));
    println!("| what | came to |");
    println!("|---|---|");
    if schedules > 0 {
        tell_schedules(schedules);
    }
    if networks > 0 {
        for lost in [0.0, 0.5] {
            tell_rounds(networks, lost);
        }
        for lost in [0.0, 0.5] {
            tell_undo(networks, lost);
        }
        tell_idle();
    }
    // the rate that `q-learning` begins with in either of its states
    for (first_rate, epsilon) in [(0.1, 0.1), (0.1, 0.05), (0.3, 0.1), (0.3, 0.05)] {
        if processes > 0 {
            tell_speed(processes, first_rate, epsilon);
        }
    }
}

/// Half of all messages lost, a fifth doubled, a fifth late.
fn tell_schedules(schedules: u64) {
    let (mut same, mut withheld, mut rounds) = (0, 0, Vec::new());
    for seed in 0..schedules {
        let outcome: Outcome = schedule(seed);
        same += u64::from(outcome.same && outcome.rounds.is_some());
        withheld += u64::from(outcome.withheld > 0);
        rounds.extend(outcome.rounds);
    }
    println!(
        "| schedules at random, 2 to 8 nodes, after which all fold to the same bytes | {same} of {schedules} \
         ({withheld} with somebody left out; {} to agree) |",
        spread(&mut rounds)
    );
}

fn network(lost: f64, seed: u64) -> (Vec<Author>, Network<ByName>) {
    let authors = authors(NODES);
    let faults = Faults { lost, ..Faults::default() };
    let mut network = Network::new(&authors, faults, ByName, seed);
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    for (node, author) in authors.iter().enumerate() {
        network.publish(node, sealed(author, 1, 1, cem(5, &mut rng)), proof(author));
    }
    (authors, network)
}

fn until(network: &mut Network<ByName>, reached: impl Fn(&Network<ByName>) -> bool) -> u32 {
    let mut rounds = 0;
    while !reached(network) {
        network.round();
        rounds += 1;
    }
    rounds
}

fn tell_rounds(networks: u64, lost: f64) {
    let rounds = |seed| until(&mut network(lost, seed).1, Network::agrees);
    let mut rounds: Vec<u32> = (0..networks).map(rounds).collect();
    let loss = 100.0 * lost;
    println!(
        "| rounds until 20 nodes with one contribution each are equal, {loss} % lost | {} |",
        spread(&mut rounds)
    );
}

/// One node advises to leave an author out; all follow it.
fn tell_undo(networks: u64, lost: f64) {
    let mut rounds = Vec::new();
    for seed in 0..networks {
        let (authors, mut network) = network(lost, seed);
        until(&mut network, Network::agrees);
        let exclusion = Exclusion { author: authors[7].clone(), from_sequence: 0, reason: "it lies".into() };
        let advised = Advised { by: authors[0].clone(), version: 1, exclusion, stands: true };
        network.advise(0, advised, proof(&authors[0]));
        let never = self::network(0.0, seed).1;
        let mut told = federation::Replica::new(authors[0].clone());
        for node in (0..NODES).filter(|node| *node != 7) {
            let (_, held) = never.replica(node).all_held().next().unwrap();
            told.publish(held.sealed.clone(), held.proof.clone());
        }
        let never = folded(&told).sha256;
        rounds.push(until(&mut network, |network| {
            (0..NODES).all(|node| network.replica(node).advice().standing().count() == 1)
        }));
        assert!((0..NODES).all(|node| folded(network.replica(node)).sha256 == never), "{seed}: other bytes");
    }
    let loss = 100.0 * lost;
    println!(
        "| rounds until an author is undone at all 20, to the bytes that never had it, {loss} % lost | {} |",
        spread(&mut rounds)
    );
}

fn tell_idle() {
    const ROUNDS: u32 = 1000;
    let (_, mut network) = network(0.0, 1);
    until(&mut network, Network::agrees);
    (0..20).for_each(|_| network.round()); // until nobody tells news any more
    network.count_bytes();
    network.traffic();
    (0..ROUNDS).for_each(|_| network.round());
    let traffic = network.traffic();
    let a_node = |sum: u64| sum as f64 / f64::from(ROUNDS) / NODES as f64;
    println!(
        "| sent by a node in a round where nothing is new, 20 nodes, without HTTP's headers | {:.0} bytes, {:.1} messages |",
        a_node(traffic.bytes),
        a_node(traffic.messages)
    );
}

fn tell_speed(processes: u64, first_rate: f64, epsilon: f64) {
    let until = |nodes| {
        let decisions = (0..processes)
            .map(|seed| known_mdp::decisions_until(epsilon, first_rate, nodes, 4_000_000, seed));
        decisions.collect::<Option<Vec<u32>>>().unwrap()
    };
    let (one, eight) = (until(1), until(8));
    let mean = |all: &[u32]| all.iter().map(|n| f64::from(*n)).sum::<f64>() / all.len() as f64;
    let mut times: Vec<f64> =
        one.iter().zip(&eight).map(|(one, eight)| f64::from(*one) / f64::from(*eight)).collect();
    times.sort_unstable_by(f64::total_cmp);
    println!(
        "| decisions of each until ‖Q − Q*‖∞ < {epsilon}, rate {first_rate} at first: one alone / one of 8, mean of \
         {processes} processes | {:.0} / {:.0}: \
         {:.1} × fewer (single processes: {:.1} to {:.1}, median {:.1}) |",
        mean(&one),
        mean(&eight),
        mean(&one) / mean(&eight),
        times[0],
        times[times.len() - 1],
        times[times.len() / 2]
    );
}

fn spread(rounds: &mut [u32]) -> String {
    rounds.sort_unstable();
    let at = |share: usize| rounds[(rounds.len() - 1) * share / 100];
    format!("median {}, 99 % {}, worst {}", at(50), at(99), at(100))
}
