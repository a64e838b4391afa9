//! Flags that change what a client is allowed.

use ringbus_protocols::mqtt::{Packet, PropertiesBuf, Property, Publish, QoS, ReasonCode, Version};
use ringbus_tests::broker::Broker;
use ringbus_tests::client::{Client, Hello};

/// `[MQTT311-3.1.2-2]`
#[test]
fn versions_refuses_the_others_in_their_own_words() {
    let broker = Broker::start_with(&["--versions", "3.1.1"]);
    for (version, code) in [(Version::V5, 0x84), (Version::V3_1, 0x01)] {
        let mut client = Client::raw(broker.address(), version);
        client.send_bytes(&Hello::new(version, "other").encode());
        assert_eq!(client.refused(), code);
    }
    Client::open(&broker, Version::V3_1_1, "spoken").ping();
    broker.stop();
}

#[test]
fn check_payload_format_refuses_text_that_is_none() {
    let broker = Broker::start_with(&["--check-payload-format"]);
    let mut subscriber = Client::open(&broker, Version::V5, "subscriber");
    subscriber.subscribe("text", QoS::AtMostOnce);
    let mut publisher = Client::open(&broker, Version::V5, "publisher");
    let mut properties = PropertiesBuf::new();
    properties.push(Property::PayloadFormatIndicator(true));
    let packet = |qos, packet_identifier| {
        Packet::Publish(Publish {
            qos,
            packet_identifier,
            topic: "text",
            payload: b"\xC3\x28",
            properties: properties.as_properties(),
            ..Publish::default()
        })
    };
    let identifier = Some(publisher.new_packet_identifier());
    publisher.send(&packet(QoS::AtLeastOnce, identifier));
    let (_, code) = publisher.ack(ringbus_protocols::mqtt::PacketType::PubAck);
    assert_eq!(code, ReasonCode::PayloadFormatInvalid as u8);
    publisher.publish("text", "fine", QoS::AtLeastOnce, false);
    subscriber.expect("text", "fine", QoS::AtMostOnce, false);
    publisher.send(&packet(QoS::AtMostOnce, None));
    assert_eq!(publisher.disconnected(), Some(0x99));
    broker.stop();
}

#[test]
fn queue_policy_says_which_waiting_messages_give_way() {
    for (policy, expected) in [("drop-newest", ["1", "2"]), ("drop-oldest", ["3", "4"])] {
        let flags = ["--max-queued-messages", "2", "--queue-policy", policy];
        let broker = Broker::start_with(&flags);
        let hello = Hello::new(Version::V5, "slow").with(Property::ReceiveMaximum(1));
        let (mut slow, _) = Client::hello(&broker, &hello);
        // One owner, one queue to the subscriber: the mark comes after all that came before it.
        slow.subscribe("queue/x/work", QoS::AtLeastOnce);
        slow.subscribe("queue/x/mark", QoS::AtMostOnce);
        let mut publisher = Client::open(&broker, Version::V5, "publisher");
        for number in 0..5 {
            publisher.publish("queue/x/work", &number.to_string(), QoS::AtLeastOnce, false);
        }
        publisher.publish("queue/x/mark", "", QoS::AtMostOnce, false);
        let first = slow.message_unacknowledged();
        assert_eq!(first.payload, b"0");
        slow.expect("queue/x/mark", "", QoS::AtMostOnce, false);
        slow.acknowledge(&first);
        for payload in expected {
            slow.expect("queue/x/work", payload, QoS::AtLeastOnce, false);
        }
        slow.expect_nothing();
        broker.stop();
    }
}
