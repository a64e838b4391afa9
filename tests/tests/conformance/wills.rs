//! Wills: section 3.1.2.5 and, in version 5, 3.1.3.2.

use crate::BOTH;
use ringbus_protocols::mqtt::{PropertiesBuf, Property, QoS, ReasonCode, Version};
use ringbus_tests::broker::Broker;
use ringbus_tests::client::{Client, Hello};

const ONE: QoS = QoS::AtLeastOnce;

fn watcher(broker: &Broker) -> Client {
    let mut watcher = Client::open(broker, Version::V5, "watcher");
    watcher.subscribe("will/#", QoS::ExactlyOnce);
    watcher
}

/// `[MQTT5-3.1.2-7]` `[MQTT5-3.1.2-8]` `[MQTT311-3.1.2-8]`
#[test]
fn mqtt_3_1_2_8_a_cut_connection_sends_its_will() {
    let broker = Broker::start();
    let mut watcher = watcher(&broker);
    for version in BOTH {
        for (number, qos) in [QoS::AtMostOnce, ONE, QoS::ExactlyOnce]
            .into_iter()
            .enumerate()
        {
            let topic = format!("will/{number}");
            let hello = Hello::new(version, "mortal").with_will(&topic, "gone", qos, false);
            Client::hello(&broker, &hello).0.cut();
            watcher.expect(&topic, "gone", qos, false);
        }
    }
    watcher.expect_nothing();
    broker.stop().assert_mail_crossed();
}

/// `[MQTT5-3.1.2-8]` `[MQTT311-3.1.2-8]`
#[test]
fn mqtt_3_1_2_8_a_protocol_error_sends_the_will() {
    let broker = Broker::start();
    let mut watcher = watcher(&broker);
    for version in BOTH {
        let hello = Hello::new(version, "mortal").with_will("will/t", "gone", ONE, false);
        let (mut client, _) = Client::hello(&broker, &hello);
        client.send_bytes(&[0xF0 | 0x05, 0x00]);
        client.disconnected();
        watcher.expect("will/t", "gone", ONE, false);
    }
    broker.stop();
}

/// `[MQTT5-3.1.2-10]` `[MQTT5-3.14.4-3]` `[MQTT311-3.1.2-10]` `[MQTT311-3.14.4-3]`
#[test]
fn mqtt_3_1_2_10_disconnect_removes_the_will() {
    let broker = Broker::start();
    let mut watcher = watcher(&broker);
    for version in BOTH {
        let hello = Hello::new(version, "polite").with_will("will/t", "never", ONE, false);
        Client::hello(&broker, &hello).0.disconnect();
        watcher.publish("will/t", "fence", ONE, false);
        watcher.expect("will/t", "fence", ONE, false);
    }
    watcher.expect_nothing();
    broker.stop();
}

/// `[MQTT5-3.1.2-8]`
#[test]
fn mqtt5_3_14_2_1_disconnect_with_will_message_sends_it() {
    let broker = Broker::start();
    let mut watcher = watcher(&broker);
    let hello = Hello::new(Version::V5, "wants").with_will("will/t", "sent", ONE, false);
    let client = Client::hello(&broker, &hello).0;
    client.disconnect_with(
        ReasonCode::DisconnectWithWill,
        PropertiesBuf::new().as_properties(),
    );
    watcher.expect("will/t", "sent", ONE, false);
    broker.stop();
}

/// `[MQTT5-3.1.2-15]` `[MQTT311-3.1.2-7]` `[MQTT311-3.1.2-17]`
#[test]
fn mqtt_3_1_2_17_a_retained_will_is_retained() {
    let broker = Broker::start();
    for version in BOTH {
        let mut watcher = watcher(&broker);
        let hello = Hello::new(version, "mortal").with_will("will/kept", "dead", ONE, true);
        Client::hello(&broker, &hello).0.cut();
        watcher.expect("will/kept", "dead", ONE, false);
        let mut late = Client::open(&broker, version, "late");
        late.subscribe("will/kept", ONE);
        late.expect("will/kept", "dead", ONE, true);
        late.publish("will/kept", "", ONE, true);
        watcher.disconnect();
    }
    broker.stop();
}

/// A retained will without a payload removes what is retained, and is passed on like any other.
/// `[MQTT5-3.1.2-15]` `[MQTT5-3.3.1-6]` `[MQTT311-3.1.2-17]` `[MQTT311-3.3.1-10]`
#[test]
fn mqtt_3_1_2_17_an_empty_retained_will_removes_what_is_retained() {
    let broker = Broker::start();
    for version in BOTH {
        let mut watcher = watcher(&broker);
        watcher.publish("will/state", "alive", ONE, true);
        watcher.expect("will/state", "alive", ONE, false);
        let hello = Hello::new(version, "mortal").with_will("will/state", "", ONE, true);
        Client::hello(&broker, &hello).0.cut();
        watcher.expect("will/state", "", ONE, false);
        let mut late = Client::open(&broker, version, "late");
        late.subscribe("will/state", ONE);
        late.expect_nothing();
        late.disconnect();
        watcher.disconnect();
    }
    broker.stop();
}

/// `[MQTT5-3.3.2-4]` `[MQTT5-3.3.2-15]` `[MQTT5-3.3.2-16]` `[MQTT5-3.3.2-20]`
#[test]
fn mqtt5_3_1_3_2_will_properties_are_passed_on() {
    let broker = Broker::start();
    let mut watcher = watcher(&broker);
    let mut hello = Hello::new(Version::V5, "mortal").with_will("will/t", "gone", ONE, false);
    let will = hello.will.as_mut().expect("just set");
    for property in [
        Property::PayloadFormatIndicator(true),
        Property::ContentType("text/plain"),
        Property::ResponseTopic("will/answer"),
        Property::CorrelationData(&[0, 1, 0xFF]),
        Property::UserProperty(("why", "cable")),
    ] {
        will.properties.push(property);
    }
    let expected = will.properties.as_properties().as_raw().to_vec();
    Client::hello(&broker, &hello).0.cut();
    assert_eq!(
        watcher.expect("will/t", "gone", ONE, false).properties,
        expected
    );
    broker.stop();
}

/// What a client published before it died comes before its will.
#[test]
fn a_will_comes_after_the_publishes_of_its_client() {
    let broker = Broker::start();
    let mut watcher = watcher(&broker);
    for number in 0..20 {
        let topic = format!("will/{number}");
        let hello = Hello::new(BOTH[number % 2], &format!("mortal{number}"))
            .with_will(&topic, "gone", ONE, false);
        let (mut client, _) = Client::hello(&broker, &hello);
        for value in 0..20 {
            client.send_publish(&topic, value.to_string().as_bytes(), QoS::AtMostOnce, false);
        }
        client.finish_sending();
        for value in 0..20 {
            watcher.expect(&topic, &value.to_string(), QoS::AtMostOnce, false);
        }
        watcher.expect(&topic, "gone", ONE, false);
    }
    broker.stop();
}
