//! STOMP 1.2, 1.1 and 1.0: frames of a command, headers and a body; the version is a parameter.
//!
//! ```
//! use ringbus_protocols::stomp::{Command, Decoded, Decoder, Limits, Version, writer};
//!
//! let mut bytes = Vec::new();
//! let headers = [("destination", "a/b"), ("note", "1:2")];
//! writer::put_frame(&mut bytes, Version::V1_2, Command::Send, headers, b"hello");
//!
//! let limits = Limits::new(1024);
//! let decoded = Decoder::default().decode(&bytes, Some(Version::V1_2), &limits)?;
//! let Decoded::Frame { frame, length } = decoded else {
//!     panic!("the whole frame is there");
//! };
//! assert_eq!((frame.command, frame.body), (Command::Send, b"hello".as_slice()));
//! assert_eq!(frame.header("note").as_deref(), Some("1:2"));
//! assert_eq!(length, bytes.len());
//! # Ok::<(), ringbus_protocols::stomp::StompError>(())
//! ```
//!
//! A decoded frame obeys every rule that its bytes alone can break. What is left to the broker:
//! order, and which headers a command needs.

pub mod heart_beat;
pub mod writer;

mod command;
mod decoder;
mod escape;
mod frame;
mod version;

pub use command::Command;
pub use decoder::{Decoded, Decoder, HEAD_BYTES_MAX, HEADERS_MAX, Limits};
pub use frame::Frame;
pub use version::Version;

use std::error::Error;
use std::fmt;

/// What is wrong with a frame. The connection cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StompError {
    /// What is wrong, in a few words: the `message` of an ERROR frame.
    pub words: &'static str,
    /// The frame may be right, but it is over a limit.
    pub is_too_large: bool,
}

impl StompError {
    const fn malformed(words: &'static str) -> Self {
        Self {
            words,
            is_too_large: false,
        }
    }

    const fn too_large(words: &'static str) -> Self {
        Self {
            words,
            is_too_large: true,
        }
    }
}

impl fmt::Display for StompError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words)
    }
}

impl Error for StompError {}
