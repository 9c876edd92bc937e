//! The work of one evaluation: play the episodes, solve the limits that nobody knows yet, tell the result.

use std::sync::atomic::{AtomicU64, Ordering};

use api::{Hash, evaluator::EvaluationResult};
use limit::{AllocationError, Limit};
use tokio_util::sync::CancellationToken;

use crate::{
    episodes::{Achieved, Contestant, play},
    limits::{Sample, is_possible, solve},
    plan::Plan,
    report::report,
};

/// How far an evaluation is.
#[derive(Default)]
pub(crate) struct Progress {
    /// Episodes played.
    pub(crate) episodes: AtomicU64,
    /// Steps whose limit is known.
    pub(crate) limit_steps: AtomicU64,
}

/// What was found.
pub(crate) struct Found {
    /// The result.
    pub(crate) result: EvaluationResult,
    /// The limits that were solved for it, each with its key.
    pub(crate) solved: Vec<(Hash, Limit)>,
    /// Steps whose limit was known before.
    pub(crate) known_steps: u64,
}

/// Does the work. `keys` and `known` are those of the limits, by seed; both are empty where there is no limit. `None`
/// when it was cancelled.
pub(crate) fn evaluate(
    plan: &Plan,
    contestants: &[Contestant],
    keys: &[Hash],
    known: Vec<Option<Limit>>,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Option<Found> {
    let environment = &plan.environment;
    let sample = plan.sample.as_ref();
    let achieved = play(environment, contestants, &plan.seeds, sample, &progress.episodes, cancel)?;
    let Some(sample) = sample else {
        let result = report(plan, contestants, &achieved, None);
        return Some(Found { result, solved: Vec::new(), known_steps: 0 });
    };
    let known = possible(sample, known, &achieved);
    let known_steps = known.iter().flatten().map(|limit| limit.steps).sum();
    progress.limit_steps.fetch_add(known_steps, Ordering::Relaxed);
    let (limits, solved) = match complete(plan, sample, keys, known, progress, cancel)? {
        Ok((limits, solved)) => (Some(limits), solved),
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the physical limit could not be solved"
            );
            (None, Vec::new())
        }
    };
    Some(Found { result: report(plan, contestants, &achieved, limits.as_deref()), solved, known_steps })
}

/// Those of the known limits, by seed, that can be the limits of what was played.
fn possible(sample: &Sample, known: Vec<Option<Limit>>, achieved: &[Vec<Achieved>]) -> Vec<Option<Limit>> {
    let of_seed = |seed: usize| achieved.iter().map(move |by_seed| &by_seed[seed]);
    let known = known.into_iter().enumerate();
    known.map(|(seed, limit)| limit.filter(|limit| is_possible(limit, sample, of_seed(seed)))).collect()
}

type Completed = (Vec<Limit>, Vec<(Hash, Limit)>);

/// All limits by seed, and those that had to be solved for it.
fn complete(
    plan: &Plan,
    sample: &Sample,
    keys: &[Hash],
    mut limits: Vec<Option<Limit>>,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Option<Result<Completed, AllocationError>> {
    let unknown: Vec<usize> = (0..limits.len()).filter(|i| limits[*i].is_none()).collect();
    let seeds: Vec<u64> = unknown.iter().map(|i| plan.seeds[*i]).collect();
    let solved = match solve(&plan.environment, sample, &seeds, &progress.limit_steps, cancel)? {
        Ok(solved) => solved,
        Err(error) => return Some(Err(error)),
    };
    for (i, limit) in unknown.iter().zip(&solved) {
        limits[*i] = Some(*limit);
    }
    let solved = unknown.iter().map(|i| keys[*i]).zip(solved).collect();
    Some(Ok((limits.into_iter().flatten().collect(), solved)))
}
