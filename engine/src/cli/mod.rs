//! The program: its commands, its exit codes, and what it prints.

mod banner;
mod log;
mod serve;
mod usage;

pub use banner::Banner;

use crate::config::{Given, ServeFlags};
use clap::{Arg, ArgAction, ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};
use ringbus_bench::{BenchArgs, PubArgs, SubArgs};
use std::ffi::OsString;
use std::process::ExitCode;

/// What a finished process tells its parent.
pub mod exit {
    /// All went well.
    pub const OK: u8 = 0;
    /// It could not be done here: a busy port, a missing limit, a refusal.
    pub const FAILURE: u8 = 1;
    /// A flag, a variable or an address is wrong.
    pub const USAGE: u8 = 2;
}

/// A fast MQTT broker for Linux: 3.1, 3.1.1 and 5.0 on pinned shards.
///
/// Without a command it serves: `ringbus` alone listens on
/// mqtt://127.0.0.1:1883, for this machine only.
#[derive(Parser, Debug)]
#[command(name = "ringbus", version = banner::VERSION, max_term_width = 100)]
#[command(args_conflicts_with_subcommands = true, args_override_self = true)]
#[command(
    disable_help_subcommand = true,
    disable_help_flag = true,
    disable_version_flag = true
)]
#[command(after_help = "Flags of `ringbus bench`, `pub` and `sub`: ringbus COMMAND --help.")]
#[command(after_long_help = ENVIRONMENT_HELP)]
struct Cli {
    #[command(flatten)]
    serve: ServeFlags,
    /// Print version and commit
    #[arg(short = 'V', long, action = ArgAction::Version, help_heading = "Other")]
    version: Option<bool>,
    #[command(subcommand)]
    command: Option<Command>,
}

const ENVIRONMENT_HELP: &str = "\
Environment:
  Every flag of serve has a variable: --max-packet-size is RINGBUS_MAX_PACKET_SIZE.
  A flag wins over its variable, a variable over the default. A flag that may be
  repeated takes several values separated by commas in its variable.

Exit codes:
  0 all went well; 1 it could not be done here (port in use, missing limit);
  2 wrong usage or configuration; 3 a benchmark's load was not held";

#[derive(Subcommand, Debug)]
enum Command {
    /// Run the broker (the default)
    #[command(after_long_help = ENVIRONMENT_HELP)]
    #[command(args_override_self = true, disable_help_flag = true)]
    Serve(Box<ServeFlags>),
    /// Publish messages
    Pub(Box<PubArgs>),
    /// Subscribe and print what arrives
    Sub(Box<SubArgs>),
    /// Measure a broker under load
    Bench(Box<BenchArgs>),
}

/// The one definition of the command line.
fn command() -> clap::Command {
    polish(Cli::command())
}

fn polish(command: clap::Command) -> clap::Command {
    // Variables are explained once under `Environment` instead of at every flag.
    let command = command.mut_args(|flag| flag.hide_env(true));
    let has_help = command.get_arguments().any(|flag| flag.get_id() == "help");
    let command = if has_help {
        command
    } else {
        let help = Arg::new("help").short('h').long("help");
        command.arg(help.action(ArgAction::Help).help("Print help"))
    };
    command.mut_subcommands(polish)
}

/// Runs the command line and returns the exit code of the process. A broker calls
/// `tidy` twice a second, off its shards.
pub fn run(arguments: impl IntoIterator<Item = OsString>, tidy: fn()) -> ExitCode {
    let matches = match command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => return usage::report(&error),
    };
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => return usage::report(&error),
    };
    dispatch(cli, &matches, tidy)
}

fn dispatch(cli: Cli, matches: &ArgMatches, tidy: fn()) -> ExitCode {
    match cli.command {
        None => serve::run(&Given::new(cli.serve, matches), tidy),
        Some(Command::Serve(flags)) => {
            let (_, matches) = matches.subcommand().expect("clap found the subcommand");
            serve::run(&Given::new(*flags, matches), tidy)
        }
        Some(Command::Pub(args)) => ringbus_bench::pub_command(&args),
        Some(Command::Sub(args)) => ringbus_bench::sub_command(&args),
        Some(Command::Bench(args)) => ringbus_bench::bench_command(&args),
    }
}

/// Prints the one line of a failure.
fn complain(message: impl std::fmt::Display) {
    eprintln!("ringbus: {message}");
}
