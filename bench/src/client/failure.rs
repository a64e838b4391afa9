//! Why a tool stopped, as a sentence and an exit code.

use ringbus_protocols::mqtt::{DecodeError, ReasonCode};
use std::fmt;
use std::io;
use std::process::ExitCode;

/// Exit code of a usage error.
const USAGE: u8 = 2;

/// Exit code of `sub -W`, as mosquitto_sub has it.
const TIMED_OUT: u8 = 27;

/// Why a tool stopped.
#[derive(Debug)]
pub enum Failure {
    /// The flags do not fit together
    Usage(String),
    /// The broker refused something, with the reason
    Refused(String, ReasonCode),
    /// The broker ended the connection with this reason
    Disconnected(ReasonCode),
    /// The broker closed the connection without a word
    Closed,
    /// The broker does not answer
    Silent,
    /// The broker sent what is not MQTT
    Malformed(DecodeError),
    /// The broker sent a packet that has no place here
    Unexpected(&'static str),
    /// The seconds of `-W` are over
    TimedOut,
    /// A signal came before all was done
    Interrupted,
    /// Something could not be read, written or reached: what was tried, and why not
    Io(String, io::Error),
}

impl Failure {
    /// Wraps an I/O error with what was tried.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |error| Self::Io(what, error)
    }

    /// Prints the sentence and returns the exit code.
    pub fn report(&self, command: &str) -> ExitCode {
        match self {
            // The reader of our output left, as `head` does: nobody is there to be told.
            Self::Io(_, error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
            Self::TimedOut => ExitCode::from(TIMED_OUT),
            Self::Usage(_) => {
                eprintln!("ringbus {command}: {self}");
                ExitCode::from(USAGE)
            }
            _ => {
                eprintln!("ringbus {command}: {self}");
                ExitCode::FAILURE
            }
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) => out.write_str(text),
            Self::Refused(what, reason) => write!(out, "{what} refused: {reason}"),
            Self::Disconnected(reason) => write!(out, "the broker disconnected: {reason}"),
            Self::Closed => out.write_str("the broker closed the connection"),
            Self::Silent => out.write_str("the broker does not answer"),
            Self::Malformed(error) => write!(out, "the broker sent bad MQTT: {error}"),
            Self::Unexpected(packet) => write!(out, "the broker sent an unexpected {packet}"),
            Self::TimedOut => out.write_str("timed out"),
            Self::Interrupted => out.write_str("interrupted before everything was acknowledged"),
            Self::Io(what, error) => write!(out, "{what}: {error}"),
        }
    }
}

impl From<DecodeError> for Failure {
    fn from(error: DecodeError) -> Self {
        Self::Malformed(error)
    }
}
