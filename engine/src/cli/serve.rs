//! `ringbus serve`: from flags to a running broker.

use super::{complain, exit, log};
use crate::config::{Config, Given, Machine};
use std::process::ExitCode;

pub(super) fn run(given: &Given) -> ExitCode {
    let config = match Config::new(given, &Machine::detect()) {
        Ok(config) => config,
        Err(error) => {
            complain(error);
            return ExitCode::from(exit::USAGE);
        }
    };
    if given.only_checks() {
        println!("the configuration is valid");
        return ExitCode::from(exit::OK);
    }
    log::start(config.log_format, config.log_level);
    ExitCode::from(exit::OK)
}
