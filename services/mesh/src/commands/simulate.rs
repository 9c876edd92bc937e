use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use policy::{DecidedRequest, PolicyFile, Rule, StepReport, Swarm};
use routing_env::{Environment, Episode, Metrics, Origin, Preference, Reward, Trace, gym::Space};

use crate::{
    environment::EnvironmentArgs,
    exit::{Answer, usage},
    files::{read, read_text},
    output::{note, say, say_json},
    policy_command::{PolicyArgs, PolicyCommand, play_episodes},
    preference::PreferenceArgs,
    simulation::{
        rows::{DecisionRows, StepRows},
        summary::Summary,
    },
};

/// Simulate one policy in this process, without any service
///
/// Plays episodes with a hand rule, a learned policy or a program of your own and prints the metrics. Every decision and the
/// providers' states can be written to files, enough to recompute every metric.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mesh simulate --policy weighted-score
  mesh simulate --policy out/swarm_final.json --preset contended --episodes 5 --json
  mesh simulate --policy cheapest --workloads workloads.json --decisions decisions.csv --steps-out steps.csv
  mesh simulate --policy weighted-score --preset default --trace requests.csv --step-seconds 60
  mesh simulate --policy-command 'python clients/python/examples/greedy.py'")]
pub(crate) struct Simulate {
    #[arg(
        long,
        value_name = "NAME|FILE",
        help = policy_help(),
        required_unless_present = "policy_command",
        conflicts_with = "policy_command"
    )]
    policy: Option<String>,
    #[command(flatten)]
    program: PolicyArgs,
    #[command(flatten)]
    environment: EnvironmentArgs,
    #[command(flatten)]
    preference: PreferenceArgs,
    /// Replay the requests of a CSV file instead of drawing them. Columns: step, or one of arrival_s, arrival_ms and
    /// arrival_at (ISO 8601 with its zone); tenant_id, workload_type, gpu_type, gpu_hours; optional region, max_latency_ms,
    /// min_reputation. Rows are in order of time. Arrivals count from 0, those that are times of the clock from the first
    /// one
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// The length of a step in seconds, for a trace with arrivals
    #[arg(long, value_name = "S", requires = "trace")]
    step_seconds: Option<f64>,
    /// Episode e is drawn from this seed plus e [default: the workloads' simulation.seed]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Episodes to play
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    episodes: u32,
    /// Write every request and its outcome to this CSV file
    #[arg(long, value_name = "OUT")]
    decisions: Option<PathBuf>,
    /// Write the providers' state at the end of every step to this CSV file
    #[arg(long, value_name = "OUT")]
    steps_out: Option<PathBuf>,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

fn policy_help() -> String {
    let rules: Vec<&str> = Rule::ALL.into_iter().chain(Rule::REFERENCES).map(Rule::name).collect();
    format!("A hand rule ({}) or a policy file", rules.join(", "))
}

impl Simulate {
    /// Simulates and tells the figures.
    pub(crate) fn run(self) -> anyhow::Result<Answer> {
        let environment = self.environment.load()?;
        let seed = self.seed.unwrap_or(environment.workloads().simulation.seed);
        let last = seed.checked_add(u64::from(self.episodes) - 1);
        if last.is_none_or(|last| last > api::MAX_SAFE_INTEGER) {
            return Err(usage(format!(
                "--seed {seed}: expected seed + episodes of at most {}",
                api::MAX_SAFE_INTEGER
            )));
        }
        let wanted = self.preference.weights(&environment)?;
        let (name, policy) = self.player(&environment, wanted)?;
        let reward = wanted.map_or(Reward::EXCESS_COST, Reward::Preference);
        let trace = self.trace.as_deref().map(|path| self.read_trace(path, &environment)).transpose()?;
        let metrics = self.play(&environment, policy, trace.as_ref(), (seed, reward))?;
        let summary = Summary::new(&name, &environment, seed, self.episodes, trace.as_ref(), &metrics);
        if self.json {
            say_json(&summary)?
        } else {
            say(&summary.tables())?
        }
        Ok(Answer::Yes)
    }

    /// Who decides, and what it is called.
    fn player(
        &self,
        environment: &Environment,
        wanted: Option<Preference>,
    ) -> anyhow::Result<(String, Player)> {
        let timeout = self.program.timeout()?;
        match (self.policy.as_deref(), self.program.policy_command.as_slice()) {
            (Some(policy), []) => {
                Ok((policy.to_owned(), Player::Swarm(Box::new(swarm(policy, environment, wanted)?))))
            }
            (None, [command]) => {
                let space = Space::new(environment);
                let command = PolicyCommand::start(command, timeout, environment, &space)?;
                Ok((command.name().to_owned(), Player::Command(Box::new(command), space)))
            }
            _ => Err(usage("expected one policy: --policy, or --policy-command once")),
        }
    }

    fn read_trace(&self, path: &Path, environment: &Environment) -> anyhow::Result<Trace> {
        if self.step_seconds.is_some_and(|s| !(s.is_finite() && s > 0.0)) {
            return Err(usage("--step-seconds: expected a number above 0"));
        }
        let trace =
            Trace::parse(&path.display().to_string(), &read_text(path)?, environment, self.step_seconds)
                .map_err(|error| usage(error.to_string()))?;
        if *trace.origin() != Origin::Steps {
            note(&format!("Step 0 of the trace begins {}; it has {} steps.", trace.origin(), trace.steps()));
        }
        Ok(trace)
    }

    fn play(
        &self,
        environment: &Environment,
        mut policy: Player,
        trace: Option<&Trace>,
        (seed, reward): (u64, Reward),
    ) -> anyhow::Result<Metrics> {
        let mut outcome = Outcome::new(self, environment)?;
        for number in 0..self.episodes {
            let seed = seed + u64::from(number);
            let episode = match trace {
                Some(trace) => Episode::replaying(environment, trace, seed, reward),
                None => Episode::new(environment, seed, reward),
            };
            match &mut policy {
                Player::Swarm(swarm) => {
                    play_swarm(swarm, environment, (number, seed, reward), episode, &mut outcome)?
                }
                Player::Command(command, space) => {
                    let mut written = Ok(());
                    play_episodes(command, space, vec![(seed, episode)], &mut |_, episode| {
                        if written.is_ok() {
                            written = outcome.add(number, &report_of(environment, reward, episode), episode);
                        }
                    })?;
                    written?;
                }
            }
        }
        outcome.finish()
    }
}

/// Who decides.
enum Player {
    Swarm(Box<Swarm>),
    Command(Box<PolicyCommand>, Space),
}

fn play_swarm(
    swarm: &mut Swarm,
    environment: &Environment,
    (number, seed, reward): (u32, u64, Reward),
    mut episode: Episode<'_>,
    outcome: &mut Outcome<'_>,
) -> anyhow::Result<()> {
    let mut report = StepReport::new(environment);
    swarm.begin_episode(seed);
    while swarm.run_step(&mut episode, reward, &mut report) {
        outcome.add(number, &report, &episode)?;
    }
    swarm.end_episode();
    Ok(())
}

/// What the steps came to, and the files that tell of each.
struct Outcome<'e> {
    environment: &'e Environment,
    metrics: Metrics,
    decisions: Option<DecisionRows>,
    steps: Option<StepRows>,
}

impl<'e> Outcome<'e> {
    fn new(asked: &Simulate, environment: &'e Environment) -> anyhow::Result<Self> {
        Ok(Self {
            environment,
            metrics: Metrics::new(environment),
            decisions: asked.decisions.as_deref().map(DecisionRows::create).transpose()?,
            steps: asked.steps_out.as_deref().map(StepRows::create).transpose()?,
        })
    }

    /// Adds a step that has ended.
    fn add(&mut self, number: u32, report: &StepReport, episode: &Episode<'_>) -> anyhow::Result<()> {
        self.metrics.merge(&report.metrics);
        if let Some(rows) = &mut self.decisions {
            rows.write(self.environment, number, report)?;
        }
        if let Some(rows) = &mut self.steps {
            rows.write(self.environment, number, report.step, episode.market())?;
        }
        Ok(())
    }

    fn finish(self) -> anyhow::Result<Metrics> {
        self.decisions.map(DecisionRows::finish).transpose()?;
        self.steps.map(StepRows::finish).transpose()?;
        Ok(self.metrics)
    }
}

/// What a step came to that was decided by nobody's swarm.
fn report_of(environment: &Environment, reward: Reward, episode: &Episode<'_>) -> StepReport {
    let outcome = episode.outcome();
    let mut report = StepReport::new(environment);
    report.step = outcome.step;
    report.metrics.clone_from(outcome.metrics);
    let requests = outcome.requests.iter().zip(outcome.resolutions).zip(outcome.waits_ms);
    report.decisions.extend(requests.map(|((request, resolution), wait_ms)| DecidedRequest {
        agent: 0,
        request: *request,
        resolution: *resolution,
        wait_ms: *wait_ms,
        reward: reward.of_request(resolution),
        explored: false,
        propensity: 1.0,
        value: None,
    }));
    report
}

/// A hand rule by its name, else a policy file.
fn swarm(policy: &str, environment: &Environment, wanted: Option<Preference>) -> anyhow::Result<Swarm> {
    let unknown = match policy.parse::<Rule>() {
        Ok(rule) => {
            let wanted = wanted.unwrap_or(Preference::EXCESS_COST);
            return Ok(Swarm::of_rule_for(rule, environment, wanted));
        }
        Err(unknown) => unknown,
    };
    let path = Path::new(policy);
    if !path.exists() {
        return Err(usage(format!("--policy: {unknown}, and there is no file of this name either")));
    }
    let file = PolicyFile::parse(&read(path)?).with_context(|| policy.to_owned())?;
    let swarm = match wanted {
        Some(wanted) => file.swarm_for(wanted, environment),
        None => file.swarm(environment),
    };
    swarm.with_context(|| policy.to_owned())
}
