//! Requests to Hyperswitch's locker, plain, and as JWE over JWS. Encrypted ones are made before the clock starts: their
//! signatures cost as much as what is measured. Answers to them are not opened, for the same reason.

use std::num::NonZero;
use std::path::Path;

use anyhow::Context;
use data_encoding::BASE64;
use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use ring::signature::RSA_PKCS1_SHA256;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::client::Connection;
use super::load::{Login, Plan, expect};
use super::numbers::Numbers;
use crate::jose::{Envelope, OaepHash, RsaPublicKey, Unsigned};

/// Encrypted requests made for each second of a run, where they serve once: more than two cores can answer.
const PER_SECOND: f64 = 1_500.0;
/// The most of them.
const MOST: usize = 50_000;

/// The client's side of JWE over JWS.
pub(super) struct Signer {
    pair: KeyPair,
    locker: RsaPublicKey,
}

impl Signer {
    /// Reads the client's private key and the locker's public one, both in PEM.
    pub(super) fn read(client: &Path, locker: &Path) -> anyhow::Result<Self> {
        let read = |path: &Path| {
            std::fs::read_to_string(path)
                .map(Zeroizing::new)
                .with_context(|| format!("cannot read {}", path.display()))
        };
        let text = read(client)?;
        let body: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
        let pkcs8 = Zeroizing::new(BASE64.decode(Zeroizing::new(body).as_bytes())?);
        let pair = KeyPair::from_pkcs8(&pkcs8).map_err(|error| anyhow::anyhow!("{}: {error}", client.display()))?;
        Ok(Self {
            pair,
            locker: RsaPublicKey::of_pem(&read(locker)?)?,
        })
    }

    fn sealed(&self, payload: &str) -> anyhow::Result<String> {
        let unsigned = Unsigned::new(payload.as_bytes());
        let mut signature = vec![0; self.pair.public().modulus_len()];
        self.pair
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                unsigned.message(),
                &mut signature,
            )
            .map_err(|_| anyhow::anyhow!("the client's key does not sign"))?;
        let sealed = Envelope::seal(&self.locker, OaepHash::Sha256, unsigned.signed(&signature))?;
        Ok(String::from_utf8(sealed.context("the locker's key is too short")?)?)
    }
}

/// The body that adds a made-up card of a customer with no other.
pub(super) fn card(number: &str) -> String {
    format!(
        "{{\"merchant_id\":\"load\",\"merchant_customer_id\":\"customer {number}\",\"card\":{{\"card_number\":\"{number}\",\
         \"name_on_card\":\"LOAD TEST\",\"card_exp_month\":\"12\",\"card_exp_year\":\"2030\"}}}}"
    )
}

/// The bodies that add cards, as many as a run may come to.
pub(super) fn cards(plan: &Plan) -> Vec<String> {
    let wanted = plan.requests.and_then(|requests| usize::try_from(requests).ok());
    let count = wanted.unwrap_or(usize::MAX).min(in_all(plan.seconds)).min(MOST);
    let mut numbers = Numbers::of_now(0);
    (0..count).map(|_| card(&numbers.next())).collect()
}

/// Adds a card, in plain, and gives the body that retrieves it.
pub(super) async fn added(connection: &mut Connection, login: &Login, number: &str) -> anyhow::Result<String> {
    let path = format!("{}/add", login.tokens);
    let answer = connection.call("POST", &path, &login.header, &card(number)).await?;
    expect(200, &answer)?;
    let reference = reference_in(answer.body)?;
    Ok(format!(
        "{{\"merchant_id\":\"load\",\"merchant_customer_id\":\"customer {number}\",\"card_reference\":\"{reference}\"}}"
    ))
}

/// All of them encrypted, on all processors.
pub(super) fn sealed(signer: &Signer, bodies: &[String]) -> anyhow::Result<Vec<String>> {
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let share = bodies.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let parts: Vec<_> = bodies
            .chunks(share)
            .map(|part| {
                scope.spawn(|| {
                    part.iter()
                        .map(|body| signer.sealed(body))
                        .collect::<Result<Vec<_>, _>>()
                })
            })
            .collect();
        let mut all = Vec::with_capacity(bodies.len());
        for part in parts {
            let part = part.join().map_err(|_| anyhow::anyhow!("a thread ended"))?;
            all.extend(part?);
        }
        Ok(all)
    })
}

/// The member `card_reference` of an answer.
fn reference_in(body: &[u8]) -> anyhow::Result<String> {
    #[derive(Deserialize)]
    struct Added {
        payload: Payload,
    }
    #[derive(Deserialize)]
    struct Payload {
        card_reference: String,
    }
    Ok(serde_json::from_slice::<Added>(body)?.payload.card_reference)
}

/// How many requests a run of so many seconds may come to.
fn in_all(seconds: f64) -> usize {
    usize::try_from(std::time::Duration::from_secs_f64(seconds * PER_SECOND / 1e3).as_millis()).unwrap_or(usize::MAX)
}
