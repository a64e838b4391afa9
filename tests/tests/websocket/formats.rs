//! Text and binary frames beside the payload format indicator: `[MQTT5 3.3.2.3.2]`.

use crate::{fresh, shared};
use ringbus_protocols::mqtt::{Packet, PacketType, PropertiesBuf, Property, Publish, QoS, Version};
use ringbus_tests::client::Client;
use ringbus_tests::web::{BINARY, TEXT, WebClient};

const V3: Version = Version::V3_1_1;
const V5: Version = Version::V5;

fn publish(client: &mut Client, topic: &str, payload: &[u8], indicator: Option<bool>) {
    let mut properties = PropertiesBuf::new();
    if let Some(indicator) = indicator {
        properties.push(Property::PayloadFormatIndicator(indicator));
    }
    let properties = properties.as_properties();
    client.send(&Packet::Publish(Publish {
        topic,
        payload,
        properties,
        ..Publish::default()
    }));
}

#[test]
fn mqtt5_3_3_2_3_2_text_is_format_indicator_1_in_both_directions() {
    let broker = shared();
    let topic = fresh("format");
    let mut web = WebClient::open(&broker, &format!("/{topic}"));
    let mut five = Client::open(&broker, V5, "format-five");
    five.subscribe(&topic, QoS::AtMostOnce);
    for (indicator, opcode) in [(Some(true), TEXT), (Some(false), BINARY), (None, BINARY)] {
        publish(&mut five, &topic, "κόσμε".as_bytes(), indicator);
        web.expect(opcode, "κόσμε");
        five.message();
    }
    for (opcode, is_text) in [(TEXT, true), (BINARY, false)] {
        web.echo(opcode, "from the web");
        let received = five.receive_only(PacketType::Publish);
        let Packet::Publish(publish) = received.packet() else {
            unreachable!("by its type")
        };
        let indicator = publish.properties.payload_format_indicator();
        assert_eq!(indicator == Some(true), is_text, "{indicator:?}");
        assert_eq!(publish.payload, b"from the web");
    }
}

#[test]
fn messages_of_version_3_are_binary() {
    let broker = shared();
    let topic = fresh("format");
    let mut web = WebClient::open(&broker, &format!("/{topic}"));
    let mut three = Client::open(&broker, V3, "format-three");
    three.subscribe(&topic, QoS::AtMostOnce);
    three.publish(&topic, "words", QoS::AtMostOnce, false);
    web.expect(BINARY, "words");
    three.expect(&topic, "words", QoS::AtMostOnce, false);
    web.echo(TEXT, "back");
    three.expect(&topic, "back", QoS::AtMostOnce, false);
}

/// `[RFC6455 5.6]` A text frame is UTF-8, whatever a publisher says of its payload.
#[test]
fn rfc6455_5_6_a_lie_about_the_format_is_no_text_frame() {
    let broker = shared();
    let topic = fresh("format");
    let mut web = WebClient::open(&broker, &format!("/{topic}"));
    let mut liar = Client::raw(broker.address(), V5);
    liar.send_bytes(&ringbus_tests::client::Hello::new(V5, "format-liar").encode());
    liar.connected(|_| ());
    publish(&mut liar, &topic, b"not \xff UTF-8", Some(true));
    // Refused, or passed on as what it is.
    if liar.answers_ping().is_some() {
        web.expect(BINARY, b"not \xff UTF-8");
    }
    web.echo(TEXT, "after");
}
