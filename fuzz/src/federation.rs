//! Nodes that have told each other something, and proofs that say no more than who the author is.

use federation::{
    Advised, Author, CONTRIBUTION_FORMAT, Contribution, Digest, Proofs, Replica, Sealed, StreamId,
};
use merkle_log::note::NoteSigner;
use policy::{Knowledge, Swarm, SwarmConfig};
use serde_json::{Value, json};

use crate::markets::{SMALL, train};

/// What all contributions here are about.
pub const STREAM: StreamId = StreamId(Digest([7; 32]));

/// Takes a proof that says whose it is.
pub struct ByName;

impl Proofs for ByName {
    fn contribution(&self, contribution: &Sealed, proof: &Value) -> Result<(), String> {
        by_name(&contribution.contribution().author, proof)
    }

    fn advice(&self, advised: &Advised, proof: &Value) -> Result<(), String> {
        by_name(&advised.by, proof)
    }
}

fn by_name(author: &Author, proof: &Value) -> Result<(), String> {
    if *proof == json!(author) { Ok(()) } else { Err("somebody else's".into()) }
}

/// The author with this seed.
///
/// # Panics
/// Never: the name has no spaces.
#[must_use]
pub fn author(seed: u8) -> Author {
    let signer = NoteSigner::new("example.org/node", &[seed; 32]).expect("a name without spaces");
    Author::of(&signer.verifier_key())
}

/// What a learner knows that has seen nothing.
///
/// # Panics
/// When the learner's defaults are no settings.
#[must_use]
pub fn unlearned(algorithm: &str) -> Option<Knowledge> {
    swarm(algorithm)?.knowledge().pop()
}

/// A swarm of one agent; `None` when there is no such learner.
#[must_use]
pub fn swarm(algorithm: &str) -> Option<Swarm> {
    let config = SwarmConfig::new(algorithm, &json!({}), 1).ok()?;
    Swarm::new(config, &SMALL).ok()
}

/// What an author has seen of the small market.
///
/// # Panics
/// When there is no such learner.
#[must_use]
pub fn contribution(author: Author, algorithm: &str, sequence: u64) -> Sealed {
    let mut swarm = swarm(algorithm).expect("a learner");
    train(&mut swarm, &SMALL);
    let contribution = Contribution {
        format: CONTRIBUTION_FORMAT.into(),
        author,
        stream: STREAM,
        sequence,
        evidence: 100 * sequence,
        knowledge: swarm.knowledge().pop().expect("one agent"),
        made_by: json!({"seed": sequence}),
    };
    contribution.seal().expect("what was learned are figures")
}

/// A node that has these.
#[must_use]
pub fn node(own: Author, held: &[Sealed]) -> Replica {
    let mut replica = Replica::new(own);
    for sealed in held {
        let proof = json!(sealed.contribution().author);
        replica.publish(sealed.clone(), proof);
    }
    replica
}
