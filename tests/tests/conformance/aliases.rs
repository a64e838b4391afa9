//! Topic aliases towards clients.

use ringbus_protocols::mqtt::{Packet, PacketType, Property, QoS, Version};
use ringbus_tests::broker::Broker;
use ringbus_tests::client::{Client, Hello};

/// The next message: its topic as it is on the wire, and its alias.
fn named(client: &mut Client) -> (String, Option<u16>) {
    let received = client.receive_only(PacketType::Publish);
    let Packet::Publish(publish) = received.packet() else {
        unreachable!("by its type")
    };
    (publish.topic.to_owned(), publish.properties.topic_alias())
}

fn subscriber(broker: &Broker, maximum: u16) -> Client {
    let hello = Hello::new(Version::V5, "subscriber").with(Property::TopicAliasMaximum(maximum));
    let (mut client, _) = Client::hello(broker, &hello);
    client.subscribe("t/#", QoS::AtMostOnce);
    client
}

/// `[MQTT5-3.1.2-26]` `[MQTT5-3.3.2-8]` `[MQTT5-3.3.2-11]`
#[test]
fn mqtt5_3_1_2_26_a_client_is_sent_as_many_aliases_as_it_takes() {
    let broker = Broker::start();
    let mut client = subscriber(&broker, 1);
    let mut publisher = Client::open(&broker, Version::V3_1_1, "publisher");
    for topic in ["t/a", "t/a", "t/b", "t/b", "t/a"] {
        publisher.publish(topic, "x", QoS::AtLeastOnce, false);
    }
    let first = |topic: &str| (topic.to_owned(), Some(1));
    let plain = ("t/b".to_owned(), None);
    for expected in [first("t/a"), first(""), plain.clone(), plain, first("")] {
        assert_eq!(named(&mut client), expected);
    }
    // A new connection of the same client knows none of the old one.
    client.disconnect();
    let mut client = subscriber(&broker, 1);
    publisher.publish("t/a", "x", QoS::AtLeastOnce, false);
    assert_eq!(named(&mut client), first("t/a"));
    broker.stop();
}

/// `--topic-alias-max` bounds both directions, and CONNACK says so.
#[test]
fn topic_alias_max_bounds_both_ways() {
    for (flag, told) in [("0", None), ("2", Some(2))] {
        let broker = Broker::start_with(&["--topic-alias-max", flag]);
        let mut client = Client::raw(broker.address(), Version::V5);
        let hello = Hello::new(Version::V5, "client").with(Property::TopicAliasMaximum(9));
        client.send_bytes(&hello.encode());
        let maximum = client.connected(|connack| connack.properties.topic_alias_maximum());
        assert_eq!(maximum, told);
        client.subscribe("t/#", QoS::AtMostOnce);
        let mut publisher = Client::open(&broker, Version::V5, "publisher");
        for topic in ["t/a", "t/b", "t/c"] {
            publisher.publish(topic, "x", QoS::AtLeastOnce, false);
        }
        let aliases: Vec<_> = (0..3).map(|_| named(&mut client).1).collect();
        let expected: [Option<u16>; 3] = match told {
            None => [None; 3],
            Some(_) => [Some(1), Some(2), None],
        };
        assert_eq!(aliases, expected);
        client.send_aliased("t/x", told.unwrap_or(0) + 1);
        assert_eq!(client.disconnected(), Some(0x94));
        broker.stop();
    }
}
