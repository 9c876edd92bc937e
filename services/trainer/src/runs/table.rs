//! All runs by their ids, and those of them that have not ended: what happens often visits only these.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::Arc,
};

use api::trainer::RunStatus;
use uuid::Uuid;

use crate::run::Run;

/// Runs by their ids.
#[derive(Default)]
pub(super) struct ById {
    all: BTreeMap<Uuid, Arc<Run>>,
    /// Those that had not ended when they were visited last. A run that has ended stays so.
    unfinished: BTreeMap<Uuid, Arc<Run>>,
    /// How many of the others ended how.
    ended: HashMap<RunStatus, u32>,
}

impl ById {
    pub(super) fn get(&self, id: Uuid) -> Option<&Arc<Run>> {
        self.all.get(&id)
    }

    /// Adds a run, unless one with its id is there, which counts; true when it is new.
    pub(super) fn insert(&mut self, run: Arc<Run>) -> (Arc<Run>, bool) {
        if let Some(there) = self.all.get(&run.id) {
            return (there.clone(), false);
        }
        self.all.insert(run.id, run.clone());
        self.unfinished.insert(run.id, run.clone());
        (run, true)
    }

    /// The newest first: UUIDv7 are ordered by time. With `after`, only those that come after that one.
    pub(super) fn newest_first(&self, after: Option<Uuid>) -> impl Iterator<Item = &Arc<Run>> {
        let below = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.all.range((Bound::Unbounded, below)).rev().map(|(_, run)| run)
    }

    /// The runs that have not ended, the oldest first.
    pub(super) fn unfinished(&mut self) -> impl Iterator<Item = &Arc<Run>> {
        self.unfinished.retain(|_, run| {
            let status = run.state().status;
            if status.is_final() {
                *self.ended.entry(status).or_default() += 1;
            }
            !status.is_final()
        });
        self.unfinished.values()
    }

    /// How many runs stand where.
    pub(super) fn counts(&mut self) -> HashMap<RunStatus, u32> {
        let at_work: Vec<_> = self.unfinished().map(|run| run.state().status).collect();
        let mut counts = self.ended.clone();
        for status in at_work {
            *counts.entry(status).or_default() += 1;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use api::{Hash, trainer::NewRun};

    use super::*;

    #[test]
    fn a_run_is_counted_once_wherever_it_stands_and_visited_until_it_has_ended() {
        let mut runs = ById::default();
        let ids: Vec<_> = (0..3).map(|_| Uuid::now_v7()).collect();
        for id in &ids {
            runs.insert(Arc::new(Run::new(*id, Hash([0; 32]), NewRun::default())));
        }
        let again = Arc::new(Run::new(ids[0], Hash([1; 32]), NewRun::default()));
        let (first, is_new) = runs.insert(again);
        assert_eq!((first.digest, is_new), (Hash([0; 32]), false));
        assert_eq!(runs.counts(), HashMap::from([(RunStatus::Queued, 3)]));

        first.state().status = RunStatus::Running;
        runs.get(ids[1]).unwrap().state().status = RunStatus::Failed;
        let expected =
            HashMap::from([(RunStatus::Running, 1), (RunStatus::Failed, 1), (RunStatus::Queued, 1)]);
        assert_eq!(runs.counts(), expected);
        assert_eq!(runs.counts(), expected, "looking again changes nothing");
        assert!(runs.unfinished().map(|run| run.id).eq([ids[0], ids[2]]));
        assert!(runs.newest_first(Some(ids[2])).map(|run| run.id).eq([ids[1], ids[0]]));
    }
}
