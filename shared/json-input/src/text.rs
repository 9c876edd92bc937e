//! Text from elsewhere: UTF-8, with or without the mark that some editors put before it.

/// Bytes that are no UTF-8 text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotText {
    /// Text of another encoding.
    #[error("it is text in {0}, not in UTF-8: save or send it as UTF-8")]
    OtherEncoding(&'static str),
    /// Not text, or text of an encoding that cannot be told.
    #[error("it is not UTF-8: the byte {byte:#04x} at position {position} fits nowhere there")]
    Invalid {
        /// The byte that does not fit.
        byte: u8,
        /// Where it is, counted from 0.
        position: usize,
    },
}

/// The text that bytes are, without a mark before it.
///
/// # Errors
/// They are no UTF-8.
pub fn text(bytes: &[u8]) -> Result<&str, NotText> {
    let other = |name| Err(NotText::OtherEncoding(name));
    match bytes {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => other("UTF-32"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => other("UTF-16"),
        // No text that this is for begins with such a character: it is ASCII in two bytes each.
        [0, 1..=0xff, ..] | [1..=0xff, 0, ..] if bytes.len().is_multiple_of(2) => other("UTF-16"),
        _ => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(without_mark(text)),
            Err(error) => {
                let position = error.valid_up_to();
                Err(NotText::Invalid { byte: bytes[position], position })
            }
        },
    }
}

/// The text without the byte order mark that it may begin with: in UTF-8 it says nothing (RFC 8259, section 8.1).
#[must_use]
pub fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_mark_is_skipped_and_another_encoding_named() {
        assert_eq!(text(b"a"), Ok("a"));
        assert_eq!(text("\u{feff}ä\r\n".as_bytes()), Ok("ä\r\n"));
        assert_eq!(text("\u{feff}\u{feff}a".as_bytes()), Ok("\u{feff}a"));
        assert_eq!(text(b""), Ok(""));
        for utf_16 in [b"\xff\xfea\0".as_slice(), b"\xfe\xff\0a", b"a\0", b"\0a"] {
            assert_eq!(text(utf_16), Err(NotText::OtherEncoding("UTF-16")), "{utf_16:?}");
        }
        assert_eq!(text(b"\xff\xfe\0\0a\0\0\0"), Err(NotText::OtherEncoding("UTF-32")));
        assert_eq!(text(b"caf\xe9"), Err(NotText::Invalid { byte: 0xe9, position: 3 }));
    }
}
