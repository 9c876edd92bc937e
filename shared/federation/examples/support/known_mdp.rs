//! Tabular Q-learning on a small decision process whose optimal values are known: alone, and by nodes that tell each other
//! what they have seen.
//!
//! The process is a Garnet (Archibald, McKinnon and Thomas 1995): 10 states, 3 actions, each leads to one of 3 states; what is
//! earned is drawn around a mean with a standard deviation of 1, and a discount of .7 makes the values. Actions are tried at
//! random. A node keeps, of what it has done itself, the mean target and the visits of each state and action; it takes as
//! values, and as what comes after a step, Σ n·Q / Σ n over its own and the others' (federated Q-learning with importance
//! averaging: Woo, Joshi and Chi 2023). Its learning rate is that of `q-learning`: it falls as (1 + n/30)^-.85, over the
//! node's own visits.

use std::array::from_fn;

use federation::{Author, Claim, Law, memory::Network};
use policy::Knowledge;
use rand::{Rng, RngExt as _, SeedableRng as _};
use rand_distr::{Distribution as _, StandardNormal};
use rand_pcg::Pcg64Mcg;
use serde_json::json;

use super::support::{ByName, authors, knowledge, proof, sealed, stream};

const STATES: usize = 10;
const ACTIONS: usize = 3;
const BRANCHES: usize = 3;
const DISCOUNT: f64 = 0.7;

/// Of a state and an action: visits and the mean target.
type Table = [[(f64, f64); ACTIONS]; STATES];
type Values = [[f64; ACTIONS]; STATES];

struct Garnet {
    next: [[[(usize, f64); BRANCHES]; ACTIONS]; STATES],
    reward: Values,
}

impl Garnet {
    fn new(rng: &mut impl Rng) -> Self {
        let mut branches = || -> [(usize, f64); BRANCHES] {
            let weights: [f64; BRANCHES] = from_fn(|_| rng.random::<f64>());
            let all: f64 = weights.iter().sum();
            weights.map(|weight| (rng.random_range(0..STATES), weight / all))
        };
        let next = from_fn(|_| from_fn(|_| branches()));
        Self { next, reward: from_fn(|_| from_fn(|_| rng.random())) }
    }

    /// Value iteration, to the last bits.
    fn optimum(&self) -> Values {
        let mut values = [[0.0; ACTIONS]; STATES];
        for _ in 0..200 {
            let best = values.map(greatest);
            values = from_fn(|state| {
                from_fn(|action| {
                    let next = self.next[state][action].iter();
                    self.reward[state][action]
                        + DISCOUNT * next.map(|(next, chance)| chance * best[*next]).sum::<f64>()
                })
            });
        }
        values
    }

    fn step(&self, state: usize, action: usize, rng: &mut impl Rng) -> (usize, f64) {
        let mut left: f64 = rng.random();
        let next = self.next[state][action].iter().find(|(_, chance)| {
            left -= chance;
            left < 0.0
        });
        let next = next.unwrap_or(&self.next[state][action][BRANCHES - 1]).0;
        let noise: f64 = StandardNormal.sample(rng);
        (next, self.reward[state][action] + noise)
    }
}

fn greatest(values: [f64; ACTIONS]) -> f64 {
    values.into_iter().fold(f64::NEG_INFINITY, f64::max)
}

/// Tables are brought together by the mean of each cell, weighted by its visits. They claim nothing that others could see.
struct WeightedMeans;

impl Law for WeightedMeans {
    fn claims(&self, _: &Knowledge) -> Result<Vec<Claim>, String> {
        Ok(Vec::new())
    }

    fn with_claims(&self, evidence: &Knowledge, _: &[Claim]) -> Result<Knowledge, String> {
        Ok(evidence.clone())
    }

    fn merge(&self, all: &mut Knowledge, other: &Knowledge) -> Result<(), String> {
        *all = written(&merged(&read(all)?, &read(other)?));
        Ok(())
    }
}

fn merged(one: &Table, other: &Table) -> Table {
    from_fn(|state| {
        from_fn(|action| {
            let ((n, mean), (more, others)) = (one[state][action], other[state][action]);
            let all = n + more;
            if all > 0.0 { (all, mean + more / all * (others - mean)) } else { (0.0, 0.0) }
        })
    })
}

fn written(table: &Table) -> Knowledge {
    knowledge("tabular", 1, json!(table))
}

fn read(knowledge: &Knowledge) -> Result<Table, String> {
    serde_json::from_value(knowledge.learned.clone()).map_err(|error| error.to_string())
}

struct Learner {
    state: usize,
    own: Table,
    others: Table,
    rng: Pcg64Mcg,
}

impl Learner {
    fn value(&self, state: usize, action: usize) -> f64 {
        let ((n, mean), (more, others)) = (self.own[state][action], self.others[state][action]);
        if n + more > 0.0 { (n * mean + more * others) / (n + more) } else { 0.0 }
    }

    fn act(&mut self, process: &Garnet, first_rate: f64) {
        let (state, action) = (self.state, self.rng.random_range(0..ACTIONS));
        let (next, earned) = process.step(state, action, &mut self.rng);
        let target = earned + DISCOUNT * greatest(from_fn(|action| self.value(next, action)));
        let (visits, mean) = &mut self.own[state][action];
        let rate = first_rate / (1.0 + *visits / 30.0).powf(0.85);
        *mean += rate.max(1.0 / (1.0 + *visits)) * (target - *mean);
        *visits += 1.0;
        self.state = next;
    }

    fn error(&self, optimum: &Values) -> f64 {
        let cells = (0..STATES).flat_map(|state| (0..ACTIONS).map(move |action| (state, action)));
        cells.map(|(s, a)| (self.value(s, a) - optimum[s][a]).abs()).fold(0.0, f64::max)
    }
}

/// Decisions that each node makes between two rounds of gossip.
pub(crate) const DECISIONS_A_ROUND: u32 = 50;

/// Decisions that each of so many nodes makes until the values of the first are within ε of the optimum, at three rounds in a
/// row; `None` when that takes more than so many.
pub(crate) fn decisions_until(
    epsilon: f64,
    first_rate: f64,
    nodes: usize,
    most: u32,
    seed: u64,
) -> Option<u32> {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let process = Garnet::new(&mut rng);
    let optimum = process.optimum();
    let authors: Vec<Author> = authors(nodes);
    let mut network = Network::new(&authors, federation::memory::Faults::default(), ByName, rng.random());
    let nothing = [[(0.0, 0.0); ACTIONS]; STATES];
    let mut learners: Vec<Learner> = (0..nodes)
        .map(|_| Learner {
            state: 0,
            own: nothing,
            others: nothing,
            rng: Pcg64Mcg::seed_from_u64(rng.random()),
        })
        .collect();
    let mut within = 0;
    for round in 1..=most / DECISIONS_A_ROUND {
        for (node, learner) in learners.iter_mut().enumerate() {
            (0..DECISIONS_A_ROUND).for_each(|_| learner.act(&process, first_rate));
            if nodes > 1 {
                let evidence = u64::from(round * DECISIONS_A_ROUND);
                let sealed = sealed(&authors[node], round.into(), evidence, written(&learner.own));
                network.publish(node, sealed, proof(&authors[node]));
            }
        }
        if nodes > 1 {
            network.round();
            for (node, learner) in learners.iter_mut().enumerate() {
                let replica = network.replica(node);
                let others =
                    replica.fold_of_others(stream(), &[], &WeightedMeans, &written(&nothing)).unwrap();
                learner.others = read(&others.knowledge).unwrap();
            }
        }
        within = if learners[0].error(&optimum) < epsilon { within + 1 } else { 0 };
        if within == 3 {
            return Some(round * DECISIONS_A_ROUND);
        }
    }
    None
}
