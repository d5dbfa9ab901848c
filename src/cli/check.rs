//! `check`: each part of an installation by itself, with what is wrong and what to do.

use std::process::{Command, Stdio};

use anyhow::Context;
use clap::Subcommand;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::anchor::pins;
use super::client::Client;
use super::instance::Instance;
use super::offline::Offline;
use super::{Exit, PinArg, Which, audit, terminal};
use crate::audit::Verifier;
use crate::card::BinTable;
use crate::hsm::share::SetFile;
use crate::hsm::{self, Finding, PinSource, ProbeReport, StartFault, Verdict};
use crate::keys::Keyring;
use crate::payment::psp::Connectors;
use crate::store::Report;
use crate::vault::policy::Policy;

#[derive(Debug, Subcommand)]
pub(crate) enum Check {
    /// The configuration and the files it names
    Config(CheckArgs),
    /// The token: keys, and what it enforces and what not
    Hsm(HsmArgs),
    /// The store: structure, counts, audit chain
    Store(CheckArgs),
    /// The audit trail: its chain and its signed heads
    Audit(CheckArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    which: Which,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct HsmArgs {
    #[command(flatten)]
    check: CheckArgs,
    #[command(flatten)]
    pin: PinArg,
}

/// Runs it.
pub(super) fn run(check: &Check) -> anyhow::Result<Exit> {
    match check {
        Check::Config(args) => config(args),
        Check::Hsm(args) => hsm(args),
        Check::Store(args) => store(args),
        Check::Audit(args) => {
            let instance = Instance::find(&args.which)?;
            let verifier = pins(&instance)?.into_iter().fold(Verifier::new(), Verifier::pinned);
            audit::tell(&audit::verify(&instance, verifier)?, args.json)
        }
    }
}

fn config(args: &CheckArgs) -> anyhow::Result<Exit> {
    let config = Instance::find(&args.which)?.config;
    Policy::load(&config.policy).map_err(|error| Exit::Config.because(error.to_string()))?;
    if let Some(path) = &config.bin_table {
        BinTable::read(path).map_err(|error| Exit::Config.because(format!("{}: {error}", path.display())))?;
    }
    Connectors::open(&config.psp).map_err(|error| Exit::Config.because(error.to_string()))?;
    if let Some(custodians) = &config.custodians {
        let file = SetFile::load(&custodians.state_dir).map_err(|fault| Exit::Config.because(fault))?;
        if file.is_none() {
            terminal::remark("hsm.unseal: no shares were made yet: `panvault shares split`");
        }
        if !custodians.one_share_each {
            terminal::remark("custodians.one_share_each is off: one person can unseal this vault");
        }
    }
    let mut named = vec![("hsm.module", &config.hsm.module)];
    if let PinSource::File(file) = &config.hsm.pin {
        named.push(("hsm.pin_file", file));
    }
    for (key, file) in named {
        if !file.exists() {
            return Err(Exit::Config.because(format!("{key}: there is no file {}", file.display())));
        }
    }
    if args.json {
        terminal::json(&serde_json::json!({"ok": true, "file": config.file, "digest": config.digest}))?;
    } else {
        terminal::say(format!("{}: good; SHA-256 {}", config.file.display(), config.digest));
    }
    Ok(Exit::Ok)
}

fn hsm(HsmArgs { check: args, pin }: &HsmArgs) -> anyhow::Result<Exit> {
    let instance = Instance::find(&args.which)?.with_pin(pin);
    let report: ProbeReport = ask_worker("probe-worker", &instance)?;
    let gap = report.findings.iter().any(|finding| finding.verdict == Verdict::Gap);
    if args.json {
        terminal::json(&report)?;
    } else {
        terminal::say(format!("module  {}", report.module));
        terminal::say(format!("token   {}", report.token));
        let mode = serde_json::to_value(report.mode)?;
        terminal::say(format!("mode    {}", mode.as_str().unwrap_or_default()));
        findings(&report.findings, terminal::say);
        if gap {
            terminal::say("`serve` refuses this token unless hsm.strict = false");
        }
    }
    Ok(if gap { Exit::Refused } else { Exit::Ok })
}

/// A line for each finding.
pub(super) fn findings(findings: &[Finding], line: impl Fn(String)) {
    for finding in findings {
        let mark = match finding.verdict {
            Verdict::Gap => "GAP ",
            Verdict::Note => "note",
            Verdict::Pass => "ok  ",
        };
        line(format!("{mark}  {:<28} {}", finding.check, finding.text));
    }
}

/// What a process of its own sees of the token: as in service, this one never loads the module.
pub(super) fn ask_worker<T: DeserializeOwned>(command: &str, instance: &Instance) -> anyhow::Result<T> {
    let output = Command::new(std::env::current_exe()?)
        .arg(command)
        .args(&instance.arguments)
        .envs(&instance.config.hsm.environment)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .output()
        .context("starting the process that looks at the token")?;
    let seen: Result<T, StartFault> = serde_json::from_slice(&output.stdout)
        .context("the process that looks at the token said nothing; see above")?;
    seen.map_err(|fault| {
        let exit = match fault {
            StartFault::Keys(_) | StartFault::NotInitialised(_) | StartFault::Policy(_) => Exit::Refused,
            StartFault::PinRefused(_) | StartFault::Unavailable(_) => Exit::Unavailable,
        };
        exit.because(fault.to_string())
    })
}

/// The internal command behind `check hsm`: prints what the start-up check finds.
pub(super) fn probe_worker(which: &Which, pin: &PinArg) -> anyhow::Result<Exit> {
    answer(which, pin, crate::hsm::probe)
}

/// The other side of [`ask_worker`].
pub(super) fn answer<T: Serialize>(
    which: &Which,
    pin: &PinArg,
    look: impl FnOnce(&hsm::Config, &hsm::Keyset) -> Result<T, StartFault>,
) -> anyhow::Result<Exit> {
    let instance = Instance::find(which)?.with_pin(pin);
    let keyring =
        Keyring::load(&instance.config.keyring_path()).map_err(|error| StartFault::NotInitialised(error.to_string()));
    let mut config = instance.config.hsm;
    config.strict = false;
    let seen = keyring.and_then(|keyring| look(&config, keyring.keyset()));
    terminal::say(serde_json::to_string(&seen)?);
    Ok(Exit::Ok)
}

fn store(args: &CheckArgs) -> anyhow::Result<Exit> {
    let instance = Instance::find(&args.which)?;
    let client = Client::new(instance.admin_socket())?;
    let report: Report = if client.reachable() {
        serde_json::from_value(client.call(hyper::Method::POST, "/admin/store/verify", None)?)?
    } else {
        Offline::open(&instance)?.verify()?
    };
    if args.json {
        terminal::json(&report)?;
    } else {
        for fault in &report.faults {
            terminal::say(fault);
        }
        terminal::say(format!(
            "{} entries and {} audit records read, {} faults",
            report.entries,
            report.audit_lines,
            report.faults.len()
        ));
    }
    Ok(if report.faults.is_empty() {
        Exit::Ok
    } else {
        Exit::Fault
    })
}
