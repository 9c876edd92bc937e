//! Where a policy comes from.

use crate::bounds::Digest;

/// What a policy is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A hand rule.
    Rule,
    /// A hand rule that is told what is hidden from the others: it competes with nobody.
    Reference,
    /// What a learner knows.
    Learned(Learned),
    /// Programs of whoever asked, which played elsewhere: what they achieved is that person's word.
    Command {
        /// How many of this name: trainings of one policy.
        programs: usize,
    },
}

/// A learner's trainings: of one configuration, each on seeds of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learned {
    /// Episodes of each training; 0 of one that was never trained.
    pub trained_episodes: u32,
    /// The trainings; none of one that was never trained, and has no file.
    pub trainings: Vec<Training>,
}

/// What is known of a training.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Training {
    /// The policy file.
    pub artifact: Digest,
    /// The seed of its first episode, as the file says.
    pub first_seed: u64,
    /// Who says that it was trained so.
    pub provenance: Provenance,
}

/// Who says that a policy was trained as its file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provenance {
    /// The ledger: a run of this digest wrote exactly this file.
    Recorded {
        /// The run's digest, which the same run has in every ledger.
        run: Digest,
    },
    /// Only the file itself.
    Unverified,
}

impl Origin {
    /// Its trainings, of a learner.
    #[must_use]
    pub fn learned(&self) -> Option<&Learned> {
        match self {
            Self::Learned(learned) => Some(learned),
            Self::Rule | Self::Reference | Self::Command { .. } => None,
        }
    }

    /// How many trainings its figures are of; 1 of what was not trained here.
    #[must_use]
    pub fn trainings(&self) -> usize {
        match self {
            Self::Learned(learned) => learned.trainings.len().max(1),
            Self::Command { programs } => *programs,
            Self::Rule | Self::Reference => 1,
        }
    }
}

impl Learned {
    /// The first training's policy file.
    #[must_use]
    pub fn artifact(&self) -> Option<Digest> {
        self.trainings.first().map(|training| training.artifact)
    }

    /// The trainings of which only their files tell.
    pub fn unverified(&self) -> impl Iterator<Item = &Training> {
        self.trainings.iter().filter(|training| training.provenance == Provenance::Unverified)
    }
}
