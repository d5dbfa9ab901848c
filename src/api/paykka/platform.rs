//! What the platform key signs: answers and notifications.

use super::signature::{Generation, encoded, lines, nonce, old_lines};
use crate::id::{MerchantId, UnixMillis};
use crate::keys::SecretBytes;
use crate::vault::Vault;
use crate::vault::types::Error;

/// Names and values of headers.
pub(super) type Headers = Vec<(&'static str, String)>;

/// The headers of a body that goes to a merchant.
///
/// # Errors
/// The HSM's; no random bytes.
pub(super) async fn sign(
    vault: &Vault,
    generation: Generation,
    merchant: &MerchantId,
    (method, path): (&str, &str),
    body: &[u8],
) -> Result<Headers, Error> {
    let timestamp = UnixMillis::now().0.to_string();
    let signed = async |message| Ok::<_, Error>(encoded(&vault.sign_as_platform(SecretBytes::from(message)).await?));
    Ok(match generation {
        Generation::V3 => {
            let nonce = nonce()?;
            let signature = signed(lines(method, path, &timestamp, &nonce, body)).await?;
            vec![
                ("x-paykka-timestamp", timestamp),
                ("x-paykka-nonce", nonce),
                ("x-paykka-sign-alg", "SHA256_WITH_RSA".to_owned()),
                ("x-paykka-sign", signature),
            ]
        }
        Generation::V1 => {
            let signature = signed(old_lines(merchant.as_str(), &timestamp, body)).await?;
            vec![
                ("timestamp", timestamp),
                ("signature", signature),
                ("type", "RSA256".to_owned()),
                ("version", "v1.2".to_owned()),
            ]
        }
    })
}
