//! The gateway of one client: topics and messages, by clause.

mod mqttsn;

use mqttsn::line::{
    DISCONNECT, Line, again, mqtt_ack, mqtt_publish, puback, publish, regack, register, short,
    suback, subscribe, unsuback,
};
use ringbus_protocols::mqtt::{
    self, PropertiesBuf, Property, Publish, QoS, ReasonCode, RetainHandling,
};
use ringbus_protocols::mqttsn::{FilterRef, Packet, ReturnCode, TopicRef, Verdict};

const ACCEPTED: ReturnCode = ReturnCode::ACCEPTED;
const ID_1: TopicRef = TopicRef::Normal(1);

fn told_register(topic_id: u16, msg_id: u16, topic_name: &str) -> Packet<'_> {
    Packet::Register {
        topic_id,
        msg_id,
        topic_name,
    }
}

fn told_regack(topic_id: u16, return_code: ReturnCode) -> Packet<'static> {
    Packet::RegAck {
        topic_id,
        msg_id: 1,
        return_code,
    }
}

#[test]
fn mqttsn_6_5_a_topic_name_keeps_its_id() {
    let mut line = Line::registered("a/b");
    assert_eq!(line.hear(&register("a/b")).client(), [regack(1)]);
    assert_eq!(line.hear(&register("a/c")).client(), [regack(2)]);
    let refused = |return_code| Packet::RegAck {
        topic_id: 0,
        msg_id: 9,
        return_code,
    };
    let out = line.hear(&register("a/+"));
    assert_eq!(out.client(), [refused(ReturnCode::NOT_SUPPORTED)]);
    line.settings.registrations_max = 2;
    let out = line.hear(&register("a/d"));
    assert_eq!(out.client(), [refused(ReturnCode::CONGESTION)]);
}

#[test]
fn mqttsn_6_6_messages_go_by_every_kind_of_topic() {
    let mut line = Line::registered("a/b");
    for (topic, name) in [
        (ID_1, "a/b"),
        (TopicRef::Predefined(7), "pre/defined"),
        (TopicRef::Short(short("ab")), "ab"),
    ] {
        let out = line.hear(&publish(QoS::AtMostOnce, topic, 0));
        assert_eq!(out.broker(), [mqtt_publish(QoS::AtMostOnce, name, 0)]);
        assert!(out.client().is_empty());
    }
}

#[test]
fn mqttsn_6_6_an_unknown_topic_id_is_refused_and_nothing_is_published() {
    let mut line = Line::registered("a/b");
    for topic in [
        TopicRef::Normal(0),
        TopicRef::Normal(2),
        TopicRef::Normal(0xFFFF),
        TopicRef::Predefined(1),
        TopicRef::Short(short("+/")),
    ] {
        for (qos, msg_id) in [(QoS::AtMostOnce, 0), (QoS::ExactlyOnce, 5)] {
            let out = line.hear(&publish(qos, topic, msg_id));
            let refused = puback(topic.field(), msg_id, ReturnCode::INVALID_TOPIC_ID);
            assert_eq!(out.client(), [refused]);
            assert!(out.broker().is_empty());
        }
    }
}

#[test]
fn mqttsn_6_6_qos_1_is_acknowledged_when_the_broker_does() {
    let mut line = Line::registered("a/b");
    let message = publish(QoS::AtLeastOnce, ID_1, 5);
    let out = line.hear(&message);
    assert_eq!(out.broker(), [mqtt_publish(QoS::AtLeastOnce, "a/b", 5)]);
    assert!(out.client().is_empty());
    assert!(line.hear(&again(message)).is_silent(), "it is under way");
    let acknowledged = mqtt_ack(5, ReasonCode::NoMatchingSubscribers);
    let out = line.tell(&mqtt::Packet::PubAck(acknowledged));
    assert_eq!(out.client(), [puback(1, 5, ACCEPTED)]);
    // PUBACK was lost: once more, as MQTT allows it.
    assert_eq!(line.hear(&again(message)).broker().len(), 1);
}

#[test]
fn mqttsn_5_3_10_refusals_of_the_broker_have_a_return_code() {
    for (reason, return_code) in [
        (ReasonCode::QuotaExceeded, ReturnCode::CONGESTION),
        (ReasonCode::NotAuthorized, ReturnCode::NOT_SUPPORTED),
        (ReasonCode::TopicNameInvalid, ReturnCode::NOT_SUPPORTED),
    ] {
        let mut line = Line::registered("a/b");
        line.hear(&publish(QoS::AtLeastOnce, ID_1, 5));
        let out = line.tell(&mqtt::Packet::PubAck(mqtt_ack(5, reason)));
        assert_eq!(out.client(), [puback(1, 5, return_code)]);
        line.hear(&publish(QoS::ExactlyOnce, ID_1, 6));
        let out = line.tell(&mqtt::Packet::PubRec(mqtt_ack(6, reason)));
        assert_eq!(out.client(), [puback(1, 6, return_code)]);
        // The identifier is free again.
        let out = line.hear(&publish(QoS::ExactlyOnce, ID_1, 6));
        assert_eq!(out.broker().len(), 1);
    }
}

#[test]
fn mqttsn_6_6_qos_2_every_step_can_be_lost() {
    let mut line = Line::registered("a/b");
    let message = publish(QoS::ExactlyOnce, ID_1, 5);
    let ack = mqtt_ack(5, ReasonCode::Success);
    assert_eq!(line.hear(&message).broker().len(), 1);
    assert!(line.hear(&again(message)).is_silent());
    let received = [Packet::PubRec { msg_id: 5 }];
    assert_eq!(line.tell(&mqtt::Packet::PubRec(ack)).client(), received);
    let out = line.hear(&again(message));
    assert_eq!(out.client(), received);
    assert!(out.broker().is_empty());
    let release = Packet::PubRel { msg_id: 5 };
    let out = line.hear(&release);
    assert_eq!(out.broker(), [mqtt::Packet::PubRel(ack)]);
    assert!(line.hear(&release).is_silent());
    assert!(line.hear(&again(message)).is_silent(), "a late copy");
    let completed = [Packet::PubComp { msg_id: 5 }];
    assert_eq!(line.tell(&mqtt::Packet::PubComp(ack)).client(), completed);
    // PUBCOMP was lost: the broker does not know the identifier, and that is well.
    assert_eq!(line.hear(&release).broker(), [mqtt::Packet::PubRel(ack)]);
    let unknown = mqtt_ack(5, ReasonCode::PacketIdentifierNotFound);
    assert_eq!(
        line.tell(&mqtt::Packet::PubComp(unknown)).client(),
        completed
    );
}

/// A copy that was delayed beyond the end of its exchange begins no second one.
#[test]
fn qos_2_a_late_copy_is_recognised() {
    let mut line = Line::registered("a/b");
    let message = publish(QoS::ExactlyOnce, ID_1, 5);
    let ack = mqtt_ack(5, ReasonCode::Success);
    line.hear(&message);
    line.tell(&mqtt::Packet::PubRec(ack));
    line.hear(&Packet::PubRel { msg_id: 5 });
    line.tell(&mqtt::Packet::PubComp(ack));
    let out = line.hear(&message);
    assert_eq!(out.client(), [Packet::PubRec { msg_id: 5 }]);
    assert!(out.broker().is_empty());
    // Another content is another message, and so is the same one much later.
    let other = publish(QoS::ExactlyOnce, TopicRef::Predefined(7), 5);
    assert_eq!(line.hear(&other).broker().len(), 1);
    line.tell(&mqtt::Packet::PubRec(mqtt_ack(
        5,
        ReasonCode::QuotaExceeded,
    )));
    line.seconds_later(11);
    assert_eq!(line.hear(&message).broker().len(), 1);
}

#[test]
fn a_client_has_few_messages_under_way() {
    let mut line = Line::registered("a/b");
    for msg_id in 1..=8 {
        let out = line.hear(&publish(QoS::AtLeastOnce, ID_1, msg_id));
        assert_eq!(out.broker().len(), 1);
    }
    let out = line.hear(&publish(QoS::AtLeastOnce, ID_1, 9));
    assert_eq!(out.client(), [puback(1, 9, ReturnCode::CONGESTION)]);
    assert!(out.broker().is_empty());
}

#[test]
fn mqttsn_6_9_a_topic_name_gets_its_id_with_suback() {
    let mut line = Line::connected();
    let request = subscribe(QoS::ExactlyOnce, 3, FilterRef::Name("a/b"));
    let out = line.hear(&request);
    let packets = out.broker();
    let [mqtt::Packet::Subscribe(asked)] = packets[..] else {
        panic!("{packets:?}");
    };
    let filters: Vec<_> = asked.filters().collect();
    assert_eq!(
        (filters[0].filter, filters[0].qos),
        ("a/b", QoS::ExactlyOnce)
    );
    assert!(line.hear(&again(request)).is_silent(), "it is under way");
    let granted = Packet::SubAck {
        qos: QoS::AtLeastOnce,
        topic_id: 1,
        msg_id: 3,
        return_code: ACCEPTED,
    };
    assert_eq!(line.tell(&suback(3, &[1])).client(), [granted]);
    let out = line.tell(&mqtt_publish(QoS::AtMostOnce, "a/b", 0));
    assert_eq!(out.client(), [publish(QoS::AtMostOnce, ID_1, 0)]);
    // SUBACK was lost: the same again, without the retained messages.
    let out = line.hear(&again(request));
    let packets = out.broker();
    let [mqtt::Packet::Subscribe(asked)] = packets[..] else {
        panic!("{packets:?}");
    };
    let handling = asked.filters().map(|filter| filter.retain_handling);
    assert!(handling.eq([RetainHandling::SendIfNew]));
    assert_eq!(line.tell(&suback(3, &[1])).client(), [granted]);
}

#[test]
fn mqttsn_5_4_16_other_filters_get_no_new_id() {
    let mut line = Line::connected();
    for (filter, name, topic_id) in [
        (FilterRef::Name("a/+"), "a/+", 0),
        (FilterRef::Name("$share/g/a"), "$share/g/a", 0),
        (FilterRef::Short(short("ab")), "ab", 0),
        (FilterRef::Predefined(7), "pre/defined", 7),
    ] {
        let out = line.hear(&subscribe(QoS::AtMostOnce, 3, filter));
        let packets = out.broker();
        let [mqtt::Packet::Subscribe(asked)] = packets[..] else {
            panic!("{packets:?}");
        };
        assert!(asked.filters().map(|filter| filter.filter).eq([name]));
        let granted = Packet::SubAck {
            qos: QoS::AtMostOnce,
            topic_id,
            msg_id: 3,
            return_code: ACCEPTED,
        };
        assert_eq!(line.tell(&suback(3, &[0])).client(), [granted]);
    }
}

#[test]
fn mqttsn_6_9_refused_subscriptions() {
    let refused = |return_code| Packet::SubAck {
        qos: QoS::AtMostOnce,
        topic_id: 0,
        msg_id: 3,
        return_code,
    };
    let mut line = Line::connected();
    let out = line.hear(&subscribe(QoS::AtMostOnce, 3, FilterRef::Predefined(1)));
    assert_eq!(out.client(), [refused(ReturnCode::INVALID_TOPIC_ID)]);
    for (reason, return_code) in [
        (0x87, ReturnCode::NOT_SUPPORTED),
        (0x97, ReturnCode::CONGESTION),
    ] {
        line.hear(&subscribe(QoS::AtMostOnce, 3, FilterRef::Name("a/b")));
        let out = line.tell(&suback(3, &[reason]));
        assert_eq!(out.client(), [refused(return_code)]);
    }
    for msg_id in 10..18 {
        line.hear(&subscribe(QoS::AtMostOnce, msg_id, FilterRef::Name("a")));
    }
    let out = line.hear(&subscribe(QoS::AtMostOnce, 3, FilterRef::Name("a")));
    assert_eq!(out.client(), [refused(ReturnCode::CONGESTION)]);
}

#[test]
fn mqttsn_6_9_unsubscribe_is_answered_when_the_broker_does() {
    let mut line = Line::connected();
    let request = Packet::Unsubscribe {
        msg_id: 4,
        filter: FilterRef::Name("a/+"),
    };
    let out = line.hear(&request);
    let packets = out.broker();
    let [mqtt::Packet::Unsubscribe(asked)] = packets[..] else {
        panic!("{packets:?}");
    };
    assert!(asked.filters().eq(["a/+"]));
    assert!(line.hear(&request).is_silent());
    let answer = [Packet::UnsubAck { msg_id: 4 }];
    assert_eq!(line.tell(&unsuback(4)).client(), answer);
    let unknown = Packet::Unsubscribe {
        msg_id: 4,
        filter: FilterRef::Predefined(1),
    };
    assert_eq!(line.hear(&unknown).client(), answer);
}

#[test]
fn mqttsn_6_10_a_register_precedes_the_first_message() {
    let mut line = Line::connected();
    let out = line.tell(&mqtt_publish(QoS::AtMostOnce, "a/b", 0));
    assert_eq!(out.client(), [told_register(1, 1, "a/b")]);
    // Whatever comes waits, and keeps its order.
    for (qos, topic, msg_id) in [
        (QoS::AtLeastOnce, "ab", 1),
        (QoS::AtMostOnce, "a/c", 0),
        (QoS::AtMostOnce, "a/b", 0),
    ] {
        assert!(line.tell(&mqtt_publish(qos, topic, msg_id)).is_silent());
    }
    let out = line.hear(&told_regack(1, ACCEPTED));
    let short = TopicRef::Short(short("ab"));
    assert_eq!(
        out.client(),
        [
            publish(QoS::AtMostOnce, ID_1, 0),
            publish(QoS::AtLeastOnce, short, 1),
            told_register(2, 2, "a/c"),
        ]
    );
    let out = line.hear(&told_regack(2, ACCEPTED));
    let second = TopicRef::Normal(2);
    assert_eq!(
        out.client(),
        [
            publish(QoS::AtMostOnce, second, 0),
            publish(QoS::AtMostOnce, ID_1, 0)
        ]
    );
    // Now all is known.
    let out = line.tell(&mqtt_publish(QoS::AtMostOnce, "a/c", 0));
    assert_eq!(out.client(), [publish(QoS::AtMostOnce, second, 0)]);
}

#[test]
fn mqttsn_6_7_short_and_predefined_topics_need_no_register() {
    let mut line = Line::connected();
    for (name, topic) in [
        ("ab", TopicRef::Short(short("ab"))),
        ("é", TopicRef::Short(short("é"))),
        ("pre/defined", TopicRef::Predefined(7)),
    ] {
        let out = line.tell(&mqtt_publish(QoS::AtMostOnce, name, 0));
        assert_eq!(out.client(), [publish(QoS::AtMostOnce, topic, 0)]);
    }
    // What the client asked an id for goes by that.
    line.hear(&register("ab"));
    let out = line.tell(&mqtt_publish(QoS::AtMostOnce, "ab", 0));
    assert_eq!(out.client(), [publish(QoS::AtMostOnce, ID_1, 0)]);
}

#[test]
fn mqttsn_6_13_a_register_is_sent_again_until_the_client_is_lost() {
    let mut line = Line::connected();
    line.tell(&mqtt_publish(QoS::AtMostOnce, "a/b", 0));
    assert_eq!(line.seconds_left(), Some(10));
    for _ in 0..3 {
        let out = line.seconds_later(10);
        assert_eq!(out.client(), [told_register(1, 1, "a/b")]);
    }
    assert_eq!(line.seconds_later(10).verdict, Verdict::Lost);
}

#[test]
fn mqttsn_6_13_qos_1_is_sent_again_until_the_client_is_lost() {
    let mut line = Line::registered("a/b");
    let message = publish(QoS::AtLeastOnce, ID_1, 3);
    let out = line.tell(&mqtt_publish(QoS::AtLeastOnce, "a/b", 3));
    assert_eq!(out.client(), [message]);
    assert!(line.seconds_later(9).is_silent());
    assert_eq!(line.seconds_later(1).client(), [again(message)]);
    // A client that is busy is there.
    line.hear(&puback(1, 3, ReturnCode::CONGESTION));
    for _ in 0..3 {
        assert_eq!(line.seconds_later(10).client(), [again(message)]);
    }
    assert_eq!(line.seconds_later(10).verdict, Verdict::Lost);
}

#[test]
fn mqttsn_6_10_qos_2_every_step_can_be_lost() {
    let mut line = Line::registered("a/b");
    let ack = mqtt_ack(3, ReasonCode::Success);
    let message = publish(QoS::ExactlyOnce, ID_1, 3);
    let out = line.tell(&mqtt_publish(QoS::ExactlyOnce, "a/b", 3));
    assert_eq!(out.client(), [message]);
    assert_eq!(line.seconds_later(10).client(), [again(message)]);
    let received = Packet::PubRec { msg_id: 3 };
    assert_eq!(line.hear(&received).broker(), [mqtt::Packet::PubRec(ack)]);
    assert!(line.hear(&received).is_silent());
    assert_eq!(line.seconds_left(), Some(90), "it is the broker's turn");
    let release = [Packet::PubRel { msg_id: 3 }];
    assert_eq!(line.tell(&mqtt::Packet::PubRel(ack)).client(), release);
    assert_eq!(line.hear(&received).client(), release);
    assert_eq!(line.seconds_later(10).client(), release);
    let completed = Packet::PubComp { msg_id: 3 };
    assert_eq!(line.hear(&completed).broker(), [mqtt::Packet::PubComp(ack)]);
    assert!(line.hear(&completed).is_silent());
}

/// A session is resumed in the middle of an exchange.
#[test]
fn a_release_without_its_message_is_passed_on() {
    let mut line = Line::connected();
    let ack = mqtt_ack(8, ReasonCode::Success);
    let release = [Packet::PubRel { msg_id: 8 }];
    assert_eq!(line.tell(&mqtt::Packet::PubRel(ack)).client(), release);
    // The broker's next message waits for its end.
    assert!(
        line.tell(&mqtt_publish(QoS::AtLeastOnce, "ab", 9))
            .is_silent()
    );
    assert_eq!(line.seconds_later(10).client(), release);
    let out = line.hear(&Packet::PubComp { msg_id: 8 });
    assert_eq!(out.broker(), [mqtt::Packet::PubComp(ack)]);
    let topic = TopicRef::Short(short("ab"));
    assert_eq!(out.client(), [publish(QoS::AtLeastOnce, topic, 9)]);
}

#[test]
fn mqttsn_6_10_a_topic_that_the_client_refuses_is_dropped() {
    let mut line = Line::connected();
    line.tell(&mqtt_publish(QoS::AtLeastOnce, "a/b", 3));
    line.tell(&mqtt_publish(QoS::AtMostOnce, "ab", 0));
    let out = line.hear(&told_regack(1, ReturnCode::NOT_SUPPORTED));
    let refused = mqtt_ack(3, ReasonCode::ImplementationSpecificError);
    assert_eq!(out.broker(), [mqtt::Packet::PubAck(refused)]);
    let topic = TopicRef::Short(short("ab"));
    assert_eq!(out.client(), [publish(QoS::AtMostOnce, topic, 0)]);
    assert_eq!(line.gateway.take_dropped(), 1);
}

#[test]
fn a_client_that_has_forgotten_a_topic_is_told_again() {
    let mut line = Line::registered("a/b");
    line.tell(&mqtt_publish(QoS::ExactlyOnce, "a/b", 3));
    let out = line.hear(&puback(1, 3, ReturnCode::INVALID_TOPIC_ID));
    assert_eq!(out.client(), [told_register(1, 1, "a/b")]);
    let out = line.hear(&told_regack(1, ACCEPTED));
    assert_eq!(out.client(), [publish(QoS::ExactlyOnce, ID_1, 3)]);
    let out = line.hear(&puback(1, 3, ReturnCode::NOT_SUPPORTED));
    let refused = mqtt_ack(3, ReasonCode::ImplementationSpecificError);
    assert_eq!(out.broker(), [mqtt::Packet::PubRec(refused)]);
    assert_eq!(line.gateway.take_dropped(), 1);
}

#[test]
fn a_client_without_the_predefined_topics_is_told_a_normal_id() {
    let mut line = Line::connected();
    line.tell(&mqtt_publish(QoS::AtLeastOnce, "pre/defined", 3));
    let out = line.hear(&puback(7, 3, ReturnCode::INVALID_TOPIC_ID));
    assert_eq!(out.client(), [told_register(1, 1, "pre/defined")]);
    let out = line.hear(&told_regack(1, ACCEPTED));
    assert_eq!(out.client(), [publish(QoS::AtLeastOnce, ID_1, 3)]);
    // At QoS 0 the message is gone, but not the next one.
    let mut line = Line::connected();
    line.tell(&mqtt_publish(QoS::AtMostOnce, "pre/defined", 0));
    line.hear(&puback(7, 0, ReturnCode::INVALID_TOPIC_ID));
    let out = line.tell(&mqtt_publish(QoS::AtMostOnce, "pre/defined", 0));
    assert_eq!(out.client(), [told_register(1, 1, "pre/defined")]);
}

#[test]
fn what_waits_is_bounded() {
    let mut line = Line::connected();
    line.settings.waiting_messages_max = 3;
    for _ in 0..5 {
        line.tell(&mqtt_publish(QoS::AtMostOnce, "a/b", 0));
    }
    assert_eq!(line.gateway.take_dropped(), 2);
    // A message at QoS 1 has its place: the broker sends one.
    let out = line.tell(&mqtt_publish(QoS::AtLeastOnce, "a/b", 3));
    assert_eq!(out.verdict, Verdict::Open);
    let out = line.hear(&told_regack(1, ACCEPTED));
    assert_eq!(out.client().len(), 4);
}

#[test]
fn a_topic_beyond_the_registrations_is_dropped() {
    let mut line = Line::registered("a/b");
    line.settings.registrations_max = 1;
    let out = line.tell(&mqtt_publish(QoS::AtLeastOnce, "a/c", 3));
    let refused = mqtt_ack(3, ReasonCode::ImplementationSpecificError);
    assert_eq!(out.broker(), [mqtt::Packet::PubAck(refused)]);
    assert!(out.client().is_empty());
    assert_eq!(line.gateway.take_dropped(), 1);
}

/// The gateway has not allowed the broker any.
#[test]
fn a_message_by_topic_alias_is_dropped() {
    let mut line = Line::connected();
    let properties: PropertiesBuf = [Property::TopicAlias(1)].into_iter().collect();
    let publish = mqtt::Packet::Publish(Publish {
        properties: properties.as_properties(),
        ..Publish::default()
    });
    assert!(line.tell(&publish).is_silent());
    assert_eq!(line.gateway.take_dropped(), 1);
}

#[test]
fn a_message_longer_than_a_datagram_is_dropped() {
    let mut line = Line::connected();
    line.settings.datagram_bytes_max = 7 + 7;
    let fits = mqtt_publish(QoS::AtMostOnce, "ab", 0);
    assert_eq!(line.tell(&fits).client().len(), 1);
    line.settings.datagram_bytes_max -= 1;
    assert!(line.tell(&fits).is_silent());
    assert_eq!(line.gateway.take_dropped(), 1);
}

#[test]
fn acknowledgements_of_nothing_change_nothing() {
    let mut line = Line::registered("a/b");
    for packet in [
        puback(1, 3, ACCEPTED),
        puback(0, 0, ReturnCode::NOT_SUPPORTED),
        Packet::PubRec { msg_id: 3 },
        Packet::PubComp { msg_id: 3 },
        told_regack(5, ACCEPTED),
        told_regack(1, ReturnCode::NOT_SUPPORTED),
        Packet::PingResp,
    ] {
        assert!(line.hear(&packet).is_silent(), "{packet:?}");
    }
    assert!(line.hear(&Packet::PubRec { msg_id: 3 }).is_silent());
    assert_eq!(line.hear(&DISCONNECT).verdict, Verdict::Closed);
}
