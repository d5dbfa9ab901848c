use proptest::prelude::*;

use super::*;
use crate::card::{Pan, contains_pan};
use crate::payment::money::{Amount, Currency};

/// 2026-01-01T00:00:00Z
const NOW: UnixMillis = UnixMillis(1_767_225_600_000);

fn shop() -> MerchantId {
    MerchantId::parse("TEST_shop").unwrap()
}

fn eur() -> Currency {
    Currency::parse("EUR").unwrap()
}

/// What becomes of a card of this expiry and code, verified and paid with.
fn verdicts(expiry: Option<(u8, u16)>, code: Option<&str>) -> [(Verdict, CodeCheck); 2] {
    let pan = Pan::parse("5123450000000008").unwrap();
    let code = code.map(|code| SecurityCode::parse(code).unwrap());
    let card = || Presented {
        pan: &pan,
        expiry: expiry.map(|(month, year)| Expiry::new(month, year).unwrap()),
        security_code: code.as_ref(),
        street: None,
    };
    let verify = Ask::Verify {
        card: card(),
        currency: eur(),
        on_file: false,
    };
    let pay = Ask::Pay {
        card: card(),
        amount: Amount { thousandths: 10_000 },
        currency: eur(),
    };
    [decide(&shop(), &verify, NOW), decide(&shop(), &pay, NOW)]
}

#[test]
fn the_expiry_decides() {
    for (expiry, verdict) in [
        (Some((1, 2039)), Verdict::Approved),
        (Some((1, 2026)), Verdict::Approved),
        (Some((5, 2039)), Verdict::Declined),
        (Some((4, 2027)), Verdict::ExpiredCard),
        (Some((8, 2028)), Verdict::TimedOut),
        (Some((1, 2037)), Verdict::SystemError),
        (Some((2, 2037)), Verdict::UnspecifiedFailure),
        (Some((5, 2037)), Verdict::Unknown),
        (Some((12, 2025)), Verdict::ExpiredCard),
        (None, Verdict::Declined),
    ] {
        let expected = (verdict, CodeCheck::NotPresented);
        assert_eq!(verdicts(expiry, None), [expected, expected], "{expiry:?}");
    }
}

#[test]
fn the_security_code_is_answered_and_refuses_verifications_only() {
    for (code, check) in [
        ("100", CodeCheck::Match),
        ("1000", CodeCheck::Match),
        ("101", CodeCheck::NotProcessed),
        ("1010", CodeCheck::NotProcessed),
        ("123", CodeCheck::NotProcessed),
    ] {
        assert_eq!(
            verdicts(Some((1, 2039)), Some(code)),
            [(Verdict::Approved, check); 2],
            "{code}"
        );
    }
    for code in ["102", "1020"] {
        let [verified, paid] = verdicts(Some((1, 2039)), Some(code));
        assert_eq!(verified, (Verdict::InvalidSecurityCode, CodeCheck::NoMatch));
        assert_eq!(paid, (Verdict::Approved, CodeCheck::NoMatch));
        let [verified, _] = verdicts(Some((5, 2039)), Some(code));
        assert_eq!(verified.0, Verdict::Declined, "the expiry comes first");
    }
}

#[test]
fn only_references_of_its_own_and_of_the_merchant_are_taken() {
    let first = answer(&shop(), "order/1", (Verdict::Approved, CodeCheck::NotPresented));
    let capture = |merchant: &MerchantId, reference: &str| {
        let ask = Ask::Capture {
            reference,
            amount: Amount::ZERO,
            currency: eur(),
        };
        decide(merchant, &ask, NOW).0
    };
    assert_eq!(capture(&shop(), &first.reference), Verdict::Approved);
    let other = MerchantId::parse("TEST_other").unwrap();
    assert_eq!(capture(&other, &first.reference), Verdict::SystemError);
    for text in [
        "",
        "SIM",
        "SIMÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄ",
        &first.reference[..first.reference.len() - 1],
    ] {
        assert_eq!(capture(&shop(), text), Verdict::SystemError, "{text}");
    }
    assert_eq!(
        decide(&shop(), &Ask::Void { reference: "1" }, NOW).0,
        Verdict::SystemError
    );
}

#[test]
fn every_text_says_that_this_is_a_simulator() {
    for verdict in [Verdict::Approved, Verdict::Declined, Verdict::SystemError] {
        let answer = answer(&shop(), "key", (verdict, CodeCheck::NotPresented));
        assert!(answer.message.ends_with("(simulator)"), "{}", answer.message);
        assert_eq!(answer.authorization_code.is_some(), verdict == Verdict::Approved);
    }
}

proptest! {
    #[test]
    fn the_same_request_gets_the_same_answer_and_another_one_another(key in "\\PC{0,81}", other in "\\PC{0,81}") {
        let decided = (Verdict::Approved, CodeCheck::Match);
        let first = answer(&shop(), &key, decided);
        prop_assert_eq!(&answer(&shop(), &key, decided), &first);
        prop_assert!(issued(&shop(), &first.reference));
        prop_assert_eq!(answer(&shop(), &other, decided).reference == first.reference, key == other);
        prop_assert_eq!((first.receipt.len(), first.stan.len()), (12, 6));
        prop_assert_eq!(first.authorization_code.map(|code| code.len()), Some(6));
    }

    #[test]
    fn a_token_is_made_of_letters(mac in any::<[u8; 32]>()) {
        let token = named(&mac).unwrap();
        prop_assert!(token.as_str().len() <= 40 && token.as_str().bytes().all(|byte| byte.is_ascii_uppercase()));
        prop_assert!(!contains_pan(token.as_str()));
    }

    #[test]
    fn no_text_is_a_reference(text in "\\PC{0,60}|SIM[A-Z]{32}") {
        prop_assert!(!issued(&shop(), &text));
    }
}
