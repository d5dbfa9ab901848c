//! The manual page and shell completions, made from the command line's own definition.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Context;
use clap::{Command, CommandFactory};

use super::{Cli, Exit};

/// Prints the manual, the main page and then one per command, or writes these into `dir`, a file each.
pub(super) fn man(dir: Option<&Path>) -> anyhow::Result<Exit> {
    let mut pages = Vec::new();
    let mut command = without_help(visible());
    command.build();
    collect(&command, &mut pages);
    let mut stdout = std::io::stdout().lock();
    for (name, page) in pages {
        let mut text = Vec::new();
        page.render(&mut text)?;
        match dir {
            None => stdout.write_all(&text)?,
            Some(dir) => {
                let file = dir.join(format!("{name}.8"));
                std::fs::write(&file, text).with_context(|| file.display().to_string())?;
                // the program makes files that nobody else reads; these are to be installed
                std::fs::set_permissions(&file, Permissions::from_mode(0o644))?;
            }
        }
    }
    Ok(Exit::Ok)
}

/// Prints a completion script.
pub(super) fn complete(shell: clap_complete::Shell) -> anyhow::Result<Exit> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut visible(), "panvault", &mut text);
    std::io::stdout().lock().write_all(&text)?;
    Ok(Exit::Ok)
}

/// The command line without the internal commands.
fn visible() -> Command {
    let whole = Cli::command();
    let commands: Vec<Command> = whole
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set())
        .cloned()
        .collect();
    Command::new("panvault")
        .version(env!("CARGO_PKG_VERSION"))
        .about(whole.get_about().cloned().unwrap_or_default())
        .after_help(whole.get_after_help().cloned().unwrap_or_default())
        .subcommand_required(true)
        .subcommands(commands)
}

/// A page of `command` and of each below it, by the names that `man` finds them under.
fn collect(command: &Command, pages: &mut Vec<(String, clap_mangen::Man)>) {
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let page = clap_mangen::Man::new(command.clone())
        .section("8")
        .source(concat!("panvault ", env!("CARGO_PKG_VERSION")));
    pages.push((name, page));
    for sub in command.get_subcommands() {
        collect(sub, pages);
    }
}

/// Pages refer to each other: none is of `help`.
fn without_help(command: Command) -> Command {
    command.disable_help_subcommand(true).mut_subcommands(without_help)
}
