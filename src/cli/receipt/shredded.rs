//! A deletion receipt and a shred certificate, held together.

use crate::audit::{Statement, StatementFault, StatementKind};
use crate::cli::Exit;

/// What receipt and certificate prove together: the token was deleted, and the KEK that every copy of its card hangs on is
/// destroyed.
/// Where they are `pinned`, each to a key of the vault's, these may be two of them.
pub(super) fn proof(receipt: &Statement, certificate: &Statement, pinned: bool) -> anyhow::Result<String> {
    let not = |why: String| Exit::Fault.because(format!("erasure is not proved: {why}"));
    let missing = |fault: StatementFault| not(fault.to_string());
    if receipt.kind() != StatementKind::Deletion {
        return Err(not("the first is no deletion receipt".to_owned()));
    }
    if certificate.kind() != StatementKind::Shred {
        return Err(not("the second is no shred certificate".to_owned()));
    }
    for (member, what) in [("vault", "are of two vaults"), ("key", "were signed by two keys")] {
        if member == "key" && pinned {
            continue;
        }
        if receipt.member(member).map_err(missing)? != certificate.member(member).map_err(missing)? {
            return Err(not(format!("they {what}")));
        }
    }
    let destroyed = certificate.number("kek_epoch").map_err(missing)?;
    let Ok(epoch) = receipt.number("kek_epoch") else {
        return Err(not(
            "the receipt names no KEK epoch: the card was gone before, as that of a used single-use token is"
                .to_owned(),
        ));
    };
    if epoch != destroyed {
        return Err(not(format!(
            "the card was under KEK epoch {epoch}, and epoch {destroyed} was destroyed"
        )));
    }
    let shredded = certificate.member("cka_id").map_err(missing)?;
    let told = match receipt.member("cka_id") {
        Ok(under) if under == shredded => "",
        Ok(under) => {
            return Err(not(format!(
                "the card was under the KEK with CKA_ID {under}, and the one with CKA_ID {shredded} was destroyed; both are epoch \
                 {epoch}, of two tokens"
            )));
        }
        // of the first format; the signed bytes say so
        Err(_) if receipt.number("format") == Ok(1) => {
            "; the receipt is of a version that names the KEK by its epoch only"
        }
        Err(fault) => return Err(missing(fault)),
    };
    Ok(format!(
        "erased: deleted on {}, and the KEK that its card was under (epoch {epoch}, CKA_ID {shredded}) was destroyed on {}; what \
         the certificate's `limits` name is not covered{told}",
        receipt.member("deleted_at").map_err(missing)?,
        certificate.member("destroyed_at").map_err(missing)?,
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;

    /// As read; who signed it is the caller's to check, so any signature does.
    fn of(says: &Value) -> Statement {
        let mut all = BTreeMap::from([("vault", json!("v")), ("key", json!("k")), ("signature", json!("AA"))]);
        let says = says.as_object().unwrap();
        all.extend(says.iter().map(|(name, value)| (name.as_str(), value.clone())));
        Statement::parse(json!(all).to_string().as_bytes()).unwrap()
    }

    fn receipt(format: u64, id: Option<&str>) -> Statement {
        let mut says = json!({"kind": "deletion", "format": format, "kek_epoch": 1, "deleted_at": "then"});
        if let Some(id) = id {
            says["cka_id"] = id.into();
        }
        of(&says)
    }

    #[test]
    fn the_kek_is_compared_by_its_id_where_the_receipt_names_it() {
        let shred = json!({"kind": "shred", "format": 1, "kek_epoch": 1, "cka_id": "aa", "destroyed_at": "now"});
        let proved = |receipt: &Statement| {
            let told = proof(receipt, &of(&shred), true);
            told.map_err(|error| error.to_string())
        };
        let told = proved(&receipt(2, Some("aa"))).unwrap();
        assert!(
            told.contains("CKA_ID aa") && !told.contains("by its epoch only"),
            "{told}"
        );
        let told = proved(&receipt(2, Some("bb"))).unwrap_err();
        assert!(told.contains("CKA_ID bb") && told.contains("two tokens"), "{told}");
        let told = proved(&receipt(1, None)).unwrap();
        assert!(told.contains("by its epoch only"), "{told}");
        assert!(proved(&receipt(2, None)).unwrap_err().contains("cka_id"), "cut out");
    }
}
