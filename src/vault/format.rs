//! How tokens look. None says anything of the card that the masked view does not, and none can be taken for a card.

use super::screen;
use super::types::{CallerError, Error, Format};
use crate::card::{self, BinTable, Pan};
use crate::id::{NoRandom, Token, fill_random};

/// Random tries before a format whose tokens may run out is searched in order, or given up.
const RANDOM_TRIES: u32 = 64;

/// Where the digits between the first 6 and the last 4 are few, all of them are tried: up to this many.
const EXHAUSTIVE_MAX: u32 = 10_000;

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
            Self::Opaque => opaque(),
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

/// Refuses a caller's token that could be a card number.
///
/// # Errors
/// [`CallerError::Field`].
pub(super) fn check_supplied(token: &Token, bins: &BinTable) -> Result<(), Error> {
    let text = token.as_str();
    // ISO/IEC 7812 leaves numbers that begin with 9 to national bodies: outside the ranges in use they are free
    if card::could_be_pan(text) && !text.starts_with('9') {
        return Err(screen::refused("token", "could be a card number"));
    }
    screen::no_card("token", text, bins)
}

/// `tok_` and 128 random bits in lower-case base32: 26 characters.
fn opaque() -> Result<Token, Error> {
    let mut raw = [0u8; 16];
    fill_random(&mut raw)?;
    let text = data_encoding::BASE32_NOPAD.encode(&raw).to_ascii_lowercase();
    parsed(&format!("tok_{text}"))
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
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn taken_all(pan: &str, format: &Format) -> (Vec<Token>, Error) {
        let (pan, bins) = (Pan::parse(pan).unwrap(), BinTable::built_in());
        let mut candidates = Candidates::new(format, &pan, &bins);
        let mut seen = Vec::new();
        loop {
            match candidates.next() {
                Ok(token) => seen.push(token),
                Err(error) => return (seen, error),
            }
        }
    }

    #[test]
    fn opaque_tokens_have_128_bits_in_a_fixed_shape() {
        let tokens: HashSet<Token> = (0..20_000).map(|_| opaque().unwrap()).collect();
        assert_eq!(tokens.len(), 20_000);
        for token in &tokens {
            let random = token.as_str().strip_prefix("tok_").unwrap();
            assert_eq!(random.len(), 26);
            assert!(
                random
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b)),
                "{token}"
            );
        }
    }

    #[test]
    fn random_luhn_tokens_are_well_formed_and_no_live_cards() {
        let bins = BinTable::built_in();
        let tokens: HashSet<Token> = (0..20_000).map(|_| random_luhn(&bins).unwrap()).collect();
        assert_eq!(tokens.len(), 20_000);
        for token in &tokens {
            let text = token.as_str();
            assert!(
                text.len() == 16 && text.starts_with('9') && card::luhn_ok(text),
                "{text}"
            );
            assert!(!bins.is_live_range(text), "{text}");
        }
    }

    #[test]
    fn random_digits_are_even() {
        let mut counts = [0u32; 10];
        let digits = random_digits(100_000).unwrap();
        assert_eq!(digits.len(), 100_000);
        digits.bytes().for_each(|b| counts[usize::from(b - b'0')] += 1);
        // nine degrees of freedom: 40 is passed once in 100,000 runs; bytes taken modulo 10 would give about 60
        let chi: f64 = counts
            .iter()
            .map(|n| (f64::from(*n) - 10_000.0).powi(2) / 10_000.0)
            .sum();
        assert!(chi < 45.0, "{counts:?}");
    }

    #[test]
    fn where_the_middle_is_short_every_token_is_tried() {
        let body = "41111111111";
        let of_12 = format!("{body}{}", card::check_digit(body).unwrap());
        for (pan, middles) in [(of_12.as_str(), 100), ("30569309025904", 10_000)] {
            let (seen, error) = taken_all(pan, &Format::Preserve64);
            assert_eq!(error, Error::Caller(CallerError::FormatExhausted));
            let distinct: HashSet<Token> = seen.into_iter().collect();
            // one middle in ten passes Luhn
            assert_eq!(distinct.len(), middles / 10 * 9, "{pan}");
        }
    }

    #[test]
    fn long_middles_and_random_tokens_are_given_up_in_the_end() {
        for format in [Format::Preserve64, Format::RandomLuhn] {
            let (seen, error) = taken_all("4111111111111111", &format);
            assert_eq!(error, Error::Caller(CallerError::FormatExhausted));
            assert_eq!(seen.len(), 64);
        }
    }

    #[test]
    fn supplied_tokens_that_could_be_cards_are_refused() {
        let bins = BinTable::built_in();
        let check = |text: &str| check_supplied(&Token::parse(text).unwrap(), &bins);
        for bad in [
            "4111111111111111",
            "4111-1111-1111-1111",
            "378282246310005",
            "x4242424242424242",
            "card:5555555555554444",
            "100000000008",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
        for good in [
            "order-1",
            "4111111111111112",
            "9000000000000001",
            "550e8400-e29b-41d4-a716-446655440000",
        ] {
            assert!(check(good).is_ok(), "{good}");
        }
    }

    proptest! {
        #[test]
        fn preserved_tokens_keep_what_is_shown_and_are_no_cards(body in "[0-9]{11,18}") {
            let pan = format!("{body}{}", card::check_digit(&body).unwrap());
            let (card, bins) = (Pan::parse(&pan).unwrap(), BinTable::built_in());
            let mut candidates = Candidates::new(&Format::Preserve64, &card, &bins);
            for _ in 0..70 {
                let Ok(token) = candidates.next() else { break };
                let text = token.as_str();
                prop_assert_eq!(text.len(), pan.len());
                prop_assert_eq!((&text[..6], &text[text.len() - 4..]), (&pan[..6], &pan[pan.len() - 4..]));
                prop_assert!(!card::luhn_ok(text));
            }
        }
    }
}
