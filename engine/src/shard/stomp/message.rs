//! Frames to a client: MESSAGE, RECEIPT, ERROR. Each is one WebSocket message.

use bytes::Bytes;
use ringbus_protocols::mqtt::{PacketIdentifier, PropertiesIter, Property, ReasonCode};
use ringbus_protocols::stomp::writer::{begin, content_length, end_head, header};
use ringbus_protocols::stomp::{Command, Version, writer};
use ringbus_protocols::websocket::frame::{Opcode, put_frame, put_header};

use super::subscriptions::{AckMode, Subscription};
use super::{Stomp, Unacked};
use crate::pubsub::Message;
use crate::shard::connection::{Connection, Outgoing};
use crate::shard::fault::words_for;

/// How a message comes to a client.
#[derive(Clone, Copy, Debug)]
pub(in crate::shard) struct Way<'a> {
    /// The subscriptions that matched.
    pub(in crate::shard) identifiers: &'a [u32],
    /// It is a retained one.
    pub(in crate::shard) is_retained: bool,
    /// At QoS 1: what acknowledges it.
    pub(in crate::shard) ack: Option<PacketIdentifier>,
}

/// Appends a MESSAGE for each subscription that matched. `shared`: the payload, if it is not to be
/// copied. Returns whether an acknowledgement will follow.
pub(in crate::shard) fn put_messages(
    outgoing: &mut Outgoing,
    conn: &mut Connection,
    message: &Message<'_>,
    shared: Option<&Bytes>,
    way: Way<'_>,
) -> bool {
    // Out of the connection while its output is written to.
    let Some(mut stomp) = conn.stomp_mut().map(std::mem::take) else {
        return false;
    };
    let is_text = std::str::from_utf8(message.payload).is_ok();
    let kind = if is_text {
        Opcode::Text
    } else {
        Opcode::Binary
    };
    let mut waits = false;
    let mut head = Vec::new();
    for &identifier in way.identifiers {
        for at in 0..stomp.subscriptions.with(identifier).len() {
            head.clear();
            waits |= stomp.put_head(&mut head, identifier, at, message, way);
            let length = head.len() + message.payload.len() + 1;
            let out = outgoing.open_for_frames(conn);
            put_header(out, kind, length);
            out.extend_from_slice(&head);
            match shared {
                Some(payload) => outgoing.splice(conn, payload.clone()),
                None => out.extend_from_slice(message.payload),
            }
            outgoing.open_for_frames(conn).push(0);
        }
    }
    if let Some(place) = conn.stomp_mut() {
        *place = stomp;
    }
    waits
}

impl Stomp {
    /// Writes everything before the body. Returns whether it is to be acknowledged.
    fn put_head(
        &mut self,
        out: &mut Vec<u8>,
        identifier: u32,
        at: usize,
        message: &Message<'_>,
        way: Way<'_>,
    ) -> bool {
        self.sent += 1;
        let number = self.sent;
        let version = self.version();
        let subscription = &self.subscriptions.with(identifier)[at];
        let ack = way.ack.filter(|_| subscription.ack != AckMode::Auto);
        put_message_head(
            out,
            version,
            subscription,
            number,
            message,
            way,
            ack.is_some(),
        );
        if let Some(identifier) = ack {
            self.unacked.push_back(Unacked {
                number,
                identifier,
                subscription: subscription.number,
            });
        }
        ack.is_some()
    }
}

fn put_message_head(
    out: &mut Vec<u8>,
    version: Version,
    subscription: &Subscription,
    number: u64,
    message: &Message<'_>,
    way: Way<'_>,
    is_acked: bool,
) {
    let number = number.to_string();
    begin(out, Command::Message);
    content_length(out, message.payload.len());
    header(out, version, "subscription", &subscription.id);
    header(out, version, "message-id", &number);
    header(out, version, "destination", message.topic);
    if is_acked {
        header(out, version, "ack", &number);
    }
    if way.is_retained {
        header(out, version, "retain", "true");
    }
    put_properties(out, version, message);
    end_head(out);
}

/// Content type and user properties are headers; what a client could take for ours is left out.
fn put_properties(out: &mut Vec<u8>, version: Version, message: &Message<'_>) {
    let mut has_type = false;
    for property in PropertiesIter::new(message.properties) {
        match property {
            Property::ContentType(text) => {
                has_type = true;
                header(out, version, "content-type", text);
            }
            Property::ResponseTopic(topic) => {
                header(out, version, "reply-to", topic);
            }
            Property::UserProperty((name, value)) if !is_ours(name) => {
                header(out, version, name, value);
            }
            _ => {}
        }
    }
    if !has_type && message.is_text() == Some(true) {
        header(out, version, "content-type", "text/plain;charset=utf-8");
    }
}

/// Headers that mean something to the protocol or to us.
pub(super) fn is_ours(name: &str) -> bool {
    const OURS: [&str; 14] = [
        "destination",
        "content-length",
        "content-type",
        "receipt",
        "receipt-id",
        "transaction",
        "subscription",
        "message-id",
        "ack",
        "id",
        "qos",
        "retain",
        "reply-to",
        "heart-beat",
    ];
    OURS.contains(&name)
}

/// Appends the RECEIPT that has waited longest.
pub(in crate::shard) fn put_receipt(
    outgoing: &mut Outgoing,
    conn: &mut Connection,
    reason: ReasonCode,
) {
    let Some(stomp) = conn.stomp_mut() else {
        return;
    };
    let (version, Some(receipt)) = (stomp.version(), stomp.receipts.pop_front()) else {
        return;
    };
    let warning = reason.is_error().then(|| ("warning", words_for(reason)));
    let headers = [Some(("receipt-id", &*receipt)), warning];
    put_control(outgoing, conn, version, Command::Receipt, headers, "");
}

/// Appends an ERROR; the connection is closed behind it. `receipt`: of the frame that caused it.
pub(in crate::shard) fn put_error(
    outgoing: &mut Outgoing,
    conn: &mut Connection,
    words: &str,
    receipt: Option<&str>,
) {
    let Some(stomp) = conn.stomp_mut() else {
        return;
    };
    // Before CONNECT: what would have been understood.
    let understood = stomp.version.is_none();
    let headers = [
        Some(("message", words)),
        Some(("content-type", "text/plain")),
        receipt.map(|receipt| ("receipt-id", receipt)),
        understood.then_some(("version", "1.0,1.1,1.2")),
    ];
    let version = stomp.version();
    put_control(outgoing, conn, version, Command::Error, headers, words);
}

/// Appends a frame other than MESSAGE.
pub(super) fn put_control<'h>(
    outgoing: &mut Outgoing,
    conn: &mut Connection,
    version: Version,
    command: Command,
    headers: impl IntoIterator<Item = Option<(&'h str, &'h str)>>,
    body: &str,
) {
    let mut text = Vec::new();
    let headers = headers.into_iter().flatten();
    writer::put_frame(&mut text, version, command, headers, body.as_bytes());
    outgoing.control_packets += 1;
    put_frame(outgoing.open_for_frames(conn), Opcode::Text, &text);
}
