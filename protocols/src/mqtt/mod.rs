//! MQTT 3.1, 3.1.1 and 5.0: framing, the fifteen packet types and the rules of a connection.
//!
//! ```
//! use ringbus_protocols::mqtt::{frame, Frame, Packet, Publish, Version};
//!
//! let mut bytes = Vec::new();
//! Publish { topic: "a/b", payload: b"hello", ..Publish::default() }
//!     .encode(Version::V5, &mut bytes);
//!
//! let Frame::Complete { header, body, length } = frame(&bytes, 1024)? else {
//!     panic!("the whole packet is there");
//! };
//! assert_eq!(length, bytes.len());
//! let Packet::Publish(publish) = Packet::decode(header, body, Version::V5)? else {
//!     panic!("a PUBLISH was encoded");
//! };
//! assert_eq!((publish.topic, publish.payload), ("a/b", b"hello".as_slice()));
//! # Ok::<(), ringbus_protocols::mqtt::DecodeError>(())
//! ```
//!
//! Decoding borrows from the input and allocates nothing. A decoded packet obeys every rule that
//! its bytes alone can break; [`connection`] adds the rules of direction and order. What is left
//! to the broker: rules that need its state or its configuration, and the syntax of topic filters
//! (they can be refused one by one in a SUBACK).
//!
//! Encoders write what they are given. Fields that the version does not have are left out.

pub mod connection;

mod error;
mod header;
mod packet;
mod property;
mod qos;
mod reason;
mod version;

pub use error::DecodeError;
pub use header::{FixedHeader, Frame, PACKET_SIZE_MAX, PacketType, frame};
pub use packet::{
    Ack, Auth, ConnAck, Connect, Disconnect, Packet, PingReq, PingResp, Publish, Refusal,
    RetainHandling, SubAck, Subscribe, SubscribeFilter, UnsubAck, Unsubscribe, Will,
};
pub use property::{Properties, PropertiesBuf, PropertiesIter, Property, PropertyId};
pub use qos::{PacketIdentifier, QoS};
pub use reason::{ConnectReturnCode, ReasonCode};
pub use version::Version;
