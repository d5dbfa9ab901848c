//! `operator …`, `ceremony …` and `policy approve`.

use std::fs;
use std::io::{IsTerminal, Write};
use std::path::Path;

use anyhow::Context;
use clap::Subcommand;
use hyper::Method;
use secrecy::SecretString;
use serde_json::{Value, json};
use zeroize::Zeroize;

use super::request::{Common, Named, cell, segment};
use crate::cli::approval::{self, ApprovalArgs};
use crate::cli::credential::{keep, prepare};
use crate::cli::offline::Offline;
use crate::cli::serve::own_peer;
use crate::cli::{Exit, terminal};
use crate::custody::{ACKNOWLEDGEMENT, Files, Guarded, approve_offline};

const OPERATORS: &[&str] = &["name", "uid", "added_at", "enrolled_at"];
const CEREMONIES: &[&str] = &[
    "id",
    "operation",
    "subject",
    "state",
    "opened_by",
    "approved_by",
    "ends_at",
    "outcome",
];

#[derive(Debug, Subcommand)]
pub(crate) enum OperatorCommand {
    /// Say that a user of the host is an operator; the person then runs `operator enroll`
    Add {
        /// How others know the person: letters, digits, `_`, `-` and `.`
        name: String,
        /// The person's own user
        #[arg(long)]
        uid: u32,
        #[command(flatten)]
        common: Common,
    },
    /// Get one's own credential, once, as the operator's own user
    Enroll {
        /// Accept what is shown without being asked
        #[arg(long)]
        accept: bool,
        #[command(flatten)]
        common: Common,
    },
    /// List operators
    List(Common),
    /// Take an operator's credential away; the person enrolls again
    Reset(Named),
    /// Remove an operator
    Remove(Named),
}

#[derive(Debug, Subcommand)]
pub(crate) enum CeremonyCommand {
    /// List what waits for a second operator, and what was done
    List(Common),
    /// Agree to it, as another operator than the one who opened it
    Approve(Named),
    /// Take it back
    Cancel(Named),
    /// Print the signed transcript of one that was done; `receipt verify` checks it
    Transcript(Named),
}

/// `operator …`
pub(crate) fn operator(command: &OperatorCommand) -> anyhow::Result<Exit> {
    match command {
        OperatorCommand::Add { name, uid, common } => {
            let body = json!({ "name": name, "uid": uid });
            common.show(Method::POST, "/admin/operators", Some(&body))
        }
        OperatorCommand::Enroll { accept, common } => enroll(*accept, common),
        OperatorCommand::List(common) => common.table("/admin/operators", "operators", OPERATORS),
        OperatorCommand::Reset(named) => named.on("operators", "/reset"),
        OperatorCommand::Remove(named) => named.remove("operators"),
    }
}

/// `ceremony …`
pub(crate) fn ceremony(command: &CeremonyCommand) -> anyhow::Result<Exit> {
    match command {
        CeremonyCommand::List(common) => common.table("/admin/ceremonies", "ceremonies", CEREMONIES),
        CeremonyCommand::Approve(named) => named.on("ceremonies", "/approve"),
        CeremonyCommand::Cancel(named) => named.on("ceremonies", "/cancel"),
        CeremonyCommand::Transcript(named) => {
            let path = format!("/admin/ceremonies/{}/transcript", segment(&named.name)?);
            terminal::json(&named.common.call(Method::GET, &path, None)?)?;
            Ok(Exit::Ok)
        }
    }
}

/// `policy approve`: by the daemon, or, with approvals in files, in the store of one that is stopped.
pub(super) fn approve(
    policy: Option<&Path>,
    configuration: Option<&Path>,
    approvals: &ApprovalArgs,
    common: &Common,
) -> anyhow::Result<Exit> {
    if policy.is_none() && configuration.is_none() {
        anyhow::bail!("say which file: --policy FILE, --configuration FILE, or both");
    }
    let files = Files {
        configuration: digest(configuration)?,
        policy: digest(policy)?,
    };
    if let Some(file) = approvals.approving() {
        approvals.write(file, common.operator(), Guarded::Policy, &files.subject())?;
        return Ok(Exit::Ok);
    }
    let shown = approvals.shown()?;
    if !shown.is_empty() {
        let instance = common.instance()?;
        let store = Offline::open(&instance)?;
        let (inner, control) = (store.store().as_ref(), &instance.config.dual_control);
        let (subject, own) = (files.subject(), own_peer());
        let asked = approval::ask(inner, control, Guarded::Policy, &subject, &shown);
        let by = store
            .run(asked)
            .map_err(|why| Exit::Failure.because(format!("{why}; nothing was changed")))?;
        store.run(approve_offline(inner, own, &files, &by.unwrap_or_default()))?;
        terminal::say("approved: they come into force when the daemon starts on them");
        return Ok(Exit::Ok);
    }
    let body = json!({ "policy": files.policy, "configuration": files.configuration });
    common.show(Method::POST, "/admin/policy/approve", Some(&body))
}

fn enroll(accept: bool, common: &Common) -> anyhow::Result<Exit> {
    terminal::remark(ACKNOWLEDGEMENT);
    if !accept && !accepted()? {
        return Err(Exit::Failure.because("not accepted: no credential was made"));
    }
    let place = common.operator().place()?;
    let file = prepare(&place)?;
    let mut answer = match common.call(
        Method::POST,
        "/admin/operators/enroll",
        Some(&json!({ "accepted": true })),
    ) {
        Ok(answer) => answer,
        Err(error) => {
            // nothing stands in it
            let _ = fs::remove_file(&place);
            return Err(error);
        }
    };
    let Some(Value::String(text)) = answer.get_mut("credential") else {
        anyhow::bail!("an answer without a credential");
    };
    let credential = SecretString::from(text.as_str());
    text.zeroize();
    keep(file, &credential).with_context(|| {
        format!(
            "the credential could not be written to {}: it is lost, have it reset",
            place.display()
        )
    })?;
    let name = cell(answer.pointer("/operator/name"));
    if common.json {
        terminal::json(&json!({ "operator": answer.get("operator"), "file": place }))?;
    } else {
        terminal::say(format!("operator {name}: credential in {}", place.display()));
    }
    Ok(Exit::Ok)
}

fn accepted() -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        anyhow::bail!("run it on a terminal, or say --accept");
    }
    write!(std::io::stderr(), "Type yes to accept: ")?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line.trim() == "yes")
}

fn digest(file: Option<&Path>) -> anyhow::Result<Option<String>> {
    let Some(file) = file else {
        return Ok(None);
    };
    let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let digest = ring::digest::digest(&ring::digest::SHA256, &bytes);
    Ok(Some(data_encoding::HEXLOWER.encode(digest.as_ref())))
}
