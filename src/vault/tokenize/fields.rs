//! What may not be stored.

use zeroize::Zeroizing;

use crate::card::{BinTable, Pan};
use crate::id::{Token, UnixMillis};
use crate::vault::format;
use crate::vault::screen::{self, METADATA_MAX, PROFILE_MAX};
use crate::vault::types::{Error, Format, NewToken, Profile};

/// Refuses what cannot be stored.
pub(super) fn check(new: &NewToken, now: UnixMillis, bins: &BinTable) -> Result<(), Error> {
    if let Format::Supplied(token) = &new.format {
        format::check_supplied(token, bins)?;
        check_hides(token, &new.pan)?;
    }
    if let Some(namespace) = &new.namespace {
        screen::no_card("namespace", namespace.as_str(), bins)?;
    }
    if let Some(metadata) = &new.metadata {
        screen::object("metadata", metadata, METADATA_MAX, Some(bins))?;
    }
    check_profile(&new.profile, bins)?;
    check_expires_at(new.expires_at, now)
}

/// Refuses a number that its token would show.
pub(in crate::vault) fn check_hides(token: &Token, pan: &Pan) -> Result<(), Error> {
    let digits: Zeroizing<String> = Zeroizing::new(token.as_str().chars().filter(char::is_ascii_digit).collect());
    if digits.contains(pan.expose()) {
        return Err(screen::refused("token", "shows the card number"));
    }
    Ok(())
}

/// Refuses a profile that cannot be stored.
pub(in crate::vault) fn check_profile(profile: &Profile, bins: &BinTable) -> Result<(), Error> {
    let holder = profile.holder.as_ref().map_or(0, |text| text.len());
    if let Some(holder) = &profile.holder {
        screen::holder(holder, bins)?;
    }
    match &profile.extra {
        Some(extra) => screen::object("profile", extra, PROFILE_MAX.saturating_sub(holder), None),
        None => Ok(()),
    }
}

/// Refuses a time that has come.
pub(in crate::vault) fn check_expires_at(at: Option<UnixMillis>, now: UnixMillis) -> Result<(), Error> {
    if at.is_some_and(|at| at <= now) {
        return Err(screen::refused("expires_at", "is not in the future"));
    }
    Ok(())
}
