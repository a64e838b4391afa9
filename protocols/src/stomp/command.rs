//! The first line of a frame.

use std::fmt;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Command {
    /// A client's first frame.
    Connect,
    /// The same; it cannot be mistaken for HTTP.
    Stomp,
    /// Publishes.
    Send,
    /// Starts a subscription.
    Subscribe,
    /// Ends a subscription.
    Unsubscribe,
    /// A message was handled.
    Ack,
    /// A message was not handled.
    Nack,
    /// Starts a transaction.
    Begin,
    /// Makes a transaction happen.
    Commit,
    /// Undoes a transaction.
    Abort,
    /// A client's last frame.
    Disconnect,
    /// A server's first frame.
    Connected,
    /// A message of a subscription.
    Message,
    /// A frame that asked for it was handled.
    Receipt,
    /// A server's last frame: what is wrong.
    Error,
}

impl Command {
    /// All commands.
    pub const ALL: [Self; 15] = [
        Self::Connect,
        Self::Stomp,
        Self::Send,
        Self::Subscribe,
        Self::Unsubscribe,
        Self::Ack,
        Self::Nack,
        Self::Begin,
        Self::Commit,
        Self::Abort,
        Self::Disconnect,
        Self::Connected,
        Self::Message,
        Self::Receipt,
        Self::Error,
    ];

    /// The command as it is written.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::Stomp => "STOMP",
            Self::Send => "SEND",
            Self::Subscribe => "SUBSCRIBE",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::Ack => "ACK",
            Self::Nack => "NACK",
            Self::Begin => "BEGIN",
            Self::Commit => "COMMIT",
            Self::Abort => "ABORT",
            Self::Disconnect => "DISCONNECT",
            Self::Connected => "CONNECTED",
            Self::Message => "MESSAGE",
            Self::Receipt => "RECEIPT",
            Self::Error => "ERROR",
        }
    }

    /// Whether a server sends it; a client sends all others.
    pub const fn is_from_server(self) -> bool {
        matches!(
            self,
            Self::Connected | Self::Message | Self::Receipt | Self::Error
        )
    }

    /// Whether the frame may have a body `[STOMP1.2 Body]`.
    pub const fn may_have_body(self) -> bool {
        matches!(self, Self::Send | Self::Message | Self::Error)
    }

    /// Whether the headers have no escapes whatever the version is, which it tells
    /// `[STOMP1.2 Value Encoding]`.
    pub(super) const fn is_plain(self) -> bool {
        matches!(self, Self::Connect | Self::Stomp | Self::Connected)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
