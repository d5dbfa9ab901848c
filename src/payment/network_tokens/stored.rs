//! A network token as it is stored: what the masked view shows in clear, every number sealed.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{NetworkToken, NetworkTokenState};
use crate::card::{Expiry, Masked, Pan};
use crate::id::UnixMillis;
use crate::keys::SecretBytes;
use crate::payment::Error;
use crate::payment::network_token::{PaymentAccountReference, Provision, ProvisionRefusal, Provisioned};

/// The part in clear.
#[derive(Serialize, Deserialize)]
pub(super) struct Stored {
    status: Status,
    /// Of the card, as far as they may be shown.
    first_six: String,
    /// Of the card.
    last_four: String,
    pub(super) card_expiry: Expiry,
    /// When it was asked for first; none of one that was stored before that was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) made_at: Option<UnixMillis>,
}

/// How it stands, for who reads the part in clear alone.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Active,
    Pending,
    Refused,
}

/// The sealed part.
pub(super) enum Kept {
    /// The card and its network token.
    Active { card: Pan, token: Provisioned },
    /// The card, and what its network token is looked up by.
    Pending { card: Pan, handle: Zeroizing<String> },
    /// Why there is none. The card is not kept.
    Refused(ProvisionRefusal),
}

impl Stored {
    /// For a card that looks so.
    pub(super) fn new(masked: &Masked, card_expiry: Expiry, kept: &Kept) -> Self {
        Self {
            status: kept.status(),
            // of a number of 12 or 13 digits none may be shown
            first_six: masked.bin.get(..6).unwrap_or_default().to_owned(),
            last_four: masked.last4.clone(),
            card_expiry,
            made_at: Some(UnixMillis::now()),
        }
    }

    /// The same card, for which there is this now.
    pub(super) fn with(&self, kept: &Kept) -> Self {
        self.with_status(kept.status())
    }

    fn with_status(&self, status: Status) -> Self {
        Self {
            status,
            first_six: self.first_six.clone(),
            last_four: self.last_four.clone(),
            card_expiry: self.card_expiry,
            made_at: self.made_at,
        }
    }

    /// The same, made then.
    pub(super) fn since(&self, made_at: Option<UnixMillis>) -> Self {
        Self {
            made_at,
            ..self.with_status(self.status)
        }
    }

    pub(super) fn view(self, reference: String, kept: Kept) -> NetworkToken {
        NetworkToken {
            reference,
            first_six: self.first_six,
            last_four: self.last_four,
            card_expiry: self.card_expiry,
            state: match kept {
                Kept::Active { token, .. } => NetworkTokenState::Active(token),
                Kept::Pending { .. } => NetworkTokenState::Pending,
                Kept::Refused(refusal) => NetworkTokenState::Refused(refusal),
            },
        }
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(self).map_err(|_| Error::damaged())
    }

    pub(super) fn decode(clear: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(clear).map_err(|_| Error::damaged())
    }

    /// Whether both parts say the same.
    pub(super) fn fits(&self, kept: &Kept) -> bool {
        self.status == kept.status()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Out<'a> {
    Active {
        card: &'a str,
        number: &'a str,
        expiry: Expiry,
        account_reference: &'a str,
    },
    Pending {
        card: &'a str,
        handle: &'a str,
    },
    Refused(&'a ProvisionRefusal),
}

/// Digits and capitals are never escaped, so they are always borrowed.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum In<'a> {
    Active {
        card: &'a str,
        number: &'a str,
        expiry: Expiry,
        account_reference: &'a str,
    },
    Pending {
        card: &'a str,
        handle: String,
    },
    Refused(ProvisionRefusal),
}

impl Kept {
    fn status(&self) -> Status {
        match self {
            Self::Active { .. } => Status::Active,
            Self::Pending { .. } => Status::Pending,
            Self::Refused(_) => Status::Refused,
        }
    }

    /// What there is for the card of that number.
    pub(super) fn new(card: Pan, provision: Provision) -> Self {
        match provision {
            Provision::Active(token) => Self::Active { card, token },
            Provision::Pending(handle) => Self::Pending { card, handle },
            Provision::Refused(refusal) => Self::Refused(refusal),
        }
    }

    /// Its word in the audit trail.
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            Self::Active { .. } => "active",
            Self::Pending { .. } => "pending",
            Self::Refused(_) => "refused",
        }
    }

    /// The network token's number, where there is one.
    pub(super) fn number(&self) -> Option<&Pan> {
        match self {
            Self::Active { token, .. } => Some(&token.number),
            Self::Pending { .. } | Self::Refused(_) => None,
        }
    }

    /// The card's number, where it is kept.
    pub(super) fn card(&self) -> Option<&Pan> {
        match self {
            Self::Active { card, .. } | Self::Pending { card, .. } => Some(card),
            Self::Refused(_) => None,
        }
    }

    /// When it goes: what did not become a network token is kept for a day, for who looks it up.
    pub(super) fn expires_at(&self, now: UnixMillis) -> Option<UnixMillis> {
        match self {
            Self::Active { .. } => None,
            Self::Pending { .. } | Self::Refused(_) => Some(now.plus(DAY_MS)),
        }
    }

    /// Whether it stays as it is where the service says `now` of its card, whose expiry is the `same` or another.
    pub(super) fn stays(&self, now: &Self, same: bool) -> bool {
        match (self, now) {
            (Self::Active { token, .. }, Self::Active { token: now, .. }) => {
                same && token.number.expose() == now.number.expose()
                    && token.expiry == now.expiry
                    && token.account_reference.expose() == now.account_reference.expose()
            }
            // a network token that is there does not become one that is to be
            (Self::Active { .. }, Self::Pending { .. }) => true,
            (Self::Pending { handle, .. }, Self::Pending { handle: now, .. }) => same && handle == now,
            (Self::Active { .. }, Self::Refused(_))
            | (Self::Pending { .. }, Self::Active { .. } | Self::Refused(_))
            | (Self::Refused(_), _) => false,
        }
    }

    pub(super) fn encode(&self) -> Result<SecretBytes, Error> {
        let out = match self {
            Self::Active { card, token } => Out::Active {
                card: card.expose(),
                number: token.number.expose(),
                expiry: token.expiry,
                account_reference: token.account_reference.expose(),
            },
            Self::Pending { card, handle } => Out::Pending {
                card: card.expose(),
                handle,
            },
            Self::Refused(refusal) => Out::Refused(refusal),
        };
        // an escaped character takes up to 6 bytes: with this room no growing leaves a copy of a number behind
        let handle = match self {
            Self::Pending { handle, .. } => handle.len(),
            Self::Active { .. } | Self::Refused(_) => 0,
        };
        let mut bytes = Vec::with_capacity(256 + 6 * handle);
        serde_json::to_writer(&mut bytes, &out).map_err(|_| Error::damaged())?;
        Ok(SecretBytes::new(bytes))
    }

    pub(super) fn decode(secret: &SecretBytes) -> Result<Self, Error> {
        let number = |digits: &str| Pan::parse(digits).map_err(|_| Error::damaged());
        let read = serde_json::from_slice(secret.expose()).map_err(|_| Error::damaged())?;
        Ok(match read {
            In::Active {
                card,
                number: digits,
                expiry,
                account_reference,
            } => Self::Active {
                card: number(card)?,
                token: Provisioned {
                    number: number(digits)?,
                    expiry,
                    account_reference: PaymentAccountReference::parse(account_reference).ok_or_else(Error::damaged)?,
                },
            },
            In::Pending { card, handle } => Self::Pending {
                card: number(card)?,
                handle: Zeroizing::new(handle),
            },
            In::Refused(refusal) => Self::Refused(refusal),
        })
    }
}

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

#[cfg(test)]
mod tests;
