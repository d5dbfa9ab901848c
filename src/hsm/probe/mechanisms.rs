//! What the token lists.

use cryptoki_sys as sys;
use cryptoki_sys::CK_MECHANISM_TYPE;

use super::Findings;
use crate::hsm::StartFault;

/// Without these nothing works.
const NEEDED: [(CK_MECHANISM_TYPE, &str); 4] = [
    (sys::CKM_AES_KEY_GEN, "CKM_AES_KEY_GEN"),
    (sys::CKM_AES_GCM, "CKM_AES_GCM"),
    (sys::CKM_AES_KEY_WRAP, "CKM_AES_KEY_WRAP"),
    (sys::CKM_SHA256_HMAC, "CKM_SHA256_HMAC"),
];

/// Refuses a token that lacks a mechanism the vault cannot do without.
pub(crate) fn required(listed: &[CK_MECHANISM_TYPE], findings: &mut Findings) -> Result<(), StartFault> {
    let missing: Vec<&str> = NEEDED
        .iter()
        .filter(|(mechanism, _)| !listed.contains(mechanism))
        .map(|(_, name)| *name)
        .collect();
    if !missing.is_empty() {
        return Err(StartFault::Policy(format!(
            "the token has no {}",
            missing.join(", no ")
        )));
    }
    findings.pass(
        "mechanisms",
        "key generation, AES-GCM, AES Key Wrap and HMAC-SHA-256 are there",
    );
    if listed.contains(&sys::CKM_EDDSA) {
        findings.pass("audit-algorithm", "Ed25519 is there");
    } else {
        findings.note("audit-algorithm", "no Ed25519: the audit key is ECDSA P-256");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_without_key_wrap_is_refused_by_name() {
        let mut findings = Findings::default();
        let listed = [
            sys::CKM_AES_KEY_GEN,
            sys::CKM_AES_GCM,
            sys::CKM_SHA256_HMAC,
            sys::CKM_AES_CBC_PAD,
        ];
        let fault = required(&listed, &mut findings).unwrap_err();
        assert_eq!(
            fault,
            StartFault::Policy("the token has no CKM_AES_KEY_WRAP".to_owned())
        );
        assert!(required(&[&listed[..], &[sys::CKM_AES_KEY_WRAP]].concat(), &mut findings).is_ok());
    }
}
