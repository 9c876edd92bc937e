use api::remembrancer::RecordKind;

use crate::{
    decision, deployment, deployments, evaluation, federation, intervention, limit, log, note, policy, psi,
    run, serving,
};

/// What a record of a kind that this program does not know is described as.
const UNKNOWN: &str = "ai-mesh record";

const FAMILIES: [&[Kind]; 13] = [
    run::KINDS,
    policy::KINDS,
    serving::KINDS,
    decision::KINDS,
    intervention::KINDS,
    psi::KINDS,
    evaluation::KINDS,
    limit::KINDS,
    deployment::KINDS,
    deployments::KINDS,
    federation::KINDS,
    note::KINDS,
    log::KINDS,
];

/// A kind of record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// What it is called, a [`RecordKind`].
    pub name: &'static str,
    /// What such a record tells, in the words that people search with. A kind's records are found by the
    /// descriptions of the kinds that include it too.
    pub description: &'static str,
    /// What the same record was called by versions that had six kinds for everything.
    pub formerly: Option<&'static str>,
}

impl Kind {
    /// Its name, as records and queries have it.
    #[must_use]
    pub fn record_kind(&self) -> RecordKind {
        RecordKind::from_static(self.name)
    }

    /// Its name, then the former one: the kinds under which its records are found.
    pub fn names(&self) -> impl Iterator<Item = RecordKind> + use<> {
        [Some(self.name), self.formerly].into_iter().flatten().map(RecordKind::from_static)
    }
}

/// Every kind that this program writes or wrote.
pub fn kinds() -> impl Iterator<Item = &'static Kind> {
    FAMILIES.into_iter().flatten()
}

/// The descriptions of a kind and of those that include it, the most general first.
#[must_use]
pub fn describe(kind: &RecordKind) -> String {
    let mut including: Vec<_> = kinds().filter(|known| known.record_kind().includes(kind)).collect();
    including.sort_by_key(|known| known.name.len());
    let descriptions: Vec<_> = including.iter().map(|known| known.description).collect();
    if descriptions.is_empty() { UNKNOWN.to_owned() } else { descriptions.join("; ") }
}

/// True for two names of one kind, the present and the former. The ledger takes records that differ in nothing else for
/// the same one: an event that was recorded before an upgrade may be told again after it, and while it is under way.
#[must_use]
pub fn same_kind(one: &RecordKind, other: &RecordKind) -> bool {
    let renamed = |former: &RecordKind, now: &RecordKind| {
        kinds().any(|kind| kind.name == now.as_str() && kind.formerly == Some(former.as_str()))
    };
    one == other || renamed(one, other) || renamed(other, one)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn kind(name: &str) -> RecordKind {
        name.parse().unwrap()
    }

    #[test]
    fn every_kind_has_a_valid_name_of_its_own_and_a_description() {
        let mut names = BTreeSet::new();
        for known in kinds() {
            assert!(names.insert(known.name), "{} is there twice", known.name);
            assert!(known.names().count() >= 1 && !known.description.is_empty(), "{known:?}");
        }
    }

    #[test]
    fn what_is_said_of_a_kind_is_said_of_those_below_it() {
        let run = describe(&kind("run"));
        assert!(run.contains("routing decisions"));
        for below in ["run.created", "run.archived.twice"] {
            assert!(describe(&kind(below)).starts_with(&run), "{below}");
        }
        assert_eq!(describe(&kind("runway")), UNKNOWN);
    }

    #[test]
    fn a_renamed_kind_is_known_by_both_names() {
        assert!(
            same_kind(&kind("run"), &kind("run.created")) && same_kind(&kind("run.created"), &kind("run"))
        );
        assert!(same_kind(&kind("poem"), &kind("poem")));
        assert!(
            !same_kind(&kind("run"), &kind("note")) && !same_kind(&kind("run.created"), &kind("run.ended"))
        );
    }
}
