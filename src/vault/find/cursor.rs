//! Where a composed search goes on, as a text that holds all of it: filter, limit, position. It is sealed, because it
//! goes through clients' hands and a filter may have been a card number; and it opens only for the repository and the
//! merchant that it was given to. The key comes from the HSM's MAC key, so it is the same after a restart.

use data_encoding::BASE64URL_NOPAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use super::filter::Test;
use crate::id::fill_random;
use crate::keys::SecretBytes;
use crate::vault::types::{Actor, CallerError, Error, IntegrityError};
use crate::vault::{Vault, screen};

const VERSION: u8 = 2;

/// What the key's MAC is separated by from all others.
const DOMAIN: &str = "panvault search cursor v1";

/// Longer than any text that was given out, bytes.
const TEXT_MAX: usize = 4 * 1024;

/// The longest filter, encoded: what fits into a cursor beside the longest position.
const FILTER_MAX: usize = 2_800;

/// The key of the cursors, made when it is first needed.
#[derive(Default)]
pub(in crate::vault) struct CursorKey(OnceCell<LessSafeKey>);

/// Where a page ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    pub(super) branch: usize,
    /// Which of the branch's indexes.
    pub(super) index: usize,
    /// The end of the last key in the branch's index; none at its start.
    pub(super) after: Option<Vec<u8>>,
}

/// A search on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Resumed {
    pub(super) test: Test,
    pub(super) limit: u32,
    /// The fingerprint key that was active when the filter was read.
    pub(super) under: u32,
    pub(super) position: Position,
}

impl Vault {
    /// The text of a cursor.
    pub(super) async fn cursor(&self, actor: &Actor, search: &Resumed) -> Result<String, Error> {
        let mut sealed = postcard::to_allocvec(search).map_err(|_| IntegrityError::Damaged)?;
        let mut iv = [0; NONCE_LEN];
        fill_random(&mut iv)?;
        self.cursor_key()
            .await?
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(iv), place(actor), &mut sealed)
            .map_err(|_| IntegrityError::Damaged)?;
        let bytes = [&[VERSION], iv.as_slice(), &sealed].concat();
        Ok(BASE64URL_NOPAD.encode(&bytes))
    }

    /// What a cursor holds.
    ///
    /// # Errors
    /// [`CallerError::BadCursor`], or the HSM does not work.
    pub(super) async fn resume(&self, actor: &Actor, text: &str) -> Result<Resumed, Error> {
        let bad = || Error::Caller(CallerError::BadCursor);
        if text.len() > TEXT_MAX {
            return Err(bad());
        }
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| bad())?;
        let rest = bytes.strip_prefix(&[VERSION]).ok_or_else(bad)?;
        let (iv, sealed) = rest.split_first_chunk::<NONCE_LEN>().ok_or_else(bad)?;
        let mut sealed = sealed.to_vec();
        let opened = self
            .cursor_key()
            .await?
            .open_in_place(Nonce::assume_unique_for_key(*iv), place(actor), &mut sealed)
            .map_err(|_| bad())?;
        postcard::from_bytes(opened).map_err(|_| bad())
    }

    async fn cursor_key(&self) -> Result<&LessSafeKey, Error> {
        self.cursors
            .0
            .get_or_try_init(|| async {
                let key = self.sealer.mac(DOMAIN, SecretBytes::new(Vec::new())).await?;
                let key = Zeroizing::new(key);
                let key = UnboundKey::new(&AES_256_GCM, key.as_slice()).map_err(|_| IntegrityError::Damaged)?;
                Ok(LessSafeKey::new(key))
            })
            .await
    }
}

/// Refuses a filter that no cursor could hold.
pub(super) fn check(test: &Test) -> Result<(), Error> {
    let encoded = postcard::to_allocvec(test).map_err(|_| IntegrityError::Damaged)?;
    if encoded.len() > FILTER_MAX {
        return Err(screen::refused("query", "is too long"));
    }
    Ok(())
}

/// Whose cursor it is.
fn place(actor: &Actor) -> Aad<Vec<u8>> {
    // the repository's number has a fixed length, and the merchant's name comes last
    Aad::from(
        [
            &[VERSION],
            actor.repository.0.to_be_bytes().as_slice(),
            actor.merchant.as_str().as_bytes(),
        ]
        .concat(),
    )
}
