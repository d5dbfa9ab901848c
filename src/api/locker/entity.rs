//! `/entity`: who stores things here.

use super::context::{Answer, Context, parse};
use super::refusal::Refusal;
use super::wire;
use crate::vault::types::Person;

/// The longest name of an entity, in bytes.
pub(super) const NAME: usize = 255;

/// `POST /entity`
pub(super) async fn enter(context: &Context<'_>, body: &[u8]) -> Result<Answer, Refusal> {
    let asked: wire::EntityName = parse(body)?;
    if asked.entity_id.trim().is_empty() {
        return Err(Refusal::invalid("entity_id is blank"));
    }
    if asked.entity_id.len() > NAME {
        return Err(Refusal::invalid(&format!("entity_id is longer than {NAME} bytes")));
    }
    let since = context
        .vault
        .enter_person(&context.actor, &person(&asked.entity_id))
        .await?;
    let entity = wire::Entity {
        entity_id: &asked.entity_id,
        created_at: &since,
    };
    Answer::of(&entity, 6 * asked.entity_id.len() + 100)
}

/// The entity, as it is on record. A merchant of the older API is one too.
pub(super) fn person(entity: &str) -> Person {
    Person::new(&["entity", entity])
}
