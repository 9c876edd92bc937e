//! What nodes gain that learn from each other between episodes, in reward on held-out seeds, as a table:
//!
//! `cargo run --release -p federation --example federation_gain -- [PRESET] [NODES] [EPISODES] [HELD_OUT_SEEDS]`
//!
//! Every node trains in the preset with seeds of its own, and after each episode acts on what all have seen in the episodes
//! before. *Alone* is the mean of nodes that hear of nobody, *sees all* one learner that trains on the episodes of all, *share* how far
//! from the first to the second the nodes of the federation come, and *one lies* the same where one of them reports successes
//! as failures, ten times as many. The last column is how many honest contributions the guard left out.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "an example may print, and fail by panicking")]

use std::collections::BTreeMap;

use federation::{
    Author, CONTRIBUTION_FORMAT, Contribution, Digest, Heads, LearnersLaw, Sealed, StreamId, fold,
    fold_of_others,
};
use merkle_log::note::NoteSigner;
use policy::{Knowledge, StepReport, Swarm, SwarmConfig};
use routing_env::{Environment, Episode, Reward};
use serde_json::{Value, json};

const FIRST_HELD_OUT: u64 = 1 << 32;
/// Where seeing all gains less, in points of reward, there is nothing to have a share of.
const LEAST_GAIN: f64 = 0.05;
const REWARD: Reward = Reward::EXCESS_COST;
const STREAM: StreamId = StreamId(Digest([7; 32]));

fn main() {
    let mut told = std::env::args().skip(1);
    let preset = told.next().unwrap_or_else(|| "drifting".into());
    let mut number = |usual: u64| told.next().map_or(usual, |given| given.parse().unwrap());
    let (nodes, episodes, seeds) = (number(5) as usize, number(2), number(20));
    let env = Environment::built_in(preset.parse().unwrap());
    println!(
        "| learner | never trained | alone | federated | sees all | share | one lies | share | honest left out |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for learner in ["adaptive", "q-learning", "afterstate", "cem"] {
        let config = SwarmConfig::new(learner, &json!({}), 1).unwrap();
        let new = || Swarm::new(config.clone(), &env).unwrap();
        let judge = |swarm: &Swarm| judged(swarm, &env, seeds);
        let mut all = new();
        for episode in 0..episodes {
            (0..nodes).for_each(|node| play(&mut all, &env, seed(node, episode)));
        }
        let alone = (0..nodes).map(|node| {
            let mut swarm = new();
            (0..episodes).for_each(|episode| play(&mut swarm, &env, seed(node, episode)));
            judge(&swarm)
        });
        let alone = alone.sum::<f64>() / nodes as f64;
        let [honest, lied] = [false, true].map(|lies| federated(&new, &env, nodes, episodes, lies));
        let mean = |swarms: &[Swarm]| swarms.iter().map(judge).sum::<f64>() / swarms.len() as f64;
        let (never, sees_all) = (judge(&new()), judge(&all));
        let (federated, with_liar) = (mean(&honest.0), mean(&lied.0));
        let share = |reached: f64| {
            let gain = sees_all - alone;
            if gain < LEAST_GAIN {
                "–".into()
            } else {
                format!("{:.0} %", 100.0 * (reached - alone) / gain)
            }
        };
        println!(
            "| {learner} | {never:.3} | {alone:.3} | {federated:.3} | {sees_all:.3} | {} | {with_liar:.3} | {} | {} of {} |",
            share(federated),
            share(with_liar),
            honest.1,
            nodes * episodes as usize
        );
    }
}

fn seed(node: usize, episode: u64) -> u64 {
    1 + 1000 * node as u64 + episode
}

fn play(swarm: &mut Swarm, env: &Environment, seed: u64) {
    let (mut episode, mut report) = (Episode::new(env, seed, REWARD), StepReport::new(env));
    swarm.begin_episode(seed);
    while swarm.run_step(&mut episode, REWARD, &mut report) {}
    swarm.end_episode();
}

/// Mean reward per request on held-out seeds of a swarm that learns no more.
fn judged(swarm: &Swarm, env: &Environment, seeds: u64) -> f64 {
    let mut frozen = swarm.clone();
    frozen.freeze();
    let (mut reward, mut requests) = (0.0, 0.0);
    let mut report = StepReport::new(env);
    for seed in FIRST_HELD_OUT..FIRST_HELD_OUT + seeds {
        let mut episode = Episode::new(env, seed, REWARD);
        frozen.begin_episode(seed);
        while frozen.run_step(&mut episode, REWARD, &mut report) {
            reward += report.metrics.overall.reward;
            requests += report.metrics.overall.requests as f64;
        }
        frozen.end_episode();
    }
    reward / requests
}

/// The nodes after so many episodes, without the liar, and how many honest contributions were left out.
fn federated(
    new: &impl Fn() -> Swarm,
    env: &Environment,
    nodes: usize,
    episodes: u64,
    lies: bool,
) -> (Vec<Swarm>, usize) {
    let unlearned = new().gathered().unwrap();
    let authors: Vec<Author> = (0..nodes).map(author).collect();
    let mut swarms: Vec<Swarm> = (0..nodes).map(|_| new()).collect();
    let mut left_out = 0;
    for episode in 0..episodes {
        let mut sealed: BTreeMap<Digest, Sealed> = BTreeMap::new();
        let mut heads = Heads::new();
        for (node, swarm) in swarms.iter_mut().enumerate() {
            play(swarm, env, seed(node, episode));
            let mut knowledge = swarm.gathered().unwrap();
            if lies && node == 0 {
                lie(&mut knowledge);
            }
            let one = Contribution {
                format: CONTRIBUTION_FORMAT.into(),
                author: authors[node].clone(),
                stream: STREAM,
                sequence: episode + 1,
                evidence: episode + 1,
                knowledge,
                made_by: json!({}),
            };
            let one = one.seal().unwrap();
            heads.insert(STREAM, &authors[node], one.head());
            sealed.insert(one.name(), one);
        }
        let held = |name: Digest| sealed.get(&name).map(Sealed::contribution);
        let all = fold(&heads, STREAM, held, &[], &LearnersLaw, &unlearned).unwrap();
        left_out += all.left_out.iter().filter(|out| !lies || out.author != authors[0]).count();
        for (node, swarm) in swarms.iter_mut().enumerate() {
            let others = fold_of_others(&authors[node], &heads, STREAM, held, &[], &LearnersLaw, &unlearned);
            swarm.heed(Some(&others.unwrap().knowledge)).unwrap();
        }
    }
    (swarms.split_off(usize::from(lies)), left_out)
}

/// Successes as failures, and ten times as many tries.
fn lie(knowledge: &mut Knowledge) {
    let Some(failures) = knowledge.learned.pointer_mut("/facts/failures").and_then(Value::as_array_mut)
    else {
        return; // what follows from acting in some way claims nothing
    };
    for tries in failures {
        let [count, failed] = [0, 1].map(|figure| tries[figure].as_f64().unwrap());
        *tries = json!([10.0 * count, 10.0 * (count - failed)]);
    }
}

fn author(node: usize) -> Author {
    let signer = NoteSigner::new(&format!("node-{node}.example/log"), &[node as u8 + 1; 32]).unwrap();
    Author::of(&signer.verifier_key())
}
