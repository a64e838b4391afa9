//! Forwarder encapsulation: messages that a forwarder relays `[MQTTSN-5.5]`.

use super::Malformed;
use super::packet::msg_type;
use crate::wire::Reader;

/// The longest wireless node id: Length has one byte and counts itself, MsgType and Ctrl.
pub const NODE_ID_BYTES_MAX: usize = 252;

const HEAD_WITHOUT_NODE_ID: usize = 3;
const RADIUS: u8 = 0x03;

/// What a forwarder says about a message that it relays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forwarded<'a> {
    /// How far the message goes on the other side, in hops; 0 to 3.
    pub radius: u8,
    /// Who sent the message, or whom it is for, at most [`NODE_ID_BYTES_MAX`] bytes.
    pub node_id: &'a [u8],
}

/// Takes the encapsulation off a datagram, if there is one, and gives the message inside.
///
/// # Errors
/// [`Malformed::Length`] or [`Malformed::Truncated`] if the encapsulation is not whole. The message
/// inside is not looked at; one in a second encapsulation does not decode.
#[inline]
pub fn unwrap_forwarded(datagram: &[u8]) -> Result<(Option<Forwarded<'_>>, &[u8]), Malformed> {
    match datagram {
        [length, msg_type::FORWARDED, ..] if *length != super::packet::LONG_LENGTH => {
            unwrap(datagram)
        }
        _ => Ok((None, datagram)),
    }
}

#[inline(never)]
fn unwrap(datagram: &[u8]) -> Result<(Option<Forwarded<'_>>, &[u8]), Malformed> {
    let mut reader = Reader::new(datagram);
    let length = usize::from(reader.u8()?);
    reader.u8()?;
    let radius = reader.u8()? & RADIUS;
    let node_id_bytes = length
        .checked_sub(HEAD_WITHOUT_NODE_ID)
        .ok_or(Malformed::Length)?;
    let node_id = reader.bytes(node_id_bytes)?;
    Ok((Some(Forwarded { radius, node_id }), reader.rest()))
}

/// Appends the head of an encapsulation; the message follows it. Only the two low bits of `radius`
/// are kept.
///
/// # Panics
/// If `node_id` is longer than [`NODE_ID_BYTES_MAX`].
pub fn put_forwarder_head(out: &mut Vec<u8>, radius: u8, node_id: &[u8]) {
    let length = u8::try_from(HEAD_WITHOUT_NODE_ID + node_id.len())
        .expect("a node id has at most 252 bytes");
    out.extend_from_slice(&[length, msg_type::FORWARDED, radius & RADIUS]);
    out.extend_from_slice(node_id);
}
