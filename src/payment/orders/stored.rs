//! Orders and transactions as documents. An order's is its view.
//!
//! Ids may have any characters and 160 bytes each, so documents are named by their SHA-256: an order's transactions then
//! begin with the order's name, no two ids run into each other, and a name fits. The ids themselves stand inside.

use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::types::TransactionView;
use crate::payment::Error;
use crate::vault::types::Document;

/// What the documents of a transaction and its order are called.
pub(super) struct Names {
    /// 64 hexadecimal digits of the order, 64 of the transaction.
    whole: String,
}

/// A transaction as it is stored.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredTransaction {
    /// Its place among the order's, from 0.
    pub(super) ordinal: u32,
    /// The MAC of its request, hexadecimal.
    pub(super) request_mac: String,
    pub(super) view: TransactionView,
}

/// A transaction as it was read.
pub(super) struct HeldTransaction {
    pub(super) document: Document,
    pub(super) stored: StoredTransaction,
}

impl Names {
    pub(super) fn new(order: &str, transaction: &str) -> Self {
        let hex = |id: &str| HEXLOWER.encode(digest(&SHA256, id.as_bytes()).as_ref());
        Self {
            whole: hex(order) + &hex(transaction),
        }
    }

    /// The order's document; every name of its transactions begins with it.
    pub(super) fn order(&self) -> &str {
        self.whole.get(..ORDER_LENGTH).unwrap_or_default()
    }

    /// The transaction's document, and the key by which the acquirer knows a repetition.
    pub(super) fn transaction(&self) -> &str {
        &self.whole
    }
}

impl HeldTransaction {
    pub(super) fn read(document: Document) -> Result<Self, Error> {
        let stored = decode(&document.clear)?;
        Ok(Self { document, stored })
    }
}

pub(super) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|_| Error::damaged())
}

pub(super) fn decode<T: DeserializeOwned>(clear: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(clear).map_err(|_| Error::damaged())
}

const ORDER_LENGTH: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_and_do_not_run_into_each_other() {
        let long = "\u{1f600}".repeat(40);
        let names = Names::new(&long, &long);
        assert!(names.transaction().len() <= 200);
        assert!(names.transaction().starts_with(names.order()));
        assert_ne!(Names::new("a", "bc").transaction(), Names::new("ab", "c").transaction());
        assert_eq!(Names::new("a", "b").order(), Names::new("a", "c").order());
        assert_ne!(Names::new("a", "b").order(), Names::new("A", "b").order());
    }
}
