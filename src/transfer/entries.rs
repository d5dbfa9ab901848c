//! How entries stand in a backup's files: one after another, each as
//!
//! | bytes | what |
//! |---|---|
//! | 2 + n | key after its length |
//! | 1 | 1: it has a value; 0: it is removed |
//! | 8 | revision, of a value |
//! | 4 + n | value after its length |
//!
//! Integers are big-endian. Entries are applied in this order: a later one of the same key counts.

use std::io::{self, Read};

use crate::store::{Change, KEY_MAX, Key, VALUE_MAX, Versioned};

/// Adds a change to `out`. A key or a value that no store has is left out of it, which none is.
pub(super) fn write(change: &Change, out: &mut Vec<u8>) {
    let Ok(key_len) = u16::try_from(change.key.0.len()) else {
        return;
    };
    out.extend_from_slice(&key_len.to_be_bytes());
    out.extend_from_slice(&change.key.0);
    match &change.now {
        None => out.push(0),
        Some(Versioned { rev, value }) => {
            out.push(1);
            out.extend_from_slice(&rev.to_be_bytes());
            out.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes());
            out.extend_from_slice(value);
        }
    }
}

/// Reads the next change; `None` at the end.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`]: no change begins here; or it is cut off, or cannot be read.
pub(super) fn read(from: &mut impl Read) -> io::Result<Option<Change>> {
    let mut first = [0];
    if from.read(&mut first)? == 0 {
        return Ok(None);
    }
    let [second] = take(from)?;
    let [high] = first;
    let key = bytes(from, u32::from(u16::from_be_bytes([high, second])), KEY_MAX)?;
    let now = match take(from)? {
        [0] => None,
        [1] => {
            let rev = u64::from_be_bytes(take(from)?);
            let len = u32::from_be_bytes(take(from)?);
            let value = bytes(from, len, VALUE_MAX)?;
            Some(Versioned { rev, value })
        }
        _ => return Err(invalid()),
    };
    Ok(Some(Change { key: Key(key), now }))
}

fn take<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The length is believed only up to what a store takes.
fn bytes(from: &mut impl Read, len: u32, max: usize) -> io::Result<Vec<u8>> {
    let len = usize::try_from(len)
        .ok()
        .filter(|len| *len <= max)
        .ok_or_else(invalid)?;
    let mut bytes = vec![0; len];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn invalid() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no entry begins here")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn changes_are_read_as_they_were_written(
            keys in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..KEY_MAX), 0..5),
            value in proptest::option::of((any::<u64>(), proptest::collection::vec(any::<u8>(), 0..300))),
        ) {
            let now = value.map(|(rev, value)| Versioned { rev, value });
            let changes: Vec<Change> = keys.into_iter().map(|key| Change { key: Key(key), now: now.clone() }).collect();
            let mut bytes = Vec::new();
            changes.iter().for_each(|change| write(change, &mut bytes));
            let mut from = bytes.as_slice();
            for change in changes {
                prop_assert_eq!(read(&mut from).unwrap(), Some(change));
            }
            prop_assert_eq!(read(&mut from).unwrap(), None);
        }

        #[test]
        fn any_bytes_are_refused_or_read(bytes: Vec<u8>) {
            let mut from = bytes.as_slice();
            while let Ok(Some(_)) = read(&mut from) {}
        }
    }

    #[test]
    fn lengths_beyond_a_stores_are_refused() {
        let long_key = [&[0xff, 0xff], [7; 70_000].as_slice()].concat();
        assert_eq!(
            read(&mut long_key.as_slice()).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
        let long_value = [[0, 1, 0x10, 1].as_slice(), &[0; 8], &[0xff; 4]].concat();
        assert_eq!(
            read(&mut long_value.as_slice()).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
        assert_eq!(
            read(&mut [0, 5, 1].as_slice()).unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
    }
}
