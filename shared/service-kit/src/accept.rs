use api::Format;
use axum::http::{HeaderMap, header};

/// Which of the media types that a route can answer with `Accept` wants most (RFC 9110, section 12.5.1): the one of
/// the highest weight, of equal ones the first in `offers`; also the first when none is named.
///
/// # Panics
/// Never with at least one offer.
#[must_use]
pub fn preferred<'a>(headers: &HeaderMap, offers: &[&'a str]) -> &'a str {
    let accept: Vec<_> =
        headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let accept = accept.join(",").to_ascii_lowercase();
    let mut best = (offers[0], 0.0);
    for offer in offers {
        let weight = weight(&accept, offer);
        if weight > best.1 {
            best = (offer, weight);
        }
    }
    best.0
}

/// How a list is written as a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    /// One JSON object a line.
    Ndjson,
    /// CSV with a header.
    Csv,
}

impl Lines {
    /// The stream that is asked for, by `?format=` or else by `Accept`; none when it is a page of JSON.
    #[must_use]
    pub fn asked(format: Option<Format>, headers: &HeaderMap) -> Option<Self> {
        let (ndjson, csv) = (Self::Ndjson.media_type(), Self::Csv.media_type());
        match format {
            Some(Format::Json) => None,
            Some(Format::Ndjson) => Some(Self::Ndjson),
            Some(Format::Csv) => Some(Self::Csv),
            None => match preferred(headers, &["application/json", ndjson, csv]) {
                kind if kind == ndjson => Some(Self::Ndjson),
                kind if kind == csv => Some(Self::Csv),
                _ => None,
            },
        }
    }

    /// Its media type, without parameters.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv",
        }
    }
}

/// The weight of the most specific range that covers a type; 0 when none does.
fn weight(accept: &str, offer: &str) -> f32 {
    let kind = offer.split('/').next().unwrap_or_default();
    [offer, &format!("{kind}/*"), "*/*"]
        .into_iter()
        .find_map(|name| {
            accept.split(',').find_map(|range| {
                let mut parts = range.split(';').map(str::trim);
                let q = |part: &str| part.strip_prefix("q=").and_then(|q| q.parse::<f32>().ok());
                (parts.next() == Some(name)).then(|| parts.find_map(q).unwrap_or(1.0))
            })
        })
        .unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFERS: [&str; 3] = ["application/json", "application/x-ndjson", "text/csv"];

    fn preferred_by(accept: &str) -> &'static str {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        preferred(&headers, &OFFERS)
    }

    #[test]
    fn the_highest_weight_wins_and_on_a_tie_the_first_offer() {
        assert_eq!(preferred(&HeaderMap::new(), &OFFERS), OFFERS[0]);
        for json in ["*/*", "application/*", "text/csv;q=0.5, application/json", "text/html", "text/csv;q=0"]
        {
            assert_eq!(preferred_by(json), OFFERS[0], "{json}");
        }
        for ndjson in ["application/x-ndjson", "application/x-ndjson, */*;q=0.1"] {
            assert_eq!(preferred_by(ndjson), OFFERS[1], "{ndjson}");
        }
        for csv in ["text/csv", "Text/CSV", "text/csv, application/json;q=0.9", "text/*", "text/csv;q=0.2"] {
            assert_eq!(preferred_by(csv), OFFERS[2], "{csv}");
        }
    }
}
