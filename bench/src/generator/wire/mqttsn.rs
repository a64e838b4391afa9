//! MQTT-SN 1.2 at QoS −1: publishers send datagrams and never connect, subscribers are MQTT
//! clients over TCP.

use super::super::link::Link;
use super::{Mqtt, Next, Shape, Template, Wire, payload};
use ringbus_protocols::mqttsn::{Packet, PublishQoS, ShortTopic, TopicRef, encode};
use std::io;

/// MQTT-SN for publishers, MQTT 3.1.1 for subscribers.
pub struct MqttSn;

/// How its subscribers speak.
type Subscriber = Mqtt<false>;

impl Wire for MqttSn {
    const SENDS_DATAGRAMS: bool = true;

    #[inline]
    fn next(bytes: &[u8]) -> io::Result<Next> {
        Subscriber::next(bytes)
    }

    fn template(shape: Shape<'_>) -> Template {
        let topic = ShortTopic::new(shape.topic).expect("the load was checked to have short names");
        let payload = payload(shape.payload_bytes);
        let publish = Packet::Publish {
            dup: false,
            qos: PublishQoS::MinusOne,
            retain: false,
            topic: TopicRef::Short(topic),
            msg_id: 0,
            payload: &payload,
        };
        let mut message = Vec::new();
        encode(&publish, &mut message);
        let stamp_offset = message.len() - payload.len();
        Template::new(&message, shape.batch, stamp_offset, None)
    }

    fn connect(link: &mut Link, client_id: &str) -> io::Result<u16> {
        Subscriber::connect(link, client_id)
    }

    fn subscribe(link: &mut Link, filters: &[String], qos: u8) -> io::Result<()> {
        Subscriber::subscribe(link, filters, qos)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Stamp;
    use super::*;
    use ringbus_protocols::mqttsn::decode;

    #[test]
    fn each_message_is_a_publish_at_qos_minus_one_with_its_stamp() {
        for payload_bytes in [16, 64, 300] {
            let shape = Shape {
                topic: "a7",
                qos: 0,
                payload_bytes,
                batch: 3,
            };
            let mut template = MqttSn::template(shape);
            let first = Stamp {
                run: 1,
                stream: 2,
                sequence: 9,
            };
            let bytes = template.message_bytes();
            let messages = template.stamp(first, 1, || 0).to_vec();
            for (sequence, message) in (9..).zip(messages.chunks(bytes)) {
                let Ok(Packet::Publish {
                    qos: PublishQoS::MinusOne,
                    topic: TopicRef::Short(topic),
                    payload,
                    ..
                }) = decode(message)
                else {
                    panic!("{message:?}");
                };
                assert_eq!((topic.as_str(), payload.len()), ("a7", payload_bytes));
                assert_eq!(Stamp::read(payload), Some(Stamp { sequence, ..first }));
            }
        }
    }
}
