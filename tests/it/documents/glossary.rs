use std::{collections::BTreeSet, fmt::Write as _};

use policy::registry::LEARNERS;
use routing_env::Preset;
use serde_json::Value;

use super::assert_up_to_date;
use crate::support::{file, rows};

const GLOSSARY: &str = "docs/glossary.md";

/// What tells rows apart and is no metric.
const POSITIONS: [&str; 4] = ["episode", "window", "step", "requests"];

#[test]
fn every_metric_that_the_api_shows_is_in_the_glossary() {
    let rows = rows(&file(GLOSSARY), &["metric", "unit", "meaning"]);
    let explained: BTreeSet<&str> =
        rows.iter().flat_map(|row| row[0].split(", ").map(|name| name.trim_matches('`'))).collect();
    let mut missing = BTreeSet::new();
    for (service, schema) in
        [("trainer", "EpisodeMetrics"), ("trainer", "WindowMetrics"), ("evaluator", "MetricEstimates")]
    {
        let document: Value = serde_json::from_str(&file(&format!("openapi/{service}.json"))).unwrap();
        let properties = &document["components"]["schemas"][schema]["properties"];
        let metrics = properties.as_object().unwrap().keys().cloned();
        missing.extend(metrics.filter(|name| !explained.contains(name.as_str())));
    }
    missing.retain(|name| !POSITIONS.contains(&name.as_str()));
    assert!(missing.is_empty(), "{GLOSSARY} does not explain {missing:?}");
}

#[test]
fn the_lists_of_the_glossary_are_those_of_the_code() {
    let presets = Preset::ALL.map(|preset| [preset.name(), preset.description()]);
    let learners = LEARNERS.iter().map(|learner| [learner.name, learner.summary]);
    let kinds = records::kinds().map(|kind| [kind.name, kind.description]);
    let text = file(GLOSSARY);
    let text = with_list(&text, "presets", "preset", presets);
    let text = with_list(&text, "learners", "learner", learners);
    let text = with_list(&text, "kinds", "kind", kinds);
    assert_up_to_date(GLOSSARY, &text);
}

/// The document with this table between the comments that name the list.
fn with_list<'a>(
    text: &str,
    list: &str,
    what: &str,
    items: impl IntoIterator<Item = [&'a str; 2]>,
) -> String {
    let (begin, end) = (format!("<!-- {list}: from the code -->\n"), format!("\n<!-- end of {list} -->"));
    let (before, rest) =
        text.split_once(&begin).unwrap_or_else(|| panic!("{GLOSSARY} has no list of {list}"));
    let (_, after) = rest.split_once(&end).unwrap_or_else(|| panic!("the list of {list} does not end"));
    let mut table = format!("\n| {what} | meaning |\n|---|---|\n");
    for [name, meaning] in items {
        let _ = writeln!(table, "| `{name}` | {} |", meaning.replace('|', "\\|"));
    }
    format!("{before}{begin}{table}{end}{after}")
}
