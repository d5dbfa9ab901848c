//! A shopper's stored cards. A card that one shopper stores twice for one usage has one token.

use serde::{Deserialize, Serialize};

use super::Error;
use super::attempt::Keep;
use super::ids::{self, Kind};
use super::stored::Held;
use super::types::{PaymentType, ShownCard, StoredCard, Usage};
use crate::id::{MerchantId, Token};
use crate::payment::Payments;
use crate::vault::types::{
    Actor, CallerError, Change, DocumentWrite, Error as CoreError, Format, NewToken, Operation, Patch, Profile, Query,
    Reuse, Status, Terms, Tokenized, Uses, View,
};

/// What a token's metadata says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    merchant: MerchantId,
    usage: Usage,
}

impl Payments {
    /// Stores the card of a payment that succeeded, and makes the agreement that it begins; gives what is to be written with
    /// it. Where the card cannot be stored for good, the payment stands without.
    ///
    /// # Errors
    /// What may work later: the HSM's, the store's.
    pub(super) async fn keep_paid(
        &self,
        actor: &Actor,
        held: &mut Held,
        keep: Keep,
    ) -> Result<Vec<DocumentWrite>, Error> {
        let token = match self.keep_card(actor, held, keep).await {
            Ok(token) => token,
            Err(error @ Error::Payment(crate::payment::Error::Core(CoreError::Dependency(_)))) => return Err(error),
            Err(error) => {
                tracing::warn!(%error, request = %actor.request, "a card could not be stored after its payment");
                held.stored.consent = None;
                return Ok(Vec::new());
            }
        };
        held.stored.token = Some(token.clone());
        if held.stored.payment_type == PaymentType::Purchase || held.stored.agreement.is_some() {
            return Ok(Vec::new());
        }
        let shopper = held.private.shopper.as_ref().ok_or(Error::ShopperMissing)?;
        let namespace = self.vault.personal_namespace(actor, shopper.expose()).await?;
        let id = ids::fresh(Kind::Agreement)?;
        let documents = super::agreements::new(&id, &token, namespace, &held.order)?;
        held.stored.agreement = Some(id);
        Ok(documents)
    }

    async fn keep_card(&self, actor: &Actor, held: &Held, keep: Keep) -> Result<Token, Error> {
        let shopper = held.private.shopper.as_ref().ok_or(Error::ShopperMissing)?;
        let usage = held.stored.usage.ok_or(Error::UsageMissing)?;
        let namespace = self.vault.personal_namespace(actor, shopper.expose()).await?;
        let kept = Kept {
            merchant: actor.merchant.clone(),
            usage,
        };
        let scope = format!("paykka/{}/{namespace}/{}", actor.merchant, usage.as_str());
        let mut new = NewToken {
            pan: keep.pan,
            expiry: Some(keep.expiry),
            profile: Profile {
                holder: keep.holder,
                extra: None,
            },
            format: Format::Opaque,
            reuse: Reuse::Return {
                scope: scope.into_bytes(),
            },
            namespace: Some(namespace),
            metadata: Some(serde_json::to_string(&kept).map_err(|_| crate::payment::Error::damaged())?),
            expires_at: None,
            uses: Uses::Multi,
            idempotency: None,
            verification: None,
            terms: Terms::default(),
        };
        for _ in 0..ROUNDS {
            let id = ids::fresh(Kind::Token)?;
            new.format = Format::Supplied(Token::parse(&id).map_err(|_| crate::payment::Error::damaged())?);
            match self.vault.tokenize_again(actor, &new).await {
                Ok(Tokenized::Created(view)) => return Ok(view.token),
                Ok(Tokenized::Reused(view)) => {
                    self.renew_stored(actor, &view, &new).await;
                    return Ok(view.token);
                }
                Err(CoreError::Caller(CallerError::TokenTaken)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(CallerError::Contended.into())
    }

    /// Has a card that was there take over the expiry of the one that was paid with: the issuer renews cards under their
    /// numbers.
    async fn renew_stored(&self, actor: &Actor, there: &View, new: &NewToken) {
        if there.expiry == new.expiry {
            return;
        }
        let patch = Patch {
            expiry: new.expiry.map_or(Change::Keep, Change::Set),
            holder: new.profile.holder.clone().map_or(Change::Keep, Change::Set),
            ..Patch::default()
        };
        if let Err(error) = self.vault.update(actor, &there.token, patch).await {
            tracing::warn!(%error, request = %actor.request, "a stored card keeps its old expiry");
        }
    }

    /// The shopper's stored cards, those first that were stored last.
    ///
    /// # Errors
    /// Not granted; the HSM's; the store's.
    pub async fn stored_cards(&self, actor: &Actor, shopper: &str) -> Result<Vec<StoredCard>, Error> {
        let namespace = self.vault.personal_namespace(actor, shopper).await?;
        let mut cards = Vec::new();
        let mut cursor = None;
        loop {
            let query = Query {
                namespace: Some(namespace.clone()),
                status: Some(Status::Active),
                limit: PAGE,
                cursor: cursor.take(),
                ..Query::default()
            };
            let found = self.vault.search(actor, query).await?;
            for view in found.tokens {
                if let Some(usage) = usage_of(actor, &view) {
                    let agreements = self.agreements_of(actor, &view.token).await?;
                    cards.push(card(view, usage, agreements));
                }
            }
            match found.next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        cards.sort_by(|a, b| b.created_at.cmp(&a.created_at).then_with(|| a.token.cmp(&b.token)));
        Ok(cards)
    }

    /// The shopper's stored card of that token.
    ///
    /// # Errors
    /// [`Error::TokenUnknown`], whether there is none or it is another shopper's; the core's.
    pub(super) async fn stored_card(&self, actor: &Actor, shopper: &str, token: &Token) -> Result<StoredCard, Error> {
        // made before the token is looked for: it takes as long whether it is there or not
        let namespace = self.vault.personal_namespace(actor, shopper).await?;
        let view = match self.vault.inspect(actor, token).await {
            Err(CoreError::Caller(CallerError::UnknownToken | CallerError::Expired)) => {
                return Err(Error::TokenUnknown);
            }
            view => view?,
        };
        let own = view.namespace.as_ref() == Some(&namespace) && view.status == Status::Active;
        match usage_of(actor, &view).filter(|_| own) {
            Some(usage) => Ok(card(view, usage, Vec::new())),
            None => Err(Error::TokenUnknown),
        }
    }

    /// Removes a shopper's stored card for good; agreements that hang on it end.
    ///
    /// # Errors
    /// [`Error::TokenUnknown`]; not granted; the HSM's; the store's.
    pub async fn remove_stored_card(&self, actor: &Actor, shopper: &str, token: &Token) -> Result<(), Error> {
        self.vault.access().permit(actor, Operation::Delete, 0)?;
        self.stored_card(actor, shopper, token).await?;
        // first: none is left in force without its card
        for agreement in self.agreements_of(actor, token).await? {
            self.end_agreement(actor, &agreement).await?;
        }
        match self.vault.delete(actor, token).await {
            Err(CoreError::Caller(CallerError::UnknownToken | CallerError::Expired)) => Err(Error::TokenUnknown),
            deleted => deleted.map(drop).map_err(Error::from),
        }
    }
}

impl Usage {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CardOnFile => "CARD_ON_FILE",
            Self::Subscription => "SUBSCRIPTION",
        }
    }
}

/// What a token was stored for by this merchant; none: it was stored by others.
fn usage_of(actor: &Actor, view: &View) -> Option<Usage> {
    let kept: Kept = serde_json::from_str(view.metadata.as_deref()?).ok()?;
    (Kind::Token.is_of(view.token.as_str()) && kept.merchant == actor.merchant).then_some(kept.usage)
}

fn card(view: View, usage: Usage, agreements: Vec<String>) -> StoredCard {
    StoredCard {
        token: view.token,
        usage,
        card: ShownCard {
            bin: view.bin.chars().take(6).collect(),
            last4: view.last4,
            brand: view.brand,
        },
        expiry: view
            .expiry
            .map(|expiry| format!("{:02}/{:02}", expiry.month(), expiry.year() % 100)),
        agreements,
        created_at: view.created_at,
    }
}

/// Records of one page.
const PAGE: u32 = 1_000;
/// How often another name is tried.
const ROUNDS: u32 = 8;
