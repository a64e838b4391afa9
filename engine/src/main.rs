//! The ringbus broker and its tools in one binary.

use std::process::ExitCode;

// Per-thread heaps: shards never meet in the allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ringbus::cli::run(std::env::args_os())
}
