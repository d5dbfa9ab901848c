//! Speaks to a running daemon over its operators' socket.

use std::path::{Path, PathBuf};

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::net::UnixStream;
use zeroize::Zeroizing;

use super::Exit;

/// Answers of the admin routes that are read whole are lists at most.
const MAX_ANSWER: usize = 64 << 20;

/// A running daemon.
pub(super) struct Client {
    socket: PathBuf,
    operator: Option<SecretString>,
    runtime: tokio::runtime::Runtime,
}

impl Client {
    /// For the daemon at this socket.
    pub(super) fn new(socket: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            socket: socket.to_owned(),
            operator: None,
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
        })
    }

    /// With an operator's credential.
    #[must_use]
    pub(super) fn by(self, operator: Option<SecretString>) -> Self {
        Self { operator, ..self }
    }

    /// Whether anyone listens there.
    pub(super) fn reachable(&self) -> bool {
        std::os::unix::net::UnixStream::connect(&self.socket).is_ok()
    }

    /// Sends a request and gives the JSON answer; a refusal is an error in the daemon's own words.
    pub(super) fn call(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let (status, bytes) = self.runtime.block_on(async {
            let answer = self.send(method, path, body).await?;
            let status = answer.status();
            let bytes = Limited::new(answer.into_body(), MAX_ANSWER)
                .collect()
                .await
                .map_err(|error| anyhow::anyhow!("reading the answer: {error}"))?
                .to_bytes();
            anyhow::Ok((status, bytes))
        })?;
        if status.is_success() {
            if bytes.is_empty() {
                return Ok(Value::Null);
            }
            let answer: Value = serde_json::from_slice(&bytes).context("the daemon's answer is not JSON")?;
            return match answer.get("ceremony").filter(|_| status == StatusCode::ACCEPTED) {
                Some(ceremony) => Err(waits(ceremony)),
                None => Ok(answer),
            };
        }
        let problem: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let words = ["detail", "title", "error"]
            .iter()
            .find_map(|name| problem.get(name)?.as_str());
        anyhow::bail!("{}", words.map_or_else(|| status.to_string(), str::to_owned))
    }

    /// Sends a body to the API and gives the answer, whatever it is.
    pub(super) fn post(&self, path: &str, headers: &[(&str, &str)], body: Bytes) -> anyhow::Result<(u16, Bytes)> {
        self.runtime.block_on(async {
            let answer = self.exchange(Method::POST, path, headers, body).await?;
            let status = answer.status().as_u16();
            let bytes = Limited::new(answer.into_body(), MAX_ANSWER)
                .collect()
                .await
                .map_err(|error| anyhow::anyhow!("reading the answer: {error}"))?
                .to_bytes();
            Ok((status, bytes))
        })
    }

    /// Copies the answer's lines, as they come, to `line`, until it ends or `line` says enough.
    pub(super) fn lines(&self, path: &str, mut line: impl FnMut(&[u8]) -> anyhow::Result<bool>) -> anyhow::Result<()> {
        self.runtime.block_on(async {
            let answer = self.send(Method::GET, path, None).await?;
            if !answer.status().is_success() {
                anyhow::bail!("the daemon answered {}", answer.status());
            }
            let mut body = answer.into_body();
            let mut rest = Vec::new();
            while let Some(frame) = body.frame().await {
                let Ok(data) = frame.context("the answer broke off")?.into_data() else {
                    continue;
                };
                rest.extend_from_slice(&data);
                while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                    let whole: Vec<u8> = rest.drain(..=end).collect();
                    if !line(whole.strip_suffix(b"\n").unwrap_or(&whole))? {
                        return Ok(());
                    }
                }
            }
            Ok(())
        })
    }

    /// Sends a request with a body, and hands the bytes of the answer on as they come, to its end.
    pub(super) fn stream_of(
        &self,
        path: &str,
        body: &Value,
        mut take: impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.runtime.block_on(async {
            let answer = self.send(Method::POST, path, Some(body)).await?;
            // what is streamed comes with 200; with 202 it waits
            if answer.status() != StatusCode::OK {
                let status = answer.status();
                let words = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
                let problem: Value = words
                    .ok()
                    .and_then(|words| serde_json::from_slice(&words.to_bytes()).ok())
                    .unwrap_or_default();
                if let Some(ceremony) = problem.get("ceremony").filter(|_| status == StatusCode::ACCEPTED) {
                    return Err(waits(ceremony));
                }
                let words = problem.get("error").and_then(Value::as_str).map(str::to_owned);
                anyhow::bail!("{}", words.unwrap_or_else(|| status.to_string()));
            }
            let mut body = answer.into_body();
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| {
                    Exit::Unavailable.because(format!("the daemon went before it was done: {error}; run it again"))
                })?;
                if let Ok(data) = frame.into_data() {
                    take(&data)?;
                }
            }
            Ok(())
        })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<hyper::Response<hyper::body::Incoming>> {
        let bytes = match body {
            Some(value) => Bytes::from(serde_json::to_vec(value)?),
            None => Bytes::new(),
        };
        let mut headers = Vec::new();
        let shown = self.operator.as_ref();
        let shown = shown.map(|operator| Zeroizing::new(format!("Operator {}", operator.expose_secret())));
        if let Some(shown) = &shown {
            headers.push(("Authorization", shown.as_str()));
        }
        self.exchange(method, path, &headers, bytes).await
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> anyhow::Result<hyper::Response<hyper::body::Incoming>> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| {
            Exit::Unavailable.because(format!("no daemon answers at {}: {error}", self.socket.display()))
        })?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("Host", "panvault")
            .header("Content-Type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Ok(sender.send_request(request.body(Full::new(body))?).await?)
    }
}

/// Nothing has happened: a second operator is needed.
fn waits(ceremony: &Value) -> anyhow::Error {
    let at = |name: &str| ceremony.get(name).and_then(Value::as_str).unwrap_or_default();
    let (id, operation, end) = (at("id"), at("operation"), at("ends_at"));
    Exit::Waits.because(format!(
        "{operation} needs a second operator, and nothing has happened yet: another one runs `panvault ceremony approve {id}`, \
         then give this command again, before {end}"
    ))
}
