//! MQTT-SN 1.2: the datagrams, and the gateway that makes a client of MQTT 5.0 out of a client of
//! MQTT-SN.
//!
//! ```
//! use ringbus_protocols::mqttsn::{Packet, decode, encode};
//!
//! let connect = Packet::Connect {
//!     clean_session: true,
//!     will: false,
//!     duration_seconds: 60,
//!     client_id: "sensor",
//! };
//! let mut datagram = Vec::new();
//! encode(&connect, &mut datagram);
//! assert_eq!(decode(&datagram)?, connect);
//! # Ok::<(), ringbus_protocols::mqttsn::Malformed>(())
//! ```
//!
//! Clauses are those of the specification of November 14, 2013, cited as `[MQTTSN-6.9]`.

mod datagrams;
mod decode;
mod encode;
mod forward;
mod gateway;
mod packet;
mod topics;

pub use datagrams::Datagrams;
pub use decode::{Malformed, decode};
pub use encode::{encode, encoded_len, publish_head_len};
pub use forward::{Forwarded, NODE_ID_BYTES_MAX, put_forwarder_head, unwrap_forwarded};
pub use gateway::{Gateway, Io, Settings, Verdict, Will};
pub use packet::{FilterRef, Packet, PublishQoS, ReturnCode, ShortTopic, TopicRef, WillTopic};
pub use topics::{PredefinedTopics, TopicsError};

/// The longest message in bytes that a UDP datagram over IPv4 carries.
pub const DATAGRAM_BYTES_MAX: usize = 65_507;
