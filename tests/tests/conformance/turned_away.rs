//! Clients that are turned away, sent elsewhere, or told more than they need.

use ringbus_protocols::mqtt::{Packet, PacketType, Property, QoS, ReasonCode, Version};
use ringbus_tests::broker::Broker;
use ringbus_tests::client::{Client, Hello};

const V3: Version = Version::V3_1_1;
const V5: Version = Version::V5;

/// `[MQTT5-3.1.2-28]`
#[test]
fn mqtt5_3_1_2_28_response_information_is_for_those_who_ask() {
    let broker = Broker::start_with(&["--response-information", "replies/%c"]);
    for (asks, expected) in [
        (Some(true), Some("replies/me")),
        (Some(false), None),
        (None, None),
    ] {
        let hello = Hello::new(V5, "me");
        let hello = match asks {
            Some(asks) => hello.with(Property::RequestResponseInformation(asks)),
            None => hello,
        };
        let mut client = Client::raw(broker.address(), V5);
        client.send_bytes(&hello.encode());
        client.connected(|connack| {
            assert_eq!(connack.properties.response_information(), expected);
        });
    }
    broker.stop();
    // None by default.
    let broker = Broker::start();
    let hello = Hello::new(V5, "me").with(Property::RequestResponseInformation(true));
    let mut client = Client::raw(broker.address(), V5);
    client.send_bytes(&hello.encode());
    client.connected(|connack| {
        assert_eq!(connack.properties.response_information(), None);
    });
    broker.stop();
}

#[test]
fn sigterm_sends_clients_to_the_other_server() {
    let broker = Broker::start_with(&["--server-reference", "there:1884"]);
    let mut clients: Vec<Client> = (0..6)
        .map(|n| Client::open(&broker, V5, &format!("v5-{n}")))
        .collect();
    let mut old = Client::open(&broker, V3, "old");
    broker.terminate();
    for client in &mut clients {
        let received = client.receive();
        let Packet::Disconnect(disconnect) = received.packet() else {
            panic!("{received:?}")
        };
        assert_eq!(disconnect.reason, ReasonCode::UseAnotherServer);
        assert_eq!(disconnect.properties.server_reference(), Some("there:1884"));
        client.closed();
    }
    old.closed();
    assert_eq!(broker.wait().status.code(), Some(0));
}

#[test]
fn a_client_without_a_place_is_sent_to_the_other_server() {
    let flags = ["--max-connections", "1", "--server-reference", "there:1884"];
    let broker = Broker::start_with(&flags);
    let mut only = Client::open(&broker, V5, "only");
    let mut second = Client::raw(broker.address(), V5);
    second.send_bytes(&Hello::new(V5, "second").encode());
    let received = second.receive();
    let Packet::ConnAck(connack) = received.packet() else {
        panic!("{received:?}")
    };
    assert_eq!(connack.reason, ReasonCode::UseAnotherServer);
    assert_eq!(connack.properties.server_reference(), Some("there:1884"));
    second.closed();
    only.ping();
    broker.stop();
}

#[test]
fn a_client_above_its_publish_rate_is_told_and_closed() {
    let broker = Broker::start_with(&["--max-publish-rate", "100"]);
    let mut innocent = Client::open(&broker, V5, "innocent");
    innocent.subscribe("innocent", QoS::AtLeastOnce);
    for version in [V5, V3] {
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
            let mut hasty = Client::open(&broker, version, "hasty");
            hasty.hold();
            // Far more than a second's worth, whatever time it takes to arrive.
            for _ in 0..2_000 {
                hasty.send_publish("t", b"x", qos, false);
            }
            hasty.release();
            let reason = loop {
                match hasty.receive_or_end() {
                    Some(received) if received.is_of(PacketType::PubAck) => {}
                    Some(received) => break received.disconnect_reason(),
                    None => break None,
                }
            };
            assert_eq!(reason, (version == V5).then_some(0x96), "{qos:?}");
        }
    }
    innocent.publish("innocent", "x", QoS::AtLeastOnce, false);
    innocent.expect("innocent", "x", QoS::AtLeastOnce, false);
    broker.stop();
}

#[test]
fn a_crowd_above_the_connect_rate_is_told_and_closed() {
    let broker = Broker::start_with(&["--max-connect-rate", "1"]);
    let mut first = Client::open(&broker, V5, "first");
    // Two at once: one may be within the next second already, not both.
    for (version, code) in [(V5, 0x9F), (V3, 3)] {
        let mut crowd: Vec<Client> = (0..4)
            .map(|n| {
                let mut client = Client::raw(broker.address(), version);
                client.send_bytes(&Hello::new(version, &format!("crowd{n}")).encode());
                client
            })
            .collect();
        let codes: Vec<u8> = crowd
            .iter_mut()
            .map(|client| client.receive().body()[1])
            .collect();
        let refused = codes.iter().filter(|&&got| got == code).count();
        assert!(refused >= 2, "{codes:?}");
        assert!(
            codes.iter().all(|&got| got == code || got == 0),
            "{codes:?}"
        );
    }
    first.ping();
    broker.stop();
}
