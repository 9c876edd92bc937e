use std::{collections::BTreeMap, path::PathBuf};

use anyhow::Context as _;
use api::{Hash, evaluator::NewEvaluation};
use clap::Args;
use evaluation::{
    episodes::Contestant,
    pareto::{Candidate, Front, Fronts, Point, fronts, grid},
    plan::Plan,
    progress::Progress,
};
use evaluator::local::LocalEvaluation;
use policy::{PolicyFile, Rule};
use routing_env::Preference;
use serde::Serialize;
use trainer::digest::sha256;

use crate::{
    commands::evaluate::{policies, policy_file},
    environment::EnvironmentArgs,
    evaluation::HeldOutArgs,
    exit::{Answer, usage},
    files::{writable_folder, write},
    output::{note, say, say_json, table},
};

/// Show what each cent and each millisecond buys: the fronts of policies and hand rules beside the physical limit's
///
/// Every policy plays the same held-out episodes under each of 27 preferences over cost, latency and GPU-hours; the limit is
/// solved under the same weights. Policies of adaptive and cem play for any preference, those of other algorithms for none
/// but the one that they were trained for. Nothing is recorded.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mesh pareto --ai-agents out/swarm_final.json
  mesh pareto --preset congested --seeds 20 --output fronts
  mesh pareto --ai-agents out/swarm_final*.json --rules reserve,bid-price --json")]
pub(crate) struct Pareto {
    /// Policy files (swarm_final.json) or checkpoints; those that were trained alike are the trainings of one policy
    #[arg(long, value_name = "FILE", num_args = 1..=60)]
    ai_agents: Vec<PathBuf>,
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
    /// Write pareto.json and pareto.csv to this folder
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

/// A point as it is written.
#[derive(Serialize)]
struct Row<'a> {
    policy: &'a str,
    request: f64,
    gpu_hour: f64,
    cost: f64,
    latency: f64,
    reward: f64,
    gap_closed: Option<f64>,
    gap_closed_low: Option<f64>,
    gap_closed_high: Option<f64>,
    served: f64,
    gpu_hours: f64,
    excess_cost_usd: f64,
    latency_ms: f64,
    fill: Option<f64>,
    gpu_hours_fill: Option<f64>,
    cost_per_gpu_hour_usd: Option<f64>,
    avg_latency_ms: Option<f64>,
    gpu_hours_fill_under_3h: Option<f64>,
    gpu_hours_fill_from_3h_to_6h: Option<f64>,
    gpu_hours_fill_from_6h: Option<f64>,
}

/// What a front covers, as it is written.
#[derive(Serialize)]
struct Covered<'a> {
    policy: &'a str,
    /// Beside the limit's.
    hypervolume: f64,
    expected_utility: f64,
    least_gap_closed: Option<f64>,
    mean_gap_closed: Option<f64>,
}

#[derive(Serialize)]
struct Document<'a> {
    environment: &'a str,
    steps: u32,
    seeds: &'a [u64],
    /// Of the hypervolume: requests served, GPU-hours, −excess cost in USD and −latency in ms, of a mean request.
    reference: [f64; 4],
    covered: Vec<Covered<'a>>,
    points: Vec<Row<'a>>,
}

impl Pareto {
    /// Plays and tells the fronts.
    pub(crate) fn run(self) -> anyhow::Result<Answer> {
        if self.held_out.is_final {
            return Err(usage(
                "--final: expected a comparison that is recorded (mesh evaluate), because it is recorded when the final \
                 seeds are opened",
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
        let heeding = || Rule::ALL.into_iter().filter(|rule| rule.heeds_preference()).collect();
        let rules: Vec<Rule> = self.rules.clone().unwrap_or_else(heeding);
        let named = files.iter().map(|(file, bytes)| (file.clone(), sha256(bytes)));
        let request = NewEvaluation {
            policies: policies(named.collect(), false),
            rules: Some(rules.iter().map(|rule| rule.name().to_owned()).collect()),
            environment: environment.spec()?,
            steps: Some(self.steps),
            ..self.held_out.request()
        };
        let by_name: BTreeMap<Hash, Vec<u8>> =
            files.iter().map(|(_, bytes)| (sha256(bytes), bytes.clone())).collect();
        // it says what is wrong with a policy or with its seeds, as an evaluation does
        let evaluation =
            LocalEvaluation::new(&request, &by_name).map_err(|error| usage(error.to_string()))?;
        let plan = evaluation.plan();
        let files: BTreeMap<Hash, PolicyFile> =
            files.into_iter().map(|(file, bytes)| (sha256(&bytes), file)).collect();
        let candidates = candidates(plan, &request, &files);
        let preferences = grid(&plan.environment);
        let played = fronts(&plan.environment, &candidates, &preferences, &plan.seeds, &Progress::default());
        self.tell(plan, &played.context("nobody cancels it")??)
    }

    fn tell(&self, plan: &Plan, found: &Fronts) -> anyhow::Result<Answer> {
        let with_limit = found.policies.iter().chain([&found.limit]);
        let document = Document {
            environment: plan.environment.preset().name(),
            steps: plan.environment.steps(),
            seeds: &plan.seeds,
            reference: found.reference,
            covered: found.policies.iter().chain([&found.rules, &found.limit]).map(covered).collect(),
            points: with_limit.flat_map(|front| rows(front, &found.preferences)).collect(),
        };
        if let Some(folder) = &self.output {
            let json = serde_json::to_vec_pretty(&document).context("the fronts as JSON")?;
            write(&folder.join("pareto.json"), &json)?;
            let mut csv = csv::Writer::from_writer(Vec::new());
            document.points.iter().try_for_each(|row| csv.serialize(row)).context("the fronts as CSV")?;
            write(&folder.join("pareto.csv"), &csv.into_inner().context("the fronts as CSV")?)?;
        }
        if self.json {
            say_json(&document)?;
        } else {
            say(&tables(&document, found))?;
            note("Not recorded: the fronts were played in this process.");
        }
        Ok(Answer::Yes)
    }
}

/// The rules, the baseline first, and the learned policies, each beside itself never trained.
fn candidates<'a>(
    plan: &'a Plan,
    request: &NewEvaluation,
    files: &'a BTreeMap<Hash, PolicyFile>,
) -> Vec<Candidate<'a>> {
    let env = plan.environment.as_ref();
    let mut candidates: Vec<Candidate<'a>> =
        plan.rules.iter().map(|rule| Candidate::of_rule(*rule, env)).collect();
    for policy in &request.policies {
        let trainings: Vec<&PolicyFile> =
            policy.artifacts().iter().filter_map(|artifact| files.get(artifact)).collect();
        let Some(first) = trainings.first().copied() else { continue };
        let name = first.swarm.algorithm.name();
        let trained = move |wanted| {
            let swarms =
                trainings.iter().map(|file| file.swarm_for(wanted, env)).collect::<Result<_, _>>()?;
            Ok(Contestant::of_swarms(first.training.episodes, swarms))
        };
        candidates.push(Candidate { name: name.into(), is_rule: false, policy: Box::new(trained) });
        let never = move |wanted| Contestant::never_trained(&first.swarm, env, wanted);
        let name = format!("{name}, never trained");
        candidates.push(Candidate { name, is_rule: false, policy: Box::new(never) });
    }
    candidates
}

fn rows<'a>(front: &'a Front, preferences: &[Preference]) -> Vec<Row<'a>> {
    let row = |(wanted, point): (&Preference, &Point)| {
        let overall = point.metrics.as_ref().map(|metrics| &metrics.overall);
        let of_size =
            |size: usize| point.metrics.as_ref().and_then(|metrics| metrics.sizes[size].gpu_hours_fill());
        let gap = point.gap_closed;
        Row {
            policy: &front.name,
            request: wanted.request,
            gpu_hour: wanted.gpu_hour,
            cost: wanted.cost,
            latency: wanted.latency,
            reward: point.reward,
            gap_closed: gap.map(|gap| gap.mean),
            gap_closed_low: gap.map(|gap| gap.low),
            gap_closed_high: gap.map(|gap| gap.high),
            served: point.outcome.served,
            gpu_hours: point.outcome.gpu_hours,
            excess_cost_usd: point.outcome.excess_cost.usd(),
            latency_ms: point.outcome.latency_ms,
            fill: overall.and_then(|overall| overall.fill_rate()),
            gpu_hours_fill: overall.and_then(|overall| overall.gpu_hours_fill()),
            cost_per_gpu_hour_usd: overall.and_then(|overall| overall.cost_per_gpu_hour_usd()),
            avg_latency_ms: overall.and_then(|overall| overall.avg_latency_ms()),
            gpu_hours_fill_under_3h: of_size(0),
            gpu_hours_fill_from_3h_to_6h: of_size(1),
            gpu_hours_fill_from_6h: of_size(2),
        }
    };
    preferences.iter().zip(&front.points).map(row).collect()
}

fn covered(front: &Front) -> Covered<'_> {
    let gaps: Vec<f64> = front.points.iter().filter_map(|point| Some(point.gap_closed?.mean)).collect();
    Covered {
        policy: &front.name,
        hypervolume: front.hypervolume,
        expected_utility: front.expected_utility,
        least_gap_closed: gaps.iter().copied().reduce(f64::min),
        mean_gap_closed: (!gaps.is_empty()).then(|| gaps.iter().sum::<f64>() / gaps.len() as f64),
    }
}

/// One row a policy of what its front covers, then one row a preference.
fn tables(document: &Document<'_>, found: &Fronts) -> String {
    let percent =
        |share: Option<f64>| share.map_or_else(|| "-".into(), |share| format!("{:.1} %", 100.0 * share));
    let header = ["policy", "hypervolume", "expected utility", "gap closed: least", "mean"];
    let rows = document.covered.iter().map(|front| {
        vec![
            front.policy.to_owned(),
            percent(Some(front.hypervolume)),
            format!("{:.3}", front.expected_utility),
            percent(front.least_gap_closed),
            percent(front.mean_gap_closed),
        ]
    });
    let covered = table(&header, rows);
    let policies = &found.policies[1..]; // the first one is the baseline
    let names = policies.iter().map(|front| front.name.clone());
    let weights = ["a request", "a GPU-hour", "a USD", "a ms"].map(str::to_owned);
    let header: Vec<String> = weights.into_iter().chain(names).chain(["limit".into()]).collect();
    let rows = found.preferences.iter().enumerate().map(|(i, wanted)| {
        let Preference { request, gpu_hour, cost, latency } = wanted;
        let weights =
            [format!("{request:.1}"), format!("{gpu_hour:.1}"), format!("-{cost}"), format!("-{latency}")];
        let closed = policies.iter().map(|front| {
            front.points[i].gap_closed.map_or_else(
                || "-".into(),
                |gap| format!("{:.1} % [{:.1}, {:.1}]", 100.0 * gap.mean, 100.0 * gap.low, 100.0 * gap.high),
            )
        });
        let limit = format!("{:.3}", found.limit.points[i].reward);
        weights.into_iter().chain(closed).chain([limit]).collect::<Vec<String>>()
    });
    let by_preference = table(&header, rows);
    format!(
        "Environment {}, {} steps, {} held-out seeds from {}. Hypervolume beside the limit's; expected utility in points a \
         request, the mean over the preferences:\n{covered}\nShare of the way from the baseline to the limit under the same \
         weights [95 %], and the limit in points a request:\n{by_preference}",
        document.environment,
        document.steps,
        document.seeds.len(),
        document.seeds.first().copied().unwrap_or_default(),
    )
}
