//! Whom a node exchanges with: other nodes' keys and addresses, as its operator tells them.

use std::{fmt, str::FromStr};

use federation::Author;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Another node: the verifier key of its log, and its trainer's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its name.
    pub author: Author,
    /// Where its trainer is.
    pub url: String,
}

/// A text is no peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected the verifier key of the other node's log, `@` and the address of its trainer, such as \
     ai-mesh.example/log+c3482a7f+AZCz…@http://10.0.0.2:8001, found `{found}`: {why}. The other node tells its own: `mesh \
     federation status` there"
)]
pub struct PeerError {
    found: String,
    why: String,
}

impl FromStr for Peer {
    type Err = PeerError;

    fn from_str(text: &str) -> Result<Self, PeerError> {
        let refused = |why: String| PeerError { found: text.chars().take(200).collect(), why };
        let at = ["@http://", "@https://"].iter().find_map(|scheme| text.find(scheme));
        let (key, url) = at
            .map(|at| (&text[..at], &text[at + 1..]))
            .ok_or_else(|| refused("there is no `@http://` or `@https://` in it".into()))?;
        let author = Author::parse(key).map_err(|error| refused(error.to_string()))?;
        Ok(Self { author, url: url.trim_end_matches('/').to_owned() })
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.author, self.url)
    }
}

impl Serialize for Peer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Peer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example key of C2SP signed-note.
    const KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

    #[test]
    fn a_peer_is_a_key_and_an_address_and_is_written_as_it_is_read() {
        let peer: Peer = format!("{KEY}@https://user@mesh.example:8001/a/").parse().unwrap();
        assert_eq!((peer.author.as_str(), peer.url.as_str()), (KEY, "https://user@mesh.example:8001/a"));
        assert_eq!(peer.to_string().parse::<Peer>().unwrap(), peer);
    }

    #[test]
    fn what_is_no_peer_is_told_with_what_was_expected() {
        for (text, why) in [
            (KEY.to_owned(), "there is no `@http://`"),
            ("nobody@http://mesh.example".to_owned(), "expected"),
            (format!("{}@http://mesh.example", KEY.replace("c74f", "c74e")), "found"),
        ] {
            let error = text.parse::<Peer>().unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("mesh federation status"), "{error}");
        }
    }
}
