use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use evaluation::{
    bounds::Sample,
    episodes::Contestant,
    origin::{Provenance, Training},
    pareto::{Candidate, Front, Fronts, Point, fronts, grid},
    progress::Progress,
};
use policy::{PolicyFile, Rule, Swarm};
use routing_env::{Environment, Preference};
use serde::Serialize;
use trainer::digest::sha256;

use crate::{
    environment::EnvironmentArgs,
    evaluation::HeldOutArgs,
    exit::{Answer, usage},
    files::{read, writable_folder, write},
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
    /// Policy files (swarm_final.json): the trainings of one policy
    #[arg(long, value_name = "FILE", num_args = 1..=20)]
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
        let files = self.ai_agents.iter().map(|path| {
            let bytes = read(path)?;
            let file = PolicyFile::parse(&bytes).with_context(|| path.display().to_string())?;
            Ok((file, sha256(&bytes).0))
        });
        let files = files.collect::<anyhow::Result<Vec<_>>>()?;
        let environment = EnvironmentArgs {
            preset: self
                .environment
                .preset
                .clone()
                .or_else(|| files.first().map(|(file, _)| file.training.preset.clone()))
                .or_else(|| Some("contended".into())),
            ..self.environment.clone()
        };
        let environment = environment.load()?.with_steps(self.steps);
        let seeds: Vec<u64> = (self.held_out.first_seed..).take(self.held_out.seeds as usize).collect();
        let candidates = self.candidates(&environment, &files, &seeds)?;
        let sample = Sample::new(&environment, self.held_out.seeds, Some(self.steps))
            .context("an episode has a step at least")?;
        let preferences = grid(&environment);
        let played = fronts(&environment, &candidates, &preferences, &seeds, &sample, &Progress::default());
        let found = played.context("nobody cancels it")?.context("the physical limit")?;
        self.tell(&environment, &seeds, &found)
    }

    /// The baseline, the policy and the rules.
    fn candidates<'a>(
        &self,
        environment: &'a Environment,
        files: &'a [(PolicyFile, [u8; 32])],
        seeds: &[u64],
    ) -> anyhow::Result<Vec<Candidate<'a>>> {
        let heeding = [
            Rule::GreedyReward,
            Rule::Reserve,
            Rule::DeferLarge,
            Rule::BidPrice,
            Rule::BidPriceHours,
            Rule::BidPriceCounting,
            Rule::BidPriceTuned,
        ];
        let rules = self.rules.clone().unwrap_or_else(|| heeding.to_vec());
        let rules = rules.into_iter().filter(|rule| *rule != Rule::BASELINE);
        let mut candidates: Vec<Candidate<'_>> = [Rule::BASELINE]
            .into_iter()
            .chain(rules)
            .map(|rule| Candidate::of_rule(rule, environment))
            .collect();
        let Some((first, _)) = files.first() else { return Ok(candidates) };
        for (number, (file, _)) in files.iter().enumerate() {
            let path = self.ai_agents[number].display();
            let trained = file.training_seeds();
            if seeds.iter().any(|seed| trained.contains(seed)) {
                return Err(usage(format!(
                    "--ai-agents {path}: expected other seeds than those that it was trained on"
                )));
            }
            if number > 0 && !files[..number].iter().all(|(other, _)| other.is_trained_like(file)) {
                return Err(usage(format!(
                    "--ai-agents {path}: expected another training of the first file's policy, alike but for its seeds"
                )));
            }
            // whatever is wrong with it shows under any preference, and what it does not heed under another one
            for wanted in [Preference::EXCESS_COST, Preference { cost: 1.0, ..Preference::EXCESS_COST }] {
                file.swarm_for(wanted, environment).with_context(|| path.to_string())?;
            }
        }
        let learned = move |wanted: Preference, is_trained: bool| {
            let mut trainings: Vec<(Training, Swarm)> = Vec::new();
            for (file, artifact) in files {
                // checked before
                let Ok(mut swarm) = file.swarm_for(wanted, environment) else { continue };
                if !is_trained {
                    let Ok(untrained) = Swarm::new(file.swarm.clone(), environment) else { continue };
                    swarm = untrained;
                    swarm.prefer(wanted, environment);
                }
                let first_seed = file.training.first_seed;
                let training =
                    Training { artifact: *artifact, first_seed, provenance: Provenance::Unverified };
                trainings.push((training, swarm));
                if !is_trained {
                    break;
                }
            }
            Contestant::of_trainings(if is_trained { file_episodes(files) } else { 0 }, trainings)
        };
        let name = first.swarm.algorithm.name();
        for (name, is_trained) in [(name.to_owned(), true), (format!("{name}, never trained"), false)] {
            candidates.push(Candidate {
                name,
                is_rule: false,
                policy: Box::new(move |wanted| learned(wanted, is_trained)),
            });
        }
        Ok(candidates)
    }

    fn tell(&self, environment: &Environment, seeds: &[u64], found: &Fronts) -> anyhow::Result<Answer> {
        let all = || found.policies.iter().chain([&found.limit]);
        let rows = all()
            .filter(|front| front.points.len() == found.preferences.len())
            .flat_map(|front| rows(front, &found.preferences));
        let document = Document {
            environment: environment.preset().name(),
            steps: environment.steps(),
            seeds,
            reference: found.reference,
            covered: all().map(covered).collect(),
            points: rows.collect(),
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

fn file_episodes(files: &[(PolicyFile, [u8; 32])]) -> u32 {
    files.first().map_or(0, |(file, _)| file.training.episodes)
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
    let gaps: Vec<f64> =
        front.points.iter().filter_map(|point| point.gap_closed.map(|gap| gap.mean)).collect();
    let is_one_policy = !gaps.is_empty() && !front.name.starts_with("all ");
    Covered {
        policy: &front.name,
        hypervolume: front.hypervolume,
        expected_utility: front.expected_utility,
        least_gap_closed: is_one_policy.then(|| gaps.iter().copied().fold(f64::INFINITY, f64::min)),
        mean_gap_closed: is_one_policy.then(|| gaps.iter().sum::<f64>() / gaps.len() as f64),
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
    let policies: Vec<&Front> =
        found.policies.iter().filter(|front| front.points.len() == found.preferences.len()).skip(1).collect();
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
