//! From what the core knows to the contract's words. Pure.

use super::wire::{BalancesData, CardInfo, MethodData, PaymentData, RefundData, SessionData, TokenData, TokensData};
use crate::id::{MerchantId, UnixMillis};
use crate::payment::acquirer::Verdict;
use crate::payment::money::{Amount, Currency};
use crate::payment::shopper::{
    Event, Notified, OpenedSession, Outcome, PaymentStatus, PaymentType, PaymentView, RefundView, ShownCard, StoredCard,
};
use crate::payment::wallet::Text;

const CARD: MethodData = MethodData {
    payment_method: "BANKCARD",
};

/// A payment as it stands.
pub(super) fn payment(merchant: &MerchantId, view: PaymentView) -> PaymentData {
    let (code, description) = match view.status {
        PaymentStatus::Failure => failure(view.outcome.as_ref()),
        PaymentStatus::Processing if view.is_unknown() => failure(view.outcome.as_ref()),
        PaymentStatus::Authorized
        | PaymentStatus::Canceled
        | PaymentStatus::PartiallyRefunded
        | PaymentStatus::Processing
        | PaymentStatus::Refunded
        | PaymentStatus::Success => ("0000", "request success".to_owned()),
    };
    let currency = view.currency;
    PaymentData {
        notify_type: None,
        error_code: code,
        error_description: description,
        merchant_id: merchant.to_string(),
        trans_id: view.trans_id.clone(),
        order_id: view.order.clone(),
        status: view.status,
        payment_type: view.payment_type,
        authorisation_type: "FINAL_AUTH",
        capture_method: view.capture,
        amount: view.amount.minor(currency),
        currency: currency.as_str().to_owned(),
        pay_finish_time: view.finished_at.map(time),
        token: view.token.as_ref().map(ToString::to_string),
        recurring_agreement_id: view
            .agreement
            .clone()
            .filter(|_| view.payment_type == PaymentType::Recurring),
        shopper_reference: view.shopper.clone(),
        session_id: view.session.clone(),
        expire_time: view.expires_at.map(time),
        payment: CARD,
        card_info: view.card.clone().map(card_info),
        balances: balances(&view),
        refund_order_id: None,
        refund_trans_id: None,
        refund_amount: None,
    }
}

/// What a notification tells.
pub(super) fn notification(merchant: &MerchantId, notified: &Notified) -> PaymentData {
    let data = payment(merchant, notified.payment.clone());
    let currency = notified.payment.currency;
    let refund = notified.refund.as_ref();
    let (code, description) = match (notified.event, refund) {
        (Event::RefundFailure, Some(refund)) => failure(refund.outcome.as_ref()),
        (
            Event::PaymentAuthorization
            | Event::PaymentCanceled
            | Event::PaymentFailure
            | Event::PaymentSuccess
            | Event::RefundFailure
            | Event::RefundSuccess,
            _,
        ) => (data.error_code, data.error_description.clone()),
    };
    PaymentData {
        notify_type: Some(notified.event),
        error_code: code,
        error_description: description,
        refund_order_id: refund.map(|refund| refund.id.clone()),
        refund_trans_id: refund.map(|refund| refund.trans_id.clone()),
        refund_amount: refund.map(|refund| refund.amount.minor(currency)),
        ..data
    }
}

/// A refund as it stands.
pub(super) fn refund(merchant: &MerchantId, refund: RefundView, payment: &PaymentView) -> RefundData {
    let (code, description) = match refund.status {
        crate::payment::shopper::RefundStatus::Failure => failure(refund.outcome.as_ref()),
        crate::payment::shopper::RefundStatus::Processing | crate::payment::shopper::RefundStatus::Success => {
            ("0000", "request success".to_owned())
        }
    };
    RefundData {
        error_code: code,
        error_description: description,
        merchant_id: merchant.to_string(),
        refund_order_id: refund.id,
        refund_trans_id: refund.trans_id,
        ori_order_id: payment.order.clone(),
        ori_trans_id: payment.trans_id.clone(),
        status: refund.status,
        refund_amount: refund.amount.minor(payment.currency),
        currency: payment.currency.as_str().to_owned(),
        refund_finish_time: refund.finished_at.map(time),
    }
}

/// A page that was opened.
pub(super) fn session(merchant: &MerchantId, base: &str, opened: OpenedSession) -> SessionData {
    let base = base.trim_end_matches('/');
    SessionData {
        session_url: format!("{base}/checkout/{merchant}/{}/{}", opened.id, opened.key),
        session_id: opened.id,
    }
}

/// A shopper's stored cards.
pub(super) fn tokens(merchant: &MerchantId, shopper: Text, cards: Vec<StoredCard>) -> TokensData {
    let tokens = cards.into_iter().map(|card| TokenData {
        token: card.token.to_string(),
        token_usage: card.usage,
        payment: CARD,
        card_info: card_info(card.card),
        recurring_agreement_id: card.agreements.into_iter().next_back(),
        create_time: time(card.created_at),
    });
    TokensData {
        merchant_id: merchant.to_string(),
        shopper_reference: shopper,
        tokens: tokens.collect(),
    }
}

/// The vendor's code for how the acquirer refused: its list has one for the card, and one for everything that failed.
fn failure(outcome: Option<&Outcome>) -> (&'static str, String) {
    let Some(outcome) = outcome else {
        return ("999999", "System exception".to_owned());
    };
    let code = match outcome.verdict {
        Verdict::Declined | Verdict::ExpiredCard | Verdict::InsufficientFunds | Verdict::InvalidSecurityCode => "2099",
        Verdict::Approved
        | Verdict::SystemError
        | Verdict::TimedOut
        | Verdict::Unknown
        | Verdict::UnspecifiedFailure => "999999",
    };
    (code, outcome.message.clone())
}

fn card_info(card: ShownCard) -> CardInfo {
    CardInfo {
        bin: card.bin,
        last4: card.last4,
        card_brand: card.brand.map(|brand| brand.to_ascii_uppercase()),
    }
}

fn balances(view: &PaymentView) -> BalancesData {
    let currency: Currency = view.currency;
    let minor = |amount: Amount| amount.minor(currency);
    let less = |amount: Amount, taken: Amount| minor(amount.checked_sub(taken).unwrap_or(Amount::ZERO));
    let all = &view.balances;
    let untouched = all.refunded.is_zero() && all.voided.is_zero();
    BalancesData {
        authed_amount: minor(all.authorized).max(minor(all.voided)),
        captured_amount: minor(all.captured),
        able_to_capture_amount: less(all.authorized, all.captured),
        voided_amount: minor(all.voided),
        able_to_void_amount: if untouched { minor(all.authorized) } else { 0 },
        refunded_amount: minor(all.refunded),
        able_to_refund_amount: less(all.captured, all.refunded),
    }
}

/// RFC 3339 to the second, as an offset from UTC.
fn time(at: UnixMillis) -> String {
    let text = at.to_string();
    let seconds = text.split(['.', 'Z']).next().unwrap_or_default();
    format!("{seconds}+00:00")
}
