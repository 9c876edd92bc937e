//! Deleting what runs decided: by name, and by age or size.

use std::collections::BTreeMap;

use anyhow::anyhow;
use api::{
    Hash,
    remembrancer::{DeletedDecisions, DeletionQuery},
    trainer::{Run, RunQuery},
};
use chrono::{DateTime, TimeDelta, Utc};
use clap::{ArgGroup, Args};
use client::{Remembrancer, Trainer};
use serde::Serialize;

use crate::{
    exit::Answer,
    output::{note, say, say_json},
    remote::{RemoteArgs, RunName, ledger_error, trainer_error},
    runtime,
};

/// A decision in the ledger takes about this many bytes, its share of indexes and tree included.
pub(crate) const BYTES_PER_DECISION: f64 = 300.0;

/// Which ledger, and why.
#[derive(Debug, Args)]
struct Wish {
    /// Why; it is recorded
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who wants it; it is recorded
    #[arg(long, value_name = "NAME", env = "USER")]
    by: Option<String>,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
    /// The address of the remembrancer
    #[arg(long, value_name = "URL", env = "MESH_REMEMBRANCER_URL", default_value = "http://127.0.0.1:8002")]
    remembrancer: String,
    #[command(flatten)]
    remote: RemoteArgs,
}

/// Runs by name.
#[derive(Debug, Args)]
pub(super) struct Delete {
    /// The runs' ids or their first digits, or `last`
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<RunName>,
    #[command(flatten)]
    wish: Wish,
}

/// Runs by age or size.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").required(true).multiple(true).args(["older_than", "keep_gb"])))]
pub(super) struct Prune {
    /// Those that ended longer ago than this, such as 30d or 12h
    #[arg(long, value_name = "AGE", value_parser = age)]
    older_than: Option<TimeDelta>,
    /// The oldest ones, until what is left takes at most so many GB, at about 300 bytes a decision
    #[arg(long, value_name = "N", value_parser = gigabytes)]
    keep_gb: Option<f64>,
    /// Only tell which ones
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    wish: Wish,
}

/// A run's decisions that are there. Runs of one configuration have them together.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Kept {
    /// The runs' digest.
    digest: Hash,
    /// When the last of the runs ended; absent while one has not.
    ended_at: Option<DateTime<Utc>>,
    /// How many there are.
    decisions: u64,
}

/// The answer of `--json`.
#[derive(Serialize)]
struct Pruned {
    dry_run: bool,
    runs: Vec<Kept>,
    decisions: u64,
    about_bytes: u64,
}

impl Delete {
    pub(super) fn run(self) -> anyhow::Result<Answer> {
        let (trainer, remembrancer) = self.wish.services()?;
        let deleted = runtime::block_on("error", async {
            let mut deleted = Vec::new();
            for name in &self.runs {
                let id = name.id(&trainer).await?;
                let run = trainer.run(id).await.map_err(|error| trainer_error(&trainer, error))?;
                let answer = self.wish.delete(&remembrancer, run.digest).await?;
                if !self.wish.json {
                    say(&told(&run, &answer))?;
                }
                deleted.push(answer);
            }
            Ok(deleted)
        })?;
        if self.wish.json {
            say_json(&serde_json::json!({ "deleted": deleted }))?;
        }
        Ok(Answer::Yes)
    }
}

impl Prune {
    pub(super) fn run(self) -> anyhow::Result<Answer> {
        let (trainer, remembrancer) = self.wish.services()?;
        runtime::block_on("error", async {
            let kept = kept(&trainer, &remembrancer).await?;
            let keep_bytes = self.keep_gb.map(|gigabytes| gigabytes * 1e9);
            let runs = chosen(kept, Utc::now(), self.older_than, keep_bytes);
            if !self.dry_run {
                for run in &runs {
                    self.wish.delete(&remembrancer, run.digest).await?;
                    note(&format!("run digest {}: {} decisions deleted", run.digest, run.decisions));
                }
            }
            let decisions = runs.iter().map(|run| run.decisions).sum();
            let about_bytes = bytes(decisions);
            let summary = Pruned { dry_run: self.dry_run, runs, decisions, about_bytes: about_bytes as u64 };
            if self.wish.json {
                say_json(&summary)?;
            } else {
                say(&pruned(&summary))?;
            }
            Ok(Answer::Yes)
        })
    }
}

impl Wish {
    fn services(&self) -> anyhow::Result<(Trainer, Remembrancer)> {
        Ok((self.remote.trainer()?, self.remote.remembrancer(&self.remembrancer)?))
    }

    async fn delete(&self, remembrancer: &Remembrancer, run: Hash) -> anyhow::Result<DeletedDecisions> {
        let by = self.by.clone().filter(|by| !by.is_empty());
        let query = DeletionQuery { reason: self.reason.clone(), by };
        let deleted = remembrancer.delete_decisions(&run, &query).await;
        deleted.map_err(|error| match error.problem() {
            Some(problem) if problem.code == "run_not_found" => {
                anyhow!("the ledger has no decision of the run {run}: it made none, or recorded none")
            }
            _ => ledger_error(remembrancer, error),
        })
    }
}

/// All decisions that can be deleted, or will be.
async fn kept(trainer: &Trainer, remembrancer: &Remembrancer) -> anyhow::Result<Vec<Kept>> {
    let mut query = RunQuery { limit: Some(1000), ..RunQuery::default() };
    let mut ends: BTreeMap<Hash, Option<DateTime<Utc>>> = BTreeMap::new();
    loop {
        let page = trainer.runs(&query).await.map_err(|error| trainer_error(trainer, error))?;
        for run in page.items {
            let end = run.ended_at.filter(|_| run.status.is_final());
            // none is less than any
            ends.entry(run.digest)
                .and_modify(|last| *last = last.zip(end).map(|(last, end)| last.max(end)))
                .or_insert(end);
        }
        match page.next_cursor {
            None => break,
            cursor => query.cursor = cursor,
        }
    }
    let mut kept = Vec::new();
    for (digest, ended_at) in ends {
        match remembrancer.run_head(&digest).await {
            Ok(head) if head.deletion.is_none() => {
                kept.push(Kept { digest, ended_at, decisions: head.next_sequence - head.first_sequence });
            }
            Ok(_) => {}
            Err(error) if error.problem().is_some_and(|problem| problem.status == 404) => {}
            Err(error) => return Err(ledger_error(remembrancer, error)),
        }
    }
    Ok(kept)
}

/// What is to be deleted, the oldest first.
fn chosen(
    mut kept: Vec<Kept>,
    now: DateTime<Utc>,
    older_than: Option<TimeDelta>,
    keep_bytes: Option<f64>,
) -> Vec<Kept> {
    kept.sort_by_key(|run| (run.ended_at, run.digest));
    let mut left: u64 = kept.iter().map(|run| run.decisions).sum();
    kept.retain(|run| {
        let Some(ended_at) = run.ended_at else { return false };
        let is_old = older_than.is_some_and(|age| now - ended_at > age);
        let is_chosen = is_old || keep_bytes.is_some_and(|most| bytes(left) > most);
        left -= if is_chosen { run.decisions } else { 0 };
        is_chosen
    });
    kept
}

fn bytes(decisions: u64) -> f64 {
    decisions as f64 * BYTES_PER_DECISION
}

fn told(run: &Run, answer: &DeletedDecisions) -> String {
    let record = &answer.record_id;
    match answer.decisions {
        0 => format!("run {}: its decisions had been deleted before (record {record})", run.id),
        count => format!(
            "run {}: {count} decisions deleted, about {:.2} GB (record {record}); figures, checkpoints and policy stay",
            run.id,
            bytes(count) / 1e9
        ),
    }
}

fn pruned(Pruned { dry_run, runs, decisions, about_bytes }: &Pruned) -> String {
    let verb = if *dry_run { "would be deleted" } else { "deleted" };
    format!("{decisions} decisions of {} runs {verb}, about {:.2} GB", runs.len(), *about_bytes as f64 / 1e9)
}

fn age(text: &str) -> Result<TimeDelta, String> {
    let expected = || format!("expected a number with `d` or `h`, such as 30d or 12h, found `{text}`");
    let hours = match text.split_at_checked(text.len().saturating_sub(1)) {
        Some((number, "d")) => number.parse::<u32>().ok().map(|days| i64::from(days) * 24),
        Some((number, "h")) => number.parse::<u32>().ok().map(i64::from),
        _ => None,
    };
    hours.and_then(TimeDelta::try_hours).ok_or_else(expected)
}

fn gigabytes(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
    number.ok_or_else(|| format!("expected a number from 0 on, found `{text}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(number: u8, days_ago: Option<i64>, decisions: u64) -> Kept {
        let ended_at = days_ago.map(|days| now() - TimeDelta::days(days));
        Kept { digest: Hash([number; 32]), ended_at, decisions }
    }

    fn now() -> DateTime<Utc> {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    fn digests(chosen: &[Kept]) -> Vec<u8> {
        chosen.iter().map(|run| run.digest.0[0]).collect()
    }

    #[test]
    fn the_oldest_are_deleted_first_and_none_that_goes_on() {
        let runs =
            vec![run(1, Some(10), 100), run(2, Some(40), 100), run(3, None, 100), run(4, Some(60), 100)];
        let old = chosen(runs.clone(), now(), age("30d").ok(), None);
        assert_eq!(digests(&old), [4, 2]);
        let large = chosen(runs.clone(), now(), None, Some(300.0 * 300.0));
        assert_eq!(digests(&large), [4]);
        let both = chosen(runs.clone(), now(), age("30d").ok(), Some(100.0 * 300.0));
        assert_eq!(digests(&both), [4, 2, 1]);
        assert_eq!(digests(&chosen(runs, now(), None, Some(1e9))), [0; 0]);
    }

    #[test]
    fn an_age_has_a_unit() {
        assert_eq!(age("30d"), Ok(TimeDelta::days(30)));
        assert_eq!(age("12h"), Ok(TimeDelta::hours(12)));
        for wrong in ["", "d", "30", "-1d", "1.5h", "3w", "ü"] {
            assert!(age(wrong).unwrap_err().contains("30d"), "{wrong}");
        }
    }
}
