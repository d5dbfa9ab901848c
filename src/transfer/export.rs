//! The cards of a repository, encrypted to a recipient's public key: lines of compact JWE, some cards in each, and last a
//! manifest signed by the audit key.
//!
//! Every chunk names export, number and whether it is the last in its protected header, so that one that is missing, moved or
//! of another export shows when it is opened; the manifest has the SHA-256 over all of them. A card is one line of JSON in a
//! chunk, as `panvault import` takes it.

use std::sync::Arc;

use data_encoding::HEXLOWER;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use crate::audit::{Event, Receipts, Statement, StatementKind};
use crate::card::{contains_pan, could_be_pan};
use crate::id::{NoRandom, RepositoryName, UnixMillis, fill_random};
use crate::jose::{Compact, RsaPublicKey};
use crate::vault::accounts::{AccountError, AdminActor};
use crate::vault::types::{Error, IntegrityError, RevealedRecord};
use crate::vault::{ExportPage, LeftOut, Vault};

/// Tokens of one chunk.
const CHUNK: u32 = 50;

/// An export to be made.
pub struct Export {
    /// Of this vault.
    pub vault: Arc<Vault>,
    /// Who asked.
    pub admin: AdminActor,
    /// Whose cards.
    pub repository: RepositoryName,
    /// Who can open it.
    pub recipient: RsaPublicKey,
}

/// Why there is no export.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// As for other acts of operators.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// Nobody takes it any more.
    #[error("who asked for it went away: run it again")]
    Alone,
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "ref")]
    reference: &'a str,
    card: Card<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
}

#[derive(Serialize)]
struct Card<'a> {
    number: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiry: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    holder: Option<&'a str>,
}

/// What was sent so far.
struct Sent {
    id: String,
    begun_at: UnixMillis,
    audit_before: u64,
    cards: u64,
    left_out: LeftOut,
    chunks: Receipts,
}

impl Export {
    /// The least bits of a recipient's RSA key: 128 bits of strength (NIST SP 800-57 part 1, table 2), as 2048 have 112.
    pub const BITS_MIN: u32 = 3_072;

    /// Sends it, a line at a time, without their ends. Gives the manifest, which comes last.
    ///
    /// # Errors
    /// [`ExportError`]; what was sent until then has no manifest.
    pub async fn send(self, to: mpsc::Sender<String>) -> Result<Statement, ExportError> {
        let mut id = [0; 16];
        fill_random(&mut id).map_err(no_random)?;
        let mut sent = Sent {
            id: HEXLOWER.encode(&id),
            begun_at: UnixMillis::now(),
            audit_before: self.vault.audit_seq(),
            cards: 0,
            left_out: LeftOut::default(),
            chunks: Receipts::default(),
        };
        let key = self.recipient.jwk();
        self.note("begun", None, format!("to key {}", key.kid())).await?;
        let done = self.send_all(&to, &mut sent, key.kid()).await;
        if let Err(error) = &done {
            let noted = self.note("stopped", Some(sent.cards), error.to_string()).await;
            if let Err(error) = noted {
                tracing::warn!(%error, "that an export stopped is not in the audit trail");
            }
        }
        done
    }

    async fn send_all(&self, to: &mpsc::Sender<String>, sent: &mut Sent, kid: &str) -> Result<Statement, ExportError> {
        let mut after = None;
        loop {
            let page = self
                .vault
                .export_page(self.admin, &self.repository, after.as_ref(), CHUNK)
                .await?;
            let chunk = self.chunk(&page, sent, kid)?;
            sent.chunks.add(chunk.as_bytes());
            sent.cards += u64::try_from(page.cards.len()).unwrap_or(u64::MAX);
            sent.left_out = sent.left_out.and(page.left_out);
            to.send(chunk).await.map_err(|_| ExportError::Alone)?;
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        let says = self.manifest(sent, kid);
        let manifest = self
            .vault
            .state(StatementKind::Export, says)
            .await
            .map_err(AccountError::from)?;
        self.note("ended", Some(sent.cards), format!("to key {kid}")).await?;
        Ok(manifest)
    }

    /// The cards of a page, encrypted.
    fn chunk(&self, page: &ExportPage, sent: &Sent, kid: &str) -> Result<String, AccountError> {
        let room = page.cards.iter().map(room).sum();
        let mut text = Zeroizing::new(Vec::with_capacity(room));
        for card in &page.cards {
            line(card, &mut text)?;
        }
        let header = json!({
            "alg": "RSA-OAEP-256", "enc": "A256GCM", "kid": kid, "cty": "application/jsonl",
            "export": sent.id, "chunk": sent.chunks.count() + 1, "last": page.next.is_none(),
        });
        let sealed = Compact::seal(&self.recipient, &header.to_string(), text).map_err(no_random)?;
        Ok(sealed.ok_or(Error::Integrity(IntegrityError::Damaged))?)
    }

    fn manifest(&self, sent: &Sent, kid: &str) -> Map<String, Value> {
        let mut says = Map::new();
        let mut set = |name: &str, value: Value| says.insert(name.to_owned(), value);
        set("export", sent.id.as_str().into());
        set("repository", self.repository.as_str().into());
        set("recipient", kid.into());
        set("cards", sent.cards.into());
        set("left_out", json!(sent.left_out));
        set("chunks", sent.chunks.count().into());
        set("chunks_sha256", sent.chunks.digest().into());
        set("begun_at", sent.begun_at.to_string().into());
        set("ended_at", UnixMillis::now().to_string().into());
        set("audit_from", sent.audit_before.saturating_add(1).into());
        set("audit_to", self.vault.audit_seq().into());
        says
    }

    async fn note(&self, outcome: &str, count: Option<u64>, detail: String) -> Result<(), AccountError> {
        let event = Event {
            peer: Some(self.admin.peer),
            repository: Some(self.repository.clone()),
            count,
            detail: Some(detail),
            ..Event::new("export", outcome)
        };
        Ok(self.vault.note(event).await?)
    }
}

/// More bytes than a card's line has: no growing leaves a copy behind. An escaped character takes up to 6.
fn room(card: &RevealedRecord) -> usize {
    let profile = &card.record.profile;
    let texts = [profile.extra.as_ref(), profile.holder.as_ref()].into_iter().flatten();
    let metadata = card.record.view.metadata.as_ref().map_or(0, String::len);
    2_048 + metadata + texts.map(|text| 6 * text.len()).sum::<usize>()
}

fn line(card: &RevealedRecord, to: &mut Vec<u8>) -> Result<(), Error> {
    let damaged = |_| Error::Integrity(IntegrityError::Damaged);
    let view = &card.record.view;
    let metadata = view.metadata.as_deref().map(on_one_line);
    let metadata: Option<&RawValue> = match &metadata {
        Some(text) => Some(serde_json::from_str(text).map_err(damaged)?),
        None => None,
    };
    let profile = card.record.profile.extra.as_ref().map(|text| on_one_line(text));
    let profile: Option<&RawValue> = match &profile {
        Some(text) => Some(serde_json::from_str(text).map_err(damaged)?),
        None => None,
    };
    let token = view.token.as_str();
    // one in a card's form is not taken from others: they make one of their own, and `ref` tells which is which
    let supplied = !contains_pan(token) && !could_be_pan(token);
    let line = Line {
        reference: token,
        card: Card {
            number: card.pan.expose(),
            expiry: view
                .expiry
                .map(|expiry| json!({"month": expiry.month(), "year": expiry.year()})),
            holder: card.record.profile.holder.as_ref().map(|holder| holder.as_str()),
        },
        format: supplied.then_some("supplied"),
        token: supplied.then_some(token),
        namespace: view.namespace.as_ref().map(|namespace| namespace.as_str()),
        profile,
        metadata,
        expires_at: view.expires_at.map(|at| at.to_string()),
    };
    serde_json::to_writer(&mut *to, &line).map_err(damaged)?;
    to.push(b'\n');
    Ok(())
}

/// JSON as its sender wrote it, without the whitespace between its tokens.
fn on_one_line(text: &str) -> Zeroizing<String> {
    let mut line = Zeroizing::new(String::with_capacity(text.len()));
    let (mut in_string, mut escaped) = (false, false);
    for c in text.chars() {
        match c {
            ' ' | '\t' | '\r' | '\n' if !in_string => continue,
            '"' if !escaped => in_string = !in_string,
            _ => {}
        }
        escaped = in_string && c == '\\' && !escaped;
        line.push(c);
    }
    line
}

fn no_random(none: NoRandom) -> AccountError {
    AccountError::Vault(none.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::on_one_line;

    proptest! {
        #[test]
        fn what_was_sent_on_many_lines_is_one_and_the_same(name in any::<String>(), text in any::<String>(), number in any::<i64>()) {
            let value = json!({ name: [text, number, {"a": [true, null, "x\\\" y"]}] });
            let line = on_one_line(&serde_json::to_string_pretty(&value).unwrap());
            prop_assert!(!line.contains('\n'));
            prop_assert_eq!(&serde_json::from_str::<Value>(&line).unwrap(), &value);
            prop_assert_eq!(line.as_str(), value.to_string());
        }
    }
}
