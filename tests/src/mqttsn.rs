//! A small blocking MQTT-SN client for tests, written from the specification alone: it sends what
//! it is told, waits for what it is told, and panics with what came instead. It repeats nothing.

mod message;

pub use message::{
    SnMessage, SnSocket, connect, flag, forwarded, kind, message, publish, qos_flags,
    unwrap_forwarded,
};

use crate::broker::Broker;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

const ACCEPTED: u8 = 0;

/// A client, connected or not.
#[derive(Debug)]
pub struct SnClient {
    socket: SnSocket,
    client_id: String,
    next_msg_id: u16,
    /// Topic names by id, as SUBACK, REGACK and REGISTER tell them.
    names: HashMap<u16, String>,
    /// Received while something else was waited for.
    inbox: VecDeque<SnMessage>,
    /// How many of the next datagrams get lost on their way here.
    losses: usize,
}

/// What a client says in CONNECT, and then about its will.
#[derive(Clone, Debug)]
pub struct SnHello {
    /// Its name.
    pub client_id: String,
    /// The session of before is forgotten.
    pub clean_session: bool,
    /// The keep alive.
    pub duration_seconds: u16,
    /// The will, if any.
    pub will: Option<SnWill>,
}

/// A will.
#[derive(Clone, Debug)]
pub struct SnWill {
    /// Where it goes.
    pub topic: String,
    /// What it says.
    pub payload: String,
    /// Its QoS, 0 to 2.
    pub qos: i8,
    /// Whether it is retained.
    pub retain: bool,
}

/// A topic as a message names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnTopic<'a> {
    /// The name itself; in SUBSCRIBE and UNSUBSCRIBE only.
    Name(&'a str),
    /// An id that was registered.
    Id(u16),
    /// An id that both sides know beforehand.
    Predefined(u16),
    /// A name of two characters.
    Short(&'a str),
}

/// A message of the broker for its subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnPublish {
    /// The topic name, or `#` and the id if it is a predefined one.
    pub topic: String,
    /// What it says.
    pub payload: Vec<u8>,
    /// Its QoS.
    pub qos: i8,
    /// The RETAIN flag.
    pub retain: bool,
    /// The DUP flag.
    pub dup: bool,
    /// As on the wire.
    pub topic_id: [u8; 2],
    /// As on the wire.
    pub msg_id: u16,
}

impl SnHello {
    /// A clean session with a keep alive of ten minutes.
    pub fn new(client_id: &str) -> SnHello {
        SnHello {
            client_id: client_id.to_owned(),
            clean_session: true,
            duration_seconds: 600,
            will: None,
        }
    }

    /// A session that stays.
    pub fn persistent(client_id: &str) -> SnHello {
        let clean_session = false;
        SnHello {
            clean_session,
            ..SnHello::new(client_id)
        }
    }

    /// With a will at QoS 1.
    pub fn with_will(mut self, topic: &str, payload: &str) -> SnHello {
        self.will = Some(SnWill {
            topic: topic.to_owned(),
            payload: payload.to_owned(),
            qos: 1,
            retain: false,
        });
        self
    }

    /// With another keep alive.
    pub fn with_duration(mut self, seconds: u16) -> SnHello {
        self.duration_seconds = seconds;
        self
    }

    /// The datagram.
    pub fn encode(&self) -> Vec<u8> {
        let clean = if self.clean_session {
            flag::CLEAN_SESSION
        } else {
            0
        };
        let will = if self.will.is_some() { flag::WILL } else { 0 };
        connect(clean | will, self.duration_seconds, &self.client_id)
    }
}

impl SnWill {
    /// What WILLTOPIC and WILLTOPICUPD say.
    pub fn topic_body(&self) -> Vec<u8> {
        let retain = if self.retain { flag::RETAIN } else { 0 };
        let flags = qos_flags(self.qos) | retain;
        [&[flags], self.topic.as_bytes()].concat()
    }
}

impl SnTopic<'_> {
    fn flags(self) -> u8 {
        match self {
            SnTopic::Name(_) | SnTopic::Id(_) => 0,
            SnTopic::Predefined(_) => flag::PREDEFINED,
            SnTopic::Short(_) => flag::SHORT,
        }
    }

    fn bytes(self) -> Vec<u8> {
        match self {
            SnTopic::Name(name) | SnTopic::Short(name) => name.as_bytes().to_vec(),
            SnTopic::Id(id) | SnTopic::Predefined(id) => id.to_be_bytes().to_vec(),
        }
    }

    fn id(self) -> [u8; 2] {
        self.bytes().try_into().expect("two bytes name it")
    }
}

impl SnClient {
    /// A client that has said nothing yet, on a socket of its own.
    pub fn raw(broker: &Broker) -> SnClient {
        SnClient::over(SnSocket::new(broker))
    }

    /// A client that has said nothing yet.
    pub fn over(socket: SnSocket) -> SnClient {
        SnClient {
            socket,
            client_id: String::new(),
            next_msg_id: 0,
            names: HashMap::new(),
            inbox: VecDeque::new(),
            losses: 0,
        }
    }

    /// Connects with a clean session.
    #[track_caller]
    pub fn open(broker: &Broker, client_id: &str) -> SnClient {
        SnClient::hello(broker, &SnHello::new(client_id))
    }

    /// Connects as said.
    #[track_caller]
    pub fn hello(broker: &Broker, hello: &SnHello) -> SnClient {
        let mut client = SnClient::raw(broker);
        client.connect(hello);
        client
    }

    /// Connects as said, maybe again. Ids of before are forgotten, but not what has come.
    #[track_caller]
    pub fn connect(&mut self, hello: &SnHello) {
        self.client_id.clone_from(&hello.client_id);
        self.names.clear();
        self.send_bytes(&hello.encode());
        if let Some(will) = &hello.will {
            self.expect(kind::WILLTOPICREQ, &[]);
            self.send(kind::WILLTOPIC, &will.topic_body());
            self.expect(kind::WILLMSGREQ, &[]);
            self.send(kind::WILLMSG, will.payload.as_bytes());
        }
        self.expect(kind::CONNACK, &[ACCEPTED]);
    }

    /// Its socket, for what this client does not do.
    pub fn socket(&self) -> &SnSocket {
        &self.socket
    }

    /// The next datagrams that come get lost.
    pub fn drop_next(&mut self, count: usize) {
        self.losses += count;
    }

    /// Sends a message.
    pub fn send(&self, kind: u8, body: &[u8]) {
        self.send_bytes(&message(kind, body));
    }

    /// Sends a datagram as it is.
    pub fn send_bytes(&self, datagram: &[u8]) {
        self.socket.send(datagram);
    }

    /// The next message that does not get lost, whatever it is.
    #[track_caller]
    pub fn receive(&mut self) -> SnMessage {
        if let Some(message) = self.inbox.pop_front() {
            return message;
        }
        self.receive_new()
    }

    #[track_caller]
    fn receive_new(&mut self) -> SnMessage {
        loop {
            let datagram = self.socket.receive();
            if self.losses == 0 {
                return SnMessage::decode(&datagram);
            }
            self.losses -= 1;
        }
    }

    /// Waits for an answer of that type; what the broker asks or publishes meanwhile stays for
    /// later.
    #[track_caller]
    pub fn answer(&mut self, wanted: u8) -> SnMessage {
        loop {
            let message = self.receive_new();
            if message.kind == wanted {
                return message;
            }
            let is_brokers_turn =
                matches!(message.kind, kind::PUBLISH | kind::REGISTER | kind::PUBREL);
            assert!(is_brokers_turn, "not {wanted:#04x}: {message:02x?}");
            self.inbox.push_back(message);
        }
    }

    /// Waits for exactly this.
    #[track_caller]
    pub fn expect(&mut self, kind: u8, body: &[u8]) {
        let body = body.to_vec();
        assert_eq!(self.answer(kind), SnMessage { kind, body });
    }

    /// A message id that it has not used.
    pub fn new_msg_id(&mut self) -> u16 {
        self.next_msg_id = self.next_msg_id.checked_add(1).expect("a short test");
        self.next_msg_id
    }

    /// Registers a topic name; its id.
    #[track_caller]
    pub fn register(&mut self, name: &str) -> u16 {
        let (topic_id, code) = self.register_code(name);
        assert_eq!(code, ACCEPTED, "REGACK for {name}");
        assert!(topic_id != 0 && topic_id != 0xFFFF, "a reserved id");
        self.names.insert(topic_id, name.to_owned());
        topic_id
    }

    /// Registers a topic name; its id and the return code.
    #[track_caller]
    pub fn register_code(&mut self, name: &str) -> (u16, u8) {
        let msg_id = self.new_msg_id();
        let head = [&[0, 0][..], &msg_id.to_be_bytes()].concat();
        self.send(kind::REGISTER, &[&head, name.as_bytes()].concat());
        let answer = self.answer(kind::REGACK);
        assert_eq!(answer.body.len(), 5, "{answer:02x?}");
        assert_eq!(answer.u16_at(2), msg_id, "{answer:02x?}");
        (answer.u16_at(0), answer.body[4])
    }

    /// Sends a PUBLISH, with nothing retained; its message id, which is 0 below QoS 1.
    pub fn send_publish(&mut self, topic: SnTopic<'_>, payload: &str, qos: i8) -> u16 {
        let msg_id = if qos > 0 { self.new_msg_id() } else { 0 };
        let flags = qos_flags(qos) | topic.flags();
        self.send_bytes(&publish(flags, topic.id(), msg_id, payload.as_bytes()));
        msg_id
    }

    /// Publishes, and waits until the broker has it, as far as the QoS tells.
    #[track_caller]
    pub fn publish(&mut self, topic: SnTopic<'_>, payload: &str, qos: i8) {
        let msg_id = self.send_publish(topic, payload, qos);
        self.published(topic, msg_id, qos);
    }

    /// Waits until the broker has what was sent.
    #[track_caller]
    pub fn published(&mut self, topic: SnTopic<'_>, msg_id: u16, qos: i8) {
        let msg_id = msg_id.to_be_bytes();
        if qos == 1 {
            let body = [&topic.id()[..], &msg_id, &[ACCEPTED]].concat();
            self.expect(kind::PUBACK, &body);
        } else if qos == 2 {
            self.expect(kind::PUBREC, &msg_id);
            self.send(kind::PUBREL, &msg_id);
            self.expect(kind::PUBCOMP, &msg_id);
        }
    }

    /// Subscribes, and is granted that; the topic id, which is 0 for a filter with wildcards.
    #[track_caller]
    pub fn subscribe(&mut self, filter: SnTopic<'_>, qos: i8) -> u16 {
        let (granted, topic_id, code) = self.subscribe_code(filter, qos);
        assert_eq!((granted, code), (qos, ACCEPTED), "SUBACK for {filter:?}");
        if let SnTopic::Name(name) = filter
            && topic_id != 0
        {
            self.names.insert(topic_id, name.to_owned());
        }
        topic_id
    }

    /// Subscribes; the granted QoS, the topic id and the return code.
    #[track_caller]
    pub fn subscribe_code(&mut self, filter: SnTopic<'_>, qos: i8) -> (i8, u16, u8) {
        let msg_id = self.new_msg_id();
        let flags = qos_flags(qos) | filter.flags();
        let head = [&[flags][..], &msg_id.to_be_bytes()].concat();
        self.send(kind::SUBSCRIBE, &[head, filter.bytes()].concat());
        let answer = self.answer(kind::SUBACK);
        assert_eq!(answer.body.len(), 6, "{answer:02x?}");
        assert_eq!(answer.u16_at(3), msg_id, "{answer:02x?}");
        let granted = qos_of(answer.body[0]);
        (granted, answer.u16_at(1), answer.body[5])
    }

    /// Unsubscribes.
    #[track_caller]
    pub fn unsubscribe(&mut self, filter: SnTopic<'_>) {
        let msg_id = self.new_msg_id().to_be_bytes();
        let head = [&[filter.flags()][..], &msg_id].concat();
        self.send(kind::UNSUBSCRIBE, &[head, filter.bytes()].concat());
        self.expect(kind::UNSUBACK, &msg_id);
    }

    /// A round trip.
    #[track_caller]
    pub fn ping(&mut self) {
        self.send(kind::PINGREQ, &[]);
        self.expect(kind::PINGRESP, &[]);
    }

    /// Checks that nothing came. Two rounds, as a message may have to go over another shard.
    #[track_caller]
    pub fn expect_nothing(&mut self) {
        self.ping();
        self.ping();
        assert!(self.inbox.is_empty(), "unexpected: {:02x?}", self.inbox);
    }

    /// Says good-bye.
    #[track_caller]
    pub fn disconnect(mut self) {
        self.send(kind::DISCONNECT, &[]);
        self.expect(kind::DISCONNECT, &[]);
    }

    /// Waits until the broker does not know this address, after a connection that is over. What
    /// crosses that news between two shards gets lost, as datagrams may.
    #[track_caller]
    pub fn forgotten(&mut self) {
        let is_forgotten = |(): &()| {
            self.send(kind::PINGREQ, &[]);
            let answer = self.socket.receive_within(Duration::from_secs(1));
            answer.is_some_and(|answer| answer == [2, kind::DISCONNECT])
        };
        let asked = std::iter::repeat_n((), 30).find(is_forgotten);
        assert!(asked.is_some(), "it is still known");
    }

    /// Goes to sleep.
    #[track_caller]
    pub fn sleep(&mut self, seconds: u16) {
        self.send(kind::DISCONNECT, &seconds.to_be_bytes());
        self.expect(kind::DISCONNECT, &[]);
    }

    /// Asks for what came while it slept; all of that, acknowledged in full.
    #[track_caller]
    pub fn wake_up(&mut self) -> Vec<SnPublish> {
        self.send(kind::PINGREQ, self.client_id.as_bytes());
        let mut messages = Vec::new();
        loop {
            match self.receive() {
                message if message.kind == kind::PINGRESP => return messages,
                message => messages.extend(self.take(&message)),
            }
        }
    }

    /// The next message of the broker, acknowledged in full, behind a REGISTER or not.
    #[track_caller]
    pub fn message(&mut self) -> SnPublish {
        loop {
            let message = self.receive();
            if let Some(publish) = self.take(&message) {
                return publish;
            }
        }
    }

    /// Checks that the next message is this, and acknowledges it.
    #[track_caller]
    pub fn expect_publish(&mut self, topic: &str, payload: &str, qos: i8) -> SnPublish {
        let message = self.message();
        let got = (
            message.topic.as_str(),
            message.payload.as_slice(),
            message.qos,
        );
        assert_eq!(got, (topic, payload.as_bytes(), qos));
        message
    }

    /// Waits for a REGISTER of that topic, and does not answer yet.
    #[track_caller]
    pub fn expect_register(&mut self, topic: &str) -> SnMessage {
        let register = self.receive();
        let name = register.body.get(4..).unwrap_or_default();
        assert_eq!((register.kind, name), (kind::REGISTER, topic.as_bytes()));
        register
    }

    /// Takes the id that a REGISTER of the broker gives a topic.
    pub fn accept_register(&mut self, register: &SnMessage) {
        let name = String::from_utf8(register.body[4..].to_vec()).expect("UTF-8");
        self.names.insert(register.u16_at(0), name);
        self.send(kind::REGACK, &[&register.body[..4], &[ACCEPTED]].concat());
    }

    /// Answers what the broker asks.
    #[track_caller]
    fn take(&mut self, message: &SnMessage) -> Option<SnPublish> {
        match message.kind {
            kind::REGISTER => {
                self.accept_register(message);
                None
            }
            kind::PUBLISH => {
                let publish = self.decode_publish(message);
                self.acknowledge(&publish);
                Some(publish)
            }
            _ => panic!("neither REGISTER nor PUBLISH: {message:02x?}"),
        }
    }

    /// What a PUBLISH says; nothing is answered.
    #[track_caller]
    pub fn decode_publish(&self, message: &SnMessage) -> SnPublish {
        assert_eq!(message.kind, kind::PUBLISH, "{message:02x?}");
        let [flags, high, low, _, _, ref payload @ ..] = *message.body else {
            panic!("too short: {message:02x?}")
        };
        let topic_id = message.u16_at(1);
        let topic = match flags & 3 {
            0 => self.names.get(&topic_id).expect("a known id").clone(),
            flag::PREDEFINED => format!("#{topic_id}"),
            flag::SHORT => String::from_utf8(vec![high, low]).expect("UTF-8"),
            _ => panic!("a reserved topic id type: {message:02x?}"),
        };
        SnPublish {
            topic,
            payload: payload.to_vec(),
            qos: qos_of(flags),
            retain: flags & flag::RETAIN != 0,
            dup: flags & flag::DUP != 0,
            topic_id: [high, low],
            msg_id: message.u16_at(3),
        }
    }

    /// Acknowledges a message in full.
    #[track_caller]
    pub fn acknowledge(&mut self, publish: &SnPublish) {
        let msg_id = publish.msg_id.to_be_bytes();
        if publish.qos == 1 {
            let body = [&publish.topic_id[..], &msg_id, &[ACCEPTED]].concat();
            self.send(kind::PUBACK, &body);
        } else if publish.qos == 2 {
            self.send(kind::PUBREC, &msg_id);
            self.expect(kind::PUBREL, &msg_id);
            self.send(kind::PUBCOMP, &msg_id);
        }
    }
}

fn qos_of(flags: u8) -> i8 {
    match flags & flag::QOS {
        0x00 => 0,
        0x20 => 1,
        0x40 => 2,
        _ => -1,
    }
}
