//! `application/x-www-form-urlencoded` bodies that hold a card: written once, into room that was measured before, and wiped.

use zeroize::Zeroizing;

/// A form.
pub(super) struct Form<'a>(Vec<(&'static str, &'a str)>);

impl<'a> Form<'a> {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn push(&mut self, key: &'static str, value: &'a str) {
        self.0.push((key, value));
    }

    /// Nothing where there is nothing: an empty value would unset what is there.
    pub(super) fn push_some(&mut self, key: &'static str, value: Option<&'a str>) {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.push(key, value);
        }
    }

    pub(super) fn encode(&self) -> Zeroizing<Vec<u8>> {
        // each byte takes three at most: a text that grows leaves its old bytes behind
        let room = self
            .0
            .iter()
            .map(|(key, value)| 3 * (key.len() + value.len()) + 2)
            .sum();
        let mut out = Zeroizing::new(Vec::with_capacity(room));
        for (key, value) in &self.0 {
            if !out.is_empty() {
                out.push(b'&');
            }
            encode(key, &mut out);
            out.push(b'=');
            encode(value, &mut out);
        }
        out
    }
}

fn encode(text: &str, out: &mut Vec<u8>) {
    const HEX: [u8; 16] = *b"0123456789ABCDEF";
    let hex = |half: u8| HEX.get(usize::from(half)).copied().unwrap_or_default();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => out.push(byte),
            b' ' => out.push(b'+'),
            other => out.extend([b'%', hex(other >> 4), hex(other & 0x0f)]),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_and_values_are_encoded_and_empty_ones_left_out() {
        let mut form = Form::new();
        form.push("card[number]", "4242424242424242");
        form.push_some("name", Some("Ada & Zoë+1"));
        form.push_some("city", Some(""));
        form.push_some("state", None);
        let text = String::from_utf8(form.encode().to_vec()).unwrap();
        assert_eq!(text, "card%5Bnumber%5D=4242424242424242&name=Ada+%26+Zo%C3%AB%2B1");
    }

    proptest! {
        #[test]
        fn what_is_read_back_is_what_was_written(values in prop::collection::vec(any::<String>(), 0..5)) {
            let mut form = Form::new();
            for value in &values {
                form.push("a[b]", value);
            }
            let encoded = form.encode();
            let room = values.iter().map(|value| 3 * (4 + value.len()) + 2).sum::<usize>();
            prop_assert_eq!(encoded.capacity(), room, "it did not grow");
            let text = std::str::from_utf8(&encoded).unwrap();
            let pairs = text.split('&').filter(|pair| !pair.is_empty());
            let read: Vec<_> = pairs.map(|pair| decoded(pair.strip_prefix("a%5Bb%5D=").unwrap())).collect();
            prop_assert_eq!(read, values);
        }
    }

    fn decoded(text: &str) -> String {
        let mut bytes = text.bytes();
        let mut out = Vec::new();
        while let Some(byte) = bytes.next() {
            out.push(match byte {
                b'+' => b' ',
                b'%' => {
                    let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                other => other,
            });
        }
        String::from_utf8(out).unwrap()
    }
}
