//! MSG and HMSG, and the answers to what a client sent.

use bytes::Bytes;
use ringbus_protocols::mqtt::{PropertiesIter, Property, ReasonCode};
use ringbus_protocols::nats::subject::{matches, put_subject};
use ringbus_protocols::nats::{headers as header_block, writer};

use super::headers::{CONTENT_TYPE, RETAIN};
use super::{Nats, NatsShared};
use crate::pubsub::Message;
use crate::shard::connection::{AckKind, Connection, Outgoing};
use crate::shard::deliver::Grant;
use crate::shard::fault::words_for;

/// Subscriptions among which that to a reply subject is looked for.
const INBOXES_MAX: usize = 1024;

/// What a request gets that nobody is there to answer.
const NO_RESPONDERS: &[u8] = b"NATS/1.0 503\r\n\r\n";

/// Appends a message once for each subscription that matched. `shared`: the payload, if it is not to
/// be copied.
pub(in crate::shard) fn put_messages(
    outgoing: &mut Outgoing,
    conn: &mut Connection,
    in_common: &mut NatsShared,
    message: &Message<'_>,
    shared: Option<&Bytes>,
    grant: Grant<'_>,
) {
    // Out of the connection while its output is written to.
    let Some(mut nats) = conn.nats.take() else {
        return;
    };
    let head = Head::of(message, grant.retain, nats.options.headers);
    for &identifier in grant.subscription_identifiers {
        nats.subscriptions.count(identifier, 1, |sid, _, is_last| {
            let out = outgoing.open_for_lines(conn);
            let before = out.len();
            head.put(out, sid, message.payload.len());
            let written = out.len() - before;
            outgoing.publish_bytes += (written + message.payload.len()) as u64;
            match shared {
                Some(payload) => outgoing.splice(conn, payload.clone()),
                None => outgoing
                    .open_for_lines(conn)
                    .extend_from_slice(message.payload),
            }
            outgoing.open_for_lines(conn).extend_from_slice(b"\r\n");
            if is_last {
                in_common.exhausted.push((conn.id, sid.into()));
            }
        });
    }
    conn.nats = Some(nats);
}

/// What precedes a payload, but for the `sid`.
struct Head {
    subject: Vec<u8>,
    reply: Option<Vec<u8>>,
    /// Empty for none.
    headers: Vec<u8>,
}

impl Head {
    fn of(message: &Message<'_>, is_retained: bool, takes_headers: bool) -> Self {
        let mut head = Self {
            subject: Vec::new(),
            reply: None,
            headers: Vec::new(),
        };
        put_subject(message.topic, &mut head.subject);
        if is_retained && takes_headers {
            head.add(RETAIN, "1");
        }
        for property in PropertiesIter::new(message.properties) {
            match property {
                Property::ResponseTopic(topic) => {
                    put_subject(topic, head.reply.insert(Vec::new()));
                }
                Property::ContentType(name) if takes_headers => head.add(CONTENT_TYPE, name),
                Property::UserProperty((name, value)) if takes_headers => head.add(name, value),
                _ => {}
            }
        }
        if !head.headers.is_empty() {
            header_block::end(&mut head.headers);
        }
        head
    }

    /// What cannot be a header is left out.
    fn add(&mut self, name: &str, value: &str) {
        if self.headers.is_empty() {
            header_block::begin(&mut self.headers);
        }
        header_block::put(&mut self.headers, name, value);
    }

    fn put(&self, out: &mut Vec<u8>, sid: &[u8], payload_len: usize) {
        let headers_len = (!self.headers.is_empty()).then_some(self.headers.len());
        let reply = self.reply.as_deref();
        writer::put_msg_head(out, &self.subject, sid, reply, headers_len, payload_len);
        out.extend_from_slice(&self.headers);
    }
}

/// Appends what a client is told when everything before was done.
pub(in crate::shard) fn put_answer(
    outgoing: &mut Outgoing,
    conn: &mut Connection,
    kind: AckKind,
    reason: ReasonCode,
) {
    match (kind, reason) {
        (AckKind::Pong, _) => writer::put_pong(outgoing.open(conn)),
        (AckKind::Responders, ReasonCode::NoMatchingSubscribers) => {
            put_reply(outgoing, conn, NO_RESPONDERS, b"");
        }
        (AckKind::Responders, _) => {
            if let Some(nats) = &mut conn.nats {
                nats.replies.pop_front();
            }
        }
        (AckKind::Stored, reason) if reason.is_error() => {
            let words = format!("-ERR '{}'", words_for(reason));
            put_reply(outgoing, conn, b"", words.as_bytes());
        }
        (AckKind::Stored, _) => put_reply(outgoing, conn, b"", b"+OK"),
        (_, ReasonCode::TopicNameInvalid) => {
            writer::put_error(outgoing.open(conn), "Invalid Publish Subject");
        }
        (_, ReasonCode::TopicFilterInvalid) => {
            writer::put_error(outgoing.open(conn), "Invalid Subject");
        }
        (_, ReasonCode::NotAuthorized) => {
            let words =
                "Permissions Violation for Publish: topics below $SYS are for the broker alone";
            writer::put_error(outgoing.open(conn), words);
        }
        _ => writer::put_ok(outgoing.open(conn)),
    }
}

/// Appends a message of the broker to the client's own subscription to the reply subject that has
/// waited longest.
fn put_reply(outgoing: &mut Outgoing, conn: &mut Connection, headers: &[u8], payload: &[u8]) {
    let Some(nats) = conn.nats.as_deref_mut() else {
        return;
    };
    let Some(reply) = nats.replies.pop_front() else {
        return;
    };
    let Some(sid) = nats.sid_for(&reply) else {
        return;
    };
    let headers_len = (!headers.is_empty()).then_some(headers.len());
    let out = outgoing.open(conn);
    writer::put_msg_head(out, &reply, &sid, None, headers_len, payload.len());
    out.extend_from_slice(headers);
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
}

impl Nats {
    /// A subscription of the client that gets what is sent to a subject: one of its first ones, as
    /// the inbox of a client is, so that nobody can make the search a long one.
    fn sid_for(&self, subject: &[u8]) -> Option<Box<[u8]>> {
        let mut pattern = Vec::new();
        let mut all = self.subscriptions.filters().take(INBOXES_MAX);
        let (_, sid) = all.find(|(filter, _)| {
            pattern.clear();
            ringbus_protocols::nats::subject::put_subject_of_filter(filter, &mut pattern)
                && matches(&pattern, subject)
        })?;
        Some(sid.into())
    }
}
