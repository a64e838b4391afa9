//! What a client may do wrong on the wire.

use std::error::Error;
use std::fmt;

/// Why a connection cannot go on: the server says so in an `-ERR` and closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Violation {
    /// A line starts with no verb of a client, or a line or payload does not end in CR LF.
    UnknownProtocolOperation,
    /// Too few or too many arguments, a length that is none, or a CONNECT that is not JSON.
    ParserError,
    /// The arguments of a line are longer than [`Limits::control_line_max`](super::Limits).
    MaximumControlLine,
    /// Headers and payload are larger than [`Limits::payload_max`](super::Limits).
    MaximumPayload,
}

impl Violation {
    /// The words of the `-ERR`, without the quotes.
    pub const fn words(self) -> &'static str {
        match self {
            Self::UnknownProtocolOperation => "Unknown Protocol Operation",
            Self::ParserError => "Parser Error",
            Self::MaximumControlLine => "Maximum Control Line Exceeded",
            Self::MaximumPayload => "Maximum Payload Violation",
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

impl Error for Violation {}
