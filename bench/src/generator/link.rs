//! A connection while it is set up: blocking, one request and one answer at a time.

use super::websocket::{Unframer, answer, put_message, request};
use crate::endpoint::{Endpoint, Socket};
use std::io::{self, Read, Write};
use std::time::Duration;

/// How long a broker may take to answer a greeting or a subscription.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A blocking connection.
pub struct Link {
    socket: Socket,
    received: Vec<u8>,
    host: String,
    /// If what is exchanged lies in WebSocket frames
    unframer: Option<Unframer>,
}

/// What a connection goes on with after it was set up.
pub struct Parts {
    /// The socket, non-blocking
    pub socket: Socket,
    /// What was received beyond the answers
    pub received: Vec<u8>,
    /// If what is exchanged lies in WebSocket frames
    pub unframer: Option<Unframer>,
}

impl Link {
    /// Connects.
    pub fn open(endpoint: &Endpoint) -> io::Result<Self> {
        let socket = endpoint.connect(ANSWER_TIMEOUT)?;
        socket.set_timeout(Some(ANSWER_TIMEOUT))?;
        Ok(Self {
            socket,
            received: Vec::new(),
            host: endpoint.to_string(),
            unframer: None,
        })
    }

    /// Opens a WebSocket. Frames are the caller's, unless [`Self::use_frames`] follows.
    pub fn upgrade(&mut self, target: &str, subprotocol: Option<&str>) -> io::Result<()> {
        let request = request(&self.host, target, subprotocol, None);
        self.send(&request)?;
        self.receive(|bytes| Ok(answer(bytes)?.map(|accepted| accepted.length)))?;
        Ok(())
    }

    /// From now on, what is exchanged lies in frames.
    pub fn use_frames(&mut self) {
        debug_assert!(self.received.is_empty(), "the broker waits for a CONNECT");
        self.unframer = Some(Unframer::new());
    }

    /// Sends all of `bytes`; with frames, as one message.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.unframer.is_none() {
            return self.socket.write_all(bytes);
        }
        let mut frame = Vec::new();
        put_message(&mut frame, 1, bytes);
        self.socket.write_all(&frame)
    }

    /// Waits for one frame: `whole` says how long it is, once it is there.
    pub fn receive(
        &mut self,
        whole: impl Fn(&[u8]) -> io::Result<Option<usize>>,
    ) -> io::Result<Vec<u8>> {
        loop {
            if let Some(length) = whole(&self.received)? {
                return Ok(self.received.drain(..length).collect());
            }
            let mut chunk = [0; 4096];
            match self.socket.read(&mut chunk)? {
                0 => return Err(io::Error::other("the broker closed the connection")),
                length => self.take(&chunk[..length])?,
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(unframer) = &mut self.unframer else {
            self.received.extend_from_slice(bytes);
            return Ok(());
        };
        let mut out = Vec::new();
        unframer.decode(bytes, &mut self.received, &mut out)?;
        self.socket.write_all(&out)
    }

    /// What the connection goes on with, no longer blocking.
    pub fn into_parts(self) -> io::Result<Parts> {
        self.socket.set_timeout(None)?;
        self.socket.set_nonblocking()?;
        Ok(Parts {
            socket: self.socket,
            received: self.received,
            unframer: self.unframer,
        })
    }
}
