//! `verify`: what is stored against the HSM, of a running daemon over its operators' socket, of a stopped one from its store.

use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};

use super::client::Client;
use super::instance::Instance;
use super::keyed::Keyed;
use super::progress::Progress;
use super::{Exit, PinArg, Which, offline, terminal};
use crate::audit::Event;
use crate::store::{Commit, Store};
use crate::vault::check::{self, Plan, Told, Verified};

/// Records in a second of a daemon that serves, where nothing is said.
const PER_SECOND: u32 = 100;

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// About so many records, picked at random all over the store
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    sample: u64,
    /// All records and documents, all indexes and the whole audit chain
    #[arg(long, conflicts_with = "sample")]
    full: bool,
    /// Records in a second, so that callers are not starved; 100 where a daemon serves, else as many as the HSM does
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: Option<u32>,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    pin: PinArg,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub(super) fn run(args: &VerifyArgs) -> anyhow::Result<Exit> {
    let instance = Instance::find(&args.which)?.with_pin(&args.pin);
    let plan = Plan {
        sample: (!args.full).then_some(args.sample),
        per_second: args.rate,
        at_once: at_once(&instance),
        pages: offline::threads(),
    };
    let client = Client::new(instance.admin_socket())?;
    let mut teller = Teller {
        progress: Progress::start(),
        faults: Vec::new(),
    };
    let done = if client.reachable() {
        served(&client, plan, &mut teller)?
    } else {
        stopped(&instance, plan, &mut teller)?
    };
    let Teller { progress, faults } = teller;
    drop(progress);
    if args.json {
        terminal::json(&json!({"verified": done, "faults": faults}))?;
    } else {
        for fault in &faults {
            terminal::say(fault);
        }
        let untold = done.faults.saturating_sub(u64::try_from(faults.len())?);
        if untold > 0 {
            terminal::say(format!("and {untold} faults more"));
        }
        terminal::say(format!(
            "{} opened by the HSM; {} entries and {} audit records read, {} faults",
            done.opened, done.entries, done.audit_lines, done.faults
        ));
        if done.dead > 0 {
            terminal::say(format!(
                "{} more open no more, because the KEK of their epoch was destroyed: `panvault key status`",
                done.dead
            ));
        }
        if done.left > 0 {
            terminal::say(format!(
                "{} more open no more: they did not open in the HSM before, when the vault left it",
                done.left
            ));
        }
    }
    Ok(if done.faults == 0 { Exit::Ok } else { Exit::Fault })
}

/// So many records for each session thread of the workers are with the HSM at a time, where nobody else asks it.
const FOR_EACH: usize = 8;

/// How many that are in all.
fn at_once(instance: &Instance) -> usize {
    let hsm = &instance.config.hsm;
    let threads = hsm.workers.max(1).saturating_mul(hsm.sessions.max(1));
    threads.saturating_mul(FOR_EACH).min(hsm.queue / 2).max(1)
}

/// Faults told one by one.
const FAULTS_MAX: usize = 10_000;

struct Teller {
    progress: Progress,
    faults: Vec<String>,
}

impl Teller {
    fn tell(&mut self, told: Told) {
        match told {
            Told::Fault(text) if self.faults.len() < FAULTS_MAX => self.faults.push(text),
            Told::Fault(_) => {}
            Told::Opened(opened) => {
                let faults = self.faults.len();
                self.progress.say(format!("{opened} opened, {faults} faults"));
            }
        }
    }
}

fn served(client: &Client, plan: Plan, teller: &mut Teller) -> anyhow::Result<Verified> {
    let sample = plan.sample.unwrap_or(0);
    let rate = plan.per_second.unwrap_or(PER_SECOND);
    let mut done = None;
    client.lines(&format!("/admin/verify/{sample}/{rate}"), |line| {
        let said: Value = serde_json::from_slice(line).context("the daemon's answer is not JSON")?;
        if let Some(error) = said.get("error").and_then(Value::as_str) {
            return Err(Exit::Unavailable.because(format!("the verification did not end: {error}")));
        }
        if let Some(text) = said.get("fault").and_then(Value::as_str) {
            teller.tell(Told::Fault(text.to_owned()));
        }
        if let Some(opened) = said.get("opened").and_then(Value::as_u64) {
            teller.tell(Told::Opened(opened));
        }
        if let Some(verified) = said.get("done") {
            done = Some(serde_json::from_value(verified.clone())?);
        }
        Ok(true)
    })?;
    done.ok_or_else(|| Exit::Unavailable.because("the daemon went before the verification ended"))
}

fn stopped(instance: &Instance, plan: Plan, teller: &mut Teller) -> anyhow::Result<Verified> {
    let keyed = Keyed::open(instance)?;
    let verified = keyed.offline.run(async {
        let store: Arc<dyn Store> = keyed.offline.store().clone();
        let event = Commit {
            event: Some(Event::new("verify", "begun").encode()),
            ..Commit::default()
        };
        store.commit(event).await.map_err(super::offline::store_fault)?;
        check::verify(&store, &keyed.keys, plan, &mut |told| teller.tell(told))
            .await
            .map_err(|error| Exit::Unavailable.because(format!("the verification did not end: {error}")))
    });
    keyed.end();
    verified
}
