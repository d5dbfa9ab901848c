//! A payment method that is not stored: it waits in memory and is wiped.

use super::Storage;
use super::stored::Kept;
use super::view::{CardView, Method, MethodState};
use crate::card::{BinInfo, Expiry, Masked, Pan};
use crate::id::UnixMillis;
use crate::payment::wallet::Text;

/// As it waits. No `Debug`, no serializer.
pub(in crate::payment) struct Volatile {
    pub(super) pan: Pan,
    pub(super) expiry: Expiry,
    pub(super) holder: Option<Text>,
    pub(super) kept: Kept,
    pub(super) masked: Masked,
    pub(super) info: BinInfo,
    pub(super) created_at: UnixMillis,
}

impl Volatile {
    /// So many wait at most, of all merchants: each has some 20 KB.
    pub(in crate::payment) const CAPACITY: usize = 10_000;

    pub(super) fn view(&self, id: &str, code_until: Option<UnixMillis>) -> Method {
        let Self {
            expiry,
            holder,
            kept,
            masked,
            info,
            created_at,
            ..
        } = self;
        let kept = kept.clone();
        let funding = info.funding.clone();
        let funding = funding.filter(|funding| matches!(funding.as_str(), "credit" | "debit"));
        Method {
            id: id.to_owned(),
            customer: kept.customer,
            subtype: kept.subtype,
            created_at: *created_at,
            last_used_at: None,
            state: MethodState::New,
            storage: Storage::Volatile,
            card: CardView {
                last_four: masked.last4.clone(),
                expiry: *expiry,
                holder: holder.clone(),
                nick_name: kept.nick_name,
                issuing_country: kept.issuing_country.or_else(|| info.country.clone()),
                network: kept.network,
                brand: info.brand.clone(),
                issuer: kept.issuer,
                card_type: kept.card_type.or(funding),
            },
            billing: kept.billing,
            connector_tokens: kept.connector_tokens,
            network_transaction_id: kept.network_transaction_id,
            acknowledged: kept.acknowledged,
            network_token: None,
            code_until,
        }
    }
}
