//! Ranges of leading digits, and finding the narrowest one that holds a number.

use std::collections::BTreeSet;

/// The digits that tell ranges apart: the longest prefix a table may name.
const KEY_DIGITS: usize = 11;

/// Leading digits from one number to another, both included, as numbers of 11 digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Range {
    from: u64,
    to: u64,
}

impl Range {
    /// Parses `411111`, or `400000-499999` with as many digits on both sides; 1 to 11 digits.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let (from, to) = text.split_once('-').unwrap_or((text, text));
        if from.len() != to.len() {
            return Err("needs as many digits on both sides of the hyphen");
        }
        let (from, to) = (filled(from, b'0')?, filled(to, b'9')?);
        if from > to {
            return Err("ends before it starts");
        }
        Ok(Self { from, to })
    }

    /// How many keys it holds, less one.
    pub(super) fn width(self) -> u64 {
        self.to - self.from
    }
}

/// The first 11 digits of a number of at least so many.
pub(super) fn key(digits: &str) -> Option<u64> {
    digits.get(..KEY_DIGITS)?.parse().ok()
}

/// The prefix as a number, filled up to 11 digits.
fn filled(prefix: &str, with: u8) -> Result<u64, &'static str> {
    if !(1..=KEY_DIGITS).contains(&prefix.len()) || !prefix.bytes().all(|b| b.is_ascii_digit()) {
        return Err("needs 1 to 11 digits, or two such numbers with a hyphen between");
    }
    let digits = prefix.bytes().chain(std::iter::repeat(with)).take(KEY_DIGITS);
    Ok(digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

/// Ranges cut into pieces that do not overlap, each with the row of the narrowest range over it.
pub(super) struct Index {
    pieces: Vec<Piece>,
}

struct Piece {
    from: u64,
    to: u64,
    row: u32,
}

impl Index {
    /// Builds it from ranges and their rows. Of equally wide ones the lower row holds.
    pub(super) fn new(ranges: impl Iterator<Item = (Range, u32)>) -> Self {
        // where a range starts, and behind where it ends
        let mut edges: Vec<(u64, bool, u64, u32)> = ranges
            .flat_map(|(range, row)| {
                let starts = (range.from, true, range.width(), row);
                let ended = (range.to + 1, false, range.width(), row);
                [starts, ended]
            })
            .collect();
        edges.sort_unstable();
        let mut pieces: Vec<Piece> = Vec::new();
        let mut open = BTreeSet::new();
        let mut since = 0;
        for (at, starts, width, row) in edges {
            if at > since
                && let Some(&(_, row)) = open.first()
            {
                match pieces.last_mut() {
                    Some(last) if last.row == row && last.to + 1 == since => last.to = at - 1,
                    _ => pieces.push(Piece {
                        from: since,
                        to: at - 1,
                        row,
                    }),
                }
            }
            since = at;
            if starts {
                open.insert((width, row));
            } else {
                open.remove(&(width, row));
            }
        }
        pieces.shrink_to_fit();
        Self { pieces }
    }

    /// The row of the narrowest range that holds `key`.
    pub(super) fn find(&self, key: u64) -> Option<u32> {
        let behind = self.pieces.partition_point(|piece| piece.from <= key);
        let piece = self.pieces.get(behind.checked_sub(1)?)?;
        (key <= piece.to).then_some(piece.row)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn prefixes_and_ranges_are_filled_up() {
        assert_eq!(
            Range::parse("4"),
            Ok(Range {
                from: 40_000_000_000,
                to: 49_999_999_999
            })
        );
        assert_eq!(
            Range::parse("2221-2720"),
            Ok(Range {
                from: 22_210_000_000,
                to: 27_209_999_999
            })
        );
        assert_eq!(
            Range::parse("41111111111"),
            Ok(Range {
                from: 41_111_111_111,
                to: 41_111_111_111
            })
        );
        for text in [
            "",
            "-",
            "4-",
            "-4",
            "4-50",
            "50-4",
            "51-50",
            "4x",
            "+4",
            " 4",
            "411111111111",
            "1-2-3",
        ] {
            assert!(Range::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_narrowest_is_found(
            ranges in prop::collection::vec((0u64..300, 0u64..80), 0..20), key in 0u64..400,
        ) {
            let ranges: Vec<(Range, u32)> =
                ranges.iter().zip(0..).map(|(&(from, width), row)| (Range { from, to: from + width }, row)).collect();
            let slow = ranges.iter().filter(|(r, _)| (r.from..=r.to).contains(&key)).min_by_key(|(r, row)| (r.width(), *row));
            prop_assert_eq!(Index::new(ranges.iter().copied()).find(key), slow.map(|&(_, row)| row));
        }
    }
}
