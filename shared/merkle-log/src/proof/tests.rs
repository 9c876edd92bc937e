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

/// The reference tests of Certificate Transparency (`merkle_tree_test`): leaves, roots of the first n of them, audit
/// paths and consistency proofs, as transparency-dev/merkle keeps them too.
mod certificate_transparency {
    use super::*;

    const LEAVES: [&str; 8] =
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
    const A: &str = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7";
    const B: &str = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e";
    const C: &str = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4";
    const D: &str = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b";
    const E: &str = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0";
    const F: &str = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a";

    fn hash(text: &str) -> Hash {
        hex::decode(text).unwrap().try_into().unwrap()
    }

    fn path(hashes: &[&str]) -> Vec<Hash> {
        hashes.iter().map(|text| hash(text)).collect()
    }

    fn leaves() -> Leaves {
        Leaves(LEAVES.iter().map(|leaf| leaf_hash(&hex::decode(leaf).unwrap())).collect())
    }

    #[test]
    fn roots_are_the_reference_ones() {
        for (size, root) in (1..).zip(ROOTS) {
            assert_eq!(leaves().root(size), hash(root), "{size}");
        }
    }

    #[test]
    fn audit_paths_are_the_reference_ones_and_hold() {
        for (index, size, expected) in [
            (0, 1, path(&[])),
            (0, 8, path(&[A, B, C])),
            (5, 8, path(&[D, E, ROOTS[3]])),
            (2, 3, path(&[ROOTS[1]])),
            (1, 5, path(&[ROOTS[0], B, D])),
        ] {
            let leaves = leaves();
            assert_eq!(leaves.hashes(&inclusion_ranges(index, size).unwrap()), expected, "{index} in {size}");
            let root = hash(ROOTS[size as usize - 1]);
            verify_inclusion(&leaves.0[index as usize], index, size, &expected, &root).unwrap();
        }
    }

    #[test]
    fn consistency_proofs_are_the_reference_ones_and_hold() {
        for (from, to, expected) in [
            (1, 1, path(&[])),
            (1, 8, path(&[A, B, C])),
            (6, 8, path(&[F, E, ROOTS[3]])),
            (2, 5, path(&[B, D])),
        ] {
            if from < to {
                assert_eq!(
                    leaves().hashes(&consistency_ranges(from, to).unwrap()),
                    expected,
                    "{from} to {to}"
                );
            }
            let [old, new] = [from, to].map(|size| hash(ROOTS[size as usize - 1]));
            verify_consistency(from, to, &old, &new, &expected).unwrap();
            assert!(verify_consistency(from, to, &new, &new, &expected).is_err() || from == to);
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
    fn both_implementations_take_the_same_proofs((size, index, from) in (2..3000_u64).prop_flat_map(|n| (Just(n), 0..n, 1..n))) {
        let tree = second_implementation(size);
        let root: Hash = (*tree.root().as_bytes()).into();
        let hashes = |bytes: &[u8]| bytes.chunks(32).map(|hash| hash.try_into().unwrap()).collect::<Vec<Hash>>();
        let path = hashes(tree.prove_inclusion(index as usize).as_bytes());
        prop_assert_eq!(verify_inclusion(&leaf_hash(&index.to_be_bytes()), index, size, &path, &root), Ok(()));
        let path = hashes(tree.prove_consistency((size - from) as usize).as_bytes());
        let old: Hash = (*second_implementation(from).root().as_bytes()).into();
        prop_assert_eq!(verify_consistency(from, size, &old, &root, &path), Ok(()));
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
