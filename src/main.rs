//! The `panvault` command.

fn main() -> std::process::ExitCode {
    panvault::cli::main()
}
