//! Where the card comes from: what a request gives itself, the session and the token that it names.

use zeroize::Zeroizing;

use super::fields::Fields;
use super::refusal::Refusal;
use super::version::Version;
use crate::card::Pan;
use crate::id::Token;
use crate::payment::{CardDetails, SecurityCode, Sources};

/// Reads `sourceOfFunds` and `session`.
///
/// # Errors
/// A field that cannot be taken; a source that is no card.
pub(super) fn sources(fields: &Fields, version: Version) -> Result<Sources, Refusal> {
    let sources = Sources {
        card: card(fields)?,
        session: fields.read("session.id", "A session is named as it was when it was made.", session)?,
        session_version: fields.text("session.version").map(str::to_owned),
        api_version: Some(version.number()),
        token: fields.read(
            "sourceOfFunds.token",
            "A token is named as it was when it was made.",
            |text| Token::parse(text).ok(),
        )?,
    };
    match fields.text(TYPE) {
        Some("CARD") => {}
        Some(other) => return Err(Refusal::invalid(TYPE, Some(other), "Only CARD is supported.")),
        // a session or a token says itself that it holds a card
        None if sources.card.pan.is_some() && sources.session.is_none() && sources.token.is_none() => {
            return Err(Refusal::missing(TYPE));
        }
        None => {}
    }
    Ok(sources)
}

/// Reads `sourceOfFunds.provided.card`.
fn card(fields: &Fields) -> Result<CardDetails, Refusal> {
    let number = fields.text(NUMBER).map(|text| {
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        let pan = Pan::parse(text).map_err(|bad| Refusal::invalid(NUMBER, None, &format!("It {bad}.")))?;
        digits
            .then_some(pan)
            .ok_or_else(|| Refusal::invalid(NUMBER, None, "It is written in digits alone."))
    });
    Ok(CardDetails {
        pan: number.transpose()?,
        month: fields.read(
            "sourceOfFunds.provided.card.expiry.month",
            "A month is 1 to 12, in one or two digits.",
            |text| number_of(text, 1..=2).filter(|month| (1..=12).contains(month)),
        )?,
        year: fields
            .read(
                "sourceOfFunds.provided.card.expiry.year",
                "A year is the last two digits of 2000 to 2099.",
                |text| number_of(text, 2..=2),
            )?
            .map(|year| 2000 + u16::from(year)),
        holder: fields.read(
            "sourceOfFunds.provided.card.nameOnCard",
            "It has up to 256 characters.",
            |text| text.chars().nth(256).is_none().then(|| Zeroizing::new(text.to_owned())),
        )?,
        security_code: fields.read(
            "sourceOfFunds.provided.card.securityCode",
            "It has 3 or 4 digits.",
            SecurityCode::parse,
        )?,
    })
}

fn number_of(text: &str, digits: std::ops::RangeInclusive<usize>) -> Option<u8> {
    let plain = digits.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

fn session(text: &str) -> Option<String> {
    let good = (31..=35).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric());
    good.then(|| text.to_owned())
}

const NUMBER: &str = "sourceOfFunds.provided.card.number";
const TYPE: &str = "sourceOfFunds.type";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(form: &str) -> Result<Sources, String> {
        let mut fields = Fields::default();
        fields.read_form(form.as_bytes()).unwrap();
        sources(&fields, Version::parse("70").unwrap())
            .map_err(|refusal| String::from_utf8(refusal.tree(None).to_json()).unwrap())
    }

    fn card(rest: &str) -> Result<Sources, String> {
        read(&format!(
            "sourceOfFunds.type=CARD&sourceOfFunds.provided.card.{}",
            rest.replace('&', "&sourceOfFunds.provided.card.")
        ))
    }

    #[test]
    fn a_whole_card_is_read() {
        let sources =
            card("number=5123450000000008&expiry.month=5&expiry.year=39&securityCode=100&nameOnCard=A+B").unwrap();
        assert_eq!(sources.card.pan.unwrap().expose(), "5123450000000008");
        assert_eq!((sources.card.month, sources.card.year), (Some(5), Some(2039)));
        assert_eq!(sources.card.security_code.unwrap().expose(), "100");
        assert_eq!(sources.card.holder.unwrap().as_str(), "A B");
        assert_eq!(card("expiry.month=05").unwrap().card.month, Some(5));
        assert_eq!(card("expiry.year=00").unwrap().card.year, Some(2000));
    }

    #[test]
    fn a_part_of_a_card_is_enough_here() {
        let session = "SESSION0002".to_owned() + &"A".repeat(20);
        let sources = read(&format!(
            "session.id={session}&session.version=aaa&sourceOfFunds.token=9102370788509763"
        ));
        let sources = sources.unwrap();
        assert_eq!(sources.session, Some(session));
        assert_eq!(sources.session_version.as_deref(), Some("aaa"));
        assert_eq!(sources.token.unwrap().as_str(), "9102370788509763");
        assert!(read("").unwrap().card.pan.is_none());
    }

    #[test]
    fn what_cannot_be_taken_is_named_and_no_card_data_is_told() {
        for (bad, field) in [
            ("number=5123450000000009", "card.number"),
            ("number=5123450000000008x", "card.number"),
            ("number=5123-4500-0000-0008", "card.number"),
            ("expiry.month=13", "card.expiry.month"),
            ("expiry.month=0", "card.expiry.month"),
            ("expiry.month=005", "card.expiry.month"),
            ("expiry.month=5123450000000008", "card.expiry.month"),
            ("expiry.year=2039", "card.expiry.year"),
            ("expiry.year=%2b9", "card.expiry.year"),
            ("securityCode=12", "card.securityCode"),
            ("securityCode=12a", "card.securityCode"),
        ] {
            let told = card(bad).err().unwrap();
            assert!(
                told.contains(&format!("\"field\":\"sourceOfFunds.provided.{field}\"")),
                "{told}"
            );
            assert!(
                told.contains("\"INVALID\"") && !told.contains("51234500") && !told.contains("12a"),
                "{told}"
            );
        }
        for other in ["GIFT_CARD", "ACH", "SCHEME_TOKEN", "card"] {
            let told = read(&format!("sourceOfFunds.type={other}")).err().unwrap();
            assert!(
                told.contains("sourceOfFunds.type") && told.contains("INVALID"),
                "{told}"
            );
        }
        let told = read("sourceOfFunds.provided.card.number=5123450000000008")
            .err()
            .unwrap();
        assert!(
            told.contains("sourceOfFunds.type") && told.contains("MISSING"),
            "{told}"
        );
        assert!(read("session.id=short").err().unwrap().contains("session.id"));
        assert!(
            read("sourceOfFunds.token=a/b")
                .err()
                .unwrap()
                .contains("sourceOfFunds.token")
        );
    }
}
