//! Words that the contract lists: texts that must be one of them.

use serde::{Deserialize, Deserializer};

/// Kinds of payment methods below the type.
const SUBTYPES: &[&str] = &[
    "ach",
    "affirm",
    "afterpay_clearpay",
    "alfamart",
    "ali_pay",
    "ali_pay_hk",
    "alma",
    "amazon_pay",
    "apple_pay",
    "atome",
    "bacs",
    "bancontact_card",
    "bca_bank_transfer",
    "becs",
    "benefit",
    "bhn_card_network",
    "bizum",
    "blik",
    "bluecode",
    "bni_va",
    "boleto",
    "breadpay",
    "bri_va",
    "card_redirect",
    "cashapp",
    "cimb_va",
    "classic",
    "credit",
    "crypto_currency",
    "dana",
    "danamon_va",
    "debit",
    "direct_carrier_billing",
    "duit_now",
    "efecty",
    "eft",
    "eft_debit_order",
    "eps",
    "evoucher",
    "family_mart",
    "flexiti",
    "fps",
    "gcash",
    "giropay",
    "givex",
    "go_pay",
    "google_pay",
    "ideal",
    "indomaret",
    "indonesian_bank_transfer",
    "instant_bank_transfer",
    "instant_bank_transfer_finland",
    "instant_bank_transfer_poland",
    "interac",
    "kakao_pay",
    "klarna",
    "knet",
    "lawson",
    "local_bank_redirect",
    "local_bank_transfer",
    "mandiri_va",
    "mb_way",
    "mifinity",
    "mini_stop",
    "mobile_pay",
    "momo",
    "momo_atm",
    "multibanco",
    "network_token",
    "online_banking_czech_republic",
    "online_banking_finland",
    "online_banking_fpx",
    "online_banking_poland",
    "online_banking_slovakia",
    "online_banking_thailand",
    "open_banking",
    "open_banking_pis",
    "open_banking_uk",
    "oxxo",
    "pago_efectivo",
    "pay_bright",
    "pay_easy",
    "pay_safe_card",
    "payjustnow",
    "paypal",
    "paysera",
    "paze",
    "permata_bank_transfer",
    "pix",
    "pix_automatico_push",
    "pix_automatico_qr",
    "pix_emv",
    "pix_key",
    "pix_qr",
    "prompt_pay",
    "przelewy24",
    "pse",
    "qris",
    "red_compra",
    "red_pagos",
    "revolut_pay",
    "samsung_pay",
    "seicomart",
    "sepa",
    "sepa_bank_transfer",
    "sepa_guarenteed_debit",
    "seven_eleven",
    "skrill",
    "sofort",
    "swish",
    "touch_n_go",
    "trustly",
    "twint",
    "upi_collect",
    "upi_intent",
    "upi_qr",
    "venmo",
    "viet_qr",
    "vipps",
    "walley",
    "we_chat_pay",
];

/// Card networks.
const NETWORKS: &[&str] = &[
    "Visa",
    "Mastercard",
    "AmericanExpress",
    "JCB",
    "DinersClub",
    "Discover",
    "CartesBancaires",
    "UnionPay",
    "Interac",
    "RuPay",
    "Maestro",
    "Star",
    "Pulse",
    "Accel",
    "Nyce",
    "Prop",
    "PrivateLabel",
    "Dinacard",
];

/// A kind of payment method, as the contract lists them.
pub(super) struct Subtype(pub(super) String);

/// A card network, as the contract lists them.
pub(super) struct Network(pub(super) String);

/// A country: two capitals.
#[derive(serde::Serialize)]
pub(super) struct Country(pub(super) String);

impl<'de> Deserialize<'de> for Subtype {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        listed(deserializer, SUBTYPES).map(Self)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        listed(deserializer, NETWORKS).map(Self)
    }
}

impl<'de> Deserialize<'de> for Country {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let good = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase());
        match good {
            true => Ok(Self(text)),
            false => Err(serde::de::Error::custom("not a country")),
        }
    }
}

fn listed<'de, D: Deserializer<'de>>(deserializer: D, list: &'static [&'static str]) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    match list.contains(&text.as_str()) {
        true => Ok(text),
        false => Err(serde::de::Error::unknown_variant("", list)),
    }
}

/// The network of a brand, in the contract's word.
pub(super) fn network(brand: Option<&str>) -> Option<&'static str> {
    Some(match brand? {
        "amex" => "AmericanExpress",
        "diners" => "DinersClub",
        "dinacard" => "Dinacard",
        "discover" => "Discover",
        "interac" => "Interac",
        "jcb" => "JCB",
        "maestro" => "Maestro",
        "mastercard" => "Mastercard",
        "rupay" => "RuPay",
        "unionpay" => "UnionPay",
        "visa" => "Visa",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_listed_is_refused() {
        let subtype = |text: &str| serde_json::from_str::<Subtype>(text).is_ok();
        assert!(subtype("\"credit\"") && subtype("\"ach\"") && !subtype("\"gold\"") && !subtype("7"));
        let country = |text: &str| serde_json::from_str::<Country>(text).is_ok();
        assert!(country("\"AF\"") && !country("\"af\"") && !country("\"AFG\""));
    }

    #[test]
    fn every_network_that_a_brand_has_is_listed() {
        for brand in [
            "amex",
            "diners",
            "discover",
            "interac",
            "jcb",
            "maestro",
            "mastercard",
            "rupay",
            "unionpay",
            "visa",
        ] {
            assert!(NETWORKS.contains(&network(Some(brand)).unwrap()), "{brand}");
        }
        assert_eq!(network(Some("unheard")), None);
    }
}
