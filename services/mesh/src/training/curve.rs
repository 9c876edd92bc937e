//! A run's learning curve: what had been learned at each of its checkpoints.

use anyhow::Context as _;
use api::{
    Hash, PageQuery,
    trainer::{Checkpoint, Run},
};
use client::{Remembrancer, Trainer};
use trainer::checkpoint::CheckpointDocument;

use super::outcome::retrying;

/// As many policies an evaluation takes beside the final one.
const MOST_POINTS: usize = 19;

/// The policies of a learner at its checkpoints, as artifacts: all of them, or as many as an evaluation takes, evenly
/// spread. The final one is not among them, and what it was before its first episode is in every evaluation.
///
/// # Errors
/// A service refuses, or a checkpoint is damaged.
pub(crate) async fn policies_on_the_way(
    trainer: &Trainer,
    remembrancer: &Remembrancer,
    run: &Run,
) -> anyhow::Result<Vec<Hash>> {
    let on_the_way = checkpoints(trainer, run).await?.into_iter();
    let on_the_way = on_the_way.filter(|c| c.episodes_done < run.progress.episodes_done).collect();
    let mut policies = Vec::new();
    for checkpoint in spread(on_the_way) {
        let bytes = retrying(|| remembrancer.artifact(&checkpoint.sha256)).await;
        let bytes = bytes.context("a checkpoint of the learning curve")?;
        let file = CheckpointDocument::parse(&bytes)?.policy()?;
        let bytes = serde_json::to_vec(&file).context("writing a policy")?;
        let put = retrying(|| remembrancer.put_artifact("application/json", bytes.clone()));
        policies.push(put.await.context("storing a policy of the learning curve")?.sha256);
    }
    Ok(policies)
}

async fn checkpoints(trainer: &Trainer, run: &Run) -> anyhow::Result<Vec<Checkpoint>> {
    let mut query = PageQuery { limit: Some(1000), cursor: None };
    let mut all = Vec::new();
    loop {
        let page = retrying(|| trainer.checkpoints(run.id, &query)).await.context("the run's checkpoints")?;
        all.extend(page.items);
        match page.next_cursor {
            None => return Ok(all),
            cursor => query.cursor = cursor,
        }
    }
}

/// At most [`MOST_POINTS`], evenly spread from the first to the last.
fn spread<T>(points: Vec<T>) -> Vec<T> {
    let count = points.len();
    if count <= MOST_POINTS {
        return points;
    }
    let kept: Vec<usize> = (0..MOST_POINTS).map(|i| i * (count - 1) / (MOST_POINTS - 1)).collect();
    points.into_iter().enumerate().filter(|(i, _)| kept.contains(i)).map(|(_, point)| point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_keeps_its_first_and_last_checkpoint_and_some_between() {
        assert_eq!(spread(vec![1, 2, 3]), [1, 2, 3]);
        let kept = spread((0..1000).collect());
        assert_eq!((kept.len(), kept[0], kept[9], kept[18]), (19, 0, 499, 999));
        assert_eq!(spread((0..20).collect::<Vec<_>>()).len(), 19);
    }
}
