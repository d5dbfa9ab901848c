//! What commands say to people: results on stdout, the rest on stderr.

use std::io::{IsTerminal, Write};

/// Prints a line of the result; a reader that went away is no error.
pub(super) fn say(line: impl AsRef<str>) {
    let _ = writeln!(std::io::stdout().lock(), "{}", line.as_ref());
}

/// Prints a remark that is not part of the result.
pub(super) fn remark(line: impl AsRef<str>) {
    let _ = writeln!(std::io::stderr().lock(), "{}", line.as_ref());
}

/// Prints why the command failed, with its causes.
pub(super) fn complain(error: &anyhow::Error) {
    let _ = writeln!(std::io::stderr().lock(), "panvault: {error:#}");
}

/// Prints one JSON value, for scripts.
pub(super) fn json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    say(serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Asks on a terminal that `name` is typed; elsewhere `yes` must have been said.
pub(super) fn confirmed(yes: bool, question: &str, name: &str, otherwise: &str) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        anyhow::bail!("nobody is there to be asked, so {otherwise}: --yes goes on without asking");
    }
    remark(question);
    remark(format!("Type {name} to go on:"));
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    match line.trim() == name {
        true => Ok(()),
        false => anyhow::bail!("that is not its name: {otherwise}"),
    }
}
