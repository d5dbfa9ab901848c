//! Approvals in files, for what is done while no daemon serves: an operator writes one as their own user, and whoever does
//! it shows two.
//!
//! The kernel's word on the user is the file's owner; the credential's is a signature by a key that is made of it, whose
//! public half the store keeps. So neither a copy by another user counts nor a file by somebody who has the store, or a
//! backup of it, and not the credential.

use data_encoding::BASE64URL_NOPAD;
use ring::digest::{Context, SHA256};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::files::is_guarded;
use super::operator::Operator;
use super::table::all;
use super::{Control, Error, Guarded};
use crate::audit::canonical;
use crate::id::{CredentialId, OperatorName, UnixMillis};
use crate::store::Store;
use crate::vault::credential::Presented;

/// The longest file that is read as an approval, in bytes.
pub const APPROVAL_MAX: u64 = 4_096;

/// A file that may be an approval.
pub struct ShownApproval {
    /// Its owner.
    pub uid: u32,
    /// What stands in it.
    pub text: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Approval {
    format: u32,
    operation: String,
    subject: Map<String, Value>,
    credential: CredentialId,
    at: UnixMillis,
    proof: String,
}

/// The text of an approval by the holder of `credential`.
///
/// # Errors
/// [`Error::NoCredential`]: it is no operator's.
pub fn approval(credential: &str, operation: Guarded, subject: &Map<String, Value>) -> Result<String, Error> {
    let shown = Presented::parse_operator(credential).ok_or(Error::NoCredential)?;
    let mut approval = Approval {
        format: FORMAT,
        operation: operation.as_str().to_owned(),
        subject: subject.clone(),
        credential: shown.id,
        at: UnixMillis::now(),
        proof: String::new(),
    };
    let signature = key_pair(credential)?.sign(approval.form().as_bytes());
    approval.proof = BASE64URL_NOPAD.encode(signature.as_ref());
    serde_json::to_string(&approval).map_err(|_| Error::BadApproval("it cannot be written"))
}

/// Whether these are the approvals of two operators of the vault in `store` for just this; gives their names.
///
/// # Errors
/// [`Error::TooFewApprovals`], or what is wrong with the first that counts for nothing.
pub async fn agreed(
    store: &dyn Store,
    control: &Control,
    operation: Guarded,
    subject: &Map<String, Value>,
    shown: &[ShownApproval],
) -> Result<Vec<OperatorName>, Error> {
    let operators = all::<Operator>(store).await?;
    let mut names: Vec<OperatorName> = Vec::new();
    for file in shown {
        let approval: Approval =
            serde_json::from_slice(&file.text).map_err(|_| Error::BadApproval("it is no approval"))?;
        let of = |held: &&super::table::Held<Operator>| {
            let enrolled = held.row.enrolled.as_ref();
            enrolled.is_some_and(|enrolled| enrolled.credential == approval.credential)
        };
        let operator = operators.iter().find(of).map(|held| &held.row);
        let operator = operator.ok_or(Error::BadApproval("its credential is of no operator of this vault"))?;
        approval.check(operator, file.uid, control, operation, subject)?;
        if !names.contains(&operator.name) {
            names.push(operator.name.clone());
        }
    }
    if names.len() < 2 {
        return Err(Error::TooFewApprovals(names.len()));
    }
    Ok(names)
}

/// Whether `operation` needs two in the vault of this store: also where its configuration does not list it, as long as
/// configurations are under dual control there and this one has not proved to be an approved one.
///
/// # Errors
/// The store does not work.
pub async fn must_agree(store: &dyn Store, control: &Control, operation: Guarded) -> Result<bool, Error> {
    Ok(control.guards(operation) || is_guarded(store).await?)
}

/// The public half of the key that a credential makes, base64url.
pub(super) fn approval_key(credential: &str) -> Result<String, Error> {
    Ok(BASE64URL_NOPAD.encode(key_pair(credential)?.public_key().as_ref()))
}

fn key_pair(credential: &str) -> Result<Ed25519KeyPair, Error> {
    let mut context = Context::new(&SHA256);
    context.update(b"panvault operator approval key v1\0");
    context.update(credential.as_bytes());
    let seed = context.finish();
    Ed25519KeyPair::from_seed_unchecked(seed.as_ref()).map_err(|_| Error::BadApproval("it cannot be signed"))
}

impl Approval {
    /// What is proved.
    fn form(&self) -> String {
        let mut says = Map::new();
        let mut set = |name: &str, value: Value| says.insert(name.to_owned(), value);
        set("format", self.format.into());
        set("operation", self.operation.as_str().into());
        set("subject", Value::Object(self.subject.clone()));
        set("credential", self.credential.as_str().into());
        set("at", self.at.0.into());
        canonical::form(&says)
    }

    fn check(
        &self,
        operator: &Operator,
        uid: u32,
        control: &Control,
        operation: Guarded,
        subject: &Map<String, Value>,
    ) -> Result<(), Error> {
        let bad = |what| Err(Error::BadApproval(what));
        if self.format != FORMAT || self.operation != operation.as_str() || self.subject != *subject {
            return bad("it is for something else");
        }
        if uid != operator.uid {
            return bad("the file does not belong to the operator's own user");
        }
        let now = UnixMillis::now();
        let window = u64::try_from(control.window.as_millis()).unwrap_or(u64::MAX);
        if self.at > now.plus(CLOCKS_APART_MS) || self.at.plus(window) <= now {
            return bad("it is too old, or from the future: approve again");
        }
        let proof = BASE64URL_NOPAD.decode(self.proof.as_bytes()).unwrap_or_default();
        let key = operator
            .enrolled
            .as_ref()
            .map(|enrolled| enrolled.approval_key.as_bytes());
        let key = key.and_then(|key| BASE64URL_NOPAD.decode(key).ok()).unwrap_or_default();
        match UnparsedPublicKey::new(&ED25519, key).verify(self.form().as_bytes(), &proof) {
            Ok(()) => Ok(()),
            Err(_) => bad("it was changed, or was not made with the operator's credential"),
        }
    }
}

const FORMAT: u32 = 1;
const CLOCKS_APART_MS: u64 = 60_000;
