//! Words as they are written: whoever copies a path, a mail address, a version or a word of any script from a record finds
//! the record with it, whole and by its parts.
//!
//! A search engine's dictionary knows inflections of one language. Beside its words stand these, which no dictionary
//! touches: a token (what white space parts) is cut at its signs, and every run of up to [`RUN`] of its parts is one word.
//! A longer token is looked for by all its runs of [`RUN`].

use sha2::{Digest as _, Sha256};

/// Parts of a token that are one word together, at most.
const RUN: usize = 4;

/// A part with more bytes is known by its digest: a search engine's words are not that long.
const LONGEST_PART: usize = 200;

/// What one token is looked for with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Words of which all must be there.
    pub all: Vec<String>,
    /// Whether the last of them may be the beginning of one: the first characters of a digest or an id are enough.
    pub begins: bool,
}

/// The words that a text is found by, some more than once.
pub fn words(text: &str) -> impl Iterator<Item = String> {
    text.split_whitespace().flat_map(|token| {
        let parts = parts(token);
        let runs = (1..=RUN).flat_map(|length| parts.windows(length).map(joined).collect::<Vec<_>>());
        let within = parts.iter().flat_map(|part| within(part)).collect::<Vec<_>>();
        runs.chain(within).collect::<Vec<_>>()
    })
}

/// What a token is looked for with.
#[must_use]
pub fn wanted(token: &str) -> Wanted {
    let parts = parts(token);
    let run = RUN.min(parts.len()).max(1);
    let mut all: Vec<String> = parts.windows(run).map(joined).collect();
    if parts.iter().any(|part| has_no_spaces(part)) {
        // Of a script without spaces nobody knows where a word ends: its characters are looked for, two by two.
        all = parts
            .iter()
            .flat_map(|part| {
                if has_no_spaces(part) { pairs(part) } else { vec![joined(std::slice::from_ref(part))] }
            })
            .collect();
    }
    let hex = |part: &String| {
        (6..=64).contains(&part.len())
            && part.bytes().all(|byte| byte.is_ascii_hexdigit())
            && part.bytes().any(|byte| byte.is_ascii_digit())
    };
    Wanted { all, begins: parts.last().is_some_and(hex) }
}

/// The parts of a token in small letters: runs of letters, digits and the marks on them; every other sign that is not
/// ASCII by itself. A token of ASCII signs alone is a part.
fn parts(token: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut word = String::new();
    let end = |word: &mut String, parts: &mut Vec<String>| {
        if !word.is_empty() {
            parts.push(small(word));
            word.clear();
        }
    };
    for character in token.chars() {
        if character.is_alphanumeric() || is_mark(character) {
            word.push(character);
            continue;
        }
        end(&mut word, &mut parts);
        if !character.is_ascii() && !is_punctuation(character) {
            parts.push(character.to_string());
        }
    }
    end(&mut word, &mut parts);
    if parts.is_empty() { vec![token.to_owned()] } else { parts }
}

/// One spelling of large and small letters: a sigma at the end of a word has a form of its own.
fn small(word: &str) -> String {
    word.to_lowercase().replace('ς', "σ")
}

fn joined(parts: &[String]) -> String {
    let known = |part: &String| {
        if part.len() <= LONGEST_PART {
            return part.clone();
        }
        let digest = Sha256::digest(part.as_bytes());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    parts.iter().map(known).collect::<Vec<_>>().join(" ")
}

/// The words within a part of a script without spaces: its characters, one by one and two by two.
fn within(part: &str) -> Vec<String> {
    if !has_no_spaces(part) {
        return Vec::new();
    }
    part.chars().map(String::from).chain(pairs(part)).collect()
}

/// Two neighbouring characters each; the only one of a part with one.
fn pairs(part: &str) -> Vec<String> {
    let characters: Vec<char> = part.chars().collect();
    characters.windows(2.min(characters.len())).map(|pair| pair.iter().collect()).collect()
}

/// Han, Kana, Thai, Lao, Burmese, Khmer.
fn has_no_spaces(part: &str) -> bool {
    let of_such_a_script = |character: char| {
        matches!(character,
            '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3040}'..='\u{30ff}'
            | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
    };
    part.chars().any(of_such_a_script)
}

/// Marks on letters and joiners between them, which are no letters themselves.
fn is_mark(character: char) -> bool {
    matches!(character,
        '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}' | '\u{fe20}'..='\u{fe2f}' | '\u{20d0}'..='\u{20ff}'
        | '\u{300}'..='\u{1fff}' | '\u{a000}'..='\u{abff}')
        && !is_punctuation(character)
}

/// Signs that only part words, beyond ASCII.
fn is_punctuation(character: char) -> bool {
    matches!(character,
        '\u{80}'..='\u{bf}' | '\u{37e}' | '\u{387}' | '\u{55a}'..='\u{55f}' | '\u{589}' | '\u{58a}' | '\u{5be}' | '\u{5c0}'
        | '\u{5c3}' | '\u{5f3}' | '\u{5f4}' | '\u{60c}' | '\u{61b}' | '\u{61f}' | '\u{66a}'..='\u{66d}' | '\u{6d4}'
        | '\u{964}' | '\u{965}' | '\u{e4f}' | '\u{e5a}' | '\u{e5b}' | '\u{104a}'..='\u{104f}' | '\u{1361}'..='\u{1368}'
        | '\u{17d4}'..='\u{17da}' | '\u{2010}'..='\u{2027}' | '\u{2030}'..='\u{205e}' | '\u{3000}'..='\u{3003}'
        | '\u{3008}'..='\u{3011}' | '\u{3014}'..='\u{301f}' | '\u{ff01}'..='\u{ff0f}' | '\u{ff1a}'..='\u{ff20}'
        | '\u{ff3b}'..='\u{ff40}' | '\u{ff5b}'..='\u{ff65}')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn finds(token: &str, text: &str) -> bool {
        let words: BTreeSet<String> = words(text).collect();
        let Wanted { all, begins } = wanted(token);
        all.iter().enumerate().all(|(position, word)| {
            let last = begins && position + 1 == all.len();
            words.contains(word) || (last && words.iter().any(|there| there.starts_with(word)))
        })
    }

    #[test]
    fn a_token_is_found_whole_and_by_its_parts() {
        for (text, found) in [
            (
                "see /var/data/x.tar.gz, please",
                &["/var/data/x.tar.gz", "/var/data/x.tar.gz,", "x.tar.gz", "tar.gz", "data", "var/data"][..],
            ),
            (
                "(alice@example.org)",
                &["alice@example.org", "(alice@example.org)", "alice", "example.org", "Alice@Example.ORG"],
            ),
            (
                "gpu-01.eu-west.example.com",
                &["gpu-01", "eu-west", "eu-west.example.com", "example.com", "gpu-01.eu-west.example.com"],
            ),
            ("v1.2.3-rc.1", &["v1.2.3-rc.1", "2.3", "rc.1", "v1.2"]),
            ("模型路由", &["模型路由", "模型", "路由", "型路", "模"]),
            ("маршрутизация Ёлка", &["Маршрутизация", "ёлка"]),
            ("توجيه النماذج", &["توجيه", "النماذج"]),
            ("การกำหนดเส้นทาง", &["การกำหนดเส้นทาง", "เส้นทาง"]),
            ("मार्गनिर्देशन हिन्दी।", &["मार्गनिर्देशन", "हिन्दी"]),
            ("naïve Café Straße ΣΊΣΥΦΟΣ", &["naïve", "café", "straße", "STRAßE", "Σίσυφος"]),
            ("launch🚀now 👩‍🚀", &["🚀", "launch", "now", "launch🚀now", "👩‍🚀"]),
            ("step_size learningRate __init__", &["step_size", "step", "learningRate", "__init__", "init"]),
            ("-0.5 1e+21 1e-7 0", &["-0.5", "0.5", "1e+21", "1e-7", "0"]),
            ("9f86d081884c7d65", &["9f86d081884c7d65", "9f86d0"]),
            (
                "01936c1e-5f6a-7c3e-9d55-0a9e1d0f6b21",
                &["01936c1e-5f6a-7c3e-9d55-0a9e1d0f6b21", "01936c1e", "0a9e1d0f6b21"],
            ),
            ("a***b *** ->", &["***", "->", "a***b"]),
        ] {
            for token in found {
                assert!(finds(token, text), "{token} in {text}");
            }
        }
        let long = format!("x{}y", "0123456789".repeat(300));
        assert!(finds(&long, &format!("a {long} b")) && !finds(&long[1..], &long));
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        for (token, text) in [
            ("tar.gz", "gz.tar tar x gz"),
            ("1.4.2", "4.2.1 1.4 2"),
            ("example.org", "example.com org"),
            ("路模", "模型路由"),
            ("a-b-c-d-e", "a-b-c-d b-c-d-f e"),
            ("abc", "abcd"),
        ] {
            assert!(!finds(token, text), "{token} in {text}");
        }
    }
}
