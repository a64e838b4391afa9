//! A client of MQTT-SN that repeats what is not answered, and sleeps now and then. It works through
//! a plan; what it has to do next follows from what it has.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ringbus_protocols::mqtt::QoS;
use ringbus_protocols::mqttsn::{FilterRef, Packet, PublishQoS, ReturnCode, TopicRef};

use super::broker::Message;
use super::encoded;
use super::line::SECOND;

pub const CLIENT_ID: &str = "device";
const RETRY: u64 = 7 * SECOND;
/// After so many repetitions it connects again.
const RETRIES: u32 = 4;
const NAP: u64 = 20 * SECOND;

/// A step of the plan.
pub enum Step {
    /// Publishes the next message.
    Publish(QoS),
    /// Sleeps, and asks for messages so many times.
    Sleep(u32),
}

/// What the device waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    ConnAck,
    SubAck,
    RegAck,
    /// PUBACK, PUBREC or PUBCOMP.
    Published,
    Disconnect,
    /// For time to pass, its radio off.
    Nap,
    PingResp,
    Nothing,
}

/// A message of its own that is not acknowledged.
struct Outbound {
    message: Message,
    msg_id: u16,
    is_sent: bool,
    is_released: bool,
}

pub struct Device {
    pub plan: VecDeque<Step>,
    /// In the order of sending.
    pub published: Vec<Message>,
    pub received: Vec<Message>,
    pub out: Vec<Vec<u8>>,
    wait: Wait,
    wait_until: u64,
    attempts: u32,
    naps: u32,
    is_connected: bool,
    is_subscribed: bool,
    topic_id: Option<u16>,
    outbound: Option<Outbound>,
    last_msg_id: u16,
    names: BTreeMap<u16, String>,
    unreleased: BTreeSet<u16>,
    /// Copies of what is complete may still be on their way.
    completed: VecDeque<u16>,
}

impl Device {
    pub fn new(plan: VecDeque<Step>) -> Self {
        Self {
            plan,
            published: Vec::new(),
            received: Vec::new(),
            out: Vec::new(),
            wait: Wait::Nothing,
            wait_until: 0,
            attempts: 0,
            naps: 0,
            is_connected: false,
            is_subscribed: false,
            topic_id: None,
            outbound: None,
            last_msg_id: 0,
            names: BTreeMap::new(),
            unreleased: BTreeSet::new(),
            completed: VecDeque::new(),
        }
    }

    pub fn deadline(&self) -> u64 {
        self.wait_until
    }

    pub fn is_done(&self) -> bool {
        self.plan.is_empty() && self.wait == Wait::Nothing && self.outbound.is_none()
    }

    /// Time has passed without an answer.
    pub fn on_timer(&mut self, now: u64) {
        self.attempts += 1;
        match self.wait {
            Wait::Nap => self.begin(Wait::PingResp, now),
            Wait::Nothing => self.next(now),
            _ if self.attempts > RETRIES => self.connect_again(now),
            wait => self.request(wait, now),
        }
    }

    pub fn on_packet(&mut self, packet: &Packet<'_>, now: u64) {
        if self.wait == Wait::Nap {
            return;
        }
        match (self.wait, *packet) {
            (Wait::ConnAck, Packet::ConnAck { return_code }) => {
                assert_eq!(return_code, ReturnCode::ACCEPTED);
                self.is_connected = true;
                self.topic_id = None;
                self.next(now);
            }
            (Wait::SubAck, Packet::SubAck { return_code, .. }) => {
                assert_eq!(return_code, ReturnCode::ACCEPTED);
                self.is_subscribed = true;
                self.next(now);
            }
            (
                Wait::RegAck,
                Packet::RegAck {
                    topic_id,
                    msg_id,
                    return_code: ReturnCode::ACCEPTED,
                },
            ) if msg_id == self.last_msg_id => {
                self.topic_id = Some(topic_id);
                self.next(now);
            }
            (Wait::Disconnect, Packet::Disconnect { .. }) => self.nap(now),
            // The gateway does not know it, or a late answer.
            (Wait::ConnAck, Packet::Disconnect { .. }) => {}
            (_, Packet::Disconnect { .. }) => self.connect_again(now),
            (Wait::PingResp, Packet::PingResp) => self.nap(now),
            (Wait::Published, _) if self.on_answer(packet, now) => {}
            _ => self.on_message(packet),
        }
    }

    /// An answer to its own message.
    fn on_answer(&mut self, packet: &Packet<'_>, now: u64) -> bool {
        let Some(outbound) = &mut self.outbound else {
            return false;
        };
        let id = outbound.msg_id;
        match *packet {
            Packet::PubAck {
                msg_id,
                return_code,
                ..
            } if msg_id == id => match return_code {
                ReturnCode::ACCEPTED => self.outbound = None,
                // It registers again.
                _ => self.topic_id = None,
            },
            Packet::PubRec { msg_id } if msg_id == id && !outbound.is_released => {
                outbound.is_released = true;
            }
            Packet::PubComp { msg_id } if msg_id == id => self.outbound = None,
            _ => return false,
        }
        self.next(now);
        true
    }

    /// A message for it, or what belongs to one.
    fn on_message(&mut self, packet: &Packet<'_>) {
        match *packet {
            Packet::Register {
                topic_id,
                msg_id,
                topic_name,
            } => {
                self.names.insert(topic_id, topic_name.to_owned());
                self.put(&Packet::RegAck {
                    topic_id,
                    msg_id,
                    return_code: ReturnCode::ACCEPTED,
                });
            }
            Packet::Publish {
                qos: PublishQoS::Of(qos),
                topic,
                msg_id,
                payload,
                ..
            } => self.on_publish(qos, topic, msg_id, payload),
            Packet::PubRel { msg_id } => {
                if self.unreleased.remove(&msg_id) {
                    self.completed.push_back(msg_id);
                    if self.completed.len() > 64 {
                        self.completed.pop_front();
                    }
                }
                self.put(&Packet::PubComp { msg_id });
            }
            _ => {}
        }
    }

    fn on_publish(&mut self, qos: QoS, topic: TopicRef, msg_id: u16, payload: &[u8]) {
        let name = match &topic {
            TopicRef::Normal(id) => self.names.get(id).cloned(),
            TopicRef::Short(name) => Some(name.as_str().to_owned()),
            TopicRef::Predefined(_) => None,
        };
        let Some(name) = name else {
            return self.put(&Packet::PubAck {
                topic_id: topic.field(),
                msg_id,
                return_code: ReturnCode::INVALID_TOPIC_ID,
            });
        };
        let is_new = qos != QoS::ExactlyOnce
            || (!self.completed.contains(&msg_id) && self.unreleased.insert(msg_id));
        if is_new {
            let payload = String::from_utf8(payload.to_vec()).expect("ours is text");
            self.received.push((qos, name, payload));
        }
        match qos {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => self.put(&Packet::PubAck {
                topic_id: topic.field(),
                msg_id,
                return_code: ReturnCode::ACCEPTED,
            }),
            QoS::ExactlyOnce => self.put(&Packet::PubRec { msg_id }),
        }
    }

    /// Does what comes next.
    fn next(&mut self, now: u64) {
        let wait = if !self.is_connected {
            Wait::ConnAck
        } else if !self.is_subscribed {
            Wait::SubAck
        } else if self.topic_id.is_none() {
            Wait::RegAck
        } else if self.outbound.is_some() {
            Wait::Published
        } else {
            match self.plan.pop_front() {
                None => Wait::Nothing,
                Some(Step::Sleep(naps)) => {
                    self.naps = naps;
                    Wait::Disconnect
                }
                Some(Step::Publish(qos)) => {
                    self.last_msg_id += 1;
                    let payload = format!("up/topic {}", self.published.len());
                    let message = (qos, "up/topic".to_owned(), payload);
                    self.published.push(message.clone());
                    self.outbound = Some(Outbound {
                        message,
                        msg_id: self.last_msg_id,
                        is_sent: false,
                        is_released: false,
                    });
                    Wait::Published
                }
            }
        };
        self.begin(wait, now);
    }

    fn begin(&mut self, wait: Wait, now: u64) {
        self.attempts = 0;
        self.request(wait, now);
    }

    /// Sends what asks for the answer that is waited for.
    fn request(&mut self, wait: Wait, now: u64) {
        self.wait = wait;
        self.wait_until = now + RETRY;
        match wait {
            Wait::ConnAck => self.put(&Packet::Connect {
                clean_session: false,
                will: false,
                duration_seconds: 60,
                client_id: CLIENT_ID,
            }),
            Wait::SubAck => self.put(&Packet::Subscribe {
                dup: self.attempts > 0,
                qos: QoS::ExactlyOnce,
                msg_id: 60_000,
                filter: FilterRef::Name("#"),
            }),
            Wait::RegAck => {
                // A late answer of an earlier connection must not count.
                self.last_msg_id += 1;
                self.put(&Packet::Register {
                    topic_id: 0,
                    msg_id: self.last_msg_id,
                    topic_name: "up/topic",
                });
            }
            Wait::Published => self.put_outbound(now),
            Wait::Disconnect => self.put(&Packet::Disconnect {
                duration_seconds: Some(60),
            }),
            Wait::Nap => {}
            Wait::PingResp => self.put(&Packet::PingReq {
                client_id: Some(CLIENT_ID),
            }),
            Wait::Nothing => self.put(&Packet::PingReq { client_id: None }),
        }
    }

    fn put_outbound(&mut self, now: u64) {
        let topic_id = self.topic_id.expect("registered first");
        let outbound = self.outbound.as_mut().expect("there is one");
        if outbound.is_released {
            let msg_id = outbound.msg_id;
            return self.put(&Packet::PubRel { msg_id });
        }
        let (qos, _, payload) = &outbound.message;
        let datagram = encoded(&Packet::Publish {
            dup: outbound.is_sent,
            qos: PublishQoS::Of(*qos),
            retain: false,
            topic: TopicRef::Normal(topic_id),
            msg_id: outbound.msg_id,
            payload: payload.as_bytes(),
        });
        outbound.is_sent = true;
        self.out.push(datagram);
        if self
            .outbound
            .as_ref()
            .is_some_and(|o| o.message.0 == QoS::AtMostOnce)
        {
            self.outbound = None;
            self.next(now);
        }
    }

    fn nap(&mut self, now: u64) {
        if self.naps == 0 {
            return self.connect_again(now);
        }
        self.naps -= 1;
        self.begin(Wait::Nap, now);
        self.wait_until = now + NAP;
    }

    fn connect_again(&mut self, now: u64) {
        self.is_connected = false;
        self.begin(Wait::ConnAck, now);
    }

    fn put(&mut self, packet: &Packet<'_>) {
        self.out.push(encoded(packet));
    }
}
