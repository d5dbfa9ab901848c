//! Requests to Hyperswitch's locker, plain, and as JWE over JWS. Encrypted ones are made before the clock starts: their
//! signatures cost as much as what is measured. Answers to them are not opened, for the same reason.

use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use data_encoding::BASE64;
use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use ring::signature::RSA_PKCS1_SHA256;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::client::Connection;
use super::load::{Plan, expect};
use super::numbers::Numbers;
use super::op::Op;
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

/// The bodies that the run needs, for an operation of the locker's.
pub(super) async fn bodies(plan: &Plan) -> anyhow::Result<Vec<String>> {
    let bodies = match plan.op {
        Op::LockerJweAdd => {
            let wanted = plan.requests.and_then(|requests| usize::try_from(requests).ok());
            let count = wanted.unwrap_or(usize::MAX).min(in_all(plan.seconds)).min(MOST);
            let mut numbers = Numbers::of_now(0);
            (0..count).map(|_| card(&numbers.next())).collect()
        }
        Op::LockerRetrieve | Op::LockerJweRetrieve => added(plan).await?,
        Op::Create
        | Op::Delete
        | Op::Inspect
        | Op::LockerAdd
        | Op::MastercardRetrieve
        | Op::Pair
        | Op::Reveal
        | Op::Update => Vec::new(),
    };
    match &plan.signer {
        Some(signer) => sealed(signer, &bodies),
        None => Ok(bodies),
    }
}

/// Adds cards, in plain, and gives the bodies that retrieve them.
async fn added(plan: &Plan) -> anyhow::Result<Vec<String>> {
    let lanes = plan.connections.min(64);
    let share = plan.tokens.div_ceil(lanes);
    let mut tasks = Vec::new();
    for lane in 0..lanes {
        let plan = plan.clone();
        tasks.push(tokio::spawn(async move {
            let mut connection = Connection::open(&plan.socket).await?;
            let mut numbers = Numbers::of_now(lane);
            let mut bodies = Vec::with_capacity(share);
            for _ in 0..share {
                let number = numbers.next();
                let answer = connection
                    .call("POST", "/cards/add", &plan.login.header, &card(&number))
                    .await?;
                expect(200, &answer)?;
                let reference = reference_in(answer.body)?;
                bodies.push(format!(
                    "{{\"merchant_id\":\"load\",\"merchant_customer_id\":\"customer {number}\",\"card_reference\":\"{reference}\"}}"
                ));
            }
            anyhow::Ok(bodies)
        }));
    }
    let mut all = Vec::with_capacity(plan.tokens);
    for task in tasks {
        all.extend(task.await??);
    }
    Ok(all)
}

/// All of them encrypted, on all processors.
fn sealed(signer: &Arc<Signer>, bodies: &[String]) -> anyhow::Result<Vec<String>> {
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
