//! The rows of a table, built-in or from a file, and finding the one for a number.

use std::collections::HashMap;

use super::range::{Index, Range};

/// The lengths a card number may have, 12 to 19, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lengths(u8);

impl Lengths {
    /// 12 to 19.
    pub(super) const ALL: Self = Self(0xff);

    /// Those from `from` to `to`; `None` where one is not 12 to 19 or they are in the wrong order.
    pub(super) fn between(from: usize, to: usize) -> Option<Self> {
        if !(12..=19).contains(&from) || !(from..=19).contains(&to) {
            return None;
        }
        Some(Self((from..=to).fold(0, |bits, length| bits | 1 << (length - 12))))
    }

    /// These and those.
    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether `length` is one of them.
    pub(super) fn has(self, length: usize) -> bool {
        Self::between(length, length).is_some_and(|one| self.0 & one.0 != 0)
    }
}

/// Where a text stands among a table's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name(u32);

/// What a card draws on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Funding {
    /// Credit.
    Credit,
    /// A bank account.
    Debit,
    /// Money paid in before.
    Prepaid,
}

impl Funding {
    /// As it is written in files and answers.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Credit => "credit",
            Self::Debit => "debit",
            Self::Prepaid => "prepaid",
        }
    }
}

/// One range and what is known of it.
pub(super) struct Row {
    pub(super) range: Range,
    pub(super) lengths: Lengths,
    pub(super) brand: Option<Name>,
    pub(super) funding: Option<Funding>,
    /// ISO 3166-1 alpha-2.
    pub(super) country: Option<[u8; 2]>,
    pub(super) issuer: Option<Name>,
    /// Leading digits that the brand lets be kept of a 16-digit number.
    pub(super) bin_len: u8,
}

/// Texts that many rows share, each held once.
#[derive(Default)]
pub(super) struct Names {
    texts: Vec<Box<str>>,
    places: HashMap<Box<str>, Name>,
}

impl Names {
    /// The place of `text`; `None` where it is empty or the table holds too many.
    pub(super) fn place(&mut self, text: &str) -> Option<Name> {
        if text.is_empty() {
            return None;
        }
        if let Some(&name) = self.places.get(text) {
            return Some(name);
        }
        let name = Name(u32::try_from(self.texts.len()).ok()?);
        self.texts.push(text.into());
        self.places.insert(text.into(), name);
        Some(name)
    }
}

/// Rows that can be searched.
pub(super) struct Rows {
    rows: Vec<Row>,
    names: Vec<Box<str>>,
    /// One index per set of lengths that numbers are looked up by.
    indexes: Vec<(Lengths, Index)>,
}

impl Rows {
    /// Rows for numbers of every length.
    pub(super) fn of_all_lengths(rows: Vec<Row>, names: Names) -> Self {
        Self::indexed(rows, names, vec![Lengths::ALL])
    }

    /// Rows that differ by the length of the number.
    pub(super) fn by_length(rows: Vec<Row>, names: Names) -> Self {
        Self::indexed(
            rows,
            names,
            (12..=19)
                .filter_map(|length| Lengths::between(length, length))
                .collect(),
        )
    }

    fn indexed(rows: Vec<Row>, names: Names, sets: Vec<Lengths>) -> Self {
        let index = |set: Lengths| {
            let within = rows.iter().zip(0u32..).filter(|(row, _)| row.lengths.0 & set.0 != 0);
            (set, Index::new(within.map(|(row, at)| (row.range, at))))
        };
        let indexes = sets.into_iter().map(index).collect();
        Self {
            rows,
            names: names.texts,
            indexes,
        }
    }

    /// The row of the narrowest range that holds `key`, for a number of `length` digits.
    pub(super) fn find(&self, length: usize, key: u64) -> Option<&Row> {
        let (_, index) = self.indexes.iter().find(|(set, _)| set.has(length))?;
        self.rows.get(usize::try_from(index.find(key)?).ok()?)
    }

    /// The text at `name`.
    pub(super) fn text(&self, name: Name) -> Option<&str> {
        self.names.get(usize::try_from(name.0).ok()?).map(AsRef::as_ref)
    }

    /// One by one.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }
}
