//! The generator alone, against a broker that runs already:
//! `cargo run --release -p ringbus-bench --example generator -- p2p --url mqtt://127.0.0.1:1883`

use clap::Parser;
use ringbus_bench::{BenchArgs, bench_command};
use std::process::ExitCode;

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    bench: BenchArgs,
}

fn main() -> ExitCode {
    bench_command(&Flags::parse().bench)
}
