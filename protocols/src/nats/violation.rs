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
    /// CONNECT asks for another protocol than 0 or 1.
    InvalidClientProtocol,
    /// CONNECT asks for `no_responders` without `headers`, which it takes to answer.
    NoRespondersRequiresHeaders,
}

impl Violation {
    /// The words of the `-ERR`, without the quotes: those of nats-server, in its case. It closes
    /// without words where we say `Parser Error`, which its documents list.
    pub const fn words(self) -> &'static str {
        match self {
            Self::UnknownProtocolOperation => "Unknown Protocol Operation",
            Self::ParserError => "Parser Error",
            Self::MaximumControlLine => "maximum control line exceeded",
            Self::MaximumPayload => "Maximum Payload Violation",
            Self::InvalidClientProtocol => "invalid client protocol",
            Self::NoRespondersRequiresHeaders => "no responders requires headers support",
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

impl Error for Violation {}
