//! What may arrive on a connection, and when: framing, version, direction, order.

use super::{
    Auth, Connect, DecodeError, Disconnect, Frame, Packet, PacketType, PropertyId, ReasonCode,
    Version, frame,
};
use ReasonCode as Code;

/// The side that receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receiver {
    /// Packets come from the server.
    Client,
    /// Packets come from a client.
    Server,
}

/// The receiving half of a connection.
///
/// ```
/// use ringbus_protocols::mqtt::connection::{Connection, Input};
///
/// let mut connection = Connection::server(1024);
/// let ping = [0xC0, 0x00];
/// // The first packet is a CONNECT.
/// assert!(connection.receive(&ping).is_err());
/// ```
#[derive(Debug, Clone)]
pub struct Connection {
    receiver: Receiver,
    state: State,
    version: Version,
    maximum_packet_size: u32,
    /// CONNECT named an Authentication Method.
    authenticates: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing has arrived; a client has sent CONNECT.
    New,
    /// A server has received CONNECT and not accepted it yet.
    Connecting,
    /// After CONNACK.
    Open,
    /// After DISCONNECT or an error.
    Closed,
}

/// What [`Connection::receive`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input<'a> {
    /// Not a whole packet yet.
    Incomplete {
        /// The least total length, in bytes from the start of the packet, that can complete it.
        needed: usize,
    },
    /// A packet that may be there.
    Packet {
        /// The packet.
        packet: Packet<'a>,
        /// How many bytes it took.
        length: usize,
    },
}

impl Connection {
    /// A server's connection, before CONNECT. Packets over `maximum_packet_size` bytes are refused.
    pub const fn server(maximum_packet_size: u32) -> Self {
        // The version matters only after CONNECT, which says it.
        Self::new(Receiver::Server, Version::V5, maximum_packet_size, false)
    }

    /// A client's connection, after it has sent `connect`.
    pub fn client(connect: &Connect<'_>) -> Self {
        let maximum = connect.properties.maximum_packet_size().unwrap_or(u32::MAX);
        let authenticates = connect.properties.has(PropertyId::AuthenticationMethod);
        Self::new(Receiver::Client, connect.version, maximum, authenticates)
    }

    const fn new(
        receiver: Receiver,
        version: Version,
        maximum_packet_size: u32,
        authenticates: bool,
    ) -> Self {
        Self {
            receiver,
            state: State::New,
            version,
            maximum_packet_size,
            authenticates,
        }
    }

    /// The version of the connection; for a server meaningless before CONNECT.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// A server has sent a CONNACK that accepts the connection.
    pub fn accepted(&mut self) {
        if self.state == State::Connecting {
            self.state = State::Open;
        }
    }

    /// Finds and decodes the packet at the front of `bytes`. The caller takes `length` bytes away
    /// and asks again until it gets [`Input::Incomplete`].
    ///
    /// # Errors
    /// What is wrong with the packet, its direction or its place in the order. Nothing is received
    /// after an error or a DISCONNECT.
    pub fn receive<'a>(&mut self, bytes: &'a [u8]) -> Result<Input<'a>, DecodeError> {
        let result = self.receive_packet(bytes);
        if result.is_err() {
            self.state = State::Closed;
        }
        result
    }

    fn receive_packet<'a>(&mut self, bytes: &'a [u8]) -> Result<Input<'a>, DecodeError> {
        self.check_order(bytes)?;
        match frame(bytes, self.maximum_packet_size)? {
            Frame::Incomplete { needed } => Ok(Input::Incomplete { needed }),
            Frame::Complete {
                header,
                body,
                length,
            } => {
                let packet = Packet::decode(header, body, self.version)?;
                check_direction(&packet, self.receiver, self.version)?;
                let unexpected = DecodeError::PacketUnexpected(header.packet_type);
                self.state = self.next_state(&packet).ok_or(unexpected)?;
                if let Packet::Connect(connect) = &packet {
                    self.version = connect.version;
                    self.authenticates = connect.properties.has(PropertyId::AuthenticationMethod);
                }
                Ok(Input::Packet { packet, length })
            }
        }
    }

    /// To a server CONNECT comes first and once. The first byte shows it: a stranger cannot make
    /// the server wait for a large packet, and before CONNECT there is no version to decode with.
    fn check_order(&self, bytes: &[u8]) -> Result<(), DecodeError> {
        if self.receiver == Receiver::Client {
            return Ok(());
        }
        match bytes.first().map(|first| PacketType::try_from(first >> 4)) {
            Some(Ok(packet_type))
                if (packet_type == PacketType::Connect) != (self.state == State::New) =>
            {
                Err(DecodeError::PacketUnexpected(packet_type))
            }
            _ => Ok(()),
        }
    }

    /// The state after `packet`; `None` if it cannot come now.
    fn next_state(&self, packet: &Packet<'_>) -> Option<State> {
        // [MQTT5-4.12.0-6] [MQTT5-4.12.0-7]: no AUTH unless CONNECT named a method.
        if matches!(packet, Packet::Auth(_)) && !self.authenticates {
            return None;
        }
        match (self.state, packet) {
            (State::Closed, _) => None,
            (State::New, Packet::Connect(_)) => Some(State::Connecting),
            (State::New, Packet::ConnAck(ack)) if ack.reason.is_error() => Some(State::Closed),
            (State::New, Packet::ConnAck(_)) => Some(State::Open),
            (State::New, Packet::Auth(auth)) if auth.reason == Code::ContinueAuthentication => {
                Some(State::New)
            }
            (State::New, _) => None,
            (_, Packet::Connect(_) | Packet::ConnAck(_)) => None,
            (_, Packet::Disconnect(_)) => Some(State::Closed),
            // [MQTT5-3.1.2-30]: nothing but AUTH and DISCONNECT until CONNACK.
            (State::Connecting, Packet::Auth(auth)) if auth.reason == Code::ReAuthenticate => None,
            (State::Connecting, Packet::Auth(_)) => Some(State::Connecting),
            (State::Connecting, _) if self.authenticates => None,
            (state, _) => Some(state),
        }
    }
}

/// Refuses what only the other side may send: packets, properties and reason codes that the
/// specification gives to one direction.
///
/// # Errors
/// A Protocol Error.
#[inline]
pub fn check_direction(
    packet: &Packet<'_>,
    receiver: Receiver,
    version: Version,
) -> Result<(), DecodeError> {
    match (packet, receiver) {
        // [MQTT5-3.3.4-6]
        (Packet::Publish(publish), Receiver::Server)
            if publish.properties.has(PropertyId::SubscriptionIdentifier) =>
        {
            Err(DecodeError::PropertyUnexpected(
                PropertyId::SubscriptionIdentifier,
            ))
        }
        // Tables 3-4 and 3-5: sent only by the server.
        (Packet::PubAck(ack) | Packet::PubRec(ack), Receiver::Server)
            if ack.reason == Code::NoMatchingSubscribers =>
        {
            Err(DecodeError::ReasonCodeUnexpected(ack.reason))
        }
        (
            Packet::Publish(_)
            | Packet::PubAck(_)
            | Packet::PubRec(_)
            | Packet::PubRel(_)
            | Packet::PubComp(_),
            _,
        )
        | (
            Packet::Connect(_) | Packet::Subscribe(_) | Packet::Unsubscribe(_) | Packet::PingReq(_),
            Receiver::Server,
        )
        | (
            Packet::ConnAck(_) | Packet::SubAck(_) | Packet::UnsubAck(_) | Packet::PingResp(_),
            Receiver::Client,
        ) => Ok(()),
        (Packet::Disconnect(disconnect), _) if receiver == Receiver::Server || version.is_v5() => {
            check_disconnect(disconnect, receiver)
        }
        (Packet::Auth(auth), _) => check_auth(auth, receiver),
        _ => Err(DecodeError::PacketUnexpected(packet.packet_type())),
    }
}

/// Table 3-10 of the specification says who sends which code `[MQTT5-3.14.2.1]`.
fn check_disconnect(packet: &Disconnect<'_>, receiver: Receiver) -> Result<(), DecodeError> {
    let (other_side, codes): (PropertyId, &[ReasonCode]) = match receiver {
        Receiver::Client => {
            // [MQTT5-3.14.2-2]
            (
                PropertyId::SessionExpiryInterval,
                &[Code::DisconnectWithWill],
            )
        }
        Receiver::Server => (PropertyId::ServerReference, DISCONNECT_FROM_SERVER),
    };
    if packet.properties.has(other_side) {
        return Err(DecodeError::PropertyUnexpected(other_side));
    }
    if codes.contains(&packet.reason) {
        return Err(DecodeError::ReasonCodeUnexpected(packet.reason));
    }
    Ok(())
}

const DISCONNECT_FROM_SERVER: &[ReasonCode] = &[
    Code::NotAuthorized,
    Code::ServerBusy,
    Code::ServerShuttingDown,
    Code::KeepAliveTimeout,
    Code::SessionTakenOver,
    Code::TopicFilterInvalid,
    Code::RetainNotSupported,
    Code::QoSNotSupported,
    Code::UseAnotherServer,
    Code::ServerMoved,
    Code::SharedSubscriptionsNotSupported,
    Code::ConnectionRateExceeded,
    Code::MaximumConnectTime,
    Code::SubscriptionIdentifiersNotSupported,
    Code::WildcardSubscriptionsNotSupported,
];

/// A server ends an exchange with Success, a client begins one with Re-authenticate
/// `[MQTT5-3.15.2.1]`.
fn check_auth(packet: &Auth<'_>, receiver: Receiver) -> Result<(), DecodeError> {
    let other_side = match receiver {
        Receiver::Client => Code::ReAuthenticate,
        Receiver::Server => Code::Success,
    };
    if packet.reason == other_side {
        return Err(DecodeError::ReasonCodeUnexpected(other_side));
    }
    Ok(())
}
