//! Changing a payment method. Number and expiry stay: another card is another payment method.

use super::stored::{Acknowledgement, ConnectorToken, Kept};
use super::view::{Held, Method, MethodState};
use super::{ATTEMPTS, Error, KEPT_MAX, contended, pause};
use crate::id::UnixMillis;
use crate::payment::wallet::Text;
use crate::payment::{Payments, SecurityCode};
use crate::vault::types::{Actor, Change, DocumentKind, Operation, Patch, Status};

/// What to change; what is absent stays.
#[derive(Default)]
pub struct MethodUpdate {
    /// The name on the card.
    pub holder: Option<Text>,
    /// What its holder calls it.
    pub nick_name: Option<Text>,
    /// A security code, for the next 15 minutes.
    pub code: Option<SecurityCode>,
    /// What a payment service provider gave for the card.
    pub connector_token: Option<ConnectorToken>,
    /// What the card network called the first payment.
    pub network_transaction_id: Option<Text>,
    /// What became of its first use.
    pub acknowledged: Option<Acknowledgement>,
}

impl Payments {
    /// Changes a payment method, in whatever state.
    ///
    /// # Errors
    /// [`Error::MethodUnknown`], [`Error::MethodRedacted`], [`Error::MethodFixed`]; what cannot be kept; not granted; the
    /// HSM's; the store's.
    pub async fn update_method(&self, actor: &Actor, id: &str, update: MethodUpdate) -> Result<Method, Error> {
        self.vault.access().permit(actor, Operation::Update, 0)?;
        if self.volatile.waits(&actor.merchant, id, UnixMillis::now()) {
            return Err(Error::MethodFixed);
        }
        for round in 0..ATTEMPTS {
            pause(round).await;
            let Some(held) = self.held_method(actor, id).await? else {
                return Err(self.gone(actor, id).await?);
            };
            if !self.apply(actor, &held, &update).await? {
                continue;
            }
            if let Some(code) = update.code {
                self.keep_code(actor, id, code);
            }
            let held = self.held_method(actor, id).await?.ok_or(Error::MethodUnknown)?;
            return self.method_view(actor, held).await;
        }
        Err(contended())
    }

    /// `false`: it changed meanwhile.
    async fn apply(&self, actor: &Actor, held: &Held, update: &MethodUpdate) -> Result<bool, Error> {
        let mut kept = held.kept.clone();
        if let Some(nick_name) = &update.nick_name {
            kept.nick_name = Some(nick_name.clone());
        }
        if let Some(id) = &update.network_transaction_id {
            kept.network_transaction_id = Some(id.clone());
        }
        if let Some(token) = &update.connector_token {
            kept.put_connector_token(token.clone());
        }
        let status = update
            .acknowledged
            .and_then(|now| acknowledge(&mut kept, held.state(), now));
        let holder = update.holder.clone().map(Text::into_zeroizing);
        let same = kept.encode()? == held.kept.encode()?;
        if same && status.is_none() && holder.is_none() {
            return Ok(true);
        }
        self.screen_kept(&kept)?;
        let patch = Patch {
            holder: holder.map_or(Change::Keep, Change::Set),
            status,
            ..Patch::default()
        };
        self.rewrite(actor, held, &kept, patch).await
    }

    /// Keeps a connector's token with the payment method, or with the one in memory.
    pub(super) async fn put_connector_token(
        &self,
        actor: &Actor,
        id: &str,
        token: ConnectorToken,
    ) -> Result<(), Error> {
        let (now, merchant) = (UnixMillis::now(), &actor.merchant);
        if self.volatile.waits(merchant, id, now) {
            let put = |there: &mut super::Volatile, _| there.kept.put_connector_token(token);
            return self.volatile.look(merchant, id, now, put).ok_or(Error::MethodUnknown);
        }
        for round in 0..ATTEMPTS {
            pause(round).await;
            let held = self.held_method(actor, id).await?.ok_or(Error::MethodUnknown)?;
            let mut kept = held.kept.clone();
            kept.put_connector_token(token.clone());
            self.screen_kept(&kept)?;
            if self.rewrite(actor, &held, &kept, Patch::default()).await? {
                return Ok(());
            }
        }
        Err(contended())
    }

    /// Why there is no payment method of that name.
    pub(super) async fn gone(&self, actor: &Actor, id: &str) -> Result<Error, Error> {
        let deleted = self.vault.document(actor, DocumentKind::DeletedMethod, id).await?;
        Ok(match deleted {
            Some(_) => Error::MethodRedacted,
            None => Error::MethodUnknown,
        })
    }

    fn screen_kept(&self, kept: &Kept) -> Result<(), Error> {
        let text = kept.encode()?;
        Ok(self.vault.screen_object("payment_method", &text, KEPT_MAX, false)?)
    }
}

/// What an acknowledgement makes of a payment method, and the status of its token where that changes. One that does not fit
/// its state changes nothing.
fn acknowledge(kept: &mut Kept, state: MethodState, now: Acknowledgement) -> Option<Status> {
    match (state, now) {
        (MethodState::New | MethodState::Inactive, Acknowledgement::Authenticated) => {
            kept.acknowledged = Some(now);
            (state == MethodState::Inactive).then_some(Status::Active)
        }
        (MethodState::New, Acknowledgement::Failed) => {
            kept.acknowledged = Some(now);
            Some(Status::Inactive)
        }
        (MethodState::Active, _) | (MethodState::Inactive, Acknowledgement::Failed) => None,
    }
}
