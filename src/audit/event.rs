//! What is recorded of one thing that happened.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::head::SignedHead;
use crate::card::{contains_pan, could_be_pan};
use crate::hsm::Handover;
use crate::id::{MerchantId, RepositoryName, RequestId, Token, UnixMillis};

/// The action of the event that carries a signed head of the chain.
pub const AUDIT_HEAD: &str = "audit-head";

/// The action of the event by which one audit key names the next.
pub(super) const AUDIT_HANDOVER: &str = "audit-handover";

/// The longest text of a free member, in bytes; what is more is cut off.
const TEXT_MAX: usize = 2048;

/// The fewest digits of a card number.
const RUN: usize = 12;

/// One event: who, what, when, on what, how it ended. Never a PAN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// When.
    pub at: UnixMillis,
    /// What was done (`tokenize`, `reveal`, `delete`, `merchant-add`, `auth-failed`, …).
    #[serde(serialize_with = "written::text")]
    pub action: String,
    /// How it ended (`ok`, `reused`, `denied`, …).
    #[serde(serialize_with = "written::text")]
    pub outcome: String,
    /// Which process asked: user, group and process id by the kernel's word; absent for the daemon itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub peer: Option<Peer>,
    /// In which dialect.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "written::maybe", default)]
    pub dialect: Option<String>,
    /// For which merchant.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub merchant: Option<MerchantId>,
    /// In which repository.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub repository: Option<RepositoryName>,
    /// On which token.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "written::token", default)]
    pub token: Option<Token>,
    /// Which request.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "written::request",
        default
    )]
    pub request: Option<RequestId>,
    /// How many times, where events are coalesced.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub count: Option<u64>,
    /// More, for people; never card data.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "written::maybe", default)]
    pub detail: Option<String>,
    /// A signed head of the chain. Nothing of it is masked: it holds no text of others.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub head: Option<Box<SignedHead>>,
    /// An audit key's word on the next one. As little masked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub handover: Option<Box<Handover>>,
}

/// A process, by the kernel's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Peer {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Process id, where the kernel tells.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pid: Option<i32>,
}

impl Event {
    /// An event of now, about nothing yet.
    pub fn new(action: &str, outcome: &str) -> Self {
        Self {
            at: UnixMillis::now(),
            action: action.to_owned(),
            outcome: outcome.to_owned(),
            peer: None,
            dialect: None,
            merchant: None,
            repository: None,
            token: None,
            request: None,
            count: None,
            detail: None,
            head: None,
            handover: None,
        }
    }

    /// The record of an audit key's word on the next one. Nothing in it but that may vary.
    pub fn handover(handover: Handover) -> Self {
        Self {
            at: handover.at,
            handover: Some(Box::new(handover)),
            ..Self::new(AUDIT_HANDOVER, "ok")
        }
    }

    /// The record's bytes: one JSON object on one line.
    ///
    /// Whatever was put in, no card number comes out. In texts of our own every run of 12 digits or more (single
    /// spaces or hyphens between them allowed) loses all but its last four. A request id and a token come from callers, who
    /// may put a PAN there, but are needed as they are: they lose digits only where they hold a number that passes
    /// Luhn: an asterisk is in both alphabets, so what is masked still parses. All digits with a 9 in front stay, because the tokens that pass Luhn are made so. Merchant and repository
    /// are names that an operator registered.
    pub fn encode(&self) -> Vec<u8> {
        // plain members into memory cannot fail; and the store refuses an empty event
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// How texts are written: see [`Event::encode`].
mod written {
    use serde::{Serialize, Serializer};

    use super::{masked, masked_if_card};
    use crate::id::{RequestId, Token};

    pub(super) fn text<S: Serializer>(text: &str, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&masked(text))
    }

    pub(super) fn maybe<S: Serializer>(text: &Option<String>, to: S) -> Result<S::Ok, S::Error> {
        text.as_deref().map(masked).serialize(to)
    }

    pub(super) fn token<S: Serializer>(token: &Option<Token>, to: S) -> Result<S::Ok, S::Error> {
        token.as_ref().map(|token| masked_if_card(token.as_str())).serialize(to)
    }

    pub(super) fn request<S: Serializer>(id: &Option<RequestId>, to: S) -> Result<S::Ok, S::Error> {
        id.as_ref().map(|id| masked_if_card(id.as_str())).serialize(to)
    }
}

fn masked_if_card(text: &str) -> Cow<'_, str> {
    let made_to_pass = text.starts_with('9') && text.bytes().all(|b| b.is_ascii_digit());
    if !made_to_pass && has_room_for_card(text) && (contains_pan(text) || could_be_pan(text)) {
        masked(text)
    } else {
        Cow::Borrowed(text)
    }
}

/// Whether there are as many digits in all as the shortest run that is masked has. Most texts have fewer.
fn has_room_for_card(text: &str) -> bool {
    text.bytes().filter(u8::is_ascii_digit).count() >= RUN
}

/// `text` up to its limit, with an asterisk for every digit but the last four of a run of [`RUN`] or more. A run goes on
/// over a single space or hyphen, as card numbers are written.
fn masked(text: &str) -> Cow<'_, str> {
    let end = (0..=TEXT_MAX.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at));
    let text = text.get(..end.unwrap_or_default()).unwrap_or_default();
    if !has_room_for_card(text) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from) = rest.split_at(start);
        let (run, after) = from.split_at(run_len(from));
        out.push_str(before);
        let digits = run.bytes().filter(u8::is_ascii_digit).count();
        let hidden = if digits < RUN { 0 } else { digits - 4 };
        let mut seen = 0;
        out.extend(run.chars().map(|c| {
            seen += usize::from(c.is_ascii_digit());
            if c.is_ascii_digit() && seen <= hidden { '*' } else { c }
        }));
        rest = after;
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The length of the run of digits that `text` begins with, single separators inside it included.
fn run_len(text: &str) -> usize {
    let mut end = 0;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'0'..=b'9' => end = at + 1,
            b' ' | b'-' if end == at => (),
            _ => break,
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CARDS: &[&str] = &[
        "4111111111111111",
        "5555555555554444",
        "378282246310005",
        "4242424242424242",
    ];

    fn text_of(event: &Event) -> String {
        String::from_utf8(event.encode()).unwrap()
    }

    #[test]
    fn one_line_with_only_what_is_there() {
        let mut event = Event::new("reveal", "ok");
        event.at = UnixMillis(1_800_000_000_123);
        event.peer = Some(Peer {
            uid: 1000,
            gid: 1000,
            pid: Some(42),
        });
        event.token = Some(Token::parse("tok_abc").unwrap());
        event.detail = Some("two\nlines".to_owned());
        assert_eq!(
            text_of(&event),
            r#"{"at":1800000000123,"action":"reveal","outcome":"ok","peer":{"uid":1000,"gid":1000,"pid":42},"token":"tok_abc","detail":"two\nlines"}"#
        );
        assert_eq!(serde_json::from_slice::<Event>(&event.encode()).unwrap(), event);
    }

    #[test]
    fn no_text_carries_a_card_number_out() {
        for card in CARDS {
            let mut event = Event::new(card, card);
            event.dialect = Some((*card).to_owned());
            event.detail = Some(format!("card {card}, {} and {}", spaced(card, " "), spaced(card, "-")));
            event.request = Some(RequestId::parse(&format!("r-{card}-1")).unwrap());
            event.token = Some(Token::parse(card).unwrap());
            let text = text_of(&event);
            assert!(!text.contains(&card[..6]), "{text}");
            assert!(!text.contains(&spaced(card, " ")[..7]), "{text}");
            assert!(!text.contains(&spaced(card, "-")[..7]), "{text}");
            assert!(text.contains(&card[card.len() - 4..]), "{text}");
        }
    }

    #[test]
    fn tokens_and_request_ids_that_are_no_cards_stay() {
        // random_luhn passes Luhn with a 9 in front, preserve_6_4 fails Luhn, a snowflake id is just long
        for token in [
            "9111111111111110",
            "4111111111111112",
            "tok_01jd4z0v6t9d3",
            "1234567890123456789",
        ] {
            let mut event = Event::new("reveal", "ok");
            event.token = Some(Token::parse(token).unwrap());
            event.request = Some(RequestId::parse(token).unwrap());
            assert_eq!(serde_json::from_slice::<Event>(&event.encode()).unwrap(), event);
        }
    }

    #[test]
    fn addresses_and_times_in_details_stay() {
        for text in [
            "192.168.100.100:65535",
            "2026-11-22T14:05:20.123Z",
            "40000/60 s",
            "uid 1000, gid 1000, pid 4194304",
        ] {
            assert_eq!(masked(text), text);
        }
    }

    #[test]
    fn long_details_are_cut_between_characters() {
        let mut event = Event::new("a", "b");
        event.detail = Some("ü".repeat(TEXT_MAX));
        let read: Event = serde_json::from_slice(&event.encode()).unwrap();
        assert_eq!(read.detail.unwrap(), "ü".repeat(TEXT_MAX / 2));
    }

    fn spaced(card: &str, by: &str) -> String {
        let groups: Vec<&str> = card
            .as_bytes()
            .chunks(4)
            .map(|c| std::str::from_utf8(c).unwrap())
            .collect();
        groups.join(by)
    }

    proptest! {
        #[test]
        fn no_run_of_twelve_digits_is_left(detail in "[0-9 a./_-]{0,80}|\\PC{0,80}") {
            let masked = masked(&detail);
            let longest = masked.split(|c: char| !c.is_ascii_digit()).map(str::len).max();
            prop_assert!(longest < Some(12), "{}", masked);
            prop_assert!(!contains_pan(&masked), "{}", masked);
            prop_assert_eq!(masked.chars().count(), detail.chars().count());
        }

        #[test]
        fn an_event_is_one_line(action in "\\PC{0,20}", detail in any::<String>()) {
            let mut event = Event::new(&action, "ok");
            event.detail = Some(detail);
            let bytes = event.encode();
            prop_assert!(!bytes.contains(&b'\n'));
            prop_assert!(serde_json::from_slice::<Event>(&bytes).is_ok());
        }
    }
}
