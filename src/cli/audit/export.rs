//! `audit export`: the trail as segment files for elsewhere.

use std::path::Path;

use super::{each_line, fault};
use crate::audit::Export;
use crate::cli::instance::Instance;
use crate::cli::{Exit, terminal};

pub(super) fn run(instance: &Instance, out: &Path, max_bytes: u64, json: bool) -> anyhow::Result<Exit> {
    let mut export = Export::open(out, max_bytes).map_err(fault)?;
    each_line(instance, export.from(), |line| export.line(line).map_err(fault))?;
    let done = export.finish().map_err(fault)?;
    if json {
        terminal::json(&done)?;
        return Ok(Exit::Ok);
    }
    terminal::say(format!(
        "{} records written to {}, which now ends with {}",
        done.written,
        out.display(),
        done.head
    ));
    terminal::say(match done.signed_through {
        Some(seq) => format!("the newest signed head names record {seq}"),
        None => "no signed head is among them yet".to_owned(),
    });
    Ok(Exit::Ok)
}
