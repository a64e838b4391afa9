//! CONNECT and CONNACK: section 3.1 and 3.2 of both specifications.

use crate::BOTH;
use ringbus_protocols::mqtt::{
    Packet, PingReq, Property, QoS, ReasonCode, SubscribeFilter, Version,
};
use ringbus_tests::broker::Broker;
use ringbus_tests::client::{Client, Hello};
use std::io::Write;
use std::time::{Duration, Instant};

/// CONNECT with any protocol name, level, flags and what follows them.
fn connect_bytes(name: &[u8], level: u8, flags: u8, rest: &[u8]) -> Vec<u8> {
    let mut body = vec![0, u8::try_from(name.len()).expect("short")];
    body.extend_from_slice(name);
    body.extend_from_slice(&[level, flags, 0, 0]);
    body.extend_from_slice(rest);
    let mut bytes = vec![0x10, u8::try_from(body.len()).expect("short")];
    bytes.extend(body);
    bytes
}

/// What the broker answers to a bad CONNECT: the code of a CONNACK if it sends one. The
/// connection is closed in any case.
fn rejection(broker: &Broker, version: Version, bytes: &[u8]) -> Option<u8> {
    let mut client = Client::raw(broker.address(), version);
    client.send_bytes(bytes);
    client.end_of_bad_connect()
}

/// `[MQTT5-3.1.0-1]` `[MQTT311-3.1.0-1]`
#[test]
fn mqtt_3_1_0_1_first_packet_is_connect() {
    let broker = Broker::start();
    for version in BOTH {
        let mut client = Client::raw(broker.address(), version);
        client.send(&Packet::PingReq(PingReq));
        client.closed();
    }
    broker.stop();
}

/// `[MQTT5-3.1.0-2]` `[MQTT5-4.13.1-1]` `[MQTT5-4.13.2-1]` `[MQTT311-3.1.0-2]` `[MQTT311-4.8.0-1]`
#[test]
fn mqtt_3_1_0_2_second_connect_is_protocol_error() {
    let broker = Broker::start();
    for version in BOTH {
        let mut client = Client::open(&broker, version, "twice");
        client.send_bytes(&Hello::new(version, "twice").encode());
        assert_eq!(
            client.disconnected(),
            (version == Version::V5).then_some(0x82)
        );
    }
    broker.stop();
}

/// `[MQTT5-3.1.2-1]` `[MQTT311-3.1.2-1]`
#[test]
fn mqtt_3_1_2_1_unknown_protocol_name_is_refused() {
    let broker = Broker::start();
    for name in [&b"HTTP"[..], b"mqtt", b"MQTTT", b"MQ", b""] {
        for (version, rest) in BOTH.into_iter().zip([&[0, 1, b'a'][..], &[0, 0, 1, b'a']]) {
            let bytes = connect_bytes(name, version.protocol_level(), 2, rest);
            let answer = rejection(&broker, version, &bytes);
            assert_eq!(answer, None, "it may be no MQTT at all: {name:?}");
        }
    }
    broker.stop();
}

/// `[MQTT5-3.1.2-2]` `[MQTT311-3.1.2-2]` `[MQTT311-3.2.2-4]` `[MQTT311-3.2.2-5]`
#[test]
fn mqtt_3_1_2_2_unsupported_level_is_refused_with_its_code() {
    let broker = Broker::start();
    let level_2 = connect_bytes(b"MQTT", 2, 2, &[0, 1, b'a']);
    assert_eq!(rejection(&broker, Version::V3_1_1, &level_2), Some(0x01));
    // What a later version is like nobody knows: 3.1.1 demands this answer, 5 allows any.
    let level_6 = connect_bytes(b"MQTT", 6, 2, &[0, 0, 1, b'a']);
    let mut client = Client::raw(broker.address(), Version::V5);
    client.send_bytes(&level_6);
    let answer = client.drain();
    assert_eq!(answer, [0x20, 2, 0, 0x01], "{answer:02x?}");
    broker.stop();
}

/// `[MQTT5-3.1.2-3]` `[MQTT5-3.1.2-11]` `[MQTT5-3.1.2-13]` `[MQTT5-3.1.4-1]` `[MQTT5-3.14.0-1]`
/// `[MQTT5-3.1.2-12]` `[MQTT311-3.1.2-3]` `[MQTT311-3.1.2-11]` `[MQTT311-3.1.2-13]`
/// `[MQTT311-3.1.2-14]` `[MQTT311-3.1.2-15]` `[MQTT311-3.1.4-1]` `[MQTT311-3.2.2-6]`
#[test]
fn mqtt_3_1_2_3_reserved_flag_and_bad_flags_are_malformed() {
    let broker = Broker::start();
    // Reserved bit; will QoS, will retain without a will; will QoS 3, and 1 to show that nothing
    // else is wrong with it.
    for (flags, is_fine) in [
        (0b0000_0011, false),
        (0b0000_1010, false),
        (0b0010_0010, false),
        (0b0001_1110, false),
        (0b0000_1110, true),
    ] {
        for version in BOTH {
            let v5 = version == Version::V5;
            let mut rest = if v5 { vec![0] } else { vec![] };
            rest.extend([0, 1, b'a']);
            if flags & 0b100 != 0 {
                rest.extend(if v5 { &[0][..] } else { &[] });
                rest.extend([0, 1, b'w', 0, 1, b'x']);
            }
            let bytes = connect_bytes(b"MQTT", version.protocol_level(), flags, &rest);
            if is_fine {
                let mut client = Client::raw(broker.address(), version);
                client.send_bytes(&bytes);
                client.connected(|_| ());
                client.disconnect();
                continue;
            }
            let answer = rejection(&broker, version, &bytes);
            assert!(
                answer.is_none() || (v5 && answer == Some(0x81)),
                "{flags:08b}: {answer:?}"
            );
        }
    }
    broker.stop();
}

/// `[MQTT311-3.1.2-22]` `[MQTT311-3.1.4-1]`
#[test]
fn mqtt311_3_1_2_22_password_without_user_name_is_malformed() {
    let broker = Broker::start();
    let bytes = connect_bytes(b"MQTT", 4, 0b0100_0010, &[0, 1, b'a', 0, 1, b'p']);
    assert_eq!(rejection(&broker, Version::V3_1_1, &bytes), None);
    broker.stop();
}

#[test]
fn mqtt5_3_1_3_6_password_without_user_name_is_allowed() {
    let broker = Broker::start();
    let mut client = Client::raw(broker.address(), Version::V5);
    client.send_bytes(&connect_bytes(
        b"MQTT",
        5,
        0b0100_0010,
        &[0, 0, 1, b'a', 0, 1, b'p'],
    ));
    client.connected(|_| ());
    broker.stop();
}

/// `[MQTT5-1.5.4-1]` `[MQTT5-1.5.4-2]` `[MQTT5-3.1.3-4]` `[MQTT5-3.1.4-1]` `[MQTT311-1.5.3-1]`
/// `[MQTT311-1.5.3-2]` `[MQTT311-3.1.3-4]` `[MQTT311-3.1.4-1]`
#[test]
fn mqtt_1_5_4_client_identifier_is_well_formed_utf8_without_nul() {
    let broker = Broker::start();
    for bad in [
        &[0xC3, 0x28][..],
        &[0xED, 0xA0, 0x80],
        &[b'a', 0, b'b'],
        &[0xF5, 0x80, 0x80, 0x80],
    ] {
        for version in BOTH {
            let v5 = version == Version::V5;
            let mut rest = if v5 { vec![0] } else { vec![] };
            rest.extend([0, u8::try_from(bad.len()).expect("short")]);
            rest.extend(bad);
            let bytes = connect_bytes(b"MQTT", version.protocol_level(), 2, &rest);
            let answer = rejection(&broker, version, &bytes);
            assert!(
                answer.is_none() || (v5 && answer == Some(0x81)),
                "{bad:02x?}: {answer:?}"
            );
        }
    }
    broker.stop();
}

/// `[MQTT311-3.1.3-7]` `[MQTT311-3.1.3-8]` `[MQTT311-3.1.3-9]` `[MQTT311-3.2.2-4]`
/// `[MQTT311-3.2.2-5]`
#[test]
fn mqtt311_3_1_3_7_empty_client_identifier_needs_a_clean_session() {
    let broker = Broker::start();
    drop(Client::open(&broker, Version::V3_1_1, ""));
    let mut hello = Hello::new(Version::V3_1_1, "");
    hello.clean_start = false;
    let mut client = Client::raw(broker.address(), Version::V3_1_1);
    client.send_bytes(&hello.encode());
    assert_eq!(client.refused(), 0x02);
    broker.stop();
}

/// `[MQTT5-3.1.3-6]` `[MQTT5-3.1.3-7]` `[MQTT5-3.2.2-16]`
#[test]
fn mqtt5_3_1_3_7_empty_client_identifier_is_assigned() {
    let broker = Broker::start();
    let mut assigned = Vec::new();
    for _ in 0..8 {
        let mut client = Client::raw(broker.address(), Version::V5);
        client.send_bytes(&Hello::new(Version::V5, "").encode());
        let name = client.connected(|connack| {
            let name = connack.properties.assigned_client_identifier();
            name.expect("an assigned client identifier").to_owned()
        });
        assert!(
            !name.is_empty() && !assigned.contains(&name),
            "{name:?} of {assigned:?}"
        );
        assigned.push(name);
    }
    broker.stop();
}

/// `[MQTT5-3.1.3-7]`
#[test]
fn mqtt5_3_1_3_7_the_assigned_identifier_is_the_clients_from_then_on() {
    let broker = Broker::start();
    let hello = Hello::persistent(Version::V5, "");
    let mut client = Client::raw(broker.address(), Version::V5);
    client.send_bytes(&hello.encode());
    let name = client.connected(|connack| {
        let name = connack.properties.assigned_client_identifier();
        name.expect("an assigned client identifier").to_owned()
    });
    client.subscribe("assigned", QoS::AtLeastOnce);
    let hello = Hello::persistent(Version::V5, &name);
    let mut again = Client::raw(broker.address(), Version::V5);
    again.send_bytes(&hello.encode());
    let (present, assigned) = again.connected(|connack| {
        let assigned = connack.properties.assigned_client_identifier();
        (connack.session_present, assigned.is_some())
    });
    assert_eq!((present, assigned), (true, false));
    assert_eq!(client.disconnected(), Some(0x8E));
    again.publish("assigned", "kept", QoS::AtLeastOnce, false);
    again.expect("assigned", "kept", QoS::AtLeastOnce, false);
    broker.stop();
}

/// Two clients without an identifier are two clients: neither takes the other over.
/// `[MQTT311-3.1.3-6]`
#[test]
fn mqtt311_3_1_3_6_clients_without_an_identifier_get_different_ones() {
    let broker = Broker::start();
    let open = |_| Client::open(&broker, Version::V3_1_1, "");
    let mut clients: Vec<_> = (0..6).map(open).collect();
    for client in &mut clients {
        client.subscribe("nameless", QoS::AtMostOnce);
    }
    clients[0].publish("nameless", "all", QoS::AtLeastOnce, false);
    for client in &mut clients {
        client.expect("nameless", "all", QoS::AtMostOnce, false);
    }
    broker.stop();
}

/// `[MQTT5-3.1.3-5]` `[MQTT311-3.1.3-5]`
#[test]
fn mqtt_3_1_3_5_long_client_identifiers_are_accepted_or_refused_as_such() {
    let broker = Broker::start();
    for version in BOTH {
        drop(Client::open(&broker, version, "0123456789abcdefghijklm"));
        drop(Client::open(&broker, version, &"é".repeat(128)));
    }
    broker.stop();
}

/// What CONNACK does not take back is served: every QoS, retained messages, wills of both.
/// `[MQTT5-3.2.2-9]` `[MQTT5-3.2.2-10]` `[MQTT5-3.2.2-12]` `[MQTT5-3.2.2-13]` `[MQTT311-3.8.3-2]`
#[test]
fn mqtt5_3_2_2_connack_says_what_the_server_does_not_do() {
    let broker = Broker::start_with(&["--max-packet-size", "10000"]);
    let mut client = Client::raw(broker.address(), Version::V5);
    client.send_bytes(&Hello::new(Version::V5, "asks").encode());
    client.connected(|connack| {
        assert!(!connack.session_present);
        assert_eq!(connack.properties.maximum_packet_size(), Some(10_000));
        // Absent means supported `[MQTT5-3.2.2.3.4]` and following.
        assert_eq!(connack.properties.maximum_qos(), None);
        assert_ne!(connack.properties.retain_available(), Some(false));
        assert_ne!(
            connack.properties.wildcard_subscription_available(),
            Some(false)
        );
        assert_ne!(
            connack.properties.subscription_identifier_available(),
            Some(false)
        );
    });
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let topic = format!("serves/{}", u8::from(qos));
        let mortal = Hello::new(Version::V5, "mortal").with_will(&topic, "will", qos, true);
        Client::hello(&broker, &mortal).0.cut();
        client.subscribe("serves/+", qos);
        while client.message().topic != topic {}
        client.unsubscribe(&["serves/+"]);
    }
    broker.stop();
}

/// `[MQTT5-3.1.4-2]` `[MQTT5-3.2.2-6]` `[MQTT5-3.2.2-7]` `[MQTT5-3.2.2-8]` `[MQTT5-4.12.0-1]`
#[test]
fn mqtt5_4_12_0_1_unknown_authentication_method_is_refused() {
    let broker = Broker::start();
    let hello = Hello::new(Version::V5, "sasl").with(Property::AuthenticationMethod("SCRAM"));
    let mut client = Client::raw(broker.address(), Version::V5);
    client.send_bytes(&hello.encode());
    assert_eq!(client.refused(), 0x8C);
    broker.stop();
}

/// `[MQTT5-3.1.4-1]` `[MQTT5-4.13.1-1]`
#[test]
fn mqtt5_4_12_authentication_data_without_method_is_protocol_error() {
    let broker = Broker::start();
    let hello = Hello::new(Version::V5, "data").with(Property::AuthenticationData(b"x"));
    let answer = rejection(&broker, Version::V5, &hello.encode());
    assert!(matches!(answer, None | Some(0x82)), "{answer:?}");
    broker.stop();
}

/// `[MQTT5-3.1.4-1]` `[MQTT5-3.14.0-1]` `[MQTT5-4.13.1-1]`
#[test]
fn mqtt5_3_1_2_11_properties_of_connect_that_are_wrong_are_refused() {
    let broker = Broker::start();
    let wrong = [
        (Property::ReceiveMaximum(0), 0x82),
        (Property::MaximumPacketSize(0), 0x82),
        (Property::TopicAlias(1), 0x81),
    ];
    for (property, code) in wrong {
        let hello = Hello::new(Version::V5, "wrong").with(property);
        let answer = rejection(&broker, Version::V5, &hello.encode());
        assert!(
            answer.is_none() || answer == Some(code),
            "{property:?}: {answer:?}"
        );
    }
    let twice = Hello::new(Version::V5, "wrong")
        .with(Property::SessionExpiryInterval(1))
        .with(Property::SessionExpiryInterval(1));
    let answer = rejection(&broker, Version::V5, &twice.encode());
    assert!(matches!(answer, None | Some(0x82)), "twice: {answer:?}");
    broker.stop();
}

/// A client need not wait for its CONNACK. The packets behind CONNECT may arrive before the
/// connection moves to its home shard.
/// `[MQTT5-3.1.4-5]` `[MQTT5-3.2.0-1]` `[MQTT311-3.1.4-4]` `[MQTT311-3.2.0-1]`
#[test]
fn mqtt_3_1_4_5_packets_right_behind_connect_are_served_in_order() {
    let broker = Broker::start();
    for version in BOTH {
        for number in 0..16 {
            let name = format!("eager/{number}");
            let mut client = Client::raw(broker.address(), version);
            client.hold();
            client.send_bytes(&Hello::new(version, &name).encode());
            let filter = SubscribeFilter::new(&name, QoS::AtLeastOnce);
            client.send_subscribe(&[filter], None);
            client.send_publish(&name, b"eager", QoS::AtLeastOnce, false);
            client.release();
            client.connected(|_| ());
            client.receive_only(ringbus_protocols::mqtt::PacketType::SubAck);
            client.expect(&name, "eager", QoS::AtLeastOnce, false);
            client.receive_only(ringbus_protocols::mqtt::PacketType::PubAck);
        }
    }
    broker.stop().assert_mail_crossed();
}

/// `[MQTT5-3.12.4-1]` `[MQTT5-4.2.0-1]` `[MQTT311-3.12.4-1]` `[MQTT311-7.1.1-1]`
#[test]
fn every_packet_may_come_one_byte_at_a_time() {
    let broker = Broker::start();
    for version in BOTH {
        let mut client = Client::raw(broker.address(), version);
        client.hold();
        client.send_bytes(&Hello::new(version, "slow").encode());
        client.send_subscribe(&[SubscribeFilter::new("slow/#", QoS::AtMostOnce)], None);
        client.send_publish("slow/a", &[b'x'; 300], QoS::AtLeastOnce, false);
        client.send(&Packet::PingReq(PingReq));
        for byte in client.held() {
            client
                .stream()
                .write_all(&[byte])
                .expect("the broker reads");
        }
        client.connected(|_| ());
        client.expect("slow/a", &"x".repeat(300), QoS::AtMostOnce, false);
        client.receive_only(ringbus_protocols::mqtt::PacketType::PingResp);
    }
    broker.stop();
}

#[test]
fn silent_and_slow_connections_are_closed_after_the_connect_timeout() {
    let broker = Broker::start_with(&["--connect-timeout", "1s"]);
    let hello = Hello::new(Version::V5, "late").encode();
    let start = Instant::now();
    let mut silent = Client::raw(broker.address(), Version::V5);
    let mut slow = Client::raw(broker.address(), Version::V5);
    slow.send_bytes(&hello[..hello.len() - 1]);
    let mut connected = Client::open(&broker, Version::V5, "connected");
    silent.closed();
    slow.closed();
    let waited = start.elapsed();
    assert!(
        waited >= Duration::from_millis(900),
        "closed after {waited:?}"
    );
    assert!(
        waited < Duration::from_secs(10),
        "closed only after {waited:?}"
    );
    connected.ping();
    broker.stop();
}

#[test]
fn a_connection_above_the_maximum_is_refused_and_a_free_place_is_used() {
    let broker = Broker::start_with(&["--max-connections", "4", "--shards", "1"]);
    let mut clients: Vec<_> = (0..4)
        .map(|n| Client::open(&broker, Version::V5, &format!("c{n}")))
        .collect();
    for (version, code) in [(Version::V5, 0x97), (Version::V3_1_1, 3)] {
        let mut fifth = Client::raw(broker.address(), version);
        fifth.send_bytes(&Hello::new(version, "fifth").encode());
        assert_eq!(fifth.refused(), code);
    }
    clients.pop().expect("four").disconnect();
    let mut again = Client::open(&broker, Version::V5, "again");
    again.ping();
    for client in &mut clients {
        client.ping();
    }
    broker.stop();
}

#[test]
fn mqtt_3_1_version_3_1_clients_are_served() {
    let broker = Broker::start();
    let mut client = Client::open(&broker, Version::V3_1, "old");
    client.subscribe("old/+", QoS::ExactlyOnce);
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        client.publish("old/topic", "hello", qos, false);
        client.expect("old/topic", "hello", qos, false);
    }
    client.disconnect();
    broker.stop();
}

/// `[MQTT5-3.14.4-1]` `[MQTT5-3.14.4-2]` `[MQTT5-4.13.2-1]`
#[test]
fn sigterm_says_server_shutting_down_and_exits_with_zero() {
    let broker = Broker::start();
    let mut five: Vec<_> = (0..6)
        .map(|n| Client::open(&broker, Version::V5, &format!("v5-{n}")))
        .collect();
    let mut three = Client::open(&broker, Version::V3_1_1, "v3");
    broker.terminate();
    for client in &mut five {
        assert_eq!(
            client.disconnected(),
            Some(ReasonCode::ServerShuttingDown as u8)
        );
    }
    three.closed();
    assert_eq!(broker.wait().status.code(), Some(0));
}
