//! The socket of one topic: each message it sends is published there, each message published there
//! comes to it.

use std::sync::Arc;

use ringbus_protocols::http::Request;
use ringbus_protocols::mqtt::{QoS, RetainHandling, SubscribeFilter};
use ringbus_protocols::websocket::Kind;
use ringbus_protocols::websocket::handshake::Refusal;

use super::leaving::{Farewell, close_code, unavailable_status};
use super::request::Accepted;
use super::target::Target;
use super::{Stage, Waits, WebRole};
use crate::base::{ConnId, Nanos, SessionId};
use crate::pubsub::Message;
use crate::shard::Shard;
use crate::shard::connection::{Connection, Dialect, Flow};
use crate::shard::fault::Fault;
use crate::shard::filters::Waiter;
use crate::shard::receive::Handled;
use crate::shard::topics::Remembered;

/// The payload format indicator of text, as a property [MQTT5-3.3.2.3.2].
const TEXT_PROPERTY: &[u8] = &[0x01, 0x01];

/// What a topic's socket was asked for.
#[derive(Debug)]
pub(in crate::shard) struct TopicSocket {
    pub(super) topic: Arc<str>,
    pub(super) known: Remembered,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    /// Whether nothing comes before the retained message.
    opens_with_last: bool,
    /// Whether its messages may be handled as runs.
    pub(super) gathers: bool,
}

impl Shard {
    pub(super) fn upgrade_to_topic(
        &mut self,
        id: ConnId,
        request: &Request<'_>,
        accepted: Accepted,
    ) -> Result<(), Refusal> {
        let target = Target::parse(request.path(), request.query())?;
        self.check_room(id).map_err(|fault| Refusal {
            status: unavailable_status(fault),
            words: fault.words,
        })?;
        let mut socket = TopicSocket {
            known: Remembered::of(&self.topic(&target.topic)),
            topic: Arc::from(&*target.topic),
            qos: target.qos,
            retain: target.retain,
            opens_with_last: target.last,
            gathers: false,
        };
        socket.gathers = socket.can_gather();
        let Some(conn) = self.connections.get_mut(id) else {
            return Ok(());
        };
        conn.dialect = Dialect::Topic {
            is_open: false,
            takes_text: target.text,
        };
        if let Some(web) = &mut conn.web {
            web.role = WebRole::Topic(Box::new(socket));
            web.stage = Stage::Upgrading(Box::new(accepted));
        }
        let session = self.open_unnamed(id);
        self.subscribe_socket(id, session, &target);
        Ok(())
    }

    /// The answer leaves when the subscription is active: nothing that is published after it is
    /// missed.
    fn subscribe_socket(&mut self, id: ConnId, session: SessionId, target: &Target) {
        let wanted = SubscribeFilter {
            filter: &target.topic,
            qos: target.qos,
            no_local: !target.echo,
            retain_as_published: false,
            retain_handling: match target.last {
                true => RetainHandling::Send,
                false => RetainHandling::DoNotSend,
            },
        };
        let pending = self.subscribe_one(session, &wanted, 0).pending;
        if pending.is_none() && !target.last {
            return self.finish_upgrade(id);
        }
        if let Some(conn) = self.connections.get_mut(id) {
            // Nothing is read meanwhile; the upgrade itself goes on by mail.
            conn.paused = true;
        }
        // What is retained comes behind the owner's mark.
        if !target.last {
            self.await_owners(id, Waiter::Upgrade, pending.as_slice());
        }
    }

    /// Whether a session's socket opens with the retained message.
    pub(in crate::shard) fn awaits_retained(&self, session: SessionId) -> bool {
        let conn = self.sessions.get(session).and_then(|held| held.conn);
        let conn = conn.and_then(|id| self.connections.get(id));
        let socket = conn.and_then(Connection::topic_socket);
        socket.is_some_and(|socket| socket.opens_with_last)
    }

    /// The retained message is here, or there is none: if a socket waits for that, it opens.
    pub(in crate::shard) fn end_wait_for_retained(&mut self, session: SessionId) {
        if self.awaits_retained(session)
            && let Some(id) = self.sessions.get(session).and_then(|held| held.conn)
        {
            self.finish_upgrade(id);
        }
    }

    /// A whole message came.
    pub(super) fn on_topic_message(&mut self, id: ConnId, message: Vec<u8>, kind: Kind) {
        if kind == Kind::Binary && self.gather(id, &message) {
            return self.spare_payload(message);
        }
        self.publish_gathered(id);
        match self.publish_from_socket(id, &message, kind) {
            Ok(Flow::Pause(blocker)) => {
                self.pause(id, blocker);
                if let Some(web) = self.web_mut(id) {
                    web.message = message;
                    web.waits = Some(Waits::Message(kind));
                }
            }
            Ok(_) => self.spare_payload(message),
            Err(fault) => {
                let farewell = Farewell {
                    code: Some(close_code(fault.reason)),
                    words: fault.words,
                };
                self.leave(id, farewell);
            }
        }
    }

    fn publish_from_socket(&mut self, id: ConnId, payload: &[u8], kind: Kind) -> Handled {
        let Some(conn) = self.connections.get(id) else {
            return Ok(Flow::Gone);
        };
        let (Some(socket), Some(session)) = (conn.topic_socket(), conn.session) else {
            return Ok(Flow::Gone);
        };
        let Some(session) = self.sessions.get(session) else {
            return Ok(Flow::Gone);
        };
        let name = Arc::clone(&socket.topic);
        let epoch = self.partition.epoch;
        let topic = socket.known.topic(&name, epoch);
        let message = Message {
            topic: &name,
            payload,
            properties: match kind {
                Kind::Text => TEXT_PROPERTY,
                Kind::Binary => &[],
            },
            qos: socket.qos,
            retain: socket.retain,
            expires_at: Nanos::MAX,
            publisher: session.publisher,
        };
        self.memos.forget_answer();
        let handled = self.publish_from_web(id, &message, &topic, None);
        self.learn_filter_of(id);
        handled
    }

    /// Notes what the partition answered, if only one local filter matched.
    fn learn_filter_of(&mut self, id: ConnId) {
        let Some((only, epoch)) = self.memos.answer() else {
            return;
        };
        if let Some(web) = self.web_mut(id)
            && let WebRole::Topic(socket) = &mut web.role
        {
            socket.known.learn(only, epoch);
        }
    }
}

impl Fault {
    /// Who publishes to the broker's own topics by a protocol that has no word for it is closed.
    pub(in crate::shard) const BROKERS_TOPIC: Self = Self {
        reason: ringbus_protocols::mqtt::ReasonCode::NotAuthorized,
        words: "topics below $SYS are the broker's own",
    };
}
