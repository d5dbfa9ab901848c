use proptest::prelude::*;
use secrecy::{ExposeSecret, SecretString};

use super::*;

fn made(pin: &str, threshold: u8, of: u8) -> (ShareSet, Vec<Share>) {
    split(&SecretString::from(pin), threshold, of).unwrap()
}

#[test]
fn the_alphabet_is_one() {
    let text = alphabet().encode(&[0xFF, 0x00, 0x5A, 0xA5, 0x3C]);
    assert_eq!(text, "ZW05N99W");
    assert_eq!(
        alphabet().decode(b"zwO 5n9-9w").unwrap(),
        alphabet().decode(text.as_bytes()).unwrap()
    );
    assert!(alphabet().decode(b"ZW05N99U").is_err());
    // no padding bits at the end of a share's text
    assert_eq!(LENGTH * 8 % 5, 0);
    assert_eq!(LENGTH * 8 / 5 % (4 * usize::from(LINES)), 0);
}

#[test]
fn numbers_and_pins_that_cannot_be_are_refused() {
    let pin = SecretString::from("1234");
    for (threshold, of) in [(0, 0), (1, 1), (1, 3), (4, 3), (2, 33), (2, 255)] {
        assert_eq!(split(&pin, threshold, of).err(), Some(SplitFault::Numbers));
    }
    for pin in [String::new(), "1".repeat(LONGEST_PIN + 1), "1".repeat(300)] {
        assert_eq!(split(&SecretString::from(pin), 2, 3).err(), Some(SplitFault::Pin));
    }
}

#[test]
fn shares_tell_neither_pin_nor_its_length() {
    let (_, short) = made("1234", 2, 3);
    let (_, long) = made(&"7".repeat(LONGEST_PIN), 2, 3);
    for share in short.iter().chain(&long) {
        assert_eq!(share.to_bytes().len(), LENGTH);
        assert!(
            !share
                .to_bytes()
                .windows(4)
                .any(|bytes| bytes == b"1234" || bytes == b"7777")
        );
    }
    // the same PIN again is another set, and nothing of it is the same
    let (again, other) = made("1234", 2, 3);
    let (first, _) = made("1234", 2, 3);
    assert_ne!(again.commitment, first.commitment);
    assert_ne!(other[0].body.as_slice(), short[0].body.as_slice());
    assert!(!serde_json::to_string(&again).unwrap().contains("1234\""));
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let (set, shares) = made("1234", 2, 3);
    let (other_set, others) = made("1234", 2, 3);
    assert_eq!(
        combine(&[], None).err(),
        Some(CombineFault::TooFew { have: 0, need: 2 })
    );
    let few = CombineFault::TooFew { have: 1, need: 2 };
    assert_eq!(combine(&[&shares[0]], Some(&set)).err(), Some(few.clone()));
    assert_eq!(combine(&[&shares[0], &shares[0]], Some(&set)).err(), Some(few));
    assert_eq!(
        combine(&[&shares[0], &others[1]], None).err(),
        Some(CombineFault::Mixed)
    );
    assert_eq!(
        combine(&[&shares[0], &shares[1]], Some(&other_set)).err(),
        Some(CombineFault::Wrong)
    );
    // one of another set that says it is of this one
    let mut bytes = others[1].to_bytes();
    bytes[1..=SetId::LENGTH].copy_from_slice(&set.set.0);
    let end = LENGTH - CHECK;
    let sum = check(&bytes[..end]);
    bytes[end..].copy_from_slice(&sum);
    let posing = Share::from_bytes(&bytes).unwrap();
    assert_eq!(combine(&[&shares[0], &posing], None).err(), Some(CombineFault::Wrong));
    let file = SetFile::next(None, set);
    assert_eq!(file.judge(&posing), Err(Unfit::Changed(2)));
    assert_eq!(file.judge(&shares[1]), Ok(()));
}

#[test]
fn a_stale_share_is_told_from_one_of_elsewhere() {
    let place = tempfile::tempdir().unwrap();
    assert_eq!(SetFile::load(place.path()), Ok(None));
    let ((first, old), (second, new), (_, elsewhere)) = (made("1", 2, 2), made("1", 2, 2), made("1", 2, 2));
    let mut file = SetFile::next(None, first);
    file.write(place.path()).unwrap();
    let made_at = second.made_at;
    file = SetFile::next(SetFile::load(place.path()).unwrap(), second);
    file.write(place.path()).unwrap();
    assert_eq!(SetFile::load(place.path()), Ok(Some(file.clone())));
    assert_eq!(file.judge(&new[0]), Ok(()));
    let stale = file.judge(&old[0]).unwrap_err();
    assert!(stale.to_string().contains(&made_at.to_string()), "{stale}");
    assert!(matches!(file.judge(&elsewhere[0]), Err(Unfit::OtherCeremony { .. })));
    std::fs::write(SetFile::path(place.path()), "{}").unwrap();
    assert!(SetFile::load(place.path()).unwrap_err().contains("shares renew"));
}

#[test]
fn what_is_typed_wrong_names_its_line() {
    let (_, shares) = made("1234", 2, 2);
    let text = shares[0].to_text();
    let typed = text
        .to_lowercase()
        .replace("1:", "")
        .replace('0', "o")
        .replace(" 1", " l");
    assert!(Share::from_text(&typed).is_ok(), "{typed}");
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let fault = |text: &str| Share::from_text(text).err().unwrap();
    assert_eq!(fault(&lines[..3].join("\n")), ShareFault::Lines(3));
    assert_eq!(fault(""), ShareFault::Lines(0));
    assert_eq!(fault(&"x".repeat(5000)), ShareFault::Damaged);
    let swapped = [lines[0], lines[2], lines[1], lines[3]].join("\n");
    assert_eq!(fault(&swapped), ShareFault::Line(2, LineFault::Place));
    let short = text.replacen(&lines[3][3..8], "", 1);
    assert_eq!(fault(&short), ShareFault::Line(4, LineFault::Width(42)));
    assert!(fault(&short).to_string().contains("line 4 has 42"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_threshold_of_shares_gives_the_pin(
        pin in "[ -~äß]{1,32}",
        (threshold, of) in (2u8..=6).prop_flat_map(|k| (Just(k), k..=9)),
        order in any::<u64>(),
    ) {
        let (set, mut shares) = made(&pin, threshold, of);
        prop_assert_eq!(shares.len(), usize::from(of));
        // some order
        shares.sort_by_key(|share| order.rotate_left(u32::from(share.index) * 7) ^ order.wrapping_mul(u64::from(share.index)));
        let read: Vec<Share> = shares.iter().map(|share| Share::from_text(&share.to_text()).unwrap()).collect();
        let some: Vec<&Share> = read.iter().take(usize::from(threshold)).collect();
        let whole = combine(&some, Some(&set)).unwrap();
        prop_assert_eq!(whole.expose_secret(), &pin);
        let all: Vec<&Share> = read.iter().collect();
        let whole = combine(&all, None).unwrap();
        prop_assert_eq!(whole.expose_secret(), &pin);
        prop_assert!(combine(&some[1..], Some(&set)).is_err());
    }

    #[test]
    fn no_changed_byte_passes(at in 0..LENGTH, flip in 1u8..=255) {
        let (_, shares) = made("12345678", 2, 2);
        let mut bytes = shares[0].to_bytes();
        bytes[at] ^= flip;
        prop_assert!(Share::from_bytes(&bytes).is_err());
    }

    #[test]
    fn any_text_is_answered(text in "\\PC{0,300}") {
        prop_assert!(Share::from_text(&text).is_err());
    }

    #[test]
    fn a_letter_typed_wrong_is_found(at in 0usize..184, by in 1usize..32) {
        let (_, shares) = made("12345678", 2, 2);
        let symbols = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        let text = shares[0].to_text();
        let mut typed = String::new();
        let mut seen = 0;
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (number, rest) = line.split_once(':').unwrap();
            typed.push_str(number);
            typed.push(':');
            for symbol in rest.chars() {
                let is = symbols.find(symbol).filter(|_| symbol != ' ');
                match is {
                    Some(place) if seen == at => typed.push(char::from(symbols.as_bytes()[(place + by) % 32])),
                    _ => typed.push(symbol),
                }
                seen += usize::from(is.is_some());
            }
            typed.push('\n');
        }
        prop_assert!(Share::from_text(&typed).is_err());
    }
}
