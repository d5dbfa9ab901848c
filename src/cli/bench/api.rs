//! `bench api`: what clients of the running daemon get.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use data_encoding::BASE64;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::load::{self, Login, Outcome, Plan};
use super::locker::Signer;
use super::op::Op;
use super::{Exit, cpu};
use crate::cli::instance::Instance;
use crate::cli::{Which, terminal};

#[derive(Debug, Args)]
pub(crate) struct ApiArgs {
    #[command(flatten)]
    which: Which,
    /// What each request does
    #[arg(long, value_enum, default_value = "create")]
    op: Op,
    /// Connections, each with one request at a time
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    connections: u16,
    /// How long
    #[arg(long, default_value_t = 10.0, value_parser = super::seconds)]
    seconds: f64,
    /// Stop after so many requests, if that comes first
    #[arg(long)]
    requests: Option<u64>,
    /// Tokens made beforehand for the operations that need some
    #[arg(long, default_value_t = 2_000)]
    tokens: usize,
    /// API key of the native dialect, from a file; a dev instance's own otherwise
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The figures of a run.
#[derive(Debug, Serialize)]
struct Figures {
    op: &'static str,
    connections: u16,
    seconds: f64,
    requests: usize,
    errors: u64,
    per_s: f64,
    p50_us: u32,
    p90_us: u32,
    p99_us: u32,
    p999_us: u32,
    /// All processes of the daemon together; absent where `/proc` does not tell.
    cpu_us_per_request: Option<f64>,
}

/// Runs it.
pub(super) fn run(args: &ApiArgs) -> anyhow::Result<Exit> {
    let instance = Instance::find(&args.which)?;
    let plan = Plan {
        socket: instance.api_socket().to_owned(),
        login: login(args, &instance)?,
        signer: match args.op.is_encrypted() {
            true => Some(Arc::new(signer(args, &instance)?)),
            false => None,
        },
        op: args.op,
        connections: usize::from(args.connections),
        seconds: args.seconds,
        requests: args.requests,
        tokens: args.tokens.max(1),
    };
    // One thread: the load must leave the processors to what it measures.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (figures, first_error) = runtime.block_on(measure(args, &plan))?;
    report(args, &figures, first_error.as_deref())?;
    Ok(if figures.errors == 0 { Exit::Ok } else { Exit::Failure })
}

/// As whom the operation is done.
fn login(args: &ApiArgs, instance: &Instance) -> anyhow::Result<Login> {
    if args.op.is_lockers() {
        let dev = instance.locker().context(LOCKER)?;
        return Ok(Login {
            header: format!("x-tenant-id: {}", dev.tenant_id).into(),
            tokens: "/cards".into(),
        });
    }
    if args.op != Op::MastercardRetrieve {
        return Ok(Login {
            header: format!(
                "Authorization: Bearer {}",
                instance.api_key(args.api_key_file.as_deref())?
            )
            .into(),
            tokens: "/v1/tokens".into(),
        });
    }
    let dev = instance
        .mastercard()
        .context("this operation needs --dir of a dev instance")?;
    let login = format!("merchant.{}:{}", dev.merchant, dev.password);
    Ok(Login {
        header: format!("Authorization: Basic {}", BASE64.encode(login.as_bytes())).into(),
        tokens: format!("/api/rest/version/70/merchant/{}/token", dev.merchant).into(),
    })
}

/// The client's keys of a dev instance.
fn signer(args: &ApiArgs, instance: &Instance) -> anyhow::Result<Signer> {
    let dev = instance.locker().context(LOCKER)?;
    let dir = args.which.dir.as_deref().context(LOCKER)?;
    let file = |name: &Option<PathBuf>| {
        let name = name
            .as_ref()
            .context("the locker of this instance takes no encrypted requests")?;
        anyhow::Ok(dir.join(name))
    };
    Signer::read(&file(&dev.client_private_key)?, &file(&dev.locker_public_key)?)
}

const LOCKER: &str = "this operation needs --dir of a dev instance that serves the locker";

async fn measure(args: &ApiArgs, plan: &Plan) -> anyhow::Result<(Figures, Option<String>)> {
    let probe = tokio::net::UnixStream::connect(&plan.socket)
        .await
        .map_err(|error| Exit::Unavailable.because(format!("cannot connect to {}: {error}", plan.socket.display())))?;
    let server = probe.peer_cred()?.pid().and_then(|pid| u32::try_from(pid).ok());
    drop(probe);
    let tokens = load::prepare(plan).await.context("making tokens to work on")?;
    let done = Arc::new(AtomicU64::new(0));
    let display = tokio::spawn(progress(plan.seconds, plan.requests, done.clone()));
    let before = server.and_then(cpu::daemon);
    let outcome = load::run(plan, tokens, done).await?;
    let after = server.and_then(cpu::daemon);
    display.abort();
    let cpu_us = before.zip(after).map(|(before, after)| after.saturating_sub(before));
    let first_error = outcome.first_error.clone();
    Ok((figures(args, outcome, cpu_us), first_error))
}

fn figures(args: &ApiArgs, outcome: Outcome, cpu_us: Option<u64>) -> Figures {
    let requests = outcome.latencies.count();
    let seconds = outcome.took.as_secs_f64();
    let count = float(requests);
    let percentiles = outcome.latencies.percentiles();
    Figures {
        op: args.op.name(),
        connections: args.connections,
        seconds: (seconds * 1000.0).round() / 1000.0,
        requests,
        errors: outcome.errors,
        per_s: (count / seconds.max(1e-9) * 10.0).round() / 10.0,
        p50_us: percentiles.p50,
        p90_us: percentiles.p90,
        p99_us: percentiles.p99,
        p999_us: percentiles.p999,
        cpu_us_per_request: cpu_us
            .and_then(|us| u32::try_from(us / 1000).ok())
            .map(|ms| (f64::from(ms) * 10_000.0 / count.max(1.0)).round() / 10.0),
    }
}

fn float(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn report(args: &ApiArgs, figures: &Figures, first_error: Option<&str>) -> anyhow::Result<()> {
    if let Some(error) = first_error {
        terminal::remark(format!("first error: {error}"));
    }
    if args.json {
        terminal::say(serde_json::to_string(figures)?);
        return Ok(());
    }
    terminal::say(format!(
        "{} at {} connections for {:.1} s: {:.0}/s, {} requests, {} errors",
        figures.op, figures.connections, figures.seconds, figures.per_s, figures.requests, figures.errors
    ));
    terminal::say(format!(
        "latency p50 {} µs, p90 {} µs, p99 {} µs, p99.9 {} µs",
        figures.p50_us, figures.p90_us, figures.p99_us, figures.p999_us
    ));
    if let Some(cpu) = figures.cpu_us_per_request {
        terminal::say(format!("processor time of the daemon: {cpu:.1} µs per request"));
    }
    Ok(())
}

/// A bar on a terminal; nothing elsewhere.
async fn progress(seconds: f64, requests: Option<u64>, done: Arc<AtomicU64>) {
    let bar = match requests {
        Some(total) => ProgressBar::new(total),
        None => ProgressBar::no_length(),
    };
    if let Ok(style) = ProgressStyle::with_template("{elapsed} {wide_bar} {pos} requests, {per_sec}") {
        bar.set_style(style);
    }
    let ticks = Duration::from_millis(250);
    let began = std::time::Instant::now();
    while began.elapsed().as_secs_f64() < seconds + 60.0 {
        tokio::time::sleep(ticks).await;
        bar.set_position(done.load(Ordering::Relaxed));
    }
}
