//! What a deployment's log says, as it travels, in sentences and as tables.

use api::{
    Hash,
    evaluator::{EvaluationResult, LogRange, LoggedEstimates, LoggedPolicy, LoggedResult, MeanEstimate},
};
use evaluation::{
    off_policy::{Estimates, Judged, judge, situation::Sample},
    statistics::Interval,
    tables::Table,
};

use super::{Prepared, Read, chosen, policies::Contestant};

/// Judges all policies. `log` has been read as far as this tree, whose root this is.
pub(crate) fn result(
    prepared: &Prepared,
    read: &Read,
    (tree_size, root_hash): (u64, Hash),
) -> EvaluationResult {
    let Prepared { created, env, first_leaf, own, others, .. } = prepared;
    let policies = std::iter::once(own).chain(others).zip(chosen(others.len())).enumerate();
    let policies = policies.map(|(i, (contestant, choice))| {
        let samples: Vec<Sample> =
            read.situations.iter().filter_map(|situation| situation.sample(&choice)).collect();
        policy(contestant, i == 0, judge(&samples))
    });
    let logged = LoggedResult {
        deployment: created.settings.name.clone(),
        run: created.digest,
        log: LogRange { first_leaf: *first_leaf, last_leaf: read.last_leaf, tree_size, root_hash },
        decisions: read.situations.len() as u64,
        without_outcome: read.situations.iter().filter(|situation| situation.reward.is_none()).count() as u64,
        policies: policies.collect(),
    };
    EvaluationResult {
        environment_digest: created.configuration.environment_sha256,
        environment: env.preset().name().to_owned(),
        steps: env.steps(),
        seeds: Vec::new(),
        final_opening: None,
        policies: Vec::new(),
        comparisons: Vec::new(),
        best_rule: None,
        limit: None,
        fronts: None,
        constraints: Vec::new(),
        values_sha256: None,
        verdicts: verdicts(&logged),
        logged: Some(logged),
    }
}

fn policy(contestant: &Contestant, own: bool, judged: Judged) -> LoggedPolicy {
    let Judged { support, estimates } = judged;
    let (estimates, refusal) = match estimates {
        Ok(estimates) => (Some(estimates_to_wire(&estimates)), None),
        Err(refusal) => (None, Some(refusal)),
    };
    LoggedPolicy {
        name: contestant.name.clone(),
        own,
        policy_sha256: contestant.file,
        overlap: support.overlap,
        matching: support.matching,
        effective_size: support.effective_size,
        largest_weight: support.largest_weight,
        estimates,
        refusal,
    }
}

fn estimates_to_wire(estimates: &Estimates) -> LoggedEstimates {
    let mean = |Interval { mean, low, high }: Interval| MeanEstimate { mean, ci_low: low, ci_high: high };
    LoggedEstimates {
        logged: mean(estimates.logged),
        inverse_propensity: mean(estimates.inverse_propensity),
        self_normalised: mean(estimates.self_normalised),
        direct: mean(estimates.direct),
        doubly_robust: mean(estimates.doubly_robust),
        gain: mean(estimates.gain),
    }
}

/// The findings as sentences.
fn verdicts(logged: &LoggedResult) -> Vec<String> {
    let about = |policy: &LoggedPolicy| {
        let title = title(policy);
        match (&policy.estimates, &policy.refusal) {
            (Some(estimates), _) => about_gain(&title, &estimates.gain),
            (None, refusal) => format!("{title} is not judged. {}", refusal.as_deref().unwrap_or_default()),
        }
    };
    let mut sentences: Vec<String> = logged.policies.iter().map(about).collect();
    if logged.without_outcome > 0 {
        sentences.push(format!(
            "Of {} decisions {} have no outcome and are left out: that is right where it does not depend on an outcome whether \
             it is told.",
            logged.decisions, logged.without_outcome
        ));
    }
    sentences.push(
        "A value is that of a single decision where the log came to: who decides from the beginning comes elsewhere.".to_owned(),
    );
    sentences
}

fn about_gain(title: &str, gain: &MeanEstimate) -> String {
    let MeanEstimate { mean, ci_low, ci_high } = gain;
    if *ci_low > 0.0 {
        format!(
            "{title} would have earned {mean:.3} points a decision more than the log [{ci_low:.3}, {ci_high:.3}]."
        )
    } else if *ci_high < 0.0 {
        let (less, least, most) = (-mean, -ci_high, -ci_low);
        format!(
            "{title} would have earned {less:.3} points a decision less than the log [{least:.3}, {most:.3}]."
        )
    } else {
        format!(
            "The log does not show whether {title} would have earned more or less than it did: {mean:.3} points a decision \
             [{ci_low:.3}, {ci_high:.3}]."
        )
    }
}

fn title(policy: &LoggedPolicy) -> String {
    if policy.own { format!("{} without exploration", policy.name) } else { policy.name.clone() }
}

/// What each policy would have earned a decision, by the estimator to read, and how much more that is than the log earned.
#[must_use]
pub fn estimates_table(logged: &LoggedResult) -> Table {
    let with_interval = |estimate: &MeanEstimate| {
        let MeanEstimate { mean, ci_low, ci_high } = estimate;
        Some(format!("{mean:.3} [{ci_low:.3}, {ci_high:.3}]"))
    };
    let row = |policy: &LoggedPolicy| {
        let estimates = policy.estimates.as_ref();
        vec![
            Some(shown(policy)),
            estimates.and_then(|estimates| with_interval(&estimates.doubly_robust)),
            estimates.and_then(|estimates| with_interval(&estimates.gain)),
        ]
    };
    Table {
        header: ["policy", "doubly robust", "gain"].map(str::to_owned).into(),
        rows: logged.policies.iter().map(row).collect(),
    }
}

/// What that rests on, and what the other estimators say.
#[must_use]
pub fn support_table(logged: &LoggedResult) -> Table {
    let row = |policy: &LoggedPolicy| {
        let estimates = policy.estimates.as_ref();
        let mean = |pick: fn(&LoggedEstimates) -> MeanEstimate| {
            estimates.map(|estimates| format!("{:.3}", pick(estimates).mean))
        };
        vec![
            Some(shown(policy)),
            Some(format!("{:.3}", policy.overlap)),
            Some(format!("{:.0}", policy.effective_size.floor())),
            Some(format!("{:.1}", policy.largest_weight)),
            mean(|estimates| estimates.inverse_propensity),
            mean(|estimates| estimates.self_normalised),
            mean(|estimates| estimates.direct),
        ]
    };
    Table {
        header: ["policy", "overlap", "eff.", "weight", "IPS", "SNIPS", "direct"].map(str::to_owned).into(),
        rows: logged.policies.iter().map(row).collect(),
    }
}

/// The name in a table: the deployment's own policy is marked.
fn shown(policy: &LoggedPolicy) -> String {
    if policy.own { format!("{} *", policy.name) } else { policy.name.clone() }
}

const HEADER: [&str; 25] = [
    "policy",
    "own",
    "policy_sha256",
    "overlap",
    "matching",
    "effective_size",
    "largest_weight",
    "logged",
    "logged_low",
    "logged_high",
    "inverse_propensity",
    "inverse_propensity_low",
    "inverse_propensity_high",
    "self_normalised",
    "self_normalised_low",
    "self_normalised_high",
    "direct",
    "direct_low",
    "direct_high",
    "doubly_robust",
    "doubly_robust_low",
    "doubly_robust_high",
    "gain",
    "gain_low",
    "gain_high",
];

/// A row for each policy.
///
/// # Errors
/// None that a result in memory can cause.
pub(crate) fn to_csv(logged: &LoggedResult) -> Result<String, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(HEADER)?;
    for policy in &logged.policies {
        let LoggedPolicy {
            name, own, policy_sha256, overlap, matching, effective_size, largest_weight, ..
        } = policy;
        let mut cells = vec![
            name.clone(),
            own.to_string(),
            policy_sha256.map(|file| file.to_string()).unwrap_or_default(),
            overlap.to_string(),
            matching.to_string(),
            effective_size.to_string(),
            largest_weight.to_string(),
        ];
        match &policy.estimates {
            Some(estimates) => cells.extend(figures(estimates).map(|figure| figure.to_string())),
            None => cells.resize(HEADER.len(), String::new()),
        }
        writer.write_record(cells)?;
    }
    let bytes = writer.into_inner().map_err(|error| error.into_error())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn figures(estimates: &LoggedEstimates) -> impl Iterator<Item = f64> {
    let LoggedEstimates { logged, inverse_propensity, self_normalised, direct, doubly_robust, gain } =
        *estimates;
    [logged, inverse_propensity, self_normalised, direct, doubly_robust, gain]
        .into_iter()
        .flat_map(|MeanEstimate { mean, ci_low, ci_high }| [mean, ci_low, ci_high])
}
