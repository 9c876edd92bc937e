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

/// A policy's name and what it is.
pub type Named<'a> = (&'a str, &'a Origin);

/// What a policy is called among these: its name, and of a learned one what tells it from the others of that name: that it
/// was never trained, how long or how often it was, or else the start of its artifact's name.
#[must_use]
pub fn title((name, origin): Named<'_>, all: &[Named<'_>]) -> String {
    let Some(learned) = origin.learned() else {
        return match origin.trainings() {
            0 | 1 => name.to_owned(),
            programs => format!("{name} ({programs} programs)"),
        };
    };
    let peers = peers((name, origin), all);
    if learned.trained_episodes == 0 {
        return match learned.artifact().filter(|_| !peers.is_empty()) {
            Some(artifact) => format!("{name}, never trained ({})", start_of(artifact)),
            None => format!("{name}, never trained"),
        };
    }
    let told_apart =
        !peers.is_empty() && peers.iter().all(|other| other.trained_episodes != learned.trained_episodes);
    let what = match (learned, told_apart) {
        (Learned { trained_episodes: 1, .. }, true) => "1 episode".to_owned(),
        (Learned { trained_episodes, .. }, true) => format!("{trained_episodes} episodes"),
        (Learned { trainings, .. }, false) if trainings.len() > 1 && peers.is_empty() => {
            format!("{} trainings", trainings.len())
        }
        _ => learned.artifact().map_or_else(String::new, start_of),
    };
    format!("{name} ({what})")
}

/// The same, but the name alone of a trained policy that has it for itself.
#[must_use]
pub fn short_title((name, origin): Named<'_>, all: &[Named<'_>]) -> String {
    let is_trained = origin.learned().is_some_and(|learned| learned.trained_episodes > 0);
    if is_trained && peers((name, origin), all).is_empty() {
        return name.to_owned();
    }
    title((name, origin), all)
}

/// The other learned policies of this name that are trained if it is, and never trained if it is not.
fn peers<'a>((name, origin): Named<'_>, all: &[Named<'a>]) -> Vec<&'a Learned> {
    let is_trained = |origin: &Origin| origin.learned().is_some_and(|learned| learned.trained_episodes > 0);
    let others = all
        .iter()
        .filter(|(other, its)| *other == name && *its != origin && is_trained(its) == is_trained(origin));
    others.filter_map(|(_, its)| its.learned()).collect()
}

fn start_of(artifact: Digest) -> String {
    artifact[..4].iter().map(|byte| format!("{byte:02x}")).collect()
}
