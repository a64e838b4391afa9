//! Message expiry beside the QoS 2 exchange.

use super::*;

fn expiring(seconds: u32, qos: QoS) -> Vec<u8> {
    let mut properties = PropertiesBuf::new();
    properties.push(Property::MessageExpiryInterval(seconds));
    let mut bytes = Vec::new();
    let packet = Publish {
        properties: properties.as_properties(),
        ..publish("t", b"x", qos)
    };
    Packet::Publish(packet).encode(V5, &mut bytes);
    bytes
}

/// A client at QoS 2 whose session outlives its connection.
fn come(net: &mut Net, clean_start: bool) -> usize {
    let mut properties = PropertiesBuf::new();
    properties.push(Property::SessionExpiryInterval(1_000));
    let connect = Connect {
        clean_start,
        properties: properties.as_properties(),
        ..client(V5, "s")
    };
    net.connect(0, connect)
}

fn subscriber(net: &mut Net) -> usize {
    let socket = come(net, true);
    net.send_bytes(socket, &subscribe(&[("t", QoS::ExactlyOnce)], V5, 0));
    net.read(socket, V5);
    socket
}

/// `[MQTT5-4.3.3-7]`
#[test]
fn what_was_sent_at_qos_2_does_not_expire_any_more() {
    for shards in [1, 2] {
        let mut net = Net::new(shards);
        let first = subscriber(&mut net);
        let publisher = net.connect(0, client(V5, "p"));
        net.send_bytes(publisher, &expiring(1, QoS::ExactlyOnce));
        net.send(publisher, V5, &Packet::PubRel(Ack::new(id(1))));
        assert_eq!(net.read(first, V5), ["publish t=x q2 #1"]);
        net.hang_up(first);
        net.pass(Nanos::from_secs(10));
        let second = come(&mut net, false);
        let seen = net.read(second, V5);
        assert_eq!(seen, ["connack Success true", "publish t=x q2 #1 dup"]);
        net.send(second, V5, &Packet::PubRec(Ack::new(id(1))));
        assert_eq!(net.read(second, V5), ["pubrel #1"]);
    }
}

/// `[MQTT5-4.3.3-13]`
#[test]
fn the_exchange_of_an_expired_message_is_completed() {
    for shards in [1, 2] {
        let mut net = Net::new(shards);
        let socket = subscriber(&mut net);
        let publisher = net.connect(0, client(V5, "p"));
        net.read(publisher, V5);
        net.send_bytes(publisher, &expiring(1, QoS::ExactlyOnce));
        assert_eq!(net.read(publisher, V5), ["pubrec #1 Success"]);
        net.pass(Nanos::from_secs(10));
        net.send(publisher, V5, &Packet::PubRel(Ack::new(id(1))));
        assert_eq!(net.read(publisher, V5), ["pubcomp #1 Success"]);
        assert_eq!(net.read(socket, V5), [""; 0], "nobody gets it");
    }
}
