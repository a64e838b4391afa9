//! What the packets of a server must not hold.

use ringbus_protocols::mqtt::{
    Ack, Packet, PacketIdentifier, Properties, PropertiesBuf, Property, PropertyId, Publish, QoS,
    ReasonCode, SubscribeFilter, Unsubscribe, Version,
};
use ringbus_tests::broker::Broker;
use ringbus_tests::client::{Client, Hello, Received};

/// The properties of a packet from the server.
fn properties<'a>(packet: &Packet<'a>) -> Properties<'a> {
    match packet {
        Packet::ConnAck(packet) => packet.properties,
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            ack.properties
        }
        Packet::SubAck(packet) => packet.properties,
        Packet::UnsubAck(packet) => packet.properties,
        Packet::Disconnect(packet) => packet.properties,
        other => panic!("a server does not send {other:?}"),
    }
}

fn ack(identifier: PacketIdentifier) -> Ack<'static> {
    Ack {
        packet_identifier: identifier,
        reason: ReasonCode::Success,
        properties: Properties::default(),
    }
}

/// Makes the server answer with each packet that it has, most of them with a failure.
fn provoke(client: &mut Client, mut judge: impl FnMut(&Received)) {
    let identifier = PacketIdentifier::new(7).expect("above zero");
    let mut broken = PropertiesBuf::new();
    broken.push(Property::PayloadFormatIndicator(true));
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        client.send(&Packet::Publish(Publish {
            qos,
            topic: "t",
            packet_identifier: Some(identifier),
            properties: broken.as_properties(),
            payload: b"\xFF",
            ..Publish::default()
        }));
        judge(&client.receive());
    }
    client.send(&Packet::PubRec(ack(identifier)));
    judge(&client.receive());
    client.send(&Packet::PubRel(ack(identifier)));
    judge(&client.receive());
    client.send_subscribe(&[SubscribeFilter::new("a/#/b", QoS::AtMostOnce)], None);
    judge(&client.receive());
    let mut unsubscribe = Vec::new();
    let none = Properties::default();
    Unsubscribe::encode_from(identifier, &none, &["a/#/b"], Version::V5, &mut unsubscribe);
    client.send_bytes(&unsubscribe);
    judge(&client.receive());
    client.send(&Packet::PubComp(ack(identifier)));
    client.send_bytes(&[0x36, 0x06, 0, 1, b'a', 0, 1, 0]);
    judge(&client.receive());
    client.closed();
}

/// Neither words nor user properties make a packet larger than the client takes, and a server's
/// DISCONNECT says nothing about the session.
/// `[MQTT5-3.1.2-24]` `[MQTT5-3.2.2-19]` `[MQTT5-3.2.2-20]` `[MQTT5-3.4.2-2]` `[MQTT5-3.4.2-3]`
/// `[MQTT5-3.5.2-2]` `[MQTT5-3.5.2-3]` `[MQTT5-3.6.2-2]` `[MQTT5-3.6.2-3]` `[MQTT5-3.7.2-2]`
/// `[MQTT5-3.7.2-3]` `[MQTT5-3.9.2-1]` `[MQTT5-3.9.2-2]` `[MQTT5-3.11.2-1]` `[MQTT5-3.11.2-2]`
/// `[MQTT5-3.14.2-2]` `[MQTT5-3.14.2-3]` `[MQTT5-3.14.2-4]`
#[test]
fn mqtt5_3_1_2_24_no_packet_is_larger_than_the_client_takes() {
    let broker = Broker::start_with(&["--check-payload-format"]);
    let mut seen = Vec::new();
    // The CONNACK of this server takes 24 bytes.
    for maximum in (24..60).chain([1_000]) {
        let hello =
            Hello::persistent(Version::V5, "narrow").with(Property::MaximumPacketSize(maximum));
        let mut client = Client::raw(broker.address(), Version::V5);
        client.send_bytes(&hello.encode());
        let mut judge = |received: &Received| {
            let packet = received.packet();
            let mut bytes = Vec::new();
            packet.encode(Version::V5, &mut bytes);
            let size = u32::try_from(bytes.len()).expect("small");
            assert!(size <= maximum, "{size} bytes of {maximum}: {packet:?}");
            let properties = properties(&packet);
            assert!(!properties.has(PropertyId::UserProperty) || maximum == 1_000);
            if matches!(packet, Packet::Disconnect(_)) {
                assert_eq!(properties.session_expiry_interval(), None);
            }
            if properties.reason_string().is_some() {
                seen.push(bytes[0] >> 4);
            }
        };
        judge(&client.receive());
        provoke(&mut client, judge);
    }
    // Words were there to be left out: in all but CONNACK, which does not fail here.
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, [4, 5, 6, 7, 9, 11, 14], "packets with words");
    broker.stop();
}

/// `[MQTT5-3.1.2-28]` `[MQTT5-4.12.0-6]`
#[test]
fn mqtt5_3_1_2_28_connack_has_nothing_that_was_not_asked_for() {
    let broker = Broker::start();
    for wish in [None, Some(Property::RequestResponseInformation(false))] {
        let hello = Hello::new(Version::V5, "modest");
        let hello = match wish {
            Some(wish) => hello.with(wish),
            None => hello,
        };
        let mut client = Client::raw(broker.address(), Version::V5);
        client.send_bytes(&hello.encode());
        // The first packet: no AUTH comes before it.
        client.connected(|connack| {
            let properties = connack.properties;
            for property in [
                PropertyId::ResponseInformation,
                PropertyId::AuthenticationMethod,
                PropertyId::AuthenticationData,
            ] {
                assert!(!properties.has(property), "{properties:?}");
            }
        });
        client.expect_nothing();
    }
    broker.stop();
}
