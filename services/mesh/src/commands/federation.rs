use anyhow::bail;
use api::trainer::{Exclusion, Federation as Shown, FederationStream};
use clap::{Args, Subcommand};
use client::Trainer;

use crate::{
    audit::{Audit, Finding},
    exit::Answer,
    hints,
    output::{note, say, say_json, table},
    remote::{RemoteArgs, trainer_error},
    runtime,
};

/// Show what nodes learn from each other, leave one out, check a contribution
///
/// Nodes are stacks with peers (--peer of `mesh up`). Runs that are trained with --federate publish what they have seen and act
/// on what all have seen.
#[derive(Debug, Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Federation {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Status(Status),
    Exclude(Exclude),
    Audit(AuditArgs),
}

/// Show this node's name, its peers, and what each has contributed
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mesh federation status
  mesh federation status --json
  mesh federation status --trainer http://127.0.0.1:18001")]
struct Status {
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: RemoteArgs,
}

/// Leave a node's contributions out, or take that back
///
/// Runs that exchange after this act as if the node had said nothing. Its operator's decision is recorded, and told to the
/// other nodes as advice.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mesh federation exclude ai-mesh.example/log+c3482a7f+AZCzqNDHB0LcM/BGSGyiF3YUwFBUSQm65eMZ1w0O4Iyh --reason \"its figures are made up\"
  mesh federation exclude ai-mesh.example/log+c3482a7f+AZCzqNDHB0LcM/BGSGyiF3YUwFBUSQm65eMZ1w0O4Iyh --from 12 --reason \"its key was stolen\"
  mesh federation exclude ai-mesh.example/log+c3482a7f+AZCzqNDHB0LcM/BGSGyiF3YUwFBUSQm65eMZ1w0O4Iyh --undo --reason \"it was a mistake\"")]
struct Exclude {
    /// The key of the node's log, as `mesh federation status` lists it
    #[arg(value_name = "KEY")]
    author: String,
    /// Why, which is recorded
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// From which of its contributions on
    #[arg(long, value_name = "N", default_value_t = 0, conflicts_with = "undo")]
    from: u64,
    /// Heed the node again
    #[arg(long)]
    undo: bool,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: RemoteArgs,
}

/// Check a contribution: play the run that made it again, and compare what it has seen
///
/// A contribution names the configuration and the seed of its run. What that run took in of others stands in its author's
/// ledger, which --remembrancer names. A contribution that its run does not make, together with the evidence that the author's
/// log names it, convicts the author before anybody. Exit codes: 0 it is what the run makes, 1 it is not, 3 it could not be
/// checked.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mesh federation audit 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03
  mesh federation audit 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03 --remembrancer http://10.0.0.2:8002")]
struct AuditArgs {
    /// SHA-256 of the contribution, as `mesh federation status` lists it
    #[arg(value_name = "SHA256")]
    contribution: api::Hash,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
    /// The address of the remembrancer of the contribution's author
    #[arg(long, value_name = "URL", env = "MESH_REMEMBRANCER_URL", default_value = "http://127.0.0.1:8002")]
    remembrancer: String,
    #[command(flatten)]
    remote: RemoteArgs,
}

impl Federation {
    /// Does what is asked for.
    pub(crate) fn run(self) -> anyhow::Result<Answer> {
        match self.command {
            Command::Status(command) => command.run(),
            Command::Exclude(command) => command.run(),
            Command::Audit(command) => command.run(),
        }
    }
}

impl Status {
    fn run(self) -> anyhow::Result<Answer> {
        let trainer = self.remote.trainer()?;
        runtime::block_on("error", async {
            let federation = trainer.federation().await.map_err(|error| trainer_error(&trainer, error))?;
            if self.json {
                say_json(&federation)?
            } else {
                tell(&trainer, &federation)?
            }
            Ok(Answer::Yes)
        })
    }
}

impl Exclude {
    fn run(self) -> anyhow::Result<Answer> {
        let trainer = self.remote.trainer()?;
        let exclusion = Exclusion {
            author: self.author,
            from_sequence: self.from,
            reason: self.reason,
            stands: !self.undo,
        };
        if exclusion.reason.trim().is_empty() {
            bail!("--reason: expected a text, because it is recorded and told to the other nodes");
        }
        runtime::block_on("error", async {
            let federation =
                trainer.exclude(&exclusion).await.map_err(|error| trainer_error(&trainer, error))?;
            if self.json {
                say_json(&federation)?
            } else {
                tell(&trainer, &federation)?
            }
            Ok(Answer::Yes)
        })
    }
}

impl AuditArgs {
    fn run(self) -> anyhow::Result<Answer> {
        let (trainer, remembrancer) = (self.remote.trainer()?, self.remote.remembrancer(&self.remembrancer)?);
        runtime::block_on("error", async {
            let proved = trainer
                .contribution(&self.contribution)
                .await
                .map_err(|error| trainer_error(&trainer, error))?;
            let audit = Audit::of(self.contribution, &proved)?;
            let finding = audit.play_again(&remembrancer, note).await?;
            if self.json {
                say_json(&finding)?;
            } else {
                say(&finding.to_string())?;
            }
            Ok(if matches!(finding, Finding::Confirmed { .. }) { Answer::Yes } else { Answer::No })
        })
    }
}

fn tell(trainer: &Trainer, federation: &Shown) -> anyhow::Result<()> {
    let url = &trainer.endpoint().url;
    say(&format!("this node   {}\nto others   --peer \"{}@{url}\"", federation.author, federation.author))?;
    if federation.peers.is_empty() {
        say(&hints::with_commands("peers       none: `mesh up --peer KEY@URL` names one"))?;
    } else {
        let peers = federation.peers.iter().map(|peer| {
            let state = match (&peer.error, peer.answered_at) {
                (Some(error), _) => error.clone(),
                (None, Some(at)) => format!("answered at {}", at.format("%H:%M:%S")),
                (None, None) => "not asked yet".to_owned(),
            };
            vec![name(&peer.author).to_owned(), peer.url.clone(), state]
        });
        say(&format!("\n{}", table(&["peer", "trainer", "state"], peers)))?;
    }
    for stream in &federation.streams {
        tell_stream(stream)?;
    }
    for exclusion in &federation.exclusions {
        say(&format!("left out: {}: {}", exclusion.author, exclusion.reason))?;
    }
    for advice in &federation.advice {
        let Exclusion { author, reason, .. } = &advice.exclusion;
        say(&format!("advice of {}: leave {author} out: {reason}", name(&advice.by)))?;
    }
    Ok(())
}

fn tell_stream(stream: &FederationStream) -> anyhow::Result<()> {
    let learner = stream.about.as_ref().and_then(|about| about["learner"].as_str());
    let learner = learner.unwrap_or("a learner that no run here has");
    say(&format!("\nstream      {} ({learner})", stream.id))?;
    if let Some(fold) = stream.fold_sha256 {
        say(&format!("comes to    {fold}"))?;
    }
    let rows = stream.contributions.iter().map(|of| {
        let out = stream.left_out.iter().find(|out| out.author == of.author);
        let state = out.and_then(|out| out.why["reason"].as_str()).unwrap_or("heeded");
        let decisions = of.evidence.to_string();
        vec![
            name(&of.author).to_owned(),
            of.sequence.to_string(),
            decisions,
            state.into(),
            of.sha256.to_string(),
        ]
    });
    say(&table(&["node", "number", "decisions", "state", "contribution"], rows))
}

/// A log's name and its key's number: whoever makes a log gives it the same name unless told otherwise.
fn name(author: &str) -> &str {
    author.match_indices('+').nth(1).map_or(author, |(at, _)| &author[..at])
}
