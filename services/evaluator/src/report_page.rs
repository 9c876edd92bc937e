//! The report: one page that says what was found, how sure it is, how it was found, and how to check it.

use api::evaluator::{
    Evaluation, EvaluationResult, FrontPoint, Fronts, LogRange, LoggedResult, NewEvaluation, TrainingResult,
    Trainings,
};
use evaluation::{
    brief::{headline, what_changes},
    report::TenantReport,
    tables,
};
use plots::{
    PlotError, compared_policies, evaluation_figures,
    page::{Block, Page, Section, Table},
};

use crate::{
    conversion::from_wire,
    fronts::{coverage_table, points_table},
    logged::{estimates_table, support_table},
};

/// The page of an evaluation and its result. It holds no clock time: the same evaluation has the same page.
///
/// # Errors
/// A chart cannot be drawn.
pub fn report_page(evaluation: &Evaluation, result: &EvaluationResult) -> Result<Page, PlotError> {
    let section = |heading: &str, blocks| Section { heading: heading.into(), blocks };
    let found = section("What was found", vec![Block::List(result.verdicts.clone())]);
    let figures = section("Figures", figures(result));
    let mut charts = if result.logged.is_some() { Vec::new() } else { charts(result)? };
    // what a reader who leaves at once has seen
    let first = section("In one picture", charts.drain(..charts.len().min(1)).collect());
    let more = section("More charts", charts);
    let (title, lede) = match (&result.fronts, &result.logged) {
        (_, Some(logged)) => about_log(logged),
        (None, None) => about_comparison(result),
        (Some(fronts), None) => about_fronts(result, fronts),
    };
    let changes = section("What changes, and who pays for it", changes(result));
    let mut sections = vec![first, changes, found, figures, more];
    if result.fronts.is_none() && result.logged.is_none() {
        sections.push(section("Who gets what", fairness(result)));
        sections.push(section("Words", vec![Block::Terms(terms())]));
    }
    sections.retain(|section| !section.blocks.is_empty());
    sections.extend([
        section("How to get it again", reproduction(&evaluation.config, result)),
        section("In the ledger", ledger(evaluation)),
        section("Configuration", configuration(evaluation, result)),
    ]);
    Ok(Page { title, lede, sections })
}

/// The best learned policy beside the baseline, in what everybody asks for.
fn changes(result: &EvaluationResult) -> Vec<Block> {
    let caption = "Your rule is weighted-score. Who loses more than five points is marked (!).";
    let compared = result.fronts.is_none() && result.logged.is_none();
    let table = compared.then(|| what_changes(&from_wire(result))).flatten();
    table.into_iter().map(|table| Block::Table(drawn(table, caption.into()))).collect()
}

/// What the words of the page mean.
fn terms() -> Vec<(String, String)> {
    [
        ("reward", "What a policy is judged by: what serving a request is worth, less what it costs, waits and fails."),
        ("your rule, baseline", "weighted-score, the rule that most people would write by hand; all are compared with it."),
        ("best hand rule", "The one with the highest mean reward among all rules that were played, tuned ones too."),
        ("never trained", "The same algorithm before its training: what it does without having learned anything."),
        (
            "physical limit",
            "What nobody can do better, computed for each step with everything known that is hidden from the policies.",
        ),
        ("gap closed", "Which share of the way from your rule (0) to the physical limit (1) a policy goes."),
        ("fill", "The share of requests that were served; of GPU-hours, the share of the hours."),
        ("worst tenant", "The tenant who gets the smallest share of its GPU-hours."),
        ("cost index", "What was paid, relative to the cheapest list price of the same hours."),
        ("deferred share", "The share of requests that had to wait for a later step."),
        (
            "95 % interval",
            "Where the mean over other episodes, and other trainings, would be found in 95 of 100 such evaluations.",
        ),
        ("paired difference", "Two policies compared on the same episodes, so that hard and easy episodes cancel out."),
    ]
    .map(|(term, meaning)| (term.to_owned(), meaning.to_owned()))
    .into()
}

/// Title and first sentences.
fn about_comparison(result: &EvaluationResult) -> (String, String) {
    let (policies, seeds, steps) = (result.policies.len(), result.seeds.len(), result.steps);
    let found = headline(&from_wire(result)).map_or_else(String::new, |found| format!("{found} "));
    let lede = format!(
        "{found}Every policy met the same {seeds} held-out episodes of {steps} steps. Intervals of 95 % say how far other seeds, and \
         other trainings of a policy that was trained several times, may lead elsewhere; “better” is said only where an \
         interval excludes zero."
    );
    (format!("Evaluation: {policies} policies on {}", result.environment), lede)
}

fn about_fronts(result: &EvaluationResult, fronts: &Fronts) -> (String, String) {
    let (policies, preferences) = (fronts.policies.len(), fronts.limit.points.len());
    let lede = format!(
        "Every policy was asked under each of {preferences} preferences, and met the same {} held-out episodes of {} steps under \
         each. The physical limit, which no policy can pass, was solved under the same weights. Intervals of 95 % say how far \
         other seeds, and other trainings of a policy that was trained several times, may lead elsewhere.",
        result.seeds.len(),
        result.steps
    );
    (format!("Fronts: {policies} policies under {preferences} preferences on {}", result.environment), lede)
}

fn about_log(logged: &LoggedResult) -> (String, String) {
    let lede = format!(
        "What a decision would have earned on average if these policies had made it, from {} decisions of the deployment {} and \
         what was told of them. Nothing was simulated. It is the value of one decision in the situations that the log came to: \
         a policy that decides from the beginning comes into others.",
        logged.decisions, logged.deployment
    );
    (format!("Off-policy: {} policies on the log of {}", logged.policies.len(), logged.deployment), lede)
}

/// What each policy would have earned, and what that rests on.
fn log_figures(logged: &LoggedResult) -> Vec<Block> {
    let estimates = drawn(
        estimates_table(logged),
        "Points a decision [95 %]: doubly robust, and how much that is above what the log earned in the same decisions. * is the \
         deployment's own policy without exploration; – is not judged."
            .into(),
    );
    let support = drawn(
        support_table(logged),
        "The share of decisions in which the log could have made the policy's choice, how many equally weighted decisions those are \
         worth that are its choice, the largest weight of one, and the means by inverse propensity, the same self-normalised, and \
         by the direct method."
            .into(),
    );
    vec![Block::Table(estimates), Block::Table(support)]
}

/// The charts of an evaluation, as a part of a page.
///
/// # Errors
/// One cannot be drawn.
pub fn charts(result: &EvaluationResult) -> Result<Vec<Block>, PlotError> {
    evaluation_figures(result, &from_wire(result).titles()).iter().map(Block::chart).collect()
}

/// The headline tables of an evaluation: what each policy achieved, and how sure the difference is.
#[must_use]
pub fn figures(result: &EvaluationResult) -> Vec<Block> {
    if let Some(fronts) = &result.fronts {
        return front_figures(fronts);
    }
    if let Some(logged) = &result.logged {
        return log_figures(logged);
    }
    let report = from_wire(result);
    let mut means = drawn(
        tables::means(&report),
        "Means over trainings and seeds. GPU-hours fill, fill by job size, the worst tenant, cost index with $ per GPU-hour, and \
         deferred share with latency unmask a policy that earns its reward by dropping what is expensive. – is no data."
            .into(),
    );
    let differences = drawn(
        tables::differences(&report),
        format!(
            "Reward per request, mean [95 % interval]. Differences are paired, seed by seed; the baseline is \
             weighted-score, the best hand rule by mean reward is {}.",
            report.best_rule
        ),
    );
    means.marked = best(result).into_iter().collect();
    let differences = Table { marked: means.marked.clone(), ..differences };
    let mut blocks = vec![Block::Table(means), Block::Table(differences)];
    if !report.constraints.is_empty() {
        let caption = "How the constraints were kept. Met is what is missed by at most 1 % of the bound; prices are in points a \
                       ms, a request or a GPU-hour.";
        let kept = tables::constraints(&report.constraints, &report.titles());
        blocks.push(Block::Table(drawn(kept, caption.into())));
    }
    if let Some(limit) = &result.limit {
        blocks.push(Block::Text(format!("Physical limit. {}", limit.note)));
    }
    blocks
}

/// Who earns most of those that are told no more than the others.
fn best(result: &EvaluationResult) -> Option<usize> {
    let policies = result.policies.iter().enumerate().filter(|(_, policy)| !policy.reference);
    let rewards = policies.filter_map(|(i, policy)| Some((i, policy.metrics.reward?.mean)));
    rewards.max_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(i, _)| i)
}

/// What each front covers, and the points of each trained policy, or else of each hand rule, and of the limit.
fn front_figures(fronts: &Fronts) -> Vec<Block> {
    let covered = drawn(
        coverage_table(fronts),
        "Hypervolume beside that of the limit's points, over requests and GPU-hours served, excess cost and latency; of more \
         points it may be more. Expected utility is in points a request, the mean over the preferences of what the best of the \
         points is worth. Gap closed is the share of the way from the baseline to the limit."
            .into(),
    );
    let mut shown: Vec<(&str, &[FrontPoint])> = fronts
        .policies
        .iter()
        .filter(|front| front.trained_episodes.is_some_and(|episodes| episodes > 0))
        .map(|front| (front.name.as_str(), front.points.as_slice()))
        .collect();
    if shown.is_empty() {
        let rules = fronts.policies.iter().skip(1); // the first one is the baseline
        shown = rules.map(|front| (front.name.as_str(), front.points.as_slice())).collect();
    }
    shown.push(("The physical limit", &fronts.limit.points));
    let points = shown.into_iter().map(|(name, points)| {
        let caption = format!(
            "{name}, preference by preference: what a request, a GPU-hour, a USD beyond the list price and a ms are worth in \
             points, and what came of it. – is no data."
        );
        Block::Table(drawn(points_table(points), caption))
    });
    std::iter::once(Block::Table(covered)).chain(points).collect()
}

/// A table as the page shows it: without the columns of which nothing is known, which only take room.
fn drawn(table: tables::Table, caption: String) -> Table {
    let is_known =
        |column: &usize| table.rows.iter().any(|row| row.get(*column).is_some_and(Option::is_some));
    let known: Vec<usize> = (0..table.header.len()).filter(is_known).collect();
    let of = |cells: &[String]| known.iter().filter_map(|column| cells.get(*column).cloned()).collect();
    let rows = table.filled("–").iter().map(|row| of(row)).collect();
    Table { caption, rows, header: of(&table.header), marked: Vec::new() }
}

/// GPU-hours fill by tenant, of the policies that the charts compare.
fn fairness(result: &EvaluationResult) -> Vec<Block> {
    let report = from_wire(result);
    let (titles, compared) = (report.titles(), compared_policies(result));
    let Some(first) = compared.first() else { return Vec::new() };
    let row = |(i, tenant): (usize, &TenantReport)| {
        let fill = |policy: &usize| {
            let by_tenant = &report.policies[*policy].fairness.by_tenant;
            let same = by_tenant.get(i).filter(|t| t.tenant == tenant.tenant);
            tables::with_interval(same.and_then(|t| t.gpu_hours_fill), 4)
        };
        std::iter::once(Some(tenant.tenant.clone())).chain(compared.iter().map(fill)).collect()
    };
    let titles = compared.iter().map(|policy| titles[*policy].clone());
    let table = tables::Table {
        header: std::iter::once("tenant".to_owned()).chain(titles).collect(),
        rows: report.policies[*first].fairness.by_tenant.iter().enumerate().map(row).collect(),
    };
    let caption = "GPU-hours fill by tenant, mean [95 % interval], of the best learned policy, the baseline and the \
                   best hand rule.";
    vec![Block::Table(drawn(table, caption.into()))]
}

fn reproduction(config: &NewEvaluation, result: &EvaluationResult) -> Vec<Block> {
    let mut blocks = Vec::new();
    if let Some(command) = command(config, result.steps) {
        let where_to = match config.logged {
            Some(_) => {
                "With the command line, of a running stack (--evaluator, --remembrancer) or its --data-dir:"
            }
            None if config.policies.is_empty() => "With the command line, which needs no running service:",
            None => {
                "With the command line. A running ledger gives the policies; where mesh train wrote this page, they are beside it \
                 too: swarm_final.json, and that of each further training in its folder."
            }
        };
        blocks.push(Block::Text(where_to.into()));
        blocks.push(Block::Code(command));
    }
    let body = serde_json::to_string(config).unwrap_or_default();
    blocks.push(Block::Text(
        "Or over HTTP; addresses are those of mesh up. The answer's Location leads to the result, with the same bytes \
         as this one's:"
            .into(),
    ));
    blocks.push(Block::Code(format!(
        "curl -s http://127.0.0.1:8003/v1/evaluations -H 'content-type: application/json' -d '{}'",
        body.replace('\'', r"'\''")
    )));
    blocks
}

/// `mesh evaluate`, or `mesh pareto` under the grid, with these settings, where it can express them.
fn command(config: &NewEvaluation, steps: u32) -> Option<String> {
    if config.logged.is_some() {
        return log_command(config);
    }
    let NewEvaluation { policies, environment, seeds, .. } = config;
    let grid = config.preferences.clone().filter(|preferences| preferences == "grid");
    let is_grid = grid.is_some();
    if policies.is_empty() && !is_grid {
        return None;
    }
    let expressible = NewEvaluation {
        policies: policies.clone(),
        environment: environment.clone(),
        seeds: *seeds,
        steps: config.steps,
        limit_steps: config.limit_steps,
        first_seed: config.first_seed,
        is_final: config.is_final,
        rules: config.rules.clone().filter(|rules| is_grid && !rules.is_empty()),
        preferences: grid,
        ..NewEvaluation::default()
    };
    if *config != expressible {
        return None;
    }
    let mut lines = Vec::new();
    let mut command = if is_grid { "mesh pareto" } else { "mesh evaluate" }.to_owned();
    if !policies.is_empty() {
        command.push_str(" --ai-agents");
    }
    for artifact in policies.iter().flat_map(Trainings::artifacts) {
        let file = format!("{}.json", &artifact.to_string()[..8]);
        lines.push(format!("curl -s http://127.0.0.1:8002/v1/artifacts/{artifact} -o {file}"));
        command.push_str(&format!(" {file}"));
    }
    // the command line takes files that were trained alike for trainings of one policy
    if policies.len() > 1 && policies.iter().all(|policy| matches!(policy, Trainings::One(_))) {
        command.push_str(" --apart");
    }
    if let Some(rules) = &config.rules {
        command.push_str(&format!(" --rules {}", rules.join(",")));
    }
    let workloads = if is_grid { "--workloads" } else { "--baseline-config" };
    for (given, flag, file) in [
        (environment.providers.is_some(), "--providers", "providers.json"),
        (environment.workloads.is_some(), workloads, "workloads.json"),
    ] {
        if given {
            let field = file.trim_end_matches(".json");
            lines.push(format!("# {file}: what stands at /environment/{field} in the configuration below"));
            command.push_str(&format!(" {flag} {file}"));
        }
    }
    let preset = environment.preset.as_deref().unwrap_or("default");
    let limit = config.limit_steps.map_or_else(String::new, |n| format!(" --limit-steps {n}"));
    let from = match (config.is_final, config.first_seed) {
        (true, _) => " --final".to_owned(),
        (false, api::FIRST_HELD_OUT_SEED) => String::new(),
        (false, first) => format!(" --first-seed {first}"),
    };
    lines.push(format!("{command} --preset {preset} --steps {steps} --seeds {seeds}{from}{limit}"));
    Some(lines.join("\n"))
}

/// `mesh evaluate --logged` with these settings.
fn log_command(config: &NewEvaluation) -> Option<String> {
    let rules = config.rules.iter().flatten().cloned();
    let policies = config.policies.iter().filter_map(|policy| match policy {
        Trainings::One(file) => Some(file.to_string()),
        Trainings::Named(name) => Some(name.0.clone()),
        Trainings::Several(_) => None,
    });
    let policies: Vec<String> = rules.chain(policies).collect();
    let size = config.log_size.map_or_else(String::new, |size| format!(" --log-size {size}"));
    Some(format!(
        "mesh evaluate --logged {} --policies {}{size}",
        config.logged.as_ref()?,
        policies.join(",")
    ))
}

fn ledger(evaluation: &Evaluation) -> Vec<Block> {
    let Some(record) = &evaluation.record_id else {
        return vec![Block::Text("This result is not recorded.".into())];
    };
    vec![
        Block::Text(format!(
            "The result is the record {record} of the tamper-evident log. The command line writes the record with its proof to a \
             file beside this page, which is verified offline:"
        )),
        Block::Code("mesh verify evaluation_receipt.json".into()),
        Block::Text("Where the file is not there, a running ledger gives it:".into()),
        Block::Code(format!(
            "curl -s 'http://127.0.0.1:8002/v1/log/evidence?record={record}' -o evaluation_receipt.json"
        )),
    ]
}

fn configuration(evaluation: &Evaluation, result: &EvaluationResult) -> Vec<Block> {
    let mut facts = vec![
        format!("Evaluation {}.", evaluation.id),
        format!(
            "Environment {}, SHA-256 of its definition {}.",
            result.environment, result.environment_digest
        ),
    ];
    if let (Some(first), Some(last)) = (result.seeds.first(), result.seeds.last()) {
        facts.push(format!("{} steps an episode; seeds {first} to {last}.", result.steps));
    }
    if let Some(logged) = &result.logged {
        let LogRange { first_leaf, last_leaf, tree_size, root_hash } = logged.log;
        facts.push(format!(
            "Read from the leaves {first_leaf} to {last_leaf} of a log of {tree_size} with the root {root_hash}; decisions of the \
             run {}.",
            logged.run
        ));
    }
    let compared = result.policies.iter().map(|policy| &policy.trainings).zip(from_wire(result).titles());
    let fronts = result.fronts.iter().flat_map(|fronts| &fronts.policies);
    let asked = fronts.map(|front| (&front.trainings, front.name.clone()));
    for (trainings, title) in compared.chain(asked) {
        for training in trainings {
            let TrainingResult { policy_sha256, first_seed, run, .. } = training;
            let trained = match run {
                Some(run) => format!("trained: recorded run {run}"),
                None => "unverified: the ledger knows no run that wrote it".to_owned(),
            };
            facts.push(format!(
                "Policy {title}: artifact {policy_sha256}, training seeds from {first_seed}; {trained}."
            ));
        }
    }
    if let Some(sha256) = result.values_sha256 {
        facts.push(format!(
            "What every policy achieved on every seed, from which each figure here can be computed again: artifact {sha256}, \
             or /v1/evaluations/{}/values.csv.",
            evaluation.id
        ));
    }
    let json = serde_json::to_string_pretty(&evaluation.config).unwrap_or_default();
    vec![Block::List(facts), Block::Code(json)]
}

#[cfg(test)]
mod tests {
    use api::Hash;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_command_is_told_only_where_it_says_all_of_the_configuration() {
        let preset = api::trainer::EnvironmentSpec { preset: Some("contended".into()), ..Default::default() };
        let config = NewEvaluation {
            policies: vec![Trainings::One(Hash([7; 32]))],
            environment: preset,
            steps: Some(50),
            ..NewEvaluation::default()
        };
        let told = command(&config, 50).unwrap();
        assert!(
            told.ends_with("--ai-agents 07070707.json --preset contended --steps 50 --seeds 50"),
            "{told}"
        );
        assert!(told.contains(&Hash([7; 32]).to_string()), "{told}");
        let both = [Hash([7; 32]), Hash([8; 32])];
        let two = NewEvaluation { policies: both.map(Trainings::One).into(), ..config.clone() };
        assert!(
            command(&two, 50).unwrap().contains("--ai-agents 07070707.json 08080808.json --apart --preset")
        );
        let trainings = NewEvaluation { policies: vec![Trainings::Several(both.into())], ..config.clone() };
        assert!(
            command(&trainings, 50).unwrap().contains("--ai-agents 07070707.json 08080808.json --preset")
        );
        let other = NewEvaluation { first_seed: api::FIRST_HELD_OUT_SEED + 1, ..config.clone() };
        assert!(command(&other, 50).unwrap().ends_with("--seeds 50 --first-seed 4294967297"));
        let last = NewEvaluation { is_final: true, ..config.clone() };
        assert!(command(&last, 50).unwrap().ends_with("--seeds 50 --final"));
        let none = NewEvaluation { policies: vec![], ..config.clone() };
        let rules = NewEvaluation { rules: Some(vec!["cheapest".into()]), ..config };
        for other in [&none, &rules] {
            assert_eq!(command(other, 50), None, "{other:?}");
        }
        let under = |preferences: Value, other: NewEvaluation| {
            command(&NewEvaluation { preferences: Some(preferences), ..other }, 50)
        };
        let told = under(json!("grid"), rules).unwrap();
        assert!(
            told.ends_with("\nmesh pareto --ai-agents 07070707.json --rules cheapest --preset contended --steps 50 --seeds 50"),
            "{told}"
        );
        let alone = "mesh pareto --preset contended --steps 50 --seeds 50";
        assert_eq!(under(json!("grid"), none.clone()).as_deref(), Some(alone));
        assert_eq!(under(json!(["cheap", "fast"]), none), None);
    }
}
