//! Names and values as forms and query strings encode them.

use zeroize::Zeroizing;

/// Undoes percent and plus encoding; `None` where it is broken, or not UTF-8.
pub(crate) fn decoded(encoded: &[u8]) -> Option<Zeroizing<String>> {
    // of its full size from the start: a buffer that grows leaves copies behind
    let mut bytes = Zeroizing::new(Vec::with_capacity(encoded.len()));
    let mut rest = encoded;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => {
                let (hex, after) = rest.split_at_checked(2)?;
                rest = after;
                let byte = data_encoding::HEXLOWER_PERMISSIVE.decode(hex).ok()?;
                byte.first().copied()?
            }
            other => *other,
        });
    }
    let text = std::str::from_utf8(&bytes).ok()?;
    Some(Zeroizing::new(text.to_owned()))
}

/// The pairs of a form, still encoded; a name without a value has an empty one.
pub(crate) fn pairs(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    text.split(|byte| *byte == b'&').map(|pair| {
        let mut sides = pair.splitn(2, |byte| *byte == b'=');
        (sides.next().unwrap_or_default(), sides.next().unwrap_or_default())
    })
}

/// A text as it stands in a query: all but letters, digits and `-`, `.`, `_`, `~` percent-encoded (RFC 3986, 2.3).
pub(crate) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_encoded_is_read_back(text in "\\PC{0,40}") {
            let read = decoded(encoded(&text).as_bytes());
            prop_assert_eq!(read.as_deref(), Some(&text));
        }
    }

    #[test]
    fn broken_encodings_are_told() {
        assert_eq!(decoded(b"a+%2B%41").unwrap().as_str(), "a +A");
        for broken in [&b"%"[..], b"%4", b"%zz", b"%ff"] {
            assert!(decoded(broken).is_none(), "{broken:?}");
        }
    }
}
