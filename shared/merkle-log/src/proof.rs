//! Inclusion and consistency proofs: making them (RFC 6962, sections 2.1.1 and 2.1.2) and verifying
//! them (RFC 9162, sections 2.1.3.2 and 2.1.4.2).

use std::ops::Range;

use crate::{Hash, node_hash};

/// Where the hashes of complete subtrees come from.
pub trait NodeSource {
    /// Why a node could not be had.
    type Error;

    /// The root of the complete subtree over the leaves `index << level .. (index + 1) << level`.
    ///
    /// # Errors
    /// When the node is not there.
    fn node(&self, level: u32, index: u64) -> Result<Hash, Self::Error>;
}

/// A proof cannot be made, or does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The leaf is not in the tree.
    #[error("leaf {index} is not in a tree of {size} leaves")]
    NotInTree {
        /// The leaf's index.
        index: u64,
        /// The tree's size.
        size: u64,
    },
    /// The sizes do not follow each other.
    #[error("expected sizes 1 <= from <= to, got from {from} to {to}")]
    NotInOrder {
        /// The older size.
        from: u64,
        /// The newer size.
        to: u64,
    },
    /// The path is too short or too long for these sizes.
    #[error("the path of {actual} hashes does not fit the tree's shape")]
    WrongLength {
        /// How many hashes the path has.
        actual: usize,
    },
    /// The path leads to another root.
    #[error(
        "the path leads to another root than the claimed one: what is to be proved was changed, or the path"
    )]
    RootMismatch,
}

/// The leaf ranges whose roots are the audit path of leaf `index` in a tree of `size` leaves, from the
/// leaf up: `PATH(m, D[n])` of RFC 6962, section 2.1.1.
///
/// # Errors
/// When the leaf is not in the tree.
pub fn inclusion_ranges(index: u64, size: u64) -> Result<Vec<Range<u64>>, ProofError> {
    if index >= size {
        return Err(ProofError::NotInTree { index, size });
    }
    let mut path = Vec::new();
    let (mut start, mut end) = (0, size);
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            path.push(middle..end);
            end = middle;
        } else {
            path.push(start..middle);
            start = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// The leaf ranges whose roots prove that the tree of `to` leaves only appended to that of `from`:
/// `PROOF(m, D[n])` of RFC 6962, section 2.1.2.
///
/// # Errors
/// Unless `1 <= from <= to`.
pub fn consistency_ranges(from: u64, to: u64) -> Result<Vec<Range<u64>>, ProofError> {
    if from == 0 || from > to {
        return Err(ProofError::NotInOrder { from, to });
    }
    let mut path = Vec::new();
    let (mut start, mut end) = (0, to);
    while from != end {
        let middle = start + split(end - start);
        if from <= middle {
            path.push(middle..end);
            end = middle;
        } else {
            path.push(start..middle);
            start = middle;
        }
    }
    // The old tree's last complete subtree; the verifier knows it when it is the whole old tree.
    if start > 0 {
        path.push(start..end);
    }
    path.reverse();
    Ok(path)
}

/// The complete subtrees (level, index) that a range of a proof or a tree falls into, largest first.
/// The range must start at a multiple of the smallest power of two that covers it, as ranges of
/// proofs do.
#[must_use]
pub fn range_nodes(range: &Range<u64>) -> Vec<(u32, u64)> {
    let mut nodes = Vec::new();
    let mut start = range.start;
    while start < range.end {
        let level = (range.end - start).ilog2();
        nodes.push((level, start >> level));
        start += 1 << level;
    }
    nodes
}

/// The Merkle tree hash of a range of leaves (as in [`range_nodes`], not empty).
///
/// # Errors
/// When the source lacks a node.
pub fn range_hash<S: NodeSource>(range: &Range<u64>, source: &S) -> Result<Hash, S::Error> {
    let mut hash = None;
    for (level, index) in range_nodes(range).into_iter().rev() {
        let left = source.node(level, index)?;
        hash = Some(match hash {
            None => left,
            Some(right) => node_hash(&left, &right),
        });
    }
    Ok(hash.unwrap_or(crate::EMPTY_ROOT))
}

/// Verifies that the leaf is in the tree (RFC 9162, section 2.1.3.2).
///
/// # Errors
/// When it is not proved.
pub fn verify_inclusion(
    leaf_hash: &Hash,
    index: u64,
    size: u64,
    path: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::NotInTree { index, size });
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf_hash;
    for sibling in path {
        if last == 0 {
            return Err(ProofError::WrongLength { actual: path.len() });
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            skip_missing_levels(&mut node, &mut last);
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        Err(ProofError::WrongLength { actual: path.len() })
    } else if hash != *root {
        Err(ProofError::RootMismatch)
    } else {
        Ok(())
    }
}

/// Verifies that the newer tree only appended to the older (RFC 9162, section 2.1.4.2).
///
/// # Errors
/// When it is not proved.
pub fn verify_consistency(
    from: u64,
    to: u64,
    from_root: &Hash,
    to_root: &Hash,
    path: &[Hash],
) -> Result<(), ProofError> {
    if from == 0 || from > to {
        return Err(ProofError::NotInOrder { from, to });
    }
    let wrong_length = ProofError::WrongLength { actual: path.len() };
    if from == to {
        return match (path.is_empty(), from_root == to_root) {
            (false, _) => Err(wrong_length),
            (true, false) => Err(ProofError::RootMismatch),
            (true, true) => Ok(()),
        };
    }
    let (mut node, mut last) = (from - 1, to - 1);
    let shift = node.trailing_ones();
    node >>= shift;
    last >>= shift;
    // A complete old tree is a node of the new one, and its root opens the path.
    let (first, path) = match (from.is_power_of_two(), path) {
        (_, []) => return Err(wrong_length),
        (true, path) => (from_root, path),
        (false, [first, path @ ..]) => (first, path),
    };
    let (mut old, mut new) = (*first, *first);
    for sibling in path {
        if last == 0 {
            return Err(wrong_length);
        }
        if node & 1 == 1 || node == last {
            old = node_hash(sibling, &old);
            new = node_hash(sibling, &new);
            skip_missing_levels(&mut node, &mut last);
        } else {
            new = node_hash(&new, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        Err(wrong_length)
    } else if old != *from_root || new != *to_root {
        Err(ProofError::RootMismatch)
    } else {
        Ok(())
    }
}

/// On the tree's right edge a left node has no sibling for some levels: it moves up unchanged ("until
/// either LSB(fn) is set or fn is 0").
fn skip_missing_levels(node: &mut u64, last: &mut u64) {
    if *node != 0 {
        let shift = node.trailing_zeros();
        *node >>= shift;
        *last >>= shift;
    }
}

/// The largest power of two below `n`, for n > 1.
fn split(n: u64) -> u64 {
    1 << (n - 1).ilog2()
}

#[cfg(test)]
mod tests;
