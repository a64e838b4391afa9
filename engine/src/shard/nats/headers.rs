//! Headers of HPUB as properties of MQTT.

use ringbus_protocols::mqtt::{PropertiesBuf, Property, QoS};
use ringbus_protocols::nats::Publish;
use ringbus_protocols::nats::headers::headers;
use ringbus_protocols::nats::subject::put_topic;

/// A header that asks for a level, `0` or `1`.
const QOS: &str = "Mqtt-QoS";
/// A header that asks for the message to be retained, and says that one was.
pub(super) const RETAIN: &str = "Mqtt-Retain";
/// A header that is a property of its own in MQTT.
pub(super) const CONTENT_TYPE: &str = "Content-Type";

/// What headers and the reply subject make of a message.
pub(super) struct Marked {
    pub(super) properties: PropertiesBuf,
    pub(super) qos: QoS,
    pub(super) retain: bool,
}

impl Marked {
    /// `None` if the headers are none, or ask for what there is not.
    pub(super) fn read(publish: &Publish<'_>) -> Option<Self> {
        let mut marked = Self {
            properties: PropertiesBuf::new(),
            qos: QoS::AtMostOnce,
            retain: false,
        };
        if !publish.headers.is_empty() {
            for (name, value) in headers(publish.headers)? {
                marked.add(name, value)?;
            }
        }
        // At QoS 1 the reply is for the acknowledgement.
        if marked.qos == QoS::AtMostOnce
            && let Some(reply) = publish.reply
        {
            let mut topic = String::new();
            if put_topic(reply, &mut topic).is_ok() {
                marked.properties.push(Property::ResponseTopic(&topic));
            }
        }
        Some(marked)
    }

    fn add(&mut self, name: &str, value: &str) -> Option<()> {
        if name.eq_ignore_ascii_case(QOS) {
            self.qos = match value {
                "0" => QoS::AtMostOnce,
                "1" => QoS::AtLeastOnce,
                _ => return None,
            };
        } else if name.eq_ignore_ascii_case(RETAIN) {
            self.retain = match value {
                "0" => false,
                "1" => true,
                _ => return None,
            };
        } else if name.eq_ignore_ascii_case(CONTENT_TYPE) {
            if value.contains('\0') {
                return None;
            }
            self.properties.push(Property::ContentType(value));
        } else if !name.contains('\0') && !value.contains('\0') {
            self.properties.push(Property::UserProperty((name, value)));
        }
        Some(())
    }
}
