//! Reading a BIN table file.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::builtin::bin_len;
use super::range::Range;
use super::rows::{Funding, Lengths, Names, Row, Rows};

/// What a file may hold; more is refused.
pub(super) struct Limits {
    pub(super) bytes: usize,
    pub(super) rows: usize,
}

/// 64 MiB and a million rows: every 8-digit BIN that is in use, several times over.
pub(super) const LIMITS: Limits = Limits {
    bytes: 64 << 20,
    rows: 1_000_000,
};

/// A file that was read.
pub(super) struct Parsed {
    pub(super) rows: Rows,
    /// The built-in table is not asked.
    pub(super) replaces: bool,
}

/// Why a BIN table cannot be used. Quotes nothing of the file, because it may be the wrong one.
#[derive(Debug, thiserror::Error)]
pub enum BadTable {
    /// A field that does not hold what it should.
    #[error("line {line}, {field}: {problem}")]
    Field {
        /// From 1.
        line: usize,
        /// The column's name.
        field: &'static str,
        /// What is wrong.
        problem: &'static str,
    },
    /// A line that is no row.
    #[error("line {line}: {problem}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// One range in two lines.
    #[error("line {line}, range: is that of line {first} again")]
    Twice {
        /// From 1.
        line: usize,
        /// Where it was first.
        first: usize,
    },
    /// Too large a file.
    #[error("is larger than {0} bytes")]
    TooLarge(usize),
    /// Too many rows.
    #[error("has more than {0} rows")]
    TooManyRows(usize),
    /// Nothing to be used.
    #[error("has no heading `range,brand,funding,country,issuer`")]
    NoHeading,
    /// The file cannot be read, or is not UTF-8.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// The text of the file at `path`.
pub(super) fn read(path: &Path) -> Result<String, BadTable> {
    let limit = u64::try_from(LIMITS.bytes).unwrap_or(u64::MAX);
    let mut text = String::new();
    // one byte more, so that a larger file is seen to be larger
    File::open(path)?
        .take(limit.saturating_add(1))
        .read_to_string(&mut text)?;
    Ok(text)
}

/// Reads a table; its form is described at [`super::BinTable::extended`].
pub(super) fn parse(text: &str, limits: &Limits) -> Result<Parsed, BadTable> {
    if text.len() > limits.bytes {
        return Err(BadTable::TooLarge(limits.bytes));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = (1..)
        .zip(text.lines())
        .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
        .peekable();

    let mode = lines.next_if(|(_, line)| line.starts_with("mode,"));
    let replaces = match mode {
        None => false,
        Some((_, "mode,extend")) => false,
        Some((_, "mode,replace")) => true,
        Some((line, _)) => {
            return Err(BadTable::Field {
                line,
                field: "mode",
                problem: "is not extend or replace",
            });
        }
    };
    match lines.next() {
        Some((_, "range,brand,funding,country,issuer")) => {}
        _ => return Err(BadTable::NoHeading),
    }

    let mut names = Names::default();
    let mut rows = Vec::new();
    let mut places = Vec::new();
    for (line, text) in lines {
        if rows.len() == limits.rows {
            return Err(BadTable::TooManyRows(limits.rows));
        }
        let row = row(text, line, &mut names)?;
        places.push((row.range, line));
        rows.push(row);
    }
    places.sort_unstable();
    let twice = places.iter().zip(places.iter().skip(1)).find(|(a, b)| a.0 == b.0);
    if let Some((&(_, first), &(_, line))) = twice {
        return Err(BadTable::Twice { line, first });
    }
    Ok(Parsed {
        rows: Rows::of_all_lengths(rows, names),
        replaces,
    })
}

/// Reads `range,brand,funding,country,issuer`.
fn row(text: &str, line: usize, names: &mut Names) -> Result<Row, BadTable> {
    let split = fields(text).map_err(|problem| BadTable::Line { line, problem })?;
    let bad = |field, problem| BadTable::Field { line, field, problem };

    let [range, brand, funding, country, issuer] = <[String; 5]>::try_from(split).map_err(|_| BadTable::Line {
        line,
        problem: "does not have 5 fields",
    })?;
    let range = Range::parse(&range).map_err(|problem| bad("range", problem))?;
    let brand = brand.to_ascii_lowercase();
    if brand.len() > 32
        || !brand
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    {
        return Err(bad("brand", "is not up to 32 letters, digits, hyphens and underscores"));
    }
    let funding = match funding.to_ascii_lowercase().as_str() {
        "" => None,
        "credit" => Some(Funding::Credit),
        "debit" => Some(Funding::Debit),
        "prepaid" => Some(Funding::Prepaid),
        _ => return Err(bad("funding", "is not credit, debit, prepaid or empty")),
    };
    let country = match country.as_bytes() {
        [] => None,
        [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
            Some([a.to_ascii_uppercase(), b.to_ascii_uppercase()])
        }
        _ => return Err(bad("country", "is not two letters (ISO 3166-1 alpha-2) or empty")),
    };
    if issuer.len() > 128 || issuer.chars().any(char::is_control) {
        return Err(bad("issuer", "is longer than 128 bytes or has a control character"));
    }
    Ok(Row {
        range,
        lengths: Lengths::ALL,
        brand: names.place(&brand),
        funding,
        country,
        issuer: names.place(&issuer),
        bin_len: bin_len(&brand),
    })
}

/// Splits a line at its commas. A field may stand in double quotes; two of them in a quoted field mean one (RFC 4180).
fn fields(line: &str) -> Result<Vec<String>, &'static str> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, behind) = match rest.strip_prefix('"') {
            None => match rest.split_once(',') {
                Some((field, behind)) => (field.to_owned(), Some(behind)),
                None => (rest.to_owned(), None),
            },
            Some(quoted) => {
                let (field, behind) = unquoted(quoted)?;
                match behind.strip_prefix(',') {
                    Some(behind) => (field, Some(behind)),
                    None if behind.is_empty() => (field, None),
                    None => return Err("has something between a closing quote and the comma"),
                }
            }
        };
        fields.push(field.trim().to_owned());
        match behind {
            Some(behind) => rest = behind,
            None => return Ok(fields),
        }
    }
}

/// The field whose opening quote was just read, and what stands behind its closing quote.
fn unquoted(text: &str) -> Result<(String, &str), &'static str> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (part, behind) = rest.split_once('"').ok_or("has a quote that is not closed")?;
        field.push_str(part);
        match behind.strip_prefix('"') {
            Some(behind) => {
                field.push('"');
                rest = behind;
            }
            None => return Ok((field, behind)),
        }
    }
}
