//! The receipt of a deletion.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde_json::{Map, Value};

use super::statement::{Kind, Statement, StatementFault};
use crate::hsm::{Epoch, PublicKey};
use crate::id::{MerchantId, RecordId, RepositoryName, Token, UnixMillis, VaultId};

/// What was deleted.
///
/// The audit record's number is not here: the store gives it in the commit that deletes, and the receipt is signed
/// before that, so that no deletion is ever without one. The audit record names token and time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    /// Where.
    pub vault: VaultId,
    /// The token's owner.
    pub repository: RepositoryName,
    /// Who asked; where an operator did, whose it was.
    pub merchant: MerchantId,
    /// What is gone.
    pub token: Token,
    /// Its record.
    pub record: RecordId,
    /// The sealed card that is gone with it; `None` where it went before (a spent single-use token).
    pub sealed: Option<SealedDigest>,
    /// When.
    pub deleted_at: UnixMillis,
}

/// Names a sealed card without holding it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedDigest {
    /// The KEK that wrapped its DEK: once that is destroyed, old copies of the bytes are worth nothing.
    pub epoch: Epoch,
    /// CKA_ID of that KEK, hex: epochs of another token may have the same number.
    pub kek: Option<String>,
    /// SHA-256 of the stored form, the wrapped DEK included.
    pub sha256: [u8; 32],
}

impl Deletion {
    /// Its receipt, still to be signed by the key of `public`.
    ///
    /// # Errors
    /// [`StatementFault::Member`]: `public` is no key.
    pub fn receipt(&self, public: &PublicKey) -> Result<Statement, StatementFault> {
        let mut says = Map::new();
        let mut set = |name: &str, value: Value| says.insert(name.to_owned(), value);
        set("repository", self.repository.as_str().into());
        set("merchant", self.merchant.as_str().into());
        set("token", self.token.as_str().into());
        set("record", HEXLOWER.encode(&self.record.0).into());
        if let Some(sealed) = &self.sealed {
            set("kek_epoch", sealed.epoch.0.into());
            if let Some(kek) = &sealed.kek {
                set("cka_id", kek.as_str().into());
            }
            set("sealed_sha256", BASE64URL_NOPAD.encode(&sealed.sha256).into());
        }
        set("deleted_at", self.deleted_at.to_string().into());
        Statement::unsigned(Kind::Deletion, &self.vault, says, public)
    }
}
