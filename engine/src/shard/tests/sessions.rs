//! How long sessions live.

use super::*;
use crate::config::Versions;

fn persistent(version: Version, expiry: Option<u32>) -> PropertiesBuf {
    let mut properties = PropertiesBuf::new();
    if version == V5
        && let Some(seconds) = expiry
    {
        properties.push(Property::SessionExpiryInterval(seconds));
    }
    properties
}

/// The CONNACK's session present flag and the expiry interval that the server imposes.
fn connack(net: &mut Net, socket: usize, version: Version) -> (bool, Option<u32>) {
    let bytes = std::mem::take(&mut net.sockets[socket].received);
    let Ok(Frame::Complete { header, body, .. }) = frame(&bytes, u32::MAX) else {
        panic!("the shard sends whole packets");
    };
    match Packet::decode(header, body, version) {
        Ok(Packet::ConnAck(ack)) => (
            ack.session_present,
            ack.properties.session_expiry_interval(),
        ),
        other => panic!("{other:?}"),
    }
}

fn come(net: &mut Net, version: Version, expiry: Option<u32>) -> (usize, bool, Option<u32>) {
    let properties = persistent(version, expiry);
    let connect = Connect {
        clean_start: false,
        properties: properties.as_properties(),
        ..client(version, "lasting")
    };
    let socket = net.connect(0, connect);
    let (present, imposed) = connack(net, socket, version);
    (socket, present, imposed)
}

#[test]
fn a_session_lives_no_longer_than_the_server_allows() {
    let capped = || Net::with(2, |config| config.session_expiry_max = 100);
    // What the client asks for, and the interval in the CONNACK, if it is another.
    for (version, asked, imposed) in [
        (V5, Some(100), None),
        (V5, Some(101), Some(100)),
        (V5, Some(u32::MAX), Some(100)),
        (Version::V3_1_1, None, None),
    ] {
        let mut net = capped();
        let (socket, present, seen) = come(&mut net, version, asked);
        assert_eq!((present, seen), (false, imposed), "{version:?} {asked:?}");
        net.hang_up(socket);
        net.pass(Nanos::from_secs(99));
        let (socket, present, _) = come(&mut net, version, asked);
        assert!(present, "{version:?} {asked:?}: ended too early");
        net.hang_up(socket);
        net.pass(Nanos::from_secs(101));
        let (_, present, _) = come(&mut net, version, asked);
        assert!(!present, "{version:?} {asked:?}: ended too late");
    }
}

#[test]
fn disconnect_does_not_lift_the_bound() {
    use ringbus_protocols::mqtt::Disconnect;
    let mut net = Net::with(1, |config| config.session_expiry_max = 100);
    let (socket, ..) = come(&mut net, V5, Some(50));
    let properties = persistent(V5, Some(1_000));
    let disconnect = Disconnect {
        reason: ReasonCode::NormalDisconnection,
        properties: properties.as_properties(),
    };
    net.send(socket, V5, &Packet::Disconnect(disconnect));
    net.pass(Nanos::from_secs(99));
    let (socket, present, _) = come(&mut net, V5, Some(50));
    assert!(present, "DISCONNECT made it longer");
    net.send(socket, V5, &Packet::Disconnect(disconnect));
    net.pass(Nanos::from_secs(101));
    assert!(!come(&mut net, V5, Some(50)).1, "beyond the bound");
}

#[test]
fn without_a_bound_a_session_lives_as_long_as_its_client_asks() {
    let mut net = Net::new(1);
    let (socket, _, imposed) = come(&mut net, V5, Some(u32::MAX));
    assert_eq!(imposed, None);
    net.hang_up(socket);
    net.pass(Nanos::from_secs(10_000_000_000));
    assert!(come(&mut net, V5, Some(u32::MAX)).1);
}

#[test]
fn a_version_that_is_not_spoken_is_refused_in_its_own_words() {
    let only = |list| Net::with(1, |config| config.versions = Versions::parse(list).unwrap());
    for (list, refused, word) in [
        ("3.1.1", V5, "connack UnsupportedProtocolVersion false"),
        (
            "5",
            Version::V3_1_1,
            "connack UnsupportedProtocolVersion false",
        ),
        (
            "3.1.1,5",
            Version::V3_1,
            "connack UnsupportedProtocolVersion false",
        ),
    ] {
        let mut net = only(list);
        for version in Version::ALL {
            let socket = net.connect(0, client(version, "c"));
            let is_refused = !net.shards[0].config.versions.contain(version);
            assert_eq!(
                net.sockets[socket].is_closed, is_refused,
                "{list} {version:?}"
            );
            if version == refused {
                assert_eq!(net.read(socket, version), [word]);
            }
        }
    }
}

/// No Local compares client identifiers, not sessions [MQTT5-3.8.3-3].
#[test]
fn a_client_that_comes_back_does_not_get_what_it_published_before() {
    let mut net = Net::new(2);
    let first = net.connect(0, client(V5, "p"));
    let (home, conn) = net.sockets[first].at.unwrap();
    let neighbour = (0..).find_map(|n| {
        let socket = net.connect(0, client(V5, &format!("s{n}")));
        (net.sockets[socket].at.unwrap().0 == home).then_some(socket)
    });
    let neighbour = neighbour.unwrap();
    net.send_bytes(neighbour, &subscribe(&[("#", QoS::AtMostOnce)], V5, 0));
    net.read(neighbour, V5);
    let partitioner = net.shards[home].config.partitioner.clone();
    let is_far = |topic: &String| partitioner.owner(topic).index() != home;
    let topic = (0..).map(|n| format!("t{n}")).find(is_far).unwrap();
    let (mut published, mut came_back) = (Vec::new(), Vec::new());
    Packet::Publish(publish(&topic, b"x", QoS::AtMostOnce)).encode(V5, &mut published);
    Packet::Connect(client(V5, "p")).encode(V5, &mut came_back);
    came_back.extend(no_local("#"));
    let second = net.open(home);
    let again = net.sockets[second].at.unwrap().1;
    // All of it before any mail.
    net.shards[home].begin_turn(net.now);
    net.shards[home].on_bytes(conn, &published);
    net.shards[home].on_bytes(again, &came_back);
    net.settle();
    let word = format!("publish {topic}=x q0 #0");
    assert_eq!(net.read(neighbour, V5), [word]);
    let seen = net.read(second, V5);
    assert_eq!(seen, ["connack Success false", "suback [0]"]);
}
