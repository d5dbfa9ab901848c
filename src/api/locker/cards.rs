//! `/cards` and `/data`: cards of a merchant's customers, and data that the caller encrypted.

use zeroize::Zeroizing;

use super::card::{new_token, show};
use super::context::{Answer, Context, parse};
use super::refusal::Refusal;
use super::wire::{self, Added, CardName, Done, Duplication, Retrieved, Secret};
use crate::id::{Token, UnixMillis};
use crate::vault::types::{
    CallerError, Content, Format, Kept as RecordKept, NewRecord, Operation, Person, PutMode, Stored,
};

/// The longest name of a merchant or customer, in bytes.
const NAME: usize = 255;

/// `POST /cards/add`
pub(super) async fn add(context: &Context<'_>, body: &[u8]) -> Result<Answer, Refusal> {
    let asked: wire::AddCard = parse(body)?;
    let owner = Owner::of(&asked.merchant_id, &asked.merchant_customer_id)?;
    let expires_at = expiry_of(asked.ttl)?;
    let reference = asked.requestor_card_reference.as_deref();
    let reference = reference.map(|text| Token::parse(text).map_err(|fault| taken_not(&fault.to_string())));
    let reference = reference.transpose()?;
    match (asked.enc_card_data, asked.card) {
        (Some(data), _) => add_data(context, &owner, reference, &data, expires_at).await,
        (None, Some(card)) => add_card(context, &owner, reference, card, expires_at).await,
        (None, None) => Err(Refusal::text(
            axum::http::StatusCode::UNPROCESSABLE_ENTITY,
            "Failed to deserialize the JSON body into the target type: card or enc_card_data is missing",
        )),
    }
}

/// `POST /cards/retrieve`
pub(super) async fn retrieve(context: &Context<'_>, body: &[u8]) -> Result<Answer, Refusal> {
    let asked: CardName = parse(body)?;
    let owner = Owner::of(&asked.merchant_id, &asked.merchant_customer_id)?;
    let Ok(token) = Token::parse(&asked.card_reference) else {
        return Err(Refusal::not_found());
    };
    let (vault, actor) = (context.vault, &context.actor);
    match vault.reveal_for(actor, &owner.cards(), &token).await {
        Ok(Some(revealed)) => show(&revealed),
        Ok(None) => {
            let text = vault.open_record(actor, &owner.record(&token)).await?;
            let data = serde_json::from_slice(text.expose()).map_err(Refusal::failed)?;
            let payload = Retrieved {
                card: None,
                enc_card_data: Some(data),
            };
            Answer::of(&Done::with(payload), text.expose().len() + 100)
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /cards/delete`
pub(super) async fn delete(context: &Context<'_>, body: &[u8]) -> Result<Answer, Refusal> {
    let asked: CardName = parse(body)?;
    let owner = Owner::of(&asked.merchant_id, &asked.merchant_customer_id)?;
    let (vault, actor) = (context.vault, &context.actor);
    let deleted = match Token::parse(&asked.card_reference) {
        Ok(token) => {
            vault.delete_for(actor, &owner.cards(), &token).await?
                || vault.remove_record(actor, &owner.record(&token)).await?
        }
        Err(_) => false,
    };
    // nothing there is no fault, but to ask for a merchant that never stored anything is
    if !deleted && !vault.knows_person(actor, Operation::Delete, &owner.merchant()).await? {
        return Err(Refusal::not_found());
    }
    let nothing: Done<()> = Done {
        status: "Ok",
        payload: None,
    };
    Answer::of(&nothing, 20)
}

/// Whose cards these are.
struct Owner<'a> {
    merchant: &'a str,
    customer: &'a str,
}

impl<'a> Owner<'a> {
    fn of(merchant: &'a str, customer: &'a str) -> Result<Self, Refusal> {
        for (name, text) in [("merchant_id", merchant), ("merchant_customer_id", customer)] {
            if text.len() > NAME {
                return Err(Refusal::invalid(&format!("{name} is longer than {NAME} bytes")));
            }
        }
        Ok(Self { merchant, customer })
    }

    /// The customer, for cards.
    fn cards(&self) -> Person {
        Person::new(&["card", self.merchant, self.customer])
    }

    /// Data of the customer's, by its reference.
    fn record(&self, reference: &Token) -> Person {
        Person::new(&["data", self.merchant, self.customer, reference.as_str()])
    }

    /// Data of the customer's, by what it is.
    fn content(&self, data: &Secret) -> Person {
        Person::new(&["content", self.merchant, self.customer, data.as_str()])
    }

    fn merchant(&self) -> Person {
        super::entity::person(self.merchant)
    }
}

async fn add_card(
    context: &Context<'_>,
    owner: &Owner<'_>,
    reference: Option<Token>,
    card: wire::Card,
    expires_at: Option<UnixMillis>,
) -> Result<Answer, Refusal> {
    let (vault, actor) = (context.vault, &context.actor);
    let new = new_token(reference, card, expires_at)?;
    vault.enter_person(actor, &owner.merchant()).await?;
    // a reference is one thing's: cards and data are given back by it alike
    if let Format::Supplied(reference) = &new.format
        && vault.has_record(actor, &owner.record(reference)).await?
    {
        return Err(CallerError::TokenTaken.into());
    }
    let (view, found) = match vault.tokenize_for(actor, &owner.cards(), new).await? {
        Stored::Created(view) => (view, None),
        Stored::Same(view) => (view, Some(Duplication::Duplicated)),
        Stored::Different(view) => (view, Some(Duplication::MetaDataChanged)),
    };
    added(&view.token, found)
}

async fn add_data(
    context: &Context<'_>,
    owner: &Owner<'_>,
    reference: Option<Token>,
    data: &Secret,
    expires_at: Option<UnixMillis>,
) -> Result<Answer, Refusal> {
    let (vault, actor) = (context.vault, &context.actor);
    vault.enter_person(actor, &owner.merchant()).await?;
    let token = match reference {
        Some(token) if vault.is_taken(actor, &token).await? => return Err(CallerError::TokenTaken.into()),
        Some(token) => token,
        None => vault.fresh_token()?,
    };
    let mut text = Zeroizing::new(Vec::with_capacity(6 * data.as_str().len() + 2));
    serde_json::to_writer(&mut *text, data).map_err(Refusal::failed)?;
    let kept = vault
        .put_record(
            actor,
            NewRecord {
                name: &owner.record(&token),
                content: Some(Content {
                    what: &owner.content(data),
                    token: &token,
                    record_of: &|token| owner.record(token),
                }),
                text: std::str::from_utf8(&text).map_err(Refusal::failed)?,
                fingerprints: &[],
                mode: PutMode::Insert,
                expires_at,
            },
        )
        .await?;
    match kept {
        RecordKept::Created | RecordKept::Replaced => added(&token, None),
        RecordKept::Alike(there) => added(&there, Some(Duplication::Duplicated)),
        RecordKept::There => Err(CallerError::TokenTaken.into()),
    }
}

/// When something with this ttl is removed.
pub(super) fn expiry_of(ttl: Option<i64>) -> Result<Option<UnixMillis>, Refusal> {
    match ttl.map(u64::try_from) {
        None => Ok(None),
        Some(Err(_) | Ok(0)) => Err(Refusal::ttl()),
        Some(Ok(seconds)) => Ok(Some(UnixMillis::now().plus(seconds.saturating_mul(1_000)))),
    }
}

fn taken_not(why: &str) -> Refusal {
    Refusal::invalid(&format!("requestor_card_reference {why}"))
}

fn added(token: &Token, duplication_check: Option<Duplication>) -> Result<Answer, Refusal> {
    let payload = Added {
        card_reference: token.as_str(),
        duplication_check,
        dedup: None,
    };
    Answer::of(&Done::with(payload), 300)
}
