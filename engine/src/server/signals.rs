//! SIGTERM and SIGINT, from a handler to the thread that waits.

use super::{Note, ServerError};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::Sender;
use std::thread::Builder;

/// The signals that end the process in order, from now on.
#[derive(Debug)]
pub struct Signals {
    /// A byte per signal.
    bytes: UnixStream,
}

impl Signals {
    /// Takes the signals over. What comes before [`super::Server::run`] is kept for it.
    ///
    /// # Errors
    /// The process is out of file descriptors.
    pub fn catch() -> io::Result<Self> {
        let (bytes, write) = UnixStream::pair()?;
        pipe::register(SIGTERM, write.try_clone()?)?;
        pipe::register(SIGINT, write)?;
        Ok(Self { bytes })
    }

    pub(super) fn forward(mut self, notes: Sender<Note>) -> Result<(), ServerError> {
        let forward = move || {
            let mut byte = [0];
            while self.bytes.read_exact(&mut byte).is_ok() && notes.send(Note::Signal).is_ok() {}
        };
        let thread = Builder::new().name("signals".to_owned()).spawn(forward);
        thread
            .map(drop)
            .map_err(|error| ServerError::System("start a thread", error))
    }
}
