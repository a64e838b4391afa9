//! The gateway: one client of MQTT-SN as a client of MQTT 5.0.
//!
//! A [`Gateway`] is what stands between the datagrams of one client and the broker. It makes MQTT
//! packets of the client's messages and messages of the broker's packets; sessions, windows,
//! queues and take-over stay with the broker. Time is an argument, and nothing is sent: what has
//! to go out is appended to [`Io`].
//!
//! What MQTT-SN leaves open is decided like this:
//!
//! - **Packet identifiers** are the MsgIds, both ways: an exchange of MQTT-SN is one of MQTT.
//! - **One message at a time.** The broker is told a Receive Maximum of 1, since a client of
//!   MQTT-SN has at most one message at QoS 1 or 2 outstanding in each direction `[MQTTSN-6.6]`.
//! - **The keep alive** is the gateway's: MQTT is told none. A client is lost after one and a half
//!   times what it promised `[MQTTSN-6.11]`. Duration 0 means 65,535 seconds: without datagrams
//!   there is no other sign that a client is gone.
//! - **The will** stays in the gateway, because MQTT has no word for WILLTOPICUPD. Whenever the
//!   connection ends other than by [`Verdict::Closed`], the caller publishes
//!   [`Gateway::take_will`]; so too if another CONNECT takes the session over. It is a part of the
//!   session `[MQTTSN-6.3]`: the caller keeps [`Gateway::kept_will`] with it and gives that to the
//!   next gateway, [`Gateway::resume_will`]. That it was published does not end it.
//! - **Topic ids** live as long as the connection, sleep included. A client that connects anew
//!   registers anew, and is told again `[MQTTSN-6.10]`. Where ids begin depends on the time of
//!   CONNECT: a late copy of an earlier connection has an id that nobody knows, not another topic.
//! - **A repeated CONNECT** with the same parameters is taken for a lost CONNACK, and answered
//!   again, if the client has sent nothing else since or was last answered so within the retry
//!   time. Later the client has started anew. If it wants neither a clean session nor a will, the
//!   connection goes on, and every topic id is told again before it is used; ids stay, so that a
//!   client that has only lost its patience is right as well. Otherwise: [`Verdict::Restart`]. Of
//!   a sleeping client CONNECT means that it is active again `[MQTTSN-6.14]`; its flags are then
//!   not looked at, unless it asks for a clean session that it did not have.
//! - **A message for no known topic id** is kept until the client has acknowledged a REGISTER;
//!   what comes behind it waits, so that order is kept.
//! - **Asleep** a client can say PINGREQ, CONNECT and DISCONNECT; everything else is ignored.
//! - **QoS 2 from the client** is recognised for a while after PUBCOMP, by MsgId and content: a
//!   late copy of a PUBLISH must not start a second exchange.

mod connect;
mod deliver;
mod outgoing;
mod publish;
mod registrations;
mod retry;
mod sleep;
mod subscribe;

use crate::mqtt::{self, Frame, PACKET_SIZE_MAX, QoS, Version, frame};

use super::{DATAGRAM_BYTES_MAX, Datagrams, Packet, PredefinedTopics};
use outgoing::Outgoing;
use publish::Incoming;
use registrations::Registrations;

/// What all clients of a listener share.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Topic ids that every client knows.
    pub predefined: PredefinedTopics,
    /// Tretry: how long an answer of the client is awaited, in nanoseconds `[MQTTSN-6.13]`.
    pub retry_ns: u64,
    /// Nretry: how often something is sent again before the client is lost.
    pub retries: u8,
    /// How many topic names a client may have ids for, at most 65,534.
    pub registrations_max: u16,
    /// How many messages may wait for a REGACK.
    pub waiting_messages_max: usize,
    /// How many bytes they may have in all.
    pub waiting_bytes_max: usize,
    /// The longest message to a client in bytes, without a forwarder's head.
    pub datagram_bytes_max: usize,
}

impl Default for Settings {
    /// The times are the best practice of `[MQTTSN-7.2]`.
    fn default() -> Self {
        Self {
            predefined: PredefinedTopics::default(),
            retry_ns: 10_000_000_000,
            retries: 3,
            registrations_max: 1_024,
            waiting_messages_max: 64,
            waiting_bytes_max: 65_536,
            datagram_bytes_max: DATAGRAM_BYTES_MAX,
        }
    }
}

/// The time, and where to put what has to be sent.
#[derive(Debug)]
pub struct Io<'a> {
    /// Nanoseconds; never goes back.
    pub now: u64,
    /// MQTT 5.0 packets for the broker, as if the client had sent them.
    pub to_broker: &'a mut Vec<u8>,
    /// Datagrams for the client.
    pub to_client: &'a mut Datagrams,
}

/// What becomes of the connection. What was put into [`Io`] is sent in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// It goes on.
    Open,
    /// It ends in order: the client said good-bye or was refused. There is no will to publish.
    Closed,
    /// It ends like a broken connection: the client is silent, or the broker ends it. The will is
    /// to be published, see [`Gateway::take_will`].
    Lost,
    /// The client has started anew. This connection is [`Verdict::Lost`], and the same packet is
    /// for a new [`Gateway`]. Nothing more is to be sent to the client for the old one.
    Restart,
}

/// The message that is published for a client that is lost `[MQTTSN-6.2]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Will {
    /// A topic name.
    pub topic: Box<str>,
    /// Its content.
    pub payload: Box<[u8]>,
    /// Its Quality of Service.
    pub qos: QoS,
    /// Whether it is published as retained.
    pub retain: bool,
}

/// One client.
#[derive(Debug)]
pub struct Gateway {
    phase: Phase,
    clean_session: bool,
    has_will: bool,
    /// The will is to be published when the connection ends.
    leaves_will: bool,
    /// Anything but CONNECT and will arrived since the connection is there.
    has_spoken: bool,
    /// The client did not know a predefined topic id.
    refuses_predefined: bool,
    /// How many messages the broker takes at a time.
    publishes_max: u8,
    duration_seconds: u16,
    sleep_seconds: u16,
    next_msg_id: u16,
    dropped: u32,
    ignored: u32,
    client_id: Box<str>,
    heard_at: u64,
    /// When it was last told that it is connected.
    accepted_at: u64,
    registrations: Registrations,
    will: Option<Box<Will>>,
    /// There while something that the client asked for is not answered.
    incoming: Option<Box<Incoming>>,
    /// There while something that the client has to answer is not answered.
    outgoing: Option<Box<Outgoing>>,
}

const _: () = assert!(size_of::<Gateway>() <= 160);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing has arrived.
    New,
    /// The client was asked for the topic of its will.
    WillTopic,
    /// The client was asked for the content of its will.
    WillMessage,
    /// The broker has the CONNECT.
    Connecting,
    /// The three states of a client that is connected `[MQTTSN-6.14]`.
    Active,
    Asleep,
    Awake,
    /// Nothing more is done.
    Ended,
}

impl Default for Gateway {
    fn default() -> Self {
        Self::new()
    }
}

impl Gateway {
    /// A client that nothing has come from.
    pub fn new() -> Self {
        Self {
            phase: Phase::New,
            clean_session: false,
            has_will: false,
            leaves_will: false,
            has_spoken: false,
            refuses_predefined: false,
            publishes_max: 0,
            duration_seconds: 0,
            sleep_seconds: 0,
            next_msg_id: 1,
            dropped: 0,
            ignored: 0,
            client_id: Box::default(),
            heard_at: 0,
            accepted_at: 0,
            registrations: Registrations::default(),
            will: None,
            incoming: None,
            outgoing: None,
        }
    }

    /// A message of the client. What its state does not allow is ignored and counted.
    pub fn on_packet(
        &mut self,
        packet: &Packet<'_>,
        settings: &Settings,
        io: &mut Io<'_>,
    ) -> Verdict {
        match (self.phase, packet) {
            (Phase::Ended, _) => self.ignore(),
            (_, &Packet::Connect { .. }) => self.on_connect(packet, settings, io),
            (Phase::New, _) => self.ignore(),
            (_, &Packet::Disconnect { duration_seconds }) => {
                self.on_disconnect(duration_seconds, settings, io)
            }
            (Phase::WillTopic | Phase::WillMessage, &Packet::WillTopic(topic)) => {
                self.on_will_topic(topic, settings, io)
            }
            (Phase::WillMessage, Packet::WillMsg(payload)) => {
                self.on_will_message(payload, settings, io)
            }
            (Phase::WillTopic | Phase::WillMessage | Phase::Connecting, _) => self.ignore(),
            (_, Packet::PingReq { client_id }) => self.on_ping(*client_id, settings, io),
            (Phase::Asleep, _) => self.ignore(),
            _ => self.on_open_packet(packet, settings, io),
        }
    }

    /// Packets of the broker for this client, each one whole. Not to be called while
    /// [`Gateway::takes_output`] is false. The connection is lost if they are no packets.
    pub fn on_mqtt(&mut self, packets: &[u8], settings: &Settings, io: &mut Io<'_>) -> Verdict {
        let mut rest = packets;
        while !rest.is_empty() && self.phase != Phase::Ended {
            let Ok(Frame::Complete {
                header,
                body,
                length,
            }) = frame(rest, PACKET_SIZE_MAX)
            else {
                return self.lose();
            };
            let Ok(packet) = mqtt::Packet::decode(header, body, Version::V5) else {
                return self.lose();
            };
            match self.on_mqtt_packet(&packet, settings, io) {
                Verdict::Open => rest = &rest[length..],
                ended => return ended,
            }
        }
        Verdict::Open
    }

    /// False while the client is asleep: what the broker has for it has to wait, in the form of
    /// MQTT, until this is true again.
    #[inline]
    pub fn takes_output(&self) -> bool {
        self.phase != Phase::Asleep
    }

    /// The broker has nothing more for the client at the moment. To be called after everything
    /// that may have changed that; of interest only for a client that is awake: with nothing
    /// outstanding it is told so, and sleeps again `[MQTTSN-6.14]`.
    #[inline]
    pub fn output_done(&mut self, settings: &Settings, io: &mut Io<'_>) {
        if self.phase == Phase::Awake {
            self.fall_asleep_if_done(settings, io);
        }
    }

    /// The time has come that [`Gateway::deadline`] told. It may also be called before.
    pub fn on_timer(&mut self, settings: &Settings, io: &mut Io<'_>) -> Verdict {
        if self.silent_at(settings).is_some_and(|at| at <= io.now) {
            return self.lose();
        }
        self.retry(settings, io)
    }

    /// When [`Gateway::on_timer`] has to be called, in nanoseconds; `None` before CONNECT and after
    /// the end. It changes with every call.
    pub fn deadline(&self, settings: &Settings) -> Option<u64> {
        let silent_at = self.silent_at(settings)?;
        Some(silent_at.min(self.retry_at().unwrap_or(u64::MAX)))
    }

    /// Takes the will of a client that was connected and has not said good-bye. A caller that ends
    /// the connection other than for [`Verdict::Closed`] publishes it.
    pub fn take_will(&mut self) -> Option<Will> {
        let will = self.will.take_if(|_| self.leaves_will);
        will.map(|will| *will)
    }

    /// A copy of the will that the session of a client keeps, however the connection ends. To be
    /// asked for before [`Gateway::take_will`], if the broker had accepted the client.
    pub fn kept_will(&self) -> Option<Box<Will>> {
        self.will.clone().filter(|_| !self.clean_session)
    }

    /// The broker has accepted the client, and its session had kept a will. One that came with
    /// CONNECT replaces it, an empty one as well `[MQTTSN-6.3]`.
    pub fn resume_will(&mut self, kept: Box<Will>) {
        if !self.has_will {
            self.will = Some(kept);
        }
    }

    /// The client id of CONNECT; empty before.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Whether the broker has accepted the client, and it is not gone.
    pub fn is_connected(&self) -> bool {
        matches!(self.phase, Phase::Active | Phase::Asleep | Phase::Awake)
    }

    /// How many messages could not be given to the client: there was no room for them or for
    /// their topic, they are too long, or the client refused them. Counting begins anew.
    pub fn take_dropped(&mut self) -> u32 {
        std::mem::take(&mut self.dropped)
    }

    /// How many messages of the client its state did not allow. Counting begins anew.
    pub fn take_ignored(&mut self) -> u32 {
        std::mem::take(&mut self.ignored)
    }

    /// A message of a client that is active or awake.
    fn on_open_packet(
        &mut self,
        packet: &Packet<'_>,
        settings: &Settings,
        io: &mut Io<'_>,
    ) -> Verdict {
        self.heard_at = io.now;
        if !matches!(packet, Packet::WillMsg(_)) {
            self.has_spoken = true;
        }
        match *packet {
            Packet::Publish { .. } => self.on_publish(packet, settings, io),
            Packet::PubRel { msg_id } => self.on_release(msg_id, io),
            Packet::PubAck {
                topic_id,
                msg_id,
                return_code,
            } => self.on_acknowledged(topic_id, msg_id, return_code, settings, io),
            Packet::PubRec { msg_id } => self.on_received(msg_id, settings, io),
            Packet::PubComp { msg_id } => self.on_completed(msg_id, settings, io),
            Packet::Register {
                msg_id, topic_name, ..
            } => self.on_register(msg_id, topic_name, settings, io),
            Packet::RegAck {
                topic_id,
                return_code,
                ..
            } => self.on_registered(topic_id, return_code, settings, io),
            Packet::Subscribe { .. } => self.on_subscribe(packet, settings, io),
            Packet::Unsubscribe { msg_id, filter } => {
                self.on_unsubscribe(msg_id, filter, settings, io)
            }
            Packet::WillTopicUpd(topic) => self.on_will_topic_update(topic, io),
            Packet::WillMsgUpd(payload) => self.on_will_message_update(payload, io),
            // CONNACK was lost.
            Packet::WillMsg(_) if !self.has_spoken => self.accept(io),
            Packet::PingResp => {}
            _ => self.ignored = self.ignored.saturating_add(1),
        }
        Verdict::Open
    }

    fn on_mqtt_packet(
        &mut self,
        packet: &mqtt::Packet<'_>,
        settings: &Settings,
        io: &mut Io<'_>,
    ) -> Verdict {
        match packet {
            mqtt::Packet::ConnAck(connack) => return self.on_connack(connack, io),
            mqtt::Packet::Disconnect(_) => {
                io.to_client.push(&Packet::Disconnect {
                    duration_seconds: None,
                });
                return self.lose();
            }
            // Whatever comes before CONNACK is not for this connection.
            _ if !self.is_connected() => {}
            mqtt::Packet::Publish(publish) => return self.deliver(publish, settings, io),
            mqtt::Packet::PubRel(ack) => {
                return self.deliver_release(ack.packet_identifier.get(), settings, io);
            }
            mqtt::Packet::PubAck(ack) => self.on_broker_puback(ack, io),
            mqtt::Packet::PubRec(ack) => self.on_broker_pubrec(ack, io),
            mqtt::Packet::PubComp(ack) => self.on_broker_pubcomp(ack, io),
            mqtt::Packet::SubAck(suback) => self.on_suback(suback, settings, io),
            mqtt::Packet::UnsubAck(unsuback) => self.on_unsuback(unsuback, io),
            _ => {}
        }
        Verdict::Open
    }

    fn ignore(&mut self) -> Verdict {
        self.ignored = self.ignored.saturating_add(1);
        Verdict::Open
    }

    fn lose(&mut self) -> Verdict {
        self.phase = Phase::Ended;
        Verdict::Lost
    }
}
