//! Which fields an operation takes, and what becomes of them: `fields.txt`.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::operation::ApiOperation;

/// What becomes of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Valid for the operation; nothing here needs it.
    Accepted,
    /// Given back with the answer, whatever else it is used for.
    Echoed,
    /// Used.
    Taken,
}

/// What `operation` does with the field of that name; `None`: not supported.
pub(super) fn known(operation: ApiOperation, name: &str) -> Option<Use> {
    let letter = operation.letter()?;
    let uses = match name.contains('[') {
        true => TABLE.get(without_indexes(name)?.as_str()),
        false => TABLE.get(name),
    };
    uses?
        .iter()
        .find(|(letters, _)| letters.contains(letter))
        .map(|(_, what)| *what)
}

type Uses = Vec<(&'static str, Use)>;

static TABLE: LazyLock<HashMap<&'static str, Uses>> = LazyLock::new(|| lines().filter_map(line).collect());

fn lines() -> impl Iterator<Item = &'static str> {
    include_str!("fields.txt").lines().filter(|line| !line.starts_with('#'))
}

/// Reads `name =OPS +OPS -OPS`.
fn line(text: &'static str) -> Option<(&'static str, Uses)> {
    let mut words = text.split(' ');
    let name = words.next()?;
    let uses = words.map(|word| match word.split_at_checked(1)? {
        ("=", letters) => Some((letters, Use::Taken)),
        ("+", letters) => Some((letters, Use::Echoed)),
        ("-", letters) => Some((letters, Use::Accepted)),
        _ => None,
    });
    Some((name, uses.collect::<Option<_>>()?))
}

/// `a[12].b` as `a[].b`; `None` where what stands between brackets is no index.
fn without_indexes(name: &str) -> Option<String> {
    let mut parts = name.split('[');
    let mut bare = parts.next()?.to_owned();
    for part in parts {
        let (index, rest) = part.split_once(']')?;
        if !(1..=3).contains(&index.len()) || !index.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        bare.push_str("[]");
        bare.push_str(rest);
    }
    Some(bare)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_line_can_be_read_and_every_letter_is_an_operation() {
        let letters: BTreeSet<_> = ApiOperation::ALL.into_iter().filter_map(ApiOperation::letter).collect();
        let mut names = BTreeSet::new();
        for text in lines() {
            let (name, uses) = line(text).unwrap_or_else(|| panic!("{text}"));
            assert!(names.insert(name), "twice: {name}");
            let mut seen = BTreeSet::new();
            assert!(!uses.is_empty(), "{text}");
            for letter in uses.iter().flat_map(|(letters, _)| letters.chars()) {
                assert!(letters.contains(&letter) && seen.insert(letter), "{text}");
            }
        }
        assert!(names.len() > 400, "the whole table is here");
    }

    #[test]
    fn a_field_is_known_by_operation() {
        use ApiOperation as Op;
        let number = "sourceOfFunds.provided.card.number";
        assert_eq!(known(Op::Tokenize, number), Some(Use::Taken));
        assert_eq!(known(Op::RetrieveToken, number), None);
        assert_eq!(known(Op::Void, number), None);
        assert_eq!(known(Op::Tokenize, "billing.address.city"), Some(Use::Echoed));
        assert_eq!(known(Op::Tokenize, "shipping.address.city"), Some(Use::Accepted));
        for operation in Op::ALL {
            let expected = (operation != Op::CheckGateway).then_some(Use::Taken);
            assert_eq!(known(operation, "correlationId"), expected);
            for id in operation.ids() {
                assert_eq!(known(operation, id), Some(Use::Taken), "{operation:?} {id}");
            }
        }
    }

    #[test]
    fn what_is_not_a_card_is_not_supported() {
        let texts = [
            "giftCard.number",
            "ach.routingNumber",
            "paypal.accountEmail",
            "card.p2pe.payload",
            "card.track2",
            "card.pin.payload",
            "ebt.accountType",
        ];
        for operation in ApiOperation::ALL {
            for text in texts {
                assert_eq!(known(operation, &format!("sourceOfFunds.provided.{text}")), None);
            }
            assert_eq!(known(operation, "wallet.visaCheckout.callId"), None);
        }
    }

    #[test]
    fn an_index_is_a_number() {
        let name = |index: &str| format!("order.item[{index}].name");
        assert_eq!(known(ApiOperation::Authorize, &name("0")), Some(Use::Accepted));
        assert_eq!(known(ApiOperation::Authorize, &name("12")), Some(Use::Accepted));
        for index in ["", "n", "-1", "1234", "0]["] {
            assert_eq!(known(ApiOperation::Authorize, &name(index)), None, "{index}");
        }
    }
}
