//! Full-text search: PostgreSQL's English words, and beside them the words as they are written.

use ::records::search::{words, words_of};
use api::remembrancer::RecordKind;
use serde_json::Value;
use sqlx::PgPool;

use super::{Columns, Stored};
use crate::{
    error::{LogError, Result},
    log::signed,
};

/// Tells words as they are written from the dictionary's.
const WRITTEN: char = '=';

/// Earlier records that are indexed at once.
const PART: i64 = 200;

/// The words of a record as they are written, for its search column.
pub(super) fn written(id: &str, kind: &RecordKind, subject: &str, body: &Value) -> Vec<String> {
    words_of(id, kind, subject, body).into_iter().map(|word| format!("{WRITTEN}{word}")).collect()
}

/// What became of a part of the earlier records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Indexed {
    /// There may be more.
    Some,
    /// All are indexed.
    All,
}

/// Indexes records of versions that did not index words as they are written.
///
/// # Errors
/// The database's.
pub async fn index_earlier(db: &PgPool) -> Result<Indexed> {
    let rows = sqlx::query_as!(
        Columns,
        r#"SELECT log_index, id, kind, subject, recorded_at, body, root FROM records
           WHERE search_version < 1 ORDER BY log_index LIMIT $1"#,
        PART
    );
    let rows = rows.fetch_all(db).await?;
    let indexed = if rows.len() < PART as usize { Indexed::All } else { Indexed::Some };
    for row in rows {
        let record = Stored::try_from(row)?;
        let body: Value = serde_json::from_str(&record.body).unwrap_or_default();
        let words = written(&record.id, &record.kind, &record.subject, &body);
        sqlx::query!(
            r#"UPDATE records
               SET search_version = 1,
                   search = CASE WHEN pg_column_size(search || ''::tsvector) + pg_column_size(array_to_tsvector($2::text[]))
                                      < 900000
                                 THEN search || array_to_tsvector($2::text[]) ELSE search END
               WHERE log_index = $1 AND search_version < 1"#,
            signed(record.log_index),
            &words
        )
        .execute(db)
        .await?;
    }
    Ok(indexed)
}

/// A part of a search text, as the syntax of web searches has it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Unit {
    /// As PostgreSQL's own parser is to read it, with `-` and quotation marks.
    text: String,
    /// The token that it is, unless it is a phrase of several.
    token: Option<String>,
    negated: bool,
}

/// The query of a search text, as `tsquery` reads it: alternatives (`or`) of words that must all be there; each is found by
/// its inflections, or as it is written.
///
/// # Errors
/// The text has no word to look for; the database's.
pub(super) async fn query(db: &PgPool, text: &str) -> Result<String> {
    let alternatives = alternatives(text);
    let texts: Vec<String> = alternatives.iter().flatten().map(|unit| unit.text.clone()).collect();
    let english = sqlx::query_scalar!(
        r#"SELECT websearch_to_tsquery('english', unit)::text AS "query!"
           FROM unnest($1::text[]) WITH ORDINALITY AS units (unit, place) ORDER BY place"#,
        &texts
    );
    let mut english = english.fetch_all(db).await?.into_iter();
    let mut groups = Vec::new();
    for units in &alternatives {
        let conditions = units.iter().filter_map(|unit| unit.condition(&english.next().unwrap_or_default()));
        let conditions: Vec<_> = conditions.collect();
        if !conditions.is_empty() {
            groups.push(format!("({})", conditions.join(" & ")));
        }
    }
    if groups.is_empty() {
        let detail =
            "expected at least one word to look for; words like \"the\" and \"of\" are in everything";
        return Err(LogError::invalid("?q", detail));
    }
    Ok(groups.join(" | "))
}

impl Unit {
    /// Its part of the query; `None` for a word that is in everything.
    fn condition(&self, english: &str) -> Option<String> {
        let written = self.token.as_deref().map(written_query);
        // A plain word of which the dictionary wants to know nothing is a stop word.
        let is_plain = |token: &String| token.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'\'');
        match (english, written) {
            ("", None) => None,
            ("", Some(_)) if self.token.as_ref().is_some_and(is_plain) => None,
            ("", Some(written)) => Some(if self.negated { format!("!{written}") } else { written }),
            (english, None) => Some(format!("({english})")),
            (english, Some(written)) if self.negated => Some(format!("(({english}) & !{written})")),
            (english, Some(written)) => Some(format!("(({english}) | {written})")),
        }
    }
}

/// A token as it is written, as `tsquery` reads it.
fn written_query(token: &str) -> String {
    let words::Wanted { all, begins } = words::wanted(token);
    let last = all.len().saturating_sub(1);
    let quoted = all.iter().enumerate().map(|(position, word)| {
        let word = word.replace('\\', "\\\\").replace('\'', "''");
        let suffix = if begins && position == last { ":*" } else { "" };
        format!("'{WRITTEN}{word}'{suffix}")
    });
    format!("({})", quoted.collect::<Vec<_>>().join(" & "))
}

/// The units of a text, by alternatives.
fn alternatives(text: &str) -> Vec<Vec<Unit>> {
    let mut alternatives = vec![Vec::new()];
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        // a hyphen before a digit begins a number
        let negated = rest.starts_with('-')
            && !rest[1..].starts_with(|c: char| c.is_ascii_digit() || c.is_whitespace());
        let sign = if negated { "-" } else { "" };
        let body = &rest[sign.len()..];
        let unit;
        if let Some(quoted) = body.strip_prefix('"') {
            let end = quoted.find('"').unwrap_or(quoted.len());
            let (phrase, tail) = (&quoted[..end], quoted.get(end + 1..).unwrap_or_default());
            let mut tokens = phrase.split_whitespace();
            let token = tokens.next().filter(|_| tokens.next().is_none()).map(str::to_owned);
            unit =
                Some(Unit { text: format!("{sign}\"{}\"", hyphens_apart(phrase, negated)), token, negated });
            rest = tail.trim_start();
        } else {
            let end = body.find(char::is_whitespace).unwrap_or(body.len());
            let word = &body[..end];
            rest = body[end..].trim_start();
            if word.eq_ignore_ascii_case("or") && !negated {
                alternatives.push(Vec::new());
                continue;
            }
            let plain = word.trim_start_matches('-');
            let shown = if negated || plain.is_empty() { word } else { plain };
            let text = format!("{sign}{}", hyphens_apart(shown, negated));
            unit = (!word.is_empty()).then(|| Unit { text, token: Some(word.to_owned()), negated });
        }
        if let (Some(unit), Some(units)) = (unit, alternatives.last_mut()) {
            units.push(unit);
        }
    }
    alternatives
}

/// `ai-mesh` is looked for as `ai mesh`: else it would be one word that `ai-mesh-training` does not have. A word with
/// digits (an id, a version) and one that is to be absent (`-…`) stay as they are.
pub(super) fn hyphens_apart(text: &str, negated: bool) -> String {
    let apart = |word: &str| {
        let whole = negated || word.starts_with('-') || word.contains(|c: char| c.is_ascii_digit());
        if whole { word.to_owned() } else { word.replace('-', " ") }
    };
    text.split(' ').map(apart).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<Vec<String>> {
        alternatives(text)
            .into_iter()
            .map(|units| units.into_iter().map(|unit| unit.text).collect())
            .collect()
    }

    #[test]
    fn a_text_is_read_as_web_searches_are() {
        assert_eq!(texts("a  -b \"c d\""), [["a", "-b", "\"c d\""]]);
        assert_eq!(texts("a OR b"), [["a"], ["b"]]);
        assert_eq!(texts("-\"a b\" \"unended c"), [["-\"a b\"", "\"unended c\""]]);
        assert_eq!(texts("-0.5 - --x"), [["0.5", "-", "--x"]]);
    }

    #[test]
    fn only_hyphens_within_plain_words_are_taken_out() {
        assert_eq!(texts("ai-mesh \"fine-tune jobs\""), [["ai mesh", "\"fine tune jobs\""]]);
        assert_eq!(
            texts("-ai-mesh 0198c7a0-12ab-7abc-a-b gpt-4 -\"a-b c\""),
            [["-ai-mesh", "0198c7a0-12ab-7abc-a-b", "gpt-4", "-\"a-b c\""]]
        );
    }

    #[test]
    fn a_word_as_it_is_written_is_quoted_for_the_database() {
        assert_eq!(written_query("o'brien\\x"), "('=o brien x')");
        assert_eq!(written_query("'"), "('=''')");
        assert_eq!(written_query("\\"), "('=\\\\')");
        assert_eq!(written_query("9f86d08"), "('=9f86d08':*)");
    }
}
