//! `import`: cards of a predecessor become tokens, through the API like any other caller's, some hundred in a request.
//!
//! A directory keeps what became of each record, and how far the work is; the same command with the same directory goes on
//! where a crash, or an operator, ended it. A batch that was sent and not noted down is sent again under its idempotency key,
//! so no card is taken twice.

mod ledger;
mod source;

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use self::ledger::{Counts, Ledger};
use self::source::{Form, Item, Source};
use super::client::Client;
use super::instance::Instance;
use super::{Exit, Which, terminal};

/// Records of one request.
const BATCH: usize = 250;
/// A daemon that is busy or away is waited for so long.
const PATIENCE: Duration = Duration::from_secs(300);

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The file with the cards
    file: PathBuf,
    /// Where tokens, refused records and the progress are written; of an import that was ended, it goes on
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How the file is written
    #[arg(long, value_enum, default_value = "jsonl")]
    form: Form,
    /// Only read the file and say which records cannot be sent; nothing is sent
    #[arg(long)]
    dry_run: bool,
    /// Holds an API key of the native dialect; with --dir the dev instance's own is used without it
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
    #[command(flatten)]
    which: Which,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Records of one request, and those between them that cannot be sent.
#[derive(Default)]
struct Batch {
    /// The number of each in the file, from 1.
    items: Vec<(u64, Item)>,
    refused: Vec<(u64, String)>,
    /// All records up to this one have been read.
    last: u64,
}

/// Runs it.
pub(super) fn run(args: &ImportArgs) -> anyhow::Result<Exit> {
    let file = File::open(&args.file).with_context(|| format!("cannot read {}", args.file.display()))?;
    let bar =
        ProgressBar::new(file.metadata()?.len()).with_style(ProgressStyle::with_template("{bar:40} {percent}% {eta}")?);
    let mut source = Source::new(bar.wrap_read(file), args.form)?;
    if args.dry_run {
        return dry_run(&mut source, args.json);
    }
    let instance = Instance::find(&args.which)?;
    let key = Zeroizing::new(format!("Bearer {}", instance.api_key(args.api_key_file.as_deref())?));
    let client = Client::new(instance.api_socket())?;
    let mut ledger = Ledger::open(&args.out, &args.file)?;
    for _ in 0..ledger.records() {
        anyhow::ensure!(
            source.next()?.is_some(),
            "the file has become shorter since this import began"
        );
    }
    let mut last = ledger.records();
    while let Some(batch) = next_batch(&mut source, last)? {
        last = batch.last;
        let answered = match batch.items.is_empty() {
            true => Vec::new(),
            false => send(&client, &key, &ledger.key_of(&batch.items), &batch.items)?,
        };
        ledger.note(&batch.items, &answered, &batch.refused, last)?;
    }
    bar.finish_and_clear();
    told(ledger.counts(), args)
}

fn told(counts: Counts, args: &ImportArgs) -> anyhow::Result<Exit> {
    if args.json {
        terminal::json(&counts)?;
    } else {
        let Counts {
            records,
            tokens,
            refused,
        } = counts;
        terminal::say(format!(
            "{records} records: {tokens} tokens, {refused} refused; see {}",
            args.out.display()
        ));
    }
    Ok(if counts.refused == 0 { Exit::Ok } else { Exit::Failure })
}

fn dry_run(source: &mut Source<impl Read>, as_json: bool) -> anyhow::Result<Exit> {
    let (mut records, mut refused) = (0_u64, 0_u64);
    while let Some(record) = source.next()? {
        records += 1;
        if let Err(fault) = record.and_then(|item| plausible(&item)) {
            refused += 1;
            if !as_json {
                terminal::say(format!("record {records}: {fault}"));
            }
        }
    }
    if as_json {
        terminal::json(&json!({"records": records, "refused": refused}))?;
    } else {
        terminal::say(format!("{records} records, {refused} cannot be sent; nothing was sent"));
    }
    Ok(if refused == 0 { Exit::Ok } else { Exit::Failure })
}

/// Whether the record has a card at all; the rest is for the daemon to say.
fn plausible(item: &Item) -> Result<(), String> {
    let body: Value = serde_json::from_slice(&item.body).map_err(|_| "it is no JSON object".to_owned())?;
    let number = body
        .pointer("/card/number")
        .and_then(Value::as_str)
        .ok_or("it has no card.number")?;
    crate::card::Pan::parse(number).map_err(|_| "its number is no card number".to_owned())?;
    Ok(())
}

fn next_batch(source: &mut Source<impl Read>, before: u64) -> anyhow::Result<Option<Batch>> {
    let mut batch = Batch {
        last: before,
        ..Batch::default()
    };
    while batch.items.len() + batch.refused.len() < BATCH
        && let Some(record) = source.next().with_context(|| format!("record {}", batch.last + 1))?
    {
        batch.last += 1;
        match record {
            Ok(item) => batch.items.push((batch.last, item)),
            Err(fault) => batch.refused.push((batch.last, fault)),
        }
    }
    Ok((batch.last > before).then_some(batch))
}

/// The answers, one for each item. Waits for a daemon that is busy or starts.
fn send(client: &Client, key: &str, idempotency: &str, items: &[(u64, Item)]) -> anyhow::Result<Vec<Value>> {
    let begun = Instant::now();
    let mut pause = Duration::from_millis(200);
    loop {
        let headers = [("Authorization", key), ("Idempotency-Key", idempotency)];
        let refusal = match client.post("/v1/tokens/batch", &headers, body(items)) {
            Ok((200, answer)) => {
                let answer: Value = serde_json::from_slice(&answer).context("the daemon's answer is not JSON")?;
                let answers = answer
                    .get("items")
                    .and_then(Value::as_array)
                    .cloned()
                    .unwrap_or_default();
                anyhow::ensure!(
                    answers.len() == items.len(),
                    "the daemon did not answer for every record"
                );
                match answers.iter().find(|answer| again(answer)) {
                    None => return Ok(answers),
                    Some(answer) => problem(answer.get("problem")),
                }
            }
            Ok((429 | 500..=599, answer)) => problem(serde_json::from_slice(&answer).ok().as_ref()),
            Ok((status, answer)) => {
                let why = problem(serde_json::from_slice(&answer).ok().as_ref());
                anyhow::bail!("the daemon refuses the import with {status}: {why}");
            }
            Err(error) => error.to_string(),
        };
        if begun.elapsed() > PATIENCE {
            return Err(Exit::Unavailable.because(format!("{refusal}; the same command goes on from here")));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_secs(5));
    }
}

/// Whether an item was not done for a reason that goes away.
fn again(answer: &Value) -> bool {
    matches!(answer.get("status").and_then(Value::as_u64), Some(429 | 500..=599))
}

fn problem(problem: Option<&Value>) -> String {
    let words = ["detail", "title"].iter().find_map(|name| problem?.get(name)?.as_str());
    words.unwrap_or("no reason was given").to_owned()
}

/// Wiped when it has been sent.
fn body(items: &[(u64, Item)]) -> Bytes {
    let length = items.iter().map(|(_, item)| item.body.len() + 1).sum::<usize>() + 16;
    let mut bytes = Zeroizing::new(Vec::with_capacity(length));
    bytes.extend_from_slice(b"{\"items\":[");
    for (at, (_, item)) in items.iter().enumerate() {
        if at > 0 {
            bytes.push(b',');
        }
        bytes.extend_from_slice(&item.body);
    }
    bytes.extend_from_slice(b"]}");
    Bytes::from_owner(bytes)
}
