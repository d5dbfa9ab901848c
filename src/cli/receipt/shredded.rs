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
    Ok(format!(
        "erased: deleted on {}, and the KEK that its card was under (epoch {epoch}, CKA_ID {}) was destroyed on {}; what the \
         certificate's `limits` name is not covered",
        receipt.member("deleted_at").map_err(missing)?,
        certificate.member("cka_id").map_err(missing)?,
        certificate.member("destroyed_at").map_err(missing)?,
    ))
}
