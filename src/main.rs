//! The `panvault` command.

/// A request makes hundreds of small allocations, many of them freed on another thread.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    panvault::cli::main()
}
