use ct_merkle::mem_backed_tree::MemoryBackedTree;
use proptest::prelude::*;
use sha2::Sha256;

use super::*;
use crate::{Frontier, leaf_hash};

/// A tree that keeps every leaf hash.
struct Leaves(Vec<Hash>);

impl Leaves {
    fn new(size: u64) -> Self {
        Self((0..size).map(|n| leaf_hash(&n.to_be_bytes())).collect())
    }

    fn root(&self, size: u64) -> Hash {
        self.0[..size as usize].iter().copied().collect::<Frontier>().root()
    }

    fn hashes(&self, ranges: &[Range<u64>]) -> Vec<Hash> {
        ranges.iter().map(|range| range_hash(range, self).unwrap()).collect()
    }
}

impl NodeSource for Leaves {
    type Error = (u32, u64);

    fn node(&self, level: u32, index: u64) -> Result<Hash, (u32, u64)> {
        let leaves = (index << level) as usize..((index + 1) << level) as usize;
        let leaves = self.0.get(leaves).ok_or((level, index))?;
        Ok(leaves.iter().copied().collect::<Frontier>().root())
    }
}

fn second_implementation(size: u64) -> MemoryBackedTree<Sha256, [u8; 8]> {
    let mut tree = MemoryBackedTree::new();
    (0..size).for_each(|n| tree.push(n.to_be_bytes()));
    tree
}

#[test]
fn every_proof_of_a_small_tree_is_the_second_implementations_and_verifies() {
    let leaves = Leaves::new(70);
    for size in 1..=70 {
        let tree = second_implementation(size);
        let root = leaves.root(size);
        assert_eq!(root.as_slice(), tree.root().as_bytes().as_slice());
        for index in 0..size {
            let path = leaves.hashes(&inclusion_ranges(index, size).unwrap());
            assert_eq!(path.concat(), tree.prove_inclusion(index as usize).as_bytes(), "{index} in {size}");
            verify_inclusion(&leaves.0[index as usize], index, size, &path, &root).unwrap();
        }
        for from in 1..=size {
            let path = leaves.hashes(&consistency_ranges(from, size).unwrap());
            if from < size {
                let expected = tree.prove_consistency((size - from) as usize);
                assert_eq!(path.concat(), expected.as_bytes(), "{from} to {size}");
            }
            verify_consistency(from, size, &leaves.root(from), &root, &path).unwrap();
        }
    }
}

/// RFC 6962, section 2.1.3: the seven-leaf tree.
#[test]
fn proofs_have_the_nodes_that_rfc_6962_lists() {
    assert_eq!(inclusion_ranges(0, 7).unwrap(), [1..2, 2..4, 4..7]); // [b, h, l]
    assert_eq!(inclusion_ranges(3, 7).unwrap(), [2..3, 0..2, 4..7]); // [c, g, l]
    assert_eq!(inclusion_ranges(4, 7).unwrap(), [5..6, 6..7, 0..4]); // [f, j, k]
    assert_eq!(inclusion_ranges(6, 7).unwrap(), [4..6, 0..4]); // [i, k]
    assert_eq!(consistency_ranges(3, 7).unwrap(), [2..3, 3..4, 0..2, 4..7]); // [c, d, g, l]
    assert_eq!(consistency_ranges(4, 7).unwrap(), vec![4..7; 1]); // [l]
    assert_eq!(consistency_ranges(6, 7).unwrap(), [4..6, 6..7, 0..4]); // [i, j, k]
}

#[test]
fn what_cannot_be_proved_is_an_error() {
    assert_eq!(inclusion_ranges(7, 7), Err(ProofError::NotInTree { index: 7, size: 7 }));
    assert_eq!(inclusion_ranges(0, 0), Err(ProofError::NotInTree { index: 0, size: 0 }));
    assert_eq!(consistency_ranges(0, 7), Err(ProofError::NotInOrder { from: 0, to: 7 }));
    assert_eq!(consistency_ranges(8, 7), Err(ProofError::NotInOrder { from: 8, to: 7 }));
    let root = Leaves::new(7).root(7);
    assert!(verify_inclusion(&root, 7, 7, &[], &root).is_err());
    assert!(verify_inclusion(&root, 0, 0, &[], &root).is_err());
    assert!(verify_consistency(0, 7, &root, &root, &[]).is_err());
    assert!(verify_consistency(8, 7, &root, &root, &[]).is_err());
    assert!(verify_consistency(7, 7, &root, &root, &[root]).is_err());
    assert!(verify_consistency(7, 7, &root, &[0; 32], &[]).is_err());
    assert!(verify_consistency(4, 7, &root, &root, &[]).is_err());
    assert!(verify_inclusion(&root, u64::MAX - 1, u64::MAX, &[root; 200], &root).is_err());
    assert!(verify_consistency(1 << 63, u64::MAX, &root, &root, &[root; 200]).is_err());
}

/// Every way to spoil a path by one step.
fn spoiled(path: &[Hash]) -> Vec<Vec<Hash>> {
    let mut all = Vec::new();
    for at in 0..path.len() {
        let mut flipped = path.to_vec();
        flipped[at][at % 32] ^= 1;
        let mut dropped = path.to_vec();
        dropped.remove(at);
        let mut doubled = path.to_vec();
        doubled.insert(at, path[at]);
        all.extend([flipped, dropped, doubled]);
    }
    all.push([path, &[[0; 32]]].concat());
    all.extend(path.windows(2).enumerate().filter(|(_, pair)| pair[0] != pair[1]).map(|(at, _)| {
        let mut swapped = path.to_vec();
        swapped.swap(at, at + 1);
        swapped
    }));
    all
}

proptest! {
    #[test]
    fn a_spoiled_inclusion_proof_is_rejected((size, index) in (1..300_u64).prop_flat_map(|n| (Just(n), 0..n)), other in 0..300_u64) {
        let leaves = Leaves::new(size);
        let (leaf, root) = (leaves.0[index as usize], leaves.root(size));
        let path = leaves.hashes(&inclusion_ranges(index, size).unwrap());
        prop_assert_eq!(verify_inclusion(&leaf, index, size, &path, &root), Ok(()));
        for bad in spoiled(&path) {
            prop_assert!(verify_inclusion(&leaf, index, size, &bad, &root).is_err());
        }
        if other != index {
            prop_assert!(verify_inclusion(&leaf, other, size, &path, &root).is_err());
        }
        prop_assert!(verify_inclusion(&leaf_hash(b"other"), index, size, &path, &root).is_err());
        prop_assert!(verify_inclusion(&leaf, index, size, &path, &leaf).is_err() || size == 1);
    }

    #[test]
    fn a_spoiled_consistency_proof_is_rejected((to, from) in (2..300_u64).prop_flat_map(|n| (Just(n), 1..n))) {
        let leaves = Leaves::new(to);
        let (from_root, to_root) = (leaves.root(from), leaves.root(to));
        let path = leaves.hashes(&consistency_ranges(from, to).unwrap());
        prop_assert_eq!(verify_consistency(from, to, &from_root, &to_root, &path), Ok(()));
        for bad in spoiled(&path) {
            prop_assert!(verify_consistency(from, to, &from_root, &to_root, &bad).is_err());
        }
        prop_assert!(verify_consistency(from, to, &to_root, &to_root, &path).is_err());
        prop_assert!(verify_consistency(from, to, &from_root, &from_root, &path).is_err());
    }

    #[test]
    fn a_rewritten_history_has_no_consistency_proof((to, from, changed) in (2..200_u64).prop_flat_map(|n| (Just(n), 1..n)).prop_flat_map(|(n, m)| (Just(n), Just(m), 0..m))) {
        let honest = Leaves::new(to);
        let mut rewritten = Leaves::new(to);
        rewritten.0[changed as usize] = leaf_hash(b"changed");
        let path = rewritten.hashes(&consistency_ranges(from, to).unwrap());
        prop_assert!(verify_consistency(from, to, &honest.root(from), &rewritten.root(to), &path).is_err());
    }
}
