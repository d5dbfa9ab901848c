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
fn opaque_tokens_have_128_bits_behind_their_time_in_a_fixed_shape() {
    let now = UnixMillis(1_800_000_000_123);
    let tokens: HashSet<Token> = (0..20_000).map(|_| opaque(now).unwrap()).collect();
    assert_eq!(tokens.len(), 20_000);
    let (mut ones, mut zeros) = ([0xffu8; 16], [0u8; 16]);
    for token in &tokens {
        let text = token.as_str().strip_prefix("tok_").unwrap();
        assert_eq!((text.len(), text.to_ascii_lowercase().as_str()), (36, text));
        let raw = data_encoding::BASE32HEX_NOPAD
            .decode(text.to_ascii_uppercase().as_bytes())
            .unwrap();
        assert_eq!(raw[..6], 1_800_000_000_123_u64.to_be_bytes()[2..]);
        for (at, byte) in raw[6..].iter().enumerate() {
            ones[at] &= byte;
            zeros[at] |= byte;
        }
        assert!(!card::contains_pan(token.as_str()), "{token}");
    }
    assert_eq!((ones, zeros), ([0; 16], [0xff; 16]), "every bit was drawn both ways");
}

#[test]
fn opaque_tokens_sort_by_the_time_they_were_made() {
    let times = [
        0,
        1,
        31,
        32,
        1_700_000_000_000,
        1_800_000_000_000,
        1_800_000_000_001,
        (1 << 48) - 1,
    ];
    let tokens: Vec<Token> = times.iter().map(|at| opaque(UnixMillis(*at)).unwrap()).collect();
    assert!(
        tokens.windows(2).all(|two| two[0].as_str() < two[1].as_str()),
        "{tokens:?}"
    );
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
fn supplied_tokens_that_could_be_cards_or_have_no_path_are_refused() {
    let bins = BinTable::built_in();
    let check = |text: &str| check_supplied(&Token::parse(text).unwrap(), &bins);
    for bad in [
        "4111111111111111",
        "4111-1111-1111-1111",
        "378282246310005",
        "x4242424242424242",
        "card:5555555555554444",
        "100000000008",
        "900400000007",
        "9490990000000000",
        "9004-0000-0000-003",
        ".",
        "..",
        "batch",
        "reveal-batch",
        "search",
    ] {
        assert!(check(bad).is_err(), "{bad}");
    }
    for good in [
        "order-1",
        "...",
        "4111111111111112",
        "9990000000000003",
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

/// Tokens of each digit strategy that are looked at: a million, or ten where there is time.
fn many() -> usize {
    match std::env::var_os("PANVAULT_LONG") {
        Some(_) => 10_000_000,
        None => 1_000_000,
    }
}

/// Whether digits pass Luhn, by a way of its own: the weight of every second digit from the right is looked up.
fn passes_luhn(digits: &str) -> bool {
    let weights = [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [0, 2, 4, 6, 8, 1, 3, 5, 7, 9]];
    let sum = digits.bytes().rev().enumerate();
    sum.map(|(at, digit)| weights[at % 2][usize::from(digit - b'0')])
        .sum::<u32>()
        % 10
        == 0
}

/// Which numbers of 16 digits that begin with 9 are live, by their first six: read from the list line by line, past the
/// table that the generator asks.
fn live_nines() -> Vec<bool> {
    let mut live = vec![false; 1_000_000];
    let rows = include_str!("../../card/bins.csv")
        .lines()
        .filter(|row| row.starts_with('9'));
    for row in rows {
        let (range, lengths) = row.split_once(',').unwrap();
        let lengths = lengths.split(',').next().unwrap().split(' ');
        let of_16 = lengths.map(|one| one.split_once('-').unwrap_or((one, one)));
        if !of_16.clone().any(|(from, to)| from <= "16" && "16" <= to) {
            continue;
        }
        let (from, to) = range.split_once('-').unwrap_or((range, range));
        let first: usize = format!("{from:0<6}").parse().unwrap();
        let last: usize = format!("{to:9<6}").parse().unwrap();
        live[first..=last].fill(true);
    }
    live
}

#[test]
fn the_schemes_that_begin_with_9_are_on_the_list() {
    let live = live_nines();
    for scheme in [
        "979200", "986000", "986099", "911200", "941700", "970400", "968200", "989100", "991975", "949099",
    ] {
        assert!(live[scheme.parse::<usize>().unwrap()], "{scheme}");
    }
    let free = live[900_000..].iter().filter(|live| !**live).count();
    assert!((30_000..70_000).contains(&free), "{free}");
}

#[test]
fn of_a_million_random_luhn_tokens_none_is_a_live_card() {
    let (bins, live) = (BinTable::built_in(), live_nines());
    let mut seen = vec![false; 1_000_000];
    for _ in 0..many() {
        let token = random_luhn(&bins).unwrap();
        let first: usize = token.as_str()[..6].parse().unwrap();
        assert!(first >= 900_000 && !live[first], "{token}");
        assert!(token.as_str().len() == 16 && passes_luhn(token.as_str()), "{token}");
        seen[first] = true;
    }
    // some 20 draws for each start leave out one in 500 million
    let unseen = (900_000..1_000_000)
        .filter(|first| !live[*first] && !seen[*first])
        .count();
    assert!(unseen <= 3, "they come from all that is free but {unseen}");
}

#[test]
fn of_a_million_preserving_tokens_none_is_a_card() {
    let bins = BinTable::built_in();
    // a brand of each length, and those whose lengths vary
    let cards = [
        ("4", 13),
        ("30569309", 14),
        ("36", 15),
        ("37828224", 15),
        ("411111", 16),
        ("222100", 16),
        ("9792", 16),
        ("5018", 17),
        ("6759", 18),
        ("622126", 19),
        ("4", 19),
    ];
    for round in 0..many().div_ceil(60) {
        let (start, length) = cards[round % cards.len()];
        let body = format!("{start}{}", random_digits(length - 1 - start.len()).unwrap());
        let pan = Pan::parse(&format!("{body}{}", card::check_digit(&body).unwrap())).unwrap();
        let mut candidates = Candidates::new(&Format::Preserve64, &pan, &bins);
        for _ in 0..60 {
            let token = candidates.next().unwrap();
            assert!(
                token.as_str().len() == length && !passes_luhn(token.as_str()),
                "{token}"
            );
        }
    }
}
