//! WebSockets `[RFC6455]`.

pub mod handshake;
