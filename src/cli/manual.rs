//! The manual page and shell completions, made from the command line's own definition.

use std::io::Write;

use clap::{Command, CommandFactory};

use super::{Cli, Exit};

/// Prints the manual: the main page, then one page per command.
pub(super) fn man() -> anyhow::Result<Exit> {
    let mut command = visible();
    command.build();
    let mut text = Vec::new();
    page(&command, &mut text)?;
    std::io::stdout().lock().write_all(&text)?;
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

fn page(command: &Command, text: &mut Vec<u8>) -> std::io::Result<()> {
    clap_mangen::Man::new(command.clone()).render(text)?;
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        page(sub, text)?;
    }
    Ok(())
}
