//! What each path does.

use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::enter::{Entered, enter};
use super::refusal::Refusal;
use super::translate;
use super::values::{self, given};
use super::wire::{self, Envelope};
use super::{Endpoint, answer, answered, platform};
use crate::api::{Services, body, json};
use crate::id::{RequestId, Token, UnixMillis};
use crate::payment::shopper::{By, Error};
use crate::payment::wallet::written;

/// A body's limit, in bytes.
const BODY: usize = 64 * 1024;

/// What is answered with 200: JSON text.
type Answer = Result<Zeroizing<Vec<u8>>, Refusal>;

pub(super) async fn serve(services: &Services, endpoint: Endpoint, request: Request) -> Response {
    let name = request.extensions().get::<RequestId>().cloned();
    let (parts, body) = request.into_parts();
    let entered = async {
        let body = body::read(&parts.headers, body, BODY).await?;
        let entered = enter(services, &parts, &body).await?;
        Ok::<_, Refusal>((entered, body))
    };
    let (entered, body) = match entered.await {
        Ok(let_in) => let_in,
        Err(refusal) => {
            refusal.log(name.as_ref());
            return answered(refusal.status, refusal.retry_after, refusal.body().into());
        }
    };
    let (status, retry_after, body) = match done(services, &entered, endpoint, &body).await {
        Ok(body) => (StatusCode::OK, None, Bytes::from_owner(body)),
        Err(refusal) => {
            refusal.log(name.as_ref());
            (refusal.status, refusal.retry_after, Bytes::from(refusal.body()))
        }
    };
    // what was done is done: a client that gets no signature asks again and is told the same
    match signed(services, &entered, &parts, &body).await {
        Ok(headers) => {
            let mut response = answered(status, retry_after, body.into());
            response.headers_mut().extend(headers);
            response
        }
        Err(refusal) => {
            refusal.log(name.as_ref());
            answered(refusal.status, refusal.retry_after, refusal.body().into())
        }
    }
}

/// The headers that sign an answer, in the generation of its request.
async fn signed(services: &Services, entered: &Entered, parts: &Parts, body: &[u8]) -> Result<HeaderMap, Refusal> {
    let (generation, merchant) = (entered.generation, &entered.actor.merchant);
    let to = (parts.method.as_str(), parts.uri.path());
    let headers = platform::sign(&services.vault, generation, merchant, to, body).await?;
    let headers = headers.into_iter().map(|(name, value)| {
        let value = HeaderValue::try_from(value).map_err(Refusal::failed)?;
        Ok((HeaderName::from_static(name), value))
    });
    headers.collect()
}

async fn done(services: &Services, entered: &Entered, endpoint: Endpoint, body: &[u8]) -> Answer {
    let (actor, payments) = (&entered.actor, &services.payments);
    let merchant = &actor.merchant;
    match endpoint {
        Endpoint::ApplePay => Err(Refusal::rule("1004", "Apple Pay is not supported here")),
        Endpoint::OpenSession => {
            let base = services.paykka.checkout_url.as_deref();
            let base = base.ok_or_else(|| Refusal::rule("1016", "no address of hosted pages is configured here"))?;
            let new = translate::session(parsed(body)?, UnixMillis::now())?;
            let opened = payments.open_payment_session(actor, new).await?;
            said(&answer::session(merchant, base, opened))
        }
        Endpoint::Pay => {
            let new = translate::payment(parsed(body)?, payments.may_send_cards(merchant))?;
            let paid = payments.pay(actor, new).await.map_err(|error| match error {
                error @ (Error::TokenUnknown | Error::UsageDiffers) => {
                    Refusal::from(error).with_code(&services.paykka.unknown_token_code)
                }
                error => error.into(),
            })?;
            said(&answer::payment(merchant, paid))
        }
        Endpoint::Query => {
            let asked: wire::Query = parsed(body)?;
            let (trans, order, session) = (given(asked.trans_id), given(asked.order_id), given(asked.session_id));
            let by = match (&order, &trans, &session) {
                (Some(order), _, _) => By::Order(order),
                (None, Some(trans), _) => By::Trans(trans),
                (None, None, Some(session)) => By::Session(session),
                (None, None, None) => return Err(Refusal::invalid("trans_id, order_id or session_id is missing")),
            };
            said(&answer::payment(merchant, payments.payment(actor, by).await?))
        }
        Endpoint::RemoveToken => {
            let asked: wire::TokenRemove = parsed(body)?;
            let unknown = || {
                let refusal = Refusal::invalid("the shopper has no such token");
                refusal.with_code(&services.paykka.unknown_token_on_remove_code)
            };
            let token = Token::parse(&asked.token).map_err(|_| unknown())?;
            let removed = payments
                .remove_stored_card(actor, asked.shopper_reference.expose(), &token)
                .await;
            removed.map_err(|error| match error {
                Error::TokenUnknown => unknown(),
                error => error.into(),
            })?;
            nothing()
        }
        Endpoint::Tokens => {
            let asked: wire::TokenQuery = parsed(body)?;
            if asked.shopper_reference.expose().is_empty() {
                return Err(Refusal::rule("2008", "shopper_reference is needed"));
            }
            let cards = payments.stored_cards(actor, asked.shopper_reference.expose()).await?;
            said(&answer::tokens(merchant, asked.shopper_reference, cards))
        }
        Endpoint::CancelAgreement => {
            let asked: wire::AgreementCancel = parsed(body)?;
            payments.cancel_agreement(actor, &asked.recurring_agreement_id).await?;
            nothing()
        }
        Endpoint::Void => {
            let asked: wire::Change = parsed(body)?;
            said(&answer::payment(
                merchant,
                payments.void_payment(actor, &asked.order_id).await?,
            ))
        }
        Endpoint::Capture => {
            let asked: wire::Change = parsed(body)?;
            let wanted = match (asked.amount, asked.currency) {
                (Some(amount), Some(currency)) => {
                    let currency = values::currency(&currency)?;
                    Some((values::amount("amount", &amount, currency)?, currency))
                }
                (Some(_), None) => return Err(Refusal::invalid("currency is missing")),
                (None, _) => None,
            };
            said(&answer::payment(
                merchant,
                payments.capture_payment(actor, &asked.order_id, wanted).await?,
            ))
        }
        Endpoint::Refund => {
            let (refund, payment) = payments.refund(actor, translate::refund(parsed(body)?)?).await?;
            said(&answer::refund(merchant, refund, &payment))
        }
        Endpoint::RefundQuery => {
            let asked: wire::RefundQuery = parsed(body)?;
            let (trans, id) = (given(asked.refund_trans_id), given(asked.refund_order_id));
            let (refund, payment) = payments.refund_by(actor, trans.as_deref(), id.as_deref()).await?;
            said(&answer::refund(merchant, refund, &payment))
        }
    }
}

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    Ok(json::parse(body)?)
}

fn said<T: Serialize>(data: &T) -> Answer {
    enveloped(Some(data))
}

fn nothing() -> Answer {
    enveloped::<()>(None)
}

fn enveloped<T: Serialize>(data: Option<&T>) -> Answer {
    let envelope = Envelope {
        ret_code: "000000",
        ret_msg: "Success",
        data,
    };
    written(&envelope).map_err(Refusal::failed)
}
