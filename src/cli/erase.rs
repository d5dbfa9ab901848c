//! `erase`: all tokens of a namespace or of a repository, by a running daemon. This process keeps receipts and summary.

use std::path::PathBuf;

use clap::Args;
use hyper::Method;
use serde_json::{Value, json};

use super::admin::segment;
use super::client::Client;
use super::credential::OperatorArgs;
use super::instance::Instance;
use super::lines::Taking;
use super::terminal::confirmed;
use super::{Exit, Which, terminal};
use crate::audit::StatementKind;

#[derive(Debug, Args)]
#[command(
    after_help = "Each token goes with its key and all that leads to it, for good, and leaves a signed receipt; all of it \
                        ends with a signed summary. An erasure that was interrupted is run again, with another FILE."
)]
pub(crate) struct EraseArgs {
    /// The repository; without --namespace or --customer all of it, which must be suspended
    #[arg(long, value_name = "NAME")]
    repository: String,
    /// One namespace of it, as the native API names it
    #[arg(long, value_name = "NAME", conflicts_with_all = ["customer", "merchant"])]
    namespace: Option<String>,
    /// One customer of --merchant: a Hyperswitch customer, a PayKKa shopper, or a Worldpay namespace
    #[arg(long, alias = "shopper", value_name = "ID", requires = "merchant")]
    customer: Option<String>,
    /// Whose customer
    #[arg(long, value_name = "ID", requires = "customer")]
    merchant: Option<String>,
    /// Only say what there is
    #[arg(long)]
    dry_run: bool,
    /// Where receipts and summary are written; a new file
    #[arg(long, value_name = "FILE", required_unless_present = "dry_run")]
    out: Option<PathBuf>,
    /// The most tokens in a second, so that callers are served meanwhile; 0: no limit
    #[arg(long, value_name = "N", default_value_t = 200)]
    per_second: u32,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    operator: OperatorArgs,
    #[command(flatten)]
    which: Which,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub(super) fn run(args: &EraseArgs) -> anyhow::Result<Exit> {
    let instance = Instance::find(&args.which)?;
    let client = Client::new(instance.admin_socket())?.by(args.operator.credential()?);
    let path = format!("/admin/repositories/{}/erase", segment(&args.repository)?);
    let body = |dry_run: bool| {
        json!({
            "namespace": args.namespace, "customer": args.customer, "merchant": args.merchant,
            "per_second": args.per_second, "dry_run": dry_run,
        })
    };
    let there = client.call(Method::POST, &path, Some(&body(true)))?;
    let Some(out) = args.out.as_deref().filter(|_| !args.dry_run) else {
        match args.json {
            true => terminal::json(&there)?,
            false => terminal::say(format!("{}: {}; nothing was erased", args.what(), told(&there))),
        }
        return Ok(Exit::Ok);
    };
    let mut taking = Taking::new(out, StatementKind::Erasure, "receipts")?;
    let question = format!("{}: {} will be erased for good.", args.what(), told(&there));
    confirmed(args.yes, &question, &args.repository, "nothing was erased")?;
    let streamed = client.stream_of(&path, &body(false), |bytes| taking.take(bytes));
    let summary = taking.end(streamed)?;
    if args.json {
        terminal::json(&summary)?;
        return Ok(Exit::Ok);
    }
    terminal::say(format!(
        "{}: erased {}; receipts and signed summary are in {}",
        args.what(),
        told(&summary),
        out.display()
    ));
    let later = summary.get("created_meanwhile").and_then(Value::as_u64).unwrap_or(0);
    if later > 0 {
        terminal::remark(format!(
            "{later} tokens were made there meanwhile and stay; run it again for them."
        ));
    }
    if args.is_whole() {
        terminal::remark(format!(
            "Nothing is left in it: `panvault repository remove {0}` removes it, or `panvault repository resume {0}`.",
            args.repository
        ));
    }
    Ok(Exit::Ok)
}

impl EraseArgs {
    fn is_whole(&self) -> bool {
        self.namespace.is_none() && self.customer.is_none()
    }

    fn what(&self) -> String {
        match self.is_whole() {
            true => format!("repository {}", self.repository),
            false => format!("a namespace of repository {}", self.repository),
        }
    }
}

/// Tokens and documents, for people.
fn told(counts: &Value) -> String {
    let tokens = counts.get("tokens").and_then(Value::as_u64).unwrap_or(0);
    let kinds = counts.get("documents").and_then(Value::as_object);
    let kinds: Vec<_> = kinds
        .into_iter()
        .flatten()
        .map(|(kind, count)| format!("{count} {kind}"))
        .collect();
    match kinds.is_empty() {
        true => format!("{tokens} tokens"),
        false => format!("{tokens} tokens and documents ({})", kinds.join(", ")),
    }
}
