//! Topic aliases towards clients.

use super::*;

/// A publish as it is on the wire: topic, alias and payload.
fn wire(packet: &Packet<'_>) -> Option<(String, Option<u16>, String)> {
    let Packet::Publish(publish) = packet else {
        return None;
    };
    let payload = String::from_utf8_lossy(publish.payload).into_owned();
    let alias = publish.properties.topic_alias();
    Some((publish.topic.to_owned(), alias, payload))
}

fn taken(net: &mut Net, socket: usize) -> Vec<(String, Option<u16>, String)> {
    let all = net.read_with(socket, V5, wire);
    all.into_iter().flatten().collect()
}

fn named(
    topic: &str,
    alias: impl Into<Option<u16>>,
    payload: &str,
) -> (String, Option<u16>, String) {
    (topic.to_owned(), alias.into(), payload.to_owned())
}

/// A client that takes so many aliases and wants everything below `t`.
fn subscriber(net: &mut Net, name: &str, more: &[Property<'_>], qos: QoS) -> usize {
    let properties: PropertiesBuf = more.iter().copied().collect();
    let connect = Connect {
        clean_start: false,
        properties: properties.as_properties(),
        ..client(V5, name)
    };
    let socket = net.connect(0, connect);
    net.send_bytes(socket, &subscribe(&[("t/#", qos)], V5, 0));
    taken(net, socket);
    socket
}

fn publish_to(net: &mut Net, publisher: usize, topics: &[&str], qos: QoS) {
    for topic in topics {
        let packet = publish(topic, b"x", qos);
        net.send(publisher, V5, &Packet::Publish(packet));
    }
}

/// `[MQTT5-3.1.2-26]` `[MQTT5-3.1.2-27]` `[MQTT5-3.3.2-8]` `[MQTT5-3.3.2-11]`
#[test]
fn the_first_topics_get_the_aliases_that_the_client_takes() {
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
        for shards in [1, 4] {
            let mut net = Net::new(shards);
            let some = subscriber(&mut net, "s", &[Property::TopicAliasMaximum(2)], qos);
            let none = subscriber(&mut net, "n", &[Property::TopicAliasMaximum(0)], qos);
            let silent = subscriber(&mut net, "m", &[], qos);
            let publisher = net.connect(0, client(V5, "p"));
            let topics = ["t/a", "t/b", "t/a", "t/c", "t/b", "t/c"];
            publish_to(&mut net, publisher, &topics, qos);
            let expected = [
                named("t/a", 1, "x"),
                named("t/b", 2, "x"),
                named("", 1, "x"),
                named("t/c", None, "x"),
                named("", 2, "x"),
                named("t/c", None, "x"),
            ];
            assert_eq!(taken(&mut net, some), expected, "{qos:?}");
            let plain = topics.map(|topic| named(topic, None, "x"));
            assert_eq!(taken(&mut net, none), plain);
            assert_eq!(taken(&mut net, silent), plain);
        }
    }
}

/// The broker's own bound holds as well as the client's; 0 turns aliases off.
#[test]
fn no_more_aliases_are_sent_than_the_broker_allows() {
    for maximum in [0, 1] {
        let mut net = Net::with(1, |config| config.topic_alias_maximum = maximum);
        let most = Property::TopicAliasMaximum(u16::MAX);
        let socket = subscriber(&mut net, "s", &[most], QoS::AtMostOnce);
        let publisher = net.connect(0, client(V5, "p"));
        publish_to(&mut net, publisher, &["t/a", "t/b", "t/b"], QoS::AtMostOnce);
        let seen = taken(&mut net, socket);
        assert!(
            seen.iter()
                .all(|(_, alias, _)| alias.is_none_or(|a| a <= maximum))
        );
        assert_eq!(seen[0].1.is_some(), maximum > 0);
        assert_eq!(seen[2], named("t/b", None, "x"));
    }
}

/// What was never sent taught the client nothing.
/// `[MQTT5-3.1.2-25]`
#[test]
fn a_packet_that_is_too_large_sets_up_no_alias() {
    let mut net = Net::new(1);
    let wishes = [
        Property::TopicAliasMaximum(2),
        Property::MaximumPacketSize(30),
    ];
    let socket = subscriber(&mut net, "s", &wishes, QoS::AtMostOnce);
    let publisher = net.connect(0, client(V5, "p"));
    let send = |net: &mut Net, payload: &[u8]| {
        net.send(
            publisher,
            V5,
            &Packet::Publish(publish("t/abc", payload, QoS::AtMostOnce)),
        );
    };
    send(&mut net, &[b'x'; 40]);
    assert_eq!(taken(&mut net, socket), []);
    // 2 + 7 + 1 + 19 bytes fit, three more do not.
    let nearly = "y".repeat(19);
    send(&mut net, nearly.as_bytes());
    assert_eq!(taken(&mut net, socket), [named("t/abc", None, &nearly)]);
    send(&mut net, b"z");
    send(&mut net, nearly.as_bytes());
    let expected = [named("t/abc", 1, "z"), named("", 1, &nearly)];
    assert_eq!(taken(&mut net, socket), expected);
}

/// `[MQTT5-3.3.2-7]`
#[test]
fn a_new_connection_starts_without_aliases() {
    let mut net = Net::new(2);
    let wishes = [
        Property::TopicAliasMaximum(5),
        Property::SessionExpiryInterval(100),
    ];
    let old = subscriber(&mut net, "s", &wishes, QoS::AtLeastOnce);
    let publisher = net.connect(0, client(V5, "p"));
    publish_to(&mut net, publisher, &["t/a", "t/a"], QoS::AtLeastOnce);
    assert_eq!(
        taken(&mut net, old),
        [named("t/a", 1, "x"), named("", 1, "x")]
    );
    net.hang_up(old);
    let properties: PropertiesBuf = wishes.iter().copied().collect();
    let connect = Connect {
        clean_start: false,
        properties: properties.as_properties(),
        ..client(V5, "s")
    };
    let new = net.connect(0, connect);
    let again = [named("t/a", 1, "x"), named("", 1, "x")];
    assert_eq!(
        taken(&mut net, new),
        again,
        "both are repeated from the start"
    );
    net.hang_up(new);
    let plain = PropertiesBuf::new();
    let forgetful = Connect {
        properties: plain.as_properties(),
        ..connect
    };
    let without = net.connect(0, forgetful);
    let again = [named("t/a", None, "x"), named("t/a", None, "x")];
    assert_eq!(taken(&mut net, without), again);
}

/// Runs, retained messages and what comes from version 3 all come by alias.
#[test]
fn every_way_to_a_client_knows_its_aliases() {
    let mut net = Net::new(2);
    let socket = subscriber(
        &mut net,
        "s",
        &[Property::TopicAliasMaximum(5)],
        QoS::AtMostOnce,
    );
    let publisher = net.connect(0, client(V5, "p"));
    let mut run = Vec::new();
    for payload in [b"1", b"2", b"3"] {
        Packet::Publish(publish("t/run", payload, QoS::AtMostOnce)).encode(V5, &mut run);
    }
    net.send_bytes(publisher, &run);
    let expected = [named("t/run", 1, "1"), named("", 1, "2"), named("", 1, "3")];
    assert_eq!(taken(&mut net, socket), expected);
    let retained = Publish {
        retain: true,
        ..publish("t/run", b"kept", QoS::AtMostOnce)
    };
    net.send(publisher, V5, &Packet::Publish(retained));
    net.send_bytes(socket, &subscribe(&[("t/run", QoS::AtMostOnce)], V5, 7));
    let expected = [named("", 1, "kept"), named("", 1, "kept")];
    assert_eq!(taken(&mut net, socket), expected);
    let in_v3 = net.connect(1, client(Version::V3_1_1, "old"));
    net.read(in_v3, Version::V3_1_1);
    let old = publish("t/run", b"from v3", QoS::AtMostOnce);
    net.send(in_v3, Version::V3_1_1, &Packet::Publish(old));
    assert_eq!(taken(&mut net, socket), [named("", 1, "from v3")]);
}
