//! Single statements that no other test happens to ask for.

use crate::BOTH;
use ringbus_protocols::mqtt::{
    Packet, PacketType, Properties, PropertiesBuf, Property, Publish, QoS, Version,
};
use ringbus_tests::broker::Broker;
use ringbus_tests::client::{Client, Hello};

const ONE: QoS = QoS::AtLeastOnce;

/// `[MQTT5-3.1.3-5]` `[MQTT311-3.1.3-5]`
#[test]
fn mqtt_3_1_3_5_all_letters_and_digits_make_client_identifiers() {
    const CHARACTERS: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let broker = Broker::start();
    for version in BOTH {
        for client_id in CHARACTERS.chunks(23) {
            let client_id = std::str::from_utf8(client_id).expect("ASCII");
            Client::open(&broker, version, client_id).ping();
        }
    }
    broker.stop();
}

/// `[MQTT311-3.1.2-12]`
#[test]
fn mqtt311_3_1_2_12_without_a_will_nothing_is_published() {
    let broker = Broker::start();
    let mut watcher = Client::open(&broker, Version::V3_1_1, "watcher");
    watcher.subscribe("#", ONE);
    for version in BOTH {
        Client::open(&broker, version, "mortal").cut();
        Client::hello(&broker, &Hello::persistent(version, "mortal"))
            .0
            .cut();
    }
    watcher.publish("fence", "", ONE, false);
    watcher.expect("fence", "", ONE, false);
    watcher.expect_nothing();
    broker.stop();
}

/// `[MQTT5-3.1.2-14]` `[MQTT311-3.1.2-16]`
#[test]
fn mqtt_3_1_2_14_a_will_without_retain_is_not_kept() {
    let broker = Broker::start();
    let mut watcher = Client::open(&broker, Version::V5, "watcher");
    watcher.subscribe("will/#", ONE);
    for version in BOTH {
        let hello = Hello::new(version, "mortal").with_will("will/t", "gone", ONE, false);
        Client::hello(&broker, &hello).0.cut();
        watcher.expect("will/t", "gone", ONE, false);
        let mut late = Client::open(&broker, version, "late");
        late.subscribe("will/#", ONE);
        late.expect_nothing();
    }
    broker.stop();
}

/// `[MQTT5-3.1.3-10]`
#[test]
fn mqtt5_3_1_3_10_the_user_properties_of_a_will_keep_their_order() {
    let broker = Broker::start();
    let mut watcher = Client::open(&broker, Version::V5, "watcher");
    watcher.subscribe("will/#", ONE);
    let mut hello = Hello::new(Version::V5, "mortal").with_will("will/t", "gone", ONE, false);
    let pairs = [("b", "1"), ("a", "2"), ("b", "1"), ("", "3")];
    for pair in pairs {
        let will = hello.will.as_mut().expect("a will");
        will.properties.push(Property::UserProperty(pair));
    }
    Client::hello(&broker, &hello).0.cut();
    let message = watcher.expect("will/t", "gone", ONE, false);
    let mut expected = PropertiesBuf::new();
    for pair in pairs {
        expected.push(Property::UserProperty(pair));
    }
    assert_eq!(message.properties, expected.as_properties().as_raw());
    broker.stop();
}

/// `[MQTT5-3.1.4-6]` `[MQTT311-3.1.4-5]`
#[test]
fn mqtt_3_1_4_6_what_follows_a_refused_connect_is_not_served() {
    let broker = Broker::start();
    let mut watcher = Client::open(&broker, Version::V5, "watcher");
    watcher.subscribe("#", ONE);
    let publish = Packet::Publish(Publish {
        topic: "sneaked",
        ..Publish::default()
    });
    let mut without_id = Hello::new(Version::V3_1_1, "");
    without_id.clean_start = false;
    let method = Property::AuthenticationMethod("unknown");
    let unknown = Hello::new(Version::V5, "unknown").with(method);
    for (hello, code) in [(without_id, 0x02), (unknown, 0x8C)] {
        let mut bytes = hello.encode();
        publish.encode(hello.version, &mut bytes);
        let mut client = Client::raw(broker.address(), hello.version);
        client.send_bytes(&bytes);
        assert_eq!(client.refused(), code);
    }
    watcher.publish("fence", "", ONE, false);
    watcher.expect("fence", "", ONE, false);
    watcher.expect_nothing();
    broker.stop();
}

/// `[MQTT5-3.3.2-7]`
#[test]
fn mqtt5_3_3_2_7_a_topic_alias_ends_with_its_connection() {
    let broker = Broker::start();
    let hello = Hello::persistent(Version::V5, "alias");
    let (mut client, _) = Client::hello(&broker, &hello);
    client.send_aliased("topic", 1);
    client.send_aliased("", 1);
    client.ping();
    client.disconnect();
    let (mut back, present) = Client::hello(&broker, &hello);
    assert!(present);
    back.send_aliased("", 1);
    assert_eq!(back.disconnected(), Some(0x82));
    broker.stop();
}

/// `[MQTT5-3.10.4-3]` `[MQTT311-3.10.4-3]`
#[test]
fn mqtt_3_10_4_3_a_delivery_that_has_begun_outlives_its_subscription() {
    let broker = Broker::start();
    let mut publisher = Client::open(&broker, Version::V5, "publisher");
    for version in BOTH {
        for qos in [ONE, QoS::ExactlyOnce] {
            let hello = Hello::persistent(version, "leaver");
            let (mut client, _) = Client::hello(&broker, &hello);
            client.subscribe("begun", qos);
            publisher.publish("begun", "first", QoS::ExactlyOnce, false);
            let first = client.message_unacknowledged();
            assert_eq!((first.dup, first.qos), (false, qos));
            client.unsubscribe(&["begun"]);
            client.cut();
            let (mut client, present) = Client::hello(&broker, &hello);
            assert!(present);
            let again = client.message();
            assert_eq!(again.packet_identifier, first.packet_identifier);
            assert!(again.dup);
            client.disconnect();
            Client::open(&broker, version, "leaver").disconnect();
        }
    }
    broker.stop();
}

/// `[MQTT5-4.3.2-5]` `[MQTT311-4.3.2-2]`
#[test]
fn mqtt_4_3_2_5_after_puback_the_same_identifier_is_a_new_message() {
    let broker = Broker::start();
    for version in BOTH {
        let mut client = Client::open(&broker, version, "client");
        client.subscribe("new", ONE);
        let packet_identifier = Some(client.new_packet_identifier());
        for dup in [false, true] {
            client.send(&Packet::Publish(Publish {
                dup,
                qos: ONE,
                topic: "new",
                packet_identifier,
                properties: Properties::default(),
                ..Publish::default()
            }));
            assert_eq!(Some(client.ack(PacketType::PubAck).0), packet_identifier);
            client.expect("new", "", ONE, false);
        }
    }
    broker.stop();
}
