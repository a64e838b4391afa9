//! A connection until it is open and idle: what it sends next when the broker has answered.

use super::load::Route;
use super::websocket::{Unframer, answer, path_of, put_message, request};
use super::wire::SUBPROTOCOL;
use super::wire::mqtt::{accepted, connect_packet, whole_packet};
use crate::cli::Protocol;
use crate::endpoint::Socket;
use ringbus_protocols::websocket::deflate::{Agreed, Deflaters};
use ringbus_protocols::websocket::frame::{Opcode, put_masked};
use std::io::{self, Write};

/// What is offered to compress with: the broker chooses the sizes of both windows.
const OFFER: &str = "permessage-deflate; client_max_window_bits";

/// Bytes of the message that is sent and received compressed: more than the largest window, so that
/// nobody keeps less than the most that there is to keep.
const MESSAGE_BYTES: usize = 16 << 10;

/// In the first byte of a frame: the message is compressed `[RFC7692 6]`.
const RSV1: u8 = 0x40;

/// A connection that is being opened.
pub struct Greeting {
    /// Its socket, non-blocking
    pub socket: Socket,
    stage: Stage,
    received: Vec<u8>,
    unframer: Option<Unframer>,
    /// What frames held
    payload: Vec<u8>,
    name: String,
}

/// What the broker has to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The request for a WebSocket
    Upgrade,
    /// CONNECT
    Connect,
    /// A compressed message to the connection's own topic
    Echo,
    /// Nothing
    Open,
}

/// What greetings have in common.
pub struct Manners<'a> {
    route: &'a Route,
    /// If a compressed message goes out and comes back
    deflaters: Option<Deflaters>,
}

impl<'a> Manners<'a> {
    /// With `compress`, topic sockets exchange a compressed message.
    pub fn new(route: &'a Route, compress: bool) -> Self {
        Self {
            route,
            deflaters: compress.then(|| Deflaters::new(1)),
        }
    }
}

impl Greeting {
    /// Sends what opens the connection. `name` is its client identifier, and a part of its topic.
    pub fn start(mut socket: Socket, name: String, manners: &Manners<'_>) -> io::Result<Self> {
        let route = manners.route;
        let host = route.endpoint.to_string();
        let (stage, bytes) = match route.protocol {
            Protocol::Ws => (
                Stage::Upgrade,
                request(&host, "/mqtt", Some(SUBPROTOCOL), None),
            ),
            Protocol::Topic => {
                let offer = manners.deflaters.as_ref().map(|_| OFFER);
                let target = path_of(&format!("idle/{name}"));
                (Stage::Upgrade, request(&host, &target, None, offer))
            }
            _ => (Stage::Connect, connect_packet(route.version, &name, true)),
        };
        socket.write_all(&bytes)?;
        socket.set_nonblocking()?;
        socket.reset_on_close()?;
        Ok(Self {
            socket,
            stage,
            received: Vec::new(),
            unframer: None,
            payload: Vec::new(),
            name,
        })
    }

    /// Takes what the broker sent, and goes on if that answers. Returns whether this opened it.
    pub fn take(&mut self, bytes: &[u8], manners: &mut Manners<'_>) -> io::Result<bool> {
        match self.stage {
            // Pings: who is idle for as long as that is not measured here.
            Stage::Open => return Ok(false),
            Stage::Upgrade => {
                self.received.extend_from_slice(bytes);
                self.upgraded(manners)?;
            }
            Stage::Connect => self.connected(bytes, manners.route)?,
            Stage::Echo => self.echoed(bytes)?,
        }
        let is_open = self.stage == Stage::Open;
        if is_open {
            (self.received, self.payload) = (Vec::new(), Vec::new());
            self.unframer = None;
        }
        Ok(is_open)
    }

    fn upgraded(&mut self, manners: &mut Manners<'_>) -> io::Result<()> {
        let Some(accepted) = answer(&self.received)? else {
            return Ok(());
        };
        let mut out = Vec::new();
        if manners.route.protocol == Protocol::Ws {
            let packet = connect_packet(manners.route.version, &self.name, true);
            put_message(&mut out, 1, &packet);
            self.unframer = Some(Unframer::new());
            self.stage = Stage::Connect;
        } else if let Some(deflaters) = &mut manners.deflaters {
            let agreed = accepted.extensions.and_then(Agreed::from_answer);
            let agreed = agreed.ok_or_else(|| io::Error::other("the broker does not compress"))?;
            let mut compressed = Vec::new();
            deflaters.deflate(0, &agreed.mirrored(), &message(), &mut compressed);
            // The next connection begins anew.
            deflaters.forget(0);
            put_masked(&mut out, Opcode::Binary, true, true, [7; 4], &compressed);
            self.unframer = Some(Unframer::with_deflate(&agreed));
            self.stage = Stage::Echo;
        } else {
            self.stage = Stage::Open;
        }
        self.received.clear();
        self.socket.write_all(&out)
    }

    fn connected(&mut self, bytes: &[u8], route: &Route) -> io::Result<()> {
        match &mut self.unframer {
            None => self.payload.extend_from_slice(bytes),
            Some(unframer) => {
                let mut out = Vec::new();
                unframer.decode(bytes, &mut self.payload, &mut out)?;
                self.socket.write_all(&out)?;
            }
        }
        if let Some(length) = whole_packet(&self.payload)? {
            accepted(route.version, &self.payload[..length])?;
            self.stage = Stage::Open;
        }
        Ok(())
    }

    fn echoed(&mut self, bytes: &[u8]) -> io::Result<()> {
        let is_first = self.received.is_empty();
        if is_first && bytes.first().is_some_and(|first| first & RSV1 == 0) {
            return Err(io::Error::other("the broker sent a message uncompressed"));
        }
        self.received.extend_from_slice(bytes);
        if let Some(unframer) = &mut self.unframer {
            unframer.decode(bytes, &mut self.payload, &mut Vec::new())?;
        }
        if self.payload.len() < MESSAGE_BYTES {
            return Ok(());
        }
        if self.payload != message() {
            return Err(io::Error::other("another message came back"));
        }
        self.stage = Stage::Open;
        Ok(())
    }
}

fn message() -> Vec<u8> {
    (b'a'..=b'z').cycle().take(MESSAGE_BYTES).collect()
}
