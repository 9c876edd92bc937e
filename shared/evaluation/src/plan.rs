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
    pub wanted: Wanted,
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

/// One preference, or many.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    /// Policies are compared with each other, for those who want this.
    One(Preference),
    /// Each policy is asked under each of these: what it achieves is its front.
    Each(Vec<Preference>),
}

impl Wanted {
    /// All that are wanted.
    #[must_use]
    pub fn all(&self) -> &[Preference] {
        match self {
            Self::One(preference) => std::slice::from_ref(preference),
            Self::Each(preferences) => preferences,
        }
    }

    /// The only one, or the first of many: policies are set up for it.
    #[must_use]
    pub fn first(&self) -> Preference {
        self.all().first().copied().unwrap_or(Preference::EXCESS_COST)
    }
}

impl Plan {
    /// What the episodes of a comparison are judged by.
    #[must_use]
    pub fn reward(&self) -> Reward {
        Reward::Preference(self.wanted.first())
    }

    /// Steps whose physical limit is solved, over all seeds and preferences.
    #[must_use]
    pub fn limit_steps(&self) -> u64 {
        self.sample.map_or(0, |sample| u64::from(sample.per_episode()) * self.runs())
    }

    /// Episodes of those who are named: the never trained twins of the learned policies come in addition.
    #[must_use]
    pub fn episodes(&self) -> u64 {
        let trainings: usize = self.policies.iter().map(Vec::len).sum();
        (trainings + self.rules.len()) as u64 * self.runs()
    }

    /// How often each policy plays: on every seed under every preference.
    fn runs(&self) -> u64 {
        (self.seeds.len() * self.wanted.all().len()) as u64
    }
}
