//! RFC 6962, section 2.1, word for word: slow, and plainly right. The library is held to it.

use merkle_log::{EMPTY_ROOT, Hash};

use crate::join;

/// `MTH(D[n])`.
#[must_use]
pub fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => EMPTY_ROOT,
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len() as u64) as usize);
            join(&root(left), &root(right))
        }
    }
}

/// `PATH(m, D[n])`.
#[must_use]
pub fn path(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() <= 1 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(split(leaves.len() as u64) as usize);
    let (mut path, sibling) = if index < left.len() {
        (path(index, left), root(right))
    } else {
        (path(index - left.len(), right), root(left))
    };
    path.push(sibling);
    path
}

/// The root that a path leads to: `PATH` read backwards. `None` where it has another length than such a path.
#[must_use]
pub fn root_of_path(leaf: &Hash, index: u64, size: u64, path: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    if size == 1 {
        return path.is_empty().then_some(*leaf);
    }
    let (sibling, rest) = path.split_last()?;
    let middle = split(size);
    Some(if index < middle {
        join(&root_of_path(leaf, index, middle, rest)?, sibling)
    } else {
        join(sibling, &root_of_path(leaf, index - middle, size - middle, rest)?)
    })
}

/// The roots of the older and of the newer tree that a consistency proof leads to: `SUBPROOF(m, D[n], b)` read
/// backwards; `known` is the older root while `b` holds.
#[must_use]
pub fn roots_of_consistency(from: u64, to: u64, known: Option<&Hash>, path: &[Hash]) -> Option<(Hash, Hash)> {
    if from == 0 || from > to {
        return None;
    }
    if from == to {
        return match (known, path) {
            (Some(root), []) => Some((*root, *root)),
            (None, [root]) => Some((*root, *root)),
            _ => None,
        };
    }
    let (sibling, rest) = path.split_last()?;
    let middle = split(to);
    if from <= middle {
        let (old, new) = roots_of_consistency(from, middle, known, rest)?;
        Some((old, join(&new, sibling)))
    } else {
        let (old, new) = roots_of_consistency(from - middle, to - middle, None, rest)?;
        Some((join(sibling, &old), join(sibling, &new)))
    }
}

/// The largest power of two below `n`, for n > 1.
fn split(n: u64) -> u64 {
    (u128::from(n).next_power_of_two() / 2) as u64
}
