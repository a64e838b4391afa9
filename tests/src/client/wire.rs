//! What carries the bytes of a client.

use std::io::{Read, Result, Write};
use std::net::{Shutdown, TcpStream};

/// A connection: a socket, or one of the simulator.
pub trait Wire {
    /// Sends all of it.
    ///
    /// # Errors
    /// The connection is gone.
    fn send(&mut self, bytes: &[u8]) -> Result<()>;

    /// Waits for some bytes; 0 at the end of the connection.
    ///
    /// # Errors
    /// Nothing came for long, or the connection broke.
    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize>;

    /// Nothing more will be sent.
    fn finish_sending(&mut self);

    /// Ends the connection in both directions.
    fn cut(&mut self);

    /// Waits until nothing is under way anywhere, where that can be seen.
    fn settle(&mut self) {}
}

impl Wire for TcpStream {
    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.write_all(bytes)
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.read(buffer)
    }

    fn finish_sending(&mut self) {
        // Not connected any more: the broker was faster.
        let _ = self.shutdown(Shutdown::Write);
    }

    fn cut(&mut self) {
        self.shutdown(Shutdown::Both).expect("an open socket");
    }
}
