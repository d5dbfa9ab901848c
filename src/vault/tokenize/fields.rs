//! What may not be stored.

use zeroize::Zeroizing;

use crate::card::{BinTable, Pan};
use crate::id::{Token, UnixMillis};
use crate::vault::format;
use crate::vault::screen::{self, METADATA_MAX, PROFILE_MAX};
use crate::vault::types::{Error, Format, Generation, Management, NewToken, Profile, Reuse, TokenRules, Uses};

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

/// Refuses what the repository's rules do not allow. They hold in every dialect: that a card has one token is true of
/// the repository or of nothing.
pub(in crate::vault) fn check_rules(new: &NewToken, rules: Option<TokenRules>) -> Result<(), Error> {
    let Some(rules) = rules else { return Ok(()) };
    match rules.management {
        Management::UniqueToken => {}
        Management::UniqueAccountIdentifier => check_unique(new)?,
    }
    let (fits, reason) = match rules.generation {
        Generation::RandomWithLuhn => (
            new.format == Format::RandomLuhn,
            "does not fit the repository, whose tokens are random ones that pass Luhn",
        ),
        Generation::Preserve64 => (
            new.format == Format::Preserve64,
            "does not fit the repository, whose tokens keep the first 6 and last 4 digits",
        ),
        Generation::MerchantProvided => (
            matches!(new.format, Format::Supplied(_)),
            "does not fit the repository, whose tokens are named by the merchant",
        ),
        Generation::AcquirerTokenization => (
            matches!(new.format, Format::Supplied(_)),
            "does not fit the repository, whose tokens are named by the acquirer",
        ),
    };
    match fits {
        true => Ok(()),
        false => Err(screen::refused("format", reason)),
    }
}

/// Refuses what would give a card a second token: each of these makes it another card to the reuse key, or leaves that
/// out.
fn check_unique(new: &NewToken) -> Result<(), Error> {
    let refused = |field, reason| Err(screen::refused(field, reason));
    if new.namespace.is_some() {
        return refused(
            "namespace",
            "is not taken by the repository, in which a card has one token",
        );
    }
    if new.uses != Uses::Multi {
        return refused(
            "uses",
            "does not fit the repository, in which a card has one token for good",
        );
    }
    match &new.reuse {
        Reuse::Return { scope } | Reuse::Refuse { scope } if scope.is_empty() => Ok(()),
        Reuse::Never | Reuse::Return { .. } | Reuse::Refuse { .. } => {
            refused("reuse", "does not fit the repository, in which a card has one token")
        }
    }
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
