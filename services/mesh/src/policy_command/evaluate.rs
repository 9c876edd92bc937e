//! An evaluation in this process: also with policy commands, which no service may run.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::Context as _;
use api::{
    Hash,
    evaluator::{Evaluation, EvaluationStatus, NewEvaluation},
};
use chrono::Utc;
use evaluation::{
    episodes::{Achieved, Contestant},
    plan::Plan,
    progress::Progress,
};
use evaluator::local::{LocalEvaluation, LocalResult};
use indicatif::{ProgressBar, ProgressStyle};
use routing_env::{Episode, gym::Space};
use uuid::Uuid;

use super::{PolicyArgs, PolicyCommand, play_episodes};
use crate::{exit::usage, output::note, progress};

/// An evaluation that nobody has recorded, and its CSV.
pub(crate) struct Unrecorded {
    pub(crate) evaluation: Evaluation,
    pub(crate) csv: String,
}

/// Lets each command play the held-out episodes, and judges what came of it beside the policies of these files, the rules
/// and the limit. Commands of one name are trainings of one policy, unless they are to be kept apart.
///
/// # Errors
/// A command fails, or the request is wrong.
pub(crate) fn evaluate_here(
    programs: &PolicyArgs,
    apart: bool,
    request: NewEvaluation,
    files: &BTreeMap<Hash, Vec<u8>>,
) -> anyhow::Result<Unrecorded> {
    let created_at = Utc::now();
    let local = LocalEvaluation::new(&request, files).map_err(|error| usage(error.to_string()))?;
    let mut played: Vec<(String, Vec<BTreeMap<u64, Achieved>>)> = Vec::new();
    for command in &programs.policy_command {
        let (name, by_seed) = play(command, programs.timeout()?, local.plan())?;
        match played.iter_mut().find(|(known, _)| *known == name).filter(|_| !apart) {
            Some((_, plays)) => plays.push(by_seed),
            None => played.push((name, vec![by_seed])),
        }
    }
    let (episodes, steps) = (local.plan().episodes(), local.plan().limit_steps());
    let contestants = played.into_iter().map(|(name, plays)| Contestant::of_plays(name, plays)).collect();
    let LocalResult { result, csv, unsolved } = judge(local, contestants)?;
    if let Some(why) = unsolved {
        note(&format!("The limit could not be solved: {why}"));
    }
    let evaluation = Evaluation {
        id: Uuid::now_v7(),
        status: EvaluationStatus::Completed,
        config: request,
        created_at,
        episodes_done: episodes,
        episodes_total: episodes,
        limit_steps_done: steps,
        limit_steps_total: steps,
        assumed_prices: Vec::new(),
        result: Some(result),
        record_id: None,
        error: None,
    };
    Ok(Unrecorded { evaluation, csv })
}

/// The command's name, and what it achieved by seed.
fn play(command: &str, timeout: Duration, plan: &Plan) -> anyhow::Result<(String, BTreeMap<u64, Achieved>)> {
    let environment = plan.environment.as_ref();
    let space = Space::new(environment);
    let mut program = PolicyCommand::start(command, timeout, environment, &space)?;
    let steps = plan.seeds.len() as u64 * u64::from(environment.steps());
    let bar = bar(steps, format!("steps of {}", program.name()));
    let limit_steps: Vec<Vec<u32>> =
        plan.seeds.iter().map(|seed| plan.sample.map_or_else(Vec::new, |sample| sample.of(*seed))).collect();
    let mut achieved: Vec<Achieved> = plan.seeds.iter().map(|_| Achieved::new(environment)).collect();
    let episodes = plan.seeds.iter().map(|seed| (*seed, Episode::new(environment, *seed, plan.reward())));
    let mut watch = |number: usize, episode: &Episode<'_>| {
        let step = episode.outcome();
        achieved[number].add(environment, step.step, step.metrics, &limit_steps[number]);
        bar.inc(1);
    };
    let ended = play_episodes(&mut program, &space, episodes.collect(), &mut watch);
    bar.finish_and_clear();
    ended?;
    Ok((program.name().to_owned(), plan.seeds.iter().copied().zip(achieved).collect()))
}

/// The rest of the work, with a bar that follows it.
fn judge(local: LocalEvaluation, played: Vec<Contestant>) -> anyhow::Result<LocalResult> {
    let (progress, is_done) = (Arc::new(Progress::default()), Arc::new(AtomicBool::new(false)));
    let (episodes, steps) = (local.plan().episodes(), local.plan().limit_steps());
    let bar = bar(episodes + steps, "episodes of the evaluation, and steps of the physical limit");
    let follower = {
        let (progress, is_done, bar) = (progress.clone(), is_done.clone(), bar.clone());
        thread::spawn(move || {
            while !is_done.load(Ordering::Relaxed) {
                bar.set_length(progress.expected().max(episodes) + steps);
                bar.set_position(progress.episodes() + progress.limit_steps());
                thread::sleep(Duration::from_millis(200));
            }
        })
    };
    let judged = local.judge(played, &progress);
    is_done.store(true, Ordering::Relaxed);
    let _ = follower.join();
    bar.finish_and_clear();
    judged.context("the evaluation")
}

fn bar(length: u64, message: impl Into<Cow<'static, str>>) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {bar:20} {pos}/{len} · {eta} left · {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = progress::bar(length, style);
    bar.set_message(message);
    bar
}
