//! Which brand, and what else is known, by the first digits of a card number.

mod builtin;
mod file;
mod range;
mod rows;
#[cfg(test)]
mod tests;

use std::path::Path;

pub use file::BadTable;

use self::builtin::SCHEMES;
use self::rows::{Name, Row, Rows};
use super::mask::shown_at_start;
use super::pan::Pan;

/// What the digits at the start say, as far as known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BinInfo {
    /// Lower case, e.g. `visa`; `None` where no range matches.
    pub brand: Option<String>,
    /// `credit`, `debit`, `prepaid`, or unknown.
    pub funding: Option<String>,
    /// Issuer's country, ISO 3166-1 alpha-2, or unknown.
    pub country: Option<String>,
    /// Issuer's name, or unknown.
    pub issuer: Option<String>,
    /// How many leading digits may be shown: 8 where the brand allows it and the number has 16 digits, else 6; none of
    /// a number of 12 or 13 digits.
    pub bin_len: usize,
}

/// Ranges of card numbers: the built-in ones, and those of a file.
#[derive(Default)]
pub struct BinTable {
    from_file: Option<file::Parsed>,
}

impl BinTable {
    /// The built-in table alone: brands and their numbers' lengths, nothing of issuers.
    pub fn built_in() -> Self {
        Self::default()
    }

    /// The built-in table and the one in `text`:
    ///
    /// ```csv
    /// mode,extend
    /// range,brand,funding,country,issuer
    /// 411111,visa,credit,US,"Example Bank, N.A."
    /// 52000000-52009999,mastercard,prepaid,DE,
    /// ```
    ///
    /// `mode` may be left out; with `replace` the built-in table is not asked for brands any more. `range` is a prefix
    /// of 1 to 11 digits, or two of the same length with a hyphen between. What is not known is left empty. Empty
    /// lines and lines that start with `#` are passed over. Of all ranges over a number, built-in ones included, the
    /// narrowest holds, and of equal ones the file's; where its brand is empty, the built-in table's brand stays.
    ///
    /// # Errors
    /// [`BadTable`] names the first line and field that is wrong. At most 64 MiB and a million rows are read.
    pub fn extended(text: &str) -> Result<Self, BadTable> {
        Ok(Self {
            from_file: Some(file::parse(text, &file::LIMITS)?),
        })
    }

    /// As [`Self::extended`], with the text of the file at `path`.
    ///
    /// # Errors
    /// As there, and where the file cannot be read.
    pub fn read(path: &Path) -> Result<Self, BadTable> {
        Self::extended(&file::read(path)?)
    }

    /// How many rows came from a file.
    pub fn rows_from_file(&self) -> usize {
        self.from_file.as_ref().map_or(0, |file| file.rows.len())
    }

    /// What is known of `pan`.
    pub fn lookup(&self, pan: &Pan) -> BinInfo {
        let digits = pan.expose();
        let scheme = self.scheme(digits);
        let in_file = self.from_file.as_ref().and_then(|file| found(&file.rows, digits));
        let narrowest = match (in_file, scheme) {
            (Some((_, row)), Some((_, scheme_row))) if scheme_row.range.width() < row.range.width() => scheme,
            (None, _) => scheme,
            (Some(_), _) => in_file,
        };
        let branded = narrowest.filter(|(_, row)| row.brand.is_some()).or(scheme);
        let name = |(rows, row): Found<'_>, of: fn(&Row) -> Option<Name>| rows.text(of(row)?).map(str::to_owned);
        let known = narrowest.map(|(_, row)| row);
        BinInfo {
            brand: branded.and_then(|found| name(found, |row| row.brand)),
            funding: known
                .and_then(|row| row.funding)
                .map(|funding| funding.as_str().to_owned()),
            country: known
                .and_then(|row| row.country)
                .map(|letters| letters.map(char::from).iter().collect()),
            issuer: narrowest.and_then(|found| name(found, |row| row.issuer)),
            bin_len: shown_at_start(digits.len(), branded.map_or(6, |(_, row)| row.bin_len.into())),
        }
    }

    /// The scheme that the built-in table has for `digits`, unless it is replaced.
    fn scheme(&self, digits: &str) -> Option<Found<'_>> {
        if self.from_file.as_ref().is_some_and(|file| file.replaces) {
            return None;
        }
        found(&SCHEMES, digits).filter(|(_, row)| row.brand.is_some())
    }

    /// Whether `digits` begins and is as long as the numbers of a known card scheme, of a row of the file, or of a
    /// country's own schemes (ISO/IEC 7812-1: 9 and the country's number). Whether it passes Luhn is not asked. A
    /// token of digits that is not in such a range is no live card's number.
    pub fn is_live_range(&self, digits: &str) -> bool {
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return false;
        }
        let in_file = self.from_file.as_ref().and_then(|file| found(&file.rows, digits));
        in_file.or_else(|| found(&SCHEMES, digits)).is_some()
    }
}

/// A row and the rows it is one of.
type Found<'a> = (&'a Rows, &'a Row);

fn found<'a>(rows: &'a Rows, digits: &str) -> Option<Found<'a>> {
    Some((rows, rows.find(digits.len(), range::key(digits)?)?))
}
