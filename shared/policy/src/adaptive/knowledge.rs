//! What `adaptive` knows: facts of providers and of the calendar, and for each world what it found to be worth believing
//! there.
//!
//! All of it is sums over what was seen, and two are merged by **adding** them: what is known then is what one would know
//! that had seen both.

use std::collections::BTreeMap;

use routing_env::Environment;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    adaptive::{
        model::{Facts, Records},
        tuning::{ByKind, Tuning},
    },
    knowledge::Learned,
};

/// What it has learned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Knowledge {
    pub(crate) facts: Facts,
    pub(crate) worlds: Worlds,
}

/// By the SHA-256 of a world, in hexadecimal digits.
pub(crate) type Worlds = BTreeMap<String, World>;

/// What was found in a world: how long a request had better wait there, and which estimators were right. Both depend on
/// prices, budgets and demand, so that what was found in one world says nothing in another one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct World {
    /// By the [`kind`](crate::adaptive::tuning::kind) of what is wanted.
    pub(crate) tunings: ByKind<Tuning>,
    pub(crate) records: Records,
}

/// The name of a world: two environments are one when they differ in nothing but the length of their episodes.
pub(crate) fn world(env: &Environment) -> String {
    let definition = env.clone().with_steps(1).definition();
    Sha256::digest(definition).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Learned for Knowledge {
    const VERSION: u32 = 3;

    fn merge(&mut self, other: &Self) -> Result<(), String> {
        self.facts.add(&other.facts)?;
        for (world, found) in &other.worlds {
            match self.worlds.get_mut(world) {
                None => drop(self.worlds.insert(world.clone(), found.clone())),
                Some(own) => {
                    let mut tunings = own.tunings.0.iter_mut().zip(&found.tunings.0);
                    tunings.try_for_each(|(own, found)| own.add(found))?;
                    own.records.add(&found.records)?;
                }
            }
        }
        Ok(())
    }
}
