//! permessage-deflate `[RFC7692]`.

mod inflate;
mod negotiate;

pub(super) use inflate::Incoming;
pub use inflate::Inflater;
pub use negotiate::Agreed;
