//! The languages that clients speak. A dialect translates; it decides nothing.

mod body;
mod edge;
mod form;
mod hyperswitch;
mod json;
pub mod locker;
mod mastercard;
mod native;
pub mod paykka;
pub mod worldpay;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;

use crate::payment::psp::Connectors;
use crate::payment::{Payments, wallet};
use crate::telemetry::Metrics;
use crate::vault::Vault;

/// What dialects work with.
pub struct Services {
    vault: Arc<Vault>,
    payments: Arc<Payments>,
    metrics: Metrics,
    worldpay: worldpay::Config,
    locker: locker::Service,
    paykka: paykka::Config,
}

impl Services {
    /// Dialects over this vault with their default settings; requests are counted in `metrics`.
    pub fn new(vault: Arc<Vault>, metrics: Metrics) -> Self {
        Self {
            payments: Arc::new(Payments::new(Arc::clone(&vault))),
            vault,
            metrics,
            worldpay: worldpay::Config::default(),
            locker: locker::Service::default(),
            paykka: paykka::Config::default(),
        }
    }

    /// With these settings of PayKKa's dialect.
    #[must_use]
    pub fn with_paykka(self, paykka: paykka::Config) -> Self {
        let payments = Payments::clone(&self.payments).with_shopper(paykka.shopper.clone());
        Self {
            payments: Arc::new(payments),
            paykka,
            ..self
        }
    }

    /// With these settings of Worldpay's dialect.
    #[must_use]
    pub fn with_worldpay(self, worldpay: worldpay::Config) -> Self {
        Self { worldpay, ..self }
    }

    /// With these settings of Hyperswitch's card vault.
    #[must_use]
    pub fn with_locker(self, locker: locker::Config) -> Self {
        Self {
            locker: locker::Service::new(locker),
            ..self
        }
    }

    /// With these connectors to payment service providers.
    #[must_use]
    pub fn with_connectors(self, connectors: Connectors) -> Self {
        let payments = Payments::clone(&self.payments).with_connectors(connectors);
        Self {
            payments: Arc::new(payments),
            ..self
        }
    }

    /// With these settings of customers and payment methods.
    #[must_use]
    pub fn with_wallet(self, wallet: wallet::Config) -> Self {
        let payments = Payments::clone(&self.payments).with_wallet(wallet);
        Self {
            payments: Arc::new(payments),
            ..self
        }
    }

    /// The payments that the dialects share, for what works on them by itself.
    pub fn payments(&self) -> Arc<Payments> {
        Arc::clone(&self.payments)
    }
}

/// The routes of every dialect. A path that none has is answered by the dialect whose paths begin like it, and else in the
/// form of the native one.
///
/// Requests must carry their caller ([`crate::vault::types::Peer`]) among their extensions.
pub fn router(services: &Arc<Services>) -> Router {
    let services = Arc::clone(services);
    native::router(&services)
        .merge(mastercard::router(&services))
        .merge(worldpay::router(&services))
        .merge(hyperswitch::router(&services))
        .merge(locker::router(&services))
        .merge(paykka::router(&services))
        .fallback(async move |request: Request| match request.uri().path() {
            // before the gateway, which has all other paths below `/api`
            path if locker::owns(&services, path) => locker::not_found(&services, request),
            path if mastercard::owns(path) => mastercard::not_found(&services, request),
            path if hyperswitch::owns(path) => hyperswitch::not_found(&services, request),
            path if paykka::owns(&services, path) => paykka::not_found(&services, request),
            path if worldpay::owns(path) => worldpay::not_found(&services, request),
            _ => native::not_found(&services, request),
        })
}

/// The routes of pages that payers open, for a listener of their own. Requests must carry their caller, as for [`router`].
pub fn checkout_router(services: &Arc<Services>) -> Router {
    paykka::checkout(services)
}
