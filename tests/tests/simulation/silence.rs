//! Clients that say nothing: keep alive and the time for CONNECT, in virtual time.

use ringbus::base::Nanos;
use ringbus_protocols::mqtt::{Packet, PingReq, QoS, Version};
use ringbus_tests::client::Hello;
use ringbus_tests::simulation::{Actor, play};

const BOTH: [Version; 2] = [Version::V3_1_1, Version::V5];
const ONE: QoS = QoS::AtLeastOnce;
const YEAR: u64 = 365 * 24 * 3600;
/// Everything that is under way arrives within this.
const MOMENT: Nanos = Nanos::from_millis(100);

fn timed_out(version: Version) -> Option<u8> {
    (version == Version::V5).then_some(0x8D)
}

/// Not a moment earlier, not a moment later; its will goes out. No Server Keep Alive says otherwise.
/// `[MQTT5-3.1.2-22]` `[MQTT5-3.2.2-22]` `[MQTT5-3.14.4-1]` `[MQTT311-3.1.2-24]` `[MQTT5-3.1.2-8]` `[MQTT311-3.1.2-8]`
#[test]
fn mqtt_3_1_2_24_silence_of_one_and_a_half_keep_alives_ends_the_connection() {
    play(|scene| {
        let mut watcher = scene.open(Version::V5, "watcher");
        watcher.subscribe("will", ONE);
        for version in BOTH {
            for seconds in [1, 10, u16::MAX] {
                let hello = Hello::new(version, "silent")
                    .with_keep_alive(seconds)
                    .with_will("will", "silent", ONE, false);
                let mut silent = scene.raw(version);
                silent.send_bytes(&hello.encode());
                let told = silent.connected(|connack| connack.properties.server_keep_alive());
                assert_eq!(told, None);
                let patience = Nanos::from_millis(1_500 * u64::from(seconds));
                silent.ping();
                scene.pass(patience - MOMENT);
                watcher.expect_nothing();
                scene.pass(MOMENT);
                watcher.expect("will", "silent", ONE, false);
                assert_eq!(silent.disconnected(), timed_out(version));
            }
        }
    });
}

/// `[MQTT5-3.1.2-22]`
#[test]
fn mqtt_3_1_2_10_zero_turns_keep_alive_off() {
    play(|scene| {
        let clients = BOTH.map(|version| scene.open(version, &format!("{version}")));
        scene.pass_seconds(10 * YEAR);
        for mut client in clients {
            client.ping();
        }
    });
}

/// Every packet of the client is a sign of life, whatever it is; what it receives is none.
/// `[MQTT5-3.1.2-22]` `[MQTT311-3.1.2-24]`
#[test]
fn mqtt_3_1_2_24_any_packet_from_the_client_counts_and_none_to_it() {
    let signs: [fn(&mut Actor); 6] = [
        |client| client.send(&Packet::PingReq(PingReq)),
        |client| _ = client.send_publish("life", b"", QoS::AtMostOnce, false),
        |client| _ = client.send_publish("life", b"", ONE, false),
        |client| _ = client.send_publish("life", b"", QoS::ExactlyOnce, false),
        |client| _ = client.unsubscribe(&["other"]),
        |client| client.subscribe("other", ONE),
    ];
    play(|scene| {
        for version in BOTH {
            let hello = Hello::new(version, "client").with_keep_alive(10);
            for sign in signs {
                let (mut client, _) = scene.hello(&hello);
                for _ in 0..4 {
                    scene.pass_seconds(14);
                    sign(&mut client);
                }
                client.ping();
            }
            let (mut listener, _) = scene.hello(&hello);
            listener.subscribe("tick", QoS::AtMostOnce);
            let mut ticker = scene.open(Version::V5, "ticker");
            for _ in 0..14 {
                ticker.send_publish("tick", b"tock", QoS::AtMostOnce, false);
                scene.pass_seconds(1);
            }
            scene.pass_seconds(2);
            for _ in 0..14 {
                listener.expect("tick", "tock", QoS::AtMostOnce, false);
            }
            assert_eq!(listener.disconnected(), timed_out(version));
        }
    });
}

/// An acknowledgement counts as well.
/// `[MQTT5-3.1.2-22]` `[MQTT311-3.1.2-24]`
#[test]
fn mqtt_3_1_2_24_acknowledgements_count() {
    play(|scene| {
        for version in BOTH {
            let (mut client, _) = scene.hello(&Hello::new(version, "client").with_keep_alive(10));
            client.subscribe("life", ONE);
            let mut publisher = scene.open(Version::V5, "publisher");
            for _ in 0..4 {
                publisher.publish("life", "", ONE, false);
                scene.pass_seconds(14);
                client.expect("life", "", ONE, false);
            }
            scene.pass_seconds(1);
            client.ping();
        }
    });
}

/// Bytes that make no packet are no sign of life: nobody holds a connection with one PUBLISH.
/// `[MQTT5-3.1.2-22]` `[MQTT311-3.1.2-24]`
#[test]
fn mqtt_3_1_2_24_half_a_packet_does_not_count() {
    play(|scene| {
        for version in BOTH {
            let (mut client, _) = scene.hello(&Hello::new(version, "client").with_keep_alive(10));
            client.hold();
            client.send_publish("slow", &[b'x'; 60], QoS::AtMostOnce, false);
            for byte in client.held().into_iter().take(16) {
                client.send_bytes(&[byte]);
                scene.pass_seconds(1);
            }
            assert_eq!(client.disconnected(), timed_out(version));
        }
    });
}

/// A client whose packets the server does not read, because the shard that must take them stands
/// still, is not silent.
/// `[MQTT5-3.1.2-22]` `[MQTT311-3.1.2-24]`
#[test]
fn mqtt_3_1_2_24_a_paused_client_is_not_silent() {
    const PACKETS: usize = 90;
    play(|scene| {
        if scene.shards() == 1 {
            return; // Nobody but itself that it could wait for.
        }
        let mut topics = (0..).map(|n| format!("busy{n}"));
        let topic = topics.find(|topic| !scene.is_owned_at_home(topic, "client"));
        let topic = topic.expect("some topic is owned elsewhere");
        for version in BOTH {
            let (mut client, _) = scene.hello(&Hello::new(version, "client").with_keep_alive(10));
            scene.freeze_owner_of(&topic, Nanos::from_secs(100));
            for _ in 0..PACKETS {
                client.send_publish(&topic, &[b'x'; 60_000], QoS::AtMostOnce, false);
            }
            client.send(&Packet::PingReq(PingReq));
            scene.pass_seconds(99);
            scene.pass_seconds(2);
            client.receive_only(ringbus_protocols::mqtt::PacketType::PingResp);
            // From here on the clock runs again.
            scene.pass_seconds(12);
            client.ping();
            scene.pass_seconds(15);
            assert_eq!(client.disconnected(), timed_out(version));
        }
    });
}

/// Thirty seconds for a whole CONNECT, however its bytes come; then no limit.
/// `[MQTT5-3.1.4-1]`
#[test]
fn mqtt_3_1_4_connect_must_come_in_time() {
    play(|scene| {
        for version in BOTH {
            let hello = Hello::new(version, "late").encode();
            let mut silent = scene.raw(version);
            let mut slow = scene.raw(version);
            let mut just = scene.raw(version);
            just.send_bytes(&hello[..4]);
            let drips = hello.iter().take(hello.len() - 1);
            let pace = Nanos::from_secs(29);
            let count = u64::try_from(hello.len()).expect("short");
            for byte in drips {
                slow.send_bytes(&[*byte]);
                scene.pass(Nanos(pace.0 / count));
            }
            just.send_bytes(&hello[4..]);
            just.connected(|_| ());
            scene.pass_seconds(5);
            silent.closed();
            slow.closed();
            scene.pass_seconds(YEAR);
            just.ping();
        }
    });
}
