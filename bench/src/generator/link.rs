//! A connection while it is set up: blocking, one request and one answer at a time.

use crate::endpoint::{Endpoint, Socket};
use std::io::{self, Read, Write};
use std::time::Duration;

/// How long a broker may take to answer a greeting or a subscription.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A blocking connection.
pub struct Link {
    socket: Socket,
    received: Vec<u8>,
}

impl Link {
    /// Connects.
    pub fn open(endpoint: &Endpoint) -> io::Result<Self> {
        let socket = endpoint.connect(ANSWER_TIMEOUT)?;
        socket.set_timeout(Some(ANSWER_TIMEOUT))?;
        Ok(Self {
            socket,
            received: Vec::new(),
        })
    }

    /// Sends all of `bytes`.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes)
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
                length => self.received.extend_from_slice(&chunk[..length]),
            }
        }
    }

    /// The socket, non-blocking from now on, and what was received beyond the answers.
    pub fn into_parts(self) -> io::Result<(Socket, Vec<u8>)> {
        self.socket.set_timeout(None)?;
        self.socket.set_nonblocking()?;
        Ok((self.socket, self.received))
    }
}
