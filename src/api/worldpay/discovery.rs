//! Where things are. It is the same for everyone and says nothing of anyone, so no credential is asked for.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::context::{Answer, base};
use super::links::{Base, Links, NETWORK_TOKEN};
use super::media::Family;
use super::refusal::Refusal;
use super::wire;
use crate::api::Services;
use crate::id::RequestId;

/// `GET /`
pub(super) async fn root(State(services): State<Arc<Services>>, request: Request) -> Response {
    answered(request, &services, Family::Tokens, |base| {
        let mut links = Links::default();
        links.add("service:tokens", base.path("/tokens"));
        links.add("service:verifiedTokens", base.path("/verifiedTokens"));
        links
    })
}

/// `GET /tokens` without anything to look for.
pub(super) fn tokens(base: &Base) -> Result<Answer, Refusal> {
    let mut links = Links::default();
    links.add("tokens:tokens", base.path("/tokens"));
    links.add(NETWORK_TOKEN, base.path("/tokens/network"));
    links.add("resourceTree", base.path("/rels/tokens/resourceTree.json"));
    let links = links.with_curie(base);
    Answer::of(StatusCode::OK, &wire::Tree { links })
}

/// `GET /verifiedTokens`
pub(super) async fn verified_tokens(State(services): State<Arc<Services>>, request: Request) -> Response {
    answered(request, &services, Family::VerifiedTokens, |base| {
        let mut links = Links::default();
        links.add("verifiedTokens:cardOnFile", base.path("/verifiedTokens/cardOnFile"));
        links.add("verifiedTokens:oneTime", base.path("/verifiedTokens/oneTime"));
        links.add("resourceTree", base.path("/rels/verifiedTokens/resourceTree.json"));
        links.curie(base, "verifiedTokens", "/rels/verifiedTokens/{rel}.json");
        links
    })
}

/// `GET /rels/tokens/{rel}.json`: what a relation means, for people who follow a curie.
pub(super) async fn rel(Path(rel): Path<String>, request: Request) -> Response {
    let name = rel.strip_suffix(".json").unwrap_or(&rel);
    let found = RELS
        .iter()
        .find(|(known, _)| *known == name)
        .ok_or_else(Refusal::not_found);
    let answer = found.and_then(|(rel, about)| Answer::of(StatusCode::OK, &json!({"rel": rel, "description": about})));
    finish(request, Family::Tokens, answer)
}

/// What can be done with a link.
const RELS: [(&str, &str); 14] = [
    ("resourceTree", "What there is at this address."),
    (
        "tokens",
        "POST a card to make a token; GET with tokenId or namespace finds tokens.",
    ),
    ("token", "GET shows the token, DELETE removes it."),
    ("description", "PUT a JSON string: the token's description."),
    ("cardHolderName", "PUT a JSON string: the card holder's name."),
    ("cardExpiryDate", "PUT month and year: the card's expiry."),
    ("billingAddress", "PUT the whole address."),
    (
        "schemeTransactionReference",
        "PUT a JSON string: the scheme's reference.",
    ),
    (
        "conflicts",
        "GET shows what was given and differs from the token, PUT takes it over; gone after 30 minutes.",
    ),
    ("networkToken", "POST a card or a token to provision a network token."),
    ("networkTokenLookup", "GET shows the network token."),
    (
        "networkTokenCryptogram",
        "POST a network token's number for a cryptogram.",
    ),
    (
        "cardOnFile",
        "POST a card to have it checked and stored for later payments.",
    ),
    ("oneTime", "POST a card to have it checked and stored for one payment."),
];

fn answered(request: Request, services: &Services, family: Family, links: impl FnOnce(&Base) -> Links) -> Response {
    let (parts, body) = request.into_parts();
    let links = links(&base(services, &parts));
    let answer = Answer::of(StatusCode::OK, &wire::Tree { links });
    finish(Request::from_parts(parts, body), family, answer)
}

/// Discovery takes any `Accept`: who does not know the address of a service yet need not know its types.
fn finish(request: Request, family: Family, answer: Result<Answer, Refusal>) -> Response {
    let media = family.newest();
    answer
        .and_then(|answer| answer.respond(media))
        .unwrap_or_else(|refusal| refusal.respond(media, request.extensions().get::<RequestId>()))
}
