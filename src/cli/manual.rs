//! The manual page and shell completions, made from the command line's own definition.

use std::io::Write;

use clap::CommandFactory;

use super::{Cli, Exit};

/// Prints the manual: the main page, then one section per command.
pub(super) fn man() -> anyhow::Result<Exit> {
    let mut page = Vec::new();
    let command = Cli::command();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let name = format!("panvault-{}", sub.get_name());
        clap_mangen::Man::new(sub.clone().display_name(name)).render(&mut page)?;
    }
    std::io::stdout().lock().write_all(&page)?;
    Ok(Exit::Ok)
}

/// Prints a completion script.
pub(super) fn complete(shell: clap_complete::Shell) -> anyhow::Result<Exit> {
    clap_complete::generate(shell, &mut Cli::command(), "panvault", &mut std::io::stdout());
    Ok(Exit::Ok)
}
