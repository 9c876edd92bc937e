//! What an evaluation is to do.

use std::sync::Arc;

use policy::Rule;
use routing_env::{Environment, Preference, Reward};

use crate::bounds::{Digest, Sample};

/// An evaluation that can be done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The environment that every policy meets.
    pub environment: Arc<Environment>,
    /// What is wanted: rewards and limits are in its points, and all that heed it play for it.
    pub preference: Preference,
    /// SHA-256 of [`Environment::definition`].
    pub environment_digest: Digest,
    /// The learned policies: of each its trainings, policy files of one configuration.
    pub policies: Vec<Vec<Digest>>,
    /// The hand rules, the baseline first.
    pub rules: Vec<Rule>,
    /// The held-out seeds.
    pub seeds: Vec<u64>,
    /// The steps whose physical limit is solved; `None` where there is no limit.
    pub sample: Option<Sample>,
    /// How often the final seeds have been opened, this time included; `None` when these are not the final seeds.
    pub final_opening: Option<u64>,
}

impl Plan {
    /// What the episodes are judged by.
    #[must_use]
    pub fn reward(&self) -> Reward {
        Reward::Preference(self.preference)
    }

    /// Steps whose physical limit is solved, over all seeds.
    #[must_use]
    pub fn limit_steps(&self) -> u64 {
        self.sample.map_or(0, |sample| u64::from(sample.per_episode()) * self.seeds.len() as u64)
    }

    /// Episodes of those who are named: the never trained twins of the learned policies come in addition.
    #[must_use]
    pub fn episodes(&self) -> u64 {
        let trainings: usize = self.policies.iter().map(Vec::len).sum();
        ((trainings + self.rules.len()) * self.seeds.len()) as u64
    }
}
