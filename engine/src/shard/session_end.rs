//! How connections and sessions end, and what that publishes.

use ringbus_protocols::mqtt::{Disconnect, ReasonCode, Version};

use super::connection::{Dialect, Flow};
use super::explain::put_disconnect;
use super::fault::Fault;
use super::receive::Handled;
use super::stomp::put_error;
use super::{Closing, Output, Shard};
use crate::base::{ConnId, Nanos, SessionId};
use crate::pubsub::Stored;
use crate::session::{NEVER_EXPIRES, StoredWill};

impl Shard {
    pub(super) fn on_disconnect(
        &mut self,
        id: ConnId,
        session: SessionId,
        disconnect: &Disconnect<'_>,
    ) -> Handled {
        let Some(held) = self.sessions.get_mut(session) else {
            return Ok(Flow::Gone);
        };
        if let Some(seconds) = disconnect.properties.session_expiry_interval() {
            if held.expiry_seconds == 0 && seconds > 0 {
                // [MQTT5-3.14.2-2]
                return Err(Fault::protocol(
                    "a session that was to end with its connection cannot be kept",
                ));
            }
            held.expiry_seconds = seconds.min(self.config.session_expiry_max);
        }
        // [MQTT311-3.14.4-3] [MQTT5-3.14.4-3]
        let with_will = disconnect.reason != ReasonCode::Success;
        self.close(id, None, with_will);
        Ok(Flow::Gone)
    }

    /// The peer broke the rules, at the packet with which `bytes` start.
    pub(super) fn fault(&mut self, id: ConnId, fault: Fault, bytes: &[u8]) {
        let Some(conn) = self.connections.get(id) else {
            return;
        };
        let reason = fault.reason.name();
        tracing::debug!(peer = %conn.peer, reason, "closed a connection: {}", fault.words);
        if conn.session.is_none() {
            self.refuse(id, fault, bytes);
        } else {
            self.close(id, Some(fault), true);
        }
    }

    /// Ends a connection. A v5 client that had connected is told why [MQTT5-4.13.2-1].
    pub(super) fn close(&mut self, id: ConnId, fault: Option<Fault>, with_will: bool) {
        let Some(conn) = self.connections.get_mut(id) else {
            return;
        };
        if let Some(fault) = fault
            && conn.session.is_some()
        {
            match conn.dialect {
                Dialect::Mqtt if conn.version == Version::V5 => {
                    let reference = self.config.server_reference.as_deref();
                    put_disconnect(&mut self.outgoing, conn, fault, reference);
                }
                Dialect::Stomp => put_error(&mut self.outgoing, conn, fault.words, None),
                Dialect::Nats => self.put_nats_farewell(id, fault),
                _ => {}
            }
        }
        self.put_farewell(id, fault);
        if let Some(last) = self.lose_connection(id, with_will) {
            self.outgoing.bytes += last.len() as u64;
            self.effects.closed.push(Closing { conn: id, last });
        }
    }

    /// Forgets a connection; returns what it had yet to send by its socket.
    pub(super) fn lose_connection(&mut self, id: ConnId, with_will: bool) -> Option<Output> {
        let conn = self.connections.remove(id)?;
        self.outgoing.forget(&conn);
        let admission = self.config.admission_of(conn.is_sn());
        match conn.has_place {
            true => admission.leave(),
            false => admission.leave_surplus(),
        }
        if let Some(session) = conn.session {
            self.gauges.connected -= 1;
            self.keep_sn_will(session, &conn);
            self.disconnect_session(session, with_will);
        }
        if let Some(sn) = conn.sn {
            self.end_sn(id, *sn, &conn.peer, conn.output, with_will);
            return None;
        }
        Some(conn.output)
    }

    fn disconnect_session(&mut self, id: SessionId, with_will: bool) {
        let now = self.now;
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        session.conn = None;
        if !with_will {
            session.will = None;
        }
        let expiry_seconds = session.expiry_seconds;
        let ends = expiry_seconds == 0;
        if let Some(will) = &mut session.will {
            // Whichever comes first: the delay's end or the session's [MQTT5-3.1.3-9].
            let delay = will.delay_seconds.min(expiry_seconds);
            will.due_at = Some(now + Nanos::from_secs(u64::from(delay)));
        }
        session.ends_at = match expiry_seconds {
            NEVER_EXPIRES => Nanos::MAX,
            seconds => now + Nanos::from_secs(u64::from(seconds)),
        };
        if session.has_shared() {
            self.members_left(id, ends);
        }
        if ends {
            self.end_session(id);
            return;
        }
        self.publish_due_will(id);
        self.arm_session(id);
    }

    /// Publishes the will of a session whose connection is lost, if it is due.
    pub(super) fn publish_due_will(&mut self, id: SessionId) {
        let now = self.now;
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let is_due = |will: &StoredWill| will.due_at.is_some_and(|due| due <= now);
        if session.will.as_deref().is_some_and(is_due)
            && let Some(will) = session.will.take()
        {
            self.publish_stored_will(&will);
        }
    }

    fn publish_stored_will(&mut self, will: &StoredWill) {
        let stored = match will.expiry_seconds {
            None => will.message.clone(),
            Some(seconds) => {
                let mut message = will.message.message();
                message.expires_at = self.now + Nanos::from_secs(u64::from(seconds));
                Stored::new(&message)
            }
        };
        self.publish_stored(&stored);
    }

    /// Ends a session for good: its will goes out, its subscriptions and queues go.
    pub(super) fn end_session(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        assert!(
            session.conn.is_none(),
            "a session ends after its connection"
        );
        let subscriptions = session.subscriptions.drain();
        let has_shared = session.has_shared();
        session.forget_shared();
        let replays = session.take_replays();
        let will = session.will.take();
        for (local, position) in subscriptions {
            self.take_subscriber(local, position);
        }
        for replay in replays {
            self.cancel_replay(replay);
        }
        if has_shared {
            self.release(id, |_, _| true);
        }
        self.sessions.remove(id);
        if let Some(will) = will {
            self.publish_stored_will(&will);
        }
    }
}
