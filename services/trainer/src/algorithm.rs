//! The algorithm of a run: from either form in which it may be written to the one that is answered and recorded.

use api::{
    FieldError,
    trainer::{AlgorithmSpec, NewRun},
};
use policy::{
    Algorithm, Range, Setting, SettingError,
    registry::{self, DEFAULT_LEARNER, Learner},
};
use serde_json::{Map, Value};

use crate::digest::is_over_flat_form;

/// Earlier versions wrote these settings of every run, whether its algorithm used them or not.
const ALWAYS_RECORDED: [&str; 5] = ["learning_rate", "discount", "epsilon", "replay", "feasibility_mask"];

/// The algorithm that a run asks for: its settings are told beside its name, or in the flat form.
///
/// # Errors
/// Every setting that the algorithm does not have, that is out of its range, or that is told in both forms, by JSON
/// pointer; or the name, where no algorithm has it.
pub fn asked(run: &NewRun) -> Result<Algorithm, Vec<FieldError>> {
    let (name, nested) = named(run);
    let mut told = nested.clone();
    let mut twice = Vec::new();
    for (setting, value) in flat(run) {
        if nested.contains_key(&setting) {
            let detail = format!("expected one form: `{setting}` is also told in `algorithm`");
            twice.push(FieldError { pointer: format!("/{setting}"), detail });
        } else {
            told.insert(setting, value);
        }
    }
    let (algorithm, wrong) = match Algorithm::new(name, &told) {
        Ok(algorithm) => (Some(algorithm), Vec::new()),
        Err(wrong) => (None, wrong),
    };
    let at_its_place = |error: SettingError| {
        let setting = error.setting.split('.').next().unwrap_or_default();
        let is_flat = told.contains_key(setting) && !nested.contains_key(setting);
        field(name, if is_flat { "" } else { "/algorithm" }, error)
    };
    let errors: Vec<FieldError> = wrong.into_iter().map(at_its_place).chain(twice).collect();
    algorithm.filter(|_| errors.is_empty()).ok_or(errors)
}

/// The most past turns that all agents of a run keep together: some 600 MB.
const MOST_TURNS: u64 = 10_000_000;

/// The algorithm, where what its agents keep fits in memory.
///
/// # Errors
/// The setting by which it does not.
pub(crate) fn fitting(run: &NewRun, algorithm: Algorithm) -> Result<Algorithm, Vec<FieldError>> {
    let replay = algorithm.settings().get("replay").filter(|replay| replay["enabled"] != Value::Bool(false));
    let capacity = replay.and_then(|replay| replay["capacity"].as_u64()).unwrap_or_default();
    let agents = u64::from(run.agents.max(1));
    if capacity.saturating_mul(agents) <= MOST_TURNS {
        return Ok(algorithm);
    }
    let prefix = if run.replay.is_some() { "" } else { "/algorithm" };
    Err(vec![FieldError {
        pointer: format!("{prefix}/replay/capacity"),
        detail: format!(
            "expected at most {} with {agents} agents, which keep {MOST_TURNS} turns together at most; found {capacity}",
            MOST_TURNS / agents
        ),
    }])
}

/// The algorithm of a run that has been recorded: an earlier version may have written settings that decided nothing.
///
/// # Errors
/// As [`asked`], but for those.
pub fn recorded(run: &NewRun) -> Result<Algorithm, Vec<FieldError>> {
    let (name, nested) = named(run);
    if !is_flat_record(run) {
        if !flat(run).is_empty() {
            return asked(run);
        }
        return Algorithm::of_record(name, &nested).map_err(|errors| of_all(name, "/algorithm", errors));
    }
    let mut told = flat(run);
    // where it is not written nobody merged
    told.entry("merge_every").or_insert(Value::from(0));
    Algorithm::of_union(name, &told).map_err(|errors| of_all(name, "", errors))
}

/// Whether an earlier version wrote this configuration, all settings of all algorithms beside the name.
#[must_use]
pub fn is_flat_record(run: &NewRun) -> bool {
    let flat = flat(run);
    let is_name = run.algorithm.as_ref().is_some_and(|algorithm| algorithm.settings.is_empty());
    is_name && ALWAYS_RECORDED.iter().all(|setting| flat.contains_key(*setting))
}

/// The run with its algorithm as an object that has all settings, and nothing in the flat form.
#[must_use]
pub fn written(run: &NewRun, algorithm: &Algorithm) -> NewRun {
    let mut run = run.clone();
    run.flat_settings().into_iter().for_each(|(_, told)| *told = None);
    let settings = algorithm.settings().clone();
    run.algorithm = Some(AlgorithmSpec { name: algorithm.name().to_owned(), settings });
    run
}

/// A recorded run as it is answered: [`written`], whatever version recorded it. One that this version cannot play stays as
/// it is.
#[must_use]
pub fn shown(run: &NewRun) -> NewRun {
    recorded(run).map_or_else(|_| run.clone(), |algorithm| written(run, &algorithm))
}

/// A recorded run as the trainer keeps it: [`shown`], but for one whose digest is over what an earlier version wrote.
#[must_use]
pub fn kept(run: &NewRun) -> NewRun {
    if is_over_flat_form(run) { run.clone() } else { shown(run) }
}

/// The settings that a run is told in the flat form.
pub(crate) fn flat(run: &NewRun) -> Map<String, Value> {
    let mut run = run.clone();
    let told = run.flat_settings().map(|(setting, told)| told.take().map(|told| (setting.to_owned(), told)));
    told.into_iter().flatten().collect()
}

fn named(run: &NewRun) -> (&str, Map<String, Value>) {
    match &run.algorithm {
        Some(AlgorithmSpec { name, settings }) => (name, settings.clone()),
        None => (DEFAULT_LEARNER, Map::new()),
    }
}

fn of_all(name: &str, prefix: &str, errors: Vec<SettingError>) -> Vec<FieldError> {
    errors.into_iter().map(|error| field(name, prefix, error)).collect()
}

/// A refused setting at its place. The name itself is told as `name`, whatever the form.
fn field(name: &str, prefix: &str, error: SettingError) -> FieldError {
    if error.setting == "name" {
        let detail = format!("unknown algorithm `{name}`: expected {}", registry::algorithms());
        return FieldError { pointer: "/algorithm".into(), detail };
    }
    let learner = Learner::find(name);
    let has_it = learner.is_none_or(|learner| is_among(learner.settings, &error.setting));
    let what = if has_it { String::new() } else { format!("{name} has no such setting: ") };
    FieldError {
        pointer: format!("{prefix}/{}", error.setting.replace('.', "/")),
        detail: format!("{what}expected {}", error.expected),
    }
}

/// Whether a setting, or one of a group as `replay.capacity`, is among these.
fn is_among(settings: &[Setting], path: &str) -> bool {
    let (name, within) = path.split_once('.').map_or((path, None), |(name, within)| (name, Some(within)));
    let found = settings.iter().find(|setting| setting.name == name);
    found.is_some_and(|setting| match (setting.range, within) {
        (_, None) => true,
        (Range::Group(settings), Some(within)) => is_among(settings, within),
        (_, Some(_)) => false,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(body: Value) -> NewRun {
        serde_json::from_value(body).unwrap()
    }

    fn refused(body: Value) -> Vec<(String, String)> {
        let errors = asked(&run(body)).unwrap_err();
        errors.into_iter().map(|error| (error.pointer, error.detail)).collect()
    }

    fn answered(body: Value) -> Value {
        let run = run(body);
        let written = written(&run, &asked(&run).unwrap());
        let mut written = serde_json::to_value(written).unwrap();
        assert!(ALWAYS_RECORDED.iter().all(|setting| written.get(setting).is_none()));
        written["algorithm"].take()
    }

    #[test]
    fn a_name_a_flat_form_and_an_object_mean_the_same_and_are_answered_as_an_object_with_all_settings() {
        let all = json!({"name": "afterstate", "learning_rate": 0.1, "discount": 0.5, "epsilon": 0.1, "merge_every": 20});
        assert_eq!(answered(json!({"algorithm": "afterstate", "discount": 0.5})), all);
        assert_eq!(answered(json!({"algorithm": {"name": "afterstate", "discount": 0.5}})), all);
        assert_eq!(answered(json!({"algorithm": {"name": "afterstate"}, "discount": 0.5})), all);
        assert_eq!(answered(json!({"algorithm": "cheapest"})), json!({"name": "cheapest"}));
        assert_eq!(answered(json!({})), json!({"name": "adaptive", "epsilon": 0.01}));
        let replay = json!({"algorithm": "q-learning", "replay": {"kind": "prioritized"}});
        let whole = json!({"enabled": false, "capacity": 2000, "batch_size": 32, "kind": "prioritized"});
        assert_eq!(answered(replay)["replay"], whole);
    }

    #[test]
    fn the_state_says_what_the_other_settings_are_by_default_and_a_record_without_one_is_of_the_specified_state()
     {
        let specified = answered(json!({"algorithm": {"name": "q-learning", "state": "specified"}}));
        assert_eq!((&specified["learning_rate"], &specified["merge_every"]), (&json!(0.1), &json!(0)));
        let request = answered(json!({"algorithm": "q-learning"}));
        assert_eq!((&request["state"], &request["merge_every"]), (&json!("request"), &json!(10)));
        let mut former = specified.clone();
        former.as_object_mut().unwrap().remove("state");
        let kept = shown(&run(json!({"algorithm": former})));
        assert_eq!(serde_json::to_value(kept.algorithm).unwrap(), specified);
        let unmasked = json!({"algorithm": {"name": "q-learning", "feasibility_mask": false}});
        assert_eq!(refused(unmasked)[0].0, "/algorithm/feasibility_mask");
        let flat = json!({"algorithm": "q-learning", "feasibility_mask": false});
        assert_eq!(refused(flat)[0].0, "/feasibility_mask");
        let both =
            json!({"algorithm": {"name": "q-learning", "state": "specified"}, "feasibility_mask": false});
        assert_eq!(answered(both)["feasibility_mask"], json!(false));
    }

    #[test]
    fn settings_that_decide_nothing_are_refused_at_their_places_all_at_once_with_those_that_there_are() {
        let flat = json!({"algorithm": "adaptive", "learning_rate": 0.9, "replay": {}, "feasibility_mask": false,
            "merge_every": 5, "epsilon": 0.1});
        let told = refused(flat);
        let places: Vec<&str> = told.iter().map(|(pointer, _)| pointer.as_str()).collect();
        assert_eq!(places, ["/learning_rate", "/replay", "/feasibility_mask", "/merge_every"]);
        for (_, detail) in told {
            assert_eq!(detail, "adaptive has no such setting: expected one of epsilon, estimators, regions");
        }
        let nested = json!({"algorithm": {"name": "q-learning", "epsilon": 2, "replay": {"size": 1}, "temperature": 1}});
        let mut places: Vec<String> = refused(nested).into_iter().map(|(pointer, _)| pointer).collect();
        places.sort();
        assert_eq!(places, ["/algorithm/epsilon", "/algorithm/replay/size", "/algorithm/temperature"]);
        let of_rule = refused(json!({"algorithm": "cheapest", "epsilon": 0.1}));
        assert_eq!(of_rule[0].0, "/epsilon");
        assert!(of_rule[0].1.contains("cheapest has none"), "{of_rule:?}");
    }

    #[test]
    fn one_setting_in_both_forms_is_refused_and_so_is_an_unknown_name() {
        let both = json!({"algorithm": {"name": "cem", "epsilon": 0.1}, "epsilon": 0.1});
        assert_eq!(refused(both)[0].0, "/epsilon");
        let unknown = refused(json!({"algorithm": "magic", "epsilon": 0.1}));
        assert_eq!(unknown.len(), 1);
        assert_eq!(unknown[0].0, "/algorithm");
        assert!(
            unknown[0].1.starts_with("unknown algorithm `magic`: expected ")
                && unknown[0].1.contains("adaptive")
        );
    }

    /// What the first version wrote of every run.
    fn flat_record(algorithm: &str) -> NewRun {
        run(
            json!({"agents": 10, "episodes": 50, "steps_per_episode": 120, "algorithm": algorithm, "learning_rate": 0.1,
            "discount": 0.99, "epsilon": 0.1, "replay": {"enabled": true, "capacity": 2000, "batch_size": 32},
            "feasibility_mask": true, "reward": "excess-cost", "seed": 1, "environment": {"preset": null},
            "psi_field": "required", "recording": "all", "checkpoint_every": 10}),
        )
    }

    #[test]
    fn a_record_of_an_earlier_version_is_read_although_it_has_settings_that_decided_nothing() {
        let record = flat_record("cem");
        assert!(asked(&record).is_err());
        assert_eq!(shown(&record).algorithm, Some(AlgorithmSpec::new("cem", json!({"epsilon": 0.1}))));
        assert_eq!(kept(&record), record);
        let merged =
            shown(&flat_record("afterstate")).algorithm.map(|mut told| told.settings["merge_every"].take());
        assert_eq!(merged, Some(json!(0)), "nobody merged then");
        let record = flat_record("q-learning");
        assert_eq!(kept(&record), shown(&record));
        assert_eq!(shown(&record).learning_rate, None);
    }
}
