//! The report: one page that says what was found, how sure it is, how it was found, and how to check it.

use api::evaluator::{
    Estimate, Evaluation, EvaluationResult, LimitResult, NewEvaluation, PolicyResult, Share, TenantEstimates,
};
use plots::{
    PlotError, compared_policies, evaluation_figures,
    page::{Block, Page, Section, Table},
    policy_title,
};

/// The page of an evaluation and its result. It holds no clock time: the same evaluation has the same page.
///
/// # Errors
/// A chart cannot be drawn.
pub fn report_page(evaluation: &Evaluation, result: &EvaluationResult) -> Result<Page, PlotError> {
    let seeds = result.seeds.len();
    Ok(Page {
        title: format!("Evaluation: {} policies on {}", result.policies.len(), result.environment),
        lede: format!(
            "Every policy met the same {seeds} held-out episodes of {} steps. Intervals are 95 % bootstrap intervals over \
             the seeds; “better” is said only where an interval excludes zero.",
            result.steps
        ),
        sections: vec![
            Section { heading: "What was found".into(), blocks: vec![Block::List(result.verdicts.clone())] },
            Section { heading: "Figures".into(), blocks: figures(result) },
            Section { heading: "Charts".into(), blocks: charts(result)? },
            Section { heading: "Who gets what".into(), blocks: fairness(result) },
            Section {
                heading: "How to get it again".into(),
                blocks: reproduction(&evaluation.config, result),
            },
            Section { heading: "In the ledger".into(), blocks: ledger(evaluation) },
            Section { heading: "Configuration".into(), blocks: configuration(evaluation, result) },
        ],
    })
}

/// The charts of an evaluation, as a part of a page.
///
/// # Errors
/// One cannot be drawn.
pub fn charts(result: &EvaluationResult) -> Result<Vec<Block>, PlotError> {
    evaluation_figures(result).iter().map(Block::chart).collect()
}

/// The headline tables of an evaluation: what each policy achieved, and how sure the difference is.
#[must_use]
pub fn figures(result: &EvaluationResult) -> Vec<Block> {
    let mut blocks = vec![Block::Table(achieved(result)), Block::Table(differences(result))];
    if let Some(limit) = &result.limit {
        blocks.push(Block::Text(format!("Physical limit. {}", limit.note)));
    }
    blocks
}

/// The means, with the figures that unmask a policy which games the reward.
fn achieved(result: &EvaluationResult) -> Table {
    let header = [
        "policy",
        "reward per request",
        "fill",
        "GPU-hours fill",
        "$ per GPU-hour",
        "cost index",
        "fill below 3 GPU-hours",
        "fill 3 to below 6",
        "fill from 6 on",
        "worst tenant's GPU-hours fill",
        "deferred share",
        "latency, ms",
        "$ per routed request",
    ];
    let row = |policy: &PolicyResult| {
        let m = &policy.metrics;
        let sizes = &m.fill_by_size;
        let figures = [
            (m.reward, 3),
            (m.fill_rate, 4),
            (m.gpu_hours_fill, 4),
            (m.cost_per_gpu_hour_usd, 4),
            (m.cost_index, 4),
            (sizes.under_3h, 4),
            (sizes.from_3h_to_6h, 4),
            (sizes.from_6h, 4),
            (m.worst_tenant_gpu_hours_fill, 4),
            (m.deferred_share, 4),
            (m.avg_latency_ms, 1),
            (m.avg_cost_usd, 3),
        ];
        let cells = figures.into_iter().map(|(estimate, decimals)| mean(estimate, decimals));
        std::iter::once(policy_title(policy, &result.policies)).chain(cells).collect()
    };
    let mut rows: Vec<Vec<String>> = result.policies.iter().map(row).collect();
    rows.extend(result.limit.as_ref().map(|limit| limit_row(limit, header.len())));
    Table {
        caption: "Means over the seeds. GPU-hours fill, fill by job size, the worst tenant, cost index with $ per \
                  GPU-hour, and deferred share with latency unmask a policy that earns its reward by dropping what is \
                  expensive. – is no data."
            .into(),
        header: header.map(str::to_owned).into(),
        rows,
    }
}

fn limit_row(limit: &LimitResult, columns: usize) -> Vec<String> {
    let mut cells = vec!["–".to_owned(); columns];
    let label = if limit.steps_solved == limit.steps_total {
        "physical limit".to_owned()
    } else {
        format!("physical limit ({} of {} steps)", limit.steps_solved, limit.steps_total)
    };
    let figures = [
        (0, label),
        (1, mean(limit.reward, 3)),
        (2, mean(limit.fill_rate, 4)),
        (11, mean(limit.avg_latency_ms, 1)),
        (12, mean(limit.avg_cost_usd, 3)),
    ];
    for (column, text) in figures {
        cells[column] = text;
    }
    cells
}

/// Reward and its differences, with intervals.
fn differences(result: &EvaluationResult) -> Table {
    let header = [
        "policy",
        "reward per request",
        "interquartile mean",
        "standard deviation of the seeds",
        "minus the baseline's",
        "minus the best hand rule's",
        "probability of improvement",
        "gap to the limit closed",
        "gap to the informed rule closed",
    ];
    let row = |policy: &PolicyResult| {
        let reward = policy.metrics.reward;
        vec![
            policy_title(policy, &result.policies),
            interval(reward, 3),
            reward.map_or_else(none, |e| format!("{:.3}", e.iqm)),
            reward.and_then(|e| e.std_dev).map_or_else(none, |s| format!("{s:.3}")),
            difference(policy.versus_baseline.reward),
            difference(policy.versus_best_rule.reward),
            share(policy.probability_of_improvement),
            share(policy.gap_closed),
            share(policy.informed_gap_closed),
        ]
    };
    Table {
        caption: format!(
            "Reward per request, mean [95 % interval]. Differences are paired, seed by seed; the baseline is \
             weighted-score, the best hand rule by mean reward is {}.",
            result.best_rule
        ),
        header: header.map(str::to_owned).into(),
        rows: result.policies.iter().map(row).collect(),
    }
}

/// GPU-hours fill by tenant, of the policies that the charts compare.
fn fairness(result: &EvaluationResult) -> Vec<Block> {
    let compared = compared_policies(result);
    let Some(first) = compared.first() else { return Vec::new() };
    let titles = compared.iter().map(|policy| policy_title(policy, &result.policies));
    let row = |(i, tenant): (usize, &TenantEstimates)| {
        let fill = |policy: &&PolicyResult| {
            let same = policy.fairness.by_tenant.get(i).filter(|t| t.tenant == tenant.tenant);
            interval(same.and_then(|t| t.gpu_hours_fill), 4)
        };
        std::iter::once(tenant.tenant.clone()).chain(compared.iter().map(fill)).collect()
    };
    vec![Block::Table(Table {
        caption: "GPU-hours fill by tenant, mean [95 % interval], of the best learned policy, the baseline and the \
                  best hand rule."
            .into(),
        header: std::iter::once("tenant".to_owned()).chain(titles).collect(),
        rows: first.fairness.by_tenant.iter().enumerate().map(row).collect(),
    })]
}

fn reproduction(config: &NewEvaluation, result: &EvaluationResult) -> Vec<Block> {
    let mut blocks = Vec::new();
    if let Some(command) = command(config, result.steps) {
        blocks.push(Block::Text("With the command line, which needs no running service:".into()));
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

/// `mesh evaluate` with these settings, where it can express them.
fn command(config: &NewEvaluation, steps: u32) -> Option<String> {
    let NewEvaluation { policies, environment, seeds, .. } = config;
    if policies.is_empty() {
        return None;
    }
    let expressible = NewEvaluation {
        policies: policies.clone(),
        environment: environment.clone(),
        seeds: *seeds,
        steps: config.steps,
        limit_steps: config.limit_steps,
        ..NewEvaluation::default()
    };
    if *config != expressible {
        return None;
    }
    let mut lines = Vec::new();
    let mut command = "mesh evaluate --ai-agents".to_owned();
    for policy in policies {
        let file = format!("{}.json", &policy.to_string()[..8]);
        lines.push(format!("curl -s http://127.0.0.1:8002/v1/artifacts/{policy} -o {file}"));
        command.push_str(&format!(" {file}"));
    }
    for (given, flag, file) in [
        (environment.providers.is_some(), "--providers", "providers.json"),
        (environment.workloads.is_some(), "--baseline-config", "workloads.json"),
    ] {
        if given {
            let field = file.trim_end_matches(".json");
            lines.push(format!("# {file}: what stands at /environment/{field} in the configuration below"));
            command.push_str(&format!(" {flag} {file}"));
        }
    }
    let preset = environment.preset.as_deref().unwrap_or("default");
    let limit = config.limit_steps.map_or_else(String::new, |n| format!(" --limit-steps {n}"));
    lines.push(format!("{command} --preset {preset} --steps {steps} --seeds {seeds}{limit}"));
    Some(lines.join("\n"))
}

fn ledger(evaluation: &Evaluation) -> Vec<Block> {
    let Some(record) = &evaluation.record_id else {
        return vec![Block::Text("This result is not recorded.".into())];
    };
    vec![
        Block::Text(format!(
            "The result is the record {record} of the tamper-evident log. This fetches the record with its proof, and \
             verifies it offline:"
        )),
        Block::Code(format!(
            "curl -s 'http://127.0.0.1:8002/v1/log/evidence?record={record}' -o evaluation_receipt.json\n\
             mesh verify evaluation_receipt.json"
        )),
    ]
}

fn configuration(evaluation: &Evaluation, result: &EvaluationResult) -> Vec<Block> {
    let (first, last) = (result.seeds.first().copied(), result.seeds.last().copied());
    let mut facts = vec![
        format!("Evaluation {}.", evaluation.id),
        format!(
            "Environment {}, SHA-256 of its definition {}.",
            result.environment, result.environment_digest
        ),
        format!(
            "{} steps an episode; seeds {} to {}.",
            result.steps,
            first.unwrap_or_default(),
            last.unwrap_or_default()
        ),
    ];
    for policy in &result.policies {
        if let Some(sha256) = policy.policy_sha256 {
            facts.push(format!("Policy {}: artifact {sha256}.", policy_title(policy, &result.policies)));
        }
    }
    let json = serde_json::to_string_pretty(&evaluation.config).unwrap_or_default();
    vec![Block::List(facts), Block::Code(json)]
}

fn none() -> String {
    "–".into()
}

fn mean(estimate: Option<Estimate>, decimals: usize) -> String {
    estimate.map_or_else(none, |e| format!("{:.decimals$}", e.mean))
}

fn interval(estimate: Option<Estimate>, decimals: usize) -> String {
    estimate.map_or_else(none, |e| {
        format!("{:.decimals$} [{:.decimals$},\u{a0}{:.decimals$}]", e.mean, e.ci_low, e.ci_high)
    })
}

fn difference(estimate: Option<Estimate>) -> String {
    estimate.map_or_else(none, |e| format!("{:+.3} [{:+.3},\u{a0}{:+.3}]", e.mean, e.ci_low, e.ci_high))
}

fn share(share: Option<Share>) -> String {
    share.map_or_else(none, |s| format!("{:.3} [{:.3},\u{a0}{:.3}]", s.mean, s.ci_low, s.ci_high))
}

#[cfg(test)]
mod tests {
    use api::Hash;

    use super::*;

    #[test]
    fn the_command_is_told_only_where_it_says_all_of_the_configuration() {
        let preset = api::trainer::EnvironmentSpec { preset: Some("contended".into()), ..Default::default() };
        let config = NewEvaluation {
            policies: vec![Hash([7; 32])],
            environment: preset,
            steps: Some(50),
            ..NewEvaluation::default()
        };
        let told = command(&config, 50).unwrap();
        assert!(
            told.ends_with("--ai-agents 07070707.json --preset contended --steps 50 --seeds 20"),
            "{told}"
        );
        assert!(told.contains(&Hash([7; 32]).to_string()), "{told}");
        let two = NewEvaluation { policies: vec![Hash([7; 32]), Hash([8; 32])], ..config.clone() };
        assert!(command(&two, 50).unwrap().contains("--ai-agents 07070707.json 08080808.json --preset"));
        let none = NewEvaluation { policies: vec![], ..config.clone() };
        let rules = NewEvaluation { rules: Some(vec!["cheapest".into()]), ..config.clone() };
        let seeds = NewEvaluation { first_seed: api::FIRST_HELD_OUT_SEED + 1, ..config };
        for other in [none, rules, seeds] {
            assert_eq!(command(&other, 50), None, "{other:?}");
        }
    }
}
