# The commands of the README. `just` lists them.

default:
    @just --list

# Start a broker for this machine.
run:
    cargo run --release

# Everything: what CI runs.
test:
    ./tests/run

# What to run while writing.
check:
    ./tests/run format clippy unit

# The figures of docs/benchmarks.md.
bench:
    cargo build --release
    target/release/ringbus bench suite --markdown docs/benchmarks.md

# Licences and advisories of the dependencies (needs cargo-deny).
deny:
    cargo deny check
