//! Query strings.

use zeroize::Zeroizing;

use super::refusal::Refusal;
use crate::api::form;
use crate::id::UnixMillis;

/// A name and its value.
type Pair = (Zeroizing<String>, Zeroizing<String>);

/// The pairs of a query, decoded; of equal names each.
///
/// # Errors
/// One that is not encoded well.
pub(super) fn pairs(query: &str) -> Result<Vec<Pair>, Refusal> {
    let mut pairs = Vec::new();
    for (name, value) in form::pairs(query.as_bytes()).filter(|(name, _)| !name.is_empty()) {
        let broken = || Refusal::query("a pair is not encoded well");
        pairs.push((
            form::decoded(name).ok_or_else(broken)?,
            form::decoded(value).ok_or_else(broken)?,
        ));
    }
    Ok(pairs)
}

/// `true` or `false`.
pub(super) fn flag(name: &str, value: &str) -> Result<bool, Refusal> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Refusal::query(format!("{name} is not true or false"))),
    }
}

/// A whole number of at most `max`.
pub(super) fn number(name: &str, value: &str, max: u32) -> Result<u32, Refusal> {
    let number = value.parse().ok().filter(|number| *number <= max);
    number.ok_or_else(|| Refusal::query(format!("{name} is not a whole number up to {max}")))
}

/// A time as RFC 3339 has it.
pub(super) fn time(name: &str, value: &str) -> Result<UnixMillis, Refusal> {
    let stamp: Option<jiff::Timestamp> = value.parse().ok();
    stamp
        .and_then(|stamp| u64::try_from(stamp.as_millisecond()).ok())
        .map(UnixMillis)
        .ok_or_else(|| Refusal::query(format!("{name} is not a time")))
}
