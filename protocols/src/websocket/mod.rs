//! WebSocket: frames, messages and their compression `[RFC6455]`, `[RFC7692]`.
//!
//! - [`handshake`]: the request that opens a connection, and its answer.
//! - [`frame`]: the frame headers that are sent, and a walk over our own frames.
//! - [`receiver`]: the receiving half of a connection, from bytes in any pieces to events.
//! - [`close`]: close codes, and the [`Violation`] that ends a connection with one.
//! - [`mask`] and [`utf8`]: what is done to every byte that a client sends.
//! - [`deflate`]: permessage-deflate, both directions.

pub mod close;
pub mod deflate;
pub mod frame;
pub mod handshake;
pub mod mask;
pub mod receiver;
pub mod utf8;

pub use close::{CloseCode, Violation};
pub use frame::{Kind, Opcode};
pub use receiver::{Event, Limits, Mode, Receiver, Role};
