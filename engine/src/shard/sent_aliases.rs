//! Topic aliases towards a client: the topics first seen on its connection get them, for as long as
//! the connection lasts [MQTT5-3.3.2.3.4].

use std::collections::HashMap;

use super::connection::{Connection, Outgoing};
use super::template::{Naming, Shape, encode};
use crate::base::Nanos;
use crate::pubsub::Message;

/// The aliases of one connection, of a client that takes some.
#[derive(Debug)]
pub(super) struct SentAliases {
    /// What both sides allow, 1 or more [MQTT5-3.1.2-26].
    maximum: u16,
    by_topic: HashMap<Box<str>, u16, ahash::RandomState>,
}

impl SentAliases {
    /// None yet. `None` if either side allows none [MQTT5-3.1.2-27].
    pub(super) fn within(client: u16, server: u16, hasher: &ahash::RandomState) -> Option<Self> {
        let maximum = client.min(server);
        (maximum > 0).then(|| Self {
            maximum,
            by_topic: HashMap::with_hasher(hasher.clone()),
        })
    }

    /// How to name a topic in the next packet.
    fn naming(&self, topic: &str) -> Naming {
        if let Some(&alias) = self.by_topic.get(topic) {
            return Naming::Alias(alias);
        }
        match u16::try_from(self.by_topic.len()) {
            Ok(used) if used < self.maximum => Naming::Introduce(used + 1),
            _ => Naming::Full,
        }
    }
}

/// Appends a PUBLISH, named by alias if the connection has them; a payload that is shared is left
/// to the caller. False, and nothing, if the packet is larger than the client takes.
pub(super) fn put_publish(
    outgoing: &mut Outgoing,
    conn: &mut Connection,
    mut shape: Shape<'_>,
    message: &Message<'_>,
    now: Nanos,
) -> bool {
    let sent_aliases = conn.extras.as_mut();
    let Some(mut aliases) = sent_aliases.and_then(|extras| extras.sent_aliases.take()) else {
        return put_within(outgoing, conn, &shape, message, now);
    };
    shape.naming = aliases.naming(message.topic);
    let mut fits = put_within(outgoing, conn, &shape, message, now);
    if let Naming::Introduce(alias) = shape.naming {
        if fits {
            // Only now: the client learns an alias from a packet that was sent.
            aliases.by_topic.insert(message.topic.into(), alias);
        } else {
            // The alias may be what is too much.
            shape.naming = Naming::Full;
            fits = put_within(outgoing, conn, &shape, message, now);
        }
    }
    conn.extras().sent_aliases = Some(aliases);
    fits
}

fn put_within(
    outgoing: &mut Outgoing,
    conn: &mut Connection,
    shape: &Shape<'_>,
    message: &Message<'_>,
    now: Nanos,
) -> bool {
    let out = outgoing.open_for_publish(conn);
    let start = out.len();
    let packet_len = encode(out, shape, message, now);
    let fits = packet_len <= conn.max_packet_size as usize;
    if fits {
        outgoing.publish_bytes += packet_len as u64;
    } else {
        conn.output.bytes.truncate(start);
    }
    fits
}
