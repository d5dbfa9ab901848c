//! A filter as it is checked, kept in a cursor, and asked of records.

use serde::{Deserialize, Serialize};

use crate::card::{Expiry, Pan};
use crate::id::{Token, UnixMillis};
use crate::vault::record::Record;
use crate::vault::screen;
use crate::vault::tables::PanIndex;
use crate::vault::types::{Error, Filter, FilterSize, Status};

/// A [`Filter`] without card numbers: they stand there as the index knows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Test {
    All(Vec<Self>),
    Any(Vec<Self>),
    Token(Token),
    /// One card: under each fingerprint key in use, the oldest first.
    Pan(Vec<PanIndex>),
    ExpiresIn(Expiry),
    ExpiresBy(Expiry),
    UpdatedAfter(UnixMillis),
    Nothing,
}

/// One part of a topmost `Any`, and those before it.
pub(super) struct Branch<'a> {
    test: &'a Test,
    earlier: Vec<&'a Test>,
}

/// What serves a branch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Plan<'a> {
    Nothing,
    Token(&'a Token),
    Pan(&'a [PanIndex]),
    UpdatedAfter(UnixMillis),
    All,
}

/// Refuses a filter beyond the limits. Gives the number of its card numbers.
pub(super) fn check(filter: &Filter) -> Result<usize, Error> {
    let mut size = FilterSize::default();
    filter.measure(&mut size, 1);
    size.pans().map_err(|reason| screen::refused("query", reason))
}

impl Filter {
    fn measure(&self, size: &mut FilterSize, depth: usize) {
        match self {
            Self::All(parts) | Self::Any(parts) => {
                if size.group(depth, parts.len()) {
                    parts.iter().for_each(|part| part.measure(size, depth + 1));
                }
            }
            Self::Pan(_) => size.part(depth, true),
            Self::Token(_) | Self::ExpiresIn(_) | Self::ExpiresBy(_) | Self::UpdatedAfter(_) | Self::Nothing => {
                size.part(depth, false);
            }
        }
    }

    /// Its card numbers, in the order of the text.
    pub(super) fn pans(&self) -> Vec<&Pan> {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().flat_map(Self::pans).collect(),
            Self::Pan(pan) => vec![pan],
            Self::Token(_) | Self::ExpiresIn(_) | Self::ExpiresBy(_) | Self::UpdatedAfter(_) | Self::Nothing => {
                Vec::new()
            }
        }
    }
}

impl Test {
    /// `filter` with its card numbers replaced by `pans`, in their order; `None` where there are too few.
    pub(super) fn of(filter: Filter, pans: &mut impl Iterator<Item = Vec<PanIndex>>) -> Option<Self> {
        let mut all = |parts: Vec<Filter>| {
            let tests = parts.into_iter().map(|part| Self::of(part, pans));
            tests.collect::<Option<Vec<_>>>()
        };
        Some(match filter {
            Filter::All(parts) => Self::All(all(parts)?),
            Filter::Any(parts) => Self::Any(all(parts)?),
            Filter::Token(token) => Self::Token(token),
            Filter::Pan(_) => Self::Pan(pans.next()?),
            Filter::ExpiresIn(at) => Self::ExpiresIn(at),
            Filter::ExpiresBy(at) => Self::ExpiresBy(at),
            Filter::UpdatedAfter(at) => Self::UpdatedAfter(at),
            Filter::Nothing => Self::Nothing,
        })
    }

    pub(super) fn has_pan(&self) -> bool {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().any(Self::has_pan),
            Self::Pan(_) => true,
            Self::Token(_) | Self::ExpiresIn(_) | Self::ExpiresBy(_) | Self::UpdatedAfter(_) | Self::Nothing => false,
        }
    }

    /// The parts of topmost `Any`s.
    pub(super) fn branches(&self) -> Vec<Branch<'_>> {
        let mut tests = Vec::new();
        self.spread(&mut tests);
        (0..tests.len())
            .filter_map(|at| {
                let (earlier, rest) = tests.split_at_checked(at)?;
                Some(Branch {
                    test: rest.first()?,
                    earlier: earlier.to_vec(),
                })
            })
            .collect()
    }

    fn spread<'a>(&'a self, into: &mut Vec<&'a Self>) {
        match self {
            Self::Any(parts) => parts.iter().for_each(|part| part.spread(into)),
            other => into.push(other),
        }
    }

    /// Whether a record is what is looked for. A spent token is not found by its PAN: the card is gone.
    fn fits(&self, record: &Record) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.fits(record)),
            Self::Any(parts) => parts.iter().any(|part| part.fits(record)),
            Self::Token(token) => record.token == *token,
            Self::Pan(pans) => pans.contains(&record.pan) && record.status != Status::Spent,
            Self::ExpiresIn(at) => record.expiry == Some(*at),
            Self::ExpiresBy(at) => record.expiry.is_some_and(|expiry| expiry <= *at),
            Self::UpdatedAfter(at) => record.updated_at > *at,
            Self::Nothing => false,
        }
    }

    /// What serves it, the narrowest first in the order of [`Plan`].
    fn plan(&self) -> Plan<'_> {
        match self {
            Self::Nothing => Plan::Nothing,
            Self::Token(token) => Plan::Token(token),
            Self::Pan(pans) => Plan::Pan(pans),
            Self::UpdatedAfter(at) => Plan::UpdatedAfter(*at),
            // any of the parts is enough to serve all of them
            Self::All(parts) => parts
                .iter()
                .map(Self::plan)
                .min_by_key(Plan::width)
                .unwrap_or(Plan::All),
            Self::Any(_) | Self::ExpiresIn(_) | Self::ExpiresBy(_) => Plan::All,
        }
    }
}

impl Plan<'_> {
    fn width(&self) -> u8 {
        match self {
            Self::Nothing => 0,
            Self::Token(_) => 1,
            Self::Pan(_) => 2,
            Self::UpdatedAfter(_) => 3,
            Self::All => 4,
        }
    }
}

impl Branch<'_> {
    pub(super) fn plan(&self) -> Plan<'_> {
        self.test.plan()
    }

    /// It takes a walk through more than one card's tokens.
    pub(super) fn is_wide(&self) -> bool {
        matches!(self.plan(), Plan::UpdatedAfter(_) | Plan::All)
    }

    /// Whether a record belongs to it, and to none before it.
    pub(super) fn fits(&self, record: &Record) -> bool {
        self.test.fits(record) && !self.earlier.iter().any(|test| test.fits(record))
    }
}
