//! What the target of a request asks of a topic's socket: `/chat/room1?echo=0&last=1`.

use std::borrow::Cow;

use ringbus_protocols::http::{Status, percent_decode};
use ringbus_protocols::mqtt::QoS;
use ringbus_protocols::topic::{SharedFilter, TopicName};
use ringbus_protocols::websocket::handshake::Refusal;

/// The topic of the path `/`.
const ROOT_TOPIC: &str = "ws";

/// A topic and how its socket behaves.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) topic: Box<str>,
    /// Whether its own messages come back.
    pub(super) echo: bool,
    pub(super) qos: QoS,
    /// Whether what it publishes is retained.
    pub(super) retain: bool,
    /// Whether it starts with the retained message.
    pub(super) last: bool,
    /// Whether what is not marked, and is UTF-8, comes as text.
    pub(super) text: bool,
}

impl Target {
    /// Reads path and query.
    ///
    /// # Errors
    /// The path is no topic name, or the query has a key or a value that is not known.
    pub(super) fn parse(path: &str, query: Option<&str>) -> Result<Self, Refusal> {
        let mut target = Self {
            topic: topic_of(path)?,
            echo: true,
            qos: QoS::AtMostOnce,
            retain: false,
            last: false,
            text: false,
        };
        for pair in query.unwrap_or_default().split('&') {
            if !pair.is_empty() {
                target.set(pair)?;
            }
        }
        Ok(target)
    }

    fn set(&mut self, pair: &str) -> Result<(), Refusal> {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = match value {
            "0" => false,
            "1" => true,
            _ => return Err(UNKNOWN_QUERY),
        };
        match key {
            "echo" => self.echo = value,
            "qos" if value => self.qos = QoS::AtLeastOnce,
            "qos" => self.qos = QoS::AtMostOnce,
            "retain" => self.retain = value,
            "last" => self.last = value,
            "text" => self.text = value,
            _ => return Err(UNKNOWN_QUERY),
        }
        Ok(())
    }
}

const UNKNOWN_QUERY: Refusal =
    refusal("the query may have echo, qos, retain, last and text, each with =0 or =1");

const fn refusal(words: &'static str) -> Refusal {
    Refusal {
        status: Status::BadRequest,
        words,
    }
}

fn topic_of(path: &str) -> Result<Box<str>, Refusal> {
    let name = path.strip_prefix('/').unwrap_or(path);
    if name.is_empty() {
        return Ok(ROOT_TOPIC.into());
    }
    let name: Cow<'_, str> = percent_decode(name)
        .map_err(|_| refusal("the path is no UTF-8 after its %XX are read, or has a % without"))?;
    TopicName::parse(&name).map_err(|error| refusal(error.in_words()))?;
    if !matches!(SharedFilter::parse(&name), Ok(None)) {
        return Err(refusal("a shared subscription is no topic"));
    }
    Ok(name.into())
}

#[cfg(test)]
mod tests {
    use super::Target;
    use ringbus_protocols::mqtt::QoS;

    fn topic(path: &str) -> String {
        Target::parse(path, None).expect(path).topic.into()
    }

    #[test]
    fn a_path_is_a_topic() {
        assert_eq!(topic("/"), "ws");
        assert_eq!(topic("/chat"), "chat");
        assert_eq!(topic("/chat/room1"), "chat/room1");
        assert_eq!(topic("//a//"), "/a//");
        assert_eq!(topic("/caf%C3%A9/%20x"), "café/ x");
        assert_eq!(topic("/a%2Fb"), "a/b");
        assert_eq!(topic("/$SYS/broker/uptime"), "$SYS/broker/uptime");
    }

    #[test]
    fn what_is_no_topic_is_refused() {
        let long = format!("/{}", "x".repeat(65_536));
        for path in [
            "/a/+",
            "/a/%23",
            "/%2B",
            "/%00",
            "/%",
            "/%4",
            "/%zz",
            "/%FF",
            "/$share/g/t",
            &long,
        ] {
            assert!(Target::parse(path, None).is_err(), "{path}");
        }
    }

    #[test]
    fn a_query_says_how() {
        let query = Some("echo=0&qos=1&retain=1&last=1&text=1");
        let target = Target::parse("/a", query).expect("valid");
        assert!(!target.echo && target.retain && target.last && target.text);
        assert_eq!(target.qos, QoS::AtLeastOnce);
        let plain = Target::parse("/a", Some("")).expect("valid");
        assert!(plain.echo && !plain.retain && !plain.last && !plain.text);
        assert_eq!(plain.qos, QoS::AtMostOnce);
        for query in ["qos=2", "echo", "echo=yes", "loud=1", "retain=", "=1"] {
            assert!(Target::parse("/a", Some(query)).is_err(), "{query}");
        }
    }
}
