//! CONNECT: where the client belongs, whose session it is, and what it gets to know.

use ringbus_protocols::mqtt::{
    ConnAck, Connect, FixedHeader, PacketType, PropertiesBuf, Property, ReasonCode, Version, Will,
};

use super::Shard;
use super::authenticate::put_authentication;
use super::connection::{Blocker, Connection, Flow};
use super::fault::Fault;
use super::message::{Handoff, Mail};
use super::publish::is_broken_text;
use super::receive::Handled;
use super::sent_aliases::SentAliases;
use super::sys::is_brokers_own;
use crate::base::limits::INFLIGHT_MAX;
use crate::base::{ConnId, Nanos, SessionId, ShardId};
use crate::mailbox::Class;
use crate::pubsub::{Message, PublisherId, Stored};
use crate::session::{NEVER_EXPIRES, StoredWill};

const ASSIGNED_PREFIX: &str = "auto-";

impl Shard {
    /// Anything but CONNECT closes a new connection [MQTT311-3.1.0-1] [MQTT5-3.1.0-1].
    pub(super) fn on_first_packet(
        &mut self,
        id: ConnId,
        header: FixedHeader,
        body: &[u8],
    ) -> Handled {
        if self.connections.get(id).is_some_and(|c| c.auth().is_some()) {
            return self.on_packet_before_connack(id, header, body);
        }
        if header.packet_type != PacketType::Connect {
            return Err(Fault::FIRST_IS_NOT_CONNECT);
        }
        let connect = Connect::decode(header, body)?;
        self.on_connect(id, &connect, (header, body))
    }

    fn on_connect(
        &mut self,
        id: ConnId,
        connect: &Connect<'_>,
        packet: (FixedHeader, &[u8]),
    ) -> Handled {
        let Some(conn) = self.connections.get_mut(id) else {
            return Ok(Flow::Gone);
        };
        conn.version = connect.version;
        self.check_room(id)?;
        if !self.config.versions.contain(connect.version) {
            return Err(Fault::VERSION);
        }
        if self.config.check_payload_format && connect.will.as_ref().is_some_and(is_broken_will) {
            return Err(Fault::WILL_NOT_TEXT);
        }
        if connect
            .will
            .as_ref()
            .is_some_and(|will| is_brokers_own(will.topic.as_str()))
        {
            return Err(Fault::BROKERS_WILL);
        }
        let has_method = connect.properties.authentication_method().is_some();
        if has_method {
            self.mechanism(connect)?;
        }
        if connect.client_id.is_empty() {
            // [MQTT311-3.1.3-8]: without an identifier there is nothing to come back to.
            let may_assign = match connect.version {
                Version::V3_1 => false,
                Version::V3_1_1 => connect.clean_start,
                Version::V5 => true,
            };
            if !may_assign {
                return Err(Fault::NO_CLIENT_ID);
            }
        } else {
            let home = self.home_of(connect.client_id);
            if home != self.id {
                return Ok(self.hand_off_when_sent(id, home));
            }
        }
        match has_method {
            true => self.on_connect_with_method(id, connect, packet),
            false => self.admit(id, connect, &[]),
        }
    }

    /// Two shards cannot send at a time: the answer to an upgrade must have left.
    fn hand_off_when_sent(&self, id: ConnId, home: ShardId) -> Flow {
        match self.connections.get(id).is_some_and(Connection::is_sending) {
            true => Flow::Pause(Blocker::Unsent(id)),
            false => Flow::Handoff(home),
        }
    }

    /// The client is who it says: it gets its session. `data` goes along in CONNACK.
    pub(super) fn admit(&mut self, id: ConnId, connect: &Connect<'_>, data: &[u8]) -> Handled {
        let assigned = connect
            .client_id
            .is_empty()
            .then(|| self.assign_client_id());
        let client_id = assigned.as_deref().unwrap_or(connect.client_id);
        let mut properties = self.connack_properties(connect, assigned.as_deref());
        if let Some(conn) = self.connections.get(id) {
            put_authentication(&mut properties, conn, data); // [MQTT5-4.12.0-5]
        }
        let mut connack = ConnAck {
            session_present: false,
            reason: ReasonCode::Success,
            properties: properties.as_properties(),
        };
        let bytes_max = connect.properties.maximum_packet_size().unwrap_or(u32::MAX);
        if connack.encoded_len(connect.version) > bytes_max as usize {
            return Err(Fault::CONNACK_TOO_LARGE); // [MQTT5-3.1.2-24]
        }
        let (session, present) = self.open_session(client_id, connect);
        self.bind(id, session, connect);
        if let Some(conn) = self.connections.get_mut(id) {
            connack.session_present = present;
            connack.encode(connect.version, self.outgoing.open(conn));
        }
        self.pump_backlog(session);
        self.members_came(session);
        Ok(Flow::Continue)
    }

    /// The shard whose sessions include that client identifier.
    fn home_of(&self, client_id: &str) -> ShardId {
        let home = self.config.hasher.hash_one(client_id) % u64::from(self.config.shards);
        ShardId(u16::try_from(home).expect("a remainder by a u16 fits"))
    }

    /// An identifier that nobody has and that belongs here [MQTT5-3.1.3-6].
    fn assign_client_id(&mut self) -> String {
        loop {
            let client_id = format!("{ASSIGNED_PREFIX}{:016x}", self.random.u64(..));
            if self.home_of(&client_id) == self.id && self.sessions.find(&client_id).is_none() {
                return client_id;
            }
        }
    }

    /// The session to go on with, and whether it was there before. A connection that has it is
    /// taken over [MQTT5-3.1.4-3], a Clean Start discards it [MQTT5-3.1.2-4].
    fn open_session(&mut self, client_id: &str, connect: &Connect<'_>) -> (SessionId, bool) {
        if let Some(old) = self.sessions.find(client_id)
            && let Some(conn) = self.sessions.get(old).and_then(|session| session.conn)
        {
            self.close(conn, Some(Fault::TAKEN_OVER), true);
        }
        match self.sessions.find(client_id) {
            Some(old) if connect.clean_start => self.end_session(old),
            Some(old) => return (old, true),
            None => {}
        }
        (self.sessions.create(client_id), false)
    }

    /// Ties connection and session together, with everything CONNECT said.
    fn bind(&mut self, id: ConnId, session_id: SessionId, connect: &Connect<'_>) {
        let conn = self.connections.get_mut(id).expect("CONNECT came on it");
        let adopted = conn.is_adopted;
        conn.session = Some(session_id);
        conn.last_received = self.now;
        conn.patience = Nanos::from_millis(u64::from(connect.keep_alive_seconds) * 1_500);
        let properties = &connect.properties;
        conn.max_packet_size = properties.maximum_packet_size().unwrap_or(u32::MAX);
        let aliases = properties.topic_alias_maximum().unwrap_or(0);
        let (own, hasher) = (self.config.topic_alias_maximum, &self.config.hasher);
        if let Some(aliases) = SentAliases::within(aliases, own, hasher) {
            conn.extras().sent_aliases = Some(aliases);
        }
        conn.problem_information = properties.request_problem_information().unwrap_or(true);
        let session = self
            .sessions
            .get_mut(session_id)
            .expect("it was just opened");
        session.conn = Some(id);
        let publisher = session.publisher;
        // For a client of MQTT its CONNECT tells the will.
        if let Some(kept) = session.take_kept_will()
            && let Some(sn) = &mut conn.sn
        {
            sn.resume_will(kept);
        }
        let will = connect.will.as_ref();
        session.will = will.map(|will| Box::new(store_will(publisher, will)));
        session.expiry_seconds = asked_expiry(connect).min(self.config.session_expiry_max);
        let window = properties
            .receive_maximum()
            .unwrap_or(INFLIGHT_MAX)
            .min(INFLIGHT_MAX);
        session.outbound.restart(window);
        self.arm_connection(id);
        if !adopted {
            self.effects.established.push(id);
        }
        self.counters.connects += 1;
        self.gauges.connected += 1;
    }

    /// What a v5 client gets to know when it is accepted.
    fn connack_properties(&self, connect: &Connect<'_>, assigned: Option<&str>) -> PropertiesBuf {
        let mut properties = PropertiesBuf::new();
        if connect.version != Version::V5 {
            return properties;
        }
        if self.config.receive_maximum < u16::MAX {
            properties.push(Property::ReceiveMaximum(self.config.receive_maximum));
        }
        properties.push(Property::MaximumPacketSize(self.config.max_packet_size));
        if self.config.topic_alias_maximum > 0 {
            properties.push(Property::TopicAliasMaximum(self.config.topic_alias_maximum));
        }
        if asked_expiry(connect) > self.config.session_expiry_max {
            let granted = self.config.session_expiry_max;
            properties.push(Property::SessionExpiryInterval(granted)); // [MQTT5-3.2.2.3.2]
        }
        if let Some(client_id) = assigned {
            properties.push(Property::AssignedClientIdentifier(client_id));
        }
        self.put_response_information(&mut properties, connect, assigned);
        properties
    }

    /// For those who ask with 1 [MQTT5-3.1.2-28].
    fn put_response_information(
        &self,
        out: &mut PropertiesBuf,
        connect: &Connect<'_>,
        assigned: Option<&str>,
    ) {
        let asked = connect.properties.request_response_information();
        if let Some(text) = &self.config.response_information
            && asked == Some(true)
        {
            let client_id = assigned.unwrap_or(connect.client_id);
            let told = text.replace("%c", client_id);
            // What is made of it will be a topic filter: a wildcard would reach for the others'.
            let reaches_out = told != **text && client_id.contains(['+', '#']);
            if !reaches_out && told.len() <= usize::from(u16::MAX) {
                out.push(Property::ResponseInformation(&told));
            }
        }
    }

    pub(super) fn mail_handoff(&mut self, home: ShardId, conn: Connection, received: Vec<u8>) {
        let handoff = Handoff {
            socket: conn.socket,
            peer: conn.peer,
            connect_deadline: conn.patience,
            received,
            web: conn.web,
            sn: conn.sn,
            unsent: conn.output,
        };
        self.counters.handoffs += 1;
        self.outboxes
            .control(home, Class::Ack, Mail::Handoff(Box::new(handoff)));
    }

    /// A connection comes home: it counts from its CONNECT, which is handled here.
    pub(super) fn adopt(&mut self, handoff: Handoff) {
        let deadline = handoff.connect_deadline;
        let id = self.insert_connection(handoff.socket, handoff.peer, deadline);
        match handoff.sn {
            Some(_) => self.adopt_sn(id, handoff.sn),
            None => self.effects.adopted.push((id, handoff.socket)),
        }
        let Some(conn) = self.connections.get_mut(id) else {
            return;
        };
        conn.is_adopted = true;
        conn.web = handoff.web;
        if !handoff.unsent.is_empty() {
            self.outgoing.open_for_frames(conn);
            conn.output = handoff.unsent;
        }
        self.arm_connection(id);
        // Counted where they came.
        let taken = self.take_payload(id, &handoff.received);
        if let Some(conn) = self.connections.get_mut(id) {
            conn.backlog.extend_from_slice(&handoff.received[taken..]);
        }
        self.take_web_rest(id);
    }
}

fn is_broken_will(will: &Will<'_>) -> bool {
    is_broken_text(will.properties.payload_format_indicator(), will.payload)
}

/// Seconds that the client wants its session to outlive the connection.
fn asked_expiry(connect: &Connect<'_>) -> u32 {
    match connect.version {
        Version::V5 => connect.properties.session_expiry_interval().unwrap_or(0),
        _ if connect.clean_start => 0,
        _ => NEVER_EXPIRES,
    }
}

fn store_will(publisher: PublisherId, will: &Will<'_>) -> StoredWill {
    let mut properties = Vec::new();
    for property in will.properties.iter() {
        if !matches!(
            property,
            Property::WillDelayInterval(_) | Property::MessageExpiryInterval(_)
        ) {
            property.encode(&mut properties);
        }
    }
    let message = Message {
        topic: will.topic.as_str(),
        payload: will.payload,
        properties: &properties,
        qos: will.qos,
        retain: will.retain,
        expires_at: Nanos::MAX,
        publisher,
    };
    StoredWill {
        message: Stored::new(&message),
        delay_seconds: will.properties.will_delay_interval().unwrap_or(0),
        expiry_seconds: will.properties.message_expiry_interval(),
        due_at: None,
    }
}
