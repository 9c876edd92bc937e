//! The compact range of a growing tree: what its root can be computed from, and nothing more.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{EMPTY_ROOT, Hash, node_hash};

/// The roots of the complete subtrees that a tree of `len` leaves falls into (one for each set bit of
/// `len`), largest first. A leaf is added in amortised constant time; memory is logarithmic.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Frontier {
    len: u64,
    hashes: Vec<Hash>,
}

/// A frontier's hashes do not fit its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frontier over {len} leaves has {expected} hashes (the set bits of its length), got {actual}")]
pub struct InvalidFrontier {
    /// How many leaves were claimed.
    pub len: u64,
    /// How many hashes such a tree has.
    pub expected: usize,
    /// How many were there.
    pub actual: usize,
}

impl Frontier {
    /// A tree without leaves.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The tree of `len` leaves whose complete subtrees have these roots, largest first.
    ///
    /// # Errors
    /// When there is not exactly one hash for each set bit of `len`.
    pub fn from_parts(len: u64, hashes: Vec<Hash>) -> Result<Self, InvalidFrontier> {
        let expected = len.count_ones() as usize;
        if hashes.len() == expected {
            Ok(Self { len, hashes })
        } else {
            Err(InvalidFrontier { len, expected, actual: hashes.len() })
        }
    }

    /// Appends a leaf by its hash.
    pub fn push(&mut self, leaf_hash: Hash) {
        let mut hash = leaf_hash;
        // Each trailing one bit is a complete subtree of the same size to the left of the new one.
        for _ in 0..self.len.trailing_ones() {
            let left =
                self.hashes.pop().expect("one hash for each set bit of `len`: the constructors hold it");
            hash = node_hash(&left, &hash);
        }
        self.hashes.push(hash);
        self.len += 1;
    }

    /// How many leaves.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// True without leaves.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The tree's root (RFC 6962, section 2.1).
    #[must_use]
    pub fn root(&self) -> Hash {
        self.hashes.iter().rev().copied().reduce(|right, left| node_hash(&left, &right)).unwrap_or(EMPTY_ROOT)
    }

    /// The roots of the complete subtrees, largest first.
    #[must_use]
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }
}

impl Extend<Hash> for Frontier {
    fn extend<I: IntoIterator<Item = Hash>>(&mut self, leaf_hashes: I) {
        leaf_hashes.into_iter().for_each(|hash| self.push(hash));
    }
}

impl FromIterator<Hash> for Frontier {
    fn from_iter<I: IntoIterator<Item = Hash>>(leaf_hashes: I) -> Self {
        let mut frontier = Self::new();
        frontier.extend(leaf_hashes);
        frontier
    }
}

impl fmt::Debug for Frontier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frontier({}, {})", self.len, hex::encode(self.root()))
    }
}

/// `{"len": 3, "hashes": ["hex", "hex"]}`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    len: u64,
    hashes: Vec<String>,
}

impl Serialize for Frontier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Text { len: self.len, hashes: self.hashes.iter().map(hex::encode).collect() }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Frontier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let text = Text::deserialize(deserializer)?;
        let hash = |text: &String| {
            let mut hash = [0; 32];
            hex::decode_to_slice(text, &mut hash)
                .map_err(|_| D::Error::custom("expected 64 hex digits in a frontier's hash"))?;
            Ok(hash)
        };
        let hashes = text.hashes.iter().map(hash).collect::<Result<_, D::Error>>()?;
        Self::from_parts(text.len, hashes).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leaf_hash;

    /// The leaves and roots of the Certificate Transparency reference tests.
    pub(crate) const LEAVES: [&str; 8] =
        ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    const ROOTS: [&str; 8] = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    #[test]
    fn roots_are_those_of_the_certificate_transparency_tests() {
        let mut frontier = Frontier::new();
        assert_eq!(frontier.root(), EMPTY_ROOT);
        for (leaf, root) in LEAVES.iter().zip(ROOTS) {
            frontier.push(leaf_hash(&hex::decode(leaf).unwrap()));
            assert_eq!(hex::encode(frontier.root()), root, "after {} leaves", frontier.len());
        }
    }

    #[test]
    fn a_frontier_goes_on_from_its_parts_as_if_it_had_never_stopped() {
        let hash = |n: u64| leaf_hash(&n.to_be_bytes());
        let whole: Frontier = (0..1000).map(hash).collect();
        for cut in 0..1000 {
            let first: Frontier = (0..cut).map(hash).collect();
            let text = serde_json::to_string(&first).unwrap();
            let mut again: Frontier = serde_json::from_str(&text).unwrap();
            assert_eq!(again, first);
            again.extend((cut..1000).map(hash));
            assert_eq!(again, whole);
        }
    }

    #[test]
    fn hashes_that_do_not_fit_the_length_are_refused() {
        let error = Frontier::from_parts(5, vec![[0; 32]]).unwrap_err();
        assert_eq!(error, InvalidFrontier { len: 5, expected: 2, actual: 1 });
        assert!(Frontier::from_parts(0, vec![[0; 32]]).is_err());
        assert!(serde_json::from_str::<Frontier>(r#"{"len":1,"hashes":[]}"#).is_err());
        assert!(serde_json::from_str::<Frontier>(r#"{"len":1,"hashes":["00"]}"#).is_err());
    }
}
