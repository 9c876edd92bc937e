//! Numbers as they are written: a record is kept as canonical JSON (RFC 8785), whose numbers are IEEE 754 doubles. A
//! number that such a double does not carry exactly would come back as another one.

/// The first number in valid JSON that comes back as another one, with what it would come back as.
pub(super) fn first_inexact(json: &str) -> Option<(&str, String)> {
    let bytes = json.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => at = string_end(bytes, at + 1),
            b'-' | b'0'..=b'9' => {
                let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
                let length = bytes[at..].iter().take_while(|byte| is_part(byte)).count();
                let number = &json[at..at + length];
                if let Some(instead) = inexact(number) {
                    return Some((number, instead));
                }
                at += length;
            }
            _ => at += 1,
        }
    }
    None
}

/// The position after the quotation mark that ends the string.
fn string_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    at
}

/// What a number would come back as, when that is another one.
fn inexact(number: &str) -> Option<String> {
    // These are kept as integers; which of them are too large says whoever writes them.
    let is_integer = number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok();
    if is_integer && number != "-0" {
        return None;
    }
    let double: f64 = number.parse().unwrap_or(f64::NAN);
    if !double.is_finite() {
        return Some(format!("{double}"));
    }
    if double == 0.0 && number.starts_with('-') {
        return Some("0".to_owned());
    }
    if number.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit()) {
        return Some(format!("{double:e}")); // an integer that no integer holds: readers would take it for a double
    }
    // Rust writes the shortest digits that read back as the double, as RFC 8785 does.
    let written = format!("{double:e}");
    (Decimal::of(number) != Decimal::of(&written)).then(|| format!("{double}"))
}

/// A decimal number: `0.digits · 10^exponent`, without zeros at either end of the digits.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    negative: bool,
    digits: Vec<u8>,
    exponent: i64,
}

impl Decimal {
    /// `None` when the exponent is beyond all measure.
    fn of(number: &str) -> Option<Self> {
        let (number, negative) = number.strip_prefix('-').map_or((number, false), |rest| (rest, true));
        let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = [whole, fraction].concat().into_bytes();
        let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
        let mut digits = digits[zeros..].to_vec();
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        if digits.is_empty() {
            return Some(Self { negative: false, digits, exponent: 0 });
        }
        let exponent = exponent.parse::<i64>().ok()?;
        let exponent = exponent.checked_add(whole.len() as i64)?.checked_sub(zeros as i64)?;
        Some(Self { negative, digits, exponent })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_is_exact_when_it_comes_back_as_the_same_decimal_however_it_is_spelled() {
        for number in [
            "0",
            "-1",
            "0.0",
            "0e99999999999999999999",
            "1.0",
            "0.1",
            "1E2",
            "1e+2",
            "100e-2",
            "0.30000000000000004",
            "9007199254740991",
            "9007199254740993",
            "18446744073709551615",
            "-9223372036854775808",
            "9007199254740992.0",
            "1e17",
            "1e300",
            "5e-324",
            "1.7976931348623157e308",
        ] {
            assert_eq!(inexact(number), None, "{number}");
        }
        for (number, instead) in [
            ("9007199254740993.0", "9007199254740992"),
            ("9.007199254740993e15", "9007199254740992"),
            ("900719925474099.3E+1", "9007199254740992"),
            ("9007199254740993e0", "9007199254740992"),
            ("18446744073709551617", "1.8446744073709552e19"),
            ("100000000000000000000", "1e20"),
            ("-9223372036854775809", "-9.223372036854776e18"),
            ("0.1000000000000000055511151231257827", "0.1"),
            ("0.1000000000000000055511151231257827021181583404541015625", "0.1"),
            ("-0", "0"),
            ("-0.0", "0"),
            ("-0e5", "0"),
            ("1e400", "inf"),
            ("-1e99999999999999999999", "-inf"),
            ("1e-400", "0"),
            ("2e-324", "0"),
            ("1e-99999999999999999999", "0"),
        ] {
            assert_eq!(inexact(number).as_deref(), Some(instead), "{number}");
        }
    }

    #[test]
    fn numbers_are_found_wherever_they_stand_and_digits_in_texts_are_none() {
        for json in [r#"{"a":[1,{"b":-0.0}]}"#, "[1.5,[[-0.0]]]", r#"{"\"":-0.0}"#, " -0.0 "] {
            assert_eq!(first_inexact(json), Some(("-0.0", "0".to_owned())), "{json}");
        }
        for json in [r#"{"-0.0":"1e400"}"#, r#"["\\","\" -0.0 \\\""]"#, r#"{"a":true,"e":null}"#, "[]"] {
            assert_eq!(first_inexact(json), None, "{json}");
        }
    }

    proptest! {
        /// Every double in its own shortest spelling, and in others of the same value.
        #[test]
        fn every_double_is_exact_in_every_spelling_of_its_value(bits: u64, zeros in 0..5_usize) {
            let double = f64::from_bits(bits);
            prop_assume!(double.is_finite() && (double != 0.0 || double.is_sign_positive()));
            let shortest = format!("{double:e}");
            let (mantissa, exponent) = shortest.split_once('e').unwrap();
            let point = if mantissa.contains('.') { "" } else { "." };
            let padded = format!("{mantissa}{point}{}e{exponent}", "0".repeat(zeros + 1));
            let shifted = {
                let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
                format!("{whole}{fraction}E{}", exponent.parse::<i64>().unwrap() - fraction.len() as i64)
            };
            for number in [&shortest, &padded, &shifted] {
                prop_assert_eq!(inexact(number), None, "{}", number);
            }
        }

        /// What is taken is what comes back: compared as decimals by another implementation than that above.
        #[test]
        fn a_number_that_is_taken_comes_back_as_the_same_decimal(
            whole in "(0|[1-9][0-9]{0,25})", fraction in "(\\.[0-9]{1,25})?", exponent in "([eE][+-]?[0-9]{1,2})?"
        ) {
            let number = format!("{whole}{fraction}{exponent}");
            prop_assume!(number.contains(['.', 'e', 'E']));
            let double: f64 = number.parse().unwrap();
            // Plain decimals with the same count of places behind the point.
            let plain = |number: &str| {
                let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
                let exponent: i32 = exponent.parse().unwrap();
                let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
                let mut digits = format!("{}{whole}{fraction}", "0".repeat(150));
                let places = 150 - (fraction.len() as i32 - exponent);
                digits.push_str(&"0".repeat(usize::try_from(places).unwrap()));
                digits.trim_start_matches('0').to_owned()
            };
            let same = plain(&number) == plain(&format!("{double:e}"));
            prop_assert_eq!(inexact(&number).is_none(), same, "{}", number);
        }
    }
}
