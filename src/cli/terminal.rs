//! What commands say to people: results on stdout, the rest on stderr.

use std::io::Write;

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
