//! Between the wire and the core; pure.

use serde::Serialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::problem::Problem;
use super::wire;
use crate::api::json;
use crate::card::{Expiry, Pan};
use crate::id::{Malformed, Namespace, Revision, Token, UnixMillis};
use crate::vault::types::{
    Change, Format, Idempotency, NewToken, Patch, Profile, Query, Reuse, Revealed, Status, Terms, Uses, View,
};

/// Tokens in a page when the caller does not say.
const DEFAULT_LIMIT: u32 = 100;

/// Last segments of paths under `/v1/tokens/`: a token of such a name could not be addressed.
const RESERVED: [&str; 3] = ["batch", "reveal-batch", "search"];

pub(super) fn new_token(wire: wire::CreateToken, idempotency: Option<Idempotency>) -> Result<NewToken, Problem> {
    let namespace = wire.namespace.as_deref().map(namespace).transpose()?;
    Ok(NewToken {
        pan: pan("card.number", &wire.card.number)?,
        expiry: Some(expiry("card.expiry", wire.card.expiry)?),
        profile: Profile {
            holder: wire.card.holder.map(|holder| holder.0),
            extra: wire.profile.map(|raw| text("profile", raw)).transpose()?,
        },
        format: format(wire.format, wire.token.as_deref())?,
        reuse: match wire.reuse {
            wire::Reuse::None => Reuse::Never,
            wire::Reuse::SameCard => Reuse::Return {
                scope: match &namespace {
                    Some(namespace) => [b"namespace:", namespace.as_str().as_bytes()].concat(),
                    None => Vec::new(),
                },
            },
        },
        namespace,
        metadata: wire.metadata.map(metadata).transpose()?,
        expires_at: wire
            .expires_at
            .as_deref()
            .map(|text| time("expires_at", text))
            .transpose()?,
        uses: wire.uses.into(),
        idempotency,
        verification: None,
        terms: Terms::default(),
    })
}

pub(super) fn patch(wire: wire::PatchToken, if_revision: Option<Revision>) -> Result<Patch, Problem> {
    Ok(Patch {
        expiry: change(wire.expiry, |value| expiry("expiry", value))?,
        holder: change(wire.holder, |value| Ok(value.0))?,
        extra: change(wire.profile, |value| text("profile", value))?,
        metadata: change(wire.metadata, metadata)?,
        expires_at: change(wire.expires_at, |value| time("expires_at", &value))?,
        status: match wire.status {
            wire::Member::Absent => None,
            wire::Member::Null => return Err(Problem::field("status", "cannot be cleared")),
            wire::Member::Value(status) => Some(status.into()),
        },
        if_revision,
        ..Patch::default()
    })
}

pub(super) fn query(wire: wire::Search) -> Result<Query, Problem> {
    Ok(Query {
        pan: wire.pan.as_ref().map(|value| pan("pan", value)).transpose()?,
        namespace: wire.namespace.as_deref().map(namespace).transpose()?,
        bin: wire.bin,
        last4: wire.last4,
        expiry_from: wire.expiry_from.map(|value| expiry("expiry_from", value)).transpose()?,
        expiry_to: wire.expiry_to.map(|value| expiry("expiry_to", value)).transpose()?,
        updated_since: wire
            .updated_since
            .as_deref()
            .map(|text| time("updated_since", text))
            .transpose()?,
        status: wire.status.map(Status::from),
        limit: wire.limit.unwrap_or(DEFAULT_LIMIT),
        cursor: wire.cursor,
    })
}

/// A revision from `If-Match`: `"3"` or `3`; `*` asks for nothing.
pub(super) fn if_match(value: &str) -> Result<Option<Revision>, Problem> {
    if value == "*" {
        return Ok(None);
    }
    let bare = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(value);
    match bare.parse() {
        Ok(revision) if bare.bytes().all(|b| b.is_ascii_digit()) => Ok(Some(Revision(revision))),
        _ => Err(Problem::header("If-Match", "must be one revision, such as \"3\"")),
    }
}

pub(super) fn masked_view(view: &View) -> Result<wire::MaskedView<'_>, Problem> {
    Ok(wire::MaskedView {
        token: view.token.as_str(),
        bin: &view.bin,
        last4: &view.last4,
        masked: &view.masked,
        brand: view.brand.as_deref(),
        funding: view.funding.as_deref(),
        country: view.country.as_deref(),
        expiry: view.expiry.map(wire::Expiry::from),
        status: view.status.into(),
        uses: view.uses.into(),
        namespace: view.namespace.as_ref().map(Namespace::as_str),
        metadata: view.metadata.as_deref().map(object).transpose()?,
        created_at: wire::Stamp(view.created_at),
        updated_at: wire::Stamp(view.updated_at),
        last_used_at: view.last_used_at.map(wire::Stamp),
        expires_at: view.expires_at.map(wire::Stamp),
        revision: view.revision.0,
    })
}

/// `with_profile`: as the caller asked.
pub(super) fn revealed(revealed: &Revealed, with_profile: bool) -> Result<wire::Revealed<'_>, Problem> {
    let profile = revealed.profile.extra.as_deref().filter(|_| with_profile);
    Ok(wire::Revealed {
        card: wire::RevealedCard {
            number: revealed.pan.expose(),
            expiry: revealed.expiry.map(wire::Expiry::from),
            holder: revealed.profile.holder.as_deref().map(String::as_str),
        },
        profile: profile.map(|text| object(text)).transpose()?,
    })
}

/// `body` as JSON in memory that is wiped and, being large enough from the start, leaves no copies behind.
/// `secrets` is the length of all texts in it that are not of fixed length.
pub(super) fn secret_json(body: &impl Serialize, secrets: usize) -> Result<Zeroizing<Vec<u8>>, Problem> {
    // A control character takes six bytes when escaped; the fixed part is well below 256.
    let mut json = Zeroizing::new(Vec::with_capacity(secrets.saturating_mul(6).saturating_add(256)));
    serde_json::to_writer(&mut *json, body).map_err(Problem::internal)?;
    Ok(json)
}

/// The length of what is secret and of variable length in a revealed card.
pub(super) fn secret_len(revealed: &Revealed) -> usize {
    let profile = &revealed.profile;
    let lengths = [&profile.holder, &profile.extra].map(|text| text.as_ref().map_or(0, |text| text.len()));
    lengths.iter().sum()
}

fn pan(field: &'static str, secret: &wire::Secret) -> Result<Pan, Problem> {
    Pan::parse(&secret.0).map_err(|bad| Problem::field(field, bad))
}

fn expiry(field: &'static str, wire: wire::Expiry) -> Result<Expiry, Problem> {
    Expiry::new(wire.month, wire.year).map_err(|bad| Problem::field(field, bad))
}

fn namespace(text: &str) -> Result<Namespace, Problem> {
    Namespace::parse(text).map_err(|bad| Problem::field("namespace", bad))
}

fn time(field: &'static str, text: &str) -> Result<UnixMillis, Problem> {
    text.parse::<jiff::Timestamp>()
        .ok()
        .and_then(|time| u64::try_from(time.as_millisecond()).ok())
        .map(UnixMillis)
        .ok_or_else(|| {
            let reason = format!(
                "must be a time as of RFC 3339, from 1970 to {:.0}",
                jiff::Timestamp::MAX
            );
            Problem::field(field, reason)
        })
}

fn format(format: wire::Format, supplied: Option<&str>) -> Result<Format, Problem> {
    let format = match (format, supplied) {
        (wire::Format::Supplied, Some(text)) if RESERVED.contains(&text) => {
            return Err(Problem::field("token", "is a reserved name"));
        }
        (wire::Format::Supplied, Some(text)) => {
            return Token::parse(text)
                .map(Format::Supplied)
                .map_err(|bad: Malformed| Problem::field("token", bad));
        }
        (wire::Format::Supplied, None) => return Err(Problem::field("token", "is missing")),
        (_, Some(_)) => return Err(Problem::field("token", "goes only with format supplied")),
        (wire::Format::Opaque, None) => Format::Opaque,
        (wire::Format::Preserve64, None) => Format::Preserve64,
        (wire::Format::RandomLuhn, None) => Format::RandomLuhn,
    };
    Ok(format)
}

fn change<T, U>(member: wire::Member<T>, set: impl FnOnce(T) -> Result<U, Problem>) -> Result<Change<U>, Problem> {
    Ok(match member {
        wire::Member::Absent => Change::Keep,
        wire::Member::Null => Change::Clear,
        wire::Member::Value(value) => Change::Set(set(value)?),
    })
}

/// Takes the text over without a copy.
fn text(field: &'static str, mut raw: wire::Raw) -> Result<Zeroizing<String>, Problem> {
    if json::is_too_deep(&raw.0) {
        let reason = format!("is nested more than {} levels deep", json::DEPTH);
        return Err(Problem::field(field, reason));
    }
    Ok(Zeroizing::new(String::from(std::mem::take(&mut *raw.0))))
}

/// Kept in clear.
fn metadata(raw: wire::Raw) -> Result<String, Problem> {
    text("metadata", raw).map(|mut text| std::mem::take(&mut *text))
}

/// Stored JSON text. The core checked it when it came.
fn object(text: &str) -> Result<&RawValue, Problem> {
    serde_json::from_str(text).map_err(|_| Problem::internal("stored JSON cannot be read"))
}

impl From<Expiry> for wire::Expiry {
    fn from(expiry: Expiry) -> Self {
        Self {
            month: expiry.month(),
            year: expiry.year(),
        }
    }
}

impl From<wire::Status> for Status {
    fn from(status: wire::Status) -> Self {
        match status {
            wire::Status::Active => Self::Active,
            wire::Status::Inactive => Self::Inactive,
            wire::Status::Spent => Self::Spent,
        }
    }
}

impl From<Status> for wire::Status {
    fn from(status: Status) -> Self {
        match status {
            Status::Active => Self::Active,
            Status::Inactive => Self::Inactive,
            Status::Spent => Self::Spent,
        }
    }
}

impl From<wire::Uses> for Uses {
    fn from(uses: wire::Uses) -> Self {
        match uses {
            wire::Uses::Multi => Self::Multi,
            wire::Uses::Single => Self::Single,
        }
    }
}

impl From<Uses> for wire::Uses {
    fn from(uses: Uses) -> Self {
        match uses {
            Uses::Multi => Self::Multi,
            Uses::Single => Self::Single,
        }
    }
}

#[cfg(test)]
mod tests;
