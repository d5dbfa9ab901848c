//! A provider that fails on purpose: what no provider's test account does when it is asked to.

use std::convert::Infallible;
use std::future::pending;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::pki::Pki;
use super::*;

pub(super) struct Provider {
    pub(super) port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) connection: usize,
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    }
}

pub(super) enum Reply {
    Answer(u16, &'static [(&'static str, &'static str)], String),
    /// The connection ends.
    Hangup,
    /// No answer ever.
    Silence,
}

impl Provider {
    /// `reply` gets the number of the request, from 0, and its path.
    pub(super) async fn start(pki: &Pki, reply: impl Fn(usize, &str) -> Reply + Send + Sync + 'static) -> Self {
        let certificates = CertificateDer::pem_file_iter(pki.certificate()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                certificates.map(Result::unwrap).collect(),
                PrivateKeyDer::from_pem_file(pki.key()).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (all, reply) = (Arc::clone(&seen), Arc::new(reply));
        tokio::spawn(async move {
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, all, reply) = (acceptor.clone(), Arc::clone(&all), Arc::clone(&reply));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let service = service_fn(move |request| {
                        let (all, reply) = (Arc::clone(&all), Arc::clone(&reply));
                        async move {
                            let number = note(&all, connection, request).await;
                            let path = all.lock().unwrap()[number].path.clone();
                            answer(reply(number, &path)).await
                        }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { port, seen }
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn note(all: &Mutex<Vec<Seen>>, connection: usize, request: Request<Incoming>) -> usize {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let headers = head.headers.iter();
    let seen = Seen {
        connection,
        path: head.uri.path().to_owned(),
        headers: headers
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect(),
        body: String::from_utf8(body.to_vec()).unwrap(),
    };
    let mut all = all.lock().unwrap();
    all.push(seen);
    all.len() - 1
}

async fn answer(reply: Reply) -> Result<Response<Full<Bytes>>, std::io::Error> {
    match reply {
        Reply::Answer(status, headers, body) => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(*name, *value);
            }
            Ok(response.body(Full::new(Bytes::from(body))).unwrap())
        }
        Reply::Hangup => Err(std::io::Error::other("hung up")),
        Reply::Silence => match pending::<Infallible>().await {},
    }
}
