use std::path::PathBuf;

use api::evaluator::NewEvaluation;
use clap::Args;
use policy::{PolicyFile, Rule};
use serde_json::json;

use crate::{
    commands::evaluate::{Told, policy_file, recorded, unrecorded},
    connection::{Needs, StackArgs},
    environment::EnvironmentArgs,
    evaluation::HeldOutArgs,
    exit::{Answer, usage},
    files::writable_folder,
    policy_command::PolicyArgs,
};

/// Show what each cent and each millisecond buys: the fronts of policies and hand rules beside the physical limit's
///
/// Every policy plays the same held-out episodes under each of 27 preferences over cost, latency and GPU-hours; the limit is
/// solved under the same weights. Policies of adaptive and cem play for any preference, those of other algorithms for none
/// but the one that they were trained for. It is an evaluation as any other, and recorded where services are named: those of a
/// running stack, or the data folder or database of a stack of its own. Otherwise it is done in this process.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mesh pareto --ai-agents out/swarm_final.json
  mesh pareto --preset congested --seeds 20 --output fronts
  mesh pareto --ai-agents out/swarm_final*.json --rules reserve,bid-price --json
  mesh pareto --ai-agents out/swarm_final.json --data-dir data --output fronts")]
pub(crate) struct Pareto {
    /// Policy files (swarm_final.json) or checkpoints; those that were trained alike are the trainings of one policy
    #[arg(long, value_name = "FILE", num_args = 1..=60)]
    ai_agents: Vec<PathBuf>,
    /// Judge each file as a policy of its own, also those that were trained alike
    #[arg(long)]
    apart: bool,
    /// Hand rules beside the baseline [default: all that heed what is wanted]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    rules: Option<Vec<Rule>>,
    #[command(flatten)]
    environment: EnvironmentArgs,
    /// Steps of an episode
    #[arg(long, value_name = "N", default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    steps: u32,
    #[command(flatten)]
    held_out: HeldOutArgs,
    /// Write pareto.json, pareto.csv, pareto_receipt.json, the chart pareto (.svg, .png) and pareto_report.html to this folder
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
    #[command(
        flatten,
        next_help_heading = "Services (without them nothing is recorded; a stack of its own is started where its folder or database is named)"
    )]
    stack: StackArgs,
}

impl Pareto {
    /// Evaluates and tells the fronts.
    pub(crate) fn run(self) -> anyhow::Result<Answer> {
        let is_recorded = self.stack.is_named(Needs::Evaluation);
        if is_recorded {
            self.stack.check(Needs::Evaluation)?;
        } else {
            self.stack.refuse_all(
                "a running stack (--remembrancer and --evaluator), or --data-dir or --database-url of one of its own, \
                 beside it: the fronts are played in this process, and nothing is recorded",
            )?;
        }
        if self.held_out.is_final && !is_recorded {
            return Err(usage(
                "--final: expected services beside it, such as --data-dir, because it is recorded when the final seeds are \
                 opened",
            ));
        }
        if let Some(folder) = &self.output {
            writable_folder(folder)?;
        }
        let files: Vec<(PolicyFile, Vec<u8>)> =
            self.ai_agents.iter().map(|path| policy_file(path)).collect::<anyhow::Result<_>>()?;
        let trained_on = files.first().map(|(file, _)| file.training.preset.clone());
        let preset = self.environment.preset.clone().or(trained_on).unwrap_or_else(|| "contended".into());
        let environment = EnvironmentArgs { preset: Some(preset), ..self.environment.clone() };
        let names = |rules: &Vec<Rule>| rules.iter().map(|rule| rule.name().to_owned()).collect();
        let request = NewEvaluation {
            preferences: Some(json!("grid")),
            rules: self.rules.as_ref().map(names),
            environment: environment.spec()?,
            steps: Some(self.steps),
            ..self.held_out.request()
        };
        let told = Told { output: self.output.as_deref(), json: self.json, details: true };
        if is_recorded {
            return recorded(&self.stack, files, self.apart, request, &told);
        }
        let why = "the fronts were played in this process";
        unrecorded(&PolicyArgs::default(), files, self.apart, request, &told, why)
    }
}
