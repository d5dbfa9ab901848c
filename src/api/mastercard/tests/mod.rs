//! The whole router on a vault whose keys are in software: everything above the HSM is real.

mod asking;
mod logins;
mod orders;
mod refusals;
mod sessions;
mod tokens;
mod transactions;

use axum::body::Body;
use axum::http::HeaderValue;
use data_encoding::BASE64;
use http_body_util::BodyExt;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::id::{MerchantId, RepositoryName};
use crate::telemetry::Metrics;
use crate::vault::Vault;
use crate::vault::accounts::{AdminActor, CredentialKind, NewCredential, NewMerchant};
use crate::vault::tests::Rig;
use crate::vault::tests::soft_sealer::SoftSealer;
use crate::vault::types::{Generation, Management, Peer, TokenRules, Verification};

const PAN: &str = "5123450000000008";
const MERCHANT: &str = "TEST_gateway";
const RULES: TokenRules = TokenRules {
    management: Management::UniqueToken,
    generation: Generation::RandomWithLuhn,
    verification: Verification::Basic,
};

struct Client {
    router: Router,
    peer: Peer,
    password: String,
    metrics: Metrics,
    sealer: Arc<SoftSealer>,
}

struct Answer {
    status: u16,
    headers: axum::http::HeaderMap,
    text: String,
}

impl Client {
    async fn start() -> Self {
        Self::with(RULES).await
    }

    async fn with(rules: TokenRules) -> Self {
        let rig = Rig::new().await;
        let peer = Peer {
            uid: 1000,
            gid: 1000,
            pid: None,
        };
        let password = add_merchant(&rig.vault, peer, rules).await;
        let metrics = Metrics::new().unwrap();
        let services = Services::new(rig.vault, metrics.clone());
        Self {
            router: crate::api::router(&Arc::new(services)),
            peer,
            password,
            metrics,
            sealer: rig.sealer,
        }
    }

    async fn send(&self, request: Request) -> Answer {
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    /// `path` goes on from the merchant's, or is absolute.
    fn request(&self, method: &str, path: &str, body: impl Into<Body>) -> Request {
        let path = match path.starts_with("/api") || path == "/" {
            true => path.to_owned(),
            false => format!("/api/rest/version/70/merchant/{MERCHANT}/{path}"),
        };
        Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", basic(MERCHANT, &self.password))
            .header("content-type", "Application/JSON;charset=UTF-8")
            .extension(self.peer)
            .body(body.into())
            .unwrap()
    }

    async fn call(&self, method: &str, path: &str, body: &str) -> Answer {
        self.send(self.request(method, path, body.to_owned())).await
    }

    /// Name-value pairs with merchant and credential before them.
    async fn nvp(&self, pairs: &str) -> Answer {
        let login = format!(
            "merchant={MERCHANT}&apiUsername=merchant.{MERCHANT}&apiPassword={}",
            self.password
        );
        self.bare_nvp(&format!("&{login}&{pairs}")).await
    }

    async fn bare_nvp(&self, body: &str) -> Answer {
        let mut request = self.request("POST", "/api/nvp/version/70", body.to_owned());
        let headers = request.headers_mut();
        headers.remove("authorization");
        let form = HeaderValue::from_static("application/x-www-form-urlencoded; charset=UTF-8");
        headers.insert("content-type", form);
        self.send(request).await
    }
}

impl Answer {
    /// The fields, from either form.
    fn fields(&self) -> Vec<(String, String)> {
        let mut fields = fields::Fields::default();
        match self.headers["content-type"].to_str().unwrap() {
            "application/json;charset=UTF-8" => fields.read_json(self.text.as_bytes()).unwrap(),
            "application/x-www-form-urlencoded;charset=UTF-8" => fields.read_form(self.text.as_bytes()).unwrap(),
            other => panic!("{other}: {}", self.text),
        }
        assert_eq!(self.headers["cache-control"], "no-store");
        assert!(self.headers.contains_key("x-request-id"));
        fields
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    fn field(&self, name: &str) -> Option<String> {
        self.fields()
            .into_iter()
            .find_map(|(key, value)| (key == name).then_some(value))
    }

    /// Status, cause, and field with what is wrong with it.
    fn error(&self) -> (u16, String, String) {
        assert_eq!(self.field("result").as_deref(), Some("ERROR"), "{}", self.text);
        let text = |name: &str| self.field(&format!("error.{name}")).unwrap_or_default();
        let at = format!("{} {}", text("field"), text("validationType"));
        (self.status, text("cause"), at.trim().to_owned())
    }
}

/// A merchant that tests in the twin of a repository; its password.
async fn add_merchant(vault: &Vault, peer: Peer, rules: TokenRules) -> String {
    let accounts = vault.access().accounts();
    let admin = AdminActor { peer };
    let repository = RepositoryName::parse("SHOPS").unwrap();
    accounts.add_repository(admin, &repository, Some(rules)).await.unwrap();
    let merchant = NewMerchant {
        id: MerchantId::parse(MERCHANT).unwrap(),
        name: "Shop".to_owned(),
        dialects: [Dialect::Mastercard].into(),
        repository: Some(repository),
        test: true,
    };
    let credential = NewCredential {
        merchant: accounts.add_merchant(admin, merchant).await.unwrap().id,
        dialect: Dialect::Mastercard,
        kind: CredentialKind::Password,
        certificate: None,
        public_key: None,
        expires_at: None,
    };
    let issued = accounts.add_credential(admin, credential).await.unwrap();
    issued.secret.unwrap().expose_secret().to_owned()
}

fn basic(merchant: &str, password: &str) -> String {
    format!(
        "Basic {}",
        BASE64.encode(format!("merchant.{merchant}:{password}").as_bytes())
    )
}

fn error(status: u16, cause: &str, at: &str) -> (u16, String, String) {
    (status, cause.to_owned(), at.to_owned())
}

fn bad(at: &str) -> (u16, String, String) {
    error(400, "INVALID_REQUEST", at)
}

fn card(number: &str) -> Value {
    json!({"sourceOfFunds": {"type": "CARD", "provided": {"card": {"number": number, "expiry": {"month": "01", "year": 39}}}}})
}

#[tokio::test]
async fn anyone_may_ask_whether_the_gateway_works() {
    let client = Client::start().await;
    for (version, told) in [("51", true), ("59", true), ("60", false), ("100", false)] {
        let mut request = client.request("GET", &format!("/api/rest/version/{version}/information"), "");
        request.headers_mut().remove("authorization");
        let answer = client.send(request).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.field("status").as_deref(), Some("OPERATING"));
        let gateway = answer.field("gatewayVersion");
        assert_eq!(
            gateway.is_some_and(|text| (5..=32).contains(&text.len())),
            told,
            "{version}"
        );
    }
    let answer = client.bare_nvp("apiOperation=CHECK_GATEWAY&correlationId=c-1").await;
    assert_eq!(
        (answer.status, answer.text.as_str()),
        (200, "correlationId=c-1&status=OPERATING")
    );
}

#[tokio::test]
async fn a_request_without_a_good_credential_is_challenged() {
    let client = Client::start().await;
    let refused = error(401, "INVALID_REQUEST", "");
    let wrong = [
        None,
        Some("Basic".to_owned()),
        Some(basic(MERCHANT, "wrong")),
        Some(basic("TEST_other", &client.password)),
        Some(format!("Bearer {}", client.password)),
    ];
    for header in wrong {
        let mut request = client.request("GET", "token/9102370788509763?correlationId=c-7", "");
        match &header {
            None => drop(request.headers_mut().remove("authorization")),
            Some(value) => drop(request.headers_mut().insert("authorization", value.parse().unwrap())),
        }
        let answer = client.send(request).await;
        assert_eq!(answer.error(), refused, "{header:?}");
        assert!(
            answer.headers["www-authenticate"]
                .to_str()
                .unwrap()
                .starts_with("Basic realm=\"")
        );
        assert_eq!(answer.field("correlationId").as_deref(), Some("c-7"));
    }
    // the merchant of the URL must be the credential's
    let other = client
        .call(
            "GET",
            "/api/rest/version/70/merchant/TEST_other/token/9102370788509763",
            "",
        )
        .await;
    assert_eq!(other.error(), refused);

    for pairs in [
        format!("merchant={MERCHANT}"),
        format!("merchant={MERCHANT}&apiUsername=merchant.{MERCHANT}&apiPassword=wrong"),
        format!("merchant={MERCHANT}&apiPassword={}", client.password),
        format!(
            "merchant=TEST_other&apiUsername=merchant.{MERCHANT}&apiPassword={}",
            client.password
        ),
    ] {
        let answer = client
            .bare_nvp(&format!("{pairs}&apiOperation=RETRIEVE_TOKEN&token=9"))
            .await;
        assert_eq!(answer.error(), refused, "{pairs}");
        assert!(answer.headers.contains_key("www-authenticate"));
    }
    let answer = client.bare_nvp("apiOperation=RETRIEVE_TOKEN").await;
    assert_eq!(answer.error(), bad("merchant MISSING"));
}

#[tokio::test]
async fn name_value_pairs_may_come_with_a_header_instead() {
    let client = Client::start().await;
    let mut request = client.request(
        "POST",
        "/api/nvp/version/70",
        format!("merchant={MERCHANT}&apiOperation=RETRIEVE_TOKEN&token=9102370788509763"),
    );
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    request.headers_mut().insert("content-type", form);
    assert_eq!(client.send(request).await.error(), bad("token INVALID"));
}

#[tokio::test]
async fn another_process_with_the_same_password_is_rejected() {
    let client = Client::start().await;
    let mut request = client.request("GET", "token/9102370788509763", "");
    request.extensions_mut().insert(Peer {
        uid: client.peer.uid + 1,
        ..client.peer
    });
    let answer = client.send(request).await;
    assert_eq!(answer.error(), error(403, "REQUEST_REJECTED", ""));
    assert_eq!(
        answer.field("error.supportCode").unwrap(),
        answer.headers["x-request-id"]
    );
}

#[tokio::test]
async fn an_unknown_token_is_told_alike_on_both_wires() {
    let client = Client::start().await;
    for (method, operation) in [
        ("GET", "RETRIEVE_TOKEN"),
        ("GET", "RETRIEVE_CARD"),
        ("DELETE", "DELETE_TOKEN"),
    ] {
        let rest = client
            .call(method, "token/9102370788509763?correlationId=c+1", "")
            .await;
        let nvp = client
            .nvp(&format!(
                "apiOperation={operation}&token=9102370788509763&correlationId=c+1"
            ))
            .await;
        assert_eq!(rest.error(), bad("token INVALID"));
        assert_eq!(rest.status, nvp.status);
        assert_eq!(rest.fields(), nvp.fields());
        assert_eq!(rest.field("correlationId").as_deref(), Some("c 1"));
    }
    assert_eq!(
        client.call("GET", "token/%2e%2e%2f", "").await.error(),
        bad("token INVALID")
    );
    assert_eq!(client.call("GET", "token/%ff", "").await.error(), bad(""));
    assert_eq!(
        client.nvp("apiOperation=RETRIEVE_TOKEN").await.error(),
        bad("token MISSING")
    );
}

#[tokio::test]
async fn fields_are_refused_by_name() {
    let client = Client::start().await;
    let with = |name: &str, value: Value| {
        let mut body = card(PAN);
        body[name] = value;
        body.to_string()
    };
    for (body, at) in [
        (with("giftCard", json!({"number": PAN})), "giftCard.number UNSUPPORTED"),
        (with("token", json!("9102370788509763")), "token UNSUPPORTED"),
        (with("apiOperation", json!("PAY")), "apiOperation INVALID"),
        (with("correlationId", json!("c".repeat(101))), "correlationId INVALID"),
        (with("correlationId", json!(PAN)), "correlationId INVALID"),
        (
            with("verificationStrategy", json!("FULL")),
            "verificationStrategy INVALID",
        ),
        (
            with("transaction", json!({"currency": "eur"})),
            "transaction.currency INVALID",
        ),
        (
            with("responseControls", json!({"sensitiveData": "UNMASK"})),
            "responseControls.sensitiveData INVALID",
        ),
        (
            card("5123450000000009").to_string(),
            "sourceOfFunds.provided.card.number INVALID",
        ),
        (
            json!({"sourceOfFunds": {"type": "GIFT_CARD"}}).to_string(),
            "sourceOfFunds.type INVALID",
        ),
        (
            json!({"sourceOfFunds": {"provided": {"ach": {"routingNumber": "1"}}}}).to_string(),
            "sourceOfFunds.provided.ach.routingNumber UNSUPPORTED",
        ),
    ] {
        let answer = client.call("POST", "token", &body).await;
        assert_eq!(answer.error(), bad(at));
        assert!(!answer.text.contains("512345000000000"), "{}", answer.text);
    }
    let answer = client
        .call("PUT", "token/not-alphanumeric", &card(PAN).to_string())
        .await;
    assert_eq!(answer.error(), bad("token INVALID"));
    let answer = client.call("GET", "token/9?session.id=1", "").await;
    assert_eq!(answer.error(), bad("session.id UNSUPPORTED"));
    for name in ["", "apiOperation=BALANCE_INQUIRY", "apiOperation=tokenize"] {
        let at = if name.is_empty() { "MISSING" } else { "UNSUPPORTED" };
        assert_eq!(client.nvp(name).await.error(), bad(&format!("apiOperation {at}")));
    }
}

#[tokio::test]
async fn fields_of_a_get_come_in_the_query_or_the_body() {
    let client = Client::start().await;
    let body = json!({"correlationId": "c-1", "billing": {}}).to_string();
    let answer = client.call("GET", "token/9102370788509763", &body).await;
    assert_eq!(answer.field("correlationId").as_deref(), Some("c-1"));
    let answer = client
        .call("GET", "token/9102370788509763?correlationId=c-2", &body)
        .await;
    assert_eq!(answer.error(), bad("correlationId INVALID"));
    let answer = client
        .call("POST", &format!("token?query={PAN}"), &card(PAN).to_string())
        .await;
    assert_eq!(answer.error(), bad(""));
    assert!(!answer.text.contains(PAN));
}

#[tokio::test]
async fn what_is_not_a_request_is_answered_in_the_paths_form() {
    let client = Client::start().await;
    for (method, path, status) in [
        ("GET", "/api", 404),
        ("GET", "/api/rest", 404),
        ("GET", "/api/rest/version/70/merchant/TEST_gateway/nothing", 404),
        ("POST", "/api/nvp", 404),
        ("PATCH", "token", 405),
        ("GET", "/api/nvp/version/70", 405),
        ("GET", "/api/rest/version/29/merchant/TEST_gateway/token/1", 400),
        ("GET", "/api/rest/version/80/information", 400),
        ("GET", "/api/rest/version/x/information", 400),
    ] {
        let answer = client.call(method, path, "").await;
        assert_eq!(answer.error(), error(status, "INVALID_REQUEST", ""), "{method} {path}");
        let form = answer.text.starts_with("error.cause=");
        assert_eq!(form, path.starts_with("/api/nvp"), "{path}");
        assert_eq!(answer.headers.contains_key("allow"), status == 405);
    }
    let mut request = client.request("POST", "token", card(PAN).to_string());
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    request.headers_mut().insert("content-type", form);
    assert_eq!(client.send(request).await.error(), error(415, "INVALID_REQUEST", ""));
    let request = client.request("POST", "/api/nvp/version/70", "a=b");
    assert_eq!(client.send(request).await.error(), error(415, "INVALID_REQUEST", ""));
    for body in ["[", "{", "[]"] {
        assert_eq!(client.call("POST", "token", body).await.error(), bad(""));
    }
    assert_eq!(client.nvp("a=%zz").await.error(), bad(""));

    let pad = |len: usize| format!("{{\"x\":\"{}\"}}", "a".repeat(len));
    assert_eq!(
        client.call("POST", "token", &pad(BODY - 8)).await.error(),
        bad("x INVALID")
    );
    let too_large = error(413, "INVALID_REQUEST", "");
    assert_eq!(client.call("POST", "token", &pad(BODY - 7)).await.error(), too_large);
    assert_eq!(client.nvp(&"a".repeat(BODY)).await.error(), too_large);
    // other paths have another dialect
    let answer = client.call("GET", "/", "").await;
    assert_eq!(
        answer.headers["content-type"],
        "application/vnd.worldpay.tokens-v3.hal+json"
    );
}

#[tokio::test]
async fn requests_are_counted_by_route_and_never_by_path_or_query() {
    let client = Client::start().await;
    client.call("GET", &format!("token/{PAN}"), "").await;
    client.call("GET", &format!("/api/{PAN}"), "").await;
    let text = client.metrics.render().unwrap();
    let route = "/api/rest/version/{version}/merchant/{merchant}/token/{token}";
    assert!(text.contains(&format!(
        "panvault_request_seconds_count{{dialect=\"mastercard\",outcome=\"400\",route=\"{route}\"}} 1"
    )));
    assert!(text.contains(r#"panvault_request_seconds_count{dialect="mastercard",outcome="404",route="other"} 1"#));
    assert!(!text.contains(PAN));
}
