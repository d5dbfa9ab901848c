//! `bench hsm`: the raw rates of the token, each worker process and session driven without a server in between.

use std::num::NonZero;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

use crate::cli::instance::Instance;
use crate::cli::{Exit, Which, terminal};
use crate::hsm::raw_rate::{self, RawOp};
use crate::keys::Keyring;

#[derive(Debug, Args)]
pub(crate) struct HsmArgs {
    #[command(flatten)]
    which: Which,
    /// Seconds per figure
    #[arg(long, default_value_t = 2.0, value_parser = super::seconds)]
    seconds: f64,
    /// Numbers of processes in the matrix
    #[arg(long, value_delimiter = ',', default_value = "1,2")]
    processes: Vec<usize>,
    /// Numbers of sessions per process in the matrix
    #[arg(long, value_delimiter = ',', default_value = "1,2")]
    sessions: Vec<usize>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of the process that does the work.
#[derive(Debug, Args)]
pub(crate) struct BenchWorkerArgs {
    #[command(flatten)]
    which: Which,
    #[arg(long)]
    op: String,
    #[arg(long)]
    sessions: usize,
    #[arg(long, value_parser = super::seconds)]
    seconds: f64,
}

/// What a worker process prints.
#[derive(Debug, Serialize, Deserialize)]
struct Rate {
    per_s: f64,
}

#[derive(Debug, Serialize)]
struct Cell {
    processes: usize,
    sessions: usize,
    create_per_s: f64,
    open_per_s: f64,
}

#[derive(Debug, Serialize)]
struct Figures {
    seal_per_s: f64,
    open_per_s: f64,
    mac_per_s: f64,
    create_per_s: f64,
    /// One RSA operation each, of a process on every processor together; where there is a locker key.
    #[serde(skip_serializing_if = "Option::is_none")]
    sign_locker_per_s: Option<f64>,
    matrix: Vec<Cell>,
    fdatasync_p50_us: u32,
}

/// Runs it.
pub(super) fn run(args: &HsmArgs) -> anyhow::Result<Exit> {
    let instance = Instance::find(&args.which)?;
    let figure = |op: RawOp, processes: usize, sessions: usize| measure(&instance, args, op, processes, sessions);
    let cells = args.processes.len() * args.sessions.len();
    let bar = ProgressBar::new(u64::try_from(cells * 2 + 6).unwrap_or(0));
    if let Ok(style) = ProgressStyle::with_template("{elapsed} {wide_bar} {msg}") {
        bar.set_style(style);
    }
    let next = |text: String| {
        bar.set_message(text);
        bar.inc(1);
    };
    next("seal".to_owned());
    let seal_per_s = figure(RawOp::Seal, 1, 1)?;
    next("open".to_owned());
    let open_per_s = figure(RawOp::Open, 1, 1)?;
    next("mac".to_owned());
    let mac_per_s = figure(RawOp::Mac, 1, 1)?;
    next("create".to_owned());
    let create_per_s = figure(RawOp::Create, 1, 1)?;
    let locker = Keyring::load(&instance.config.keyring_path())?
        .keyset()
        .locker
        .is_some();
    next("locker key".to_owned());
    let every = std::thread::available_parallelism().map_or(1, NonZero::get);
    let sign_locker_per_s = locker.then(|| figure(RawOp::SignLocker, every, 1)).transpose()?;
    let mut matrix = Vec::with_capacity(cells);
    for &processes in &args.processes {
        for &sessions in &args.sessions {
            next(format!("{processes} processes × {sessions} sessions: create"));
            let create_per_s = figure(RawOp::Create, processes, sessions)?;
            next(format!("{processes} processes × {sessions} sessions: open"));
            let open_per_s = figure(RawOp::Open, processes, sessions)?;
            matrix.push(Cell {
                processes,
                sessions,
                create_per_s,
                open_per_s,
            });
        }
    }
    next("fdatasync of the store's disk".to_owned());
    let fdatasync_p50_us = fdatasync_p50(&instance.config.state_dir)?;
    bar.finish_and_clear();
    report(
        args,
        &Figures {
            seal_per_s,
            open_per_s,
            mac_per_s,
            create_per_s,
            sign_locker_per_s,
            matrix,
            fdatasync_p50_us,
        },
    )
}

fn report(args: &HsmArgs, figures: &Figures) -> anyhow::Result<Exit> {
    if args.json {
        terminal::say(serde_json::to_string(figures)?);
        return Ok(Exit::Ok);
    }
    terminal::say("one process, one session:");
    terminal::say(format!(
        "  seal {:>9.0}/s   open {:>9.0}/s",
        figures.seal_per_s, figures.open_per_s
    ));
    terminal::say(format!(
        "  MAC  {:>9.0}/s   create {:>7.0}/s",
        figures.mac_per_s, figures.create_per_s
    ));
    if let Some(per_s) = figures.sign_locker_per_s {
        terminal::say(format!(
            "signatures with the locker key, a process on every processor: {per_s:.0}/s"
        ));
    }
    terminal::say("processes × sessions      create/s      open/s");
    for cell in &figures.matrix {
        terminal::say(format!(
            "{:>9} × {:<9} {:>13.0} {:>11.0}",
            cell.processes, cell.sessions, cell.create_per_s, cell.open_per_s
        ));
    }
    terminal::say(format!(
        "fdatasync of the store's disk: p50 {} µs",
        figures.fdatasync_p50_us
    ));
    Ok(Exit::Ok)
}

/// Sum of the rates of `processes` worker processes at work at the same time.
fn measure(instance: &Instance, args: &HsmArgs, op: RawOp, processes: usize, sessions: usize) -> anyhow::Result<f64> {
    let mut running = Vec::new();
    for _ in 0..processes {
        let child = Command::new(std::env::current_exe()?)
            .arg("bench-worker")
            .args(&instance.arguments)
            .args(["--op", op.name(), "--sessions", &sessions.to_string()])
            .args(["--seconds", &args.seconds.to_string()])
            .envs(&instance.config.hsm.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting a worker process")?;
        running.push(child);
    }
    let mut sum = 0.0;
    for child in running {
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("a worker process failed; its own words are above");
        }
        let rate: Rate = serde_json::from_slice(&output.stdout).context("a worker process printed no rate")?;
        sum += rate.per_s;
    }
    Ok((sum * 10.0).round() / 10.0)
}

/// The worker process of the benchmark.
pub(crate) fn worker(args: &BenchWorkerArgs) -> anyhow::Result<Exit> {
    let instance = Instance::find(&args.which)?;
    let keyring = Keyring::load(&instance.config.keyring_path())?;
    let op = RawOp::parse(&args.op).context("no such operation")?;
    let per_s = raw_rate::measure(&instance.config.hsm, keyring.keyset(), op, args.sessions, args.seconds)?;
    terminal::say(serde_json::to_string(&Rate { per_s })?);
    Ok(Exit::Ok)
}

/// Median of 200 appends of 4 KiB with fdatasync in the store's directory.
fn fdatasync_p50(dir: &Path) -> anyhow::Result<u32> {
    use std::io::Write;
    let path = dir.join(format!(".fdatasync-{}", std::process::id()));
    let mut file = std::fs::File::create(&path).with_context(|| format!("cannot write in {}", dir.display()))?;
    let mut latencies = super::latency::Latencies::default();
    for _ in 0..200 {
        file.write_all(&[0x5a; 4096])?;
        let began = std::time::Instant::now();
        file.sync_data()?;
        latencies.note(began.elapsed());
    }
    drop(file);
    std::fs::remove_file(&path)?;
    Ok(latencies.percentiles().p50)
}
