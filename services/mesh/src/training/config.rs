//! The run's configuration from flags, or from a checkpoint that flags may not contradict.

use std::{fmt::Display, path::Path, str::FromStr};

use api::trainer::{EnvironmentSpec, NewRun, PsiFieldMode, Recording, ReplayKind, ReplaySpec};
use clap::value_parser;
use routing_env::{Document, Preset};
use trainer::{checkpoint::CheckpointDocument, run_config::RunPlan};

use crate::{
    environment::{EnvironmentArgs, built, document},
    exit::usage,
    files::read,
};

/// Flags that shape a run. All are optional, so that one that was given can be told from a default.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "The run")]
pub(crate) struct RunArgs {
    /// Agents in the swarm, 1 to 1000 [default: 10]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=1000))]
    agents: Option<u32>,
    /// Episodes of the whole run [default: 50]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=10_000_000))]
    episodes: Option<u32>,
    /// Steps of an episode [default: 120]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=100_000))]
    steps_per_episode: Option<u32>,
    /// α, above 0 and at most 1 [default: 0.1]
    #[arg(long, value_name = "A", value_parser = positive_share)]
    learning_rate: Option<f64>,
    /// γ, 0 to 1 [default: 0.99]
    #[arg(long, value_name = "G", value_parser = share)]
    discount: Option<f64>,
    /// ε, 0 to 1 [default: 0.1; of adaptive 0.01]
    #[arg(long, value_name = "E", value_parser = share)]
    epsilon: Option<f64>,
    /// A learner (adaptive, afterstate, cem, q-learning), or a hand rule to record without learning [default:
    /// adaptive]
    #[arg(long, value_name = "NAME")]
    algorithm: Option<String>,
    /// Episode e is drawn from this seed plus e; both below 2^32 [default: 1]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// What is learned from: excess-cost or seed [default: excess-cost]
    #[arg(long, value_name = "NAME")]
    reward: Option<String>,
    /// Experience replay: uniform, prioritized or none [default: uniform]
    #[arg(long, value_name = "KIND", value_enum)]
    replay: Option<ReplayArg>,
    /// Merge the agents' tables every so many steps; never when 0 [default: 0]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(0..=1_000_000))]
    merge_every: Option<u32>,
    /// Let agents choose infeasible providers, which drops the request
    #[arg(long)]
    no_mask: bool,
    /// psi-field: required, best-effort, off, or the URL of one elsewhere [default: required]
    #[arg(long, value_name = "MODE|URL")]
    psi_field: Option<PsiFieldArg>,
    /// Which decisions go to the ledger: all or none [default: all]
    #[arg(long, value_name = "WHICH", value_enum)]
    record: Option<RecordArg>,
    /// A checkpoint every so many episodes [default: 10]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=1_000_000))]
    checkpoint_every: Option<u32>,
    #[command(flatten)]
    environment: EnvironmentArgs,
}

/// What to do with psi-field, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PsiFieldArg {
    /// The stack's own.
    Mode(PsiFieldMode),
    /// Another one, which is waited for.
    At(String),
}

/// Which experience is learned from again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ReplayArg {
    Uniform,
    Prioritized,
    None,
}

/// Which decisions go to the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum RecordArg {
    All,
    None,
}

/// What is trained when nobody names another one. The wire's own default is the specified agent, q-learning.
const BEST_LEARNER: &str = "adaptive";

/// It learns from every request and from rehearsing, so that what it tries at random costs more than it tells.
const BEST_LEARNERS_EPSILON: f64 = 0.01;

/// A run to be started.
pub(crate) struct Wanted {
    /// Its configuration, valid as far as can be seen here.
    pub(crate) run: NewRun,
    /// The same, ready to be played: what is expected of it is computed from this.
    pub(crate) plan: RunPlan,
    /// The checkpoint's bytes, when it resumes from one.
    pub(crate) checkpoint: Option<Vec<u8>>,
    /// Episodes that the checkpoint has done.
    pub(crate) episodes_done: u32,
}

impl RunArgs {
    /// The run's configuration: from the flags, or from the checkpoint at `load`, which a flag may repeat
    /// but not contradict.
    ///
    /// # Errors
    /// A flag that makes no sense or contradicts the checkpoint, a file that cannot be read.
    pub(crate) fn wanted(&self, load: Option<&Path>, stop_after: Option<u32>) -> anyhow::Result<Wanted> {
        let (mut run, checkpoint, episodes_done) = match load {
            None => (self.fresh()?, None, 0),
            Some(path) => {
                let bytes = read(path)?;
                let document = CheckpointDocument::parse(&bytes)
                    .map_err(|error| usage(format!("--load {}: {error}", path.display())))?;
                self.check_against(&document.config)?;
                (document.config, Some(bytes), document.episodes_done)
            }
        };
        run.checkpoint_every = self.checkpoint_every.unwrap_or(run.checkpoint_every);
        run.recording = self.record.map_or(run.recording, Into::into);
        run.stop_after = stop_after;
        let plan = RunPlan::new(&run).map_err(|errors| {
            let told: Vec<String> =
                errors.iter().map(|e| format!("{}: {}", flag(&e.pointer), e.detail)).collect();
            usage(told.join("; "))
        })?;
        if plan.last_episode <= episodes_done {
            return Err(usage(format!(
                "the checkpoint has {episodes_done} episodes done, and the run is to end with {}: nothing is left \
                 to do",
                plan.last_episode
            )));
        }
        Ok(Wanted { run, plan, checkpoint, episodes_done })
    }

    /// Where psi-field is, when it is not the stack's own.
    pub(crate) fn psi_field_url(&self) -> Option<String> {
        match &self.psi_field {
            Some(PsiFieldArg::At(url)) => Some(url.clone()),
            _ => None,
        }
    }

    fn fresh(&self) -> anyhow::Result<NewRun> {
        let default = NewRun::default();
        let algorithm = self.algorithm.clone().unwrap_or_else(|| BEST_LEARNER.into());
        let epsilon = if algorithm == BEST_LEARNER { BEST_LEARNERS_EPSILON } else { default.epsilon };
        Ok(NewRun {
            agents: self.agents.unwrap_or(default.agents),
            episodes: self.episodes.unwrap_or(default.episodes),
            steps_per_episode: self.steps_per_episode.unwrap_or(default.steps_per_episode),
            algorithm,
            learning_rate: self.learning_rate.unwrap_or(default.learning_rate),
            discount: self.discount.unwrap_or(default.discount),
            epsilon: self.epsilon.unwrap_or(epsilon),
            replay: self.replay.map_or(default.replay, |kind| kind.spec(default.replay)),
            feasibility_mask: !self.no_mask,
            merge_every: self.merge_every.unwrap_or(default.merge_every),
            reward: self.reward.clone().unwrap_or(default.reward.clone()),
            seed: self.seed.unwrap_or(default.seed),
            environment: self.environment.spec()?,
            psi_field: self.psi_field.as_ref().map_or(default.psi_field, PsiFieldArg::mode),
            ..default
        })
    }

    fn check_against(&self, config: &NewRun) -> anyhow::Result<()> {
        same("--agents", self.agents.as_ref(), &config.agents)?;
        same("--episodes", self.episodes.as_ref(), &config.episodes)?;
        same("--steps-per-episode", self.steps_per_episode.as_ref(), &config.steps_per_episode)?;
        same("--learning-rate", self.learning_rate.as_ref(), &config.learning_rate)?;
        same("--discount", self.discount.as_ref(), &config.discount)?;
        same("--epsilon", self.epsilon.as_ref(), &config.epsilon)?;
        same("--algorithm", self.algorithm.as_ref(), &config.algorithm)?;
        same("--seed", self.seed.as_ref(), &config.seed)?;
        same("--reward", self.reward.as_ref(), &config.reward)?;
        same("--replay", self.replay.as_ref(), &ReplayArg::of(&config.replay))?;
        same("--merge-every", self.merge_every.as_ref(), &config.merge_every)?;
        if self.no_mask && config.feasibility_mask {
            return Err(contradiction("--no-mask", "without the mask", "with it"));
        }
        if let Some(wanted) =
            self.psi_field.as_ref().map(PsiFieldArg::mode).filter(|m| *m != config.psi_field)
        {
            return Err(contradiction("--psi-field", mode_name(wanted), mode_name(config.psi_field)));
        }
        self.check_environment(&config.environment)
    }

    fn check_environment(&self, spec: &EnvironmentSpec) -> anyhow::Result<()> {
        let given = &self.environment;
        let value = |part: &Option<serde_json::Value>| part.clone().map(Document::Value);
        let began_with = routing_env::EnvironmentSpec {
            preset: spec.preset.clone(),
            providers: value(&spec.providers),
            workloads: value(&spec.workloads),
        };
        let preset = spec.preset.clone().unwrap_or_else(|| Preset::default().name().into());
        same("--preset", given.preset.as_ref(), &preset)?;
        let definition = built(&began_with)?.definition();
        if let Some(path) = &given.providers {
            let other =
                routing_env::EnvironmentSpec { providers: Some(document(path)?), ..began_with.clone() };
            if built(&other)?.definition() != definition {
                return Err(contradiction("--providers", path.display(), "another catalog"));
            }
        }
        if let Some(path) = &given.workloads {
            let other = routing_env::EnvironmentSpec { workloads: Some(document(path)?), ..began_with };
            if built(&other)?.definition() != definition {
                return Err(contradiction("--workloads", path.display(), "other workloads"));
            }
        }
        Ok(())
    }
}

impl PsiFieldArg {
    fn mode(&self) -> PsiFieldMode {
        match self {
            Self::Mode(mode) => *mode,
            Self::At(_) => PsiFieldMode::Required,
        }
    }
}

impl FromStr for PsiFieldArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "required" => Ok(Self::Mode(PsiFieldMode::Required)),
            "best-effort" => Ok(Self::Mode(PsiFieldMode::BestEffort)),
            "off" => Ok(Self::Mode(PsiFieldMode::Off)),
            url if url.starts_with("http://") || url.starts_with("https://") => Ok(Self::At(url.into())),
            _ => Err("expected required, best-effort, off, or a URL (http://… or https://…)".into()),
        }
    }
}

impl ReplayArg {
    fn of(spec: &ReplaySpec) -> Self {
        match spec.kind {
            _ if !spec.enabled => Self::None,
            ReplayKind::Uniform => Self::Uniform,
            ReplayKind::Prioritized => Self::Prioritized,
        }
    }

    /// The same replay, drawn in this way.
    fn spec(self, like: ReplaySpec) -> ReplaySpec {
        let kind = match self {
            Self::Prioritized => ReplayKind::Prioritized,
            Self::Uniform | Self::None => ReplayKind::Uniform,
        };
        ReplaySpec { enabled: self != Self::None, kind, ..like }
    }
}

impl Display for ReplayArg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Uniform => "uniform",
            Self::Prioritized => "prioritized",
            Self::None => "none",
        })
    }
}

impl From<RecordArg> for Recording {
    fn from(which: RecordArg) -> Self {
        match which {
            RecordArg::All => Self::All,
            RecordArg::None => Self::None,
        }
    }
}

fn mode_name(mode: PsiFieldMode) -> &'static str {
    match mode {
        PsiFieldMode::Required => "required",
        PsiFieldMode::BestEffort => "best-effort",
        PsiFieldMode::Off => "off",
    }
}

fn same<T: PartialEq + Display>(flag: &str, given: Option<&T>, began_with: &T) -> anyhow::Result<()> {
    match given {
        Some(given) if given != began_with => Err(contradiction(flag, given, began_with)),
        _ => Ok(()),
    }
}

fn contradiction(flag: &str, given: impl Display, began_with: impl Display) -> anyhow::Error {
    usage(format!(
        "{flag} ({given}) contradicts the checkpoint, whose run began with {began_with}: leave {flag} out, or train a \
         new run without --load"
    ))
}

/// The flag that sets a field of the request.
fn flag(pointer: &str) -> String {
    match pointer.trim_start_matches('/').split('/').collect::<Vec<_>>().as_slice() {
        ["environment", part, ..] => format!("--{part}"),
        [field, ..] => format!("--{}", field.replace('_', "-")),
        [] => pointer.to_owned(),
    }
}

/// A number from 0 to 1.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|v| (0.0..=1.0).contains(v))
        .ok_or_else(|| "expected a number from 0 to 1".into())
}

/// A number above 0 and at most 1.
pub(crate) fn positive_share(text: &str) -> Result<f64, String> {
    share(text)
        .ok()
        .filter(|v| *v >= 1e-9)
        .ok_or_else(|| "expected a number above 0 (at least 1e-9) and at most 1".into())
}

#[cfg(test)]
mod tests {
    use routing_env::Workloads;

    use super::*;

    fn message(args: &RunArgs, config: &NewRun) -> String {
        args.check_against(config).unwrap_err().to_string()
    }

    #[test]
    fn without_flags_the_best_learner_is_trained_on_contended() {
        let wanted = RunArgs::default().wanted(None, None).unwrap();
        let environment = EnvironmentSpec { preset: Some("contended".into()), ..EnvironmentSpec::default() };
        let algorithm = "adaptive".into();
        assert_eq!(wanted.run, NewRun { environment, algorithm, epsilon: 0.01, ..NewRun::default() });
        let specified = RunArgs { algorithm: Some("q-learning".into()), ..RunArgs::default() };
        assert_eq!(specified.wanted(None, None).unwrap().run.epsilon, 0.1);
    }

    #[test]
    fn a_flag_that_repeats_the_checkpoint_is_fine_and_one_that_contradicts_it_is_named() {
        let config = RunArgs::default().wanted(None, None).unwrap().run;
        let same = RunArgs {
            agents: Some(10),
            seed: Some(1),
            environment: EnvironmentArgs { preset: Some("contended".into()), ..EnvironmentArgs::default() },
            ..RunArgs::default()
        };
        same.check_against(&config).unwrap();
        let other = RunArgs { agents: Some(11), ..RunArgs::default() };
        assert!(
            message(&other, &config)
                .starts_with("--agents (11) contradicts the checkpoint, whose run began with 10")
        );
        for replay in [ReplayArg::None, ReplayArg::Prioritized] {
            let other = RunArgs { replay: Some(replay), ..RunArgs::default() };
            let begun = "contradicts the checkpoint, whose run began with uniform";
            assert!(message(&other, &config).starts_with(&format!("--replay ({replay}) {begun}")));
            // and the run that was asked for in this way is one that the flag repeats
            other.check_against(&other.wanted(None, None).unwrap().run).unwrap();
        }
        let other = RunArgs { merge_every: Some(5), ..RunArgs::default() };
        assert!(message(&other, &config).contains("--merge-every (5)"));
        let other = RunArgs { psi_field: Some("off".parse().unwrap()), ..RunArgs::default() };
        assert!(message(&other, &config).contains("--psi-field (off)"));
        let preset = EnvironmentArgs { preset: Some("steady".into()), ..EnvironmentArgs::default() };
        let other = RunArgs { environment: preset, ..RunArgs::default() };
        assert!(message(&other, &config).contains("--preset (steady)"));
    }

    #[test]
    fn workloads_in_another_order_are_other_workloads() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.json");
        let mut workloads = Workloads::built_in();
        std::fs::write(&path, serde_json::to_string(&workloads).unwrap()).unwrap();
        let args = RunArgs {
            environment: EnvironmentArgs {
                preset: Some("contended".into()),
                workloads: Some(path.clone()),
                ..EnvironmentArgs::default()
            },
            ..RunArgs::default()
        };
        let config = args.wanted(None, None).unwrap().run;
        args.check_against(&config).unwrap();
        workloads.tenants[0].mix.0.reverse();
        std::fs::write(&path, serde_json::to_string(&workloads).unwrap()).unwrap();
        assert!(message(&args, &config).contains("--workloads"));
    }

    #[test]
    fn what_only_the_domain_can_refuse_is_told_by_its_flag() {
        let args = RunArgs { seed: Some(1 << 32), ..RunArgs::default() };
        let error = args.wanted(None, None).err().unwrap().to_string();
        assert!(error.starts_with("--seed: "), "{error}");
    }
}
