//! How tokens look. None says anything of the card that the masked view does not, and none can be taken for a card.

use super::screen;
use super::types::{CallerError, Error, Format};
use crate::card::{self, BinTable, Pan};
use crate::id::{NoRandom, Token, UnixMillis, fill_random};

/// Random tries before a format whose tokens may run out is searched in order, or given up.
const RANDOM_TRIES: u32 = 64;

/// Where the digits between the first 6 and the last 4 are few, all of them are tried: up to this many.
const EXHAUSTIVE_MAX: u32 = 10_000;

/// What cannot stand for a token at the end of a path: the first two are taken away by clients and proxies (RFC 3986,
/// 5.2.4), the others are verbs there.
const RESERVED: [&str; 5] = [".", "..", "batch", "reveal-batch", "search"];

/// Tokens to be tried one after another, until one is free.
pub(super) enum Candidates<'a> {
    Opaque,
    RandomLuhn { left: u32, bins: &'a BinTable },
    Preserve64(Middles<'a>),
    Supplied(Token),
}

impl<'a> Candidates<'a> {
    pub(super) fn new(format: &Format, pan: &'a Pan, bins: &'a BinTable) -> Self {
        match format {
            Format::Opaque => Self::Opaque,
            Format::RandomLuhn => Self::RandomLuhn {
                left: RANDOM_TRIES,
                bins,
            },
            Format::Preserve64 => Self::Preserve64(Middles::new(pan.expose())),
            Format::Supplied(token) => Self::Supplied(token.clone()),
        }
    }

    /// The next one to try.
    ///
    /// # Errors
    /// [`CallerError::FormatExhausted`], or no random bytes.
    pub(super) fn next(&mut self) -> Result<Token, Error> {
        match self {
            Self::Opaque => opaque(UnixMillis::now()),
            Self::RandomLuhn { left, bins } => {
                *left = left.checked_sub(1).ok_or(Error::Caller(CallerError::FormatExhausted))?;
                random_luhn(bins)
            }
            Self::Preserve64(middles) => middles.next(),
            Self::Supplied(token) => Ok(token.clone()),
        }
    }
}

/// The tokens that keep a card's first 6 and last 4 digits.
pub(super) struct Middles<'a> {
    first: &'a str,
    last: &'a str,
    digits: usize,
    tries: u32,
    /// All middles in order, from a random one on; `None` until the random tries are used up.
    sweep: Option<Sweep>,
}

struct Sweep {
    next: u32,
    left: u32,
    all: u32,
}

impl<'a> Middles<'a> {
    fn new(pan: &'a str) -> Self {
        // a PAN has at least 12 digits
        let (first, rest) = pan.split_at_checked(6).unwrap_or((pan, ""));
        let digits = rest.len().saturating_sub(4);
        let (_, last) = rest.split_at_checked(digits).unwrap_or(("", rest));
        Self {
            first,
            last,
            digits,
            tries: RANDOM_TRIES,
            sweep: None,
        }
    }

    fn next(&mut self) -> Result<Token, Error> {
        while self.tries > 0 {
            let token = format!("{}{}{}", self.first, random_digits(self.digits)?, self.last);
            if !card::luhn_ok(&token) {
                self.tries -= 1;
                return parsed(&token);
            }
        }
        let exhausted = Error::Caller(CallerError::FormatExhausted);
        let all = u32::try_from(self.digits).ok().and_then(|n| 10u32.checked_pow(n));
        let Some(all) = all.filter(|all| *all <= EXHAUSTIVE_MAX) else {
            return Err(exhausted);
        };
        if self.sweep.is_none() {
            let next = random_digits(self.digits)?.parse().unwrap_or_default();
            self.sweep = Some(Sweep { next, left: all, all });
        }
        let (first, last, width) = (self.first, self.last, self.digits);
        self.sweep
            .as_mut()
            .and_then(|sweep| sweep.find(|middle| !card::luhn_ok(&format!("{first}{middle:0width$}{last}"))))
            .map_or(Err(exhausted), |middle| {
                parsed(&format!("{first}{middle:0width$}{last}"))
            })
    }
}

impl Iterator for Sweep {
    type Item = u32;
    fn next(&mut self) -> Option<u32> {
        self.left = self.left.checked_sub(1)?;
        let now = self.next;
        self.next = if now + 1 == self.all { 0 } else { now + 1 };
        Some(now)
    }
}

/// Refuses a caller's token that could be a card number, or that no path leads to.
///
/// # Errors
/// [`CallerError::Field`].
pub(super) fn check_supplied(token: &Token, bins: &BinTable) -> Result<(), Error> {
    let text = token.as_str();
    if RESERVED.contains(&text) {
        return Err(screen::refused("token", "is reserved"));
    }
    // ISO/IEC 7812 leaves numbers that begin with 9 to national bodies: outside the ranges in use they are free
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    if card::could_be_pan(text) && (!text.starts_with('9') || bins.is_live_range(&digits)) {
        return Err(screen::refused("token", "could be a card number"));
    }
    screen::no_card("token", text, bins)
}

/// `tok_`, then the 48-bit time in milliseconds and 128 random bits, in lower-case base32hex: 36 characters.
///
/// The time comes first so that tokens made together stand together in the store. Keys at random miss the engine's page
/// cache once there are about a million records, and each insert then reads, splits and writes pages all over the tree.
/// base32hex, unlike base32, sorts as the bytes do. The time tells nothing that the masked view does not, and nobody
/// guesses the 128 bits.
pub(super) fn opaque(now: UnixMillis) -> Result<Token, Error> {
    let mut raw = [0u8; 22];
    loop {
        fill_random(&mut raw)?;
        // the lower 48 bits last until the year 10889
        let time = now.0.to_be_bytes().into_iter().skip(2);
        raw.iter_mut().zip(time).for_each(|(to, from)| *to = from);
        let text = data_encoding::BASE32HEX_NOPAD.encode(&raw).to_ascii_lowercase();
        // once in a million a token holds digits like a card's, which logs and the audit trail would mask
        if !card::contains_pan(&text) {
            return parsed(&format!("tok_{text}"));
        }
    }
}

/// 16 digits that begin with 9 and pass Luhn, outside every range that issuers use.
fn random_luhn(bins: &BinTable) -> Result<Token, Error> {
    loop {
        let body = format!("9{}", random_digits(14)?);
        let text: String = body.chars().chain(card::check_digit(&body)).collect();
        if !bins.is_live_range(&text) {
            return parsed(&text);
        }
    }
}

/// A second name: 19 digits that begin with 99, which no issuer uses, and fail Luhn.
pub(super) fn alias(bins: &BinTable) -> Result<Token, Error> {
    loop {
        let text = format!("99{}", random_digits(17)?);
        if !card::luhn_ok(&text) && !card::contains_live_pan(&text, bins) {
            return parsed(&text);
        }
    }
}

/// Random digits, each as likely as the other: bytes from 250 on are thrown away.
fn random_digits(count: usize) -> Result<String, NoRandom> {
    let mut digits = String::with_capacity(count);
    let mut raw = [0u8; 24];
    while digits.len() < count {
        fill_random(&mut raw)?;
        let fair = raw
            .iter()
            .filter(|byte| **byte < 250)
            .map(|byte| char::from(b'0' + byte % 10));
        digits.extend(fair.take(count - digits.len()));
    }
    Ok(digits)
}

/// Every text made here is a token; were it not, none could be issued.
fn parsed(text: &str) -> Result<Token, Error> {
    Token::parse(text).map_err(|fault| screen::refused("token", &fault.to_string()))
}

#[cfg(test)]
mod tests;
