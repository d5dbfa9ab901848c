//! Where payment details come from, and which source counts: request before session before token, field by field.

use zeroize::Zeroizing;

use super::{Error, Part, Payments, SecurityCode};
use crate::card::{BadExpiry, Expiry, Pan};
use crate::id::Token;
use crate::vault::types::{self as core, Actor, CallerError, Status, View};

/// Card details as far as one source gives them.
#[derive(Default)]
pub struct CardDetails {
    /// The number.
    pub pan: Option<Pan>,
    /// 1 to 12.
    pub month: Option<u8>,
    /// Four digits.
    pub year: Option<u16>,
    /// The name on the card.
    pub holder: Option<Zeroizing<String>>,
    /// The security code.
    pub security_code: Option<SecurityCode>,
}

/// Everything that a request says about where the card comes from.
#[derive(Default)]
pub struct Sources {
    /// What the request itself gives.
    pub card: CardDetails,
    /// The session that it names.
    pub session: Option<String>,
    /// The version that the session must have.
    pub session_version: Option<String>,
    /// The API version of the request, where the dialect has such: a session is used with the one that made it.
    pub api_version: Option<u16>,
    /// The stored token that it names.
    pub token: Option<Token>,
}

/// What the card is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// To be shown to an acquirer or to the account updater. A number that only the token has is taken out of it; a token
    /// that is not active is refused.
    Number,
    /// To change what is stored. No token is opened: a number that only the token has stays in it.
    Details,
}

/// The card as the sources give it together.
pub(super) struct Resolved {
    /// The details, merged. The number is absent where no source has one, or where the token has it and
    /// [`Need::Details`] left it there.
    pub(super) card: CardDetails,
    /// The token that the request names, else the session.
    pub(super) token: Option<Token>,
    /// The number is the token's own: neither request nor session gives one.
    pub(super) number_from_token: bool,
    /// The token's masked view, where it was not opened.
    pub(super) view: Option<View>,
}

impl CardDetails {
    /// These details, and what they lack from `fallback`, field by field. Month and year are fields of their own.
    pub(super) fn or(self, fallback: Self) -> Self {
        Self {
            pan: self.pan.or(fallback.pan),
            month: self.month.or(fallback.month),
            year: self.year.or(fallback.year),
            holder: self.holder.or(fallback.holder),
            security_code: self.security_code.or(fallback.security_code),
        }
    }

    /// The expiry.
    ///
    /// # Errors
    /// [`Error::Missing`] or [`Error::Invalid`], for month or year.
    pub(super) fn expiry(&self) -> Result<Expiry, Error> {
        let month = self.month.ok_or(Error::Missing(Part::ExpiryMonth))?;
        let year = self.year.ok_or(Error::Missing(Part::ExpiryYear))?;
        Expiry::new(month, year).map_err(|bad| Error::Invalid {
            part: match bad {
                BadExpiry::Month => Part::ExpiryMonth,
                BadExpiry::Year => Part::ExpiryYear,
            },
            reason: bad.to_string(),
        })
    }

    /// What a token gives beside its number.
    fn of_token(expiry: Option<Expiry>) -> Self {
        Self {
            month: expiry.map(Expiry::month),
            year: expiry.map(Expiry::year),
            ..Self::default()
        }
    }
}

impl Payments {
    /// The card that `sources` give together: request before session before token.
    ///
    /// A security code that waits in the session is gone after this, however it ends.
    ///
    /// # Errors
    /// [`Error::Unknown`] session; another version of the session or of the API; [`Error::Invalid`] for a token that does
    /// not exist or, with [`Need::Number`], is not active; not granted; the HSM's; the store's.
    pub(super) async fn resolve(&self, actor: &Actor, sources: Sources, need: Need) -> Result<Resolved, Error> {
        let mut card = sources.card;
        let mut token = sources.token;
        if let Some(id) = &sources.session {
            let used = self
                .use_session(actor, id, sources.session_version.as_deref(), sources.api_version)
                .await?;
            card = card.or(used.card);
            token = token.or(used.token);
        }
        let mut resolved = Resolved {
            number_from_token: card.pan.is_none() && token.is_some(),
            card,
            token,
            view: None,
        };
        let Some(token) = &resolved.token else {
            return Ok(resolved);
        };
        let stored = if resolved.number_from_token && need == Need::Number {
            let revealed = self.vault.card_for_payment(actor, token).await.map_err(refused_token)?;
            CardDetails {
                pan: Some(revealed.pan),
                holder: revealed.profile.holder,
                ..CardDetails::of_token(revealed.expiry)
            }
        } else {
            let view = self.vault.inspect(actor, token).await.map_err(refused_token)?;
            if need == Need::Number && view.status != Status::Active {
                return Err(invalid_token());
            }
            let details = CardDetails::of_token(view.expiry);
            resolved.view = Some(view);
            details
        };
        resolved.card = resolved.card.or(stored);
        Ok(resolved)
    }
}

/// What is wrong with the token, as far as it is the request's fault.
fn refused_token(error: core::Error) -> Error {
    let core::Error::Caller(fault) = &error else {
        return Error::Core(error);
    };
    match fault {
        CallerError::UnknownToken | CallerError::Expired => Error::Invalid {
            part: Part::Token,
            reason: "There is no such token".to_owned(),
        },
        CallerError::Inactive | CallerError::Spent => invalid_token(),
        CallerError::BadCursor
        | CallerError::CardExists { .. }
        | CallerError::CardFixed
        | CallerError::Contended
        | CallerError::Field { .. }
        | CallerError::FormatExhausted
        | CallerError::IdempotencyMismatch
        | CallerError::NamespaceFull
        | CallerError::Replaced
        | CallerError::Revision { .. }
        | CallerError::TokenTaken
        | CallerError::TooManyUpdates { .. } => Error::Core(error),
    }
}

fn invalid_token() -> Error {
    Error::Invalid {
        part: Part::Token,
        reason: "The token is invalid: update its card details first".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::payment::SecurityCode;

    /// What can be compared of card details.
    type Plain = (Option<String>, Option<u8>, Option<u16>, Option<String>, Option<String>);

    fn details((pan, month, year, holder, code): &Plain) -> CardDetails {
        CardDetails {
            pan: pan.as_deref().map(|pan| Pan::parse(pan).unwrap()),
            month: *month,
            year: *year,
            holder: holder.clone().map(Zeroizing::new),
            security_code: code.as_deref().map(|code| SecurityCode::parse(code).unwrap()),
        }
    }

    fn plain(card: &CardDetails) -> Plain {
        (
            card.pan.as_ref().map(|pan| pan.expose().to_owned()),
            card.month,
            card.year,
            card.holder.as_ref().map(|holder| holder.to_string()),
            card.security_code.as_ref().map(|code| code.expose().to_owned()),
        )
    }

    fn any_details() -> impl Strategy<Value = Plain> {
        let pan = prop::sample::select(vec!["4111111111111111", "5555555555554444", "378282246310005"]);
        (
            prop::option::of(pan.prop_map(str::to_owned)),
            prop::option::of(1u8..=12),
            prop::option::of(2000u16..2100),
            prop::option::of("[A-Z]{1,8}"),
            prop::option::of("[0-9]{3,4}"),
        )
    }

    #[test]
    fn an_expiry_needs_both_parts() {
        let expiry = |month, year| {
            CardDetails {
                month,
                year,
                ..CardDetails::default()
            }
            .expiry()
        };
        assert!(matches!(
            expiry(None, Some(2030)),
            Err(Error::Missing(Part::ExpiryMonth))
        ));
        assert!(matches!(expiry(Some(1), None), Err(Error::Missing(Part::ExpiryYear))));
        let bad = expiry(Some(13), Some(2030));
        assert!(matches!(
            bad,
            Err(Error::Invalid {
                part: Part::ExpiryMonth,
                ..
            })
        ));
        assert_eq!(expiry(Some(1), Some(2039)).unwrap(), Expiry::new(1, 2039).unwrap());
    }

    proptest! {
        #[test]
        fn each_field_comes_from_the_first_that_has_it(sources in prop::collection::vec(any_details(), 1..5)) {
            let merged = sources.iter().map(details).reduce(CardDetails::or).unwrap();
            let first = (
                sources.iter().find_map(|source| source.0.clone()),
                sources.iter().find_map(|source| source.1),
                sources.iter().find_map(|source| source.2),
                sources.iter().find_map(|source| source.3.clone()),
                sources.iter().find_map(|source| source.4.clone()),
            );
            prop_assert_eq!(plain(&merged), first);
        }

        #[test]
        fn precedence_is_associative(a in any_details(), b in any_details(), c in any_details()) {
            let left = details(&a).or(details(&b)).or(details(&c));
            let right = details(&a).or(details(&b).or(details(&c)));
            prop_assert_eq!(plain(&left), plain(&right));
        }

        #[test]
        fn an_empty_source_changes_nothing(a in any_details()) {
            prop_assert_eq!(&plain(&details(&a).or(CardDetails::default())), &a);
            prop_assert_eq!(plain(&CardDetails::default().or(details(&a))), a);
        }
    }
}
