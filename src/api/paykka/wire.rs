//! Requests and answers, named as the contract names them. What else a request has is passed over.

use std::fmt;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize};

use crate::payment::wallet::{Json, Text};

/// What every request says, for who does not know yet what it is.
#[derive(Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct Head {
    pub(super) merchant_id: Option<Scalar>,
    pub(super) timestamp: Option<Scalar>,
}

/// A text or a whole number.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Scalar(pub(super) String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Scalar;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a whole number")
            }
            fn visit_u64<E>(self, value: u64) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }
            fn visit_str<E>(self, value: &str) -> Result<Scalar, E> {
                Ok(Scalar(value.to_owned()))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// A hosted page to be opened.
#[derive(Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct Session {
    pub(super) payment_type: Option<String>,
    pub(super) trans_id: String,
    pub(super) expire_time: Option<String>,
    pub(super) session_mode: Option<String>,
    pub(super) currency: String,
    pub(super) amount: Scalar,
    pub(super) return_url: Text,
    pub(super) cancel_url: Option<Text>,
    pub(super) notify_url: Option<Text>,
    pub(super) capture_method: Option<String>,
    pub(super) authorisation_type: Option<String>,
    pub(super) payment: Option<SessionPayment>,
    pub(super) bill: Option<Json>,
    pub(super) shipping: Option<Json>,
    pub(super) goods: Option<Json>,
    pub(super) customer: Option<Json>,
}

#[derive(Deserialize, Default)]
#[serde(expecting = "an object")]
pub(super) struct SessionPayment {
    pub(super) payment_method: Option<String>,
    pub(super) store_payment_method: Option<bool>,
    pub(super) token_usage: Option<String>,
    pub(super) shopper_reference: Option<Text>,
}

/// A payment by the merchant's server.
#[derive(Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct Payment {
    pub(super) payment_type: Option<String>,
    pub(super) authorisation_type: Option<String>,
    pub(super) capture_method: Option<String>,
    pub(super) trans_id: String,
    pub(super) currency: String,
    pub(super) amount: Scalar,
    pub(super) notify_url: Option<Text>,
    pub(super) mit: Option<bool>,
    pub(super) recurring_agreement_id: Option<String>,
    pub(super) payment: PaymentMethod,
    pub(super) bill: Option<Json>,
    pub(super) shipping: Option<Json>,
    pub(super) goods: Option<Json>,
    pub(super) customer: Option<Json>,
}

#[derive(Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct PaymentMethod {
    pub(super) payment_method: Option<String>,
    pub(super) store_payment_method: Option<bool>,
    pub(super) token_usage: Option<String>,
    pub(super) shopper_reference: Option<Text>,
    pub(super) token: Option<String>,
    pub(super) card_no: Option<Text>,
    pub(super) exp_year: Option<Scalar>,
    pub(super) exp_month: Option<Scalar>,
    pub(super) cvv: Option<Text>,
    pub(super) holder_name: Option<Text>,
    pub(super) encrypted_card_no: Option<serde::de::IgnoredAny>,
    pub(super) encrypted_exp_year: Option<serde::de::IgnoredAny>,
    pub(super) encrypted_exp_month: Option<serde::de::IgnoredAny>,
    pub(super) encrypted_cvv: Option<serde::de::IgnoredAny>,
}

/// Which payment.
#[derive(Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct Query {
    pub(super) trans_id: Option<String>,
    pub(super) order_id: Option<String>,
    pub(super) session_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct TokenRemove {
    pub(super) token: String,
    pub(super) shopper_reference: Text,
}

#[derive(Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct TokenQuery {
    pub(super) shopper_reference: Text,
}

#[derive(Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct AgreementCancel {
    pub(super) recurring_agreement_id: String,
}

/// A payment to be undone, or to be taken.
#[derive(Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct Change {
    pub(super) order_id: String,
    pub(super) amount: Option<Scalar>,
    pub(super) currency: Option<String>,
}

#[derive(Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct Refund {
    pub(super) refund_trans_id: String,
    pub(super) ori_order_id: String,
    pub(super) refund_amount: Scalar,
    pub(super) currency: String,
    pub(super) reason: Option<String>,
    pub(super) notify_url: Option<Text>,
}

#[derive(Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct RefundQuery {
    pub(super) refund_trans_id: Option<String>,
    pub(super) refund_order_id: Option<String>,
}

/// What is answered.
#[derive(Serialize)]
pub(super) struct Envelope<T> {
    pub(super) ret_code: &'static str,
    pub(super) ret_msg: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) data: Option<T>,
}

#[derive(Serialize)]
pub(super) struct SessionData {
    pub(super) session_id: String,
    pub(super) session_url: String,
}

/// A payment as it stands; also what a notification tells.
#[derive(Serialize)]
pub(super) struct PaymentData {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) notify_type: Option<crate::payment::shopper::Event>,
    pub(super) error_code: &'static str,
    pub(super) error_description: String,
    pub(super) merchant_id: String,
    pub(super) trans_id: String,
    pub(super) order_id: String,
    pub(super) status: crate::payment::shopper::PaymentStatus,
    pub(super) payment_type: crate::payment::shopper::PaymentType,
    pub(super) authorisation_type: &'static str,
    pub(super) capture_method: crate::payment::shopper::Capture,
    pub(super) amount: u64,
    pub(super) currency: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pay_finish_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) recurring_agreement_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) shopper_reference: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) session_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expire_time: Option<String>,
    pub(super) payment: MethodData,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) card_info: Option<CardInfo>,
    pub(super) balances: BalancesData,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refund_order_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refund_trans_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refund_amount: Option<u64>,
}

#[derive(Serialize)]
pub(super) struct MethodData {
    pub(super) payment_method: &'static str,
}

#[derive(Serialize)]
pub(super) struct CardInfo {
    pub(super) bin: String,
    pub(super) last4: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) card_brand: Option<String>,
}

#[derive(Serialize)]
pub(super) struct BalancesData {
    pub(super) authed_amount: u64,
    pub(super) captured_amount: u64,
    pub(super) able_to_capture_amount: u64,
    pub(super) voided_amount: u64,
    pub(super) able_to_void_amount: u64,
    pub(super) refunded_amount: u64,
    pub(super) able_to_refund_amount: u64,
}

#[derive(Serialize)]
pub(super) struct TokensData {
    pub(super) merchant_id: String,
    pub(super) shopper_reference: Text,
    pub(super) tokens: Vec<TokenData>,
}

#[derive(Serialize)]
pub(super) struct TokenData {
    pub(super) token: String,
    pub(super) token_usage: crate::payment::shopper::Usage,
    pub(super) payment: MethodData,
    pub(super) card_info: CardInfo,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) recurring_agreement_id: Option<String>,
    pub(super) create_time: String,
}

#[derive(Serialize)]
pub(super) struct RefundData {
    pub(super) error_code: &'static str,
    pub(super) error_description: String,
    pub(super) merchant_id: String,
    pub(super) refund_order_id: String,
    pub(super) refund_trans_id: String,
    pub(super) ori_order_id: String,
    pub(super) ori_trans_id: String,
    pub(super) status: crate::payment::shopper::RefundStatus,
    pub(super) refund_amount: u64,
    pub(super) currency: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refund_finish_time: Option<String>,
}
