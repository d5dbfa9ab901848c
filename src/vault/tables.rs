//! Every table that the core keeps in the store, and how its keys are laid out. The one place where a table's byte is
//! given out: the engine keeps the bytes below `0x10` for itself.
//!
//! | byte | table | key after the byte | value |
//! |---|---|---|---|
//! | `0x10` | record | repository, token | [`Record`](super::record::Record) |
//! | `0x11` | PAN index | repository, first 16 bytes of the fingerprint, token | - |
//! | `0x11` | the same of a person's card, unique | repository, the 16 bytes, a zero, 16 bytes: hash of fingerprint, person and uses | repository, token |
//! | `0x12` | reuse key, unique | 16 bytes: hash of fingerprint, scope and uses | repository, token |
//! | `0x13` | namespace index | repository, length, namespace, token | - |
//! | `0x14` | updated-at index | repository, milliseconds, token | - |
//! | `0x15` | expiry index, only of tokens that expire | milliseconds, repository, token | - |
//! | `0x16` | idempotency | day, 16 bytes: hash of its scope | [`Entry`](super::idempotency::Entry) |
//! | `0x17` | last use | repository, token | milliseconds |
//! | `0x18` | the vault's own | - | its id |
//! | `0x19` | second name, unique | repository, name | repository, token |
//! | `0x1a` | place in a namespace of limited size | repository, length, namespace, number | repository, token |
//! | `0x1b` | the last KEK rotation | - | how far it is |
//! | `0x1c` | the fingerprint keys in use | - | which |
//! | `0x1d` | the last rotation of the fingerprint key | - | how far it is |
//! | `0x1e` | audit key handovers on record | - | how many |
//! | `0x1f` | data keys that a KEK wrapped | epoch | at most so many: 8 bytes |
//! | `0x32` | the end of a KEK | epoch | [`Destruction`](super::destroy::Destruction) |
//! | `0x20` to `0x2f` | merchants, repositories, credentials | see the modules of access | |
//! | `0x30` | document | length, merchant, kind, name | [`Row`](super::documents::Row) |
//! | `0x31` | document expiry index, only of documents that expire | milliseconds, the document's key after its byte | - |
//! | `0x40` to `0x43` | operators, ceremonies, approved files | see [`custody`](crate::custody) | |
//!
//! Numbers are big-endian, so that the order of the bytes is the order of the numbers. A repository is 4 bytes,
//! milliseconds 8, a day and an epoch 4, a length and a kind 1; a token or a name comes last and needs no length.

mod own;

use std::ops::Bound;

pub(super) use self::own::{
    all_kek_ops, fingerprint_keys, handovers, kek_end, kek_ops, owner, refingerprint, rotation,
};
use crate::id::{Namespace, RepositoryId, Token, UnixMillis};
use crate::keys::Fingerprint;
use crate::store::Key;

/// The table of the records: what the store counts as such.
pub const RECORD: u8 = 0x10;
const PAN: u8 = 0x11;
const REUSE: u8 = 0x12;
const NAMESPACE: u8 = 0x13;
const UPDATED: u8 = 0x14;
const EXPIRY: u8 = 0x15;
const IDEMPOTENCY: u8 = 0x16;
const LAST_USED: u8 = 0x17;
const ALIAS: u8 = 0x19;
const SLOT: u8 = 0x1a;
/// The table of the documents.
pub(super) const DOCUMENT: u8 = 0x30;
/// When documents expire.
pub(super) const DOCUMENT_EXPIRY: u8 = 0x31;

/// The records and everything that leads to one.
pub(super) const CHECKED: [u8; 9] = [RECORD, PAN, REUSE, NAMESPACE, UPDATED, EXPIRY, LAST_USED, ALIAS, SLOT];

/// What a PAN is found by: 128 bits of its fingerprint, enough that two never meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct PanIndex(pub(super) [u8; 16]);

impl PanIndex {
    pub(super) fn of(fingerprint: &Fingerprint) -> Self {
        Self(half(&fingerprint.0))
    }
}

/// The first 16 bytes of a hash.
pub(super) fn half(hash: &[u8]) -> [u8; 16] {
    let mut half = [0; 16];
    half.iter_mut().zip(hash).for_each(|(to, from)| *to = *from);
    half
}

pub(super) fn key(table: u8, parts: &[&[u8]]) -> Key {
    let mut bytes = Vec::with_capacity(1 + parts.iter().map(|part| part.len()).sum::<usize>());
    bytes.push(table);
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    Key(bytes)
}

pub(super) fn record(repository: RepositoryId, token: &Token) -> Key {
    key(RECORD, &[&repository.0.to_be_bytes(), token.as_str().as_bytes()])
}

pub(super) fn pan(repository: RepositoryId, pan: PanIndex, token: &Token) -> Key {
    key(PAN, &[&repository.0.to_be_bytes(), &pan.0, token.as_str().as_bytes()])
}

/// What a person's card is found by, by its PAN and as the person's at once. No token begins with a zero.
pub(super) fn personal(repository: RepositoryId, pan: PanIndex, hash: &[u8; 16]) -> Key {
    key(PAN, &[&repository.0.to_be_bytes(), &pan.0, &[0], hash])
}

/// Where a card leads to its one token.
pub(super) fn one_token(repository: RepositoryId, pan: PanIndex, hash: &[u8; 16], is_personal: bool) -> Key {
    match is_personal {
        true => personal(repository, pan, hash),
        false => reuse(hash),
    }
}

/// Whether keys of an index that searches walk through end like this: with a token, or as [`personal`] does.
pub(super) fn is_end(bytes: &[u8]) -> bool {
    match bytes {
        [0, hash @ ..] => hash.len() == 16,
        token => parse_token(token).is_some(),
    }
}

pub(super) fn reuse(hash: &[u8; 16]) -> Key {
    key(REUSE, &[hash])
}

pub(super) fn reuse_value(repository: RepositoryId, token: &Token) -> Vec<u8> {
    [&repository.0.to_be_bytes(), token.as_str().as_bytes()].concat()
}

pub(super) fn namespace(repository: RepositoryId, namespace: &Namespace, token: &Token) -> Key {
    let Key(mut bytes) = namespace_prefix(repository, namespace);
    bytes.extend_from_slice(token.as_str().as_bytes());
    Key(bytes)
}

pub(super) fn updated(repository: RepositoryId, at: UnixMillis, token: &Token) -> Key {
    key(
        UPDATED,
        &[
            &repository.0.to_be_bytes(),
            &at.0.to_be_bytes(),
            token.as_str().as_bytes(),
        ],
    )
}

pub(super) fn alias(repository: RepositoryId, alias: &Token) -> Key {
    key(ALIAS, &[&repository.0.to_be_bytes(), alias.as_str().as_bytes()])
}

/// All places that are taken in a namespace.
pub(super) fn slots(repository: RepositoryId, namespace: &Namespace) -> Key {
    of_namespace(SLOT, repository, namespace)
}

pub(super) fn slot(repository: RepositoryId, namespace: &Namespace, number: u8) -> Key {
    let Key(mut bytes) = slots(repository, namespace);
    bytes.push(number);
    Key(bytes)
}

pub(super) fn expiry(at: UnixMillis, repository: RepositoryId, token: &Token) -> Key {
    key(
        EXPIRY,
        &[
            &at.0.to_be_bytes(),
            &repository.0.to_be_bytes(),
            token.as_str().as_bytes(),
        ],
    )
}

pub(super) fn idempotency(day: u32, scope: &[u8; 16]) -> Key {
    key(IDEMPOTENCY, &[&day.to_be_bytes(), scope])
}

pub(super) fn last_used(repository: RepositoryId, token: &Token) -> Key {
    key(LAST_USED, &[&repository.0.to_be_bytes(), token.as_str().as_bytes()])
}

/// All records of a repository.
pub(super) fn record_prefix(repository: RepositoryId) -> Key {
    key(RECORD, &[&repository.0.to_be_bytes()])
}

/// All tokens of one PAN in a repository.
pub(super) fn pan_prefix(repository: RepositoryId, pan: PanIndex) -> Key {
    key(PAN, &[&repository.0.to_be_bytes(), &pan.0])
}

/// All tokens of a namespace.
pub(super) fn namespace_prefix(repository: RepositoryId, namespace: &Namespace) -> Key {
    of_namespace(NAMESPACE, repository, namespace)
}

fn of_namespace(table: u8, repository: RepositoryId, namespace: &Namespace) -> Key {
    // a namespace has at most 64 bytes
    let length = u8::try_from(namespace.as_str().len()).unwrap_or(u8::MAX);
    key(
        table,
        &[&repository.0.to_be_bytes(), &[length], namespace.as_str().as_bytes()],
    )
}

/// All tokens of a repository by their last change.
pub(super) fn updated_prefix(repository: RepositoryId) -> Key {
    key(UPDATED, &[&repository.0.to_be_bytes()])
}

/// The entries of the expiry index up to and including `now`.
pub(super) fn expired_until(now: UnixMillis) -> (Bound<Key>, Bound<Key>) {
    (
        Bound::Included(key(EXPIRY, &[])),
        Bound::Excluded(key(EXPIRY, &[&now.plus(1).0.to_be_bytes()])),
    )
}

/// The idempotency entries of all days before `day`.
pub(super) fn idempotency_before(day: u32) -> (Bound<Key>, Bound<Key>) {
    (
        Bound::Included(key(IDEMPOTENCY, &[])),
        Bound::Excluded(key(IDEMPOTENCY, &[&day.to_be_bytes()])),
    )
}

/// The end of the keys that begin with `prefix`.
pub(super) fn end_of(prefix: &Key) -> Bound<Key> {
    let mut bytes = prefix.0.clone();
    while let Some(last) = bytes.pop() {
        if let Some(next) = last.checked_add(1) {
            bytes.push(next);
            return Bound::Excluded(Key(bytes));
        }
    }
    Bound::Unbounded
}

/// What an entry of the expiry index says: when, and which token.
pub(super) fn parse_expiry(key: &Key) -> Option<(UnixMillis, RepositoryId, Token)> {
    let rest = key.0.strip_prefix(&[EXPIRY])?;
    let (at, rest) = rest.split_first_chunk::<8>()?;
    let (repository, token) = rest.split_first_chunk::<4>()?;
    Some((
        UnixMillis(u64::from_be_bytes(*at)),
        RepositoryId(u32::from_be_bytes(*repository)),
        parse_token(token)?,
    ))
}

/// Which token the value of a reuse key, a second name or a place names.
pub(super) fn parse_reuse(value: &[u8]) -> Option<(RepositoryId, Token)> {
    let (repository, token) = value.split_first_chunk::<4>()?;
    Some((RepositoryId(u32::from_be_bytes(*repository)), parse_token(token)?))
}

/// Which record an entry of a table in [`CHECKED`] is, or leads to.
pub(super) fn owner_of(key: &Key, value: &[u8]) -> Option<(RepositoryId, Token)> {
    let (table, rest) = key.0.split_first()?;
    if *table == EXPIRY {
        return parse_expiry(key).map(|(_, repository, token)| (repository, token));
    }
    if matches!(*table, REUSE | ALIAS | SLOT) || (*table == PAN && !value.is_empty()) {
        return parse_reuse(value);
    }
    let (repository, rest) = rest.split_first_chunk::<4>()?;
    let token = match *table {
        RECORD | LAST_USED => rest,
        PAN => rest.get(16..)?,
        UPDATED => rest.get(8..)?,
        NAMESPACE => {
            let (length, rest) = rest.split_first()?;
            rest.get(usize::from(*length)..)?
        }
        _ => return None,
    };
    Some((RepositoryId(u32::from_be_bytes(*repository)), parse_token(token)?))
}

/// The name, for people, of the table that `key` is in.
pub(super) fn name_of(key: &Key) -> &'static str {
    match key.0.first() {
        Some(&RECORD) => "records",
        Some(&PAN) => "PAN index",
        Some(&REUSE) => "reuse keys",
        Some(&NAMESPACE) => "namespace index",
        Some(&UPDATED) => "updated-at index",
        Some(&EXPIRY) => "expiry index",
        Some(&LAST_USED) => "times of last use",
        Some(&ALIAS) => "second names",
        Some(&SLOT) => "places in namespaces",
        Some(&DOCUMENT) => "documents",
        Some(&DOCUMENT_EXPIRY) => "document expiry index",
        _ => "another table",
    }
}

/// A token at the end of a key.
pub(super) fn parse_token(bytes: &[u8]) -> Option<Token> {
    Token::parse(std::str::from_utf8(bytes).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_that_begin_alike_do_not_share_a_prefix() {
        let of = |text: &str| namespace_prefix(RepositoryId(1), &Namespace::parse(text).unwrap()).0;
        assert!(!of("ab").starts_with(&of("a")));
    }

    #[test]
    fn the_end_of_a_prefix_lies_behind_all_its_keys() {
        assert_eq!(end_of(&Key(vec![1, 2])), Bound::Excluded(Key(vec![1, 3])));
        assert_eq!(end_of(&Key(vec![1, 0xff, 0xff])), Bound::Excluded(Key(vec![2])));
        assert_eq!(end_of(&Key(vec![0xff])), Bound::Unbounded);
    }

    #[test]
    fn an_expiry_key_reads_back() {
        let token = Token::parse("tok_x").unwrap();
        let key = expiry(UnixMillis(77), RepositoryId(3), &token);
        assert_eq!(parse_expiry(&key), Some((UnixMillis(77), RepositoryId(3), token)));
        let (_, Bound::Excluded(to)) = expired_until(UnixMillis(77)) else {
            panic!("an open end")
        };
        assert!(key < to);
        let (_, Bound::Excluded(to)) = expired_until(UnixMillis(76)) else {
            panic!("an open end")
        };
        assert!(key >= to);
    }
}
