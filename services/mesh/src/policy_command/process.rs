//! The program: started with a shell, told and asked over pipes, ended when nobody needs it any more.

use std::{
    io::{BufRead as _, BufReader, BufWriter, Read as _, Write as _},
    os::unix::process::CommandExt as _,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Context as _, bail};
use routing_env::{Environment, gym::Space};
use rustix::process::{Pid, Signal, kill_process_group};

use super::messages::{Choices, Hello, PROTOCOL, TurnLine, Welcome};
use crate::exit::usage;

/// A longer line is no answer.
const LONGEST_LINE: u64 = 1 << 20;

/// Flags that name a program.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct PolicyArgs {
    /// A program that decides, as the shell takes it, such as 'python my_policy.py'. It is told one turn a line (JSON) on its
    /// standard input and answers each on its standard output; see clients/python/README.md. Several may be given
    #[arg(long, value_name = "COMMAND")]
    pub(crate) policy_command: Vec<String>,
    /// Seconds that a policy command may take for an answer
    #[arg(long, value_name = "S", requires = "policy_command", default_value_t = 60.0)]
    pub(crate) policy_timeout: f64,
}

impl PolicyArgs {
    /// How long to wait for an answer.
    ///
    /// # Errors
    /// It is no time.
    pub(crate) fn timeout(&self) -> anyhow::Result<Duration> {
        let timeout = Duration::try_from_secs_f64(self.policy_timeout).ok().filter(|time| !time.is_zero());
        timeout.ok_or_else(|| usage("--policy-timeout: expected a number of seconds above 0"))
    }
}

/// A policy command at work.
pub(crate) struct PolicyCommand {
    command: String,
    name: String,
    child: Child,
    input: Option<BufWriter<ChildStdin>>,
    lines: mpsc::Receiver<String>,
    timeout: Duration,
    turns: u64,
}

impl PolicyCommand {
    /// Starts it and tells it what is played.
    ///
    /// # Errors
    /// It cannot be started, or does not speak the protocol.
    pub(crate) fn start(
        command: &str,
        timeout: Duration,
        environment: &Environment,
        space: &Space,
    ) -> anyhow::Result<Self> {
        let mut child = Command::new("sh")
            .args(["-c", command])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0) // so that it ends with all that it has started
            .spawn()
            .context("--policy-command: the shell cannot be started")?;
        let input = child.stdin.take().map(BufWriter::new);
        let output = child.stdout.take().context("--policy-command: no standard output")?;
        let (send, lines) = mpsc::channel();
        thread::spawn(move || {
            let mut output = BufReader::new(output);
            let mut line = String::new();
            while output.by_ref().take(LONGEST_LINE).read_line(&mut line).is_ok_and(|read| read > 0) {
                if send.send(std::mem::take(&mut line)).is_err() {
                    return;
                }
            }
        });
        let (command, name) = (command.to_owned(), command.to_owned());
        let mut started = Self { command, name, child, input, lines, timeout, turns: 0 };
        let hello = Hello {
            protocol: PROTOCOL,
            environment: environment.preset().name(),
            steps: environment.steps(),
            features: space.features(),
            actions: space.actions(),
        };
        let welcome: Welcome = started.ask("the first line", &hello)?;
        if welcome.protocol != PROTOCOL {
            bail!("{} speaks `{}`: expected the protocol `{PROTOCOL}`", started.told(), welcome.protocol);
        }
        if let Some(name) = welcome.name.filter(|name| !name.trim().is_empty()) {
            started.name = name;
        }
        Ok(started)
    }

    /// What it calls itself, or else its command.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its choices for a turn, each one allowed.
    ///
    /// # Errors
    /// It has ended, does not answer in time, or answers something else.
    pub(crate) fn choose(&mut self, turn: &TurnLine<'_>, actions: &[String]) -> anyhow::Result<Vec<usize>> {
        let what = format!("turn {}", self.turns);
        let Choices { choices } = self.ask(&what, turn)?;
        if choices.len() != turn.episodes.len() {
            let (expected, found) = (turn.episodes.len(), choices.len());
            bail!(
                "{}, {what}: expected {expected} choices, one for each episode, found {found}",
                self.told()
            );
        }
        for (position, (choice, mask)) in choices.iter().zip(&turn.action_masks).enumerate() {
            if mask.get(*choice) != Some(&true) {
                let named = actions.get(*choice).map_or(String::new(), |name| format!(" (`{name}`)"));
                let allowed = actions.iter().enumerate().filter(|(action, _)| mask[*action]);
                let allowed: Vec<_> = allowed.map(|(action, name)| format!("{action} (`{name}`)")).collect();
                bail!(
                    "{}, {what}: choice {position} (of the episode with the seed {}) is {choice}{named}, which its mask does \
                     not allow: expected one of {}",
                    self.told(),
                    turn.seeds[position],
                    allowed.join(", ")
                );
            }
        }
        self.turns += 1;
        Ok(choices)
    }

    /// Tells it something and reads its answer.
    fn ask<T: serde::de::DeserializeOwned>(
        &mut self,
        what: &str,
        message: &impl serde::Serialize,
    ) -> anyhow::Result<T> {
        let mut line = serde_json::to_vec(message).context("a turn as JSON")?;
        line.push(b'\n');
        let told = self.input.as_mut().map(|input| input.write_all(&line).and_then(|()| input.flush()));
        if !matches!(told, Some(Ok(()))) {
            return Err(self.has_ended(what));
        }
        let answer = match self.lines.recv_timeout(self.timeout) {
            Ok(answer) => answer,
            Err(mpsc::RecvTimeoutError::Disconnected) => return Err(self.has_ended(what)),
            Err(mpsc::RecvTimeoutError::Timeout) => bail!(
                "{} did not answer {what} within {} s: make it faster, or give it more with --policy-timeout",
                self.told(),
                self.timeout.as_secs_f64()
            ),
        };
        serde_json::from_str(&answer).map_err(|error| {
            let shown: String = answer.trim_end().chars().take(200).collect();
            anyhow::anyhow!(
                "{}, {what}: expected a line such as {}, found `{shown}` ({error}); what it prints for people belongs on its \
                 standard error",
                self.told(),
                if self.turns == 0 && what == "the first line" {
                    format!("{{\"protocol\": \"{PROTOCOL}\"}}")
                } else {
                    "{\"choices\": [0, 3]}".into()
                }
            )
        })
    }

    fn has_ended(&mut self, what: &str) -> anyhow::Error {
        self.input = None;
        let how = match self.child.wait() {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        anyhow::anyhow!("{} ended before it answered {what} ({how}); what it said is above", self.told())
    }

    fn told(&self) -> String {
        format!("the policy command `{}`", self.command)
    }
}

impl Drop for PolicyCommand {
    fn drop(&mut self) {
        self.input = None; // that is how it is told that it was the last turn
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _ = group.map(|group| kill_process_group(group, Signal::TERM));
            let _ = self.child.wait();
        }
    }
}
