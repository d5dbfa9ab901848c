//! References of network tokens.

use data_encoding::HEXLOWER;

use crate::id::{NoRandom, fill_random};

/// A random UUID of version 4.
///
/// The audit trail masks 12 digits that stand together, and clients look for card numbers in what they log: a reference
/// with such a run is drawn again, which takes it one time in some hundred.
///
/// # Errors
/// No random bytes.
pub(super) fn fresh() -> Result<String, NoRandom> {
    loop {
        let mut bytes = [0; 16];
        fill_random(&mut bytes)?;
        let reference = written(bytes);
        if !looks_like_a_number(&reference) {
            return Ok(reference);
        }
    }
}

fn written(mut bytes: [u8; 16]) -> String {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&HEXLOWER.encode(&[*byte]));
    }
    text
}

/// Whether 12 digits stand together; hyphens do not part them.
fn looks_like_a_number(reference: &str) -> bool {
    let mut run = 0;
    reference.bytes().filter(|byte| *byte != b'-').any(|byte| {
        run = if byte.is_ascii_digit() { run + 1 } else { 0 };
        run == 12
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::audit::Event;

    #[test]
    fn a_run_of_digits_is_found() {
        for (reference, found) in [
            ("aa224320-425c-40b6-9781-2cb7df76b0c8", false),
            ("aa224320-4251-40b6-9781-2cb7df76b0c8", true),
            ("aa224320-425a-40b6-9781-2cb7df76b0c8", false),
            ("aaaaaaaa-aaaa-4aaa-8aaa-123456789012", true),
            ("12345678-901a-4aaa-8aaa-12345678901a", false),
        ] {
            assert_eq!(looks_like_a_number(reference), found, "{reference}");
        }
    }

    #[test]
    fn a_reference_stays_as_it_is_in_the_audit_trail() {
        let mut seen = HashSet::new();
        for _ in 0..2_000 {
            let reference = fresh().unwrap();
            let mut event = Event::new("network-token-provision", "active");
            event.detail = Some(format!("network token {reference}"));
            let text = String::from_utf8(event.encode()).unwrap();
            assert!(text.contains(&reference), "{text}");
            assert!(seen.insert(reference));
        }
    }

    proptest! {
        #[test]
        fn it_is_a_uuid_of_version_4(bytes in any::<[u8; 16]>()) {
            let text = written(bytes);
            let groups: Vec<_> = text.split('-').map(str::len).collect();
            prop_assert_eq!(groups, [8, 4, 4, 4, 12]);
            prop_assert_eq!(&text[14..15], "4");
            prop_assert!("89ab".contains(&text[19..20]), "{}", text);
            let digits = text.bytes().filter(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            prop_assert_eq!(digits.count(), 32);
        }
    }
}
