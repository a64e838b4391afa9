//! What the two sides agree on in the handshake `[RFC7692 7.1]`.

/// The parameters that both sides keep to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreed {
    /// The server compresses with a window of at most 2 to this power, 9 to 15.
    pub server_bits: u8,
    /// The client compresses with a window of at most 2 to this power, 8 to 15.
    pub client_bits: u8,
    /// The server begins every message with an empty window.
    pub server_no_context_takeover: bool,
    /// The client begins every message with an empty window.
    pub client_no_context_takeover: bool,
}
