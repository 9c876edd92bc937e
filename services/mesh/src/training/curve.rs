//! A run's learning curve: what had been learned at each of its checkpoints.

use anyhow::Context as _;
use api::{
    Hash, PageQuery,
    trainer::{Checkpoint, Run},
};
use client::{Remembrancer, Trainer};
use policy::{PolicyFile, Swarm};
use trainer::{checkpoint::CheckpointDocument, run_config::RunPlan};

use super::outcome::retrying;

/// As many policies an evaluation takes beside the final one.
const MOST_POINTS: usize = 19;

/// The policies of a learner before its first episode, if it began there, and at its checkpoints, as artifacts: all of
/// them, or as many as an evaluation takes, evenly spread. The final one is not among them.
///
/// # Errors
/// A service refuses, or a checkpoint is damaged.
pub(crate) async fn policies_on_the_way(
    trainer: &Trainer,
    remembrancer: &Remembrancer,
    run: &Run,
) -> anyhow::Result<Vec<Hash>> {
    let mut points: Vec<Option<Checkpoint>> = Vec::new();
    if run.config.resume_from.is_none() {
        points.push(None);
    }
    let on_the_way = checkpoints(trainer, run).await?;
    points.extend(on_the_way.into_iter().filter(|c| c.episodes_done < run.progress.episodes_done).map(Some));
    let mut policies = Vec::new();
    for point in spread(points) {
        let file = match point {
            None => untrained(run)?,
            Some(checkpoint) => {
                let bytes = retrying(|| remembrancer.artifact(&checkpoint.sha256)).await;
                let bytes = bytes.context("a checkpoint of the learning curve")?;
                CheckpointDocument::parse(&bytes)?.policy()?
            }
        };
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

fn untrained(run: &Run) -> anyhow::Result<PolicyFile> {
    let invalid = |errors: Vec<api::FieldError>| anyhow::anyhow!("the run's configuration: {errors:?}");
    let plan = RunPlan::of_record(&run.config).map_err(invalid)?;
    let swarm = Swarm::new(plan.swarm.clone(), &plan.environment)?;
    Ok(plan.policy(&swarm, 0, 0))
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
