//! The raw rate of a token in one process: the same jobs as in service, in a loop, without a server.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use super::token::{Engine, StartFault, Token};
use super::{Boxed, Config, Epoch, Fault, Generation, Job, Keyset, Plain, ProbeReport, Reply, SecretBytes};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RawOp {
    /// MAC and seal of both compartments in one job: what a tokenize costs.
    Create,
    /// HMAC over a PAN-sized input.
    Mac,
    /// Open of the `pan` compartment: what a reveal costs.
    Open,
    /// Seal of the `pan` compartment.
    Seal,
    /// Signature with the locker key: one RSA operation. An encrypted request of the locker's takes two.
    SignLocker,
}

/// Why there is no figure.
#[derive(Debug, thiserror::Error)]
pub enum RateError {
    /// A job failed.
    #[error("a job failed: {0}")]
    Job(#[from] Fault),
    /// The token could not be used at all.
    #[error(transparent)]
    Start(#[from] StartFault),
    /// A thread ended early.
    #[error("a session's thread ended early")]
    Thread,
}

impl RawOp {
    /// Its name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Mac => "mac",
            Self::Open => "open",
            Self::Seal => "seal",
            Self::SignLocker => "sign-locker",
        }
    }

    /// By its name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Create, Self::Mac, Self::Open, Self::Seal, Self::SignLocker]
            .into_iter()
            .find(|op| op.name() == name)
    }
}

/// The start-up check's report, from a process of its own that was started with the module's environment.
///
/// # Errors
/// As for a worker.
pub fn probe(config: &Config, keyset: &Keyset) -> Result<ProbeReport, StartFault> {
    let (token, report) = Token::start(config, keyset)?;
    token.finish();
    Ok(report)
}

/// Jobs per second of `sessions` threads together in this process, over `seconds`.
///
/// # Errors
/// The token's, and the first failed job's.
pub fn measure(config: &Config, keyset: &Keyset, op: RawOp, sessions: usize, seconds: f64) -> Result<f64, RateError> {
    let (token, _) = Token::start(config, keyset)?;
    let epoch = keyset.keks.first().map_or(Epoch(1), |kek| kek.epoch);
    let mut engines = Vec::new();
    for _ in 0..sessions.max(1) {
        engines.push(token.engine()?);
    }
    let start = Barrier::new(engines.len());
    let rates = thread::scope(|scope| {
        let threads: Vec<_> = engines
            .into_iter()
            .map(|engine| scope.spawn(|| rate(engine, epoch, op, seconds, &start)))
            .collect();
        threads
            .into_iter()
            .map(|one| one.join().unwrap_or(Err(RateError::Thread)))
            .collect::<Result<Vec<f64>, _>>()
    });
    token.finish();
    Ok(rates?.into_iter().sum())
}

fn rate(mut engine: Engine, epoch: Epoch, op: RawOp, seconds: f64, start: &Barrier) -> Result<f64, RateError> {
    let opened = sample(&mut engine, epoch);
    start.wait();
    let (dek, sealed) = opened?;
    let began = Instant::now();
    let until = began + Duration::from_secs_f64(seconds);
    let mut done = 0u32;
    while Instant::now() < until {
        // Looking at the clock costs as much as a cheap job's call.
        for _ in 0..16 {
            let job = match op {
                RawOp::Create => Job::Seal {
                    epoch,
                    mac: Some((Generation::FIRST, SecretBytes::new(vec![7; 40]))),
                    parts: vec![part(16), part(64)],
                },
                RawOp::Mac => Job::Mac {
                    generation: Generation::FIRST,
                    input: SecretBytes::new(vec![7; 40]),
                },
                RawOp::Open => Job::Open {
                    epoch,
                    dek: dek.clone(),
                    parts: vec![sealed.clone()],
                },
                RawOp::Seal => Job::Seal {
                    epoch,
                    mac: None,
                    parts: vec![part(16)],
                },
                RawOp::SignLocker => Job::SignLocker {
                    message: SecretBytes::new(vec![7; 200]),
                },
            };
            engine.execute(job)?;
            done += 1;
        }
    }
    Ok(f64::from(done) / began.elapsed().as_secs_f64())
}

fn part(len: usize) -> Plain {
    Plain {
        aad: vec![1; 48],
        text: SecretBytes::new(vec![b'4'; len]),
    }
}

fn sample(engine: &mut Engine, epoch: Epoch) -> Result<(super::WrappedKey, Boxed), Fault> {
    let sealed = engine.execute(Job::Seal {
        epoch,
        mac: None,
        parts: vec![part(16)],
    })?;
    let Reply::Seal { dek, mut parts, .. } = sealed else {
        return Err(Fault::Malformed("a seal was answered with something else".to_owned()));
    };
    let Some(sealed) = parts.pop() else {
        return Err(Fault::Malformed("a seal was answered without its part".to_owned()));
    };
    Ok((
        dek,
        Boxed {
            aad: vec![1; 48],
            sealed,
        },
    ))
}
