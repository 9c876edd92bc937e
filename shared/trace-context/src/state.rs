//! `tracestate` (section 3.3): other vendors' list, which is passed on and never read.

use std::collections::HashSet;

/// The headers as one list, or `None` when there is nothing in it that may be passed on.
pub(crate) fn combined<'a>(headers: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let headers: Vec<&str> = headers.into_iter().collect();
    let list = headers.join(",");
    let mut keys = HashSet::new();
    for member in list.split(',').map(|member| member.trim_matches([' ', '\t'])) {
        if member.is_empty() {
            continue; // allowed, and counts for nothing
        }
        let (key, value) = member.split_once('=')?;
        if !is_key(key) || !is_value(value) || !keys.insert(key) {
            return None;
        }
    }
    // 512 characters must be passed on; to drop a longer list is allowed.
    ((1..=MOST_MEMBERS).contains(&keys.len()) && list.len() <= LONGEST).then_some(list)
}

const MOST_MEMBERS: usize = 32;
const LONGEST: usize = 8192;

/// `tenant@system` or a simple key.
fn is_key(key: &str) -> bool {
    let part = |part: &str, longest: usize, may_begin: fn(&u8) -> bool| {
        part.len() <= longest
            && part.as_bytes().first().is_some_and(may_begin)
            && part.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/'))
    };
    match key.split_once('@') {
        Some((tenant, system)) => {
            part(tenant, 241, |b| b.is_ascii_lowercase() || b.is_ascii_digit())
                && part(system, 14, u8::is_ascii_lowercase)
        }
        None => part(key, 256, u8::is_ascii_lowercase),
    }
}

fn is_value(value: &str) -> bool {
    (1..=256).contains(&value.len())
        && value.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'=' && b != b',')
        && !value.ends_with(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_list_of_keys_and_values_is_not_passed_on() {
        for wrong in [
            "",
            " , ",
            "foo",
            "foo=",
            "=1",
            "Foo=1",
            "foo=1,foo=2",
            "foo=1=2",
            "foo@=1",
            "@foo=1",
            "foo=\u{1}",
        ] {
            assert_eq!(combined([wrong]), None, "{wrong:?}");
        }
        let key = "k".repeat(257);
        assert_eq!(combined([format!("{key}=1").as_str()]), None);
        let many: Vec<String> = (0..33).map(|i| format!("k{i}=1")).collect();
        assert_eq!(combined([many.join(",").as_str()]), None);
        assert_eq!(combined([many[..32].join(",").as_str()]), Some(many[..32].join(",")));
    }

    #[test]
    fn a_list_is_passed_on_as_it_came() {
        for right in ["foo=1", "foo=1 , bar=2", "foo=1,,bar=2", "1a@foo=a b:c", "f/*-_=!"] {
            assert_eq!(combined([right]).as_deref(), Some(right));
        }
    }
}
