//! The run's configuration from flags, or from a checkpoint that flags may not contradict.

use std::{
    fmt::Display,
    path::{Path, PathBuf},
    str::FromStr,
};

use api::{
    Hash,
    trainer::{AlgorithmSpec, EnvironmentSpec, Federate, Interventions, NewRun, PsiFieldMode, Recording},
};
use clap::value_parser;
use policy::{Prior, Swarm, SwarmConfig, registry};
use routing_env::{Document, Preference, Preset, Reward};
use trainer::{algorithm, checkpoint::CheckpointDocument, digest::sha256, run_config::RunPlan};

use crate::{
    environment::{EnvironmentArgs, built, document},
    exit::usage,
    files::read,
    preference::PreferenceArgs,
    training::settings::{self, SettingArgs},
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
    #[arg(long, value_name = "NAME", help = algorithm_help())]
    algorithm: Option<String>,
    #[command(flatten)]
    settings: SettingArgs,
    /// Episode e is drawn from this seed plus e; both below 2^32 [default: 1]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    #[arg(long, value_name = "NAME", help = reward_help())]
    reward: Option<String>,
    #[command(flatten)]
    preference: PreferenceArgs,
    /// Begin with what was learned in other worlds: a prior of the run's algorithm (mesh meta-train)
    #[arg(long, value_name = "FILE")]
    prior: Option<PathBuf>,
    /// Learn with other nodes, exchanging after each so many episodes (1 where none is said); of a stack with peers (mesh up
    /// --peer), which --trainer names
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "1",
        value_parser = value_parser!(u32).range(1..=1_000_000))]
    federate: Option<u32>,
    /// psi-field: required, best-effort, off, or the URL of one elsewhere [default: required]
    #[arg(long, value_name = "MODE|URL")]
    psi_field: Option<PsiFieldArg>,
    /// What to do with the interventions that psi-field decides: try each in forks of the run and take those that prove
    /// themselves there, or obey all [default: tried]
    #[arg(long, value_name = "WHAT", value_enum)]
    interventions: Option<InterventionsArg>,
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

/// What to do with psi-field's interventions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum InterventionsArg {
    Tried,
    Obeyed,
}

/// Which decisions go to the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum RecordArg {
    All,
    None,
}

fn algorithm_help() -> String {
    let (algorithms, default) = (registry::algorithms(), registry::DEFAULT_LEARNER);
    format!("The algorithm: {algorithms}; a rule is recorded without learning [default: {default}]")
}

fn reward_help() -> String {
    let names = Reward::NAMED.map(|(name, _)| name).join(" or ");
    format!("What is learned from: {names} [default: {}]", Reward::default())
}

/// A run to be started.
pub(crate) struct Wanted {
    /// Its configuration, valid as far as can be seen here.
    pub(crate) run: NewRun,
    /// The same, ready to be played: what is expected of it is computed from this.
    pub(crate) plan: RunPlan,
    /// The checkpoint's bytes, when it resumes from one.
    pub(crate) checkpoint: Option<Vec<u8>>,
    /// The prior's bytes, where it begins with one whose file is given.
    pub(crate) prior: Option<Vec<u8>>,
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
        let prior = self.read_prior()?;
        if let Some((name, _)) = &prior {
            match (load, run.prior) {
                (None, _) => run.prior = Some(*name),
                (Some(_), Some(began_with)) if began_with == *name => {}
                (Some(_), began_with) => {
                    let began_with = began_with.map_or("no prior".into(), |name| format!("the prior {name}"));
                    return Err(contradiction("--prior", name, began_with));
                }
            }
        }
        run.checkpoint_every = self.checkpoint_every.unwrap_or(run.checkpoint_every);
        run.recording = self.record.map_or(run.recording, Into::into);
        run.stop_after = stop_after;
        let plan = if load.is_some() { RunPlan::of_record(&run) } else { RunPlan::new(&run) };
        let plan = plan.map_err(|errors| {
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
        if let (Some((_, bytes)), Some(path)) = (&prior, &self.prior) {
            let single = SwarmConfig { agents: 1, ..plan.swarm.clone() };
            Prior::parse(bytes)
                .and_then(|prior| Swarm::with_prior(single, &plan.environment, &prior))
                .map_err(|error| usage(format!("--prior {}: {error}", path.display())))?;
        }
        Ok(Wanted { run, plan, checkpoint, prior: prior.map(|(_, bytes)| bytes), episodes_done })
    }

    /// The file of the prior that it begins with.
    pub(crate) fn prior(&self) -> Option<&Path> {
        self.prior.as_deref()
    }

    /// The prior that is given, and its name in a ledger.
    fn read_prior(&self) -> anyhow::Result<Option<(Hash, Vec<u8>)>> {
        let Some(path) = &self.prior else { return Ok(None) };
        let bytes = read(path)?;
        Ok(Some((sha256(&bytes), bytes)))
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
        let name = self.algorithm.as_deref().unwrap_or(registry::DEFAULT_LEARNER);
        Ok(NewRun {
            agents: self.agents.unwrap_or(default.agents),
            episodes: self.episodes.unwrap_or(default.episodes),
            steps_per_episode: self.steps_per_episode.unwrap_or(default.steps_per_episode),
            algorithm: Some(AlgorithmSpec::new(name, self.settings.on_the_wire())),
            reward: self.reward.clone().unwrap_or(default.reward.clone()),
            preference: self.preference.on_the_wire(),
            seed: self.seed.unwrap_or(default.seed),
            environment: self.environment.spec()?,
            psi_field: self.psi_field.as_ref().map_or(default.psi_field, PsiFieldArg::mode),
            interventions: self.interventions.map(Into::into),
            federate: self.federate.map(|every| Federate { every, id: None }),
            ..default
        })
    }

    fn check_against(&self, config: &NewRun) -> anyhow::Result<()> {
        same("--agents", self.agents.as_ref(), &config.agents)?;
        same("--episodes", self.episodes.as_ref(), &config.episodes)?;
        same("--steps-per-episode", self.steps_per_episode.as_ref(), &config.steps_per_episode)?;
        same("--algorithm", self.algorithm.as_deref(), config.algorithm_name())?;
        same("--seed", self.seed.as_ref(), &config.seed)?;
        if let Some(every) =
            self.federate.filter(|every| config.federate.map(|federate| federate.every) != Some(*every))
        {
            let began_with = config.federate.map_or("none".into(), |federate| federate.every.to_string());
            return Err(contradiction("--federate", every, began_with));
        }
        same("--reward", self.reward.as_ref(), &config.reward)?;
        self.check_preference(config)?;
        if let Some((flag, given, began_with)) = self.settings.contradiction(&algorithm::shown(config)) {
            return Err(contradiction(&flag, given, began_with));
        }
        if let Some(wanted) =
            self.psi_field.as_ref().map(PsiFieldArg::mode).filter(|m| *m != config.psi_field)
        {
            return Err(contradiction("--psi-field", mode_name(wanted), mode_name(config.psi_field)));
        }
        if let Some(wanted) = self.interventions.map(Interventions::from)
            && config.interventions.unwrap_or(Interventions::Obeyed) != wanted
        {
            let name: fn(Interventions) -> &'static str = Into::into;
            let began_with = config.interventions.map_or("none", name);
            return Err(contradiction("--interventions", name(wanted), began_with));
        }
        self.check_environment(&config.environment)
    }

    fn check_preference(&self, config: &NewRun) -> anyhow::Result<()> {
        let spec = &config.environment;
        let value = |part: &Option<serde_json::Value>| part.clone().map(Document::Value);
        let environment = built(&routing_env::EnvironmentSpec {
            preset: spec.preset.clone(),
            providers: value(&spec.providers),
            workloads: value(&spec.workloads),
        })?;
        let Some(given) = self.preference.weights(&environment)? else { return Ok(()) };
        let asked = config.preference.as_ref().map(|asked| Preference::asked(asked, &environment));
        let began_with = asked.transpose().map_err(|error| usage(error.to_string()))?;
        let began_with = began_with.unwrap_or(Preference::EXCESS_COST);
        if given == began_with {
            return Ok(());
        }
        let words = |preference| Reward::Preference(preference).to_string();
        Err(contradiction("--preference", words(given), words(began_with)))
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

impl From<InterventionsArg> for Interventions {
    fn from(what: InterventionsArg) -> Self {
        match what {
            InterventionsArg::Tried => Self::Tried,
            InterventionsArg::Obeyed => Self::Obeyed,
        }
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

fn same<T: PartialEq + Display + ?Sized>(
    flag: &str,
    given: Option<&T>,
    began_with: &T,
) -> anyhow::Result<()> {
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
        ["algorithm", path @ ..] if !path.is_empty() => settings::flag(&path.join(".")),
        ["preference", weight] => format!("--preference {weight}"),
        [field, ..] => format!("--{}", field.replace('_', "-")),
        [] => pointer.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use routing_env::Workloads;
    use serde_json::json;

    use super::*;

    fn message(args: &RunArgs, config: &NewRun) -> String {
        args.check_against(config).unwrap_err().to_string()
    }

    fn args(flags: &[&str]) -> RunArgs {
        #[derive(clap::Parser)]
        struct Parsed {
            #[command(flatten)]
            run: RunArgs,
        }
        let words = ["mesh"].iter().chain(flags);
        <Parsed as clap::Parser>::try_parse_from(words).unwrap().run
    }

    fn planned(flags: &[&str]) -> RunPlan {
        args(flags).wanted(None, None).unwrap().plan
    }

    fn refused(flags: &[&str]) -> String {
        args(flags).wanted(None, None).err().unwrap().to_string()
    }

    #[test]
    fn without_flags_it_is_the_run_of_an_empty_request() {
        let asked = RunPlan::new(&serde_json::from_str("{}").unwrap()).unwrap();
        let here = planned(&[]);
        assert_eq!((here.run, here.digest), (asked.run.clone(), asked.digest));
        assert_eq!(asked.run.algorithm, Some(AlgorithmSpec::new("adaptive", json!({"epsilon": 0.01}))));
        assert_eq!(asked.run.environment.preset.as_deref(), Some("contended"));
        assert_eq!((asked.run.agents, asked.run.episodes), (10, 50));
    }

    #[test]
    fn flags_tell_the_settings_that_the_algorithm_has() {
        let told =
            planned(&["--algorithm", "q-learning", "--replay", "prioritized", "--replay-capacity", "9"]);
        let settings = &told.run.algorithm.unwrap().settings;
        let replay = json!({"enabled": true, "capacity": 9, "batch_size": 32, "kind": "prioritized"});
        assert_eq!((&settings["replay"], &settings["epsilon"]), (&replay, &json!(0.1)));
        let none =
            planned(&["--algorithm", "q-learning", "--state", "specified", "--replay", "none", "--no-mask"]);
        let settings = &none.run.algorithm.unwrap().settings;
        assert_eq!(
            (&settings["replay"]["enabled"], &settings["feasibility_mask"]),
            (&json!(false), &json!(false))
        );
    }

    #[test]
    fn flags_that_the_algorithm_does_not_heed_are_all_refused_by_name_with_those_that_it_has() {
        let error = refused(&[
            "--algorithm",
            "adaptive",
            "--learning-rate",
            "0.9",
            "--replay",
            "prioritized",
            "--no-mask",
            "--merge-every",
            "5",
        ]);
        for flag in ["--learning-rate", "--replay", "--no-mask", "--merge-every"] {
            let told = format!("{flag}: adaptive has no such setting: expected one of epsilon");
            assert!(error.contains(&told), "{error}");
        }
        let error = refused(&["--preference", "cost=-1"]);
        assert!(error.contains("--preference cost: expected a number from 0"), "{error}");
        let error = refused(&["--epsilon", "1.5", "--reward", "money"]);
        assert!(
            error.contains("--reward: unknown reward") && error.contains("--epsilon: expected a number"),
            "{error}"
        );
    }

    #[test]
    fn a_flag_that_repeats_the_checkpoint_is_fine_and_one_that_contradicts_it_is_named() {
        let config = planned(&["--algorithm", "q-learning", "--state", "specified"]).run;
        args(&["--agents", "10", "--seed", "1", "--preset", "contended"]).check_against(&config).unwrap();
        args(&["--algorithm", "q-learning", "--epsilon", "0.1", "--replay", "uniform"])
            .check_against(&config)
            .unwrap();
        for (flags, named) in [
            (vec!["--agents", "11"], "--agents (11)"),
            (vec!["--algorithm", "cem"], "--algorithm (cem)"),
            (vec!["--epsilon", "0.2"], "--epsilon (0.2)"),
            (vec!["--replay", "none"], "--replay (none)"),
            (vec!["--replay", "prioritized"], "--replay (prioritized)"),
            (vec!["--state", "request"], "--state (\"request\")"),
            (vec!["--no-mask"], "--no-mask (false)"),
            (vec!["--merge-every", "5"], "--merge-every (5)"),
            (vec!["--psi-field", "off"], "--psi-field (off)"),
            (vec!["--preset", "steady"], "--preset (steady)"),
        ] {
            let told = message(&args(&flags), &config);
            assert!(told.starts_with(&format!("{named} contradicts the checkpoint")), "{told}");
        }
        let told = message(&args(&["--replay", "none"]), &config);
        assert!(told.contains("whose run began with uniform"), "{told}");
        let adaptive = planned(&[]).run;
        let told = message(&args(&["--merge-every", "5"]), &adaptive);
        assert!(told.contains("an algorithm that has no such setting"), "{told}");
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
        let error = refused(&["--seed", "4294967296"]);
        assert!(error.starts_with("--seed: "), "{error}");
    }
}
