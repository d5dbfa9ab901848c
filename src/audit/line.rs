//! One line of the chain, taken apart.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64URL_NOPAD;
use ring::digest::{SHA256, digest};
use serde::Deserialize;
use serde::de::IgnoredAny;

pub use crate::store::chain::Head;

use super::event::{AUDIT_HANDOVER, AUDIT_HEAD};
use crate::id::UnixMillis;
use crate::store::EVENT_MAX;

/// The longest line that can be a record, in bytes: an event of the greatest length and its envelope.
pub const LINE_MAX: usize = EVENT_MAX + 256;

/// What a line says of its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Envelope {
    pub(super) seq: u64,
    /// SHA-256 of the line before.
    pub(super) prev: [u8; 32],
    /// When it happened.
    pub(super) at: UnixMillis,
    /// It calls itself a signed head or holds one: it must be one then.
    pub(super) is_head: bool,
    /// It calls itself a handover of the audit key or holds one: likewise.
    pub(super) is_handover: bool,
}

impl Envelope {
    /// Takes a line (without its newline) apart. There is just one way to write each.
    pub(super) fn read(line: &[u8]) -> Result<Self, &'static str> {
        #[derive(Deserialize)]
        struct Event<'a> {
            at: UnixMillis,
            #[serde(borrow, default)]
            action: Cow<'a, str>,
            #[serde(default)]
            head: Option<IgnoredAny>,
            #[serde(default)]
            handover: Option<IgnoredAny>,
        }
        const SHAPE: &str = "it does not have the form of a record";
        let parts = || {
            let (seq, prev, event) = split(line)?;
            let seq: u64 = std::str::from_utf8(seq).ok()?.parse().ok()?;
            let prev = BASE64URL_NOPAD.decode(prev).ok()?.try_into().ok()?;
            (seq > 0).then_some((seq, prev, event))
        };
        let (seq, prev, event) = parts().ok_or(SHAPE)?;
        let event: Event = serde_json::from_slice(event).map_err(|_| "its event is not an object with a time")?;
        Ok(Self {
            seq,
            prev,
            at: event.at,
            is_head: event.action == AUDIT_HEAD || event.head.is_some(),
            is_handover: event.action == AUDIT_HANDOVER || event.handover.is_some(),
        })
    }
}

/// Number, hash of the line before, and event, as they are written.
fn split(line: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (seq, rest) = line.strip_prefix(b"{\"seq\":")?.split_at_checked(number_len(line)?)?;
    let (prev, rest) = rest.strip_prefix(b",\"prev\":\"")?.split_at_checked(43)?;
    let event = rest.strip_prefix(b"\",\"event\":")?.strip_suffix(b"}")?;
    Some((seq, prev, event))
}

/// The event of a line, if it has the form of a record.
pub(super) fn event_of(line: &[u8]) -> Option<&[u8]> {
    split(line).map(|(_, _, event)| event)
}

/// The length of the decimal number after `{"seq":`; no zero in front.
fn number_len(line: &[u8]) -> Option<usize> {
    let digits = line.get(7..)?;
    let len = digits.iter().position(|b| !b.is_ascii_digit())?;
    (len <= 20 && digits.first() != Some(&b'0')).then_some(len)
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

impl fmt::Display for Head {
    /// The record's number, a colon, and the hash in base64url.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, BASE64URL_NOPAD.encode(&self.hash))
    }
}

/// Not a head as it is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a head is a record's number, a colon and 43 characters of base64url")]
pub struct MalformedHead;

impl FromStr for Head {
    type Err = MalformedHead;
    fn from_str(text: &str) -> Result<Self, MalformedHead> {
        let parts = || {
            let (seq, hash) = text.split_once(':')?;
            let hash = BASE64URL_NOPAD.decode(hash.as_bytes()).ok()?.try_into().ok()?;
            Some(Self {
                seq: seq.parse().ok()?,
                hash,
            })
        };
        parts().ok_or(MalformedHead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_one_form() {
        let mut line = Vec::new();
        { Head::START }.append(br#"{"at":5,"action":"a"}"#, &mut line);
        let line = String::from_utf8(line).unwrap();
        let read = Envelope::read(line.as_bytes()).unwrap();
        assert_eq!((read.seq, read.prev, read.at), (1, [0; 32], UnixMillis(5)));
        for (from, to) in [
            ("{\"seq\"", "{ \"seq\""),
            (":1,", ":01,"),
            (":1,", ":0,"),
            (":1,", ":18446744073709551616,"),
            (":1,", ":+1,"),
            ("AAAA", "AAA"),
            ("A\"", "B\""),
            ("\"at\":5", "\"at\":\"5\""),
            ("\"at\":5,", ""),
            ("{\"at\"", "[\"at\""),
            ("}}", "}"),
            ("}}", "}} "),
        ] {
            let bad = line.replacen(from, to, 1);
            assert_ne!(bad, line);
            assert!(Envelope::read(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn heads_are_read_as_they_are_printed() {
        let head = Head { seq: 7, hash: [9; 32] };
        assert_eq!(head.to_string().parse(), Ok(head));
        for bad in ["", "7", "7:", ":AAAA", "x:AAAA"] {
            assert_eq!(bad.parse::<Head>(), Err(MalformedHead));
        }
    }
}
