//! Finding card numbers where none should be: free text, metadata, tokens that callers bring.

use zeroize::Zeroizing;

use super::bins::BinTable;
use super::luhn::luhn_holds;
use super::pan::Pan;

/// Whether `text` as a whole, spaces and hyphens dropped, is 12 to 19 digits that pass Luhn.
pub fn could_be_pan(text: &str) -> bool {
    Pan::parse(text).is_ok()
}

/// Whether `text` holds a run of 13 to 19 digits that passes Luhn, single spaces or hyphens allowed between digits.
///
/// A run may take in any number of neighbouring groups, so that `4111 1111 1111 1111 12 27` is found although an
/// expiry follows. Inside one unbroken group of digits nothing is searched: a longer number has so many parts that
/// one passes Luhn nearly always.
pub fn contains_pan(text: &str) -> bool {
    any_run(text, |_| true)
}

/// As [`contains_pan`], but of the ranges that cards are issued in: it leaves most order numbers and timestamps alone.
pub fn contains_live_pan(text: &str, bins: &BinTable) -> bool {
    any_run(text, |run| {
        // room for all of them at once: a string that grows leaves its old bytes behind
        let mut digits = Zeroizing::new(String::with_capacity(run.len()));
        digits.extend(run.chars().filter(char::is_ascii_digit));
        bins.is_live_range(&digits)
    })
}

/// Whether some run of 13 to 19 digits that passes Luhn is accepted; it is handed over with its separators.
fn any_run(text: &str, accepted: impl Fn(&str) -> bool) -> bool {
    let groups = groups(text);
    groups.iter().enumerate().any(|(at, first)| {
        let mut digits = 0;
        for (step, group) in groups.iter().skip(at).enumerate() {
            if step > 0 && !group.joined {
                return false;
            }
            digits += group.end - group.start;
            if digits > 19 {
                return false;
            }
            let run = text.get(first.start..group.end);
            if digits >= 13 && run.is_some_and(|run| luhn_holds(run) && accepted(run)) {
                return true;
            }
        }
        false
    })
}

/// Neighbouring digits, by their byte positions.
struct Group {
    start: usize,
    end: usize,
    /// One space or hyphen stands between it and the group before.
    joined: bool,
}

fn groups(text: &str) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut separator = None;
    for (at, byte) in text.bytes().enumerate() {
        match (byte, groups.last_mut()) {
            (b'0'..=b'9', Some(last)) if last.end == at => last.end += 1,
            (b'0'..=b'9', last) => {
                let joined = last.is_some_and(|last| separator == Some(last.end) && last.end + 1 == at);
                groups.push(Group {
                    start: at,
                    end: at + 1,
                    joined,
                });
            }
            (b' ' | b'-', _) => separator = Some(at),
            _ => {}
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::card::check_digit;

    #[test]
    fn card_numbers_in_text_are_found() {
        for text in [
            "4111111111111111",
            "4111 1111 1111 1111",
            "card 4111-1111-1111-1111, please",
            "{\"note\":\"378282246310005\"}",
            "x4242424242424242y",
            "4111 1111 1111 1111 12 27",
            "order 7 4111 1111 1111 1111",
            "30569309025904",
            "ümläut5555555555554444ß",
        ] {
            assert!(contains_pan(text), "{text}");
        }
    }

    #[test]
    fn other_numbers_are_left_alone() {
        for text in [
            "",
            "4111111111111112",
            "4111  1111  1111  1111",
            "4111.1111.1111.1111",
            "411111111116",
            "411111111111",
            "00004111111111111111",
            "tok_01JD4Z0V6T9D3",
            "+49 30 1234567",
            "4111 1111 1111 111 x 1",
        ] {
            assert!(!contains_pan(text), "{text}");
        }
    }

    #[test]
    fn numbers_outside_the_issuers_ranges_are_no_live_cards() {
        let bins = BinTable::built_in();
        for card in ["4111 1111 1111 1111 12 27", "x5555555555554444y", "378282246310005"] {
            assert!(contains_live_pan(card, &bins), "{card}");
        }
        // a timestamp in milliseconds that happens to pass Luhn
        let stamp = format!("176382000000{}", check_digit("176382000000").unwrap());
        assert!(contains_pan(&stamp) && !contains_live_pan(&stamp, &bins));
        assert!(!contains_live_pan("4111111111111112", &bins));
    }

    #[test]
    fn a_whole_text_is_weighed_with_its_separators_dropped() {
        assert!(could_be_pan("4111--1111 1111  1111"));
        assert!(could_be_pan("500000000009"), "12 digits");
        assert!(!could_be_pan("x4111111111111111"));
        assert!(!could_be_pan("4111111111111112"));
        assert!(!could_be_pan("tok_4111111111111111"));
    }

    #[test]
    fn long_texts_are_answered_soon() {
        assert!(!contains_pan(&"1 ".repeat(1 << 16)));
        assert!(!contains_pan(&"1".repeat(1 << 16)));
    }

    proptest! {
        #[test]
        fn a_planted_card_is_found(
            before in "[a-z.:{\"]{0,9}", body in "[0-9]{12,18}", every in 2usize..7, gap in "[ -]", after in "[a-z,.}\"]{0,9}",
        ) {
            let digits = format!("{body}{}", check_digit(&body).unwrap());
            let groups: Vec<&str> = digits.as_bytes().chunks(every).map(|c| std::str::from_utf8(c).unwrap()).collect();
            let spaced = groups.join(&gap);
            for number in [spaced, digits] {
                let text = format!("{before}{number}{after}");
                prop_assert!(contains_pan(&text));
            }
        }

        #[test]
        fn what_is_found_is_there(text in "[0-9 a-]{0,60}") {
            // the slow way: every stretch that starts and ends at the edge of a group
            let edge = |at: usize| {
                let digit = |at: Option<usize>| at.and_then(|at| text.as_bytes().get(at)).is_some_and(u8::is_ascii_digit);
                digit(at.checked_sub(1)) != digit(Some(at))
            };
            let slow = (0..text.len()).any(|from| {
                (from + 13..=text.len()).any(|to| {
                    let part = &text[from..to];
                    let digits: String = part.chars().filter(char::is_ascii_digit).collect();
                    edge(from) && edge(to)
                        && part.chars().all(|c| c != 'a')
                        && !["  ", "--", " -", "- "].iter().any(|two| part.contains(two))
                        && part.starts_with(|c: char| c.is_ascii_digit())
                        && part.ends_with(|c: char| c.is_ascii_digit())
                        && (13..=19).contains(&digits.len())
                        && crate::card::luhn_ok(&digits)
                })
            });
            prop_assert_eq!(contains_pan(&text), slow);
        }
    }
}
