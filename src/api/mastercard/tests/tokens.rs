//! Token operations, on both wires.

use data_encoding::BASE64URL_NOPAD;
use proptest::prelude::*;

use super::*;
use crate::card::{BinTable, contains_live_pan};
use crate::hsm::jwe_client::{HEADER, compact};

/// The id of a token just stored.
async fn stored(client: &Client, body: &Value) -> String {
    let answer = client.call("POST", "token", &body.to_string()).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.field("token").unwrap()
}

fn is(answer: &Answer, status: u16, expected: &[(&str, &str)]) {
    assert_eq!(answer.status, status, "{}", answer.text);
    for (name, value) in expected {
        assert_eq!(answer.field(name).as_deref(), Some(*value), "{name}: {}", answer.text);
    }
    assert!(!answer.text.contains(PAN));
}

fn expiring(month: &str, year: &str, strategy: &str) -> Value {
    let mut body = card(PAN);
    body["sourceOfFunds"]["provided"]["card"]["expiry"] = json!({"month": month, "year": year});
    body["verificationStrategy"] = json!(strategy);
    body["transaction"] = json!({"currency": "EUR"});
    body
}

#[tokio::test]
async fn a_token_is_made_shown_changed_and_removed() {
    let client = Client::start().await;
    let mut body = card(PAN);
    body["correlationId"] = json!("c-1");
    body["billing"] = json!({"address": {"city": "Riga"}});
    body["shipping"] = json!({"address": {"city": "Riga"}, "contact": {}});
    let made = client.call("POST", "token", &body.to_string()).await;
    let shown = [
        ("repositoryId", "TESTSHOPS"),
        ("result", "SUCCESS"),
        ("status", "VALID"),
        ("sourceOfFunds.type", "CARD"),
        ("sourceOfFunds.provided.card.number", "512345xxxxxx0008"),
        ("sourceOfFunds.provided.card.brand", "MASTERCARD"),
        ("sourceOfFunds.provided.card.scheme", "MASTERCARD"),
        ("sourceOfFunds.provided.card.fundingMethod", "UNKNOWN"),
        ("verificationStrategy", "BASIC"),
        ("usage.lastUpdated.merchantId", MERCHANT),
    ];
    is(&made, 201, &shown);
    is(
        &made,
        201,
        &[
            ("response.gatewayCode", "BASIC_VERIFICATION_SUCCESSFUL"),
            ("sourceOfFunds.provided.card.expiry", "0139"),
            ("correlationId", "c-1"),
            ("billing.address.city", "Riga"),
        ],
    );
    assert_eq!(made.field("shipping.address.city"), None);
    let token = made.field("token").unwrap();
    assert!(token.len() == 16 && token.starts_with('9'), "{token}");

    // the card's own token as its source, and a new expiry
    let own =
        json!({"sourceOfFunds": {"token": token, "provided": {"card": {"expiry": {"month": "5", "year": "41"}}}}});
    let changed = client.call("PUT", &format!("token/{token}"), &own.to_string()).await;
    is(&changed, 201, &shown);
    is(
        &changed,
        201,
        &[("token", &token), ("sourceOfFunds.provided.card.expiry", "0541")],
    );

    let path = format!("token/{token}");
    let rest = client.call("GET", &path, "").await;
    is(&rest, 200, &shown);
    is(&rest, 200, &[("sourceOfFunds.provided.card.expiry", "0541")]);
    assert_eq!(rest.field("response.gatewayCode"), None);
    let nvp = client.nvp(&format!("apiOperation=RETRIEVE_TOKEN&token={token}")).await;
    assert_eq!((rest.status, rest.fields()), (nvp.status, nvp.fields()));
    let older = format!("/api/rest/version/51/merchant/{MERCHANT}/token/{token}");
    is(
        &client.call("GET", &older, "").await,
        200,
        &[("usage.lastUpdatedBy", MERCHANT)],
    );

    let removed = client
        .nvp(&format!("apiOperation=DELETE_TOKEN&token={token}&correlationId=c-2"))
        .await;
    assert_eq!(
        (removed.status, removed.text.as_str()),
        (200, "correlationId=c-2&result=SUCCESS")
    );
    for method in ["GET", "DELETE"] {
        assert_eq!(client.call(method, &path, "").await.error(), bad("token INVALID"));
    }
}

#[tokio::test]
async fn name_value_pairs_store_as_json_does() {
    let client = Client::start().await;
    let pairs = format!(
        "apiOperation=TOKENIZE&sourceOfFunds.type=CARD&sourceOfFunds.provided.card.number={PAN}\
         &sourceOfFunds.provided.card.expiry.month=1&sourceOfFunds.provided.card.expiry.year=39&billing.address.city="
    );
    let nvp = client.nvp(&pairs).await;
    let rest = client.call("POST", "token", &card(PAN).to_string()).await;
    let same = |answer: &Answer| {
        let varies = |name: &str| name == "token" || name.starts_with("usage");
        let fields = answer.fields().into_iter().filter(|(name, _)| !varies(name));
        (answer.status, fields.collect::<Vec<_>>())
    };
    assert_eq!(same(&nvp), same(&rest));
    let token = nvp.field("token").unwrap();
    let changed = client.nvp(&format!("{pairs}&token={token}")).await;
    is(&changed, 201, &[("token", &token)]);
}

#[tokio::test]
async fn what_the_acquirer_declines_is_not_stored() {
    let client = Client::start().await;
    let fine = client
        .call("POST", "token", &expiring("01", "39", "ACQUIRER").to_string())
        .await;
    is(
        &fine,
        201,
        &[
            ("result", "SUCCESS"),
            ("response.gatewayCode", "EXTERNAL_VERIFICATION_SUCCESSFUL"),
            ("verificationStrategy", "ACQUIRER"),
        ],
    );
    let declined = client
        .call("POST", "token", &expiring("05", "39", "ACQUIRER").to_string())
        .await;
    is(
        &declined,
        201,
        &[
            ("result", "FAILURE"),
            ("status", "INVALID"),
            ("response.gatewayCode", "EXTERNAL_VERIFICATION_DECLINED"),
            ("sourceOfFunds.provided.card.number", "512345xxxxxx0008"),
            ("sourceOfFunds.provided.card.expiry", "0539"),
        ],
    );
    assert_eq!(declined.field("token"), None);
    let seals = client.sealer.seals();
    let slow = client
        .call("POST", "token", &expiring("08", "28", "ACQUIRER").to_string())
        .await;
    is(
        &slow,
        201,
        &[("response.gatewayCode", "EXTERNAL_VERIFICATION_PROCESSING_ERROR")],
    );
    assert_eq!(client.sealer.seals(), seals);
    let mut body = expiring("01", "39", "ACQUIRER");
    body.as_object_mut().unwrap().remove("transaction");
    let answer = client.call("POST", "token", &body.to_string()).await;
    assert_eq!(answer.error(), bad("transaction.currency MISSING"));
    let none = client
        .call("POST", "token", &expiring("01", "39", "NONE").to_string())
        .await;
    is(&none, 201, &[("response.gatewayCode", "NO_VERIFICATION_PERFORMED")]);
}

#[tokio::test]
async fn who_names_the_tokens_follows_the_repositorys_rules() {
    let client = Client::start().await;
    let put = client
        .call("PUT", "token/9102370788509763", &card(PAN).to_string())
        .await;
    assert_eq!(put.error(), bad("token INVALID"));

    let client = Client::with(TokenRules {
        generation: Generation::MerchantProvided,
        ..RULES
    })
    .await;
    let post = client.call("POST", "token", &card(PAN).to_string()).await;
    assert_eq!(post.error(), bad("token MISSING"));
    let put = client.call("PUT", "token/mine1", &card(PAN).to_string()).await;
    is(&put, 201, &[("token", "mine1")]);
    let pan_as_token = client
        .call("PUT", "token/5555555555554444", &card(PAN).to_string())
        .await;
    assert_eq!(pan_as_token.error(), bad("token INVALID"));
    assert!(!pan_as_token.text.contains("5555555555554444"));
}

#[tokio::test]
async fn a_card_that_may_have_one_token_keeps_it() {
    let client = Client::with(TokenRules {
        management: Management::UniqueAccountIdentifier,
        ..RULES
    })
    .await;
    let (first, again) = (stored(&client, &card(PAN)).await, stored(&client, &card(PAN)).await);
    assert_eq!(first, again);
    let other = stored(&client, &card("5555555555554444")).await;
    let taken = client
        .call("PUT", &format!("token/{other}"), &card(PAN).to_string())
        .await;
    assert_eq!(taken.error(), bad("sourceOfFunds.provided.card.number INVALID"));
}

#[tokio::test]
async fn a_search_is_read_page_by_page_on_both_wires() {
    let client = Client::start().await;
    let mut tokens = std::collections::BTreeSet::new();
    for _ in 0..5 {
        tokens.insert(stored(&client, &card(PAN)).await);
    }
    stored(&client, &card("5555555555554444")).await;
    let query = format!(r#"{{"EQ":["sourceOfFunds.provided.card.number","{PAN}"]}}"#);
    let encoded: String = query.bytes().map(|b| format!("%{b:02X}")).collect();

    for nvp in [false, true] {
        let mut found = Vec::new();
        let mut ask = format!("limit=2&query={encoded}");
        let mut pages = 0;
        loop {
            let answer = match nvp {
                true => client.nvp(&format!("apiOperation=SEARCH_TOKENS&{ask}")).await,
                false => client.call("GET", &format!("tokenSearch?{ask}"), "").await,
            };
            is(
                &answer,
                200,
                &[("result", "SUCCESS"), ("page.token[0].repositoryId", "TESTSHOPS")],
            );
            for at in 0..2 {
                found.extend(answer.field(&format!("page.token[{at}].token")));
            }
            for absent in ["response.gatewayCode", "page.token[0].result", "page.token[2].token"] {
                assert_eq!(answer.field(absent), None);
            }
            pages += 1;
            match answer.field("nextPage") {
                Some(next) => {
                    let next: String = next.bytes().map(|b| format!("%{b:02X}")).collect();
                    ask = format!("nextPage={next}");
                }
                None => break,
            }
        }
        assert!(pages >= 3, "{pages}");
        assert_eq!(found.len(), 5);
        assert_eq!(found.into_iter().collect::<std::collections::BTreeSet<_>>(), tokens);
    }

    for (ask, at) in [
        ("", "query MISSING"),
        ("limit=0&query=x", "limit INVALID"),
        ("limit=1001&query=x", "limit INVALID"),
        ("query=x", "query INVALID"),
        ("nextPage=x", "nextPage INVALID"),
    ] {
        let answer = client.call("GET", &format!("tokenSearch?{ask}"), "").await;
        assert_eq!(answer.error(), bad(at));
    }
    let nothing = client
        .call(
            "GET",
            "tokenSearch?query=%7B%22EQ%22%3A%5B%22token%22%2C%22none%22%5D%7D",
            "",
        )
        .await;
    assert_eq!(
        (nothing.status, nothing.text.as_str()),
        (200, r#"{"page":{"token":[]},"result":"SUCCESS"}"#)
    );
}

#[tokio::test]
async fn a_card_number_may_be_encrypted_to_the_published_key() {
    let client = Client::start().await;
    let token = stored(&client, &card(PAN)).await;
    let mut request = client.request("GET", "/api/keys", "");
    request.headers_mut().remove("authorization");
    let keys = client.send(request).await;
    assert_eq!(keys.headers["content-type"], "application/jwk-set+json");
    let keys: Value = serde_json::from_str(&keys.text).unwrap();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
    let key = &keys["keys"][0];
    assert_eq!(key.get("d"), None);
    let number = |name: &str| BASE64URL_NOPAD.decode(key[name].as_str().unwrap().as_bytes()).unwrap();
    let encrypted = |text: &[u8]| compact(&number("n"), &number("e"), HEADER, text);
    let jwe = encrypted(PAN.as_bytes());

    let ask = |number: &str| {
        let query = format!(r#"{{"EQ":["sourceOfFunds.provided.card.number","{number}"]}}"#);
        let encoded: String = query.bytes().map(|b| format!("%{b:02X}")).collect();
        format!("tokenSearch?query={encoded}")
    };
    let found = client.call("GET", &ask(&jwe), "").await;
    is(&found, 200, &[("page.token[0].token", &token)]);
    let broken = client.call("GET", &ask(&format!("{jwe}A")), "").await;
    assert_eq!(broken.error(), bad("query INVALID"));
    let no_number = encrypted(b"4111 x");
    assert_eq!(
        client.call("GET", &ask(&no_number), "").await.error(),
        bad("query INVALID")
    );
}

#[tokio::test]
async fn without_an_hsm_a_card_is_refused_for_now() {
    let client = Client::start().await;
    let token = stored(&client, &card(PAN)).await;
    client.sealer.set_down(true);
    let answer = client.call("POST", "token", &card(PAN).to_string()).await;
    assert_eq!(answer.error(), error(503, "SERVER_BUSY", ""));
    assert!(answer.headers.contains_key("retry-after"));
    is(
        &client.call("GET", &format!("token/{token}"), "").await,
        200,
        &[("token", &token)],
    );
}

#[test]
fn no_request_makes_the_vault_fail_or_repeat_a_card_number() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let client = runtime.block_on(Client::start());
    let piece = prop_oneof![
        Just(format!("\"{PAN}\"")),
        Just(PAN.to_owned()),
        "[\\[\\]{}:,\"a-z0-9 &=%]{0,6}",
        "\"(sourceOfFunds|provided|card|number|expiry|token|query|type|correlationId)\":[{\"]?",
        "(&query=|&token=|&correlationId=|&sourceOfFunds.provided.card.number=|&sourceOfFunds.type=CARD)",
    ];
    let texts = prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat());
    let operation = prop_oneof![
        Just("TOKENIZE"),
        Just("RETRIEVE_TOKEN"),
        Just("DELETE_TOKEN"),
        Just("SEARCH_TOKENS"),
        Just("AUTHORIZE"),
    ];
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(200));
    let outcome = runner.run(&(texts, operation), |(text, operation)| {
        let answers = runtime.block_on(async {
            [
                client.call("POST", "token", &text).await,
                client
                    .call("PUT", "token/9102370788509763", &format!("{{{text}}}"))
                    .await,
                client.call("GET", "tokenSearch", &text).await,
                client.nvp(&format!("apiOperation={operation}&{text}")).await,
            ]
        });
        for answer in answers {
            prop_assert!(answer.status < 500, "{}", answer.text);
            prop_assert!(
                !contains_live_pan(&answer.text, &BinTable::built_in()),
                "{}",
                answer.text
            );
        }
        Ok(())
    });
    outcome.unwrap();
}
