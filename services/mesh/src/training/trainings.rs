//! Training the same swarm again on other seeds, to see how much of a result is the luck of a training.
//!
//! Every training is a run of its own, recorded as the first one is, and tagged with the first one's id.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use api::{
    Hash,
    trainer::{NewRun, Run, RunStatus},
};
use client::Trainer;
use serde::Serialize;
use uuid::Uuid;

use super::{
    follow::follow,
    outcome::{RunFiles, retrying},
};
use crate::{
    connection::Connection, exit::usage, files::writable_folder, interrupts::Interrupts, output::note,
};

/// What trains a swarm again.
pub(crate) struct Trainings<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) trainer: &'a Trainer,
    /// Where the first training's files are.
    pub(crate) folder: &'a Path,
}

/// A further training that is done.
#[derive(Debug, Serialize)]
pub(crate) struct Training {
    pub(crate) run_id: Uuid,
    run_digest: Hash,
    run_root: Option<Hash>,
    pub(crate) seed: u64,
    pub(crate) policy_sha256: Hash,
    output: PathBuf,
}

/// Refuses trainings whose seeds there are not.
///
/// # Errors
/// The last one's seeds reach into the held-out ones.
pub(crate) fn check(run: &NewRun, trainings: u32) -> anyhow::Result<()> {
    let end = seed(run, trainings);
    if trainings > 1 && end > api::FIRST_HELD_OUT_SEED {
        return Err(usage(format!(
            "{trainings} trainings of {} episodes from --seed {} on need seeds up to {}, and those from 2^32 on are held \
             out: choose a lower --seed or fewer --training-seeds",
            run.episodes,
            run.seed,
            end - 1
        )));
    }
    Ok(())
}

/// The seed of the training with this number, from 0: no two share an episode.
fn seed(run: &NewRun, training: u32) -> u64 {
    run.seed.saturating_add(u64::from(training) * u64::from(run.episodes))
}

impl Trainings<'_> {
    /// Trains as the first run did, so often that there are as many trainings as `count`. The runs begin together; the
    /// trainer plays as many at a time as it has room for.
    ///
    /// # Errors
    /// A run fails, the trainer refuses, or an interrupt came.
    pub(crate) async fn train(
        &self,
        first: &Run,
        count: u32,
        interrupts: &mut Interrupts,
    ) -> anyhow::Result<Vec<Training>> {
        let mut started = Vec::new();
        let named = first.labels.name.as_ref().map_or_else(String::new, |name| format!("{name}, "));
        for training in 1..count {
            let mut tags = first.labels.tags.clone();
            tags.push(format!("training-of-{}", first.id));
            let run = NewRun {
                seed: seed(&first.config, training),
                name: Some(format!("{named}training {} of {count}", training + 1)),
                tags,
                resume_from: None,
                ..first.config.clone()
            };
            let key = Uuid::now_v7().to_string();
            started.push(retrying(|| self.trainer.create_run(&run, Some(&key))).await?);
        }
        let mut done = Vec::new();
        for (number, run) in (2..).zip(&started) {
            note(&format!("training {number} of {count}, episodes from seed {}", run.config.seed));
            let run = follow(self.trainer, run.clone(), false, interrupts).await?;
            if run.status != RunStatus::Completed {
                self.give_up(&started).await;
                let why = run.error.unwrap_or_else(|| "it was stopped".into());
                bail!(
                    "training {number} of {count} (run {}) did not complete: {why}. The first run is complete; its files \
                     are in {}, and `mesh evaluate` judges its policy",
                    run.id,
                    self.folder.display()
                );
            }
            done.push(self.fetch(&run, number).await?);
        }
        Ok(done)
    }

    async fn fetch(&self, run: &Run, number: u32) -> anyhow::Result<Training> {
        let output = self.folder.join(format!("training_{number}"));
        writable_folder(&output)?;
        let files = RunFiles::fetch(self.trainer, self.connection, run, &output).await?;
        files.draw()?;
        Ok(Training {
            run_id: run.id,
            run_digest: run.digest,
            run_root: run.run_root,
            seed: run.config.seed,
            policy_sha256: run.policy_sha256.context("a completed run of a learner has a policy")?,
            output,
        })
    }

    /// Asks the runs to stop that have not ended: left alone, the next stack would resume them.
    async fn give_up(&self, started: &[Run]) {
        for run in started {
            // one that has ended refuses, which is as well
            let _ = self.trainer.cancel_run(run.id).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trainings_share_no_episode_and_stay_below_the_held_out_seeds() {
        let run = NewRun { seed: 7, episodes: 50, ..NewRun::default() };
        assert_eq!([0, 1, 2].map(|training| seed(&run, training)), [7, 57, 107]);
        let last = NewRun { seed: (1 << 32) - 100, ..run };
        assert!(check(&last, 2).is_ok() && check(&last, 1).is_ok());
        let refused = check(&last, 3).unwrap_err().to_string();
        assert!(refused.contains("choose a lower --seed or fewer --training-seeds"), "{refused}");
    }
}
