//! permessage-deflate `[RFC7692]`.
//!
//! An idle connection keeps at most the window that its peer may refer to. The memory that
//! compressing and inflating need is shared by the connections of a shard: [`Inflater`] and
//! [`Deflaters`].

mod deflaters;
mod inflate;
mod negotiate;
mod output;

pub use deflaters::Deflaters;
pub(super) use inflate::Incoming;
pub use inflate::Inflater;
pub use negotiate::{Agreed, negotiate};
pub use output::{DEFLATE_BYTES_MIN, deflate_frames};

/// What every message ends with, and what is not sent `[RFC7692 7.2.1]`.
const TAIL: [u8; 4] = [0x00, 0x00, 0xFF, 0xFF];
