//! Finding tokens, page by page.

use axum::http::StatusCode;

use super::call::{Answer, Call};
use super::faults::Names;
use super::query::{self, Fault};
use super::refusal::Refusal;
use super::shape;
use super::tree::Tree;
use crate::api::Services;
use crate::vault::types::Search;

/// Tokens in a page when the client does not say.
const DEFAULT_LIMIT: u32 = 100;

/// A page of tokens. `nextPage` holds query and limit of the first page, so these are not looked at beside it.
pub(super) async fn search(services: &Services, call: &Call) -> Result<Answer, Refusal> {
    let names = Names::of(call);
    let fields = &call.fields;
    let search = match fields.text("nextPage") {
        Some(cursor) => Search::Resume {
            cursor: cursor.to_owned(),
        },
        None => {
            let limit = fields.read("limit", "A page has 1 to 1000 tokens.", |text| {
                let plain = text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit());
                plain
                    .then(|| text.parse().ok())
                    .flatten()
                    .filter(|limit| (1..=1000).contains(limit))
            })?;
            let asked = query::parse(fields.required("query")?)?;
            let opened = asked.sealed();
            let filter = asked
                .filter(&services.vault, &call.actor)
                .await
                .map_err(|fault| match fault {
                    Fault::Refused(refusal) => refusal,
                    Fault::Core(error) => names.refusal(error),
                })?;
            Search::Begin {
                filter,
                limit: limit.unwrap_or(DEFAULT_LIMIT),
                opened,
            }
        }
    };
    let found = services.vault.find_tokens(&call.actor, search).await;
    let found = found.map_err(|error| names.refusal(error))?;

    let item = |view| {
        let mut item = Tree::new();
        shape::token(&mut item, call.version, &call.actor.repository_name, view);
        item
    };
    let mut tree = Tree::new();
    tree.text("result", "SUCCESS");
    tree.list("page.token", found.tokens.iter().map(item).collect());
    tree.maybe("nextPage", found.next);
    Ok(Answer {
        status: StatusCode::OK,
        tree,
    })
}
