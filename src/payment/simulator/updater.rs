//! The simulated account updater. It answers by the card's expiry:
//!
//! | expiry | answer |
//! |---|---|
//! | 06/38 | a new expiry: three years later |
//! | 07/38 | a new number: another published test card of the brand, three years later |
//! | 08/38 | the account is closed |
//! | 09/38 | no answer |
//! | in the past | a new expiry: three years later, or as many times three as make it good |
//! | any other, or none | nothing is newer |
//!
//! The new number never keeps both the first 6 and the last 4 digits of the old one. Of a brand without two published
//! test cards it gives a new expiry instead.

use crate::card::{BinTable, Expiry, Pan};
use crate::id::{MerchantId, UnixMillis};
use crate::payment::acquirer::Fut;
use crate::payment::updater::{AccountUpdater, Update};

/// An account updater that knows no issuers.
pub(in crate::payment) struct SimulatedUpdater;

impl AccountUpdater for SimulatedUpdater {
    fn look_up<'a>(&'a self, _: &'a MerchantId, pan: &'a Pan, expiry: Option<Expiry>) -> Fut<'a, Update> {
        Box::pin(async move { answer(pan, expiry, UnixMillis::now()) })
    }
}

fn answer(pan: &Pan, expiry: Option<Expiry>, now: UnixMillis) -> Update {
    let Some(expiry) = expiry else {
        return Update::Current;
    };
    match (expiry.month(), expiry.year()) {
        (6, 2038) => renewed(expiry, now),
        (7, 2038) => match (successor(pan), later(expiry)) {
            (Some(pan), Some(expiry)) => Update::Number(pan, expiry),
            _ => renewed(expiry, now),
        },
        (8, 2038) => Update::Closed,
        (9, 2038) => Update::Unavailable,
        _ if expiry.expired_at(now.0) => renewed(expiry, now),
        _ => Update::Current,
    }
}

fn renewed(expiry: Expiry, now: UnixMillis) -> Update {
    std::iter::successors(later(expiry), |expiry| later(*expiry))
        .find(|expiry| !expiry.expired_at(now.0))
        .map_or(Update::Current, Update::Expiry)
}

fn later(expiry: Expiry) -> Option<Expiry> {
    Expiry::new(expiry.month(), expiry.year() + 3).ok()
}

/// The brand's published test card that is not this one.
fn successor(pan: &Pan) -> Option<Pan> {
    let brand = BinTable::built_in().lookup(pan).brand?;
    let (_, cards) = TEST_CARDS.iter().find(|(name, _)| *name == brand)?;
    let next = cards.iter().find(|card| !same_ends(card, pan.expose()))?;
    Pan::parse(next).ok()
}

/// Whether the first 6 and the last 4 digits are the same.
fn same_ends(one: &str, other: &str) -> bool {
    let tail = |digits: &str| {
        digits
            .len()
            .checked_sub(4)
            .and_then(|at| digits.get(at..))
            .map(str::to_owned)
    };
    one.get(..6) == other.get(..6) && tail(one) == tail(other)
}

/// The Mastercard gateway's published test cards, two of a brand.
const TEST_CARDS: [(&str, [&str; 2]); 6] = [
    ("amex", ["371449635398431", "345678901234564"]),
    ("diners", ["36259600000012", "30123400000000"]),
    ("discover", ["6011003179988686", "6011963280099774"]),
    ("jcb", ["3528111100000001", "3528000000000007"]),
    ("mastercard", ["5111111111111118", "5123450000000008"]),
    ("visa", ["4012000033330026", "4508750015741019"]),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::card::check_digit;

    /// 2026-01-01T00:00:00Z
    const NOW: UnixMillis = UnixMillis(1_767_225_600_000);

    /// The answer in words.
    fn said(pan: &str, expiry: Option<(u8, u16)>) -> String {
        let expiry = expiry.map(|(month, year)| Expiry::new(month, year).unwrap());
        match answer(&Pan::parse(pan).unwrap(), expiry, NOW) {
            Update::Current => "current".to_owned(),
            Update::Expiry(expiry) => format!("{}/{}", expiry.month(), expiry.year()),
            Update::Number(pan, expiry) => format!("{} {}/{}", pan.expose(), expiry.month(), expiry.year()),
            Update::Closed => "closed".to_owned(),
            Update::Unavailable => "unavailable".to_owned(),
        }
    }

    #[test]
    fn the_expiry_decides() {
        let visa = "4508750015741019";
        for (expiry, expected) in [
            (None, "current"),
            (Some((1, 2039)), "current"),
            (Some((1, 2026)), "current"),
            (Some((6, 2038)), "6/2041"),
            (Some((7, 2038)), "4012000033330026 7/2041"),
            (Some((8, 2038)), "closed"),
            (Some((9, 2038)), "unavailable"),
            (Some((12, 2025)), "12/2028"),
            (Some((5, 2019)), "5/2028"),
        ] {
            assert_eq!(said(visa, expiry), expected, "{expiry:?}");
        }
    }

    #[test]
    fn every_brand_listed_has_a_new_number_for_each_of_its_cards() {
        let bins = BinTable::built_in();
        for (brand, cards) in TEST_CARDS {
            for card in cards {
                let pan = Pan::parse(card).unwrap();
                assert_eq!(bins.lookup(&pan).brand.as_deref(), Some(brand), "{card}");
                let next = successor(&pan).unwrap();
                assert_eq!(bins.lookup(&next).brand.as_deref(), Some(brand), "{card}");
                assert!(!same_ends(card, next.expose()), "{card}");
            }
        }
        assert_eq!(
            said("5000000000000000005", Some((7, 2038))),
            "7/2041",
            "one of its brand is published"
        );
    }

    proptest! {
        #[test]
        fn what_was_renewed_is_current(
            body in "[0-9]{15}",
            month in 1u8..=12,
            year in 2000u16..=2090,
        ) {
            let pan = Pan::parse(&format!("{body}{}", check_digit(&body).unwrap())).unwrap();
            match answer(&pan, Some(Expiry::new(month, year).unwrap()), NOW) {
                Update::Expiry(expiry) => {
                    prop_assert!(matches!(answer(&pan, Some(expiry), NOW), Update::Current));
                }
                Update::Number(next, expiry) => {
                    prop_assert!(!same_ends(pan.expose(), next.expose()));
                    prop_assert!(matches!(answer(&next, Some(expiry), NOW), Update::Current));
                }
                Update::Current | Update::Closed | Update::Unavailable => {}
            }
        }
    }
}
