//! How `ringbus sub` prints a message.

use crate::cli::{Format, SubArgs};
use ringbus_protocols::mqtt::{Properties, Property, Publish};
use serde_json::{Map, Value, json};
use std::io::{self, Write};

/// The format that the flags ask for.
#[derive(Clone, Copy, Debug)]
pub struct Printer {
    format: Format,
    verbose: bool,
    newline: bool,
}

impl Printer {
    /// The printer of these flags.
    pub fn new(args: &SubArgs) -> Self {
        Self {
            format: args.format,
            verbose: args.verbose,
            newline: !args.no_newline,
        }
    }

    /// Prints one message.
    pub fn print(&self, message: &Publish<'_>, out: &mut impl Write) -> io::Result<()> {
        match self.format {
            Format::Json => serde_json::to_writer(&mut *out, &object(message))?,
            Format::Text => {
                if self.verbose {
                    write!(out, "{} ", message.topic)?;
                }
                out.write_all(message.payload)?;
            }
        }
        if self.newline {
            out.write_all(b"\n")
        } else {
            Ok(())
        }
    }
}

/// The message as mosquitto_sub's `%j` has it; bytes that are no text go into `payload_hex`.
fn object(message: &Publish<'_>) -> Value {
    let mut object = Map::new();
    object.insert("topic".into(), message.topic.into());
    object.insert("qos".into(), u8::from(message.qos).into());
    object.insert("retain".into(), u8::from(message.retain).into());
    if let Some(id) = message.packet_identifier {
        object.insert("mid".into(), id.get().into());
    }
    object.insert("payloadlen".into(), message.payload.len().into());
    match std::str::from_utf8(message.payload) {
        Ok(text) => object.insert("payload".into(), text.into()),
        Err(_) => object.insert("payload_hex".into(), hex(message.payload).into()),
    };
    if !message.properties.is_empty() {
        object.insert("properties".into(), properties(&message.properties));
    }
    Value::Object(object)
}

fn properties(properties: &Properties<'_>) -> Value {
    let mut object = Map::new();
    let mut user = Vec::new();
    let mut identifiers = Vec::new();
    for property in properties.iter() {
        let (name, value) = match property {
            Property::UserProperty((name, value)) => {
                user.push(json!({ name: value }));
                continue;
            }
            Property::SubscriptionIdentifier(identifier) => {
                identifiers.push(identifier);
                continue;
            }
            Property::PayloadFormatIndicator(value) => ("payload-format-indicator", value.into()),
            Property::MessageExpiryInterval(value) => ("message-expiry-interval", value.into()),
            Property::ContentType(value) => ("content-type", value.into()),
            Property::ResponseTopic(value) => ("response-topic", value.into()),
            Property::CorrelationData(value) => ("correlation-data", hex(value).into()),
            _ => continue,
        };
        object.insert(name.into(), value);
    }
    if !identifiers.is_empty() {
        object.insert("subscription-identifiers".into(), identifiers.into());
    }
    if !user.is_empty() {
        object.insert("user-properties".into(), user.into());
    }
    Value::Object(object)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringbus_protocols::mqtt::{PacketIdentifier, PropertiesBuf, QoS};

    fn print(format: Format, verbose: bool, message: &Publish<'_>) -> String {
        let mut out = Vec::new();
        Printer {
            format,
            verbose,
            newline: true,
        }
        .print(message, &mut out)
        .unwrap();
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn text_is_the_payload_with_the_topic_if_verbose() {
        let message = Publish {
            topic: "a/b",
            payload: b"hi",
            ..Publish::default()
        };
        assert_eq!(print(Format::Text, false, &message), "hi\n");
        assert_eq!(print(Format::Text, true, &message), "a/b hi\n");
    }

    #[test]
    fn json_has_every_field_and_the_properties() {
        let mut properties = PropertiesBuf::new();
        properties.push(Property::ContentType("text/plain"));
        properties.push(Property::UserProperty(("k", "v")));
        let message = Publish {
            qos: QoS::AtLeastOnce,
            retain: true,
            topic: "a",
            packet_identifier: PacketIdentifier::new(7),
            properties: properties.as_properties(),
            payload: b"\"x\"\n",
            ..Publish::default()
        };
        let line = print(Format::Json, false, &message);
        assert_eq!(line.lines().count(), 1);
        let expected = json!({
            "topic": "a", "qos": 1, "retain": 1, "mid": 7, "payloadlen": 4, "payload": "\"x\"\n",
            "properties": { "content-type": "text/plain", "user-properties": [{ "k": "v" }] },
        });
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), expected);
    }

    #[test]
    fn bytes_that_are_no_text_are_printed_in_hex() {
        let message = Publish {
            topic: "a",
            payload: &[0xff, 0x01],
            ..Publish::default()
        };
        let value: Value = serde_json::from_str(&print(Format::Json, false, &message)).unwrap();
        assert_eq!(value["payload_hex"], "ff01");
    }
}
