//! Datagrams of who is not connected: answers are never longer than the question, and nobody's
//! client is touched.

use crate::{fresh, loopback, many, publisher, shared, watcher};
use ringbus_protocols::mqtt::QoS;
use ringbus_tests::mqttsn::{
    SnClient, SnHello, SnSocket, SnTopic, connect, forwarded, kind, message, publish,
};

/// One of every type, right in form, with ids that a client may have in use.
pub(crate) fn one_of_each(client_id: &str, topic_id: u16, msg_id: u16) -> Vec<Vec<u8>> {
    let [high, low] = topic_id.to_be_bytes();
    let [first, second] = msg_id.to_be_bytes();
    let pair = [first, second];
    let named = |head: &[u8], name: &[u8]| [head, name].concat();
    let bodies = [
        (kind::ADVERTISE, vec![1, 0, 60]),
        (kind::SEARCHGW, vec![0]),
        (kind::GWINFO, vec![1]),
        (kind::CONNACK, vec![0]),
        (kind::WILLTOPICREQ, vec![]),
        (kind::WILLTOPIC, b"\0will".to_vec()),
        (kind::WILLMSGREQ, vec![]),
        (kind::WILLMSG, b"will".to_vec()),
        (kind::REGISTER, named(&[0, 0, first, second], b"stolen")),
        (kind::REGACK, vec![high, low, first, second, 3]),
        (kind::PUBLISH, vec![0, high, low, 0, 0, b'x']),
        (kind::PUBLISH, vec![0x20, high, low, first, second, b'x']),
        (kind::PUBLISH, vec![0x40, high, low, first, second, b'x']),
        (kind::PUBACK, vec![high, low, first, second, 0]),
        (kind::PUBACK, vec![high, low, first, second, 2]),
        (kind::PUBREC, pair.to_vec()),
        (kind::PUBREL, pair.to_vec()),
        (kind::PUBCOMP, pair.to_vec()),
        (kind::SUBSCRIBE, named(&[0, first, second], b"#")),
        (kind::SUBACK, vec![0, high, low, first, second, 0]),
        (kind::UNSUBSCRIBE, named(&[0, first, second], b"#")),
        (kind::UNSUBACK, pair.to_vec()),
        (kind::PINGREQ, vec![]),
        (kind::PINGREQ, client_id.as_bytes().to_vec()),
        (kind::PINGRESP, vec![]),
        (kind::DISCONNECT, vec![0, 60]),
        (kind::WILLTOPICUPD, b"\0will".to_vec()),
        (kind::WILLTOPICRESP, vec![0]),
        (kind::WILLMSGUPD, b"will".to_vec()),
        (kind::WILLMSGRESP, vec![0]),
        (kind::DISCONNECT, vec![]),
    ];
    let encode = |(kind, body): &(u8, Vec<u8>)| message(*kind, body);
    bodies.iter().map(encode).collect()
}

/// What comes back for a question of a stranger.
fn answers(socket: &SnSocket, question: &[u8]) -> Vec<Vec<u8>> {
    socket.send(question);
    // Behind all of it: a shard answers in order.
    socket.send(&message(kind::SEARCHGW, &[0]));
    let mut answers = Vec::new();
    loop {
        match socket.receive() {
            end if end == [3, kind::GWINFO, 1] => return answers,
            answer => answers.push(answer),
        }
    }
}

#[test]
fn no_answer_to_a_stranger_is_longer_than_its_question() {
    let broker = shared();
    for (number, question) in one_of_each("x", 1, 1).iter().enumerate() {
        let socket = SnSocket::at(broker.mqttsn_address(), loopback(number));
        if question[1] == kind::SEARCHGW {
            continue;
        }
        let got = answers(&socket, question);
        let length: usize = got.iter().map(Vec::len).sum();
        assert!(length <= question.len(), "{question:02x?}: {got:02x?}");
        let relayed = forwarded(b"node", question);
        let got = answers(&socket, &relayed);
        let length: usize = got.iter().map(Vec::len).sum();
        assert!(length <= relayed.len(), "{relayed:02x?}: {got:02x?}");
    }
    for flags in [0, 4, 8, 12] {
        let socket = SnSocket::new(&broker);
        let hello = connect(flags, 1, "y");
        socket.send(&hello);
        assert!(socket.receive().len() <= hello.len(), "CONNECT {flags:#x}");
    }
}

#[test]
fn a_client_of_a_broker_that_was_restarted_is_told() {
    let broker = shared();
    for question in [
        message(kind::PINGREQ, &[]),
        message(kind::PINGREQ, b"sleeper"),
        publish(0x20, [0, 1], 1, b"lost"),
        message(kind::PUBREL, &[0, 1]),
        message(kind::SUBSCRIBE, b"\0\0\x01topic"),
    ] {
        let answers = answers(&SnSocket::new(&broker), &question);
        assert_eq!(answers, [[2, kind::DISCONNECT]], "{question:02x?}");
    }
}

#[test]
fn what_only_gateways_say_is_not_answered() {
    // Two gateways would answer each other for ever.
    let broker = shared();
    for kind in [
        kind::ADVERTISE,
        kind::GWINFO,
        kind::CONNACK,
        kind::WILLTOPICREQ,
        kind::SUBACK,
        kind::PINGRESP,
        kind::DISCONNECT,
    ] {
        let all = one_of_each("x", 1, 1);
        for question in all.iter().filter(|question| question[1] == kind) {
            let answers = answers(&SnSocket::new(&broker), question);
            assert!(answers.is_empty(), "{question:02x?}: {answers:02x?}");
        }
    }
}

#[test]
fn datagrams_from_another_address_with_a_clients_ids_change_nothing() {
    let broker = shared();
    let (topic, stolen) = (fresh("mine"), fresh("stolen"));
    let mut witness = watcher(&broker, &stolen);
    let mut publisher = publisher(&broker);
    for (number, mut client) in many(&broker, "victim").into_iter().enumerate() {
        let client_id = fresh("victim");
        client.connect(&SnHello::persistent(&client_id));
        let id = client.subscribe(SnTopic::Name(&topic), 1);
        let own = client.register(&stolen);
        // One exchange is open in each direction.
        publisher.publish(&topic, "in the air", QoS::AtLeastOnce, false);
        let message = client.receive();
        let down = client.decode_publish(&message);
        let up = client.send_publish(SnTopic::Id(own), "up", 2);
        client.expect(kind::PUBREC, &up.to_be_bytes());
        let attackers = [loopback(number), std::net::Ipv4Addr::LOCALHOST]
            .map(|from| SnSocket::at(broker.mqttsn_address(), from));
        for attacker in &attackers {
            for msg_id in [down.msg_id, up] {
                for question in one_of_each(&client_id, id, msg_id) {
                    answers(attacker, &question);
                }
            }
        }
        client.expect_nothing();
        publisher.publish(&topic, "next", QoS::AtLeastOnce, false);
        // Its PUBACK was not given by the other: the next message waits still.
        client.expect_nothing();
        client.acknowledge(&down);
        client.expect_publish(&topic, "next", 1);
        client.send(kind::PUBREL, &up.to_be_bytes());
        client.expect(kind::PUBCOMP, &up.to_be_bytes());
        witness.expect(&stolen, "up", QoS::ExactlyOnce, false);
        client.expect_nothing();
        client.disconnect();
    }
    witness.expect_nothing();
}

#[test]
fn wrong_message_ids_of_a_client_itself_change_nothing() {
    let broker = shared();
    let topic = fresh("wrong-ids");
    let mut client = SnClient::open(&broker, &fresh("wrong-ids"));
    client.subscribe(SnTopic::Name(&topic), 1);
    let mut publisher = publisher(&broker);
    publisher.publish(&topic, "one", QoS::AtLeastOnce, false);
    publisher.publish(&topic, "two", QoS::AtLeastOnce, false);
    let message = client.receive();
    let one = client.decode_publish(&message);
    for msg_id in [one.msg_id.wrapping_add(1), 0xFFFF, 0x1234] {
        let [first, second] = msg_id.to_be_bytes();
        let [high, low] = one.topic_id;
        client.send(kind::PUBACK, &[high, low, first, second, 0]);
        client.send(kind::PUBREC, &[first, second]);
        client.send(kind::PUBCOMP, &[first, second]);
        client.send(kind::REGACK, &[high, low, first, second, 0]);
        client.expect_nothing();
    }
    // An unknown PUBREL is answered: the client may have missed PUBCOMP.
    client.send(kind::PUBREL, &[0x12, 0x34]);
    client.expect(kind::PUBCOMP, &[0x12, 0x34]);
    client.acknowledge(&one);
    client.expect_publish(&topic, "two", 1);
    client.disconnect();
}
