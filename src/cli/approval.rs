//! Approvals of operators in files: written by one command, shown to another.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use nix::fcntl::OFlag;
use secrecy::ExposeSecret;
use serde_json::{Map, Value};

use super::credential::OperatorArgs;
use super::terminal;
use crate::custody::{APPROVAL_MAX, Control, Guarded, ShownApproval, agreed, approval, must_agree};
use crate::id::OperatorName;
use crate::store::Store;

/// For what is done while no daemon serves and may need two operators.
#[derive(Debug, Args)]
pub(crate) struct ApprovalArgs {
    /// An operator's approval; of two operators where this is under dual control
    #[arg(long = "approval", value_name = "FILE")]
    shown: Vec<PathBuf>,
    /// Do nothing: as an operator, write one's own approval of just this into FILE
    #[arg(long, value_name = "FILE")]
    approve: Option<PathBuf>,
}

impl ApprovalArgs {
    /// The file for an approval, where one is to be written.
    pub(super) fn approving(&self) -> Option<&Path> {
        self.approve.as_deref()
    }

    /// Writes this operator's approval of `operation` on `subject`. Everyone may read it: it holds nothing secret, and the
    /// daemon's user must.
    pub(super) fn write(
        &self,
        file: &Path,
        operator: &OperatorArgs,
        operation: Guarded,
        subject: &Map<String, Value>,
    ) -> anyhow::Result<()> {
        let credential = operator.credential()?;
        let credential = credential.context("an operator's credential is needed: --operator-file FILE")?;
        let text = approval(credential.expose_secret(), operation, subject)?;
        let made = fs::OpenOptions::new().write(true).create_new(true).open(file);
        let mut made = made.with_context(|| format!("cannot make {}", file.display()))?;
        made.write_all(text.as_bytes())?;
        made.set_permissions(fs::Permissions::from_mode(0o644))?;
        made.sync_all()?;
        terminal::say(format!(
            "approved: {} of {}; {} is good for a short time",
            operation.as_str(),
            Value::Object(subject.clone()),
            file.display()
        ));
        Ok(())
    }

    /// The files that are shown, with their owners.
    pub(super) fn shown(&self) -> anyhow::Result<Vec<ShownApproval>> {
        self.shown.iter().map(|file| shown(file)).collect()
    }
}

/// Who agreed, of the operators that `store` knows, where two must: also where a configuration says otherwise that nobody
/// approved. Else why that is not so, with what to do next.
pub(super) async fn ask(
    store: &dyn Store,
    control: &Control,
    operation: Guarded,
    subject: &Map<String, Value>,
    shown: &[ShownApproval],
) -> Result<Option<String>, String> {
    let must = must_agree(store, control, operation)
        .await
        .map_err(|error| error.to_string())?;
    if !must {
        return Ok(None);
    }
    let names = agreed(store, control, operation, subject, shown)
        .await
        .map_err(|error| {
            format!(
                "{error}: two operators give this command with --approve FILE, and both files are given with --approval"
            )
        })?;
    let names: Vec<&str> = names.iter().map(OperatorName::as_str).collect();
    Ok(Some(names.join(" and ")))
}

fn shown(file: &Path) -> anyhow::Result<ShownApproval> {
    let mut options = fs::OpenOptions::new();
    options
        .read(true)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits());
    let opened = options
        .open(file)
        .with_context(|| format!("cannot read {}", file.display()))?;
    let about = opened.metadata()?;
    let uid = about.uid();
    if !about.is_file() || about.mode() & 0o022 != 0 {
        bail!(
            "{} is no approval: a plain file that only its owner may write",
            file.display()
        );
    }
    let mut text = Vec::new();
    opened.take(APPROVAL_MAX).read_to_end(&mut text)?;
    Ok(ShownApproval { uid, text })
}
