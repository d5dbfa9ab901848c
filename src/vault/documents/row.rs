//! Where a document is stored, and as what: one version byte, then postcard.

use serde::{Deserialize, Serialize};

use crate::id::{MerchantId, UnixMillis};
use crate::keys::MAX_TEXT;
use crate::store::Key;
use crate::vault::types::{Document, DocumentKind, IntegrityError, SealedSecret};
use crate::vault::{identity, tables};

/// The format that this program writes. A newer one is refused.
const VERSION: u8 = 1;

/// Which document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::vault) struct Address {
    pub(in crate::vault) merchant: MerchantId,
    pub(in crate::vault) kind: DocumentKind,
    pub(in crate::vault) name: String,
}

/// A document as it is stored. The order of the fields is the stored order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::vault) struct Row {
    pub(in crate::vault) expires_at: Option<UnixMillis>,
    pub(in crate::vault) sealed: Option<SealedSecret>,
    pub(in crate::vault) clear: Vec<u8>,
}

impl Address {
    pub(in crate::vault) fn key(&self) -> Key {
        let Key(mut bytes) = of_kind(&self.merchant, self.kind);
        bytes.extend_from_slice(self.name.as_bytes());
        Key(bytes)
    }

    /// Its entry in the expiry index.
    pub(in crate::vault) fn expiry_key(&self, at: UnixMillis) -> Key {
        let Key(key) = self.key();
        let place = key.get(1..).unwrap_or_default();
        tables::key(tables::DOCUMENT_EXPIRY, &[&at.0.to_be_bytes(), place])
    }

    /// Reads what [`Address::key`] made.
    pub(in crate::vault) fn parse(key: &Key) -> Option<Self> {
        let rest = key.0.strip_prefix(&[tables::DOCUMENT])?;
        let (length, rest) = rest.split_first()?;
        let (merchant, rest) = rest.split_at_checked(usize::from(*length))?;
        let (kind, name) = rest.split_first()?;
        Some(Self {
            merchant: MerchantId::parse(std::str::from_utf8(merchant).ok()?).ok()?,
            kind: DocumentKind::of_id(*kind)?,
            name: std::str::from_utf8(name).ok().filter(|name| fits(name))?.to_owned(),
        })
    }

    /// Reads what [`Address::expiry_key`] made.
    pub(in crate::vault) fn parse_expiry(key: &Key) -> Option<(UnixMillis, Self)> {
        let rest = key.0.strip_prefix(&[tables::DOCUMENT_EXPIRY])?;
        let (at, place) = rest.split_first_chunk::<8>()?;
        let address = Self::parse(&tables::key(tables::DOCUMENT, &[place]))?;
        Some((UnixMillis(u64::from_be_bytes(*at)), address))
    }
}

impl Row {
    pub(in crate::vault) fn encode(&self) -> Result<Vec<u8>, IntegrityError> {
        postcard::to_extend(self, vec![VERSION]).map_err(|_| IntegrityError::Damaged)
    }

    /// Reads what stands under the document's key. A sealed part of another document is [`IntegrityError::Tampered`].
    pub(in crate::vault) fn decode(bytes: &[u8], address: &Address) -> Result<Self, IntegrityError> {
        let row: Self = match bytes.split_first() {
            Some((&VERSION, body)) => match postcard::take_from_bytes(body) {
                Ok((row, [])) => row,
                _ => return Err(IntegrityError::Damaged),
            },
            Some((newer, _)) if *newer > VERSION => return Err(IntegrityError::NewerFormat),
            _ => return Err(IntegrityError::Damaged),
        };
        match &row.sealed {
            Some(sealed) if !identity::belongs_to(sealed.record, address) => Err(IntegrityError::Tampered),
            _ => Ok(row),
        }
    }

    /// Whether it is past its time.
    pub(super) fn expired(&self, now: UnixMillis) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

impl DocumentKind {
    const ALL: [Self; 23] = [
        Self::Order,
        Self::Transaction,
        Self::Session,
        Self::Maintenance,
        Self::Conflict,
        Self::NetworkToken,
        Self::NetworkTokenNumber,
        Self::Customer,
        Self::CustomerReference,
        Self::DeletedMethod,
        Self::MethodIntent,
        Self::MethodSession,
        Self::Record,
        Self::RecordContent,
        Self::Fingerprint,
        Self::Person,
        Self::ShopperPayment,
        Self::ShopperPaymentName,
        Self::Agreement,
        Self::AgreementOfToken,
        Self::Notification,
        Self::Nonce,
        Self::DeadNotification,
    ];

    /// Stored and bound: never used again for anything else.
    fn id(self) -> u8 {
        match self {
            Self::Order => 1,
            Self::Transaction => 2,
            Self::Session => 3,
            Self::Maintenance => 4,
            Self::Conflict => 5,
            Self::NetworkToken => 6,
            Self::NetworkTokenNumber => 7,
            Self::Customer => 20,
            Self::CustomerReference => 21,
            Self::DeletedMethod => 22,
            Self::MethodIntent => 23,
            Self::MethodSession => 24,
            Self::Record => 32,
            Self::RecordContent => 33,
            Self::Fingerprint => 34,
            Self::Person => 35,
            Self::ShopperPayment => 48,
            Self::ShopperPaymentName => 49,
            Self::Agreement => 50,
            Self::AgreementOfToken => 51,
            Self::Notification => 52,
            Self::Nonce => 53,
            Self::DeadNotification => 54,
        }
    }

    /// The longest sealed part in bytes.
    pub(super) fn secret_max(self) -> usize {
        match self {
            Self::Record => MAX_TEXT,
            Self::Agreement
            | Self::AgreementOfToken
            | Self::Conflict
            | Self::Customer
            | Self::CustomerReference
            | Self::DeadNotification
            | Self::DeletedMethod
            | Self::Fingerprint
            | Self::Maintenance
            | Self::MethodIntent
            | Self::MethodSession
            | Self::NetworkToken
            | Self::NetworkTokenNumber
            | Self::Nonce
            | Self::Notification
            | Self::Order
            | Self::Person
            | Self::RecordContent
            | Self::Session
            | Self::ShopperPayment
            | Self::ShopperPaymentName
            | Self::Transaction => Document::SECRET_MAX,
        }
    }

    fn of_id(id: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.id() == id)
    }
}

/// Whether a document can have the name.
pub(super) fn fits(name: &str) -> bool {
    (1..=Document::NAME_MAX).contains(&name.len())
}

/// All documents of a merchant.
pub(super) fn of_merchant(merchant: &MerchantId) -> Key {
    // a merchant's id has at most 64 bytes
    let length = u8::try_from(merchant.as_str().len()).unwrap_or(u8::MAX);
    tables::key(tables::DOCUMENT, &[&[length], merchant.as_str().as_bytes()])
}

/// All documents of one kind of a merchant.
pub(super) fn of_kind(merchant: &MerchantId, kind: DocumentKind) -> Key {
    let Key(mut bytes) = of_merchant(merchant);
    bytes.push(kind.id());
    Key(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::{RecordId, RepositoryId};

    fn address(merchant: &str, kind: DocumentKind, name: &str) -> Address {
        Address {
            merchant: MerchantId::parse(merchant).unwrap(),
            kind,
            name: name.to_owned(),
        }
    }

    fn row(sealed: Option<SealedSecret>) -> Row {
        Row {
            expires_at: Some(UnixMillis(300)),
            sealed,
            clear: b"{}".to_vec(),
        }
    }

    proptest! {
        #[test]
        fn keys_read_back_and_stand_for_one_document(
            a in "[a-z_.-]{1,64}", x in "\\PC{1,50}", b in "[a-z_.-]{1,64}", y in "\\PC{1,50}",
            kinds in (0..DocumentKind::ALL.len(), 0..DocumentKind::ALL.len()), at in any::<u64>(),
        ) {
            let one = address(&a, DocumentKind::ALL[kinds.0], &x);
            let other = address(&b, DocumentKind::ALL[kinds.1], &y);
            prop_assert_eq!(Address::parse(&one.key()), Some(one.clone()));
            let entry = one.expiry_key(UnixMillis(at));
            prop_assert_eq!(Address::parse_expiry(&entry), Some((UnixMillis(at), one.clone())));
            prop_assert_eq!(one.key() == other.key(), one == other);
        }
    }

    #[test]
    fn merchants_that_begin_alike_do_not_share_a_prefix() {
        let of = |merchant: &str| of_merchant(&MerchantId::parse(merchant).unwrap()).0;
        assert!(!of("ab").starts_with(&of("a")));
    }

    #[test]
    fn a_row_reads_back_at_its_own_address_only() {
        let here = address("shop", DocumentKind::Order, "1");
        let sealed = SealedSecret {
            repository: RepositoryId(1),
            record: identity::fresh_for(&here).unwrap(),
            sealed: vec![7; 90],
        };
        let bytes = row(Some(sealed.clone())).encode().unwrap();
        assert_eq!(Row::decode(&bytes, &here).unwrap(), row(Some(sealed)));
        let there = address("shop", DocumentKind::Order, "2");
        assert_eq!(Row::decode(&bytes, &there), Err(IntegrityError::Tampered));
        let newer = [&[VERSION + 1], &bytes[1..]].concat();
        assert_eq!(Row::decode(&newer, &here), Err(IntegrityError::NewerFormat));
        for end in 0..bytes.len() {
            assert_eq!(Row::decode(&bytes[..end], &here), Err(IntegrityError::Damaged), "{end}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(Row::decode(&longer, &here), Err(IntegrityError::Damaged));
    }

    /// What version 1 wrote must be read for ever.
    #[test]
    fn the_stored_form_stays() {
        let here = address("m", DocumentKind::Maintenance, "n");
        assert_eq!(here.key().0, [0x30, 1, b'm', 4, b'n']);
        let entry = here.expiry_key(UnixMillis(2));
        assert_eq!(entry.0, [0x31, 0, 0, 0, 0, 0, 0, 0, 2, 1, b'm', 4, b'n']);
        let sealed = SealedSecret {
            repository: RepositoryId(5),
            record: RecordId([9; 16]),
            sealed: vec![3, 4],
        };
        let expected = [&[1, 1, 0xac, 2, 1, 5][..], &[9; 16], &[2, 3, 4, 2, b'{', b'}']].concat();
        assert_eq!(row(Some(sealed)).encode().unwrap(), expected);
        for (id, kind) in [
            (1, DocumentKind::Order),
            (2, DocumentKind::Transaction),
            (3, DocumentKind::Session),
            (6, DocumentKind::NetworkToken),
            (7, DocumentKind::NetworkTokenNumber),
            (20, DocumentKind::Customer),
            (21, DocumentKind::CustomerReference),
            (22, DocumentKind::DeletedMethod),
            (23, DocumentKind::MethodIntent),
            (24, DocumentKind::MethodSession),
            (32, DocumentKind::Record),
            (33, DocumentKind::RecordContent),
            (34, DocumentKind::Fingerprint),
            (35, DocumentKind::Person),
        ] {
            assert_eq!(address("m", kind, "n").key().0, [0x30, 1, b'm', id, b'n']);
        }
    }
}
