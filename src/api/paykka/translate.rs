//! From the contract's words to the core's. Pure.

use zeroize::Zeroizing;

use super::refusal::Refusal;
use super::values::{amount, currency, given, is_web, number_of, time, year};
use super::wire::{self, Scalar};
use crate::card::Pan;
use crate::hsm::framed;
use crate::id::{Token, UnixMillis};
use crate::keys::SecretBytes;
use crate::payment::shopper::{Capture, CardFrom, NewPayment, NewRefund, NewSession, PaymentType, Terms, Usage};
use crate::payment::wallet::{Json, Text};
use crate::payment::{CardDetails, SecurityCode};

/// Of a session without one: half an hour.
const SESSION_MS: u64 = 30 * 60 * 1_000;

/// A hosted page.
pub(super) fn session(asked: wire::Session, now: UnixMillis) -> Result<NewSession, Refusal> {
    match asked.session_mode.as_deref().unwrap_or("HOSTED") {
        "HOSTED" => {}
        "DROP_IN" | "COMPONENT" => return Err(Refusal::rule("1005", "only session_mode HOSTED is supported here")),
        _ => {
            return Err(Refusal::invalid(
                "session_mode must be one of: HOSTED, DROP_IN, COMPONENT",
            ));
        }
    }
    final_auth(asked.authorisation_type.as_deref())?;
    let payment = asked.payment.unwrap_or_default();
    let store = payment.store_payment_method.unwrap_or_default();
    card_only(payment.payment_method.as_deref(), store)?;
    let expires_at = match given(asked.expire_time) {
        Some(text) => time(&text).ok_or_else(|| Refusal::invalid("expire_time is no time with an offset"))?,
        None => now.plus(SESSION_MS),
    };
    for (name, url) in [
        ("return_url", Some(&asked.return_url)),
        ("cancel_url", asked.cancel_url.as_ref()),
    ] {
        if url.is_some_and(|url| !is_web(url.expose())) {
            return Err(Refusal::invalid(format!("{name} must begin with https:// or http://")));
        }
    }
    let mut terms = terms(Asked {
        trans_id: asked.trans_id,
        payment_type: asked.payment_type,
        capture: asked.capture_method,
        currency: &asked.currency,
        amount: &asked.amount,
        store,
        usage: payment.token_usage,
        shopper: payment.shopper_reference,
        notify_url: asked.notify_url,
        personal: [&asked.bill, &asked.shipping, &asked.goods, &asked.customer],
    })?;
    let urls = [Some(&asked.return_url), asked.cancel_url.as_ref()];
    terms.request = request(
        b"session",
        &terms,
        &urls.map(|url| url.map(Text::expose).unwrap_or_default().as_bytes()),
    );
    Ok(NewSession {
        terms,
        return_url: asked.return_url,
        cancel_url: asked.cancel_url,
        expires_at,
    })
}

/// A payment by the merchant's server. `plain`: it may send card numbers.
pub(super) fn payment(asked: wire::Payment, plain: bool) -> Result<NewPayment, Refusal> {
    let method = asked.payment;
    final_auth(asked.authorisation_type.as_deref())?;
    let store = method.store_payment_method.unwrap_or_default();
    card_only(method.payment_method.as_deref(), store)?;
    let encrypted = method.encrypted_card_no.is_some()
        || method.encrypted_cvv.is_some()
        || method.encrypted_exp_month.is_some()
        || method.encrypted_exp_year.is_some();
    if encrypted {
        return Err(Refusal::rule(
            "2003",
            "fields of the vendor's browser component cannot be decrypted here",
        ));
    }
    let code = method.cvv.filter(|code| !code.expose().is_empty()).map(|code| {
        SecurityCode::parse(code.expose()).ok_or_else(|| Refusal::invalid("payment.cvv must have 3 or 4 digits"))
    });
    let code = code.transpose()?;
    let mut parts: Vec<Zeroizing<Vec<u8>>> = Vec::new();
    let card = match (
        given(method.token),
        method.card_no.filter(|number| !number.expose().is_empty()),
    ) {
        (Some(token), None) => {
            parts.push(Zeroizing::new(token.as_bytes().to_vec()));
            let token = Token::parse(&token).map_err(|_| Refusal::rule("2099", "the token cannot be used"))?;
            CardFrom::Stored { token, code }
        }
        (None, Some(_)) if !plain => {
            return Err(Refusal::rule(
                "1008",
                "the merchant is not certified to send card numbers in plain",
            ));
        }
        (None, Some(number)) => {
            let pan = Pan::parse(number.expose())
                .map_err(|fault| Refusal::rule("2099", format!("payment.card_no {fault}")))?;
            parts.push(Zeroizing::new(pan.expose().as_bytes().to_vec()));
            CardFrom::Given(CardDetails {
                month: number_of("payment.exp_month", method.exp_month)?,
                year: year(number_of("payment.exp_year", method.exp_year)?),
                holder: method.holder_name.map(Text::into_zeroizing),
                security_code: code,
                pan: Some(pan),
            })
        }
        (Some(_), Some(_)) => return Err(Refusal::invalid("payment.token and payment.card_no exclude each other")),
        (None, None) => return Err(Refusal::invalid("payment.token or payment.card_no is missing")),
    };
    if let CardFrom::Given(card) = &card {
        parts.push(Zeroizing::new(format!("{:?} {:?}", card.month, card.year).into_bytes()));
        let holder = card.holder.as_ref().map(|holder| holder.as_bytes().to_vec());
        parts.push(Zeroizing::new(holder.unwrap_or_default()));
    }
    let agreement = given(asked.recurring_agreement_id);
    parts.push(Zeroizing::new(format!("{:?} {agreement:?}", asked.mit).into_bytes()));
    let mut terms = terms(Asked {
        trans_id: asked.trans_id,
        payment_type: asked.payment_type,
        capture: asked.capture_method,
        currency: &asked.currency,
        amount: &asked.amount,
        store,
        usage: method.token_usage,
        shopper: method.shopper_reference,
        notify_url: asked.notify_url,
        personal: [&asked.bill, &asked.shipping, &asked.goods, &asked.customer],
    })?;
    let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_slice()).collect();
    terms.request = request(b"payment", &terms, &parts);
    Ok(NewPayment {
        terms,
        card,
        mit: asked.mit,
        agreement,
    })
}

/// Money to be given back.
pub(super) fn refund(asked: wire::Refund) -> Result<NewRefund, Refusal> {
    match asked.reason.as_deref() {
        None | Some("" | "DUPLICATE" | "FRAUDULENT" | "REQUESTED_BY_CUSTOMER" | "OTHER") => {}
        Some(_) => {
            return Err(Refusal::invalid(
                "reason must be one of: DUPLICATE, FRAUDULENT, REQUESTED_BY_CUSTOMER, OTHER",
            ));
        }
    }
    let currency = currency(&asked.currency)?;
    Ok(NewRefund {
        trans_id: asked.refund_trans_id,
        order: asked.ori_order_id,
        amount: amount("refund_amount", &asked.refund_amount, currency)?,
        currency,
        notify_url: asked.notify_url.filter(|url| !url.expose().is_empty()),
    })
}

struct Asked<'a> {
    trans_id: String,
    payment_type: Option<String>,
    capture: Option<String>,
    currency: &'a str,
    amount: &'a Scalar,
    store: bool,
    usage: Option<String>,
    shopper: Option<Text>,
    notify_url: Option<Text>,
    personal: [&'a Option<Json>; 4],
}

fn terms(asked: Asked<'_>) -> Result<Terms, Refusal> {
    let currency = currency(asked.currency)?;
    let usage = given(asked.usage).map(|word| match word.to_ascii_uppercase().replace('_', "").as_str() {
        // version 1.2 has it without underscores
        "CARDONFILE" => Ok(Usage::CardOnFile),
        "SUBSCRIPTION" => Ok(Usage::Subscription),
        _ => Err(Refusal::invalid(
            "payment.token_usage must be one of: CARD_ON_FILE, SUBSCRIPTION",
        )),
    });
    Ok(Terms {
        trans_id: asked.trans_id,
        payment_type: match given(asked.payment_type).as_deref() {
            None | Some("PURCHASE") => PaymentType::Purchase,
            Some("RECURRING") => PaymentType::Recurring,
            Some(_) => return Err(Refusal::invalid("payment_type must be one of: PURCHASE, RECURRING")),
        },
        capture: match given(asked.capture).as_deref() {
            None | Some("AUTOMATIC") => Capture::Automatic,
            Some("MANUAL") => Capture::Manual,
            Some(_) => return Err(Refusal::invalid("capture_method must be one of: AUTOMATIC, MANUAL")),
        },
        amount: amount("amount", asked.amount, currency)?,
        currency,
        store: asked.store,
        usage: usage.transpose()?,
        shopper: asked.shopper.filter(|shopper| !shopper.expose().is_empty()),
        notify_url: asked.notify_url.filter(|url| !url.expose().is_empty()),
        personal: personal(asked.personal),
        request: SecretBytes::new(Vec::new()),
    })
}

/// What makes a request the same when it comes again: its times do not.
fn request(what: &[u8], terms: &Terms, more: &[&[u8]]) -> SecretBytes {
    let plain = format!(
        "{:?} {:?} {} {:?} {} {:?}",
        terms.payment_type, terms.capture, terms.amount.thousandths, terms.currency, terms.store, terms.usage
    );
    let text = |text: &Option<Text>| {
        text.as_ref()
            .map(|text| text.expose().as_bytes().to_vec())
            .unwrap_or_default()
    };
    let shopper = Zeroizing::new(text(&terms.shopper));
    let notify_url = text(&terms.notify_url);
    let personal = terms.personal.as_ref().map(|text| text.as_bytes()).unwrap_or_default();
    let mut parts: Vec<&[u8]> = vec![what, plain.as_bytes(), &shopper, &notify_url, personal];
    parts.extend_from_slice(more);
    SecretBytes::new(framed(&parts))
}

/// Bill, shipping, goods and customer as one object, as they were given.
fn personal(given: [&Option<Json>; 4]) -> Option<Zeroizing<String>> {
    let members = ["bill", "shipping", "goods", "customer"].into_iter().zip(given);
    let size: usize = given
        .iter()
        .filter_map(|json| json.as_ref())
        .map(|json| json.expose().len() + 16)
        .sum();
    if size == 0 {
        return None;
    }
    let mut text = Zeroizing::new(String::with_capacity(size + 2));
    for (name, json) in members {
        if let Some(json) = json {
            let before = if text.is_empty() { '{' } else { ',' };
            text.push(before);
            text.push('"');
            text.push_str(name);
            text.push_str("\":");
            text.push_str(json.expose());
        }
    }
    text.push('}');
    Some(text)
}

/// Cards alone are taken.
fn card_only(method: Option<&str>, store: bool) -> Result<(), Refusal> {
    match method.map(str::to_ascii_uppercase).as_deref() {
        None | Some("" | "BANKCARD") => Ok(()),
        Some(_) if store => Err(Refusal::rule("2013", "storing needs payment_method BANKCARD")),
        Some(_) => Err(Refusal::rule("1004", "only payment_method BANKCARD is supported here")),
    }
}

fn final_auth(kind: Option<&str>) -> Result<(), Refusal> {
    match kind {
        None | Some("" | "FINAL_AUTH") => Ok(()),
        Some(_) => Err(Refusal::rule(
            "1005",
            "only authorisation_type FINAL_AUTH is supported here",
        )),
    }
}
