//! An operator's credential: a file of the operator's own.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

/// Which operator asks.
#[derive(Debug, Clone, Args)]
pub(crate) struct OperatorArgs {
    /// The operator's credential, for what needs two operators; ~/.config/panvault/operator where that is there
    #[arg(long = "operator-file", value_name = "FILE")]
    file: Option<PathBuf>,
}

/// A credential has less.
const MAX_FILE: u64 = 1_024;

impl OperatorArgs {
    /// The credential, where there is one.
    pub(super) fn credential(&self) -> anyhow::Result<Option<SecretString>> {
        match &self.file {
            Some(file) => read(file).map(Some),
            None => match usual() {
                Some(file) if file.exists() => read(&file).map(Some),
                _ => Ok(None),
            },
        }
    }

    /// Where a new one goes.
    pub(super) fn place(&self) -> anyhow::Result<PathBuf> {
        let given = self.file.clone().or_else(usual);
        given.context("there is no home directory: say where the credential goes, --operator-file FILE")
    }
}

/// Where a credential is when nothing else is said.
fn usual() -> Option<PathBuf> {
    let var = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let config = var("XDG_CONFIG_HOME").or_else(|| Some(var("HOME")?.join(".config")));
    Some(config?.join("panvault/operator"))
}

fn read(file: &Path) -> anyhow::Result<SecretString> {
    let about = fs::metadata(file).with_context(|| format!("cannot read {}", file.display()))?;
    if about.len() > MAX_FILE || about.mode() & 0o077 != 0 {
        bail!(
            "{} is no operator's credential: a short file that nobody else may read (chmod 600)",
            file.display()
        );
    }
    let text = Zeroizing::new(fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?);
    Ok(SecretString::from(text.trim()))
}

/// Makes the file before there is a credential: where it cannot be written none is asked for.
pub(super) fn prepare(file: &Path) -> anyhow::Result<fs::File> {
    if let Some(dir) = file.parent() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .with_context(|| format!("cannot make {}", dir.display()))?;
    }
    let made = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file);
    made.with_context(|| {
        format!(
            "cannot make {}: a credential that is there is not written over",
            file.display()
        )
    })
}

/// Puts the credential into its file.
pub(super) fn keep(mut file: fs::File, credential: &SecretString) -> anyhow::Result<()> {
    file.write_all(credential.expose_secret().as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    Ok(())
}
