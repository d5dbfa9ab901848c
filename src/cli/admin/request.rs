//! One request to the daemon, and its answer on the terminal.

use anyhow::Context;
use clap::Args;
use hyper::Method;
use serde_json::Value;

use crate::cli::client::Client;
use crate::cli::credential::OperatorArgs;
use crate::cli::instance::Instance;
use crate::cli::{Exit, Which, terminal};

/// Instance and output form, the same for all these commands.
#[derive(Debug, Args)]
pub(crate) struct Common {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    operator: OperatorArgs,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// One thing by name.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// Name or id, as the list shows it
    pub(super) name: String,
    #[command(flatten)]
    pub(super) common: Common,
}

impl Common {
    pub(super) fn call(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let instance = Instance::find(&self.which)?;
        let client = Client::new(instance.admin_socket())?;
        client.by(self.operator.credential()?).call(method, path, body)
    }

    /// Which instance it is about.
    pub(super) fn instance(&self) -> anyhow::Result<Instance> {
        Instance::find(&self.which)
    }

    /// Which operator asks.
    pub(super) fn operator(&self) -> &OperatorArgs {
        &self.operator
    }

    /// Sends and prints the answer.
    pub(super) fn show(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Exit> {
        let answer = self.call(method, path, body)?;
        if self.json {
            terminal::json(&answer)?;
            return Ok(Exit::Ok);
        }
        for (name, value) in answer.as_object().into_iter().flatten() {
            terminal::say(format!("{name:<14} {}", cell(Some(value))));
        }
        Ok(Exit::Ok)
    }

    /// Prints a list as a table. A column is named by its field, one inside another after a point.
    pub(super) fn table(&self, path: &str, list: &str, columns: &[&str]) -> anyhow::Result<Exit> {
        let answer = self.call(Method::GET, path, None)?;
        if self.json {
            terminal::json(&answer)?;
            return Ok(Exit::Ok);
        }
        self.rows(&answer, list, columns)
    }

    /// Prints the table of a list in an answer.
    pub(super) fn rows(&self, answer: &Value, list: &str, columns: &[&str]) -> anyhow::Result<Exit> {
        let rows = answer
            .get(list)
            .and_then(Value::as_array)
            .context("an answer without a list")?;
        let title = |column: &&str| column.rsplit('.').next().unwrap_or_default().to_owned();
        let mut lines = vec![columns.iter().map(title).collect::<Vec<_>>()];
        lines.extend(rows.iter().map(|row| {
            let field = |column: &&str| column.split('.').try_fold(row, |value, name| value.get(name));
            columns.iter().map(|column| cell(field(column))).collect()
        }));
        let widths: Vec<usize> = (0..columns.len())
            .map(|at| {
                lines
                    .iter()
                    .filter_map(|line| line.get(at))
                    .map(|text| text.chars().count())
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        for line in lines {
            let padded = line.iter().zip(&widths).map(|(text, width)| format!("{text:<width$}"));
            terminal::say(padded.collect::<Vec<_>>().join("  ").trim_end());
        }
        Ok(Exit::Ok)
    }
}

impl Named {
    pub(super) fn on(&self, kind: &str, verb: &str) -> anyhow::Result<Exit> {
        self.common.show(
            Method::POST,
            &format!("/admin/{kind}/{}{verb}", segment(&self.name)?),
            None,
        )
    }

    pub(super) fn remove(&self, kind: &str) -> anyhow::Result<Exit> {
        self.common
            .show(Method::DELETE, &format!("/admin/{kind}/{}", segment(&self.name)?), None)
    }
}

/// A name as one path segment: no account's name holds anything that would need escaping.
pub(in crate::cli) fn segment(name: &str) -> anyhow::Result<&str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if name.is_empty() || !name.bytes().all(plain) {
        anyhow::bail!("{name:?} cannot be a name: letters, digits, `_`, `-` and `.` only");
    }
    Ok(name)
}

/// A value as text in a table.
pub(super) fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => items.iter().map(|item| cell(Some(item))).collect::<Vec<_>>().join(", "),
        Some(other) => other.to_string(),
    }
}
