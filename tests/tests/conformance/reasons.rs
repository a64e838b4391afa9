//! What a client is told when something fails.

use ringbus_protocols::mqtt::{Packet, Property, QoS, Version};
use ringbus_tests::broker::Broker;
use ringbus_tests::client::{Client, Hello, Received};

/// The Reason String of a packet from the broker.
fn words(received: &Received) -> Option<String> {
    let properties = match received.packet() {
        Packet::ConnAck(packet) => packet.properties,
        Packet::SubAck(packet) => packet.properties,
        Packet::Disconnect(packet) => packet.properties,
        other => panic!("{other:?}"),
    };
    properties.reason_string().map(str::to_owned)
}

/// `[MQTT5-3.1.2-29]` `[MQTT5-3.2.2-19]` `[MQTT5-3.9.2-1]` `[MQTT5-3.14.2-3]`
#[test]
fn mqtt5_3_1_2_29_reason_strings_come_where_the_client_wants_and_takes_them() {
    let broker = Broker::start();
    for (wish, in_suback, in_disconnect) in [
        (None, true, true),
        (Some(Property::RequestProblemInformation(true)), true, true),
        (
            Some(Property::RequestProblemInformation(false)),
            false,
            true,
        ),
        (Some(Property::MaximumPacketSize(30)), false, false),
    ] {
        let hello = Hello::new(Version::V5, "client");
        let hello = match wish {
            Some(wish) => hello.with(wish),
            None => hello,
        };
        let (mut client, _) = Client::hello(&broker, &hello);
        let bad = ringbus_protocols::mqtt::SubscribeFilter::new("a/#/b", QoS::AtMostOnce);
        client.send_subscribe(&[bad], None);
        let suback = client.receive();
        assert_eq!(words(&suback).is_some(), in_suback, "{wish:?}: {suback:?}");
        client.send_bytes(&[0x30, 4, 0, 1, b'#', 0]);
        let disconnect = client.receive();
        assert_eq!(disconnect.disconnect_reason(), Some(0x81));
        let expected = in_disconnect.then_some("a topic name cannot contain + or #".to_owned());
        assert_eq!(words(&disconnect), expected, "{wish:?}");
        client.closed();
    }
    broker.stop();
}

/// `[MQTT5-3.1.2-24]` `[MQTT5-3.2.2-19]`
#[test]
fn mqtt5_3_2_2_19_a_refusal_says_why_if_there_is_room_for_it() {
    let broker = Broker::start();
    for (maximum, expected) in [(1_000, true), (8, false)] {
        let hello = Hello::new(Version::V5, "client")
            .with(Property::AuthenticationMethod("unknown"))
            .with(Property::MaximumPacketSize(maximum));
        let mut client = Client::raw(broker.address(), Version::V5);
        client.send_bytes(&hello.encode());
        let connack = client.receive();
        assert_eq!(words(&connack).is_some(), expected, "{connack:?}");
        client.closed();
    }
    broker.stop();
}
