//! How a stored token looks in an answer.

use super::tree::Tree;
use super::version::Version;
use crate::card::Expiry;
use crate::id::RepositoryName;
use crate::vault::types::{Status, Verification, View};

/// Writes a token into an answer.
pub(super) fn token(tree: &mut Tree, version: Version, repository: &RepositoryName, view: &View) {
    tree.text("repositoryId", repository.as_str().to_owned());
    tree.text("token", view.token.as_str().to_owned());
    tree.text(
        "status",
        match view.status {
            Status::Active => "VALID",
            Status::Inactive | Status::Spent => "INVALID",
        },
    );
    tree.maybe("verificationStrategy", view.verification.map(strategy));
    if version.names_replacement() {
        tree.maybe(
            "replacementToken",
            view.replacement.as_ref().map(|token| token.as_str().to_owned()),
        );
    }
    card(
        tree,
        &Card {
            masked: &view.masked,
            brand: view.brand.as_deref(),
            funding: view.funding.as_deref(),
            expiry: view.expiry,
        },
    );

    let updated_by = view.updated_by.as_ref().map(|merchant| merchant.as_str().to_owned());
    let last_used = view.last_used_at.map(|time| time.to_string());
    if version.groups_usage() {
        tree.maybe("usage.lastUpdated.merchantId", updated_by);
        tree.text("usage.lastUpdated.time", view.updated_at.to_string());
        tree.maybe("usage.lastUsedTime", last_used);
    } else {
        tree.maybe("usage.lastUpdatedBy", updated_by);
        tree.text("usage.lastUpdated", view.updated_at.to_string());
        tree.maybe("usage.lastUsed", last_used);
    }
}

/// A card as it may be shown, in a token's answer.
pub(super) struct Card<'a> {
    /// With at most as much in clear as a masked view has.
    pub(super) masked: &'a str,
    pub(super) brand: Option<&'a str>,
    pub(super) funding: Option<&'a str>,
    pub(super) expiry: Option<Expiry>,
}

/// Writes a card.
pub(super) fn card(tree: &mut Tree, card: &Card<'_>) {
    tree.text("sourceOfFunds.type", "CARD");
    number(tree, card.masked, card.brand);
    tree.text("sourceOfFunds.provided.card.fundingMethod", funding(card.funding));
    let expiry = card
        .expiry
        .map(|expiry| format!("{:02}{:02}", expiry.month(), expiry.year() % 100));
    tree.maybe("sourceOfFunds.provided.card.expiry", expiry);
}

/// Writes a masked number and its brand.
pub(super) fn number(tree: &mut Tree, masked: &str, brand: Option<&str>) {
    tree.text("sourceOfFunds.provided.card.number", mask(masked));
    let brand = Brand::of(brand);
    tree.text("sourceOfFunds.provided.card.brand", brand.brand);
    tree.text("sourceOfFunds.provided.card.scheme", brand.scheme);
    tree.maybe("sourceOfFunds.provided.card.localBrand", brand.local);
}

/// How the card was checked.
pub(super) fn strategy(verification: Verification) -> &'static str {
    match verification {
        Verification::AccountUpdater => "ACCOUNT_UPDATER",
        Verification::Acquirer => "ACQUIRER",
        Verification::Basic => "BASIC",
        Verification::None => "NONE",
    }
}

/// What kind of account is behind the card.
pub(super) fn funding(funding: Option<&str>) -> &'static str {
    match funding {
        Some("charge") => "CHARGE",
        Some("credit") => "CREDIT",
        Some("debit") => "DEBIT",
        _ => "UNKNOWN",
    }
}

/// A masked number as this API writes it: at most the first six digits, `x`, the last four.
pub(super) fn mask(masked: &str) -> String {
    let length = masked.len();
    let first = masked.bytes().take_while(u8::is_ascii_digit).take(6).count();
    let masked = masked.chars().enumerate();
    masked
        .map(|(at, c)| match at < first || at + 4 >= length {
            true => c,
            false => 'x',
        })
        .collect()
}

struct Brand {
    brand: &'static str,
    scheme: &'static str,
    /// The name of a brand that the API has none for.
    local: Option<String>,
}

impl Brand {
    /// The names of brand and scheme that the API has; of those beyond the contract's list CHINA_UNIONPAY, RUPAY,
    /// LOCAL_BRAND_ONLY, OTHER and UNKNOWN are inferred.
    fn of(brand: Option<&str>) -> Self {
        let named = |name| Self {
            brand: name,
            scheme: name,
            local: None,
        };
        match brand {
            Some("amex") => named("AMEX"),
            Some("diners") => named("DINERS_CLUB"),
            Some("discover") => named("DISCOVER"),
            Some("jcb") => named("JCB"),
            Some("maestro") => named("MAESTRO"),
            Some("mastercard") => named("MASTERCARD"),
            Some("rupay") => named("RUPAY"),
            Some("uatp") => named("UATP"),
            Some("unionpay") => named("CHINA_UNIONPAY"),
            Some("visa") => named("VISA"),
            Some(local) => Self {
                brand: "LOCAL_BRAND_ONLY",
                scheme: "OTHER",
                local: Some(local.to_ascii_uppercase()),
            },
            None => Self {
                brand: "UNKNOWN",
                scheme: "OTHER",
                local: None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::BinTable;
    use crate::id::{MerchantId, Revision, Token, UnixMillis};
    use crate::vault::types::Uses;

    fn view() -> View {
        View {
            token: Token::parse("9102370788509763").unwrap(),
            bin: "51234500".to_owned(),
            last4: "0008".to_owned(),
            masked: "51234500****0008".to_owned(),
            brand: Some("mastercard".to_owned()),
            funding: Some("credit".to_owned()),
            country: None,
            expiry: Some(Expiry::new(1, 2039).unwrap()),
            status: Status::Active,
            uses: Uses::Multi,
            namespace: None,
            metadata: None,
            created_at: UnixMillis(1_800_000_000_000),
            updated_at: UnixMillis(1_800_000_000_123),
            updated_by: Some(MerchantId::parse("TEST_shop").unwrap()),
            verification: Some(Verification::Basic),
            replacement: Some(Token::parse("9496359069244962").unwrap()),
            alias: None,
            last_used_at: Some(UnixMillis(1_800_000_060_000)),
            expires_at: None,
            revision: Revision(1),
        }
    }

    fn written(version: &str, view: &View) -> String {
        let mut tree = Tree::new();
        let repository = RepositoryName::parse("TESTREPO1").unwrap();
        token(&mut tree, Version::parse(version).unwrap(), &repository, view);
        String::from_utf8(tree.to_json()).unwrap()
    }

    #[test]
    fn usage_is_flat_up_to_69_and_grouped_from_70() {
        let card = concat!(
            r#""sourceOfFunds":{"provided":{"card":{"brand":"MASTERCARD","expiry":"0139","fundingMethod":"CREDIT","#,
            r#""number":"512345xxxxxx0008","scheme":"MASTERCARD"}},"type":"CARD"},"status":"VALID","#,
            r#""token":"9102370788509763","#,
        );
        let flat = concat!(
            r#""usage":{"lastUpdated":"2027-01-15T08:00:00.123Z","lastUpdatedBy":"TEST_shop","#,
            r#""lastUsed":"2027-01-15T08:01:00.000Z"},"verificationStrategy":"BASIC"}"#,
        );
        let grouped = concat!(
            r#""usage":{"lastUpdated":{"merchantId":"TEST_shop","time":"2027-01-15T08:00:00.123Z"},"#,
            r#""lastUsedTime":"2027-01-15T08:01:00.000Z"},"verificationStrategy":"BASIC"}"#,
        );
        let (repository, replacement) = (
            r#""repositoryId":"TESTREPO1","#,
            r#""replacementToken":"9496359069244962","#,
        );
        for (version, expected) in [
            ("30", format!("{{{repository}{card}{flat}")),
            ("68", format!("{{{repository}{card}{flat}")),
            ("69", format!("{{{replacement}{repository}{card}{flat}")),
            ("70", format!("{{{replacement}{repository}{card}{grouped}")),
            ("100", format!("{{{replacement}{repository}{card}{grouped}")),
        ] {
            assert_eq!(written(version, &view()), expected, "{version}");
        }
    }

    #[test]
    fn what_is_not_known_is_absent() {
        let view = View {
            expiry: None,
            status: Status::Inactive,
            updated_by: None,
            verification: None,
            replacement: None,
            last_used_at: None,
            funding: None,
            ..view()
        };
        for version in ["51", "70"] {
            let text = written(version, &view);
            for absent in [
                "expiry",
                "lastUpdatedBy",
                "merchantId",
                "lastUsed",
                "verificationStrategy",
                "replacementToken",
            ] {
                assert!(!text.contains(absent), "{text}");
            }
            assert!(text.contains(r#""status":"INVALID""#) && text.contains(r#""fundingMethod":"UNKNOWN""#));
        }
    }

    #[test]
    fn a_mask_shows_six_and_four_at_most() {
        for (masked, expected) in [
            ("51234500****0008", "512345xxxxxx0008"),
            ("345678*****4564", "345678xxxxx4564"),
            ("*********3456", "xxxxxxxxx3456"),
            ("500000*********0005", "500000xxxxxxxxx0005"),
            ("", ""),
        ] {
            assert_eq!(mask(masked), expected);
        }
    }

    #[test]
    fn every_brand_has_a_name() {
        let mut tree = Tree::new();
        let troy = Card {
            masked: "979200******0001",
            brand: Some("troy"),
            funding: Some("debit"),
            expiry: None,
        };
        card(&mut tree, &troy);
        assert_eq!(
            String::from_utf8(tree.to_form()).unwrap(),
            "sourceOfFunds.provided.card.brand=LOCAL_BRAND_ONLY\
             &sourceOfFunds.provided.card.fundingMethod=DEBIT&sourceOfFunds.provided.card.localBrand=TROY&sourceOfFunds.provided.card.number=979200xxxxxx0001&sourceOfFunds.provided.card.scheme=OTHER&sourceOfFunds.type=CARD"
        );
        let table = BinTable::built_in();
        for (pan, name) in [
            ("5123450000000008", "MASTERCARD"),
            ("4111111111111111", "VISA"),
            ("345678901234564", "AMEX"),
            ("30123400000000", "DINERS_CLUB"),
            ("3528000000000007", "JCB"),
            ("6011003179988686", "DISCOVER"),
            ("5000000000000000005", "MAESTRO"),
        ] {
            let brand = table.lookup(&crate::card::Pan::parse(pan).unwrap()).brand;
            assert_eq!(Brand::of(brand.as_deref()).brand, name, "{pan}");
        }
    }
}
