//! The built-in table: `bins.csv`.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::range::Range;
use super::rows::{Lengths, Names, Row, Rows};

/// The card schemes of `bins.csv`. A test sees to it that every line can be read.
pub(super) static SCHEMES: LazyLock<Rows> = LazyLock::new(|| {
    let mut names = Names::default();
    let rows = lines().filter_map(|line| row(line, &mut names).ok()).collect();
    Rows::by_length(rows, names)
});

/// How many leading digits `brand` lets be kept of a 16-digit number; 6 where it is not known.
pub(super) fn bin_len(brand: &str) -> u8 {
    static BRANDS: LazyLock<HashMap<&str, u8>> = LazyLock::new(|| {
        let named = |row: &'static Row| Some((SCHEMES.text(row.brand?)?, row.bin_len));
        SCHEMES.iter().filter_map(named).collect()
    });
    BRANDS.get(brand).copied().unwrap_or(6)
}

/// The lines that are neither comment nor heading.
fn lines() -> impl Iterator<Item = &'static str> {
    include_str!("../bins.csv")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .skip(1)
}

/// Reads `range,lengths,brand,bin`.
fn row(line: &str, names: &mut Names) -> Result<Row, &'static str> {
    let [range, lengths, brand, bin] =
        <[&str; 4]>::try_from(line.split(',').collect::<Vec<_>>()).map_err(|_| "fields")?;
    Ok(Row {
        range: Range::parse(range)?,
        lengths: self::lengths(lengths).ok_or("lengths")?,
        brand: names.place(brand),
        funding: None,
        country: None,
        issuer: None,
        bin_len: match bin {
            "8" => 8,
            "6" => 6,
            _ => return Err("bin"),
        },
    })
}

/// Reads `13 16 18-19`.
fn lengths(text: &str) -> Option<Lengths> {
    let one = |part: &str| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        Lengths::between(from.parse().ok()?, to.parse().ok()?)
    };
    text.split(' ').map(one).reduce(|all, part| Some(all?.and(part?)))?
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn every_line_can_be_read() {
        let mut names = Names::default();
        for line in lines() {
            row(line, &mut names).unwrap_or_else(|e| panic!("{line}: {e}"));
        }
        assert!(lines().count() > 350, "the whole table is here");
    }

    #[test]
    fn no_range_is_there_twice_and_a_brand_has_one_bin_length() {
        let mut names = Names::default();
        let mut seen = BTreeSet::new();
        let mut bins = BTreeMap::new();
        for line in lines() {
            let row = row(line, &mut names).unwrap();
            let brand = line.split(',').nth(2).unwrap();
            // a country's numbers may be a brand's altogether: 9860
            let national = brand.is_empty();
            let mut lengths = (12..=19).filter(|length| row.lengths.has(*length));
            assert!(
                lengths.all(|length| seen.insert((row.range, length, national))),
                "twice: {line}"
            );
            assert_eq!(*bins.entry(brand).or_insert(row.bin_len), row.bin_len, "{line}");
        }
    }

    #[test]
    fn every_part_names_a_source() {
        let mut comment = "";
        for line in include_str!("../bins.csv")
            .lines()
            .skip_while(|line| line.starts_with('#'))
            .skip(1)
        {
            if line.starts_with('#') {
                comment = line;
                continue;
            }
            assert!(comment.contains('['), "{line}");
        }
    }
}
