//! The gateway of one client: connection, will, sleep and time, by clause.

mod mqttsn;

use mqttsn::line::{
    CONNACK, DISCONNECT, Line, PING, SECOND, connack, connect, mqtt_ack, mqtt_publish, puback,
    publish, register, sleep,
};
use ringbus_protocols::mqtt::{self, Disconnect, QoS, ReasonCode};
use ringbus_protocols::mqttsn::{Packet, ReturnCode, TopicRef, Verdict, Will, WillTopic};

const WILL_TOPIC: WillTopic<'_> = WillTopic {
    qos: QoS::AtLeastOnce,
    retain: true,
    topic: "gone",
};

/// A client that has a will, connected.
fn with_will() -> Line {
    let mut line = Line::new();
    let out = line.hear(&connect(false, true));
    assert_eq!(out.client(), [Packet::WillTopicReq]);
    assert!(out.broker().is_empty());
    let out = line.hear(&Packet::WillTopic(Some(WILL_TOPIC)));
    assert_eq!(out.client(), [Packet::WillMsgReq]);
    assert!(out.broker().is_empty());
    let out = line.hear(&Packet::WillMsg(b"bye"));
    assert!(out.client().is_empty());
    assert_eq!(out.broker().len(), 1);
    line.tell(&connack(ReasonCode::Success));
    line
}

fn will(payload: &[u8]) -> Will {
    Will {
        topic: "gone".into(),
        payload: payload.into(),
        qos: QoS::AtLeastOnce,
        retain: true,
    }
}

#[test]
fn mqttsn_6_2_connect_becomes_one_of_mqtt() {
    for clean in [true, false] {
        let mut line = Line::new();
        let out = line.hear(&connect(clean, false));
        let packets = out.broker();
        let [mqtt::Packet::Connect(connect)] = packets[..] else {
            panic!("{packets:?}");
        };
        assert_eq!((connect.client_id, connect.keep_alive_seconds), ("c", 0));
        assert_eq!((connect.clean_start, connect.will), (clean, None));
        let properties = connect.properties;
        let expiry = properties.session_expiry_interval();
        assert_eq!(expiry, (!clean).then_some(u32::MAX));
        assert_eq!(properties.receive_maximum(), Some(1));
        assert_eq!(properties.maximum_packet_size(), Some(65_506));
        assert!(!line.gateway.is_connected());
        assert_eq!(line.tell(&connack(ReasonCode::Success)).client(), [CONNACK]);
        assert!(line.gateway.is_connected());
        assert_eq!(line.gateway.client_id(), "c");
    }
}

#[test]
fn mqttsn_6_2_a_refusal_says_whether_to_try_again() {
    for (reason, return_code) in [
        (ReasonCode::ServerBusy, ReturnCode::CONGESTION),
        (ReasonCode::QuotaExceeded, ReturnCode::CONGESTION),
        (ReasonCode::NotAuthorized, ReturnCode::NOT_SUPPORTED),
        (
            ReasonCode::ClientIdentifierNotValid,
            ReturnCode::NOT_SUPPORTED,
        ),
    ] {
        let mut line = Line::new();
        line.hear(&connect(true, false));
        let out = line.tell(&connack(reason));
        assert_eq!(out.client(), [Packet::ConnAck { return_code }]);
        assert_eq!(out.verdict, Verdict::Closed);
        assert_eq!(line.gateway.deadline(&line.settings), None);
    }
}

#[test]
fn nothing_but_connect_begins() {
    let mut line = Line::new();
    assert!(line.hear(&PING).is_silent());
    assert!(line.hear(&DISCONNECT).is_silent());
    assert!(line.hear(&Packet::WillMsg(b"x")).is_silent());
    assert_eq!(line.gateway.take_ignored(), 3);
    assert_eq!(line.gateway.take_ignored(), 0);
    line.hear(&connect(true, false));
    assert!(line.hear(&register("a/b")).is_silent());
    assert_eq!(line.gateway.take_ignored(), 1);
}

/// Every step of the dialog is answered again; what is said last is what counts.
#[test]
fn mqttsn_6_2_lost_steps_of_the_will_dialog_are_repeated() {
    let mut line = Line::new();
    line.hear(&connect(true, true));
    let out = line.hear(&connect(true, true));
    assert_eq!(out.client(), [Packet::WillTopicReq]);
    assert!(line.hear(&Packet::WillMsg(b"early")).is_silent());
    let other = WillTopic {
        topic: "other",
        ..WILL_TOPIC
    };
    line.hear(&Packet::WillTopic(Some(other)));
    let out = line.hear(&Packet::WillTopic(Some(WILL_TOPIC)));
    assert_eq!(out.client(), [Packet::WillMsgReq]);
    assert_eq!(line.hear(&Packet::WillMsg(b"bye")).broker().len(), 1);
    // In the time that the broker takes.
    assert!(line.hear(&Packet::WillMsg(b"bye")).is_silent());
    assert!(line.hear(&connect(true, true)).is_silent());
    assert_eq!(line.gateway.take_will(), None, "not connected yet");
    line.tell(&connack(ReasonCode::Success));
    // CONNACK was lost.
    assert_eq!(line.hear(&Packet::WillMsg(b"bye")).client(), [CONNACK]);
    assert_eq!(line.gateway.take_will(), Some(will(b"bye")));
}

#[test]
fn mqttsn_5_4_7_an_empty_will_topic_is_no_will() {
    let mut line = Line::new();
    line.hear(&connect(true, true));
    assert_eq!(line.hear(&Packet::WillTopic(None)).broker().len(), 1);
    line.tell(&connack(ReasonCode::Success));
    assert_eq!(line.seconds_later(91).verdict, Verdict::Lost);
    assert_eq!(line.gateway.take_will(), None);
}

#[test]
fn a_will_under_no_topic_name_is_refused() {
    let mut line = Line::new();
    line.hear(&connect(true, true));
    let topic = WillTopic {
        topic: "a/#",
        ..WILL_TOPIC
    };
    let out = line.hear(&Packet::WillTopic(Some(topic)));
    let return_code = ReturnCode::NOT_SUPPORTED;
    assert_eq!(out.client(), [Packet::ConnAck { return_code }]);
    assert_eq!(out.verdict, Verdict::Closed);
    assert!(out.broker().is_empty());
}

#[test]
fn mqttsn_6_4_the_will_is_changed_while_the_connection_lives() {
    let accepted = ReturnCode::ACCEPTED;
    let mut line = with_will();
    let out = line.hear(&Packet::WillMsgUpd(b"new"));
    assert_eq!(
        out.client(),
        [Packet::WillMsgResp {
            return_code: accepted
        }]
    );
    let topic = WillTopic {
        topic: "elsewhere",
        qos: QoS::AtMostOnce,
        retain: false,
    };
    let out = line.hear(&Packet::WillTopicUpd(Some(topic)));
    assert_eq!(
        out.client(),
        [Packet::WillTopicResp {
            return_code: accepted
        }]
    );
    assert!(out.broker().is_empty());
    let expected = Will {
        topic: "elsewhere".into(),
        qos: QoS::AtMostOnce,
        retain: false,
        ..will(b"new")
    };
    assert_eq!(line.gateway.take_will(), Some(expected));

    let mut line = with_will();
    line.hear(&Packet::WillTopicUpd(None));
    let return_code = ReturnCode::NOT_SUPPORTED;
    let out = line.hear(&Packet::WillMsgUpd(b"of nothing"));
    assert_eq!(out.client(), [Packet::WillMsgResp { return_code }]);
    assert_eq!(line.gateway.take_will(), None);
}

#[test]
fn mqttsn_6_11_a_silent_client_is_lost_and_leaves_its_will() {
    let mut line = with_will();
    assert_eq!(line.seconds_left(), Some(90));
    assert!(line.seconds_later(89).is_silent());
    let ping = Packet::PingReq { client_id: None };
    assert_eq!(line.hear(&ping).client(), [Packet::PingResp]);
    assert!(line.seconds_later(89).is_silent());
    let out = line.seconds_later(1);
    assert_eq!(out.verdict, Verdict::Lost);
    assert!(out.broker().is_empty(), "the caller breaks the connection");
    assert_eq!(line.gateway.take_will(), Some(will(b"bye")));
    assert_eq!(line.gateway.take_will(), None);
    assert!(line.hear(&PING).is_silent());
}

#[test]
fn mqttsn_6_11_whoever_promises_nothing_has_the_longest_time() {
    let mut line = Line::new();
    line.hear(&Packet::Connect {
        clean_session: true,
        will: false,
        duration_seconds: 0,
        client_id: "c",
    });
    line.tell(&connack(ReasonCode::Success));
    assert_eq!(line.seconds_left(), Some(98_302));
}

#[test]
fn a_client_that_gives_up_the_dialog_is_forgotten() {
    let mut line = Line::new();
    line.hear(&connect(true, true));
    assert!(line.seconds_later(39).is_silent());
    assert_eq!(line.seconds_later(1).verdict, Verdict::Lost);
    assert_eq!(line.gateway.take_will(), None);
}

#[test]
fn mqttsn_6_12_good_bye_is_answered_and_leaves_no_will() {
    let mut line = with_will();
    let out = line.hear(&DISCONNECT);
    assert_eq!(out.client(), [DISCONNECT]);
    let goodbye = Disconnect::new(ReasonCode::NormalDisconnection);
    assert_eq!(out.broker(), [mqtt::Packet::Disconnect(goodbye)]);
    assert_eq!(out.verdict, Verdict::Closed);
    assert_eq!(line.gateway.take_will(), None);
}

/// What the session of a client keeps is the will that it last said, however it went.
#[test]
fn mqttsn_6_3_the_will_is_kept_with_the_session() {
    let mut line = with_will();
    line.hear(&Packet::WillMsgUpd(b"changed"));
    assert_eq!(line.gateway.kept_will(), Some(Box::new(will(b"changed"))));
    line.hear(&DISCONNECT);
    assert_eq!(line.gateway.take_will(), None);
    let kept = line.gateway.kept_will().expect("it is kept");
    assert_eq!(*kept, will(b"changed"));

    let mut line = Line::new();
    line.hear(&connect(false, false));
    line.gateway.resume_will(kept);
    assert_eq!(line.gateway.take_will(), None, "not connected yet");
    line.tell(&connack(ReasonCode::Success));
    // It is as if it had come with CONNECT.
    line.hear(&Packet::WillMsgUpd(b"again"));
    assert_eq!(line.seconds_later(90).verdict, Verdict::Lost);
    assert_eq!(line.gateway.kept_will(), Some(Box::new(will(b"again"))));
    assert_eq!(line.gateway.take_will(), Some(will(b"again")));
}

#[test]
fn mqttsn_6_3_a_will_that_comes_with_connect_replaces_the_one_that_was_kept() {
    let kept = || Box::new(will(b"of before"));
    for topic in [Some(WILL_TOPIC), None] {
        let mut line = Line::new();
        line.hear(&connect(false, true));
        line.hear(&Packet::WillTopic(topic));
        line.hear(&Packet::WillMsg(b"new"));
        line.gateway.resume_will(kept());
        line.tell(&connack(ReasonCode::Success));
        line.seconds_later(90);
        let new = topic.map(|_| will(b"new"));
        assert_eq!(line.gateway.take_will(), new);
    }
}

#[test]
fn mqttsn_6_3_the_session_of_a_clean_connect_keeps_no_will() {
    let mut line = Line::new();
    line.hear(&connect(true, true));
    line.hear(&Packet::WillTopic(Some(WILL_TOPIC)));
    line.hear(&Packet::WillMsg(b"bye"));
    line.tell(&connack(ReasonCode::Success));
    assert_eq!(line.gateway.kept_will(), None);
    assert_eq!(line.gateway.take_will(), Some(will(b"bye")));
}

/// A client that says CONNECT again may have started anew, which changes nothing of its session.
#[test]
fn mqttsn_6_3_connect_without_a_will_leaves_the_will_of_before() {
    let mut line = with_will();
    line.hear(&PING);
    line.seconds_later(11);
    let out = line.hear(&connect(false, false));
    assert_eq!(
        (out.verdict, &out.client()[..]),
        (Verdict::Open, &[CONNACK][..])
    );
    line.seconds_later(90);
    assert_eq!(line.gateway.take_will(), Some(will(b"bye")));
}

/// A session that is taken over leaves its will: the new connection has its own.
#[test]
fn the_broker_ends_the_connection() {
    let mut line = with_will();
    let taken_over = Disconnect::new(ReasonCode::SessionTakenOver);
    let out = line.tell(&mqtt::Packet::Disconnect(taken_over));
    assert_eq!(out.client(), [DISCONNECT]);
    assert_eq!(out.verdict, Verdict::Lost);
    assert_eq!(line.gateway.take_will(), Some(will(b"bye")));
}

#[test]
fn a_repeated_connect_is_answered_and_disturbs_nothing() {
    let mut line = Line::connected();
    // Nothing else was said: CONNACK was lost, whenever that was.
    line.seconds_later(30);
    let out = line.hear(&connect(true, false));
    assert_eq!(out.client(), [CONNACK]);
    assert!(out.broker().is_empty());
    // A late copy.
    let mut line = Line::registered("a/b");
    assert_eq!(line.hear(&connect(true, false)).client(), [CONNACK]);
    let message = publish(QoS::AtMostOnce, TopicRef::Normal(1), 0);
    assert_eq!(line.hear(&message).broker().len(), 1);
}

#[test]
fn another_connect_starts_anew() {
    let other = Packet::Connect {
        clean_session: true,
        will: false,
        duration_seconds: 60,
        client_id: "other",
    };
    for packet in [connect(false, false), connect(true, true), other] {
        let mut line = Line::connected();
        let out = line.hear(&packet);
        assert_eq!(out.verdict, Verdict::Restart);
        assert!(out.client().is_empty() && out.broker().is_empty());
    }
    let mut line = Line::registered("a/b");
    line.seconds_later(11);
    assert_eq!(line.hear(&connect(true, false)).verdict, Verdict::Restart);
    // Nothing has reached the broker: the same gateway begins again.
    let mut line = Line::new();
    line.hear(&connect(true, true));
    assert_eq!(line.hear(&other).broker().len(), 1);
}

#[test]
fn mqttsn_6_14_a_sleeping_client_is_told_nothing_until_it_asks() {
    let mut line = Line::asleep();
    assert_eq!(line.seconds_left(), Some(150));
    assert!(line.done().is_silent());
    // Only three things are heard.
    assert!(line.hear(&register("a/b")).is_silent());
    assert_eq!(line.gateway.take_ignored(), 1);
    let stranger = Packet::PingReq {
        client_id: Some("d"),
    };
    assert!(line.hear(&stranger).is_silent());
    assert!(!line.gateway.takes_output());
    assert!(line.hear(&PING).is_silent());
    assert!(line.gateway.takes_output());
    let out = line.tell(&mqtt_publish(QoS::AtMostOnce, "ab", 0));
    assert_eq!(out.client().len(), 1);
    assert_eq!(line.done().client(), [Packet::PingResp]);
    assert!(!line.gateway.takes_output());
    assert!(line.done().is_silent());
}

#[test]
fn mqttsn_6_14_pingresp_comes_when_all_is_acknowledged() {
    let mut line = Line::asleep();
    line.hear(&PING);
    line.tell(&mqtt_publish(QoS::AtLeastOnce, "ab", 3));
    assert!(line.done().is_silent());
    let out = line.hear(&puback(0x6162, 3, ReturnCode::ACCEPTED));
    let acknowledged = mqtt_ack(3, ReasonCode::Success);
    assert_eq!(out.broker(), [mqtt::Packet::PubAck(acknowledged)]);
    // The broker may have the next one now.
    assert!(out.client().is_empty());
    line.tell(&mqtt_publish(QoS::AtLeastOnce, "ab", 4));
    assert!(line.done().is_silent());
    line.hear(&puback(0x6162, 4, ReturnCode::ACCEPTED));
    assert_eq!(line.done().client(), [Packet::PingResp]);
    // PINGRESP was lost.
    line.hear(&PING);
    assert_eq!(line.done().client(), [Packet::PingResp]);
}

/// A client that cannot be reached while it is awake sleeps; what it has not acknowledged comes
/// with the next PINGREQ.
#[test]
fn mqttsn_6_14_a_message_waits_for_the_next_time_awake() {
    let mut line = Line::asleep();
    line.hear(&PING);
    line.tell(&mqtt_publish(QoS::AtLeastOnce, "ab", 3));
    let mut sent = 0;
    for _ in 0..4 {
        let out = line.seconds_later(10);
        assert_eq!(out.verdict, Verdict::Open);
        sent += out.client().len();
    }
    assert_eq!(sent, 3);
    assert!(!line.gateway.takes_output());
    let out = line.hear(&PING);
    let [Packet::Publish { dup: true, .. }] = out.client()[..] else {
        panic!("{:?}", out.client());
    };
    line.hear(&puback(0x6162, 3, ReturnCode::ACCEPTED));
    assert_eq!(line.done().client(), [Packet::PingResp]);
}

#[test]
fn mqttsn_6_14_a_sleeping_client_that_is_silent_is_lost() {
    let mut line = with_will();
    line.hear(&sleep(100));
    assert!(line.seconds_later(149).is_silent());
    line.hear(&PING);
    line.done();
    assert!(line.seconds_later(149).is_silent());
    // Another time to sleep.
    assert_eq!(line.hear(&sleep(10)).client(), [DISCONNECT]);
    assert_eq!(line.seconds_left(), Some(15));
    assert_eq!(line.seconds_later(15).verdict, Verdict::Lost);
    assert_eq!(line.gateway.take_will(), Some(will(b"bye")));
}

#[test]
fn mqttsn_6_14_connect_makes_a_sleeping_client_active_and_keeps_everything() {
    let mut line = Line::registered("a/b");
    line.hear(&sleep(100));
    line.now += 50 * SECOND;
    let out = line.hear(&Packet::Connect {
        clean_session: false,
        will: false,
        duration_seconds: 20,
        client_id: "c",
    });
    assert_eq!(out.client(), [CONNACK]);
    assert!(out.broker().is_empty());
    assert_eq!(line.seconds_left(), Some(30));
    let message = publish(QoS::AtMostOnce, TopicRef::Normal(1), 0);
    assert_eq!(line.hear(&message).broker().len(), 1);
    // Asking for a clean session that it did not have is more than waking up.
    let mut line = with_will();
    line.hear(&sleep(100));
    assert_eq!(line.hear(&connect(true, true)).verdict, Verdict::Restart);
}

#[test]
fn mqttsn_6_12_a_sleeping_client_may_say_good_bye() {
    let mut line = Line::asleep();
    let out = line.hear(&DISCONNECT);
    assert_eq!((out.verdict, out.broker().len()), (Verdict::Closed, 1));
}

#[test]
fn what_is_no_mqtt_ends_the_connection() {
    let mut line = Line::connected();
    let mut bytes = Vec::new();
    let mut datagrams = ringbus_protocols::mqttsn::Datagrams::default();
    let mut io = ringbus_protocols::mqttsn::Io {
        now: line.now,
        to_broker: &mut bytes,
        to_client: &mut datagrams,
    };
    let verdict = line.gateway.on_mqtt(&[0x30, 9, 0], &line.settings, &mut io);
    assert_eq!(verdict, Verdict::Lost);
}
