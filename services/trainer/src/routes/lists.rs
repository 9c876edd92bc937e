//! What the wire types leave open, filled into the OpenAPI document: the presets, rewards and algorithms that there are.

use policy::{
    Rule, Setting,
    registry::{LEARNERS, Learner},
};
use routing_env::{Preset, Reward};
use serde_json::{Map, Value, json};
use service_kit::{list_values, set_schema};
use utoipa::openapi::OpenApi;

/// Fills all lists in.
pub(super) fn fill_in(document: &mut OpenApi) {
    let presets = Preset::ALL.map(|preset| (preset.name(), preset.description()));
    list_values(document, "EnvironmentSpec", "preset", &presets);
    let rewards = Reward::NAMED.map(|(name, reward)| (name, reward.description()));
    list_values(document, "NewRun", "reward", &rewards);
    set_schema(document, "AlgorithmSpec", algorithms());
}

/// An algorithm by its name alone, or as an object whose `name` says which settings there are beside it.
fn algorithms() -> Value {
    let rules: Vec<&str> = Rule::ALL.into_iter().chain(Rule::REFERENCES).map(Rule::name).collect();
    let names: Vec<&str> = LEARNERS.iter().map(|learner| learner.name).chain(rules.iter().copied()).collect();
    let name = json!({"title": "name", "type": "string", "enum": names,
        "description": "The algorithm of this name, with all its settings as by default."});
    let rule =
        object("hand rule", "A rule that nobody has to train: it has no settings.", &rules, Map::new());
    let forms = LEARNERS.iter().map(of_learner).chain([rule, name]);
    json!({"oneOf": forms.collect::<Vec<Value>>()})
}

fn of_learner(learner: &Learner) -> Value {
    let defaults = learner.defaults();
    let settings = learner.settings.iter().map(|setting| (setting.name.to_owned(), of(setting, &defaults)));
    object(learner.name, learner.summary, &[learner.name], settings.collect())
}

fn object(title: &str, description: &str, names: &[&str], settings: Map<String, Value>) -> Value {
    let mut properties = Map::new();
    properties.insert("name".into(), json!({"type": "string", "enum": names}));
    properties.extend(settings);
    json!({"title": title, "description": description, "type": "object", "required": ["name"],
        "properties": properties, "additionalProperties": false})
}

fn of(setting: &Setting, defaults: &Map<String, Value>) -> Value {
    let mut schema = setting.range.schema();
    schema["description"] = setting.doc.into();
    schema["default"] = defaults.get(setting.name).cloned().unwrap_or_default();
    schema
}
