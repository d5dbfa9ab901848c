//! The two forms of an answer, and what stands around every one.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;

use super::call::Answer;
use super::refusal::Refusal;
use crate::id::RequestId;

/// How requests and answers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    /// Name-value pairs, as a form.
    Form,
    /// JSON.
    Json,
}

/// What the client's answer needs of its request.
pub(super) struct Heard {
    pub(super) wire: Wire,
    /// The request's name.
    pub(super) request: Option<RequestId>,
    /// As soon as it is read.
    pub(super) correlation: Option<String>,
}

impl Wire {
    /// The form that clients of a path expect.
    pub(super) fn of_path(path: &str) -> Self {
        match path.strip_prefix("/api/nvp") {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => Self::Form,
            _ => Self::Json,
        }
    }

    /// # Errors
    /// The headers do not say that the body is of this form.
    pub(super) fn check_type(self, headers: &HeaderMap) -> Result<(), Refusal> {
        let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = value.and_then(|text| text.split(';').next()).unwrap_or_default();
        match essence.trim().eq_ignore_ascii_case(self.media_type()) {
            true => Ok(()),
            false => Err(Refusal::request(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                format!("The Content-Type must be {}.", self.media_type()),
            )),
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::Form => "application/x-www-form-urlencoded",
            Self::Json => "application/json",
        }
    }
}

impl Heard {
    /// Writes the answer, or what was refused.
    pub(super) fn respond(self, result: Result<Answer, Refusal>) -> Response {
        let mut response = Response::default();
        let (status, mut tree) = match result {
            Ok(Answer { status, tree }) => (status, tree),
            Err(refusal) => {
                if let Some(request) = &self.request {
                    refusal.log(request);
                }
                let headers = response.headers_mut();
                if let Some(seconds) = refusal.retry_after {
                    headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
                }
                if refusal.status == StatusCode::UNAUTHORIZED {
                    // some clients send their credential only after a challenge
                    let challenge = HeaderValue::from_static("Basic realm=\"panvault\", charset=\"UTF-8\"");
                    headers.insert(header::WWW_AUTHENTICATE, challenge);
                }
                (refusal.status, refusal.tree(self.request.as_ref()))
            }
        };
        tree.maybe("correlationId", self.correlation);
        let (body, media_type) = match self.wire {
            Wire::Form => (
                tree.to_form(),
                HeaderValue::from_static("application/x-www-form-urlencoded;charset=UTF-8"),
            ),
            Wire::Json => (
                tree.to_json(),
                HeaderValue::from_static("application/json;charset=UTF-8"),
            ),
        };
        *response.body_mut() = Body::from(body);
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, media_type);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_tells_the_form() {
        for path in ["/api/nvp", "/api/nvp/version/70", "/api/nvp/"] {
            assert_eq!(Wire::of_path(path), Wire::Form);
        }
        for path in ["/api", "/api/rest/nvp", "/api/nvpx", "/api/keys"] {
            assert_eq!(Wire::of_path(path), Wire::Json);
        }
    }
}
