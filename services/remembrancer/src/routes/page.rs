use api::Page;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::error::{LogError, Result};

/// Items of a page when `limit` is absent.
const DEFAULT_LIMIT: u32 = 100;

/// What a list was asked for: how many, and after which item.
pub(super) struct Request {
    pub(super) limit: u32,
    pub(super) after: Option<Cursor>,
}

/// The last item of a page.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cursor {
    pub(super) log_index: u64,
    /// Only in a list that has the best match first.
    pub(super) rank: Option<f32>,
}

impl Request {
    /// Reads `limit` (checked already) and `cursor`, which must be of a list that is ranked, or not, as this one.
    pub(super) fn new(limit: Option<u32>, cursor: Option<&str>, ranked: bool) -> Result<Self> {
        let after = cursor.map(decode).transpose()?;
        if after.is_some_and(|cursor| cursor.rank.is_some() != ranked) {
            return Err(LogError::invalid(
                "?cursor",
                "expected a cursor of this list; this one is of a list in another order",
            ));
        }
        Ok(Self { limit: limit.unwrap_or(DEFAULT_LIMIT), after })
    }

    /// How many items to fetch: one more than the page tells whether there is another.
    pub(super) fn fetch(&self) -> u32 {
        self.limit + 1
    }

    /// The page of what was fetched.
    pub(super) fn page<T>(&self, mut items: Vec<T>, cursor: impl Fn(&T) -> Cursor) -> Page<T> {
        let more = items.len() > self.limit as usize;
        items.truncate(self.limit as usize);
        let next_cursor = if more { items.last().map(|item| encode(cursor(item))) } else { None };
        Page { items, next_cursor }
    }
}

impl From<u64> for Cursor {
    fn from(log_index: u64) -> Self {
        Self { log_index, rank: None }
    }
}

/// A cursor is opaque, so that it may become something else than the last log index. A rank is written as its bits:
/// the comparison with it must be exact.
fn encode(cursor: Cursor) -> String {
    let Cursor { log_index, rank } = cursor;
    URL_SAFE_NO_PAD.encode(match rank {
        None => format!("after:{log_index}"),
        Some(rank) => format!("after:{log_index}:{}", rank.to_bits()),
    })
}

fn decode(cursor: &str) -> Result<Cursor> {
    let read = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        let place = text.strip_prefix("after:")?;
        let (index, rank) = match place.split_once(':') {
            None => (place, None),
            Some((index, bits)) => (index, Some(f32::from_bits(bits.parse().ok()?))),
        };
        Some(Cursor { log_index: index.parse().ok()?, rank })
    };
    read().ok_or_else(|| LogError::invalid("?cursor", "expected `next_cursor` of the page before, as it was"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_and_nothing_else_passes_for_one() {
        let ranked = Cursor { log_index: 77, rank: Some(0.1) };
        for cursor in [Cursor::from(77), ranked] {
            assert_eq!(decode(&encode(cursor)).unwrap(), cursor);
        }
        for bad in ["", "77", "YWZ0ZXI6", "%%%", &format!("{}!", encode(77.into()))] {
            assert!(decode(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_cursor_of_a_list_in_another_order_is_refused() {
        let (plain, ranked) = (encode(7.into()), encode(Cursor { log_index: 7, rank: Some(0.5) }));
        for (cursor, is_ranked) in [(&plain, true), (&ranked, false)] {
            assert!(Request::new(None, Some(cursor), is_ranked).is_err());
            assert!(Request::new(None, Some(cursor), !is_ranked).is_ok());
        }
    }

    #[test]
    fn only_the_last_page_has_no_cursor() {
        let request = Request::new(Some(2), None, false).unwrap();
        assert_eq!(request.page(vec![1, 2], |&i| Cursor::from(i)).next_cursor, None);
        let page = request.page(vec![1, 2, 3], |&i| Cursor::from(i));
        assert_eq!((page.items, page.next_cursor), (vec![1, 2], Some(encode(2.into()))));
    }
}
