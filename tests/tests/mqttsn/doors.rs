//! One message by every way in and out: MQTT, a bare WebSocket, STOMP, MQTT-SN.

use crate::{TopicsFile, ZERO, watcher};
use ringbus_protocols::mqtt::Version;
use ringbus_tests::broker::Broker;
use ringbus_tests::client::Client;
use ringbus_tests::mqttsn::{SnClient, SnSocket, SnTopic, flag, publish};
use ringbus_tests::web::{StompClient, StompFrame, TEXT, WebClient};

const TOPIC: &str = "every/door";

#[test]
fn a_message_of_each_protocol_reaches_the_subscribers_of_all() {
    let file = TopicsFile::new("9 every/door\n");
    let broker = Broker::start_mqttsn(&["--mqttsn-topics", file.path()]);
    let mut mqtt = watcher(&broker, TOPIC);
    let mut web = WebClient::open(&broker, "/every/door?text=1");
    let mut stomp = StompClient::open(&broker);
    stomp.subscribe("1", TOPIC, "auto");
    let mut sensor = SnClient::open(&broker, "sensor");
    sensor.subscribe(SnTopic::Name("every/+"), 0);
    let connected = SnTopic::Id(sensor.register(TOPIC));

    let mut sender = Client::open(&broker, Version::V3_1_1, "sender");
    let mut web_sender = WebClient::open(&broker, "/every/door?text=1");
    let mut stomp_sender = StompClient::open(&broker);
    let nobody = SnSocket::new(&broker);
    for door in ["mqtt", "web", "stomp", "sensor", "nobody"] {
        let says = format!("grüße von {door}");
        match door {
            "mqtt" => {
                sender.send_publish(TOPIC, says.as_bytes(), ZERO, false);
            }
            "web" => web_sender.text(&says),
            "stomp" => {
                let send = StompFrame::new("SEND").with("destination", TOPIC);
                stomp_sender.send(&send.body(&says));
            }
            "sensor" => sensor.publish(connected, &says, 1),
            _ => {
                let flags = flag::QOS | flag::PREDEFINED;
                nobody.send(&publish(flags, [0, 9], 0, says.as_bytes()));
            }
        }
        assert_eq!(mqtt.message().payload, says.as_bytes());
        web.expect(TEXT, &says);
        web_sender.expect(TEXT, &says);
        assert_eq!(stomp.message("1").body, says.as_bytes());
        sensor.expect_publish(TOPIC, &says, 0);
    }
    broker.stop();
}
