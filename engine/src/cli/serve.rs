//! `ringbus serve`: from flags to a running broker.

use super::{Banner, complain, exit, log};
use crate::config::{Config, Given, Machine};
use crate::io::clock::Clock;
use crate::server::{Server, ServerError, Signals};
use std::process::ExitCode;

pub(super) fn run(given: &Given, tidy: fn()) -> ExitCode {
    let started = Clock::start();
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
    match serve(&config, started, tidy) {
        Ok(()) => ExitCode::from(exit::OK),
        Err(error) => {
            complain(error);
            // Threads may still run: after a second signal nobody waits for them.
            std::process::exit(i32::from(exit::FAILURE))
        }
    }
}

fn serve(config: &Config, started: Clock, tidy: fn()) -> Result<(), ServerError> {
    // Before anything can be interrupted half-way.
    let signals = Signals::catch().map_err(|error| ServerError::System("catch signals", error))?;
    let server = Server::start(config)?;
    let choice = server.choice();
    let banner = Banner {
        shards: config.shards,
        cpus: config.cpus_in_use(),
        driver: choice.driver.to_string(),
        why: Some(choice.why.clone()),
        listeners: server.addresses().collect(),
        took: started.now().to_duration(),
    };
    print!("{banner}");
    if config.is_local_only() {
        tracing::warn!(
            "loopback only (to open up: --listen mqtt://0.0.0.0:1883 --listen ws://0.0.0.0:8000)"
        );
    }
    server.run_tidily(signals, config.drain_timeout, tidy)
}
