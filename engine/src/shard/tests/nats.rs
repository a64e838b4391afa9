//! The NATS client protocol on shards fed by hand.

use ringbus_protocols::mqtt::{Packet, QoS, Version};

use super::{Net, client, publish, subscribe};
use crate::base::{Nanos, Scheme};
use crate::config::QueuePolicy;

/// A client that is quiet unless it is told otherwise.
fn connect(net: &mut Net, shard: usize) -> usize {
    connect_with(net, shard, "")
}

fn connect_with(net: &mut Net, shard: usize, options: &str) -> usize {
    let socket = net.open_scheme(shard, Scheme::Nats);
    let connect = format!("CONNECT {{\"verbose\":false,\"headers\":true{options}}}\r\n");
    net.send_bytes(socket, connect.as_bytes());
    let info = read(net, socket);
    assert!(
        info.starts_with("INFO {") && info.ends_with("}\r\n"),
        "{info}"
    );
    socket
}

fn read(net: &mut Net, socket: usize) -> String {
    let bytes = std::mem::take(&mut net.sockets[socket].received);
    String::from_utf8(bytes).expect("the tests send text")
}

/// Sends and returns what came by then.
fn say(net: &mut Net, socket: usize, text: &str) -> String {
    net.send_bytes(socket, text.as_bytes());
    read(net, socket)
}

fn mqtt(net: &mut Net, filter: &str) -> usize {
    let socket = net.connect(0, client(Version::V5, &format!("reader of {filter}")));
    let filters = [(filter, QoS::AtMostOnce)];
    net.send_bytes(socket, &subscribe(&filters, Version::V5, 0));
    net.read(socket, Version::V5);
    socket
}

#[test]
fn a_pong_says_that_everything_before_it_was_done() {
    for shards in [1, 2, 4] {
        let mut net = Net::new(shards);
        let (reader, writer) = (connect(&mut net, 0), connect(&mut net, shards as usize - 1));
        for number in 0..20 {
            let subject = format!("room{number}.x");
            assert_eq!(
                say(
                    &mut net,
                    reader,
                    &format!("SUB {subject} {number}\r\nPING\r\n")
                ),
                "PONG\r\n"
            );
            let pub_and_ping = format!("PUB {subject} 2\r\nhi\r\nPING\r\n");
            assert_eq!(say(&mut net, writer, &pub_and_ping), "PONG\r\n");
            let expected = format!("MSG {subject} {number} 2\r\nhi\r\n");
            assert_eq!(read(&mut net, reader), expected);
        }
    }
}

/// One turn of the client's shard alone: what other shards have to answer has not come.
#[test]
fn a_pong_waits_for_owners_of_subscriptions_and_messages() {
    let mut waited = [0; 2];
    for number in 0..32 {
        for (at, op) in ["SUB {}.x 1\r\n", "PUB {}.x 2\r\nhi\r\n"]
            .iter()
            .enumerate()
        {
            let mut net = Net::new(4);
            let socket = connect(&mut net, 0);
            let op = op.replace("{}", &format!("subject{number}"));
            net.feed(socket, format!("{op}PING\r\n").as_bytes());
            let mailbox = &mut net.mailboxes[0];
            net.shards[0].end_turn(mailbox);
            net.carry_out(0);
            let at_once = read(&mut net, socket);
            net.settle();
            let later = read(&mut net, socket);
            assert_eq!(format!("{at_once}{later}"), "PONG\r\n");
            waited[at] += usize::from(at_once.is_empty());
        }
    }
    assert!(
        waited[0] > 16 && waited[1] > 16,
        "{waited:?} had far owners"
    );
}

#[test]
fn without_connect_each_op_is_confirmed_in_order() {
    for shards in [1, 4] {
        let mut net = Net::new(shards);
        let socket = net.open_scheme(0, Scheme::Nats);
        net.settle();
        read(&mut net, socket);
        let ops =
            "sub a.b 1\r\nPub  a.b\t2\r\nhi\r\nSUB a..b 2\r\nPING\r\nPUB a.* 1\r\nx\r\nunsub 1\r\n";
        let answers = say(&mut net, socket, ops);
        let (messages, answers): (Vec<&str>, Vec<&str>) = answers
            .lines()
            .partition(|line| line.starts_with("MSG") || *line == "hi");
        assert_eq!(messages, ["MSG a.b 1 2", "hi"]);
        let expected = [
            "+OK",
            "+OK",
            "-ERR 'Invalid Subject'",
            "PONG",
            "-ERR 'Invalid Publish Subject'",
            "+OK",
        ];
        assert_eq!(answers, expected);
    }
}

/// An op that is like the one before is not read again: what CONNECT changes holds for it all the same.
#[test]
fn a_second_connect_holds_for_an_op_that_came_before_it_too() {
    for shards in [1, 4] {
        let mut net = Net::new(shards);
        let socket = connect(&mut net, 0);
        let op = "PUB a.b 2\r\nhi\r\n";
        let ops = format!(
            "{op}{op}PING\r\nCONNECT {{\"verbose\":true}}\r\n{op}{op}CONNECT {{\"verbose\":false}}\r\n{op}PING\r\n"
        );
        let answers = say(&mut net, socket, &ops);
        assert_eq!(answers, "PONG\r\n+OK\r\n+OK\r\n+OK\r\nPONG\r\n");
    }
}

/// Subjects and lengths that take turns, each alike with one before but the last.
#[test]
fn ops_that_take_turns_arrive_as_they_are() {
    for shards in [1, 4] {
        let mut net = Net::new(shards);
        let subscriber = connect(&mut net, 0);
        say(&mut net, subscriber, "SUB t.* 1\r\nPING\r\n");
        let publisher = connect(&mut net, usize::from(shards) - 1);
        for payload_len in [0, 1, 15, 30, 31, 62, 63, 94, 95, 200] {
            let payload = "p".repeat(payload_len);
            let op = |verb: &str| format!("{verb} {payload_len}\r\n{payload}\r\n");
            let (one, other) = (op("PUB t.a"), op("PUB t.b"));
            let ops = [&one, &one, &other, &one, &other, &other].map(String::as_str);
            say(&mut net, publisher, &(ops.concat() + "PING\r\n"));
            let heard = read(&mut net, subscriber);
            // Two topics may have two owners: the order holds for each.
            for (subject, count) in [("t.a", 3), ("t.b", 3)] {
                let line = format!("MSG {subject} 1 {payload_len}\r\n{payload}\r\n");
                assert_eq!(heard.matches(&line).count(), count, "{heard}");
            }
            let line_len = "MSG t.a 1 \r\n\r\n".len() + payload_len.to_string().len();
            assert_eq!(heard.len(), 6 * (line_len + payload_len));
        }
    }
}

#[test]
fn messages_go_to_mqtt_and_back() {
    for shards in [1, 2, 4] {
        let mut net = Net::new(shards);
        let reader = mqtt(&mut net, "plant/#");
        let nats = connect(&mut net, 0);
        assert_eq!(say(&mut net, nats, "SUB plant.*.temp 7\r\n"), "");
        let own = say(&mut net, nats, "PUB plant.1%20a.temp 2\r\n21\r\n");
        assert_eq!(own, "MSG plant.1%20a.temp 7 2\r\n21\r\n");
        assert_eq!(
            net.read(reader, Version::V5),
            ["publish plant/1 a/temp=21 q0 #0"]
        );
        let packet = publish("plant/2.b/temp", b"22", QoS::AtMostOnce);
        net.send(reader, Version::V5, &Packet::Publish(packet));
        assert_eq!(read(&mut net, nats), "MSG plant.2%2Eb.temp 7 2\r\n22\r\n");
    }
}

#[test]
fn headers_and_replies_are_properties() {
    let mut net = Net::new(2);
    let nats = connect(&mut net, 0);
    say(&mut net, nats, "SUB r.> 1\r\nSUB in.* 2\r\nPING\r\n");
    let head = "NATS/1.0\r\nContent-Type: text/plain\r\nColour: red\r\nMqtt-Retain: 1\r\n\r\n";
    let (h, total) = (head.len(), head.len() + 2);
    say(
        &mut net,
        nats,
        &format!("HPUB r.q in.1 {h} {total}\r\n{head}hi\r\n"),
    );
    let reader = mqtt(&mut net, "r/q");
    let other = connect(&mut net, 1);
    let got = say(&mut net, other, "SUB r.q 9\r\nPING\r\n");
    let head = "NATS/1.0\r\nMqtt-Retain: 1\r\nContent-Type: text/plain\r\nColour: red\r\n\r\n";
    let (h, total) = (head.len(), head.len() + 2);
    let expected = format!("HMSG r.q 9 in.1 {h} {total}\r\n{head}hi\r\n");
    assert!(got.contains(&expected), "{got}");
    net.hang_up(reader);
}

#[test]
fn the_reply_of_a_qos_1_message_gets_its_acknowledgement() {
    for shards in [1, 2, 4] {
        let mut net = Net::new(shards);
        let nats = connect(&mut net, 0);
        say(&mut net, nats, "SUB _INBOX.me.* 1\r\nPING\r\n");
        let head = "NATS/1.0\r\nMqtt-QoS: 1\r\n\r\n";
        for number in 0..8 {
            let (h, total) = (head.len(), head.len() + 1);
            let op = format!("HPUB keep{number}.x _INBOX.me.{number} {h} {total}\r\n{head}!\r\n");
            let expected = format!("MSG _INBOX.me.{number} 1 3\r\n+OK\r\n");
            assert_eq!(say(&mut net, nats, &op), expected);
        }
    }
}

#[test]
fn a_request_that_nobody_hears_is_answered_with_503() {
    for shards in [1, 2, 4] {
        let mut net = Net::new(shards);
        let nats = connect_with(&mut net, 0, ",\"no_responders\":true");
        let deaf = connect(&mut net, 0);
        for client in [nats, deaf] {
            say(&mut net, client, "SUB _INBOX.a.* 1\r\nPING\r\n");
        }
        for number in 0..8 {
            let request = format!("PUB ask{number}.x _INBOX.a.{number} 1\r\n?\r\n");
            let expected = format!("HMSG _INBOX.a.{number} 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n");
            assert_eq!(say(&mut net, nats, &request), expected);
            assert_eq!(say(&mut net, deaf, &request), "", "it did not ask for that");
        }
        let helper = connect(&mut net, 0);
        say(&mut net, helper, "SUB ask1.x h 5\r\nPING\r\n");
        assert_eq!(say(&mut net, nats, "PUB ask1.x _INBOX.a.9 1\r\n?\r\n"), "");
        let asked = read(&mut net, helper);
        assert_eq!(asked, "MSG ask1.x 5 _INBOX.a.9 1\r\n?\r\n");
    }
}

#[test]
fn a_subscription_ends_after_as_many_messages_as_it_wants() {
    for shards in [1, 2, 4] {
        let mut net = Net::new(shards);
        let (nats, writer) = (connect(&mut net, 0), connect(&mut net, 0));
        say(
            &mut net,
            nats,
            "SUB n.x 1\r\nSUB n.x 2\r\nUNSUB 1 3\r\nPING\r\n",
        );
        let ten: String = (0..10).map(|n| format!("PUB n.x 1\r\n{n}\r\n")).collect();
        say(&mut net, writer, &ten);
        let got = read(&mut net, nats);
        let count = |sid: &str| got.matches(&format!("MSG n.x {sid} 1")).count();
        assert_eq!((count("1"), count("2")), (3, 10), "{got}");
        // Its place is free again, and the other one goes on.
        say(&mut net, nats, "SUB m.x 1\r\nUNSUB 2\r\nPING\r\n");
        say(&mut net, writer, &format!("{ten}PUB m.x 1\r\nm\r\n"));
        assert_eq!(read(&mut net, nats), "MSG m.x 1 1\r\nm\r\n");
    }
}

#[test]
fn one_of_a_queue_group_gets_each_message() {
    for shards in [1, 2, 4] {
        let mut net = Net::new(shards);
        let writer = connect(&mut net, 0);
        let workers: Vec<usize> = (0..4)
            .map(|at| connect(&mut net, at % shards as usize))
            .collect();
        for &worker in &workers {
            say(&mut net, worker, "SUB job.* team 1\r\nPING\r\n");
        }
        let jobs: String = (0..40)
            .map(|n| format!("PUB job.{n} 2\r\n{n:02}\r\n"))
            .collect();
        say(&mut net, writer, &jobs);
        let got: Vec<String> = workers
            .iter()
            .map(|&worker| read(&mut net, worker))
            .collect();
        for number in 0..40 {
            let payload = format!("\r\n{number:02}\r\n");
            let copies: usize = got.iter().map(|text| text.matches(&payload).count()).sum();
            assert_eq!(copies, 1, "{number} of {got:?}");
        }
        assert!(
            got.iter().all(|text| text.matches("MSG").count() >= 5),
            "{got:?}"
        );
    }
}

#[test]
fn without_echo_a_client_does_not_hear_itself() {
    let mut net = Net::new(2);
    let nats = connect_with(&mut net, 0, ",\"echo\":false");
    let other = connect(&mut net, 0);
    for client in [nats, other] {
        say(&mut net, client, "SUB e.> 1\r\nPING\r\n");
    }
    assert_eq!(
        say(&mut net, nats, "PUB e.x 1\r\n1\r\nPING\r\n"),
        "PONG\r\n"
    );
    assert_eq!(read(&mut net, other), "MSG e.x 1 1\r\n1\r\n");
}

#[test]
fn the_brokers_own_topics_are_not_published_to() {
    let mut net = Net::new(1);
    let nats = connect(&mut net, 0);
    let answer = say(&mut net, nats, "PUB $SYS.x 1\r\n1\r\nPING\r\n");
    assert!(
        answer.starts_with("-ERR 'Permissions Violation for Publish"),
        "{answer}"
    );
    assert!(answer.ends_with("PONG\r\n"), "it stays open");
}

#[test]
fn who_leaves_two_pings_unanswered_is_closed() {
    let mut net = Net::with(1, |config| config.nats.ping = Nanos::from_secs(5));
    let (silent, alive) = (connect(&mut net, 0), connect(&mut net, 0));
    for _ in 0..2 {
        net.pass(Nanos::from_secs(5));
        assert_eq!(read(&mut net, silent), "PING\r\n");
        assert_eq!(say(&mut net, alive, "PONG\r\n"), "PING\r\n");
    }
    net.pass(Nanos::from_secs(5));
    assert_eq!(read(&mut net, silent), "-ERR 'Stale Connection'\r\n");
    assert!(net.sockets[silent].is_closed && !net.sockets[alive].is_closed);
}

#[test]
fn clients_hear_of_a_lame_duck_before_they_are_closed() {
    let mut net = Net::new(1);
    let nats = connect(&mut net, 0);
    net.shards[0].start_drain();
    net.settle();
    let last = read(&mut net, nats);
    assert!(
        last.starts_with("INFO {") && last.contains("\"ldm\":true"),
        "{last}"
    );
    assert!(net.sockets[nats].is_closed);
}

#[test]
fn who_finds_no_place_is_told_so() {
    let mut net = Net::with(1, |config| {
        config.admission = std::sync::Arc::new(super::super::Admission::new(1));
    });
    connect(&mut net, 0);
    let surplus = net.open_scheme(0, Scheme::Nats);
    net.settle();
    let told = read(&mut net, surplus);
    assert!(
        told.ends_with("-ERR 'maximum connections exceeded'\r\n"),
        "{told}"
    );
    assert!(net.sockets[surplus].is_closed);
}

#[test]
fn a_slow_client_is_told_so_where_that_is_the_policy() {
    let mut net = Net::with(1, |config| {
        config.queue_policy = QueuePolicy::Disconnect;
        config.queue_bytes = 1 << 16;
    });
    let (slow, writer) = (connect(&mut net, 0), connect(&mut net, 0));
    say(&mut net, slow, "SUB s.x 1\r\nPING\r\n");
    let (shard, conn) = net.sockets[slow].at.expect("it is here");
    let message = format!("PUB s.x 1000\r\n{}\r\n", "s".repeat(1000)).repeat(200);
    net.feed(writer, message.as_bytes());
    assert!(net.shards[shard].knows(conn));
    net.settle();
    assert!(read(&mut net, slow).ends_with("-ERR 'Slow Consumer'\r\n"));
    assert!(net.sockets[slow].is_closed);
}

/// Every way to cut the stream in two leads to the same.
#[test]
fn bytes_may_come_in_any_pieces() {
    let ops = "SUB a.> 1\r\nPUB a.b 5\r\nhello\r\nPUB a.b 5\r\nworld\r\nPUB a.c _INBOX.x 2\r\nhi\r\nPING\r\n";
    let mut net = Net::new(1);
    let whole = connect(&mut net, 0);
    let expected = say(&mut net, whole, ops);
    for at in 1..ops.len() {
        let mut net = Net::new(1);
        let socket = connect(&mut net, 0);
        net.send_bytes(socket, &ops.as_bytes()[..at]);
        net.send_bytes(socket, &ops.as_bytes()[at..]);
        assert_eq!(read(&mut net, socket), expected, "cut at {at}");
    }
}

#[test]
fn nothing_is_left_of_a_client_that_goes() {
    for shards in [1, 4] {
        let mut net = Net::new(shards);
        let nats = connect(&mut net, 0);
        say(
            &mut net,
            nats,
            "SUB a.> 1\r\nSUB b q 2\r\nSUB a.> 3\r\nPUB a.b 1\r\nx\r\n",
        );
        net.hang_up(nats);
        assert_eq!(net.leaks(), 0);
    }
}

/// As `printf … | nc` does: the input ends at once.
#[test]
fn who_ends_its_side_is_told_what_became_of_what_it_sent() {
    for shards in [1, 2, 4] {
        for number in 0..8 {
            let mut net = Net::new(shards);
            let socket = net.open_scheme(0, Scheme::Nats);
            net.settle();
            read(&mut net, socket);
            let (subject, payload) = (format!("greet{number}.x"), "hello");
            let ops =
                format!("SUB {subject} 1\r\nPUB {subject} 5\r\n{payload}\r\nUNSUB 1\r\nPING\r\n");
            net.feed(socket, ops.as_bytes());
            assert!(net.end_side(socket) && net.end_side(socket));
            net.settle();
            let told = read(&mut net, socket);
            let message = format!("MSG {subject} 1 5\r\nhello\r\n");
            assert!(told.contains(&message), "{told}");
            assert_eq!(told.matches("+OK\r\n").count(), 3, "{told}");
            assert!(
                told.ends_with("PONG\r\n") && net.sockets[socket].is_closed,
                "{told}"
            );
            assert_eq!(net.leaks(), 0);
        }
    }
}

#[test]
fn what_a_client_published_reaches_the_subscription_that_it_ends_next() {
    for shards in [1, 2, 4] {
        let mut net = Net::new(shards);
        let nats = connect(&mut net, 0);
        for number in 0..32 {
            say(
                &mut net,
                nats,
                &format!("SUB u{number}.x {number}\r\nPING\r\n"),
            );
            let ops = format!("PUB u{number}.x 1\r\n!\r\nUNSUB {number}\r\nPING\r\n");
            let expected = format!("MSG u{number}.x {number} 1\r\n!\r\nPONG\r\n");
            assert_eq!(say(&mut net, nats, &ops), expected);
        }
    }
}
