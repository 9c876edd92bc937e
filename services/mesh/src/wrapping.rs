//! Sentences on a terminal, which would break them within words.

use std::borrow::Cow;

/// A text for a terminal of this width, with its long sentences broken at spaces. What begins with a letter is a sentence;
/// tables, JSON, and lines that are set in stay as they are.
pub(crate) fn prose(text: &str, width: Option<usize>) -> Cow<'_, str> {
    let Some(width) = width else { return text.into() };
    let lines = text.split('\n');
    let lines = lines.map(|line| match line.chars().next() {
        Some(first) if first.is_alphabetic() => folded(line, width),
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n").into()
}

/// A sentence in lines of this width, broken at spaces.
pub(crate) fn folded(sentence: &str, width: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in sentence.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_broken_at_spaces_and_nothing_else_is() {
        let text = "a sentence that is long\n  a line set in, that is long\n│ a table that is long │";
        let broken = "a sentence that\nis long\n  a line set in, that is long\n│ a table that is long │";
        assert_eq!(prose(text, Some(16)), broken);
        assert_eq!(prose(text, None), text);
    }
}
