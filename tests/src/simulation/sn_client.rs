//! A client of MQTT-SN as its specification has it: one message at a time, and what is not
//! answered is sent again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use ringbus::base::Nanos;
use ringbus::io::sim::Sim;
use ringbus_protocols::mqtt::QoS;
use ringbus_protocols::mqttsn::{
    FilterRef, Packet, PublishQoS, ReturnCode, ShortTopic, TopicRef, decode, encode,
};

/// It sends again after this.
const RETRY: Nanos = Nanos::from_millis(500);
/// An answer to DISCONNECT is not waited for for ever: who has one forgets the client.
const GOODBYES_MAX: u32 = 5;
/// Messages at QoS 2 that are remembered when they are over: late copies of them may come.
const FINISHED_MAX: usize = 8;

/// What a client wants to do, in this order, one after the other.
#[derive(Clone, Debug)]
pub enum Wish {
    /// CONNECT.
    Connect,
    /// SUBSCRIBE to a filter by name.
    Subscribe(String, QoS),
    /// REGISTER a topic name.
    Register(String),
    /// PUBLISH to a topic that was registered, or one of two characters.
    Publish(String, QoS, String),
    /// DISCONNECT with a duration in seconds.
    Sleep(u16),
    /// PINGREQ, asleep or not.
    Ping,
    /// DISCONNECT.
    Leave,
}

/// A message that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Its topic.
    pub topic: String,
    /// Its content.
    pub text: String,
    /// At which QoS.
    pub qos: QoS,
}

/// One client.
#[derive(Debug)]
pub struct SnClient {
    /// Its client identifier.
    pub name: String,
    address: SocketAddr,
    wishes: VecDeque<Wish>,
    /// What it waits to be answered.
    asked: Option<Asked>,
    next_msg_id: u16,
    /// Topic ids, which both ends gave out.
    topics: BTreeMap<u16, String>,
    /// Messages at QoS 2 that are not released.
    unreleased: BTreeSet<u16>,
    finished: VecDeque<(u16, String)>,
    /// What it has heard, in order.
    pub heard: Vec<Heard>,
    /// Datagrams that it sent again.
    pub repeats: usize,
}

#[derive(Debug)]
struct Asked {
    wish: Wish,
    msg_id: u16,
    /// PUBREC has come.
    is_received: bool,
    sent_at: Nanos,
    tries: u32,
}

impl SnClient {
    /// A client that wants to connect.
    #[must_use]
    pub fn new(name: &str, address: SocketAddr) -> Self {
        Self {
            name: name.to_owned(),
            address,
            wishes: VecDeque::from([Wish::Connect]),
            asked: None,
            next_msg_id: 1,
            topics: BTreeMap::new(),
            unreleased: BTreeSet::new(),
            finished: VecDeque::new(),
            heard: Vec::new(),
            repeats: 0,
        }
    }

    /// Something to do when everything before is done.
    pub fn wish(&mut self, wish: Wish) {
        self.wishes.push_back(wish);
    }

    /// Whether everything is done.
    #[must_use]
    pub fn is_content(&self) -> bool {
        self.asked.is_none() && self.wishes.is_empty()
    }

    /// What it still waits for.
    #[must_use]
    pub fn complaint(&self) -> String {
        format!("{}: {:?}, then {:?}", self.name, self.asked, self.wishes)
    }

    /// Reads what has come, and sends what is due.
    ///
    /// # Errors
    /// The broker broke a rule.
    pub fn act(&mut self, sim: &mut Sim) -> Result<(), String> {
        while let Some(datagram) = sim.receive_datagram(self.address) {
            let packet = decode(&datagram).map_err(|error| format!("{error}: {datagram:?}"))?;
            self.on_packet(sim, &packet)?;
        }
        if let Some(asked) = &mut self.asked {
            if sim.now() - asked.sent_at < RETRY {
                return Ok(());
            }
            asked.sent_at = sim.now();
            asked.tries += 1;
            self.repeats += 1;
            if asked.tries > GOODBYES_MAX && matches!(asked.wish, Wish::Leave) {
                self.asked = None;
                return Ok(());
            }
            self.ask(sim);
        } else if let Some(wish) = self.wishes.pop_front() {
            let msg_id = self.next_msg_id;
            self.next_msg_id = msg_id.checked_add(1).unwrap_or(1);
            self.asked = Some(Asked {
                wish,
                msg_id,
                is_received: false,
                sent_at: sim.now(),
                tries: 0,
            });
            self.ask(sim);
        }
        Ok(())
    }

    /// Sends what it asks, for the first time or again.
    fn ask(&self, sim: &mut Sim) {
        let Some(asked) = &self.asked else { return };
        let (msg_id, dup) = (asked.msg_id, asked.tries > 0);
        let packet = match &asked.wish {
            Wish::Connect => Packet::Connect {
                clean_session: true,
                will: false,
                duration_seconds: 600,
                client_id: &self.name,
            },
            Wish::Subscribe(filter, qos) => Packet::Subscribe {
                dup,
                qos: *qos,
                msg_id,
                filter: FilterRef::Name(filter),
            },
            Wish::Register(topic_name) => Packet::Register {
                topic_id: 0,
                msg_id,
                topic_name,
            },
            Wish::Publish(..) if asked.is_received => Packet::PubRel { msg_id },
            Wish::Publish(topic, qos, text) => Packet::Publish {
                dup,
                qos: PublishQoS::Of(*qos),
                retain: false,
                topic: self.topic_ref(topic),
                msg_id,
                payload: text.as_bytes(),
            },
            Wish::Sleep(seconds) => Packet::Disconnect {
                duration_seconds: Some(*seconds),
            },
            Wish::Ping => Packet::PingReq {
                client_id: Some(&self.name),
            },
            Wish::Leave => Packet::Disconnect {
                duration_seconds: None,
            },
        };
        self.send(sim, &packet);
    }

    fn topic_ref(&self, topic: &str) -> TopicRef {
        if let Some(short) = ShortTopic::new(topic) {
            return TopicRef::Short(short);
        }
        let known = self.topics.iter().find(|(_, name)| *name == topic);
        TopicRef::Normal(*known.expect("it was registered").0)
    }

    fn send(&self, sim: &mut Sim, packet: &Packet<'_>) {
        if std::env::var_os("RINGBUS_SIM_TRACE").is_some() {
            eprintln!("{} {} says {packet:?}", sim.now().0 / 1_000_000, self.name);
        }
        let mut datagram = Vec::new();
        encode(packet, &mut datagram);
        sim.send_datagram(self.address, &datagram);
    }

    fn on_packet(&mut self, sim: &mut Sim, packet: &Packet<'_>) -> Result<(), String> {
        if std::env::var_os("RINGBUS_SIM_TRACE").is_some() {
            eprintln!("{} {} gets {packet:?}", sim.now().0 / 1_000_000, self.name);
        }
        match *packet {
            Packet::Publish { .. } => return self.on_publish(sim, packet),
            Packet::PubRel { msg_id } => {
                self.unreleased.remove(&msg_id);
                self.send(sim, &Packet::PubComp { msg_id });
            }
            Packet::Register {
                topic_id,
                msg_id,
                topic_name,
            } => {
                self.learn(topic_id, topic_name)?;
                self.send(
                    sim,
                    &Packet::RegAck {
                        topic_id,
                        msg_id,
                        return_code: ReturnCode::ACCEPTED,
                    },
                );
            }
            Packet::PubRec { msg_id } => {
                if let Some(asked) = self.asked.as_mut().filter(|asked| asked.msg_id == msg_id) {
                    if !matches!(asked.wish, Wish::Publish(_, QoS::ExactlyOnce, _)) {
                        return Err(format!("PUBREC for {:?}", asked.wish));
                    }
                    asked.is_received = true;
                    self.send(sim, &Packet::PubRel { msg_id });
                }
            }
            _ => return self.on_answer(packet),
        }
        Ok(())
    }

    fn on_publish(&mut self, sim: &mut Sim, packet: &Packet<'_>) -> Result<(), String> {
        let &Packet::Publish {
            qos: PublishQoS::Of(qos),
            topic,
            msg_id,
            payload,
            ..
        } = packet
        else {
            return Err(format!("{packet:?}"));
        };
        let topic_id = topic.field();
        let topic = match topic {
            TopicRef::Short(short) => short.as_str().to_owned(),
            TopicRef::Predefined(id) => return Err(format!("predefined topic {id}")),
            // A late copy can come before the copy of REGISTER that it was behind.
            TopicRef::Normal(id) => match self.topics.get(&id) {
                Some(topic) => topic.clone(),
                None => return Ok(()),
            },
        };
        let text = String::from_utf8_lossy(payload).into_owned();
        if qos == QoS::ExactlyOnce {
            let finished = (msg_id, text.clone());
            if !self.finished.contains(&finished) {
                self.unreleased.insert(msg_id);
                self.finished.push_back(finished);
                if self.finished.len() > FINISHED_MAX {
                    self.finished.pop_front();
                }
                self.heard.push(Heard { topic, text, qos });
            }
            self.send(sim, &Packet::PubRec { msg_id });
            return Ok(());
        }
        self.heard.push(Heard { topic, text, qos });
        if qos == QoS::AtLeastOnce {
            let ack = Packet::PubAck {
                topic_id,
                msg_id,
                return_code: ReturnCode::ACCEPTED,
            };
            self.send(sim, &ack);
        }
        Ok(())
    }

    fn learn(&mut self, topic_id: u16, name: &str) -> Result<(), String> {
        let known = self.topics.insert(topic_id, name.to_owned());
        match known.filter(|known| known != name) {
            Some(known) => Err(format!("{topic_id} is {name}, and was {known}")),
            None => Ok(()),
        }
    }

    /// Ends what it waits for, if this is the answer.
    fn on_answer(&mut self, packet: &Packet<'_>) -> Result<(), String> {
        let Some(asked) = &self.asked else {
            return Ok(());
        };
        let (wanted, mut learned) = (asked.msg_id, None);
        let code = match (packet, &asked.wish) {
            (Packet::ConnAck { return_code }, Wish::Connect) => *return_code,
            (
                Packet::SubAck {
                    topic_id,
                    msg_id,
                    return_code,
                    ..
                },
                Wish::Subscribe(filter, _),
            ) if *msg_id == wanted => {
                // Without wildcards it has an id.
                learned = (*topic_id > 0).then(|| (*topic_id, filter.clone()));
                *return_code
            }
            (
                Packet::RegAck {
                    topic_id,
                    msg_id,
                    return_code,
                },
                Wish::Register(name),
            ) if *msg_id == wanted => {
                learned = Some((*topic_id, name.clone()));
                *return_code
            }
            (
                Packet::PubAck {
                    msg_id,
                    return_code,
                    ..
                },
                Wish::Publish(..),
            ) if *msg_id == wanted => *return_code,
            (Packet::PubComp { msg_id }, Wish::Publish(..))
                if *msg_id == wanted && asked.is_received =>
            {
                ReturnCode::ACCEPTED
            }
            (Packet::Disconnect { .. }, Wish::Sleep(_) | Wish::Leave)
            | (Packet::PingResp, Wish::Ping) => ReturnCode::ACCEPTED,
            // A late copy.
            _ => return Ok(()),
        };
        if code == ReturnCode::CONGESTION && matches!(asked.wish, Wish::Publish(..)) {
            // It is to come again later, and will.
            return Ok(());
        }
        if code != ReturnCode::ACCEPTED {
            return Err(format!("{:?} was answered by {code:?}", asked.wish));
        }
        if let Some((topic_id, name)) = learned {
            self.learn(topic_id, &name)?;
        }
        self.asked = None;
        Ok(())
    }
}
