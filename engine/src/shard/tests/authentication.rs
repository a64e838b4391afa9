//! Extended authentication, with mechanisms made for these tests.

use super::*;
use crate::auth::{Exchange, Mechanism, Step};
use ringbus_protocols::mqtt::{Auth, Disconnect, PropertyId};

/// The server names a number, the client answers it, the server says good-bye.
#[derive(Debug)]
struct Echo;

#[derive(Debug)]
struct Echoing {
    client_id: String,
    asked: bool,
}

impl Mechanism for Echo {
    fn name(&self) -> &str {
        "ECHO"
    }

    fn begin(&self, client_id: &str) -> Box<dyn Exchange> {
        Box::new(Echoing {
            client_id: client_id.to_owned(),
            asked: false,
        })
    }
}

impl Exchange for Echoing {
    fn step(&mut self, data: &[u8]) -> Step {
        match data {
            b"at once" => Step::Accept(Vec::new()),
            b"never" => Step::Reject,
            _ if !std::mem::replace(&mut self.asked, true) => Step::Continue(b"7".to_vec()),
            b"7" => Step::Accept(format!("welcome {}", self.client_id).into_bytes()),
            _ => Step::Reject,
        }
    }
}

fn net(shards: u16) -> Net {
    Net::with(shards, |config| config.mechanisms = vec![Arc::new(Echo)])
}

/// Connects with a method and data; more properties may go along.
fn connect(net: &mut Net, client_id: &str, data: &[u8], more: &[Property<'_>]) -> usize {
    let mut properties: PropertiesBuf = more.iter().copied().collect();
    properties.push(Property::AuthenticationMethod("ECHO"));
    if !data.is_empty() {
        properties.push(Property::AuthenticationData(data));
    }
    let connect = Connect {
        properties: properties.as_properties(),
        keep_alive_seconds: 0,
        ..client(V5, client_id)
    };
    net.connect(0, connect)
}

fn auth(net: &mut Net, socket: usize, reason: ReasonCode, method: &str, data: &[u8]) {
    let mut properties = PropertiesBuf::new();
    properties.push(Property::AuthenticationMethod(method));
    properties.push(Property::AuthenticationData(data));
    let auth = Auth {
        reason,
        properties: properties.as_properties(),
    };
    net.send(socket, V5, &Packet::Auth(auth));
}

const CONTINUE: ReasonCode = ReasonCode::ContinueAuthentication;
const AGAIN: ReasonCode = ReasonCode::ReAuthenticate;

fn seen(net: &mut Net, socket: usize) -> Vec<String> {
    net.read_with(socket, V5, |packet| {
        let (name, properties) = match packet {
            Packet::ConnAck(ack) => (format!("connack {:?}", ack.reason), ack.properties),
            Packet::Auth(auth) => {
                // What is not there makes no packet too large.
                let extra = [PropertyId::ReasonString, PropertyId::UserProperty];
                assert!(!extra.iter().any(|&id| auth.properties.has(id)));
                (format!("auth {:?}", auth.reason), auth.properties)
            }
            other => return word(other),
        };
        let method = properties.authentication_method().unwrap_or("-");
        let data = properties.authentication_data().unwrap_or(b"-");
        format!("{name} {method} {}", String::from_utf8_lossy(data))
    })
}

const ASKED: &str = "auth ContinueAuthentication ECHO 7";

/// `[MQTT5-3.15.2-2]` `[MQTT5-3.15.2-3]` `[MQTT5-4.12.0-2]` `[MQTT5-4.12.0-3]` `[MQTT5-4.12.0-5]`
#[test]
fn an_exchange_ends_with_a_connack_that_has_method_and_data() {
    for shards in [1, 4] {
        let mut net = net(shards);
        let socket = connect(&mut net, "c", b"", &[]);
        assert_eq!(seen(&mut net, socket), [ASKED]);
        let home = net.sockets[socket].at.unwrap().0;
        auth(&mut net, socket, CONTINUE, "ECHO", b"7");
        assert_eq!(seen(&mut net, socket), ["connack Success ECHO welcome c"]);
        assert_eq!(net.sockets[socket].at.unwrap().0, home, "moved before it");
        net.send_bytes(socket, &subscribe(&[("t", QoS::AtMostOnce)], V5, 0));
        assert_eq!(seen(&mut net, socket), ["suback [0]"]);
        net.hang_up(socket);
        assert_eq!(net.leaks(), 0);
    }
}

/// `[MQTT5-4.12.0-5]`
#[test]
fn a_mechanism_may_accept_at_once() {
    let mut net = net(1);
    let socket = connect(&mut net, "c", b"at once", &[]);
    assert_eq!(seen(&mut net, socket), ["connack Success ECHO -"]);
}

/// `[MQTT5-4.12.0-1]`
#[test]
fn a_method_that_is_not_known_is_refused() {
    let mut net = Net::new(1);
    let socket = connect(&mut net, "c", b"at once", &[]);
    assert!(net.sockets[socket].is_closed);
    assert_eq!(
        seen(&mut net, socket),
        ["connack BadAuthenticationMethod - -"]
    );
}

/// `[MQTT5-4.12.0-4]`
#[test]
fn a_rejected_client_gets_connack_and_is_closed() {
    let mut net = net(2);
    let at_once = connect(&mut net, "c", b"never", &[]);
    assert_eq!(seen(&mut net, at_once), ["connack NotAuthorized - -"]);
    assert!(net.sockets[at_once].is_closed);
    let later = connect(&mut net, "c", b"", &[]);
    auth(&mut net, later, CONTINUE, "ECHO", b"8");
    assert_eq!(seen(&mut net, later), [ASKED, "connack NotAuthorized - -"]);
    assert!(net.sockets[later].is_closed);
    assert_eq!(net.leaks(), 0);
}

/// `[MQTT5-4.12.0-6]` `[MQTT5-4.12.0-7]`
#[test]
fn without_a_method_in_connect_there_is_no_authentication() {
    let mut net = net(1);
    let socket = net.connect(0, client(V5, "c"));
    assert_eq!(seen(&mut net, socket), ["connack Success - -"]);
    auth(&mut net, socket, AGAIN, "ECHO", b"at once");
    assert_eq!(seen(&mut net, socket), ["disconnect ProtocolError"]);
    assert!(net.sockets[socket].is_closed);
}

/// `[MQTT5-3.1.2-30]` `[MQTT5-3.15.1-1]` `[MQTT5-3.15.2-1]` `[MQTT5-4.12.0-3]` `[MQTT5-4.12.0-5]`
#[test]
fn only_auth_in_its_order_and_disconnect_come_before_connack() {
    let protocol_error = ["connack ProtocolError - -"];
    let wrong: [(&str, Act); 7] = [
        ("PUBLISH", |net, socket| {
            net.send(
                socket,
                V5,
                &Packet::Publish(publish("t", b"x", QoS::AtMostOnce)),
            );
        }),
        ("SUBSCRIBE", |net, socket| {
            net.send_bytes(socket, &subscribe(&[("t", QoS::AtMostOnce)], V5, 0));
        }),
        ("PINGREQ", |net, socket| net.send_bytes(socket, &[0xC0, 0])),
        ("CONNECT", |net, socket| {
            net.send(socket, V5, &Packet::Connect(client(V5, "c")));
        }),
        ("another method", |net, socket| {
            auth(net, socket, CONTINUE, "OTHER", b"7")
        }),
        ("another exchange", |net, socket| {
            auth(net, socket, AGAIN, "ECHO", b"7")
        }),
        ("Success from a client", |net, socket| {
            net.send_bytes(socket, &[0xF0, 0])
        }),
    ];
    for (name, send) in wrong {
        let mut net = net(1);
        let socket = connect(&mut net, "c", b"", &[]);
        assert_eq!(seen(&mut net, socket), [ASKED], "{name}");
        send(&mut net, socket);
        assert_eq!(seen(&mut net, socket), protocol_error, "{name}");
        assert!(net.sockets[socket].is_closed, "{name}");
        assert_eq!(net.leaks(), 0, "{name}");
    }
    let mut net = net(1);
    let flags = connect(&mut net, "c", b"", &[]);
    net.send_bytes(flags, &[0xF1, 0]);
    assert_eq!(
        seen(&mut net, flags),
        [ASKED, "connack MalformedPacket - -"]
    );
    let leaving = connect(&mut net, "c", b"", &[]);
    let disconnect = Disconnect::new(ReasonCode::Success);
    net.send(leaving, V5, &Packet::Disconnect(disconnect));
    assert_eq!(seen(&mut net, leaving), [ASKED]);
    assert!(net.sockets[leaving].is_closed);
}

/// Who has not shown that the session is its own takes nothing from who has it.
#[test]
fn authentication_precedes_takeover() {
    let mut net = net(2);
    let lasting = [Property::SessionExpiryInterval(100)];
    let owner = connect(&mut net, "c", b"at once", &lasting);
    net.send_bytes(owner, &subscribe(&[("t", QoS::AtLeastOnce)], V5, 0));
    seen(&mut net, owner);
    let thief = connect(&mut net, "c", b"", &[]);
    assert!(
        !net.sockets[owner].is_closed,
        "not while the exchange goes on"
    );
    auth(&mut net, thief, CONTINUE, "ECHO", b"guess");
    assert!(net.sockets[thief].is_closed && !net.sockets[owner].is_closed);
    let own = publish("t", b"still mine", QoS::AtMostOnce);
    net.send(owner, V5, &Packet::Publish(own));
    assert_eq!(seen(&mut net, owner), ["publish t=still mine q0 #0"]);
    let successor = connect(&mut net, "c", b"", &[]);
    auth(&mut net, successor, CONTINUE, "ECHO", b"7");
    assert_eq!(seen(&mut net, owner), ["disconnect SessionTakenOver"]);
}

/// The time for CONNECT is the time for the whole exchange.
#[test]
fn an_exchange_that_takes_too_long_is_refused() {
    let mut net = net(1);
    let socket = connect(&mut net, "c", b"", &[]);
    net.pass(Nanos::from_secs(9));
    assert!(!net.sockets[socket].is_closed);
    net.pass(Nanos::from_secs(2));
    assert_eq!(seen(&mut net, socket), [ASKED, "connack NotAuthorized - -"]);
    assert!(net.sockets[socket].is_closed);
    assert_eq!(net.leaks(), 0);
}

/// `[MQTT5-4.12.1-1]`
#[test]
fn a_client_may_authenticate_again_while_its_traffic_goes_on() {
    let mut net = net(2);
    let socket = connect(&mut net, "c", b"at once", &[]);
    net.send_bytes(socket, &subscribe(&[("t", QoS::AtMostOnce)], V5, 0));
    seen(&mut net, socket);
    for _ in 0..2 {
        auth(&mut net, socket, AGAIN, "ECHO", b"");
        net.send(
            socket,
            V5,
            &Packet::Publish(publish("t", b"x", QoS::AtMostOnce)),
        );
        auth(&mut net, socket, CONTINUE, "ECHO", b"7");
        let mut all = seen(&mut net, socket);
        all.sort();
        assert_eq!(
            all,
            [ASKED, "auth Success ECHO welcome c", "publish t=x q0 #0"]
        );
    }
    // Nothing is under way now.
    auth(&mut net, socket, CONTINUE, "ECHO", b"7");
    assert_eq!(seen(&mut net, socket), ["disconnect ProtocolError"]);
}

/// `[MQTT5-4.12.1-1]` `[MQTT5-4.12.1-2]`
#[test]
fn failing_to_authenticate_again_ends_the_connection() {
    let cases = [
        (AGAIN, "ECHO", "never", "disconnect NotAuthorized"),
        (AGAIN, "OTHER", "at once", "disconnect ProtocolError"),
        (ReasonCode::Success, "ECHO", "", "disconnect ProtocolError"),
    ];
    for (reason, method, data, expected) in cases {
        let mut net = net(1);
        let socket = connect(&mut net, "c", b"at once", &[]);
        seen(&mut net, socket);
        auth(&mut net, socket, reason, method, data.as_bytes());
        assert_eq!(seen(&mut net, socket), [expected]);
        assert!(net.sockets[socket].is_closed);
        assert_eq!(net.leaks(), 0);
    }
}

/// `[MQTT5-3.1.2-24]`
#[test]
fn a_challenge_that_the_client_would_not_take_is_not_sent() {
    let mut net = net(1);
    let socket = connect(&mut net, "c", b"", &[Property::MaximumPacketSize(10)]);
    assert_eq!(seen(&mut net, socket), ["connack PacketTooLarge - -"]);
}

/// A server that assigns the identifier does so when it knows whom it has.
#[test]
fn an_identifier_is_assigned_after_the_exchange() {
    let mut net = net(4);
    let socket = connect(&mut net, "", b"", &[]);
    auth(&mut net, socket, CONTINUE, "ECHO", b"7");
    let assigned = net.read_with(socket, V5, |packet| match packet {
        Packet::ConnAck(ack) => ack
            .properties
            .assigned_client_identifier()
            .map(str::to_owned),
        _ => None,
    });
    assert!(
        assigned[1]
            .as_ref()
            .is_some_and(|id| id.starts_with("auto-"))
    );
}
