//! What the example and the tests have in common: authors, contributions, and schedules at random.

use federation::{
    Advised, Author, CONTRIBUTION_FORMAT, Contribution, Digest, Exclusion, Fold, LearnersLaw, Proofs,
    Replica, Sealed, StreamId,
    memory::{Faults, Network},
};
use merkle_log::note::NoteSigner;
use policy::Knowledge;
use rand::{Rng, RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;
use serde_json::{Value, json};

/// The author whose log is the nth.
pub(crate) fn author(n: u8) -> Author {
    Author::of(&NoteSigner::new(&format!("node-{n}"), &[n + 1; 32]).unwrap().verifier_key())
}

pub(crate) fn authors(n: usize) -> Vec<Author> {
    (0..n as u8).map(author).collect()
}

pub(crate) fn stream() -> StreamId {
    StreamId(Digest::of(b"a stream"))
}

/// What somebody has learned by the cross-entropy method: its law adds what no order but one adds to the same last bits.
pub(crate) fn cem(generation: u64, rng: &mut impl Rng) -> Knowledge {
    let mut weight =
        |name: &str| json!({"name": name, "mean": rng.random::<f64>(), "spread": rng.random::<f64>()});
    let weights = ["a", "b", "c"].map(&mut weight);
    knowledge("cem", 1, json!({"generation": generation, "weights": weights}))
}

/// What has seen nothing.
pub(crate) fn no_cem() -> Knowledge {
    let weight = |name: &str| json!({"name": name, "mean": 0.0, "spread": 1.0});
    let weights = ["a", "b", "c"].map(weight);
    knowledge("cem", 1, json!({"generation": 0, "weights": weights}))
}

pub(crate) fn knowledge(algorithm: &str, version: u32, learned: Value) -> Knowledge {
    Knowledge { algorithm: algorithm.into(), version, learned }
}

pub(crate) fn sealed(author: &Author, sequence: u64, evidence: u64, knowledge: Knowledge) -> Sealed {
    let contribution = Contribution {
        format: CONTRIBUTION_FORMAT.into(),
        author: author.clone(),
        stream: stream(),
        sequence,
        evidence,
        knowledge,
        made_by: json!({"run": "a simulation", "seed": sequence}),
    };
    contribution.seal().unwrap()
}

/// A proof is the author's name: what stands for the log's evidence here.
pub(crate) struct ByName;

pub(crate) fn proof(author: &Author) -> Value {
    author.as_str().into()
}

impl Proofs for ByName {
    fn contribution(&self, sealed: &Sealed, proof: &Value) -> Result<(), String> {
        let author = sealed.contribution().author.as_str();
        if proof == author { Ok(()) } else { Err(format!("expected the word of {author}, found {proof}")) }
    }

    fn advice(&self, advised: &Advised, proof: &Value) -> Result<(), String> {
        if proof == advised.by.as_str() { Ok(()) } else { Err("it is another one's word".into()) }
    }
}

/// What a node acts on that follows all advice.
pub(crate) fn folded(replica: &Replica) -> Fold {
    let exclusions: Vec<Exclusion> =
        replica.advice().standing().map(|advised| advised.exclusion.clone()).collect();
    replica.fold(stream(), &exclusions, &LearnersLaw, &no_cem()).unwrap()
}

/// How a schedule ended.
pub(crate) struct Outcome {
    pub(crate) nodes: usize,
    /// Rounds after the last event until all had the same; `None` where they never had.
    pub(crate) rounds: Option<u32>,
    /// Whether the folds of all nodes have the same bytes, and those of somebody who was told everything in order.
    pub(crate) same: bool,
    /// Authors that are withheld at the end.
    pub(crate) withheld: usize,
}

/// 2 to 8 nodes publish, equivocate, fall back to backups, restart and are divided, while messages are lost (half of them),
/// doubled, late and out of order. Once nothing happens any more, all that is left to do is to agree.
pub(crate) fn schedule(seed: u64) -> Outcome {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let authors = authors(rng.random_range(2..=8));
    let nodes = authors.len();
    let faults = Faults { lost: 0.5, doubled: 0.2, late: 0.2 };
    let mut network = Network::new(&authors, faults, ByName, rng.random());
    let mut told = Replica::new(authors[0].clone());
    let mut last = vec![(0_u64, 0_u64); nodes];
    for _ in 0..40 {
        let node = rng.random_range(0..nodes);
        let (sequence, evidence) = last[node];
        let (number, observations, at) = match rng.random_range(0..20) {
            0..10 => (sequence + 1, evidence + rng.random_range(0..100), node),
            // a second contribution under the same number, at any node: the key is with two
            10 if sequence > 0 => (sequence, evidence, rng.random_range(0..nodes)),
            // older content under a newer number
            11 if evidence > 1 => (sequence + 1, evidence / 2, node),
            12 | 13 => {
                network.restart(node);
                continue;
            }
            14 => {
                let sides: Vec<u8> = (0..nodes).map(|_| rng.random_range(0..2)).collect();
                network.divide(&sides);
                continue;
            }
            15 => {
                let about = &authors[rng.random_range(0..nodes)];
                let advised = Advised {
                    by: authors[node].clone(),
                    version: rng.random_range(0..3),
                    exclusion: Exclusion {
                        author: about.clone(),
                        from_sequence: rng.random_range(0..10),
                        reason: "by hand".into(),
                    },
                    stands: rng.random_bool(0.7),
                };
                network.advise(node, advised.clone(), proof(&authors[node]));
                told.advise(advised, proof(&authors[node]));
                continue;
            }
            _ => {
                network.round();
                continue;
            }
        };
        last[node] = (number, evidence.max(observations));
        let sealed = sealed(&authors[node], number, observations, cem(1 + observations, &mut rng));
        network.publish(at, sealed.clone(), proof(&authors[node]));
        told.publish(sealed, proof(&authors[node]));
    }
    network.divide(&vec![0; nodes]);
    let rounds = (0..400).find(|_| {
        let agrees = network.agrees();
        if !agrees {
            network.round();
        }
        agrees
    });
    let expected = folded(&told);
    let same = (0..nodes).all(|node| folded(network.replica(node)) == expected);
    let withheld = expected.left_out.len();
    Outcome { nodes, rounds, same, withheld }
}
