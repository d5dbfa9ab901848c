//! `export`: the cards of a repository, encrypted to a recipient's public key by a running daemon. This process never sees one.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
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
use crate::jose::{RsaPublicKey, rsa_of_jwk};
use crate::transfer::Export;

#[derive(Debug, Args)]
#[command(
    after_help = "FILE has a compact JWE (RSA-OAEP-256, A256GCM) in each line and the signed manifest in the last; in each \
                        JWE are lines of JSON, a card each, as `panvault import` takes them. Tokens out of use, for single use, \
                        used up or expired are left out and counted. The daemon allows it with `[export] enabled = true`."
)]
pub(crate) struct ExportArgs {
    /// Whose cards
    #[arg(long, value_name = "NAME")]
    repository: String,
    /// The recipient's RSA public key of 3072 bits or more: PEM, or a JWK
    #[arg(long, value_name = "FILE")]
    recipient: PathBuf,
    /// Where it is written; a new file
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
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
pub(super) fn run(args: &ExportArgs) -> anyhow::Result<Exit> {
    let instance = Instance::find(&args.which)?;
    let client = Client::new(instance.admin_socket())?.by(args.operator.credential()?);
    let path = format!("/admin/repositories/{}/export", segment(&args.repository)?);
    let key = recipient(&args.recipient)?;
    let kid = key.jwk().kid().to_owned();
    let mut taking = Taking::new(&args.out, StatementKind::Export, "chunks")?;
    let all = client.call(Method::GET, "/admin/repositories", None)?;
    let all = all.get("repositories").and_then(Value::as_array);
    let known = |row: &Value| row.get("name").and_then(Value::as_str) == Some(args.repository.as_str());
    anyhow::ensure!(
        all.is_some_and(|all| all.iter().any(known)),
        "there is no such repository"
    );
    let question = format!(
        "All cards of repository {} will be encrypted to the key {kid}; who has its private half can read them.",
        args.repository
    );
    confirmed(args.yes, &question, &args.repository, "nothing was exported")?;
    let streamed = client.stream_of(&path, &json!({"recipient": key}), |bytes| taking.take(bytes));
    let manifest = taking.end(streamed)?;
    if args.json {
        terminal::json(&manifest)?;
        return Ok(Exit::Ok);
    }
    let count = |at: &str| manifest.pointer(at).and_then(Value::as_u64).unwrap_or(0);
    terminal::say(format!(
        "{} cards in {} chunks, encrypted to the key {kid}, are in {}",
        count("/cards"),
        count("/chunks"),
        args.out.display()
    ));
    let left_out = manifest.get("left_out").and_then(Value::as_object);
    for (why, count) in left_out.into_iter().flatten().filter(|(_, count)| **count != json!(0)) {
        terminal::remark(format!("{count} tokens were left out: {}", why.replace('_', " ")));
    }
    Ok(match count("/left_out/unreadable") {
        0 => Exit::Ok,
        _ => Exit::Fault,
    })
}

/// Read here, so that a file with a private key goes nowhere.
fn recipient(file: &Path) -> anyhow::Result<RsaPublicKey> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let key = match text.trim_start().starts_with('{') {
        true => rsa_of_jwk(&text),
        false => RsaPublicKey::of_pem(&text),
    };
    let key = key.with_context(|| file.display().to_string())?;
    anyhow::ensure!(
        key.bits() >= Export::BITS_MIN,
        "{}: the key has {} bits; cards go to no RSA key of less than {}",
        file.display(),
        key.bits(),
        Export::BITS_MIN
    );
    Ok(key)
}
