//! A share on paper: four lines of letters and digits, each with two more that tell at once whether it was copied right.

use std::fmt;

use zeroize::Zeroizing;

use super::{LENGTH, Share, ShareFault, alphabet, sha256};

/// Lines of a share.
pub const LINES: u8 = 4;

/// Letters and digits of a line, without the check.
const WIDTH: usize = LENGTH * 8 / 5 / 4;

/// Those of a line's check.
const LINE_CHECK: usize = 2;

/// A longer file is no share.
const LONGEST: usize = 4096;

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineFault {
    /// Its check does not fit.
    Check,
    /// So many letters and digits, and not [`WIDTH`] and the check's.
    Width(usize),
    /// It stands in another one's place.
    Place,
}

/// A line that was copied right.
pub struct Line(Zeroizing<String>);

impl Line {
    /// Reads a line by its number from 1, with or without that number in front.
    ///
    /// # Errors
    /// [`ShareFault::Line`].
    pub fn parse(number: u8, text: &str) -> Result<Self, ShareFault> {
        let text = match text.split_once(':') {
            Some((said, rest)) if said.trim() == number.to_string() => rest,
            Some(_) => return Err(ShareFault::Line(number, LineFault::Place)),
            None => text,
        };
        let mut symbols = Zeroizing::new(String::with_capacity(text.len()));
        symbols.extend(text.chars().filter(|c| !matches!(c, ' ' | '-' | '\t' | '\r')).map(|c| {
            match c.to_ascii_uppercase() {
                'I' | 'L' => '1',
                'O' => '0',
                other => other,
            }
        }));
        if symbols.len() != WIDTH + LINE_CHECK {
            let width = symbols.chars().count();
            return Err(ShareFault::Line(number, LineFault::Width(width)));
        }
        let fault = || ShareFault::Line(number, LineFault::Check);
        let (line, said) = symbols.split_at_checked(WIDTH).ok_or_else(fault)?;
        if *said != *line_check(number, line) {
            return Err(fault());
        }
        Ok(Self(Zeroizing::new(line.to_owned())))
    }
}

impl Share {
    /// The share for a file or for paper.
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(LONGEST));
        text.push_str(&format!(
            "# A share of panvault's PIN, for one custodian and for nobody else. `panvault unseal` takes it.\n\
             # Set {}, share {} of {}; any {} unseal. I and L are read as 1, O as 0; case and spaces do not matter.\n",
            self.set, self.index, self.of, self.threshold
        ));
        let mut symbols = Zeroizing::new(String::with_capacity(WIDTH * 4));
        alphabet().encode_append(&self.to_bytes(), &mut symbols);
        let mut rest = symbols.as_str();
        for number in 1..=LINES {
            let (line, left) = rest.split_at_checked(WIDTH).unwrap_or((rest, ""));
            rest = left;
            text.push_str(&number.to_string());
            text.push(':');
            for (at, symbol) in line.char_indices() {
                if at % 4 == 0 {
                    text.push(' ');
                }
                text.push(symbol);
            }
            text.push(' ');
            text.push_str(&line_check(number, line));
            text.push('\n');
        }
        text
    }

    /// Reads a file's text; what follows a `#` at the beginning of a line is for people.
    ///
    /// # Errors
    /// [`ShareFault`], which names the line.
    pub fn from_text(text: &str) -> Result<Self, ShareFault> {
        if text.len() > LONGEST {
            return Err(ShareFault::Damaged);
        }
        let mut lines = Vec::with_capacity(usize::from(LINES));
        let written = text.lines().filter(|line| {
            let line = line.trim();
            !line.is_empty() && !line.starts_with('#')
        });
        let count = written.clone().count();
        if count != usize::from(LINES) {
            return Err(ShareFault::Lines(count));
        }
        for (number, line) in (1..).zip(written) {
            lines.push(Line::parse(number, line)?);
        }
        Self::from_lines(&lines)
    }

    /// Puts the lines together.
    ///
    /// # Errors
    /// [`ShareFault::Lines`], [`ShareFault::Damaged`] or [`ShareFault::Version`].
    pub fn from_lines(lines: &[Line]) -> Result<Self, ShareFault> {
        if lines.len() != usize::from(LINES) {
            return Err(ShareFault::Lines(lines.len()));
        }
        let mut symbols = Zeroizing::new(String::with_capacity(WIDTH * 4));
        for line in lines {
            symbols.push_str(&line.0);
        }
        let bytes = alphabet().decode(symbols.as_bytes()).map(Zeroizing::new);
        Self::from_bytes(&bytes.map_err(|_| ShareFault::Damaged)?)
    }
}

impl fmt::Display for LineFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Check => f.write_str("was copied wrong: compare it with the share, letter by letter"),
            Self::Width(found) => write!(
                f,
                "has {found} letters and digits, and needs {}: compare it with the share",
                WIDTH + LINE_CHECK
            ),
            Self::Place => f.write_str("is not the line with that number: give the lines in order"),
        }
    }
}

/// Ten bits, which one wrong letter in a thousand passes; the share's own checksum is behind it.
fn line_check(number: u8, line: &str) -> String {
    let [first, second, ..] = sha256(&[b"panvault PIN share line v1", &[number], line.as_bytes()]);
    let mut two = alphabet().encode(&[first, second]);
    two.truncate(LINE_CHECK);
    two
}
