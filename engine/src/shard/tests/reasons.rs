//! What clients are told when something fails: a code wherever there is one, and words where they
//! may be.

use super::*;
use crate::config::QueuePolicy;
use ringbus_protocols::mqtt::{Properties, PropertyId};

/// A code, and whether words came with it.
type Told = (ReasonCode, bool);

fn told(packet: &Packet<'_>) -> Option<Told> {
    let of = |reason: ReasonCode, properties: &Properties<'_>| {
        let words = properties.reason_string();
        assert!(words.is_none_or(|words| words.len() > 5 && !words.ends_with('.')));
        Some((reason, words.is_some()))
    };
    let first_error = |codes: &[u8]| {
        let failed = codes.iter().find(|code| **code >= 0x80);
        ReasonCode::try_from(*failed.unwrap_or(&codes[0])).expect("a code")
    };
    match packet {
        Packet::ConnAck(ack) => of(ack.reason, &ack.properties),
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            of(ack.reason, &ack.properties)
        }
        Packet::SubAck(ack) => of(first_error(ack.reasons), &ack.properties),
        Packet::UnsubAck(ack) => of(first_error(ack.reasons), &ack.properties),
        Packet::Disconnect(packet) => of(packet.reason, &packet.properties),
        _ => None,
    }
}

impl Net {
    /// What the last packet of that connection told.
    fn told(&mut self, socket: usize) -> Told {
        let all = self.read_with(socket, V5, told);
        all.last().copied().flatten().expect("a packet with a code")
    }
}

fn properties(all: &[Property<'_>]) -> PropertiesBuf {
    all.iter().copied().collect()
}

/// The least that a CONNACK without a Reason String fits into.
const TIGHT: Property<'static> = Property::MaximumPacketSize(24);

/// Every way in which the server ends a connection by itself: what to do, to which client.
const ENDS: &[(&str, ReasonCode, Act)] = &[
    (
        "a malformed packet",
        ReasonCode::MalformedPacket,
        |net, client| {
            net.send_bytes(client, &[0x36, 6, 0, 1, b'a', 0, 1, 0]);
        },
    ),
    (
        "a second CONNECT",
        ReasonCode::ProtocolError,
        |net, socket| {
            net.send(socket, V5, &Packet::Connect(client(V5, "guilty")));
        },
    ),
    (
        "a packet of servers",
        ReasonCode::ProtocolError,
        |net, client| {
            net.send_bytes(client, &[0xD0, 0]);
        },
    ),
    (
        "the wrong acknowledgement",
        ReasonCode::ProtocolError,
        |net, client| {
            net.send_bytes(client, &subscribe(&[("own", QoS::AtLeastOnce)], V5, 0));
            let own = publish("own", b"x", QoS::AtLeastOnce);
            net.send(client, V5, &Packet::Publish(own));
            net.send(client, V5, &Packet::PubComp(Ack::new(id(1))));
        },
    ),
    (
        "an expiry that cannot grow",
        ReasonCode::ProtocolError,
        |net, client| {
            net.send_bytes(client, &[0xE0, 7, 0, 5, 0x11, 0, 0, 0, 9]);
        },
    ),
    (
        "a packet too large",
        ReasonCode::PacketTooLarge,
        |net, client| {
            net.send_bytes(client, &[0x30, 0xE9, 0x07]);
        },
    ),
    (
        "a topic alias above the maximum",
        ReasonCode::TopicAliasInvalid,
        |net, client| {
            net.send_bytes(client, &[0x30, 7, 0, 1, b'a', 3, 0x23, 0, 9]);
        },
    ),
    (
        "more than the receive maximum",
        ReasonCode::ReceiveMaximumExceeded,
        |net, client| {
            for identifier in 1..=3 {
                net.send_bytes(client, &[0x34, 6, 0, 1, b'a', 0, identifier, 0]);
            }
        },
    ),
    (
        "too many bytes without PUBREL",
        ReasonCode::QuotaExceeded,
        |net, client| {
            for identifier in 1..=2 {
                let packet = Publish {
                    packet_identifier: Some(id(identifier)),
                    ..publish("t", &[0; 700], QoS::ExactlyOnce)
                };
                net.send(client, V5, &Packet::Publish(packet));
            }
        },
    ),
    (
        "broken text at QoS 0",
        ReasonCode::PayloadFormatInvalid,
        |net, client| {
            net.send_bytes(client, &[0x30, 7, 0, 1, b't', 2, 1, 1, 0xFF]);
        },
    ),
    ("silence", ReasonCode::KeepAliveTimeout, |net, _| {
        net.pass(Nanos::from_secs(16));
    }),
    ("a takeover", ReasonCode::SessionTakenOver, |net, _| {
        net.connect(0, client(V5, "guilty"));
    }),
    (
        "not keeping up",
        ReasonCode::QuotaExceeded,
        |net, client| {
            net.send_bytes(client, &subscribe(&[("f", QoS::AtMostOnce)], V5, 0));
            let mut flood = Vec::new();
            Packet::Publish(publish("f", &[b'x'; 15], QoS::AtMostOnce)).encode(V5, &mut flood);
            net.send_bytes(client, &flood.repeat(200));
        },
    ),
    ("a drain", ReasonCode::ServerShuttingDown, |net, _| {
        for shard in &mut net.shards {
            shard.start_drain();
        }
        net.settle();
    }),
];

fn strict(shards: u16) -> Net {
    Net::with(shards, |config| {
        config.max_packet_size = 1_000;
        config.queue_bytes = 1_000;
        config.queue_policy = QueuePolicy::Disconnect;
        config.check_payload_format = true;
        config.receive_maximum = 2;
    })
}

/// `[MQTT5-3.1.2-29]` `[MQTT5-3.14.2-1]` `[MQTT5-3.14.2-3]` `[MQTT5-4.13.2-1]`
#[test]
fn a_disconnect_with_code_and_words_goes_before_every_close() {
    for (name, reason, end) in ENDS {
        for (wishes, words) in [
            (vec![], true),
            // Allowed on DISCONNECT whatever the client says.
            (vec![Property::RequestProblemInformation(false)], true),
            (vec![TIGHT], false),
        ] {
            let mut net = strict(2);
            let wishes = properties(&wishes);
            let socket = net.connect(
                1,
                Connect {
                    keep_alive_seconds: 10,
                    properties: wishes.as_properties(),
                    ..client(V5, "guilty")
                },
            );
            assert_eq!(net.told(socket).0, ReasonCode::Success, "{name}");
            end(&mut net, socket);
            assert!(net.sockets[socket].is_closed, "{name}");
            assert_eq!(net.told(socket), (*reason, words), "{name}");
        }
    }
}

/// `[MQTT311-4.8.0-1]`
#[test]
fn a_client_of_version_3_is_closed_without_a_word() {
    let v3 = Version::V3_1_1;
    let mut net = strict(2);
    let old = net.connect(0, client(v3, "old"));
    net.read(old, v3);
    net.send_bytes(old, &[0x30, 4, 0, 1, b'+', 0]);
    assert!(net.sockets[old].is_closed && net.sockets[old].received.is_empty());
}

/// `[MQTT5-3.1.2-29]` `[MQTT5-3.4.2-2]` `[MQTT5-3.5.2-2]` `[MQTT5-3.6.2-2]` `[MQTT5-3.7.2-2]`
/// `[MQTT5-3.9.2-1]` `[MQTT5-3.11.2-1]`
#[test]
fn failing_acknowledgements_say_why_if_the_client_wants_it_and_takes_it() {
    let broken = |kind: u8| vec![kind, 9, 0, 1, b't', 0, 7, 2, 1, 1, 0xFF];
    let cases = [
        ("PUBACK", broken(0x32), ReasonCode::PayloadFormatInvalid),
        ("PUBREC", broken(0x34), ReasonCode::PayloadFormatInvalid),
        (
            "PUBREL",
            vec![0x50, 2, 0, 7],
            ReasonCode::PacketIdentifierNotFound,
        ),
        (
            "PUBCOMP",
            vec![0x62, 2, 0, 7],
            ReasonCode::PacketIdentifierNotFound,
        ),
        (
            "SUBACK",
            subscribe(&[("a", QoS::AtMostOnce), ("a/#/b", QoS::AtMostOnce)], V5, 0),
            ReasonCode::TopicFilterInvalid,
        ),
        (
            "UNSUBACK",
            vec![0xA2, 7, 0, 1, 0, 0, 2, b'#', b'#'],
            ReasonCode::TopicFilterInvalid,
        ),
    ];
    for (wishes, words) in [
        (vec![], true),
        (vec![Property::RequestProblemInformation(true)], true),
        (vec![Property::RequestProblemInformation(false)], false),
        (vec![TIGHT], false),
    ] {
        let mut net = strict(1);
        let wishes = properties(&wishes);
        let connect = Connect {
            properties: wishes.as_properties(),
            ..client(V5, "c")
        };
        let socket = net.connect(0, connect);
        for (name, bytes, reason) in &cases {
            net.send_bytes(socket, bytes);
            assert_eq!(net.told(socket), (*reason, words), "{name}");
        }
        assert!(!net.sockets[socket].is_closed);
    }
}

/// Success needs no words.
#[test]
fn acknowledgements_of_success_are_as_short_as_they_can_be() {
    let mut net = Net::new(1);
    let socket = net.connect(0, client(V5, "c"));
    net.read(socket, V5);
    let packet = publish("t", b"x", QoS::ExactlyOnce);
    net.send(socket, V5, &Packet::Publish(packet));
    net.send(socket, V5, &Packet::PubRel(Ack::new(id(1))));
    assert_eq!(net.sockets[socket].received, [0x50, 2, 0, 1, 0x70, 2, 0, 1]);
}

/// `[MQTT5-3.1.2-29]` `[MQTT5-3.2.2-19]`
#[test]
fn a_refused_connect_is_told_why_within_its_maximum_packet_size() {
    let method = Property::AuthenticationMethod("none");
    for (wishes, told) in [
        (vec![method], Some(true)),
        (
            vec![method, Property::RequestProblemInformation(false)],
            Some(true),
        ),
        (vec![method, Property::MaximumPacketSize(5)], Some(false)),
        // Not even the code fits.
        (vec![method, Property::MaximumPacketSize(4)], None),
    ] {
        let mut net = Net::new(1);
        let wishes = properties(&wishes);
        let connect = Connect {
            properties: wishes.as_properties(),
            ..client(V5, "c")
        };
        let socket = net.connect(0, connect);
        assert!(net.sockets[socket].is_closed);
        let expected = told.map(|words| (ReasonCode::BadAuthenticationMethod, words));
        let seen = net.read_with(socket, V5, super::reasons::told);
        assert_eq!(seen, expected.into_iter().map(Some).collect::<Vec<_>>());
    }
}

/// The maximum is heeded even where something behind it is malformed.
/// `[MQTT5-3.2.2-19]`
#[test]
fn a_malformed_connect_has_a_maximum_packet_size_if_it_can_be_read() {
    let head = |maximum: &[u8], will_topic: u8| {
        let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 5, 4, 0, 0];
        body.push(u8::try_from(maximum.len()).unwrap());
        body.extend_from_slice(maximum);
        body.extend_from_slice(&[0, 0, 0, 0, 1, will_topic, 0, 0]);
        let mut packet = vec![0x10, u8::try_from(body.len()).unwrap()];
        packet.extend(body);
        packet
    };
    for (maximum, words) in [(&[][..], true), (&[0x27, 0, 0, 0, 9], false)] {
        let mut net = Net::new(1);
        let socket = net.open(0);
        net.send_bytes(socket, &head(maximum, b'#'));
        assert_eq!(net.told(socket), (ReasonCode::MalformedPacket, words));
    }
}

/// `[MQTT5-3.1.2-24]`: nothing larger than the maximum is sent, so a client that takes no CONNACK
/// is refused, and its session is left alone.
#[test]
fn a_client_that_takes_no_connack_is_refused_before_anything_else() {
    let mut net = Net::new(1);
    let first = net.connect(0, client(V5, "c"));
    let wishes = properties(&[Property::MaximumPacketSize(10)]);
    let connect = Connect {
        properties: wishes.as_properties(),
        ..client(V5, "c")
    };
    let second = net.connect(0, connect);
    assert_eq!(net.told(second), (ReasonCode::PacketTooLarge, false));
    assert!(net.sockets[second].is_closed && !net.sockets[first].is_closed);
}

/// `[MQTT5-3.1.2-24]`
#[test]
fn an_answer_that_the_client_would_not_take_ends_the_connection() {
    let mut net = Net::new(1);
    let wishes = properties(&[TIGHT]);
    let connect = Connect {
        properties: wishes.as_properties(),
        ..client(V5, "c")
    };
    let socket = net.connect(0, connect);
    let filters: Vec<String> = (0..40).map(|n| n.to_string()).collect();
    let wanted: Vec<_> = filters
        .iter()
        .map(|f| (f.as_str(), QoS::AtMostOnce))
        .collect();
    net.send_bytes(socket, &subscribe(&wanted, V5, 0));
    assert_eq!(net.told(socket), (ReasonCode::PacketTooLarge, false));
    assert!(net.sockets[socket].is_closed);
}

/// Words are static and short enough for any client that takes a few hundred bytes.
#[test]
fn every_property_of_a_refusal_is_a_reason_string() {
    let mut net = Net::new(1);
    let socket = net.connect(0, client(Version::V5, "c"));
    net.read(socket, V5);
    net.send_bytes(socket, &[0x00, 0x00]);
    let only = |packet: &Packet<'_>| match packet {
        Packet::Disconnect(packet) => {
            let ids: Vec<_> = packet.properties.iter().map(|p| p.id()).collect();
            assert_eq!(ids, [PropertyId::ReasonString]);
            packet.properties.reason_string().unwrap().len()
        }
        other => panic!("{other:?}"),
    };
    assert!(net.read_with(socket, V5, only)[0] < 100);
}
