use std::{path::PathBuf, time::Instant};

use anyhow::Context as _;
use clap::{Args, value_parser};
use meta_learning::{
    meta_train::{MetaError, Plan, meta_train},
    worlds::{MetaTraining, MetaValidation, World},
};
use policy::{Prior, SwarmConfig, registry};
use routing_env::EnvironmentSpec;
use serde::Serialize;
use serde_json::json;
use trainer::digest::sha256;

use crate::{
    environment::document,
    exit::{Answer, usage},
    files::{read, write},
    hints,
    output::{note, say, say_json},
};

/// Learn from many worlds how to begin in a new one: a prior, for `mesh train --prior prior.json`
///
/// A learner trains in worlds drawn at random (catalogs, presets and loads), in rounds; what it came to in all of them is
/// pooled into a start, and how to learn from there is chosen in worlds that the start was not learned from. None of them
/// is ever drawn where priors are tested. After each round the file holds the prior so far, and --load goes on from it: the
/// same meta-training ends with the same bytes, whether it was broken off or not. q-learning knows states of one catalog, so
/// that its worlds are presets and loads of one: the built-in one, or that of --providers and --workloads.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mesh meta-train --algorithm cem --environments 60 --output prior.json
  mesh meta-train --algorithm cem --environments 60 --output prior.json --load prior.json
  mesh train --algorithm cem --prior prior.json --preset congested --episodes 2")]
pub(crate) struct MetaTrain {
    #[arg(long, value_name = "NAME", help = algorithm_help())]
    algorithm: String,
    /// Worlds that the start is learned from
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = value_parser!(u32).range(1..=100_000))]
    environments: u32,
    /// Worlds in which it is chosen how to learn from there
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = value_parser!(u32).range(1..=100_000))]
    validation: u32,
    /// How often the start is learned from and pooled anew
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Episodes of a round in each world
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = value_parser!(u32).range(1..=10_000))]
    episodes: u32,
    /// The seed of the first episode
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value_parser!(u64).range(..1 << 31))]
    seed: u64,
    /// A catalog (JSON), for q-learning
    #[arg(long, value_name = "FILE")]
    providers: Option<PathBuf>,
    /// Workloads (JSON), for q-learning
    #[arg(long, value_name = "FILE")]
    workloads: Option<PathBuf>,
    /// The file to write
    #[arg(long, value_name = "FILE", default_value = "prior.json")]
    output: PathBuf,
    /// Go on from what an earlier meta-training left after some rounds
    #[arg(long, value_name = "FILE")]
    load: Option<PathBuf>,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

/// Those that the start is learned from, and those that choose how it learns.
type Worlds = (Vec<World<MetaTraining>>, Vec<World<MetaValidation>>);

fn algorithm_help() -> String {
    format!("The learner: {}", registry::learners())
}

#[derive(Serialize)]
struct Summary<'a> {
    prior: &'a Prior,
    sha256: api::Hash,
    file: String,
    /// Wall clock of this process, which is in no file.
    seconds: f64,
}

impl MetaTrain {
    /// Learns and writes it.
    pub(crate) fn run(self) -> anyhow::Result<Answer> {
        let swarm = SwarmConfig::new(&self.algorithm, &json!({}), 1).map_err(|errors| {
            let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
            usage(format!("--algorithm: {}", told.join("; ")))
        })?;
        let plan = Plan { swarm, rounds: self.rounds, episodes: self.episodes, seed: self.seed };
        let (worlds, validation) = self.worlds()?;
        let go_on_from = self.loaded(&plan, &worlds, &validation)?;
        let began = Instant::now();
        let mut failed = Ok(());
        let show = |prior: &Prior| {
            let round = prior.meta_training.rounds;
            note(&format!("round {round} of {} after {:.0} s", plan.rounds, began.elapsed().as_secs_f64()));
            if failed.is_ok() {
                failed = self.write(prior).map(drop);
            }
        };
        let prior =
            meta_train(&plan, &worlds, &validation, go_on_from, show).map_err(|error| match error {
                MetaError::NoLearner(_) => usage(format!("--algorithm: {error}")),
                error => error.into(),
            })?;
        failed?;
        let bytes = self.write(&prior)?;
        let summary = Summary {
            prior: &prior,
            sha256: sha256(&bytes),
            file: self.output.display().to_string(),
            seconds: began.elapsed().as_secs_f64(),
        };
        if self.json {
            say_json(&summary)?;
        } else {
            say(&format!(
                "A prior of {} from {} worlds in {} rounds of {} episodes, {:.0} s. It learns by {}, chosen in {} other \
                 worlds.\nWritten: {} (SHA-256 {})\nUse it: {} --algorithm {} --prior {}",
                prior.algorithm,
                worlds.len(),
                prior.meta_training.rounds,
                prior.meta_training.episodes,
                summary.seconds,
                prior.learning,
                validation.len(),
                summary.file,
                summary.sha256,
                hints::command("train"),
                prior.algorithm,
                summary.file,
            ))?;
        }
        Ok(Answer::Yes)
    }

    fn worlds(&self) -> anyhow::Result<Worlds> {
        let learner = registry::Learner::find(&self.algorithm);
        if !learner.is_some_and(|learner| learner.priors_are_of_one_catalog) {
            if let Some((flag, _)) = [("--providers", &self.providers), ("--workloads", &self.workloads)]
                .into_iter()
                .find(|(_, given)| given.is_some())
            {
                return Err(usage(format!(
                    "{flag}: expected none, because the worlds of {} are drawn with catalogs of their own",
                    self.algorithm
                )));
            }
            let worlds = World::first(self.environments).context("drawing worlds")?;
            return Ok((worlds, World::first(self.validation).context("drawing worlds")?));
        }
        let part = |path: &Option<PathBuf>| path.as_deref().map(document).transpose();
        let spec = EnvironmentSpec {
            preset: None,
            providers: part(&self.providers)?,
            workloads: part(&self.workloads)?,
        };
        let of = crate::environment::built(&spec)?;
        let worlds = World::first_in(&of, self.environments).context("drawing worlds")?;
        Ok((worlds, World::first_in(&of, self.validation).context("drawing worlds")?))
    }

    /// The prior to go on from, which has to be of the same meta-training.
    fn loaded(
        &self,
        plan: &Plan,
        worlds: &[World<MetaTraining>],
        validation: &[World<MetaValidation>],
    ) -> anyhow::Result<Option<Prior>> {
        let Some(path) = &self.load else { return Ok(None) };
        let refused = |what: String| usage(format!("--load {}: {what}", path.display()));
        let prior = Prior::parse(&read(path)?).map_err(|error| refused(error.to_string()))?;
        if prior.algorithm != self.algorithm {
            return Err(refused(format!(
                "expected a prior of {}, found one of {}",
                self.algorithm, prior.algorithm
            )));
        }
        let done = prior.meta_training.rounds;
        if prior.meta_training != plan.provenance(worlds, validation, done) {
            let told = json!(prior.meta_training);
            return Err(refused(format!(
                "expected the same worlds, episodes and seed as it began with: {told}"
            )));
        }
        if done > plan.rounds {
            return Err(refused(format!("it has {done} rounds already, --rounds asks for {}", plan.rounds)));
        }
        Ok(Some(prior))
    }

    fn write(&self, prior: &Prior) -> anyhow::Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec(prior).context("the prior as JSON")?;
        bytes.push(b'\n');
        write(&self.output, &bytes)?;
        Ok(bytes)
    }
}
