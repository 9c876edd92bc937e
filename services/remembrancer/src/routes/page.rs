use api::Page;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::error::{LedgerError, Result};

/// Items of a page when `limit` is absent.
const DEFAULT_LIMIT: u32 = 100;

/// What a list was asked for: how many, and after which log index.
pub(super) struct Request {
    pub(super) limit: u32,
    pub(super) after: Option<u64>,
}

impl Request {
    /// Reads `limit` (checked already) and `cursor`.
    pub(super) fn new(limit: Option<u32>, cursor: Option<&str>) -> Result<Self> {
        let after = cursor.map(decode).transpose()?;
        Ok(Self { limit: limit.unwrap_or(DEFAULT_LIMIT), after })
    }

    /// How many items to fetch: one more than the page tells whether there is another.
    pub(super) fn fetch(&self) -> u32 {
        self.limit + 1
    }

    /// The page of what was fetched.
    pub(super) fn page<T>(&self, mut items: Vec<T>, index: impl Fn(&T) -> u64) -> Page<T> {
        let more = items.len() > self.limit as usize;
        items.truncate(self.limit as usize);
        let next_cursor = if more { items.last().map(|item| encode(index(item))) } else { None };
        Page { items, next_cursor }
    }
}

/// A cursor is opaque, so that it may become something else than the last log index.
fn encode(index: u64) -> String {
    URL_SAFE_NO_PAD.encode(format!("after:{index}"))
}

fn decode(cursor: &str) -> Result<u64> {
    let text = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    text.as_deref()
        .and_then(|text| text.strip_prefix("after:"))
        .and_then(|index| index.parse().ok())
        .ok_or_else(|| {
            LedgerError::invalid("?cursor", "expected `next_cursor` of the page before, as it was")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_and_nothing_else_passes_for_one() {
        assert_eq!(decode(&encode(77)).unwrap(), 77);
        for bad in ["", "77", "YWZ0ZXI6", "%%%", &format!("{}!", encode(77))] {
            assert!(decode(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_the_last_page_has_no_cursor() {
        let request = Request::new(Some(2), None).unwrap();
        assert_eq!(request.page(vec![1, 2], |&i| i).next_cursor, None);
        let page = request.page(vec![1, 2, 3], |&i| i);
        assert_eq!((page.items, page.next_cursor), (vec![1, 2], Some(encode(2))));
    }
}
