//! Names, tags and notes of runs, and the search for runs.

use chrono::{DateTime, Utc};
use garde::Validate;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::RunStatus;

/// The most tags of a run.
pub const MOST_TAGS: usize = 20;

/// Name, tags and notes of a run. They have no influence on its decisions and are no part of its digest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Labels {
    /// Its name: one line of 1 to 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Up to 20 different words of 1 to 50 characters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Notes of up to 10,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
}

/// A change of a run's labels as a JSON merge patch (RFC 7396): an absent field stays, null clears it, and a list of
/// tags replaces the whole old list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"name": "without replay", "tags": ["paper", "ablation"], "notes": null}))]
pub struct RunPatch {
    /// Its new name.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200)]
    #[garde(inner(custom(is_name)))]
    pub name: Option<Option<String>>,
    /// All its new tags.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>, max_items = 20)]
    #[garde(inner(inner(custom(are_tags))))]
    pub tags: Option<Option<Vec<String>>>,
    /// Its new notes.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, max_length = 10_000)]
    #[garde(inner(custom(are_notes)))]
    pub notes: Option<Option<String>>,
}

/// Which runs to list, newest first. All filters must match.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, IntoParams, Validate)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
#[garde(allow_unvalidated)]
pub struct RunQuery {
    /// Only runs in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<RunStatus>,
    /// Only runs with this tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Only runs with exactly this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Only runs with this algorithm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(example = "q-learning")]
    pub algorithm: Option<String>,
    /// Only runs in this preset of the environment; one that names none is in `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(example = "contended")]
    pub preset: Option<String>,
    /// Only runs with all these words in their name, tags or notes, regardless of case and also as parts of words, or
    /// whose id or digest begins with them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(length(bytes, min = 1, max = 1000)))]
    #[param(min_length = 1, max_length = 1000)]
    pub q: Option<String>,
    /// Only runs from this time on (`created_at`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(custom(crate::common::in_range)))]
    #[param(example = "2026-03-01T00:00:00Z")]
    pub from: Option<DateTime<Utc>>,
    /// Only runs before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(custom(crate::common::in_range)))]
    pub until: Option<DateTime<Utc>>,
    /// Items per page, 1 to 1000 (default 100).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1, max = 1000)))]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
    /// Where the page starts: `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl Labels {
    /// Applies a change; false when nothing has changed.
    pub fn apply(&mut self, patch: RunPatch) -> bool {
        let before = self.clone();
        let RunPatch { name, tags, notes } = patch;
        self.name = name.unwrap_or(self.name.take());
        self.tags = tags.map_or_else(|| std::mem::take(&mut self.tags), Option::unwrap_or_default);
        self.notes = notes.unwrap_or(self.notes.take());
        *self != before
    }
}

pub(super) fn is_name(text: &Option<String>, _: &()) -> garde::Result {
    let Some(text) = text else { return Ok(()) };
    let fits = (1..=200).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if fits && !text.trim().is_empty() {
        return Ok(());
    }
    Err(garde::Error::new("expected one line of 1 to 200 characters, not all of them blank"))
}

pub(super) fn are_tags(tags: &[String], _: &()) -> garde::Result {
    let is_word = |tag: &&String| {
        let separates = |c: char| c.is_whitespace() || c.is_control() || c == ',';
        (1..=50).contains(&tag.chars().count()) && !tag.contains(separates)
    };
    let all_differ = tags.iter().enumerate().all(|(index, tag)| !tags[..index].contains(tag));
    if tags.len() <= MOST_TAGS && all_differ && tags.iter().all(|tag| is_word(&tag)) {
        return Ok(());
    }
    Err(garde::Error::new(
        "expected up to 20 different tags, each of 1 to 50 characters without white space or commas",
    ))
}

pub(super) fn are_notes(text: &Option<String>, _: &()) -> garde::Result {
    let Some(text) = text else { return Ok(()) };
    if text.chars().count() <= 10_000 && !text.contains('\0') {
        return Ok(());
    }
    Err(garde::Error::new("expected up to 10,000 characters, none of them NUL"))
}

/// A field that is there, be it null.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patched(target: &str, patch: &str) -> String {
        let mut labels: Labels = serde_json::from_str(target).unwrap();
        labels.apply(serde_json::from_str(patch).unwrap());
        serde_json::to_string(&labels).unwrap()
    }

    /// After the cases of RFC 7396, appendix A.
    #[test]
    fn what_is_absent_stays_and_null_clears_and_a_list_takes_the_place_of_the_old_one() {
        for (target, patch, result) in [
            (r#"{"name":"b"}"#, r#"{"name":"c"}"#, r#"{"name":"c"}"#),
            (r#"{"name":"b"}"#, r#"{"notes":"c"}"#, r#"{"name":"b","notes":"c"}"#),
            (r#"{"name":"b"}"#, r#"{"name":null}"#, r#"{}"#),
            (r#"{"name":"b","notes":"c"}"#, r#"{"name":null}"#, r#"{"notes":"c"}"#),
            (r#"{"tags":["b"]}"#, r#"{"tags":["c","d"]}"#, r#"{"tags":["c","d"]}"#),
            (r#"{"tags":["b"]}"#, r#"{"tags":null}"#, r#"{}"#),
            (r#"{"tags":["b"]}"#, r#"{}"#, r#"{"tags":["b"]}"#),
        ] {
            assert_eq!(patched(target, patch), result, "{target} {patch}");
        }
    }

    #[test]
    fn a_patch_is_sent_as_it_was_made() {
        for text in [r#"{"name":null,"tags":["a"]}"#, "{}", r#"{"tags":null,"notes":"n"}"#] {
            let patch: RunPatch = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&patch).unwrap(), text);
        }
    }

    #[test]
    fn labels_that_nobody_could_read_are_refused() {
        let refused = |patch: serde_json::Value| {
            let patch: RunPatch = serde_json::from_value(patch).unwrap();
            patch.validate().is_err()
        };
        for fine in [
            serde_json::json!({"name": "n".repeat(200), "tags": null, "notes": "one\ntwo"}),
            serde_json::json!({"tags": ["a", "B/c:1", "größe"], "name": null}),
        ] {
            assert!(!refused(fine.clone()), "{fine}");
        }
        for wrong in [
            serde_json::json!({"name": ""}),
            serde_json::json!({"name": " "}),
            serde_json::json!({"name": "a\nb"}),
            serde_json::json!({"name": "n".repeat(201)}),
            serde_json::json!({"tags": ["a", "a"]}),
            serde_json::json!({"tags": ["a b"]}),
            serde_json::json!({"tags": ["a,b"]}),
            serde_json::json!({"tags": [""]}),
            serde_json::json!({"tags": (0..21).map(|n| n.to_string()).collect::<Vec<_>>()}),
            serde_json::json!({"notes": "n".repeat(10_001)}),
            serde_json::json!({"notes": "\0"}),
        ] {
            assert!(refused(wrong.clone()), "{wrong}");
        }
    }
}
