//! The end of the broker, as its WebSockets see it: `[RFC6455 7.4.1]`, 1001.

use ringbus_protocols::mqtt::{QoS, Version};
use ringbus_tests::broker::Broker;
use ringbus_tests::client::Client;
use ringbus_tests::web::{CLOSE, MqttWire, StompClient, TEXT, WebClient};

#[test]
fn rfc6455_7_4_1_1001_a_broker_that_stops_says_so() {
    let broker = Broker::start_web_socket(&[]);
    let mut bare: Vec<_> = (0..20)
        .map(|number| WebClient::open(&broker, &format!("/drain/{number}")))
        .collect();
    bare[0].echo(TEXT, "before");
    let mut five = MqttWire::client(&broker, Version::V5, "drain-five");
    let mut three = MqttWire::client(&broker, Version::V3_1_1, "drain-three");
    let mut tcp = Client::open(&broker, Version::V5, "drain-tcp");
    let mut stomp = StompClient::open(&broker);
    tcp.subscribe("x", QoS::AtMostOnce);
    broker.terminate();
    for client in &mut bare {
        client.expect_close(1001);
    }
    assert_eq!(five.disconnected(), tcp.disconnected());
    assert_eq!(five.wire().close_code(), Some(1001));
    three.closed();
    assert_eq!(three.wire().close_code(), Some(1001));
    // An ERROR may come before.
    let frame = stomp.web.receive();
    let frame = if frame.opcode == CLOSE {
        frame
    } else {
        stomp.web.receive()
    };
    assert_eq!(frame.close_code(), Some(1001), "{frame:?}");
    stomp.web.send(&frame);
    stomp.web.closed();
    let stopped = broker.wait();
    assert_eq!(stopped.status.code(), Some(0), "{:?}", stopped.lines);
}

/// A client that never answers its Close does not keep the broker.
#[test]
fn a_client_that_does_not_answer_does_not_keep_the_broker() {
    let broker = Broker::start_web_socket(&["--drain-timeout", "1s"]);
    let mut client = WebClient::open(&broker, "/drain");
    let mut open = ringbus_tests::web::web_stream(&broker);
    broker.terminate();
    let close = client.receive();
    assert_eq!(close.close_code(), Some(1001), "{close:?}");
    let stopped = broker.wait();
    assert_eq!(stopped.status.code(), Some(0), "{:?}", stopped.lines);
    client.closed();
    let mut said = Vec::new();
    let _ = std::io::Read::read_to_end(&mut open, &mut said);
}
