//! Where a page of a search ended, as an opaque text. It holds the position in the index (a token, or the hash that stands
//! for it, and the time of its last change where that is the index) and a check value of the search it belongs to: never a
//! PAN, never a fingerprint.
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

    /// The position that `text` holds; `timed` where eight bytes of time stand before the end of the key.
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
        match position.get(if timed { 8 } else { 0 }..) {
            // the start of an index that comes behind another one
            Some([]) if !timed => Ok(Vec::new()),
            Some(end) if tables::is_end(end) => Ok(position.to_vec()),
            Some(_) | None => Err(CallerError::BadCursor),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::{Namespace, UnixMillis};

    fn check(query: &Query) -> Check {
        Check::of(RepositoryId(7), query, None)
    }

    fn searches() -> Vec<Query> {
        let month = |month, year| Some(Expiry::new(month, year).unwrap());
        vec![
            Query::default(),
            Query {
                namespace: Some(Namespace::parse("4111").unwrap()),
                ..Query::default()
            },
            Query {
                bin: Some("411111".to_owned()),
                ..Query::default()
            },
            Query {
                last4: Some("4111".to_owned()),
                ..Query::default()
            },
            Query {
                expiry_from: month(1, 2030),
                ..Query::default()
            },
            Query {
                expiry_to: month(1, 2030),
                ..Query::default()
            },
            Query {
                updated_since: Some(UnixMillis(4111)),
                ..Query::default()
            },
            Query {
                status: Some(Status::Active),
                ..Query::default()
            },
            Query {
                status: Some(Status::Spent),
                ..Query::default()
            },
        ]
    }

    #[test]
    fn a_cursor_serves_only_its_own_search() {
        for (at, query) in searches().iter().enumerate() {
            let cursor = check(query).cursor(b"tok_a");
            for (other_at, other) in searches().iter().enumerate() {
                let position = check(other).position(&cursor, false);
                assert_eq!(position.is_ok(), at == other_at, "{at} {other_at}");
            }
            assert!(
                Check::of(RepositoryId(8), query, None)
                    .position(&cursor, false)
                    .is_err()
            );
            assert!(
                Check::of(RepositoryId(7), query, Some(&Fingerprint([1; 32])))
                    .position(&cursor, false)
                    .is_err()
            );
        }
        let wider = Query {
            limit: 1000,
            cursor: Some("x".to_owned()),
            ..Query::default()
        };
        assert_eq!(check(&wider), check(&Query::default()), "the limit may change");
    }

    #[test]
    fn a_cursor_of_a_search_by_pan_holds_neither_pan_nor_fingerprint() {
        let fingerprint = Fingerprint([0xab; 32]);
        let text = Check::of(RepositoryId(7), &Query::default(), Some(&fingerprint)).cursor(b"tok_a");
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).unwrap();
        assert_eq!(bytes.len(), 1 + 8 + 5);
        assert!(!bytes.windows(4).any(|part| part == [0xab; 4]));
    }

    proptest! {
        #[test]
        fn positions_come_back(token in "[a-z0-9_]{1,128}", time in any::<u64>()) {
            let check = check(&Query::default());
            let cursor = check.cursor(token.as_bytes());
            prop_assert!(cursor.len() <= TEXT_MAX);
            prop_assert_eq!(check.position(&cursor, false).unwrap(), token.as_bytes());
            let timed = [&time.to_be_bytes()[..], token.as_bytes()].concat();
            let cursor = check.cursor(&timed);
            prop_assert!(cursor.len() <= TEXT_MAX);
            prop_assert_eq!(check.position(&cursor, true).unwrap(), timed);
        }

        #[test]
        fn any_other_text_is_refused(text in "\\PC{0,300}", timed in any::<bool>()) {
            prop_assert_eq!(check(&Query::default()).position(&text, timed), Err(CallerError::BadCursor));
        }
    }
}
