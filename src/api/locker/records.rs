//! `/api/v2/vault`: opaque records of an entity's, any JSON, given back as it came.

use super::cards::expiry_of;
use super::context::{Answer, Context, parse};
use super::entity::NAME;
use super::fingerprint;
use super::refusal::Refusal;
use super::wire::{self, RecordName};
use crate::api::form;
use crate::vault::types::{NewRecord, Person, PutMode};

/// `POST /api/v2/vault/add?mode=insert|upsert`
pub(super) async fn add(context: &Context<'_>, body: &[u8]) -> Result<Answer, Refusal> {
    let mode = mode(context.parts.uri.query().unwrap_or_default())?;
    let asked: wire::AddRecord = parse(body)?;
    let name = RecordName {
        entity_id: asked.entity_id,
        vault_id: asked.vault_id,
    };
    let person = person(&name)?;
    // the fingerprints under the entity's own name go with the card
    let fingerprints = fingerprint::of_record(&name.entity_id, &asked.data.0);
    let new = NewRecord {
        name: &person,
        content: None,
        text: &asked.data.0,
        fingerprints: &fingerprints,
        mode,
        expires_at: expiry_of(asked.ttl)?,
    };
    context.vault.put_record(&context.actor, new).await?;
    named(&name)
}

/// `POST /api/v2/vault/retrieve`
pub(super) async fn retrieve(context: &Context<'_>, body: &[u8]) -> Result<Answer, Refusal> {
    let name: RecordName = parse(body)?;
    let text = context.vault.open_record(&context.actor, &person(&name)?).await?;
    let data = serde_json::from_slice(text.expose()).map_err(Refusal::failed)?;
    Answer::of(&wire::Record { data }, text.expose().len() + 20)
}

/// `POST /api/v2/vault/delete`
pub(super) async fn delete(context: &Context<'_>, body: &[u8]) -> Result<Answer, Refusal> {
    let name: RecordName = parse(body)?;
    context.vault.remove_record(&context.actor, &person(&name)?).await?;
    named(&name)
}

fn named(name: &RecordName) -> Result<Answer, Refusal> {
    Answer::of(name, 6 * (name.entity_id.len() + name.vault_id.len()) + 50)
}

/// Whose record, and which.
fn person(name: &RecordName) -> Result<Person, Refusal> {
    for (member, text) in [("entity_id", &name.entity_id), ("vault_id", &name.vault_id)] {
        if text.len() > NAME {
            return Err(Refusal::invalid(&format!("{member} is longer than {NAME} bytes")));
        }
    }
    Ok(Person::new(&["record", &name.entity_id, &name.vault_id]))
}

fn mode(query: &str) -> Result<PutMode, Refusal> {
    let mut mode = PutMode::Insert;
    for (name, value) in form::pairs(query.as_bytes()) {
        if form::decoded(name).is_some_and(|name| name.as_str() == "mode") {
            mode = match form::decoded(value).as_deref().map(String::as_str) {
                Some("insert") => PutMode::Insert,
                Some("upsert") => PutMode::Upsert,
                _ => {
                    return Err(Refusal::text(
                        axum::http::StatusCode::BAD_REQUEST,
                        "Failed to deserialize query string: mode must be one of: insert, upsert",
                    ));
                }
            };
        }
    }
    Ok(mode)
}
