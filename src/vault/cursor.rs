//! Where a page of a search ended, as an opaque text. It holds the position in the index (a token, and the time of its
//! last change where that is the index) and a check value of the search it belongs to: never a PAN, never a fingerprint.
//! Positions are not counted from the start, so tokens that come and go in between shift nothing.

use data_encoding::BASE64URL_NOPAD;
use ring::digest::{Context, SHA256};

use super::tables;
use super::types::{CallerError, Query, Status};
use crate::card::Expiry;
use crate::id::RepositoryId;
use crate::keys::Fingerprint;

const VERSION: u8 = 1;

/// Longer than any that was given out.
const TEXT_MAX: usize = 256;

/// What a search asked for, hashed: a cursor serves only the search that gave it out. The limit may change in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Check([u8; 8]);

impl Check {
    /// The PAN goes in by its fingerprint, which nobody can make without the HSM.
    pub(super) fn of(repository: RepositoryId, query: &Query, pan: Option<&Fingerprint>) -> Self {
        let Query {
            pan: _,
            namespace,
            bin,
            last4,
            expiry_from,
            expiry_to,
            updated_since,
            status,
            limit: _,
            cursor: _,
        } = query;
        let month = |at: &Option<Expiry>| at.map(|at| format!("{:04}-{:02}", at.year(), at.month()));
        let parts = [
            namespace.as_ref().map(|name| name.as_str().to_owned()),
            bin.clone(),
            last4.clone(),
            month(expiry_from),
            month(expiry_to),
            updated_since.map(|at| at.0.to_string()),
            status.map(|status| {
                match status {
                    Status::Active => "active",
                    Status::Inactive => "inactive",
                    Status::Spent => "spent",
                }
                .to_owned()
            }),
        ];
        let mut hash = Context::new(&SHA256);
        hash.update(b"panvault cursor v1");
        hash.update(&repository.0.to_be_bytes());
        hash.update(pan.map_or(&[], |fingerprint| &fingerprint.0));
        for part in parts {
            // no part has a zero byte
            hash.update(part.as_deref().unwrap_or("-").as_bytes());
            hash.update(&[u8::from(part.is_some()), 0]);
        }
        let mut check = [0; 8];
        check
            .iter_mut()
            .zip(hash.finish().as_ref())
            .for_each(|(to, from)| *to = *from);
        Self(check)
    }

    /// The text of a cursor at `position`: the end of an index key, behind its prefix.
    pub(super) fn cursor(self, position: &[u8]) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&self.0);
        bytes.extend_from_slice(position);
        BASE64URL_NOPAD.encode(&bytes)
    }

    /// The position that `text` holds; `timed` where eight bytes of time stand before the token.
    ///
    /// # Errors
    /// [`CallerError::BadCursor`].
    pub(super) fn position(self, text: &str, timed: bool) -> Result<Vec<u8>, CallerError> {
        if text.len() > TEXT_MAX {
            return Err(CallerError::BadCursor);
        }
        let bytes = BASE64URL_NOPAD
            .decode(text.as_bytes())
            .map_err(|_| CallerError::BadCursor)?;
        let position = bytes
            .strip_prefix(&[VERSION])
            .and_then(|rest| rest.strip_prefix(&self.0))
            .ok_or(CallerError::BadCursor)?;
        let token = position.get(if timed { 8 } else { 0 }..);
        match token.and_then(tables::parse_token) {
            Some(_) => Ok(position.to_vec()),
            None => Err(CallerError::BadCursor),
        }
    }
}
