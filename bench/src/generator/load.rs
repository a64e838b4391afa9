//! A validated load, and who publishes and subscribes what in it.

use super::wire::STAMP_BYTES;
use crate::cli::Protocol;
use crate::endpoint::Endpoint;
use ringbus_protocols::mqtt::Version;

/// Streams times subscribers the generator keeps books of.
const TRACKS_MAX: usize = 8 << 20;

/// The characters of a number of two.
const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// What stands for the number of a topic.
const NUMBERS: [&str; 2] = ["%i", "%2"];

/// The largest payload of a datagram.
const DATAGRAM_PAYLOAD_MAX: usize = 60_000;

/// Who receives what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Each topic has its own subscribers
    PointToPoint,
    /// Every subscriber has one wildcard filter over all topics
    FanIn,
    /// Every subscriber subscribes to each topic by name
    FanOut,
    /// The subscribers are the members of one shared subscription to all topics
    Shared,
}

/// When messages leave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pacing {
    /// At most so many unreceived messages a topic
    Window(u64),
    /// So many messages a second in all
    Rate(f64),
    /// As fast as the sockets take them
    Unbounded,
    /// The next one when the last one arrived, each with its latency
    PingPong,
}

/// A load.
#[derive(Clone, Debug)]
pub struct Load {
    /// Who receives what
    pub kind: Kind,
    /// Publisher connections
    pub publishers: usize,
    /// Subscriber connections
    pub subscribers: usize,
    /// Topics
    pub topics: usize,
    /// Topic pattern, `%i` for the number, `%2` for the number as two characters
    pub topic: String,
    /// Quality of service
    pub qos: u8,
    /// Payload bytes
    pub payload_bytes: usize,
    /// When messages leave
    pub pacing: Pacing,
    /// Messages a write
    pub batch: u64,
    /// Whether writes made in one go may share a segment
    pub join_writes: bool,
    /// Nanoseconds before the measurement
    pub warmup: u64,
    /// Nanoseconds measured
    pub duration: u64,
}

/// How to reach the broker.
#[derive(Clone, Debug)]
pub struct Route {
    /// Where it listens
    pub endpoint: Endpoint,
    /// What it speaks
    pub protocol: Protocol,
    /// In which version
    pub version: Version,
    /// Where it takes datagrams, if publishers send those
    pub datagrams: Option<Endpoint>,
}

impl Load {
    /// Checks that the numbers fit together; the error names the flag.
    pub fn validate(self) -> Result<Self, String> {
        let counts = [
            ("pubs", self.publishers),
            ("subs", self.subscribers),
            ("topics", self.topics),
        ];
        if let Some((flag, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return Err(format!("--{flag} must be at least 1"));
        }
        if self.payload_bytes < STAMP_BYTES {
            return Err(format!(
                "--payload must be at least {STAMP_BYTES}: the stamp is in it"
            ));
        }
        if self.payload_bytes > 200 << 20 {
            return Err("--payload must be at most 200 MiB".into());
        }
        if self.topics > 1 && !has_number(&self.topic) {
            return Err("--topic needs %i when there are several topics".into());
        }
        if self.topic.is_empty() || self.topic.len() > 1000 || self.topic.contains(['+', '#', '\0'])
        {
            return Err("--topic must be a topic of 1 to 1000 bytes without wildcards".into());
        }
        if self.topic.contains("%2") && self.topics > DIGITS.len() * DIGITS.len() {
            return Err("--topics: two characters tell 1296 apart".into());
        }
        if self.batch == 0 || self.batch > 65536 {
            return Err("--batch must be between 1 and 65536".into());
        }
        if matches!(self.pacing, Pacing::Window(window) if window < self.batch) {
            return Err("--window must not be less than --batch".into());
        }
        if matches!(self.pacing, Pacing::Rate(rate) if !(1.0..=1e9).contains(&rate)) {
            return Err("--rate must be between 1 and 1000000000".into());
        }
        if self.streams().saturating_mul(self.receivers()) > TRACKS_MAX {
            return Err("too many publishers times subscribers to verify each".into());
        }
        if self.duration == 0 {
            return Err("--duration must be above 0".into());
        }
        Ok(self)
    }

    /// Streams: one for each publisher, or for each topic if there are more.
    pub fn streams(&self) -> usize {
        self.publishers.max(self.topics)
    }

    /// The publisher connection of a stream.
    pub fn publisher_of(&self, stream: usize) -> usize {
        stream % self.publishers
    }

    /// The names of a publisher's topics.
    pub fn topics_of(&self, publisher: usize) -> Vec<String> {
        let streams = (0..self.streams()).filter(|&stream| self.publisher_of(stream) == publisher);
        let topics = streams.map(|stream| self.topic_name(self.topic_of(stream)));
        topics.collect()
    }

    /// Whether the load can be carried by a protocol; the error names the flag.
    pub fn fits(&self, protocol: Protocol) -> Result<(), String> {
        if self.qos > 0 && !matches!(protocol, Protocol::Mqtt | Protocol::Ws) {
            return Err("--qos above 0 needs MQTT".into());
        }
        if protocol == Protocol::MqttSn {
            return self.fits_datagrams();
        }
        if protocol != Protocol::Topic {
            return Ok(());
        }
        if matches!(self.kind, Kind::FanIn | Kind::Shared) {
            return Err("--proto topic has no wildcards and no shared subscriptions".into());
        }
        let has_several =
            (0..self.subscribers).any(|subscriber| self.filters(subscriber).len() != 1);
        // A second publisher of a topic would get what the first one publishes.
        if has_several || self.publishers != self.topics {
            return Err(
                "--proto topic: a socket has one topic, so --topics must be as many as \
                        --pubs and no more than --subs"
                    .into(),
            );
        }
        Ok(())
    }

    /// QoS −1 names its topic by two characters, and all of it is a datagram.
    fn fits_datagrams(&self) -> Result<(), String> {
        if (0..self.topics).any(|topic| self.topic_name(topic).len() != 2) {
            return Err("--proto mqttsn: --topic must make names of two bytes, as %2 does".into());
        }
        if self.payload_bytes > DATAGRAM_PAYLOAD_MAX {
            return Err(format!(
                "--proto mqttsn: --payload must be at most {DATAGRAM_PAYLOAD_MAX}"
            ));
        }
        Ok(())
    }

    /// The topic number of a stream.
    pub fn topic_of(&self, stream: usize) -> usize {
        stream % self.topics
    }

    /// Who has books of its own: a subscriber, or all members of a shared subscription together.
    pub fn receivers(&self) -> usize {
        match self.kind {
            Kind::Shared => 1,
            _ => self.subscribers,
        }
    }

    /// The name of a topic.
    pub fn topic_name(&self, topic: usize) -> String {
        let two = [topic / DIGITS.len(), topic].map(|n| char::from(DIGITS[n % DIGITS.len()]));
        self.topic
            .replace("%i", &topic.to_string())
            .replace("%2", &String::from_iter(two))
    }

    /// Whether a subscriber receives a topic.
    pub fn receives(&self, subscriber: usize, topic: usize) -> bool {
        match self.kind {
            Kind::FanIn | Kind::FanOut | Kind::Shared => true,
            Kind::PointToPoint if self.topics >= self.subscribers => {
                topic % self.subscribers == subscriber
            }
            Kind::PointToPoint => subscriber % self.topics == topic,
        }
    }

    /// The filters of a subscriber.
    pub fn filters(&self, subscriber: usize) -> Vec<String> {
        if self.kind == Kind::Shared {
            return vec![format!("$share/bench/{}", self.wildcard())];
        }
        if self.kind == Kind::FanIn && has_number(&self.topic) {
            return vec![self.wildcard()];
        }
        let topics = (0..self.topics).filter(|&topic| self.receives(subscriber, topic));
        topics.map(|topic| self.topic_name(topic)).collect()
    }

    /// The pattern with `+` for each level that holds the number.
    fn wildcard(&self) -> String {
        let level = |level: &str| {
            if has_number(level) {
                "+".into()
            } else {
                level.to_string()
            }
        };
        self.topic
            .split('/')
            .map(level)
            .collect::<Vec<String>>()
            .join("/")
    }

    /// Subscribers of a stream's topic.
    pub fn subscribers_of(&self, stream: usize) -> usize {
        let topic = self.topic_of(stream);
        (0..self.receivers())
            .filter(|&subscriber| self.receives(subscriber, topic))
            .count()
    }

    /// Unreceived messages a stream may have: its share of its topic's window.
    pub fn stream_window(&self, window: u64) -> u64 {
        let sharing = self.streams().div_ceil(self.topics) as u64;
        (window / sharing).max(self.batch)
    }
}

/// Whether a pattern or a level of it depends on the number.
fn has_number(pattern: &str) -> bool {
    NUMBERS.iter().any(|number| pattern.contains(number))
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A small closed-loop load.
    pub fn small(kind: Kind, publishers: usize, subscribers: usize, topics: usize) -> Load {
        Load {
            kind,
            publishers,
            subscribers,
            topics,
            topic: "bench/%i".into(),
            qos: 0,
            payload_bytes: 64,
            pacing: Pacing::Window(256),
            batch: 16,
            join_writes: true,
            warmup: 0,
            duration: 1_000_000,
        }
    }

    #[test]
    fn pairs_have_one_subscriber_a_stream() {
        let load = small(Kind::PointToPoint, 50, 50, 50);
        assert!((0..50).all(|stream| load.subscribers_of(stream) == 1));
        assert_eq!(load.filters(7), ["bench/7"]);
        assert_eq!(load.publisher_of(7), 7);
    }

    #[test]
    fn more_topics_than_publishers_make_several_streams_a_publisher() {
        let load = small(Kind::PointToPoint, 2, 4, 8);
        assert_eq!(load.streams(), 8);
        assert_eq!(load.publisher_of(5), 1);
        assert_eq!(load.filters(1), ["bench/1", "bench/5"]);
    }

    #[test]
    fn the_members_of_a_group_receive_each_message_once_together() {
        let load = small(Kind::Shared, 3, 100, 3);
        assert_eq!(load.filters(99), ["$share/bench/bench/+"]);
        assert!((0..3).all(|stream| load.subscribers_of(stream) == 1));
        assert_eq!(load.receivers(), 1);
    }

    #[test]
    fn more_subscribers_than_topics_share_a_topic() {
        let load = small(Kind::PointToPoint, 1, 3, 1);
        assert_eq!(load.subscribers_of(0), 3);
        assert_eq!(load.filters(2), ["bench/0"]);
    }

    #[test]
    fn fan_in_subscribes_by_wildcard_and_fan_out_by_name() {
        assert_eq!(small(Kind::FanIn, 50, 1, 50).filters(0), ["bench/+"]);
        let fan_out = small(Kind::FanOut, 1, 200, 1);
        assert_eq!(fan_out.filters(199), ["bench/0"]);
        assert_eq!(fan_out.subscribers_of(0), 200);
    }

    #[test]
    fn publishers_of_one_topic_share_its_window() {
        let load = small(Kind::PointToPoint, 4, 1, 1);
        assert_eq!(load.stream_window(256), 64);
        assert_eq!(load.stream_window(16), 16);
    }

    #[test]
    fn topic_sockets_carry_loads_of_one_topic_each() {
        let fits = |kind, publishers, subscribers, topics| {
            small(kind, publishers, subscribers, topics).fits(Protocol::Topic)
        };
        assert_eq!(fits(Kind::PointToPoint, 50, 50, 50), Ok(()));
        assert_eq!(fits(Kind::PointToPoint, 2, 5, 2), Ok(()));
        assert_eq!(fits(Kind::FanOut, 1, 1000, 1), Ok(()));
        for (kind, publishers, subscribers, topics) in [
            (Kind::FanIn, 5, 1, 5),
            (Kind::Shared, 1, 5, 1),
            (Kind::FanOut, 2, 5, 2),
            (Kind::PointToPoint, 5, 1, 5),
            (Kind::PointToPoint, 1, 5, 5),
            (Kind::PointToPoint, 5, 5, 1),
        ] {
            let error = fits(kind, publishers, subscribers, topics).unwrap_err();
            assert!(error.contains("--proto topic"), "{error}");
        }
    }

    #[test]
    fn datagrams_name_their_topic_by_two_characters() {
        let mut load = small(Kind::FanIn, 50, 1, 50);
        assert!(load.fits(Protocol::MqttSn).unwrap_err().contains("--topic"));
        load.topic = "%2".into();
        assert_eq!(load.fits(Protocol::MqttSn), Ok(()));
        assert_eq!(
            (load.topic_name(9), load.topic_name(47)),
            ("09".into(), "1b".into())
        );
        assert_eq!(load.filters(0), ["+"]);
        load.payload_bytes = 65_000;
        assert!(
            load.fits(Protocol::MqttSn)
                .unwrap_err()
                .contains("--payload")
        );
        load.topics = 1297;
        assert!(load.validate().unwrap_err().contains("--topics"));
    }

    #[test]
    fn acknowledgements_need_mqtt() {
        let mut load = small(Kind::PointToPoint, 1, 1, 1);
        load.qos = 1;
        assert!(load.fits(Protocol::Mqtt).is_ok() && load.fits(Protocol::Ws).is_ok());
        for protocol in [
            Protocol::Topic,
            Protocol::Nats,
            Protocol::Resp,
            Protocol::MqttSn,
        ] {
            assert!(load.fits(protocol).unwrap_err().contains("--qos"));
        }
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused_with_the_flag() {
        let refuse = |change: fn(&mut Load), flag: &str| {
            let mut load = small(Kind::PointToPoint, 2, 2, 2);
            change(&mut load);
            let error = load.validate().unwrap_err();
            assert!(error.contains(flag), "{error}");
        };
        refuse(|load| load.publishers = 0, "--pubs");
        refuse(|load| load.payload_bytes = 15, "--payload");
        refuse(|load| load.topic = "bench".into(), "--topic");
        refuse(|load| load.pacing = Pacing::Window(15), "--window");
        refuse(|load| load.pacing = Pacing::Rate(0.0), "--rate");
        refuse(|load| load.batch = 0, "--batch");
        assert!(small(Kind::FanIn, 50, 1, 50).validate().is_ok());
    }
}
