//! Extended authentication [MQTT5-4.12]: the exchange between CONNECT and CONNACK, and those that
//! a client begins later. It runs on the home shard, before anything of the session is touched.

use std::sync::Arc;

use ringbus_protocols::mqtt::{
    Auth, Connect, Disconnect, FixedHeader, PacketType, PropertiesBuf, Property, ReasonCode,
    Version,
};

use super::Shard;
use super::connection::{Connection, Flow};
use super::fault::Fault;
use super::receive::Handled;
use crate::auth::{Exchange, Mechanism, Step};
use crate::base::ConnId;

/// The authentication of one connection whose CONNECT named a method.
#[derive(Debug)]
pub(super) struct Authentication {
    mechanism: Arc<dyn Mechanism>,
    /// As in CONNECT.
    client_id: Box<str>,
    /// The exchange under way, if there is one.
    exchange: Option<Box<dyn Exchange>>,
    /// The CONNECT that waits for the end of the first exchange.
    connect: Option<(FixedHeader, Box<[u8]>)>,
}

impl Authentication {
    /// The step that follows from an AUTH of the client.
    fn judge(&mut self, auth: &Auth<'_>) -> Result<Step, Fault> {
        // [MQTT5-4.12.0-5] [MQTT5-4.12.1-1]
        if auth.properties.authentication_method() != Some(self.mechanism.name()) {
            return Err(Fault::protocol("the authentication method changed"));
        }
        let mut exchange = match (auth.reason, self.exchange.take()) {
            (ReasonCode::ContinueAuthentication, Some(exchange)) => exchange,
            (ReasonCode::ReAuthenticate, None) => self.mechanism.begin(&self.client_id),
            _ => return Err(Fault::protocol("AUTH is out of order")),
        };
        let step = exchange.step(auth.properties.authentication_data().unwrap_or_default());
        if matches!(step, Step::Continue(_)) {
            self.exchange = Some(exchange);
        }
        Ok(step)
    }
}

impl Shard {
    /// A CONNECT that names a method: it is served when the exchange has ended well.
    pub(super) fn on_connect_with_method(
        &mut self,
        id: ConnId,
        connect: &Connect<'_>,
        packet: (FixedHeader, &[u8]),
    ) -> Handled {
        let mechanism = self.mechanism(connect)?;
        let Some(conn) = self.connections.get_mut(id) else {
            return Ok(Flow::Gone);
        };
        let properties = &connect.properties;
        conn.max_packet_size = properties.maximum_packet_size().unwrap_or(u32::MAX);
        let mut exchange = mechanism.begin(connect.client_id);
        let step = exchange.step(properties.authentication_data().unwrap_or_default());
        let goes_on = matches!(step, Step::Continue(_));
        conn.extras().auth = Some(Authentication {
            mechanism,
            client_id: connect.client_id.into(),
            exchange: goes_on.then_some(exchange),
            connect: goes_on.then(|| (packet.0, packet.1.into())),
        });
        match step {
            Step::Continue(data) => self.send_auth(id, ReasonCode::ContinueAuthentication, &data),
            Step::Accept(data) => self.admit(id, connect, &data),
            Step::Reject => Err(Fault::NOT_AUTHENTICATED),
        }
    }

    /// The mechanism that a CONNECT asks for [MQTT5-4.12.0-1].
    pub(super) fn mechanism(&self, connect: &Connect<'_>) -> Result<Arc<dyn Mechanism>, Fault> {
        let name = connect.properties.authentication_method();
        let all = &self.config.mechanisms;
        let found = all.iter().find(|known| Some(known.name()) == name);
        found.cloned().ok_or(Fault::AUTHENTICATION_METHOD)
    }

    /// Between CONNECT and CONNACK only AUTH and DISCONNECT may come [MQTT5-3.1.2-30].
    pub(super) fn on_packet_before_connack(
        &mut self,
        id: ConnId,
        header: FixedHeader,
        body: &[u8],
    ) -> Handled {
        match header.packet_type {
            PacketType::Auth => {
                let auth = Auth::decode(header, body, Version::V5)?;
                self.on_auth(id, &auth)
            }
            PacketType::Disconnect => {
                Disconnect::decode(header, body, Version::V5)?;
                self.close(id, None, false);
                Ok(Flow::Gone)
            }
            _ => Err(Fault::protocol(
                "only AUTH and DISCONNECT come before CONNACK",
            )),
        }
    }

    /// An AUTH, in the first exchange or in a later one.
    pub(super) fn on_auth(&mut self, id: ConnId, auth: &Auth<'_>) -> Handled {
        let Some(conn) = self.connections.get_mut(id) else {
            return Ok(Flow::Gone);
        };
        let extras = conn.extras.as_mut();
        let Some(authentication) = extras.and_then(|extras| extras.auth.as_mut()) else {
            // [MQTT5-4.12.0-7]
            return Err(Fault::protocol("CONNECT named no authentication method"));
        };
        match authentication.judge(auth)? {
            Step::Continue(data) => self.send_auth(id, ReasonCode::ContinueAuthentication, &data),
            Step::Reject => Err(Fault::NOT_AUTHENTICATED), // [MQTT5-4.12.0-4] [MQTT5-4.12.1-2]
            Step::Accept(data) => match authentication.connect.take() {
                Some((header, body)) => self.admit(id, &Connect::decode(header, &body)?, &data),
                None => self.send_auth(id, ReasonCode::Success, &data),
            },
        }
    }

    /// AUTH from the server, with the method of CONNECT [MQTT5-4.12.0-2] [MQTT5-4.12.0-5].
    fn send_auth(&mut self, id: ConnId, reason: ReasonCode, data: &[u8]) -> Handled {
        let Some(conn) = self.connections.get_mut(id) else {
            return Ok(Flow::Gone);
        };
        let mut properties = PropertiesBuf::new();
        put_authentication(&mut properties, conn, data);
        let auth = Auth {
            reason,
            properties: properties.as_properties(),
        };
        if auth.encoded_len(Version::V5) > conn.max_packet_size as usize {
            return Err(Fault::ANSWER_TOO_LARGE);
        }
        auth.encode(Version::V5, self.outgoing.open(conn));
        Ok(Flow::Continue)
    }
}

/// The method of CONNECT, if it had one, and what goes along.
pub(super) fn put_authentication(out: &mut PropertiesBuf, conn: &Connection, data: &[u8]) {
    if let Some(authentication) = conn.auth() {
        let name = authentication.mechanism.name();
        out.push(Property::AuthenticationMethod(name));
        if !data.is_empty() {
            out.push(Property::AuthenticationData(data));
        }
    }
}
