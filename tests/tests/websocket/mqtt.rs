//! MQTT over WebSocket: section 6 of both specifications.

use crate::shared;
use ringbus_protocols::mqtt::{Packet, PingReq, QoS, ReasonCode, SubscribeFilter, Version};
use ringbus_tests::client::{Client, Hello};
use ringbus_tests::web::{BINARY, CONTINUATION, Frame, MqttWire, PING, Request, TEXT, WebClient};

const BOTH: [Version; 2] = [Version::V3_1_1, Version::V5];

/// Subscribes and publishes to itself at every QoS.
#[track_caller]
fn talk(client: &mut Client<MqttWire>, topic: &str) {
    client.subscribe(topic, QoS::ExactlyOnce);
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        client.publish(topic, "a message over WebSocket", qos, false);
        client.expect(topic, "a message over WebSocket", qos, false);
    }
}

/// `[MQTT5-6.0.0-3]` `[MQTT5-6.0.0-4]` `[MQTT311-6.0.0-3]` `[MQTT311-6.0.0-4]`
#[test]
fn mqtt_6_0_0_4_the_subprotocol_is_mqtt() {
    let broker = shared();
    for version in BOTH {
        for subprotocol in ["mqtt", "mqttv3.1"] {
            let wire = MqttWire::open(&broker, subprotocol);
            let (mut client, _) = wire.hello(&Hello::new(version, "subprotocol"));
            talk(&mut client, "mqtt/subprotocol");
            client.disconnect();
        }
    }
}

/// `[MQTT5-6.0.0-2]` `[MQTT311-6.0.0-2]` "MUST NOT assume that MQTT Control Packets are aligned on
/// WebSocket frame boundaries".
#[test]
fn mqtt_6_0_0_2_a_packet_may_span_frames() {
    let broker = shared();
    for version in BOTH {
        for size in [1, 2, 3, 7, 20] {
            let wire = MqttWire::open(&broker, "mqtt").cut_at(size);
            let (mut client, _) = wire.hello(&Hello::new(version, "spanned"));
            talk(&mut client, "mqtt/spanned");
            client.disconnect();
        }
    }
}

/// `[MQTT5-6.0.0-2]` `[MQTT311-6.0.0-2]`
#[test]
fn mqtt_6_0_0_2_a_frame_may_hold_many_packets() {
    let broker = shared();
    for version in BOTH {
        let mut client = Client::over(MqttWire::open(&broker, "mqtt"), version);
        client.hold();
        client.send_bytes(&Hello::new(version, "many").encode());
        let filter = SubscribeFilter::new("mqtt/many", QoS::AtMostOnce);
        client.send_subscribe(&[filter], None);
        for number in 0..100 {
            let payload = number.to_string();
            client.send_publish("mqtt/many", payload.as_bytes(), QoS::AtMostOnce, false);
        }
        client.send(&Packet::PingReq(PingReq));
        client.release();
        client.connected(|_| ());
        for number in 0..100 {
            client.expect("mqtt/many", &number.to_string(), QoS::AtMostOnce, false);
        }
        client.ping();
        client.disconnect();
    }
}

#[test]
fn rfc6455_5_5_2_pings_between_packets_and_inside_are_answered() {
    let broker = shared();
    for size in [1, 5, usize::MAX] {
        let wire = MqttWire::open(&broker, "mqtt").cut_at(size).with_pings();
        let (mut client, _) = wire.hello(&Hello::new(Version::V5, "pinger"));
        talk(&mut client, "mqtt/pinged");
        client.disconnect();
    }
}

/// Fragments of WebSocket messages, empty ones among them, with a Ping between.
#[test]
fn rfc6455_5_4_packets_may_come_in_fragments() {
    let broker = shared();
    let mut client = Client::over(MqttWire::open(&broker, "mqtt"), Version::V5);
    let connect = Hello::new(Version::V5, "fragments").encode();
    let web = client.wire().web();
    let (first, second) = connect.split_at(5);
    web.send(&Frame::new(BINARY, ""));
    web.send(&Frame::new(BINARY, first).unfinished());
    web.send(&Frame::new(CONTINUATION, "").unfinished());
    web.send(&Frame::new(PING, "between"));
    web.send(&Frame::new(CONTINUATION, second).unfinished());
    // The message is not complete, but the packet is: there is no need to wait.
    client.connected(|_| ());
    let web = client.wire().web();
    web.send(&Frame::new(CONTINUATION, ""));
    talk(&mut client, "mqtt/fragments");
    client.disconnect();
}

#[test]
fn rfc6455_5_2_frames_of_mqtt_may_come_byte_by_byte() {
    let broker = shared();
    let mut client = Client::over(MqttWire::open(&broker, "mqtt"), Version::V5);
    let connect = Hello::new(Version::V5, "chopped").encode();
    let web = client.wire().web();
    web.send_chopped(&[Frame::new(BINARY, connect)], 1);
    client.connected(|_| ());
    talk(&mut client, "mqtt/chopped");
    client.disconnect();
}

/// `[MQTT5-6.0.0-1]` `[MQTT311-6.0.0-1]` "If any other type of data frame is received the
/// recipient MUST close the Network Connection".
#[test]
fn mqtt_6_0_0_1_a_text_frame_is_refused_with_1003() {
    let broker = shared();
    for frame in [
        Frame::new(TEXT, "hello"),
        Frame::new(TEXT, "hel").unfinished(),
    ] {
        let mut web = MqttWire::open(&broker, "mqtt");
        web.web().send(&frame);
        web.web().expect_close(1003);
        let mut client = MqttWire::client(&broker, Version::V3_1_1, "texter");
        client.wire().web().send(&frame);
        client.closed();
        assert_eq!(client.wire().close_code(), Some(1003));
    }
}

#[test]
fn rfc6455_5_frames_that_break_rules_are_refused_in_mqtt_as_well() {
    let broker = shared();
    for (bytes, code) in [
        (&[0x82, 0x01, 0xC0][..], 1002),
        (&[0x83, 0x80, 0, 0, 0, 0], 1002),
        (&[0xC2, 0x80, 0, 0, 0, 0], 1002),
        (&[0x80, 0x80, 0, 0, 0, 0], 1002),
        (&[0x89, 0xFE, 0, 126], 1002),
        (&[0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0], 1002),
        (&[0x88, 0x81, 0, 0, 0, 0, 1], 1002),
    ] {
        let mut client = MqttWire::client(&broker, Version::V3_1_1, "breaker");
        client.wire().web().send_bytes(bytes);
        client.closed();
        assert_eq!(client.wire().close_code(), Some(code), "{bytes:02x?}");
    }
}

/// `[MQTT5-3.14.4-2]` The end of MQTT is the end of the WebSocket.
#[test]
fn mqtt_3_14_4_disconnect_ends_the_websocket_with_1000() {
    let broker = shared();
    for version in BOTH {
        let mut client = MqttWire::client(&broker, version, "leaver");
        client.send_bytes(&[0xE0, 0x00]);
        client.closed();
        assert_eq!(client.wire().close_code(), Some(1000));
    }
}

/// `[MQTT5-4.13.1-1]` What a malformed packet gets over TCP, and then a Close.
#[test]
fn mqtt5_4_13_1_a_malformed_packet_is_told_and_closed() {
    let broker = shared();
    let mut client = MqttWire::client(&broker, Version::V5, "malformed");
    client.send_bytes(&[0xC1, 0x00]);
    assert_eq!(client.disconnected(), Some(0x81));
    let code = client.wire().close_code();
    assert!(code.is_some_and(|code| code != 1000), "{code:?}");
    let mut client = MqttWire::client(&broker, Version::V3_1_1, "malformed");
    client.send_bytes(&[0xC1, 0x00]);
    client.closed();
    assert!(client.wire().close_code().is_some());
}

/// A refused CONNECT is answered before the Close.
#[test]
fn mqtt_3_1_4_1_a_refused_connect_is_told_and_closed() {
    let broker = shared();
    let mut client = Client::over(MqttWire::open(&broker, "mqtt"), Version::V3_1_1);
    let mut connect = Hello::new(Version::V3_1_1, "unknown-level").encode();
    connect[8] = 9;
    client.send_bytes(&connect);
    let code = client.end_of_bad_connect();
    assert!(matches!(code, None | Some(1 | 0x84)), "{code:?}");
    assert!(client.wire().close_code().is_some());
}

#[test]
fn mqtt_payloads_of_a_mebibyte_pass() {
    let broker = shared();
    let payload = "m".repeat(1 << 20);
    for size in [1000, usize::MAX] {
        let wire = MqttWire::open(&broker, "mqtt").cut_at(size);
        let (mut client, _) = wire.hello(&Hello::new(Version::V5, "large"));
        client.subscribe("mqtt/large", QoS::AtLeastOnce);
        client.publish("mqtt/large", &payload, QoS::AtLeastOnce, false);
        client.expect("mqtt/large", &payload, QoS::AtLeastOnce, false);
        client.disconnect();
    }
}

/// `[MQTT5-3.1.2-25]` Over TCP a packet too large is 0x95; so it is here.
#[test]
fn mqtt5_3_2_2_15_a_packet_over_the_maximum_is_told_and_closed() {
    let broker = ringbus_tests::broker::Broker::start_web_socket(&["--max-packet-size", "16KiB"]);
    for size in [1000, usize::MAX] {
        let wire = MqttWire::open(&broker, "mqtt").cut_at(size);
        let (mut client, _) = wire.hello(&Hello::new(Version::V5, "too-large"));
        client.send_publish("mqtt/too-large", &[0; 20_000], QoS::AtMostOnce, false);
        assert_eq!(client.disconnected(), Some(0x95));
    }
    broker.stop();
}

#[test]
fn mqtt_compressed_in_both_directions() {
    let broker = shared();
    for offer in [
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate",
    ] {
        let request = Request::upgrade("/").subprotocols("mqtt").extensions(offer);
        let web = WebClient::connect(&broker, &request);
        assert!(web.agreed().is_some(), "{offer}");
        let mut sender = Deflated { web };
        let connect = Hello::new(Version::V3_1_1, "deflated").encode();
        sender.send(&connect);
        assert_eq!(sender.web.message().payload, [0x20, 2, 0, 0]);
        sender.send(b"\x82\x09\x00\x01\x00\x04zip!\x00");
        assert_eq!(sender.web.message().payload, [0x90, 3, 0, 1, 0]);
        for number in 0..50 {
            let payload = format!("{number} and the same again and the same again").repeat(3);
            let mut publish = vec![0x30, u8::try_from(payload.len() + 6).expect("short")];
            // Two bytes of length from 128 on.
            if publish[1] >= 128 {
                publish.push(1);
            }
            publish.extend_from_slice(b"\x00\x04zip!");
            publish.extend_from_slice(payload.as_bytes());
            sender.send(&publish);
            assert_eq!(sender.web.message().payload, publish);
        }
    }
}

/// Compresses what it sends, every other message in fragments.
struct Deflated {
    web: WebClient,
}

impl Deflated {
    fn send(&mut self, bytes: &[u8]) {
        let size = if bytes.len().is_multiple_of(2) {
            20
        } else {
            usize::MAX
        };
        let frames = self.web.compressed(BINARY, bytes, size);
        self.web.send_all(&frames);
    }
}

/// `[MQTT5-3.1.2-8]` A WebSocket that is closed without DISCONNECT: the will is published.
#[test]
fn mqtt_3_1_2_8_a_close_without_disconnect_publishes_the_will() {
    let broker = shared();
    let mut watcher = Client::open(&broker, Version::V5, "ws-will-watcher");
    watcher.subscribe("ws-will/#", QoS::AtMostOnce);
    for version in BOTH {
        for end in ["close", "cut", "violation"] {
            let hello =
                Hello::new(version, "mortal").with_will("ws-will/t", end, QoS::AtMostOnce, false);
            let (mut client, _) = MqttWire::open(&broker, "mqtt").hello(&hello);
            let web = client.wire().web();
            match end {
                "close" => web.send(&Frame::close(1000, "")),
                "violation" => web.send(&Frame::new(TEXT, "")),
                _ => web
                    .stream()
                    .shutdown(std::net::Shutdown::Both)
                    .expect("open"),
            }
            watcher.expect("ws-will/t", end, QoS::AtMostOnce, false);
        }
        let hello =
            Hello::new(version, "polite").with_will("ws-will/t", "x", QoS::AtMostOnce, false);
        let (client, _) = MqttWire::open(&broker, "mqtt").hello(&hello);
        client.disconnect_with(ReasonCode::NormalDisconnection, Default::default());
        watcher.expect_nothing();
    }
}
