//! What an evaluation is to do.

use std::sync::Arc;

use policy::Rule;
use routing_env::{Constraint, Environment, Preference, Reward};

use crate::bounds::{Digest, Sample};

/// An evaluation that can be done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The environment that every policy meets.
    pub environment: Arc<Environment>,
    /// What is asked of the policies, and for whom.
    pub kind: Kind,
    /// What every episode of a comparison has to meet beside that. Where there is something, the limit is solved on all steps
    /// or none.
    pub constraints: Vec<Constraint>,
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

/// What is asked of the policies. Rewards and limits are in the points of what is wanted, and all that heed it play for it.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Who is better for those who want this.
    Comparison(Preference),
    /// What each achieves under each of these: its front.
    Fronts(Vec<Preference>),
}

impl Kind {
    /// Everything that is wanted.
    #[must_use]
    pub fn preferences(&self) -> &[Preference] {
        match self {
            Self::Comparison(preference) => std::slice::from_ref(preference),
            Self::Fronts(preferences) => preferences,
        }
    }

    /// The only one, or the first of many: policies are set up for it.
    #[must_use]
    pub fn first_preference(&self) -> Preference {
        self.preferences().first().copied().unwrap_or(Preference::EXCESS_COST)
    }
}

impl Plan {
    /// What the episodes of a comparison are judged by.
    #[must_use]
    pub fn reward(&self) -> Reward {
        Reward::Preference(self.kind.first_preference())
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
        (self.seeds.len() * self.kind.preferences().len()) as u64
    }
}
