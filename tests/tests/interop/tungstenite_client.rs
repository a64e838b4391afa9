//! tungstenite on the bare topic socket and as a carrier of MQTT, beside a client on TCP.

use ringbus_protocols::mqtt::{Packet, PacketType, PropertiesBuf, Property, Publish, QoS, Version};
use ringbus_tests::broker::{Broker, DEADLINE};
use ringbus_tests::client::{Client, Hello};
use std::net::{SocketAddr, TcpStream};
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::HandshakeError;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::{Bytes, Error, Message, WebSocket};

/// The raw properties of a message that says it is text.
const TEXT: &[u8] = &[0x01, 1];

/// A connection with the messages in the order they came.
struct Socket(WebSocket<TcpStream>);

impl Socket {
    fn open(broker: SocketAddr, path: &str, subprotocol: Option<&'static str>) -> Socket {
        Socket::ask(broker, path, subprotocol).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn ask(
        broker: SocketAddr,
        path: &str,
        subprotocol: Option<&'static str>,
    ) -> Result<Socket, Error> {
        let mut request = format!("ws://{broker}/{path}").into_client_request()?;
        if let Some(name) = subprotocol {
            let name = name.parse().expect("a header's value");
            request.headers_mut().insert("Sec-WebSocket-Protocol", name);
        }
        let stream = TcpStream::connect(broker)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        match tungstenite::client(request, stream) {
            Ok((socket, _)) => Ok(Socket(socket)),
            Err(HandshakeError::Failure(error)) => Err(error),
            Err(HandshakeError::Interrupted(_)) => panic!("no answer to the handshake in time"),
        }
    }

    fn send(&mut self, message: Message) {
        self.0.send(message).expect("it is open");
    }

    fn next(&mut self) -> Message {
        self.0.read().expect("a message in time")
    }

    fn close(mut self, code: CloseCode) {
        let frame = CloseFrame {
            code,
            reason: "done".into(),
        };
        self.0.close(Some(frame)).expect("it is open");
        let answer = self.next();
        let Message::Close(Some(frame)) = answer else {
            panic!("no Close with a code but {answer:?}")
        };
        assert_eq!(frame.code, code);
        let end = self.0.read();
        assert!(matches!(end, Err(Error::ConnectionClosed)), "{end:?}");
    }
}

/// A client on TCP that is subscribed to a topic.
fn device(broker: &Broker, topic: &str) -> Client {
    let mut client = Client::open(broker, Version::V5, &format!("device of {topic}"));
    client.subscribe(topic, QoS::AtLeastOnce);
    client
}

fn publish_text(client: &mut Client, topic: &str, payload: &str) {
    let mut properties = PropertiesBuf::new();
    properties.push(Property::PayloadFormatIndicator(true));
    client.send(&Packet::Publish(Publish {
        topic,
        payload: payload.as_bytes(),
        properties: properties.as_properties(),
        ..Publish::default()
    }));
}

fn expect(client: &mut Client, payload: &[u8], properties: &[u8]) {
    let message = client.message();
    assert_eq!(message.payload, payload);
    assert_eq!(message.properties, properties);
}

#[test]
fn text_and_binary_both_ways() {
    let broker = Broker::start_web_socket(&[]);
    let mut device = device(&broker, "both/ways");
    let mut bare = Socket::open(broker.web_socket_address(), "both/ways", None);
    bare.send(Message::text("grüße"));
    assert_eq!(bare.next(), Message::text("grüße"));
    expect(&mut device, "grüße".as_bytes(), TEXT);
    bare.send(Message::binary(vec![0, 159, 255]));
    assert_eq!(bare.next(), Message::binary(vec![0, 159, 255]));
    expect(&mut device, &[0, 159, 255], &[]);
    publish_text(&mut device, "both/ways", "zurück");
    assert_eq!(bare.next(), Message::text("zurück"));
    device.publish("both/ways", "unmarked", QoS::AtLeastOnce, false);
    assert_eq!(bare.next(), Message::binary(b"unmarked".to_vec()));
    bare.close(CloseCode::Normal);
    broker.stop();
}

#[test]
fn no_echo_and_the_last_message() {
    let broker = Broker::start_web_socket(&[]);
    let mut device = device(&broker, "room");
    let address = broker.web_socket_address();
    let mut keeper = Socket::open(address, "room?echo=0&retain=1&qos=1", None);
    keeper.send(Message::text("kept"));
    expect(&mut device, b"kept", TEXT);
    publish_text(&mut device, "room", "of another");
    assert_eq!(keeper.next(), Message::text("of another"));
    let mut late = Socket::open(address, "room?last=1", None);
    assert_eq!(late.next(), Message::text("kept"));
    late.close(CloseCode::Library(4000));
    keeper.close(CloseCode::Away);
    broker.stop();
}

/// What was accepted before a ping is said before its pong or after it, but a ping is answered
/// also amid a message. `[RFC6455 5.4]` `[RFC6455 5.5.2]`
#[test]
fn pings_between_fragments_are_answered() {
    let broker = Broker::start_web_socket(&[]);
    let mut bare = Socket::open(broker.web_socket_address(), "fragments", None);
    let frame = |text: &'static str, data, last| {
        Message::Frame(Frame::message(text, OpCode::Data(data), last))
    };
    bare.send(frame("one ", Data::Text, false));
    bare.send(Message::Ping(Bytes::from_static(b"first")));
    assert_eq!(bare.next(), Message::Pong(Bytes::from_static(b"first")));
    bare.send(frame("two ", Data::Continue, false));
    bare.send(Message::Ping(Bytes::from_static(b"second")));
    assert_eq!(bare.next(), Message::Pong(Bytes::from_static(b"second")));
    bare.send(frame("three", Data::Continue, true));
    assert_eq!(bare.next(), Message::text("one two three"));
    bare.close(CloseCode::Normal);
    broker.stop();
}

#[test]
fn a_mebibyte_both_ways() {
    let broker = Broker::start_web_socket(&[]);
    let mut device = device(&broker, "large");
    let mut bare = Socket::open(broker.web_socket_address(), "large", None);
    let payload: Vec<u8> = (0..1 << 20)
        .map(|at: u32| at.to_le_bytes()[at as usize % 3])
        .collect();
    bare.send(Message::binary(payload.clone()));
    assert_eq!(bare.next(), Message::binary(payload.clone()));
    expect(&mut device, &payload, &[]);
    device.send_publish("large", &payload, QoS::AtMostOnce, false);
    assert_eq!(bare.next(), Message::binary(payload));
    bare.close(CloseCode::Normal);
    broker.stop();
}

#[test]
fn what_is_no_topic_is_refused_with_a_reason() {
    let broker = Broker::start_web_socket(&[]);
    for path in ["a/%23", "a/+", "%00", "%f", "%FF", "$share/g/t", "t?what=1"] {
        let asked = Socket::ask(broker.web_socket_address(), path, None);
        let Err(Error::Http(response)) = asked else {
            panic!("{path}: {:?}", asked.map(|_| "admitted"))
        };
        assert_eq!(response.status(), 400, "{path}");
        let reason = response.body().as_deref().unwrap_or_default();
        assert!(reason.len() > 10, "{path}: no reason");
    }
    broker.stop();
}

/// A packet may begin and end within frames, and frames within a packet. `[MQTT5-6.0.0-1]`
/// `[MQTT5-6.0.0-2]`
#[test]
fn mqtt_in_frames_of_any_size() {
    let broker = Broker::start_web_socket(&[]);
    let mut device = device(&broker, "framed");
    let address = broker.web_socket_address();
    let mut socket = Socket::open(address, "any/path", Some("mqtt"));
    for byte in Hello::new(Version::V5, "framed").encode() {
        socket.send(Message::binary(vec![byte]));
    }
    let connack = next_packet(&mut socket);
    assert_eq!(connack[0] >> 4, PacketType::ConnAck as u8);
    let mut packets = Vec::new();
    for payload in ["one", "two"] {
        let publish = Publish {
            topic: "framed",
            payload: payload.as_bytes(),
            ..Publish::default()
        };
        Packet::Publish(publish).encode(Version::V5, &mut packets);
    }
    socket.send(Message::binary(packets));
    device.expect("framed", "one", QoS::AtMostOnce, false);
    device.expect("framed", "two", QoS::AtMostOnce, false);
    socket.send(Message::text("no packet"));
    let end = socket.next();
    let Message::Close(Some(frame)) = end else {
        panic!("no Close with a code but {end:?}")
    };
    assert_eq!(frame.code, CloseCode::Unsupported);
    broker.stop();
}

fn next_packet(socket: &mut Socket) -> Bytes {
    match socket.next() {
        Message::Binary(bytes) => bytes,
        other => panic!("no packet but {other:?}"),
    }
}
