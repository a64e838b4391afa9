//! The client protocol of NATS: lines of text with sized payloads, on TCP.
//!
//! ```
//! use ringbus_protocols::nats::{Limits, Op, Parsed, parse, subject, writer};
//!
//! let limits = Limits { control_line_max: 4096, payload_max: 1 << 20 };
//! let bytes = b"PUB sensors.1.%25 5\r\nhello\r\n";
//! let Parsed::Op { op: Op::Pub(publish), length } = parse(bytes, &limits)? else {
//!     panic!("the whole PUB is there");
//! };
//! assert_eq!((publish.payload, length), (b"hello".as_slice(), bytes.len()));
//!
//! let mut topic = String::new();
//! subject::put_topic(publish.subject, &mut topic).expect("a subject to publish to");
//! assert_eq!(topic, "sensors/1/%");
//!
//! let mut out = Vec::new();
//! writer::put_msg_head(&mut out, publish.subject, b"7", None, None, publish.payload.len());
//! assert_eq!(out, b"MSG sensors.1.%25 7 5\r\n");
//! # Ok::<(), ringbus_protocols::nats::Violation>(())
//! ```
//!
//! What is left to the broker: order, rights, and what an op does. NATS has no clause numbers; what
//! its documents leave open is as nats-server does it.

pub mod headers;
pub mod subject;
pub mod writer;

mod connect;
mod json;
mod op;
mod violation;

pub use connect::{ConnectOptions, parse_connect};
pub use op::{Limits, Op, Parsed, Publish, parse};
pub use violation::Violation;
