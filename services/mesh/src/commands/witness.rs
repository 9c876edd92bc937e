use std::{path::PathBuf, time::Duration};

use chrono::DateTime;
use clap::{Args, Subcommand};
use client::feeder::Round;
use serde::Serialize;

use crate::{
    exit::{Answer, usage},
    feeding::{self, News},
    interrupts::Interrupts,
    output::{note, say, say_json},
    remote::{LedgerArgs, ledger_error},
    runtime,
};

/// Have a ledger's checkpoints cosigned by witnesses
///
/// A witness is another site's remembrancer, or any service of C2SP tlog-witness: it cosigns what goes on from all that it
/// has cosigned of a log before, and refuses a log that lost or changed its past. Whoever verifies with a trust policy
/// (--policy of `mesh verify`) believes only what enough witnesses have cosigned.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mesh witness feed --policy witnesses.policy
  mesh witness feed --policy witnesses.policy --every 2")]
pub(crate) struct Witness {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Feed(Feed),
}

/// Bring a ledger's checkpoint to its witnesses, and their cosignatures back
///
/// The remembrancer calls nobody: this command reads its checkpoint and the proof from where each witness stands, asks the
/// witnesses that the policy has with a URL, and gives the remembrancer what they answer. Its own trust policy (the setting
/// `trust_policy`) says whose cosignatures it keeps. `mesh up` with --policy does the same for as long as the stack is up.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes:
  0  enough witnesses have cosigned the present checkpoint
  1  too few have, or one of them has seen another history
  2  used wrongly
  3  the remembrancer cannot be asked

Examples:
  mesh witness feed --policy witnesses.policy
  mesh witness feed --policy witnesses.policy --json
  mesh witness feed --policy witnesses.policy --every 2 --remembrancer http://127.0.0.1:8002")]
struct Feed {
    /// The trust policy (C2SP tlog-policy), with the witnesses' URLs
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// Go on until Ctrl-C, and look at the checkpoint again after so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    every: Option<u64>,
    /// Print the result as one JSON object
    #[arg(long, conflicts_with = "every")]
    json: bool,
    #[command(flatten)]
    ledger: LedgerArgs,
}

/// The answer of `--json`.
#[derive(Serialize)]
struct Report {
    tree_size: u64,
    root_hash: api::Hash,
    /// Whether enough witnesses have cosigned.
    quorum: bool,
    witnesses: Vec<Asked>,
}

#[derive(Serialize)]
struct Asked {
    witness: String,
    /// When it cosigned, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Witness {
    /// Does it.
    pub(crate) fn run(self) -> anyhow::Result<Answer> {
        match self.what {
            What::Feed(feed) => feed.run(),
        }
    }
}

impl Feed {
    fn run(self) -> anyhow::Result<Answer> {
        let remembrancer = self.ledger.remembrancer()?;
        let policy = feeding::read_policy(&self.policy)?;
        let mut feeder = feeding::feeder(&remembrancer, &policy)?;
        if feeder.witnesses() == 0 {
            let path = self.policy.display();
            return Err(usage(format!("--policy: {path} has no witness with a URL to ask it at")));
        }
        runtime::block_on("error", async {
            self.ledger.meet(&remembrancer).await?;
            if let Some(every) = self.every {
                let mut interrupts = Interrupts::watch()?;
                let tell = |news: &News| note(news.text());
                tokio::select! {
                    () = feeding::keep_feeding(feeder, Duration::from_secs(every), tell) => {}
                    () = interrupts.next() => note("stopped feeding the witnesses"),
                }
                return Ok(Answer::Yes);
            }
            let round = feeder.feed().await.map_err(|error| ledger_error(&remembrancer, error))?;
            self.tell(&round)
        })
    }

    fn tell(&self, round: &Round) -> anyhow::Result<Answer> {
        let quorum = round.quorum == Some(true);
        let forked = round.asked.iter().any(|(_, asked)| asked.as_ref().is_err_and(|error| error.is_fork()));
        if self.json {
            let witnesses = round.asked.iter().map(|(witness, asked)| Asked {
                witness: witness.clone(),
                time: asked.as_ref().ok().copied(),
                error: asked.as_ref().err().map(ToString::to_string),
            });
            say_json(&Report {
                tree_size: round.head.tree_size,
                root_hash: round.head.root_hash,
                quorum,
                witnesses: witnesses.collect(),
            })?;
        } else {
            let mut text =
                format!("checkpoint  {} leaves, root {}", round.head.tree_size, round.head.root_hash);
            for (witness, asked) in &round.asked {
                match asked {
                    Ok(time) => text.push_str(&format!("\n{witness}  cosigned it at {}", shown_time(*time))),
                    Err(error) => text.push_str(&format!("\n{witness}  did not: {error}")),
                }
            }
            let enough = if quorum { "enough" } else { "not enough" };
            text.push_str(&format!("\ncosignatures of it: {enough} for the ledger's trust policy"));
            say(&text)?;
        }
        Ok(if quorum && !forked { Answer::Yes } else { Answer::No })
    }
}

/// A time that a witness says.
pub(crate) fn shown_time(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    time.map_or_else(|| format!("{seconds} s"), |time| time.format("%Y-%m-%dT%H:%M:%SZ").to_string())
}
