//! What the wire types leave open, filled into the OpenAPI document: the presets, rewards and algorithms that there are.

use api::trainer::Resolution;
use policy::{
    Rule, Setting,
    registry::{LEARNERS, Learner},
};
use routing_env::{NAMED_PREFERENCES, Preset, Reward};
use serde_json::{Map, Value, json};
use service_kit::{list_names, list_values, set_schema};
use utoipa::{PartialSchema as _, ToSchema as _, openapi::OpenApi};

/// Fills all lists in.
pub(super) fn fill_in(document: &mut OpenApi) {
    let presets = Preset::ALL.map(|preset| (preset.name(), preset.description()));
    list_values(document, "EnvironmentSpec", "preset", "Preset", &presets);
    let rewards = Reward::NAMED.map(|(name, reward)| (name, reward.description()));
    list_values(document, "NewRun", "reward", "Reward", &rewards);
    let preferences = NAMED_PREFERENCES.map(|(name, _, meaning)| (name, meaning));
    list_names(document, "PreferenceName", &preferences);
    fill_in_algorithms(document);
    // utoipa collects no schemas of what only parameters have.
    document
        .components
        .get_or_insert_default()
        .schemas
        .insert(Resolution::name().into(), Resolution::schema());
}

/// An algorithm by its name alone, or as an object whose `name` says which settings there are beside it.
fn fill_in_algorithms(document: &mut OpenApi) {
    let rules: Vec<&str> = Rule::ALL.into_iter().chain(Rule::REFERENCES).map(Rule::name).collect();
    let names: Vec<&str> = LEARNERS.iter().map(|learner| learner.name).chain(rules.iter().copied()).collect();
    let rule =
        object("hand rule", "A rule that nobody has to train: it has no settings.", &rules, Map::new());
    let forms: Vec<Value> = LEARNERS.iter().map(of_learner).chain([rule]).collect();
    let description =
        "A learner or a hand rule, with what it is told; every setting that is left out is as by default.";
    set_schema(document, "Algorithm", json!({"description": description, "oneOf": forms}));
    let description = "The algorithm of this name, with all its settings as by default.";
    set_schema(
        document,
        "AlgorithmName",
        json!({"description": description, "type": "string", "enum": names}),
    );
    let either =
        ["Algorithm", "AlgorithmName"].map(|name| json!({"$ref": format!("#/components/schemas/{name}")}));
    set_schema(document, "AlgorithmSpec", json!({"oneOf": either}));
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
