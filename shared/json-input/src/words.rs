//! serde's messages in JSON's words: what a caller wrote, not what this program keeps it in.

/// A message of serde, serde_json or figment for people who know JSON and no Rust.
#[must_use]
pub fn in_words(message: &str) -> String {
    let (message, place) = match message.rfind(PLACE) {
        Some(at) => message.split_at(at),
        None => (message, ""),
    };
    let field = |prefix: &str| message.strip_prefix(prefix)?.strip_suffix('`');
    let told = if let Some(rest) = message.strip_prefix("invalid type: ") {
        mismatch(rest, expected)
    } else if let Some(rest) = message.strip_prefix("invalid value: ") {
        mismatch(rest, bounded)
    } else if let Some(rest) = message.strip_prefix("invalid length ") {
        rest.rsplit_once(EXPECTED)
            .map(|(length, wanted)| format!("expected {}, found {length}", expected(wanted)))
    } else if let Some(rest) = message.strip_prefix("unknown variant ") {
        Some(format!("unknown value {rest}"))
    } else if let Some(name) = field("missing field `") {
        Some(format!("`{name}` is missing"))
    } else if let Some(name) = field("duplicate field `") {
        Some(format!("`{name}` stands here twice"))
    } else if message.starts_with("data did not match any variant of untagged enum") {
        Some("expected another value: it has none of the forms that it may have".to_owned())
    } else if OF_TIMES.contains(&message) {
        Some("expected a time such as 2026-03-01T12:00:00Z (RFC 3339)".to_owned())
    } else if message == "expected ident" {
        Some("expected `true`, `false` or `null`".to_owned())
    } else if message == "EOF while parsing a value" {
        Some("the text ends where a value was expected".to_owned())
    } else {
        message
            .strip_prefix("EOF while parsing ")
            .map(|what| format!("the text ends in the middle of {what}"))
    };
    told.unwrap_or_else(|| message.to_owned()) + place
}

/// What chrono says of text that is no time.
const OF_TIMES: [&str; 4] = [
    "input contains invalid characters",
    "premature end of input",
    "trailing input",
    "input is out of range",
];

const PLACE: &str = " at line ";
const EXPECTED: &str = ", expected ";

/// A message without the line and column, for where a pointer says the place.
pub(crate) fn without_place(message: &str) -> &str {
    message.rfind(PLACE).map_or(message, |at| &message[..at])
}

fn mismatch(rest: &str, wanted: fn(&str) -> String) -> Option<String> {
    let (found, expected) = rest.rsplit_once(EXPECTED)?;
    Some(format!("expected {}, found {}", wanted(expected), self::found(found)))
}

/// What was expected, as serde names it.
#[must_use]
pub fn expected(name: &str) -> String {
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    let of_length = || name.rsplit(' ').find_map(|word| word.parse::<usize>().ok());
    match name {
        _ if range(name).is_some() || matches!(name, "i128" | "u128") => "a whole number".to_owned(),
        _ if name.starts_with("a nonzero ") => "a whole number other than 0".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a borrowed string" | "a character" | "path string" | "string" | "str" => "a string".to_owned(),
        "unit" => "null".to_owned(),
        "a sequence" => "an array".to_owned(),
        "a map" | "map" => "an object".to_owned(),
        "string or map" => "a string or an object".to_owned(),
        _ if begins(&["a tuple", "tuple", "an array of length"]) => match of_length() {
            Some(length) => format!("an array of {length}"),
            None => "an array".to_owned(),
        },
        _ if begins(&["struct", "internally tagged enum", "adjacently tagged enum"]) => {
            "an object".to_owned()
        }
        _ if name.starts_with("enum ") => "a string".to_owned(),
        _ if name.ends_with(" identifier") => "a name".to_owned(),
        _ => name.to_owned(),
    }
}

/// What was expected where a number is of the right kind, but too small or too large.
fn bounded(name: &str) -> String {
    match range(name) {
        Some((least, most)) => format!("a whole number from {least} to {most}"),
        None => expected(name),
    }
}

fn range(name: &str) -> Option<(i128, i128)> {
    Some(match name {
        "u8" => (0, u8::MAX.into()),
        "u16" => (0, u16::MAX.into()),
        "u32" => (0, u32::MAX.into()),
        "u64" | "usize" => (0, u64::MAX.into()),
        "i8" => (i8::MIN.into(), i8::MAX.into()),
        "i16" => (i16::MIN.into(), i16::MAX.into()),
        "i32" => (i32::MIN.into(), i32::MAX.into()),
        "i64" | "isize" => (i64::MIN.into(), i64::MAX.into()),
        _ => return None,
    })
}

/// What was found, as serde and figment name it.
fn found(name: &str) -> String {
    let name = name.strip_prefix("found ").unwrap_or(name);
    let quoted = |kinds: &[&str]| {
        kinds.iter().find_map(|kind| name.strip_prefix(kind)?.strip_prefix(" `")?.strip_suffix('`'))
    };
    if let Some(value) = quoted(&[
        "boolean",
        "integer",
        "floating point",
        "number",
        "unsigned int",
        "signed int",
        "float",
        "bool",
    ]) {
        return value.to_owned();
    }
    match name {
        "unit value" | "unit" | "null" | "Option value" | "option" => "null".to_owned(),
        "sequence" => "an array".to_owned(),
        "map" => "an object".to_owned(),
        "bool true" => "true".to_owned(),
        "bool false" => "false".to_owned(),
        "byte array" => "bytes".to_owned(),
        _ if name.starts_with("string \"") || name.starts_with("character `") => {
            format!("the {}", shortened(name))
        }
        _ => name.to_owned(),
    }
}

/// Enough of a long text to know it again.
fn shortened(text: &str) -> String {
    const LONGEST: usize = 80;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rusts_words_become_jsons() {
        for (message, words) in [
            ("invalid type: floating point `2.0`, expected u32", "expected a whole number, found 2.0"),
            ("invalid type: map, expected a string", "expected a string, found an object"),
            (
                "invalid type: string \"a, expected b\", expected f64",
                "expected a number, found the string \"a, expected b\"",
            ),
            (
                "invalid type: null, expected struct Spec at line 3 column 9",
                "expected an object, found null at line 3 column 9",
            ),
            ("invalid value: integer `300`, expected u8", "expected a whole number from 0 to 255, found 300"),
            (
                "invalid value: integer `0`, expected a nonzero u32",
                "expected a whole number other than 0, found 0",
            ),
            ("invalid length 1, expected a tuple of size 2", "expected an array of 2, found 1"),
            ("unknown variant `x`, expected `a` or `b`", "unknown value `x`, expected `a` or `b`"),
            ("unknown field `x`, there are no fields", "unknown field `x`, there are no fields"),
            ("missing field `name`", "`name` is missing"),
            (
                "invalid type: found string \"many\", expected u32",
                "expected a whole number, found the string \"many\"",
            ),
            ("invalid type: found bool true, expected a string", "expected a string, found true"),
            (
                "EOF while parsing an object at line 1 column 4",
                "the text ends in the middle of an object at line 1 column 4",
            ),
            ("premature end of input", "expected a time such as 2026-03-01T12:00:00Z (RFC 3339)"),
            ("expected a SHA-256 in hex", "expected a SHA-256 in hex"),
        ] {
            assert_eq!(in_words(message), words);
        }
    }
}
