//! Notifications: what they say, and how they are signed.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;

use super::signature::Generation;
use super::{answer, platform};
use crate::api::json;
use crate::id::MerchantId;
use crate::payment::shopper::{Dress, Notified, Signed};
use crate::payment::wallet::written;
use crate::vault::Vault;
use crate::vault::types::{Error, IntegrityError};

/// Notifications of this dialect.
pub struct Notifications(Arc<Vault>);

/// What merchants answer.
#[derive(Deserialize)]
struct Answer {
    ret_code: Option<super::wire::Scalar>,
}

impl Notifications {
    /// Signed by this vault's platform key.
    pub fn new(vault: Arc<Vault>) -> Self {
        Self(vault)
    }
}

impl Dress for Notifications {
    fn dress<'a>(
        &'a self,
        merchant: &'a MerchantId,
        notified: &'a Notified,
        path: &'a str,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Signed, Error>> + Send + 'a>> {
        Box::pin(async move {
            let body = written(&answer::notification(merchant, notified)).map_err(|_| IntegrityError::Damaged)?;
            let to = ("POST", path);
            Ok(Signed {
                headers: platform::sign(&self.0, Generation::V3, merchant, to, &body).await?,
                body: Bytes::from_owner(body),
            })
        })
    }

    /// A body without a code is taken for yes: the status says so.
    fn understood(&self, answer: &[u8]) -> bool {
        match json::parse::<Answer>(answer) {
            Ok(Answer { ret_code: Some(code) }) => matches!(code.0.as_str(), "000000" | "0" | "200"),
            Ok(Answer { ret_code: None }) | Err(_) => true,
        }
    }
}
