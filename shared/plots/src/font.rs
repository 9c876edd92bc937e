//! The font of all charts, and how wide a text is in it.

use std::sync::Once;

use plotters::style::{FontDesc, FontFamily, FontStyle, register_font};

/// DejaVu Sans 2.37 draws the bitmaps and measures all texts; whoever shows an SVG uses it when it is there, else
/// Verdana, which is as wide. Its licence is in `NOTICE`.
pub(crate) const FAMILY: &str = "DejaVu Sans, Verdana, sans-serif";

/// Ascent and descent of DejaVu Sans by its em (1901 and 483 of 2048 units), which is what `plotters` takes for a
/// bitmap font's size.
pub(crate) const HEIGHT_BY_EM: f64 = (1901.0 + 483.0) / 2048.0;

/// Has the font at hand. Needed before anything is measured or drawn.
pub(crate) fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // the bytes are a constant: a test draws with them
        let _ = register_font(FAMILY, FontStyle::Normal, dejavu::sans::regular());
    });
}

/// The width of a text with an em of `size`, in the same unit.
pub(crate) fn width(text: &str, size: f64) -> f64 {
    register();
    // measured large: the library rounds to whole pixels
    const LARGE: f64 = 200.0;
    let font = FontDesc::new(FontFamily::Name(FAMILY), LARGE * HEIGHT_BY_EM, FontStyle::Normal);
    let large = font.layout_box(text).map_or(0, |((left, _), (right, _))| right - left);
    f64::from(large) * size / LARGE
}

/// The text, or its beginning and end with an ellipsis between them: names often differ at their ends only.
pub(crate) fn fitted(text: &str, size: f64, room: f64) -> String {
    if width(text, size) <= room {
        return text.to_owned();
    }
    let letters: Vec<char> = text.chars().collect();
    let mut kept = letters.len();
    while kept > 1 {
        kept -= 1;
        let head = letters[..kept.div_ceil(2)].iter();
        let short: String = head.chain(&['…']).chain(&letters[letters.len() - kept / 2..]).collect();
        if width(&short, size) <= room {
            return short;
        }
    }
    "…".to_owned()
}

/// The text in lines that fit, broken between words.
pub(crate) fn wrapped(text: &str, size: f64, room: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if width(&format!("{line} {word}"), size) <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(fitted(word, size, room)),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_as_wide_as_its_letters() {
        // advance widths of DejaVu Sans, in units of 1/2048 em: n 1298, i 569
        assert!((width("ni", 2048.0) - 1867.0).abs() < 25.0, "{}", width("ni", 2048.0));
        assert!((width("nnnn", 10.0) - 4.0 * 6.338).abs() < 0.2);
    }

    #[test]
    fn a_long_text_is_cut_in_its_middle_and_a_short_one_is_not() {
        assert_eq!(fitted("tenant", 12.0, 100.0), "tenant");
        let cut = fitted(&format!("{}-7", "tenant".repeat(20)), 12.0, 100.0);
        assert!(cut.starts_with("tenant") && cut.ends_with("-7") && cut.contains('…'), "{cut}");
        assert!(width(&cut, 12.0) <= 100.0, "{cut}");
    }

    #[test]
    fn words_are_broken_into_lines_that_fit() {
        let lines = wrapped("cost, $ per GPU-hour served", 12.0, 100.0);
        assert!(lines.len() > 1 && lines.iter().all(|line| width(line, 12.0) <= 100.0), "{lines:?}");
        assert_eq!(lines.join(" "), "cost, $ per GPU-hour served");
    }
}
