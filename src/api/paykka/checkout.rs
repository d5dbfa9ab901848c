//! The page that a payer opens: what is to be paid, stored cards, a new card, and whether it may be stored. It works without
//! JavaScript and loads nothing from elsewhere. Who has its address may pay there: the key in it is the session's own.

mod html;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::get;
use std::sync::Arc;
use zeroize::Zeroizing;

use super::values::year;
use crate::api::{Services, body, form};
use crate::card::Pan;
use crate::id::{MerchantId, RequestId, Token};
use crate::payment::shopper::{Choice, Error, PageView};
use crate::payment::{self, CardDetails, Part, SecurityCode};
use crate::vault::types::{Actor, CallerError, Dialect, Error as CoreError, Peer, PolicyError};

/// A form's limit, in bytes.
const FORM: usize = 8 * 1024;
/// The version of the text that a payer agrees to; it is kept with the payment.
pub(super) const CONSENT: &str = "2026-11";

type Named = Path<(String, String, String)>;

/// Its routes.
pub(super) fn router() -> Router<Arc<Services>> {
    Router::new()
        .route("/checkout/{merchant}/{session}/{key}", get(show).post(pay))
        .route("/checkout/style.css", get(async || style()))
}

/// Why a page does not do what was asked.
struct Told {
    status: StatusCode,
    /// For the payer.
    text: &'static str,
}

impl Told {
    const fn new(status: StatusCode, text: &'static str) -> Self {
        Self { status, text }
    }
}

const UNKNOWN: Told = Told::new(StatusCode::NOT_FOUND, "This payment page does not exist.");
const LATER: Told = Told::new(
    StatusCode::SERVICE_UNAVAILABLE,
    "The payment cannot be made at the moment. Please try again in a minute: nothing is charged twice.",
);

async fn show(State(services): State<Arc<Services>>, named: Named, request: Request) -> Response {
    let Path((merchant, session, key)) = named;
    let actor = match guest(&services, &merchant, &request) {
        Ok(actor) => actor,
        Err(told) => return refused(&told),
    };
    match services.payments.payment_page(&actor, &session, &key).await {
        Ok(view) => page(StatusCode::OK, &html::page(&view, None)),
        Err(error) => refused(&error.into()),
    }
}

async fn pay(State(services): State<Arc<Services>>, named: Named, request: Request) -> Response {
    let Path((merchant, session, key)) = named;
    let here = request.uri().path().to_owned();
    let actor = match guest(&services, &merchant, &request) {
        Ok(actor) => actor,
        Err(told) => return refused(&told),
    };
    let (parts, sent) = request.into_parts();
    let paid = async {
        let sent = body::read(&parts.headers, sent, FORM).await;
        let sent = sent.map_err(|_| Told::new(StatusCode::BAD_REQUEST, "The form could not be read."))?;
        let choice = choice(&sent)?;
        Ok::<_, Told>(services.payments.pay_on_page(&actor, &session, &key, choice).await?)
    };
    let told = match paid.await {
        // what was decided, and may be looked at again without paying again
        Ok(view) if html::is_over(&view) => return see(&here),
        Ok(_) => Told::new(StatusCode::OK, "The card was declined. Please try another one."),
        Err(told) => told,
    };
    match services.payments.payment_page(&actor, &session, &key).await {
        Ok(view) => page(told.status, &html::page(&view, Some(told.text))),
        Err(_) => refused(&told),
    }
}

/// Who opens a page: nobody is known, and the page's key is all that counts.
fn guest(services: &Services, merchant: &str, request: &Request) -> Result<Actor, Told> {
    let peer = request.extensions().get::<Peer>().copied();
    let name = request.extensions().get::<RequestId>().cloned();
    let (Some(peer), Some(name), Ok(merchant)) = (peer, name, MerchantId::parse(merchant)) else {
        return Err(UNKNOWN);
    };
    let access = services.vault.access();
    Ok(access
        .authenticate_guest(peer, Dialect::PayKka, name, &merchant)
        .map_err(Error::from)?)
}

/// What the payer filled in.
fn choice(form: &[u8]) -> Result<Choice, Told> {
    let field = |name: &str| -> Result<Option<Zeroizing<String>>, Told> {
        let found = form::pairs(form).find(|(key, _)| *key == name.as_bytes());
        let value = found
            .map(|(_, value)| form::decoded(value))
            .map(|value| value.ok_or(Told::new(StatusCode::BAD_REQUEST, "The form could not be read.")));
        Ok(value.transpose()?.filter(|value| !value.trim().is_empty()))
    };
    let wrong = |text| Told::new(StatusCode::UNPROCESSABLE_ENTITY, text);
    let code = field("cvv")?.map(|code| SecurityCode::parse(code.trim()));
    let code = match code {
        Some(None) => return Err(wrong("The security code has 3 or 4 digits.")),
        Some(Some(code)) => Some(code),
        None => None,
    };
    let chosen = field("card")?;
    match chosen.as_deref().map(String::as_str) {
        None | Some("new") => {}
        Some(token) => {
            let token = Token::parse(token).map_err(|_| wrong("This card cannot be used."))?;
            return Ok(Choice::Stored { token, code });
        }
    }
    let number = field("number")?.ok_or(wrong("The card number is missing."))?;
    let code = code.ok_or(wrong("The security code is missing."))?;
    let whole = |text: Option<Zeroizing<String>>| text.and_then(|text| text.trim().parse::<u16>().ok());
    Ok(Choice::Card {
        card: CardDetails {
            pan: Some(Pan::parse(&number).map_err(|_| wrong("This is no card number."))?),
            month: whole(field("month")?).and_then(|month| u8::try_from(month).ok()),
            year: year(whole(field("year")?)),
            holder: field("holder")?,
            security_code: Some(code),
        },
        agreed: field("consent")?
            .map(|version| version.to_string())
            .filter(|version| version == CONSENT),
    })
}

impl From<Error> for Told {
    fn from(error: Error) -> Self {
        let wrong = |text| Self::new(StatusCode::UNPROCESSABLE_ENTITY, text);
        match error {
            Error::Unknown => UNKNOWN,
            Error::SessionOver => Self::new(StatusCode::GONE, "The time for this payment is over."),
            Error::CodeMissing => wrong("The security code is missing."),
            Error::ConsentMissing => wrong("This page was changed meanwhile. Please read it again before you pay."),
            Error::TokenUnknown | Error::UsageDiffers | Error::ShopperMissing => wrong("This card cannot be used."),
            Error::Busy => Self::new(
                StatusCode::CONFLICT,
                "This payment is being made. Please wait a moment.",
            ),
            Error::Payment(
                payment::Error::Missing(Part::ExpiryMonth | Part::ExpiryYear)
                | payment::Error::Invalid {
                    part: Part::ExpiryMonth | Part::ExpiryYear,
                    ..
                },
            ) => wrong("The expiry is missing or is no date."),
            Error::Payment(payment::Error::Invalid { .. } | payment::Error::Locked | payment::Error::Unwritten) => {
                Self::new(
                    StatusCode::CONFLICT,
                    "This payment is being made. Please wait a moment.",
                )
            }
            Error::Payment(payment::Error::Core(CoreError::Caller(CallerError::Field { .. }))) => {
                wrong("The name on the card cannot be taken.")
            }
            Error::Payment(payment::Error::Core(CoreError::Policy(
                PolicyError::BadCredential | PolicyError::NoCredential | PolicyError::Denied | PolicyError::Suspended,
            ))) => UNKNOWN,
            Error::Payment(payment::Error::Core(CoreError::Policy(
                PolicyError::LoginThrottled { .. } | PolicyError::Capped { .. },
            ))) => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "Too many requests. Please try again later.",
            ),
            error => {
                tracing::warn!(%error, "a payer was turned away");
                LATER
            }
        }
    }
}

/// To the same page again, to be looked at.
fn see(here: &str) -> Response {
    let mut response = page(StatusCode::SEE_OTHER, "");
    match HeaderValue::try_from(here) {
        Ok(here) => {
            response.headers_mut().insert(header::LOCATION, here);
            response
        }
        Err(_) => refused(&LATER),
    }
}

fn refused(told: &Told) -> Response {
    page(told.status, &html::message(told.text))
}

fn page(status: StatusCode, html: &str) -> Response {
    let mut response = Response::new(Body::from(html.to_owned()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        ),
        // the address is the key
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn style() -> Response {
    let mut response = Response::new(Body::from(html::STYLE));
    let css = HeaderValue::from_static("text/css; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, css);
    response
}

/// Whether a page is of no simulator.
pub(super) fn is_earnest(view: &PageView) -> bool {
    !view.acquirer.contains("simulator")
}
