//! Opaque records: a JSON text, sealed, that the caller finds again by the names it gave it.

use super::Person;
use crate::id::{Token, UnixMillis};

/// What becomes of a record of the same name that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutMode {
    /// It stays as it is.
    Insert,
    /// The new one takes its place.
    Upsert,
}

/// A record to be kept.
pub struct NewRecord<'a> {
    /// Whose and which it is: one record has these names.
    pub name: &'a Person,
    /// What it holds, where one of the same content is taken for it.
    pub content: Option<Content<'a>>,
    /// One JSON value, kept as it is written; no security code, track or PIN data in it.
    pub text: &'a str,
    /// What fingerprints of its content are made of: they go when it does.
    pub fingerprints: &'a [Person],
    /// What becomes of one that is there.
    pub mode: PutMode,
    /// Removed after this.
    pub expires_at: Option<UnixMillis>,
}

/// What a record holds, where that is unique.
#[derive(Clone, Copy)]
pub struct Content<'a> {
    /// What it is.
    pub what: &'a Person,
    /// The token that is given with it.
    pub token: &'a Token,
    /// What a record is called that was given with a token.
    pub record_of: &'a (dyn Fn(&Token) -> Person + Sync),
}

/// How keeping a record ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// It is new.
    Created,
    /// It took the place of another.
    Replaced,
    /// There is one of its names already, which stays.
    There,
    /// There is one of its content already: the token that was given with that one.
    Alike(Token),
}
