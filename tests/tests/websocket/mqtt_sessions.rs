//! MQTT over WebSocket beside MQTT over TCP: sessions, takeovers, and the way to the home shard.

use crate::shared;
use ringbus_protocols::mqtt::{QoS, SubscribeFilter, Version};
use ringbus_tests::broker::Broker;
use ringbus_tests::client::{Client, Hello};
use ringbus_tests::web::{BINARY, Frame, MqttWire, PING, Request, WebClient, web_stream};
use std::io::Write;

const BOTH: [Version; 2] = [Version::V3_1_1, Version::V5];
const CLIENTS: usize = 100;

/// `[MQTT5-3.1.4-3]` `[MQTT311-3.1.4-2]` From TCP to WebSocket, from there to the next, and back.
#[test]
fn mqtt_3_1_4_3_takeover_works_between_transports() {
    let broker = shared();
    for version in BOTH {
        let told = (version == Version::V5).then_some(0x8E);
        for number in 0..8 {
            let name = format!("ws-taken-{number}");
            let mut tcp = Client::open(&broker, version, &name);
            let mut web = MqttWire::client(&broker, version, &name);
            assert_eq!(tcp.disconnected(), told);
            let mut next = MqttWire::client(&broker, version, &name);
            assert_eq!(web.disconnected(), told);
            assert!(web.wire().close_code().is_some(), "no Close");
            let mut last = Client::open(&broker, version, &name);
            assert_eq!(next.disconnected(), told);
            last.ping();
            last.disconnect();
        }
    }
}

/// `[MQTT5-3.1.2-5]` `[MQTT311-3.1.2-4]`
#[test]
fn mqtt_3_1_2_4_a_session_goes_from_transport_to_transport() {
    let broker = shared();
    for version in BOTH {
        for number in 0..8 {
            let name = format!("ws-kept-{number}");
            let topic = format!("ws-kept/{number}");
            let hello = Hello::persistent(version, &name);
            let (mut web, present) = MqttWire::open(&broker, "mqtt").hello(&hello);
            assert!(!present);
            web.subscribe(&topic, QoS::AtLeastOnce);
            web.disconnect();
            let mut publisher = Client::open(&broker, version, "ws-kept-publisher");
            publisher.publish(&topic, "one", QoS::AtLeastOnce, false);
            let (mut tcp, present) = Client::hello(&broker, &hello);
            assert!(present, "the session is lost");
            tcp.expect(&topic, "one", QoS::AtLeastOnce, false);
            tcp.disconnect();
            publisher.publish(&topic, "two", QoS::AtLeastOnce, false);
            let (mut web, present) = MqttWire::open(&broker, "mqtt").hello(&hello);
            assert!(present, "the session is lost");
            web.expect(&topic, "two", QoS::AtLeastOnce, false);
            web.disconnect();
            // Nothing is left for the next version.
            Client::open(&broker, version, &name).disconnect();
        }
    }
}

/// What a client has sent when its connection goes to the shard of its session goes with it, and
/// where it stood inside a packet and inside a frame.
fn hand_off(shards: &str) {
    let flags = ["--shards", shards, "--ws-compression"];
    let broker = Broker::start_web_socket(&flags);
    for number in 0..CLIENTS {
        let topic = format!("handed/{number}");
        let mut client = Client::over(MqttWire::open(&broker, "mqtt"), Version::V5);
        client.hold();
        client.send_bytes(&Hello::new(Version::V5, &format!("handed-{number}")).encode());
        let connect_len = client.held().len();
        let connect = Hello::new(Version::V5, &format!("handed-{number}")).encode();
        assert_eq!(connect.len(), connect_len);
        client.hold();
        client.send_subscribe(&[SubscribeFilter::new(&topic, QoS::AtLeastOnce)], None);
        client.send_publish(&topic, b"first", QoS::AtLeastOnce, false);
        let rest = client.held();
        // The CONNECT ends inside a frame, and the write ends inside the next.
        let split = number % (rest.len() - 1) + 1;
        let frames = [
            Frame::new(BINARY, [&connect, &rest[..split]].concat()),
            Frame::new(PING, "between"),
            Frame::new(BINARY, &rest[split..]),
        ];
        let web = client.wire().web();
        let bytes = web.encode(&frames);
        let cut = bytes.len() - number % 20;
        web.send_bytes(&bytes[..cut]);
        if number % 2 == 0 {
            client.connected(|_| ());
            client.wire().web().send_bytes(&bytes[cut..]);
        } else {
            client.wire().web().send_bytes(&bytes[cut..]);
            client.connected(|_| ());
        }
        client.receive_only(ringbus_protocols::mqtt::PacketType::SubAck);
        client.ack(ringbus_protocols::mqtt::PacketType::PubAck);
        client.expect(&topic, "first", QoS::AtLeastOnce, false);
        client.disconnect();
    }
    let stopped = broker.stop();
    if shards != "1" {
        stopped.assert_mail_crossed();
    }
}

#[test]
fn a_connection_goes_home_with_all_it_sent_2_shards() {
    hand_off("2");
}

#[test]
fn a_connection_goes_home_with_all_it_sent_4_shards() {
    hand_off("4");
}

/// What the broker says before it gives a connection away, a 101 or a Pong, may still be on its way
/// out when the CONNECT is here.
fn hand_off_while_sending(shards: &str) {
    let broker = Broker::start_web_socket(&["--shards", shards]);
    // Many at a time, so that one turn of a shard has several of them.
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let broker = &broker;
            scope.spawn(move || hurry_home(broker, thread));
        }
    });
    broker.stop();
}

fn hurry_home(broker: &Broker, thread: usize) {
    for number in 0..CLIENTS {
        let name = format!("early-{thread}-{number}");
        let connect = Hello::new(Version::V5, &name).encode();
        let request = Request::upgrade("/").subprotocols("mqtt");
        let mut bytes = request.encode();
        let mut pings = Vec::new();
        Frame::new(PING, "early").encode(Some([1, 2, 3, 4]), &mut pings);
        if number % 2 == 0 {
            bytes.extend_from_slice(&pings);
        }
        Frame::new(BINARY, &connect).encode(Some([5, 6, 7, 8]), &mut bytes);
        let mut stream = web_stream(broker);
        stream.write_all(&bytes).expect("it is open");
        let mut web = WebClient::accepted(stream, &request);
        if number % 2 == 0 {
            web.expect_pong("early");
        }
        let mut client = Client::over(MqttWire::over(web), Version::V5);
        client.connected(|_| ());
        client.ping();
        client.disconnect();
        // Pongs until the end.
        let mut web = MqttWire::open(broker, "mqtt");
        let mut frames = vec![Frame::new(PING, "between"); 50];
        frames.push(Frame::new(BINARY, &connect));
        web.web().send_all(&frames);
        let mut client = Client::over(web, Version::V5);
        client.connected(|_| ());
        client.ping();
        client.disconnect();
    }
}

#[test]
fn a_connection_goes_home_while_it_is_sent_to_2_shards() {
    hand_off_while_sending("2");
}

#[test]
fn a_connection_goes_home_while_it_is_sent_to_4_shards() {
    hand_off_while_sending("4");
}

/// Byte by byte, so that the last byte of CONNECT is the last that came.
#[test]
fn a_connection_goes_home_between_any_two_bytes() {
    let broker = Broker::start_web_socket(&["--shards", "4"]);
    for number in 0..40 {
        let mut client = Client::over(MqttWire::open(&broker, "mqtt"), Version::V5);
        let connect = Hello::new(Version::V5, &format!("bytes-{number}")).encode();
        let web = client.wire().web();
        web.send_chopped(&[Frame::new(BINARY, connect)], 1);
        client.connected(|_| ());
        client.ping();
        client.disconnect();
    }
    broker.stop();
}

/// The window that both ends have filled goes with the connection.
#[test]
fn rfc7692_7_2_a_compressed_connection_goes_home_with_its_window() {
    let broker = Broker::start_web_socket(&["--shards", "4", "--ws-compression"]);
    for number in 0..40 {
        let offer = "permessage-deflate; client_max_window_bits";
        let request = Request::upgrade("/").subprotocols("mqtt").extensions(offer);
        let mut web = WebClient::connect(&broker, &request);
        let connect = Hello::new(Version::V3_1_1, &format!("window-{number}")).encode();
        let mut frames = web.compressed(BINARY, &connect, usize::MAX);
        // Looks back into the CONNECT.
        let topic = format!("window-{number}");
        let length = u8::try_from(topic.len()).expect("short");
        let mut subscribe = vec![0x82, length + 5, 0, 1, 0, length];
        subscribe.extend_from_slice(topic.as_bytes());
        subscribe.push(0);
        frames.extend(web.compressed(BINARY, &subscribe, 4));
        web.send_all(&frames);
        let mut answers = Vec::new();
        while answers.len() < 9 {
            answers.extend(web.message().payload);
        }
        assert_eq!(answers, [0x20, 2, 0, 0, 0x90, 3, 0, 1, 0]);
        let mut publish = vec![0x30, length + 102, 0, length];
        publish.extend_from_slice(topic.as_bytes());
        publish.extend_from_slice(&[b'z'; 100]);
        let frames = web.compressed(BINARY, &publish, usize::MAX);
        web.send_all(&frames);
        assert_eq!(web.message().payload, publish);
    }
    broker.stop();
}

/// Every transport and protocol on one topic.
#[test]
fn everyone_on_a_topic_hears_everyone() {
    let broker = shared();
    let topic = crate::fresh("everyone");
    let mut tcp = Client::open(&broker, Version::V3_1_1, "everyone-tcp");
    let mut five = MqttWire::client(&broker, Version::V5, "everyone-five");
    let mut three = MqttWire::client(&broker, Version::V3_1_1, "everyone-three");
    let mut bare = WebClient::open(&broker, &format!("/{topic}"));
    tcp.subscribe(&topic, QoS::AtMostOnce);
    five.subscribe(&topic, QoS::AtMostOnce);
    three.subscribe(&topic, QoS::AtMostOnce);
    for number in 0..4 {
        let said = format!("said by {number}");
        match number {
            0 => drop(tcp.publish(&topic, &said, QoS::AtMostOnce, false)),
            1 => drop(five.publish(&topic, &said, QoS::AtMostOnce, false)),
            2 => drop(three.publish(&topic, &said, QoS::AtMostOnce, false)),
            _ => bare.binary(&said),
        }
        tcp.expect(&topic, &said, QoS::AtMostOnce, false);
        five.expect(&topic, &said, QoS::AtMostOnce, false);
        three.expect(&topic, &said, QoS::AtMostOnce, false);
        bare.expect(BINARY, &said);
    }
}
