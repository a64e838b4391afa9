//! What ends by itself: sessions and messages, in virtual time.

use ringbus::base::Nanos;
use ringbus_protocols::mqtt::{
    Packet, PacketType, PropertiesBuf, Property, Publish, QoS, ReasonCode, Version,
};
use ringbus_tests::client::Hello;
use ringbus_tests::simulation::{Actor, Scene, play, play_with};

const ONE: QoS = QoS::AtLeastOnce;
const YEAR: u64 = 365 * 24 * 3600;

/// A client that keeps its session for so long.
fn lasting(client_id: &str, seconds: u32) -> Hello {
    let mut hello = Hello::new(Version::V5, client_id);
    hello.clean_start = false;
    hello.with(Property::SessionExpiryInterval(seconds))
}

fn leave(actor: Actor, expiry_seconds: Option<u32>) {
    let mut properties = PropertiesBuf::new();
    if let Some(seconds) = expiry_seconds {
        properties.push(Property::SessionExpiryInterval(seconds));
    }
    actor.disconnect_with(ReasonCode::NormalDisconnection, properties.as_properties());
}

/// Publishes at QoS 1 and says whether there was a subscriber.
fn is_heard(scene: &Scene, topic: &str) -> bool {
    let mut publisher = scene.open(Version::V5, "publisher");
    publisher.publish(topic, "", ONE, false) != ReasonCode::NoMatchingSubscribers as u8
}

/// The interval runs from the end of each connection; what was subscribed goes with the session.
/// `[MQTT5-3.1.2-23]` `[MQTT5-4.1.0-2]` `[MQTT5-3.2.2-3]`
#[test]
fn mqtt5_3_1_2_23_a_session_is_kept_for_its_interval_and_no_longer() {
    play(|scene| {
        let hello = lasting("client", 60);
        let (mut client, _) = scene.hello(&hello);
        client.subscribe("kept", ONE);
        client.cut();
        for _ in 0..3 {
            scene.pass_seconds(59);
            assert!(scene.has_session(&hello), "lost too early");
        }
        scene.pass_seconds(59);
        assert!(is_heard(scene, "kept"), "lost too early");
        scene.pass_seconds(2);
        assert!(!is_heard(scene, "kept"), "subscribed for too long");
        assert!(!scene.has_session(&hello), "kept too long");
    });
}

/// `[MQTT5-4.1.0-1]` `[MQTT311-4.1.0-2]`
#[test]
fn mqtt_4_1_0_1_a_session_lasts_as_long_as_its_connection() {
    play(|scene| {
        let short = lasting("short", 1);
        let [zero, clean] = [Version::V5, Version::V3_1_1].map(|v| Hello::new(v, &format!("{v}")));
        let mut clients = [short, zero, clean].map(|hello| scene.hello(&hello).0);
        for client in &mut clients {
            client.subscribe("still/here", ONE);
        }
        scene.pass_seconds(10 * YEAR);
        let mut publisher = scene.open(Version::V5, "publisher");
        publisher.publish("still/here", "yes", ONE, false);
        for client in &mut clients {
            client.expect("still/here", "yes", ONE, false);
        }
    });
}

/// DISCONNECT may make the interval longer, shorter or nothing, but not begin one.
/// `[MQTT5-3.1.2-23]` `[MQTT5-4.1.0-2]`
#[test]
fn mqtt5_3_14_2_2_2_disconnect_changes_the_interval() {
    for (connect, disconnect, lasts) in [
        (10, None, 10),
        (10, Some(100), 100),
        (100, Some(10), 10),
        (u32::MAX, Some(10), 10),
        (10, Some(u32::MAX), 10 * YEAR),
    ] {
        play(|scene| {
            let hello = lasting("client", connect);
            leave(scene.hello(&hello).0, disconnect);
            scene.pass_seconds(lasts - 1);
            let (client, present) = scene.hello(&hello);
            assert!(present, "{connect} {disconnect:?}: lost too early");
            leave(client, disconnect);
            if disconnect != Some(u32::MAX) {
                scene.pass_seconds(lasts + 1);
                assert!(!scene.has_session(&hello), "{connect} {disconnect:?}: kept");
            }
        });
    }
    play(|scene| {
        let hello = lasting("client", 100);
        leave(scene.hello(&hello).0, Some(0));
        assert!(!scene.has_session(&hello), "it ends with its connection");
    });
}

/// The last value means never, also for version 3 without a clean session; the one before it is a
/// number like others.
/// `[MQTT311-3.1.2-4]` `[MQTT311-4.1.0-1]`
#[test]
fn mqtt5_3_1_2_11_2_the_longest_intervals() {
    play(|scene| {
        let [forever, long] = [u32::MAX, u32::MAX - 1].map(|s| lasting(&format!("{s}"), s));
        let mut three = Hello::new(Version::V3_1_1, "three");
        three.clean_start = false;
        for hello in [&forever, &long, &three] {
            drop(scene.hello(hello));
        }
        scene.pass_seconds(u64::from(u32::MAX) - 10);
        for hello in [&forever, &long, &three] {
            assert!(scene.has_session(hello), "{hello:?}");
        }
        scene.pass_seconds(u64::from(u32::MAX) + 10);
        assert!(scene.has_session(&forever) && scene.has_session(&three));
        assert!(!scene.has_session(&long), "kept too long");
    });
}

/// `--max-session-expiry` bounds what CONNECT and DISCONNECT ask for; CONNACK says so.
#[test]
fn mqtt5_3_2_2_3_2_the_server_may_keep_a_session_for_less() {
    let change = |config: &mut ringbus::shard::ShardConfig| config.session_expiry_max = 100;
    play_with(change, |scene| {
        let mut three = Hello::new(Version::V3_1_1, "three");
        three.clean_start = false;
        let asking = [99, 101, u32::MAX].map(|seconds| lasting(&format!("{seconds}"), seconds));
        for (hello, told) in asking.iter().zip([None, Some(100), Some(100)]) {
            let mut client = scene.raw(Version::V5);
            client.send_bytes(&hello.encode());
            let granted = client.connected(|connack| connack.properties.session_expiry_interval());
            assert_eq!(granted, told, "{hello:?}");
            leave(client, Some(u32::MAX));
        }
        drop(scene.hello(&three));
        scene.pass_seconds(98);
        let all = asking.iter().chain([&three]);
        for hello in all.clone() {
            assert!(scene.has_session(hello), "lost too early: {hello:?}");
        }
        scene.pass_seconds(102);
        for hello in all {
            assert!(!scene.has_session(hello), "kept too long: {hello:?}");
        }
    });
}

/// Publishes at this QoS what expires after so many seconds.
fn publish_expiring(publisher: &mut Actor, topic: &str, seconds: u32, qos: QoS, retain: bool) {
    let mut properties = PropertiesBuf::new();
    properties.push(Property::MessageExpiryInterval(seconds));
    let packet_identifier = (qos != QoS::AtMostOnce).then(|| publisher.new_packet_identifier());
    publisher.send(&Packet::Publish(Publish {
        qos,
        retain,
        topic,
        packet_identifier,
        properties: properties.as_properties(),
        payload: b"expires",
        ..Publish::default()
    }));
    if qos == ONE {
        publisher.ack(PacketType::PubAck);
    }
    if qos != QoS::ExactlyOnce {
        // Several topics, several owners: in order only if one follows the other's arrival.
        publisher.expect_nothing();
    }
}

/// The seconds that a message says it has left.
fn seconds_left(client: &mut Actor, topic: &str, retain: bool) -> Option<u32> {
    let message = client.message();
    assert_eq!((message.topic.as_str(), message.retain), (topic, retain));
    message.message_expiry_interval
}

/// Time in the queue of an absent client counts.
/// `[MQTT5-3.3.2-5]` `[MQTT5-3.3.2-6]`
#[test]
fn mqtt5_3_3_2_3_3_messages_expire_while_their_client_is_away() {
    play(|scene| {
        let hello = lasting("away", u32::MAX);
        let (mut away, _) = scene.hello(&hello);
        away.subscribe("expiry/#", ONE);
        away.disconnect();
        let mut publisher = scene.open(Version::V5, "publisher");
        publish_expiring(&mut publisher, "expiry/short", 29, ONE, false);
        publish_expiring(&mut publisher, "expiry/long", 100, ONE, false);
        publisher.publish("expiry/never", "", ONE, false);
        publish_expiring(&mut publisher, "expiry/last", u32::MAX, ONE, false);
        scene.pass_seconds(30);
        let (mut away, _) = scene.hello(&hello);
        assert_eq!(seconds_left(&mut away, "expiry/long", false), Some(70));
        assert_eq!(seconds_left(&mut away, "expiry/never", false), None);
        let last = seconds_left(&mut away, "expiry/last", false);
        assert_eq!(last, Some(u32::MAX - 30));
        away.expect_nothing();
    });
}

/// Time behind a full Receive Maximum counts, and a message that is under way is not called back.
/// `[MQTT5-3.3.2-5]` `[MQTT5-3.3.2-6]`
#[test]
fn mqtt5_3_3_2_3_3_messages_expire_behind_the_receive_maximum() {
    play(|scene| {
        let hello = lasting("busy", 0).with(Property::ReceiveMaximum(1));
        let (mut busy, _) = scene.hello(&hello);
        busy.subscribe("expiry/#", ONE);
        let mut publisher = scene.open(Version::V5, "publisher");
        for (topic, seconds) in [("first", 5), ("second", 9), ("third", 100)] {
            publish_expiring(
                &mut publisher,
                &format!("expiry/{topic}"),
                seconds,
                ONE,
                false,
            );
        }
        let first = busy.message_unacknowledged();
        let told = first.message_expiry_interval;
        assert_eq!((first.topic.as_str(), told), ("expiry/first", Some(5)));
        scene.pass_seconds(10);
        busy.acknowledge(&first);
        assert_eq!(seconds_left(&mut busy, "expiry/third", false), Some(90));
        busy.expect_nothing();
    });
}

/// Retained messages count down where they are kept, and are gone when they have expired.
/// `[MQTT5-3.3.2-5]` `[MQTT5-3.3.2-6]` `[MQTT5-3.3.1-5]`
#[test]
fn mqtt5_3_3_2_3_3_retained_messages_expire() {
    play(|scene| {
        let mut publisher = scene.open(Version::V5, "publisher");
        for qos in [QoS::AtMostOnce, ONE] {
            let topic = format!("kept/{}", u8::from(qos));
            publish_expiring(&mut publisher, &topic, 100, qos, true);
            for (passes, left) in [(0, Some(100)), (30, Some(70)), (69, Some(1)), (1, None)] {
                scene.pass_seconds(passes);
                let mut late = scene.open(Version::V5, "late");
                late.subscribe("kept/#", ONE);
                if left.is_some() {
                    assert_eq!(seconds_left(&mut late, &topic, true), left);
                }
                late.expect_nothing();
            }
        }
        publish_expiring(&mut publisher, "kept/again", 10, ONE, true);
        publisher.publish("kept/again", "for good", ONE, true);
        scene.pass_seconds(YEAR);
        let mut late = scene.open(Version::V3_1_1, "late");
        late.subscribe("kept/#", ONE);
        late.expect("kept/again", "for good", ONE, true);
        late.expect_nothing();
    });
}

/// A message of QoS 2 expires from when it came, not from its PUBREL.
/// `[MQTT5-3.3.2-5]` `[MQTT5-3.3.2-6]`
#[test]
fn mqtt5_3_3_2_3_3_a_message_expires_between_its_publish_and_its_pubrel() {
    play(|scene| {
        let mut subscriber = scene.open(Version::V5, "subscriber");
        subscriber.subscribe("two/#", QoS::ExactlyOnce);
        let mut publisher = scene.open(Version::V5, "publisher");
        for seconds in [9, 100] {
            let topic = format!("two/{seconds}");
            publish_expiring(&mut publisher, &topic, seconds, QoS::ExactlyOnce, false);
        }
        let received = [(); 2].map(|()| publisher.ack(PacketType::PubRec).0);
        scene.pass(Nanos::from_secs(10));
        for packet_identifier in received {
            publisher.send(&Packet::PubRel(ringbus_protocols::mqtt::Ack {
                packet_identifier,
                reason: ReasonCode::Success,
                properties: Default::default(),
            }));
            publisher.ack(PacketType::PubComp);
        }
        assert_eq!(seconds_left(&mut subscriber, "two/100", false), Some(90));
        subscriber.expect_nothing();
    });
}
