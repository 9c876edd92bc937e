//! Why a record was found: the text of it that has the words.

use api::remembrancer::Record;
use serde_json::Value;

/// How much of a text is shown.
const MOST_LETTERS: usize = 60;

/// The part of the record in which most of the words are, with its name behind it; the first of equal ones. A search engine knows
/// inflections, so that the beginning of a word is enough.
pub(super) fn matched(record: &Record, query: &str) -> Option<String> {
    let words = words(query);
    let hits = |text: &str| {
        let text = text.to_lowercase();
        words.iter().filter(|word| text.contains(word.as_str())).count()
    };
    let mut texts = Vec::new();
    for (name, value) in &record.body {
        collect(name, value, &mut texts);
    }
    texts.extend([format!("{} (kind)", record.kind), format!("{} (subject)", record.subject)]);
    let description = records::describe(&record.kind);
    texts.push(format!("{description} (what it is about)"));
    let most = texts.iter().map(|text| hits(text)).max().filter(|most| *most > 0)?;
    texts.iter().find(|text| hits(text) == most).map(|text| around(text, &words))
}

/// What is looked for, without what must be absent.
fn words(query: &str) -> Vec<String> {
    let wanted = query.split_whitespace().filter(|word| !word.starts_with('-') && *word != "or");
    let plain = wanted.map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase());
    plain.filter(|word| !word.is_empty()).map(|word| stem(&word)).collect()
}

/// A word without what English changes at its end.
fn stem(word: &str) -> String {
    let ending = ["ing", "es", "ed", "s"].into_iter().find(|ending| word.ends_with(ending));
    let kept = ending.map_or(word, |ending| &word[..word.len() - ending.len()]);
    if kept.chars().count() < 3 { word.to_owned() } else { kept.to_owned() }
}

fn collect(name: &str, value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(field, value)| {
            collect(&format!("{name}.{field}"), value, texts);
        }),
        Value::Array(items) => items.iter().for_each(|item| collect(name, item, texts)),
        Value::String(text) => texts.push(format!("{text} ({name})")),
        Value::Null => {}
        other => texts.push(format!("{other} ({name})")),
    }
}

/// The text from shortly before the first of the words on, in one line.
fn around(text: &str, words: &[String]) -> String {
    let line: Vec<char> = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.len() <= MOST_LETTERS {
        return line.into_iter().collect();
    }
    // letters, not bytes: small letters may have others
    let lower: Vec<char> = line.iter().map(|c| c.to_lowercase().next().unwrap_or(*c)).collect();
    let at = words.iter().filter_map(|word| {
        let word: Vec<char> = word.chars().collect();
        lower.windows(word.len()).position(|window| window == word)
    });
    let from = at.min().unwrap_or_default().saturating_sub(MOST_LETTERS / 4).min(line.len() - MOST_LETTERS);
    let shown = line[from..from + MOST_LETTERS].iter();
    let before = (from > 0).then_some(&'…');
    let after = (from + MOST_LETTERS < line.len()).then_some(&'…');
    before.into_iter().chain(shown).chain(after).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(body: Value) -> Record {
        serde_json::from_value(json!({
            "log_index": 0, "id": "a", "kind": "note", "subject": "component:ai-mesh-training",
            "recorded_at": "2026-03-01T00:00:00Z", "body": body}))
        .unwrap()
    }

    #[test]
    fn the_part_with_most_of_the_words_is_shown_in_whatever_inflection() {
        let found =
            record(json!({"text": "The swarm routed jobs.", "more": {"deep": ["no", "GPU decision"]}}));
        assert_eq!(matched(&found, "routing jobs").unwrap(), "The swarm routed jobs. (text)");
        assert_eq!(matched(&found, "\"decisions\" -swarm").unwrap(), "GPU decision (more.deep)");
        assert_eq!(matched(&found, "training").unwrap(), "component:ai-mesh-training (subject)");
        assert_eq!(matched(&found, "zebra"), None);
    }

    #[test]
    fn of_a_long_text_the_surroundings_of_the_word_are_shown_in_one_line() {
        let found = record(json!({"text": format!("{}\nneedle {}", "hay ".repeat(50), "straw ".repeat(50))}));
        let shown = matched(&found, "needle").unwrap();
        assert!(shown.contains(" needle straw") && shown.starts_with('…') && shown.ends_with('…'), "{shown}");
        assert_eq!(shown.chars().count(), MOST_LETTERS + 2);
        assert!(!shown.contains('\n'));
    }
}
