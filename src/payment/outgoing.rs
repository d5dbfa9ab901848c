//! Connections that go out: over TLS and no other way, to whom the authorities vouch for.

use std::error::Error;
use std::time::Duration;

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;

use super::trust::Trust;

/// Makes them.
pub(super) type Connector = HttpsConnector<HttpConnector>;

/// Connections to whom `trust` vouches for, each made within `limit`.
///
/// # Errors
/// TLS cannot be set up.
pub(super) fn connector(trust: Trust, limit: Duration) -> Result<Connector, &'static str> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(limit));
    Ok(HttpsConnectorBuilder::new()
        .with_tls_config(trust.client()?)
        .https_only()
        .enable_http1()
        .wrap_connector(tcp))
}

/// An error and what is behind it. hyper and rustls tell of connections and certificates, never of what was sent on them.
pub(super) fn reasons(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
