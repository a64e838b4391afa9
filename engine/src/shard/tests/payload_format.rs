//! `--check-payload-format`.

use super::*;

fn marked(topic: &str, payload: &[u8], qos: QoS, alias: u16) -> Vec<u8> {
    let mut properties = PropertiesBuf::new();
    properties.push(Property::PayloadFormatIndicator(true));
    if alias > 0 {
        properties.push(Property::TopicAlias(alias));
    }
    let mut bytes = Vec::new();
    let packet = Publish {
        properties: properties.as_properties(),
        ..publish(topic, payload, qos)
    };
    Packet::Publish(packet).encode(V5, &mut bytes);
    bytes
}

fn net(checks: bool) -> (Net, usize, usize) {
    let mut net = Net::with(1, |config| config.check_payload_format = checks);
    let subscriber = net.connect(0, client(V5, "s"));
    net.send_bytes(subscriber, &subscribe(&[("#", QoS::AtMostOnce)], V5, 0));
    let publisher = net.connect(0, client(V5, "p"));
    net.read(subscriber, V5);
    net.read(publisher, V5);
    (net, subscriber, publisher)
}

#[test]
fn broken_text_is_refused_and_reaches_nobody() {
    for (qos, answer) in [
        (QoS::AtLeastOnce, "puback #1 PayloadFormatInvalid"),
        (QoS::ExactlyOnce, "pubrec #1 PayloadFormatInvalid"),
    ] {
        let (mut net, subscriber, publisher) = net(true);
        net.send_bytes(publisher, &marked("a", b"\xFF", qos, 3));
        assert_eq!(net.read(publisher, V5), [answer]);
        assert_eq!(net.read(subscriber, V5), [""; 0]);
        // The connection goes on, and its alias holds.
        net.send_bytes(publisher, &marked("", b"text", QoS::AtLeastOnce, 3));
        assert_eq!(net.read(publisher, V5), ["puback #1 Success"]);
        assert_eq!(net.read(subscriber, V5), ["publish a=text q0 #0"]);
    }
    let (mut net, subscriber, publisher) = net(true);
    net.send_bytes(publisher, &marked("a", b"\xC0\x80", QoS::AtMostOnce, 0));
    assert_eq!(net.read(publisher, V5), ["disconnect PayloadFormatInvalid"]);
    assert!(net.sockets[publisher].is_closed);
    assert_eq!(net.read(subscriber, V5), [""; 0]);
}

#[test]
fn bytes_that_are_not_marked_are_nobodys_business() {
    for checks in [true, false] {
        let (mut net, subscriber, publisher) = net(checks);
        let plain = Packet::Publish(publish("a", b"\xFF", QoS::AtMostOnce));
        net.send(publisher, V5, &plain);
        if !checks {
            net.send_bytes(publisher, &marked("a", b"\xFF", QoS::AtMostOnce, 0));
        }
        let got = net.read(subscriber, V5).len();
        assert_eq!(got, if checks { 1 } else { 2 });
    }
}

#[test]
fn a_will_of_broken_text_is_refused_with_its_connect() {
    let mut properties = PropertiesBuf::new();
    properties.push(Property::PayloadFormatIndicator(true));
    for (checks, word) in [
        (true, "connack PayloadFormatInvalid false"),
        (false, "connack Success false"),
    ] {
        let (mut net, ..) = net(checks);
        let will = Will {
            topic: TopicName::parse("will").unwrap(),
            payload: b"\xFF",
            qos: QoS::AtMostOnce,
            retain: false,
            properties: properties.as_properties(),
        };
        let connect = Connect {
            will: Some(will),
            ..client(V5, "w")
        };
        let socket = net.connect(0, connect);
        assert_eq!(net.read(socket, V5), [word]);
        assert_eq!(net.sockets[socket].is_closed, checks);
    }
}
