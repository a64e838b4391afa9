//! SUB and UNSUB.

use ringbus_protocols::mqtt::{QoS, ReasonCode, RetainHandling, SubscribeFilter};
use ringbus_protocols::nats::subject::put_filter;

use super::subscriptions::Added;
use crate::base::ConnId;
use crate::shard::Shard;
use crate::shard::connection::{AckKind, Blocker, Flow};
use crate::shard::fault::Fault;
use crate::shard::filters::Waiter;
use crate::shard::receive::Handled;

const TOO_MANY: Fault = Fault {
    reason: ReasonCode::QuotaExceeded,
    words: "maximum subscriptions exceeded",
};

impl Shard {
    pub(super) fn on_sub(
        &mut self,
        id: ConnId,
        subject: &[u8],
        queue: Option<&[u8]>,
        sid: &[u8],
    ) -> Handled {
        if let Some(blocker) = self.attach_blocker() {
            return Ok(Flow::Pause(blocker));
        }
        let Some(filter) = filter_of(subject, queue) else {
            self.answer_op(id, AckKind::Ok, ReasonCode::TopicFilterInvalid);
            return Ok(Flow::Continue);
        };
        let Some(conn) = self.connections.get_mut(id) else {
            return Ok(Flow::Gone);
        };
        let (Some(session), Some(nats)) = (conn.session, conn.nats.as_deref_mut()) else {
            return Ok(Flow::Gone);
        };
        let echo = nats.options.echo;
        match nats.subscriptions.add(&filter, queue.is_some(), sid) {
            Added::Full => return Err(TOO_MANY),
            Added::Known => {}
            Added::Identifier(identifier) => {
                let wanted = SubscribeFilter {
                    filter: &filter,
                    qos: QoS::AtMostOnce,
                    no_local: !echo && queue.is_none(),
                    retain_as_published: false,
                    retain_handling: RetainHandling::Send,
                };
                let pending = self.subscribe_one(session, &wanted, identifier).pending;
                if let Some(pending) = pending
                    && let Some(conn) = self.connections.get_mut(id)
                {
                    let sequence = conn.await_owner(AckKind::Silent).sequence;
                    self.await_owners(id, Waiter::Ack(sequence), &[pending]);
                }
            }
        }
        self.confirm(id);
        Ok(Flow::Continue)
    }

    pub(super) fn on_unsub(&mut self, id: ConnId, sid: &[u8], max: Option<u64>) -> Handled {
        if let Some(blocker) = self.attach_blocker() {
            return Ok(Flow::Pause(blocker));
        }
        // What the client published before is for its own subscription, too.
        if self
            .connections
            .get(id)
            .is_some_and(|conn| !conn.acks.is_empty())
        {
            return Ok(Flow::Pause(Blocker::Unsettled(id)));
        }
        let Some(nats) = self.nats_mut(id) else {
            return Ok(Flow::Gone);
        };
        if max.is_none_or(|max| nats.subscriptions.limit(sid, max)) {
            self.end_subscription(id, sid);
        }
        self.confirm(id);
        Ok(Flow::Continue)
    }

    /// Ends the subscriptions that have had all that they wanted. Not while a message is delivered:
    /// the list of subscribers is in use then.
    pub(in crate::shard) fn end_exhausted(&mut self) {
        while let Some((id, sid)) = self.nats.exhausted.pop() {
            self.end_subscription(id, &sid);
        }
    }

    fn end_subscription(&mut self, id: ConnId, sid: &[u8]) {
        let Some(conn) = self.connections.get_mut(id) else {
            return;
        };
        let (Some(session), Some(nats)) = (conn.session, conn.nats.as_deref_mut()) else {
            return;
        };
        if let Some(filter) = nats.subscriptions.remove(sid) {
            self.unsubscribe_one(session, &filter);
        }
    }
}

/// The topic filter of a subscription; `None` if there is none.
fn filter_of(subject: &[u8], queue: Option<&[u8]>) -> Option<String> {
    let mut filter = String::new();
    if let Some(queue) = queue {
        filter.push_str("$share/");
        // A name of a group is no level with wildcards.
        let name = std::str::from_utf8(queue).ok()?;
        if name.contains(['/', '+', '#', '\0']) {
            return None;
        }
        filter.push_str(name);
        filter.push('/');
    }
    put_filter(subject, &mut filter).ok()?;
    Some(filter)
}
