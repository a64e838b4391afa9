//! Shared by the tests of MQTT-SN: random messages and a decoder of our own.
#![allow(dead_code, reason = "each test file uses its part")]

pub mod broker;
pub mod device;
pub mod line;
pub mod naive;
pub mod packets;

use ringbus_protocols::mqttsn::{Packet, encode, encoded_len};

/// Encodes a message and checks the promise about its length.
pub fn encoded(packet: &Packet<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    encode(packet, &mut out);
    assert_eq!(out.len(), encoded_len(packet), "{packet:?}");
    out
}
