//! Packets that tell the client what was wrong: DISCONNECT, a CONNACK that refuses, and
//! acknowledgements that fail. The Reason String is left out where the client does not want it or
//! the packet would be larger than it takes.

use ringbus_protocols::mqtt::{
    Ack, ConnAck, Connect, Disconnect, Packet, PacketIdentifier, Properties, PropertiesBuf,
    Property, ReasonCode, Refusal, SubAck, UnsubAck, Version,
};

use super::Shard;
use super::connection::{AckKind, Connection, Dialect, Outgoing, PendingAck};
use super::fault::{Fault, words_for};
use super::nats::put_answer;
use super::stomp::put_receipt;
use super::subscribe::wire_code;
use crate::base::ConnId;

/// What a list of reasons answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    SubAck,
    UnsubAck,
}

impl Shard {
    /// Refuses a connection that has no session yet. `bytes` start at the offending packet: a
    /// CONNECT of a known shape is answered, anything else just closed [MQTT5-4.13.1-1].
    pub(super) fn refuse(&mut self, id: ConnId, fault: Fault, bytes: &[u8]) {
        let Some(conn) = self.connections.get_mut(id) else {
            return;
        };
        if conn.dialect != Dialect::Mqtt || conn.web.as_ref().is_some_and(|web| !web.is_open()) {
            return self.close(id, Some(fault), false);
        }
        // In an exchange it is the CONNECT before that is answered [MQTT5-4.12.0-4].
        let refusal = match conn.auth() {
            Some(_) => Some(Refusal {
                version: conn.version,
                maximum_packet_size: Some(conn.max_packet_size),
            }),
            None => Connect::refusal(bytes, fault.reason),
        };
        if let Some(refusal) = refusal {
            let out = self.outgoing.open(conn);
            let bytes_max = refusal.maximum_packet_size.unwrap_or(u32::MAX);
            let words = refusal.version.is_v5().then_some(fault.words);
            let reference = reference_for(fault, self.config.server_reference.as_deref());
            let reference = reference.filter(|_| refusal.version.is_v5());
            put_explained(out, bytes_max, words, reference, |out, properties| {
                let connack = ConnAck {
                    session_present: false,
                    reason: fault.reason,
                    properties,
                };
                connack.encode(refusal.version, out);
            });
        }
        self.close(id, Some(fault), false);
    }

    /// Answers each topic filter of a SUBSCRIBE or UNSUBSCRIBE.
    pub(super) fn send_reasons(
        &mut self,
        id: ConnId,
        answer: Answer,
        packet_identifier: PacketIdentifier,
        reasons: &[ReasonCode],
    ) {
        let Some(conn) = self.connections.get_mut(id) else {
            return;
        };
        let version = conn.version;
        let codes: Vec<u8> = reasons.iter().map(|&r| wire_code(r, version)).collect();
        let failed = reasons.iter().find(|reason| reason.is_error());
        let words = failed.map(|&reason| words_for(reason));
        let words = words.filter(|_| conn.wants_reasons());
        let bytes_max = conn.max_packet_size;
        let out = self.outgoing.open(conn);
        let was_put = put_explained(out, bytes_max, words, None, |out, properties| {
            let reasons = &codes[..];
            let packet = match answer {
                Answer::SubAck => Packet::SubAck(SubAck {
                    packet_identifier,
                    properties,
                    reasons,
                }),
                Answer::UnsubAck => Packet::UnsubAck(UnsubAck {
                    packet_identifier,
                    properties,
                    reasons,
                }),
            };
            packet.encode(version, out);
        });
        // The client waits for an answer that it would not take [MQTT5-3.1.2-24].
        if !was_put {
            self.close(id, Some(Fault::ANSWER_TOO_LARGE), true);
        }
    }
}

/// Appends the DISCONNECT that tells a v5 client why.
pub(super) fn put_disconnect(
    outgoing: &mut Outgoing,
    conn: &mut Connection,
    fault: Fault,
    server_reference: Option<&str>,
) {
    let reference = reference_for(fault, server_reference);
    let bytes_max = conn.max_packet_size;
    let out = outgoing.open(conn);
    // Allowed whatever Request Problem Information says [MQTT5-3.1.2-29].
    put_explained(
        out,
        bytes_max,
        Some(fault.words),
        reference,
        |out, properties| {
            let disconnect = Disconnect {
                reason: fault.reason,
                properties,
            };
            disconnect.encode(Version::V5, out);
        },
    );
}

/// Appends an acknowledgement.
#[inline]
pub(super) fn put_ack(
    outgoing: &mut Outgoing,
    conn: &mut Connection,
    ack: PendingAck,
    reason: ReasonCode,
) {
    match ack.kind {
        AckKind::Silent => return,
        AckKind::Receipt => return put_receipt(outgoing, conn, reason),
        AckKind::Ok | AckKind::Pong | AckKind::Responders | AckKind::Stored => {
            return put_answer(outgoing, conn, ack.kind, reason);
        }
        AckKind::PubAck | AckKind::PubRec | AckKind::PubComp => {}
    }
    let body = (ack.identifier, reason);
    put_ack_packet(outgoing, conn, body, |body| match ack.kind {
        AckKind::PubAck => Packet::PubAck(body),
        AckKind::PubRec => Packet::PubRec(body),
        _ => Packet::PubComp(body),
    });
}

/// Appends a PUBREL that answers a PUBREC.
pub(super) fn put_pubrel_reason(
    outgoing: &mut Outgoing,
    conn: &mut Connection,
    packet_identifier: PacketIdentifier,
    reason: ReasonCode,
) {
    put_ack_packet(outgoing, conn, (packet_identifier, reason), |body| {
        Packet::PubRel(body)
    });
}

#[inline]
fn put_ack_packet(
    outgoing: &mut Outgoing,
    conn: &mut Connection,
    (packet_identifier, reason): (PacketIdentifier, ReasonCode),
    packet: impl Fn(Ack<'_>) -> Packet<'_>,
) {
    let words = failure_words(conn, reason);
    let (version, bytes_max) = (conn.version, conn.max_packet_size);
    let out = outgoing.open(conn);
    put_explained(out, bytes_max, words, None, |out, properties| {
        let body = Ack {
            packet_identifier,
            reason,
            properties,
        };
        packet(body).encode(version, out);
    });
}

#[inline]
fn failure_words(conn: &Connection, reason: ReasonCode) -> Option<&'static str> {
    (reason.is_error() && conn.wants_reasons()).then(|| words_for(reason))
}

/// Where to go instead, for the code that says so.
fn reference_for(fault: Fault, server_reference: Option<&str>) -> Option<&str> {
    server_reference.filter(|_| fault.reason == ReasonCode::UseAnotherServer)
}

/// Appends a packet with a Reason String and a Server Reference, or with less if it would be too
/// large [MQTT5-3.2.2-19] [MQTT5-3.4.2-2] [MQTT5-3.14.2-3]. False if it is too large in any case:
/// then nothing is sent [MQTT5-3.1.2-24].
#[inline]
fn put_explained(
    out: &mut Vec<u8>,
    bytes_max: u32,
    words: Option<&'static str>,
    reference: Option<&str>,
    encode: impl Fn(&mut Vec<u8>, Properties<'_>),
) -> bool {
    let start = out.len();
    let mut put = |reference: Option<&str>, words: Option<&str>| {
        let mut properties = PropertiesBuf::new();
        properties.extend(reference.map(Property::ServerReference));
        properties.extend(words.map(Property::ReasonString));
        encode(out, properties.as_properties());
        let fits = out.len() - start <= bytes_max as usize;
        if !fits {
            out.truncate(start);
        }
        fits
    };
    // Where to go matters more than why.
    (words.is_some() && put(reference, words))
        || (reference.is_some() && put(reference, None))
        || put(None, None)
}
