//! Inclusion and consistency proofs: accepted exactly where the definition of RFC 6962 leads to the roots.
#![no_main]

use ai_mesh_fuzz::naive;
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use merkle_log::{
    Hash,
    proof::{consistency_ranges, inclusion_ranges, verify_consistency, verify_inclusion},
};

#[derive(Arbitrary, Debug)]
struct Input {
    /// Tree sizes, or an index and a size. `narrow` shifts them, so that small trees are as frequent as large ones.
    a: u64,
    b: u64,
    narrow: u8,
    /// Each byte is a hash.
    path: Vec<u8>,
    /// Lengthens or shortens the path to what the sizes ask for.
    fitting: bool,
    leaf: u8,
    /// Instead of the right roots.
    roots: Option<(u8, u8)>,
    /// A bit of the path, or of a root, that is turned round.
    flipped: Option<(u8, u8)>,
}

fuzz_target!(|input: Input| {
    let (a, b) = (input.a >> (input.narrow & 63), input.b >> (input.narrow & 63));
    inclusion(&input, a, b);
    consistency(&input, a, b);
});

fn inclusion(input: &Input, index: u64, size: u64) {
    let path = path(input, inclusion_ranges(index, size).map(|ranges| ranges.len()).ok());
    let leaf = [input.leaf; 32];
    let honest = naive::root_of_path(&leaf, index, size, &path);
    let root = input.roots.map_or(honest.unwrap_or_default(), |(root, _)| [root; 32]);
    let holds = |path: &[Hash], root: &Hash, leaf: &Hash, index| {
        let holds = verify_inclusion(leaf, index, size, path, root).is_ok();
        assert_eq!(holds, naive::root_of_path(leaf, index, size, path).as_ref() == Some(root));
        holds
    };
    if holds(&path, &root, &leaf, index) {
        let (path_, root_) = flipped(input, &path, root);
        assert!(input.flipped.is_none() || !holds(&path_, &root_, &leaf, index), "a changed proof holds");
        assert!(!holds(&path, &root, &[!input.leaf; 32], index), "of another leaf");
    }
}

fn consistency(input: &Input, from: u64, to: u64) {
    let path = path(input, consistency_ranges(from, to).map(|ranges| ranges.len()).ok());
    let known = [input.leaf; 32];
    // The older root is part of the proof where the older tree is a complete subtree of the newer.
    let known = match naive::roots_of_consistency(from, to, Some(&known), &path) {
        Some((old, _)) => old,
        None => known,
    };
    let honest = naive::roots_of_consistency(from, to, Some(&known), &path);
    let (old, new) = match input.roots {
        Some((old, new)) => ([old; 32], [new; 32]),
        None => honest.unwrap_or_default(),
    };
    let holds = |path: &[Hash], old: &Hash, new: &Hash| {
        let holds = verify_consistency(from, to, old, new, path).is_ok();
        let expected = naive::roots_of_consistency(from, to, Some(old), path);
        assert_eq!(holds, expected == Some((*old, *new)));
        holds
    };
    if holds(&path, &old, &new) && input.flipped.is_some() {
        let (path, new) = flipped(input, &path, new);
        assert!(!holds(&path, &old, &new), "a changed proof holds");
    }
}

fn path(input: &Input, length: Option<usize>) -> Vec<Hash> {
    let mut path: Vec<Hash> = input.path.iter().map(|byte| [*byte; 32]).collect();
    if let Some(length) = length.filter(|_| input.fitting) {
        path.resize(length, [0x5a; 32]);
    }
    path
}

fn flipped(input: &Input, path: &[Hash], root: Hash) -> (Vec<Hash>, Hash) {
    let (mut path, mut root) = (path.to_vec(), root);
    if let Some((place, bit)) = input.flipped {
        let hash = match path.len() {
            0 => &mut root,
            n => &mut path[usize::from(place) % n],
        };
        hash[usize::from(bit / 8)] ^= 1 << (bit % 8);
    }
    (path, root)
}
