//! The command line.

/// Runs the command that the arguments name.
pub fn main() -> std::process::ExitCode {
    if std::env::args_os()
        .nth(1)
        .is_some_and(|command| command == "hsm-worker")
    {
        return crate::hsm::worker::main();
    }
    std::process::ExitCode::SUCCESS
}
