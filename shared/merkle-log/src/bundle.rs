//! Entry bundles (C2SP tlog-tiles, "Log entries"): the leaves behind a tile of level 0, each with its length before it.

/// The most bytes of an entry: its length is a uint16.
pub const MAX_ENTRY: usize = u16::MAX as usize;

/// An entry is too long for a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the entry {position} of the bundle has {length} bytes, expected at most {MAX_ENTRY}")]
pub struct EntryTooLong {
    /// Its position in the bundle.
    pub position: usize,
    /// Its length.
    pub length: usize,
}

/// The bundle of these entries.
///
/// # Errors
/// When one of them is longer than [`MAX_ENTRY`].
pub fn encode<E: AsRef<[u8]>>(entries: &[E]) -> Result<Vec<u8>, EntryTooLong> {
    let mut bundle = Vec::with_capacity(entries.iter().map(|entry| 2 + entry.as_ref().len()).sum());
    for (position, entry) in entries.iter().enumerate() {
        let entry = entry.as_ref();
        let length =
            u16::try_from(entry.len()).map_err(|_| EntryTooLong { position, length: entry.len() })?;
        bundle.extend_from_slice(&length.to_be_bytes());
        bundle.extend_from_slice(entry);
    }
    Ok(bundle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_stands_behind_its_big_endian_length() {
        let long = vec![b'x'; 0x0102];
        let bundle = encode(&[b"ab".as_slice(), b"", &long]).unwrap();
        assert_eq!(bundle[..8], [0, 2, b'a', b'b', 0, 0, 1, 2]);
        assert_eq!(bundle[8..], long);
    }

    #[test]
    fn an_entry_that_its_length_cannot_tell_is_refused() {
        assert_eq!(encode(&[vec![0; MAX_ENTRY]]).unwrap().len(), 2 + MAX_ENTRY);
        let refused = encode(&[vec![], vec![0; MAX_ENTRY + 1]]);
        assert_eq!(refused, Err(EntryTooLong { position: 1, length: 65_536 }));
    }
}
