//! Will Delay Interval, section 3.1.3.2.2 of version 5, in virtual time.

use ringbus_protocols::mqtt::{PropertiesBuf, Property, QoS, ReasonCode, Version};
use ringbus_tests::client::Hello;
use ringbus_tests::simulation::{Actor, Scene, play};

const ONE: QoS = QoS::AtLeastOnce;
const FOREVER: u32 = u32::MAX;

/// A client whose session stays for so long, with a will that waits for so long.
fn mortal(expiry_seconds: u32, delay_seconds: u32) -> Hello {
    let mut hello = Hello::new(Version::V5, "mortal")
        .with(Property::SessionExpiryInterval(expiry_seconds))
        .with_will("will/t", "gone", ONE, false);
    hello.clean_start = false;
    let will = hello.will.as_mut().expect("just set");
    will.properties
        .push(Property::WillDelayInterval(delay_seconds));
    hello
}

fn watcher(scene: &Scene) -> Actor {
    let mut watcher = scene.open(Version::V5, "watcher");
    watcher.subscribe("will/#", ONE);
    watcher
}

/// Nothing until a second before, then the will.
fn expect_after(scene: &Scene, watcher: &mut Actor, seconds: u64) {
    scene.pass_seconds(seconds - 1);
    watcher.expect_nothing();
    scene.pass_seconds(1);
    watcher.expect("will/t", "gone", ONE, false);
}

/// `[MQTT5-3.1.2-8]`
#[test]
fn mqtt5_3_1_3_2_2_a_will_is_published_after_its_delay() {
    play(|scene| {
        let mut watcher = watcher(scene);
        for delay in [5, 30, 100_000] {
            scene.hello(&mortal(FOREVER, delay)).0.cut();
            expect_after(scene, &mut watcher, u64::from(delay));
        }
        scene.pass_seconds(1_000_000);
        watcher.expect_nothing();
    });
}

/// Whichever comes first, the end of the delay or of the session.
/// `[MQTT5-3.1.2-8]`
#[test]
fn mqtt5_3_1_3_2_2_the_end_of_the_session_publishes_the_will() {
    play(|scene| {
        let mut watcher = watcher(scene);
        scene.hello(&mortal(10, 100)).0.cut();
        expect_after(scene, &mut watcher, 10);
        assert!(!scene.has_session(&Hello::persistent(Version::V5, "mortal")));
        scene.hello(&mortal(10, FOREVER)).0.cut();
        expect_after(scene, &mut watcher, 10);
        // A session that ends with its connection leaves no time for a delay.
        scene.hello(&mortal(0, 100)).0.cut();
        watcher.expect("will/t", "gone", ONE, false);
        scene.pass_seconds(200);
        watcher.expect_nothing();
    });
}

/// `[MQTT5-3.1.2-8]` `[MQTT5-3.1.2-4]`
#[test]
fn mqtt5_3_1_3_2_2_a_clean_start_ends_the_session_and_so_the_delay() {
    play(|scene| {
        let mut watcher = watcher(scene);
        scene.hello(&mortal(FOREVER, 100)).0.cut();
        scene.pass_seconds(50);
        watcher.expect_nothing();
        let _clean = scene.open(Version::V5, "mortal");
        watcher.expect("will/t", "gone", ONE, false);
        scene.pass_seconds(100);
        watcher.expect_nothing();
    });
}

/// Also when it goes again: the first will is gone, the second has its own delay.
/// `[MQTT5-3.1.3-9]` `[MQTT5-3.1.2-10]`
#[test]
fn mqtt5_3_1_3_9_a_return_within_the_delay_cancels_the_will() {
    play(|scene| {
        let mut watcher = watcher(scene);
        scene.hello(&mortal(FOREVER, 100)).0.cut();
        for _ in 0..3 {
            scene.pass_seconds(99);
            let (back, present) = scene.hello(&mortal(FOREVER, 100));
            assert!(present);
            back.cut();
        }
        expect_after(scene, &mut watcher, 100);
        scene.hello(&mortal(FOREVER, 100)).0.cut();
        let (without_will, _) = scene.hello(&Hello::persistent(Version::V5, "mortal"));
        scene.pass_seconds(1_000);
        without_will.cut();
        scene.pass_seconds(1_000);
        watcher.expect_nothing();
    });
}

/// A connection that is taken over is lost as any other: its will is sent unless it may wait and
/// the session goes on.
/// `[MQTT5-3.1.2-8]` `[MQTT5-3.1.3-9]` `[MQTT5-3.1.4-3]`
#[test]
fn mqtt5_3_1_4_3_a_takeover_cancels_a_delayed_will_only() {
    play(|scene| {
        let mut watcher = watcher(scene);
        let (mut first, _) = scene.hello(&mortal(FOREVER, 100));
        let (mut second, present) = scene.hello(&mortal(FOREVER, 0));
        assert_eq!((first.disconnected(), present), (Some(0x8E), true));
        scene.pass_seconds(200);
        watcher.expect_nothing();
        let (mut third, present) = scene.hello(&mortal(FOREVER, 100));
        assert_eq!((second.disconnected(), present), (Some(0x8E), true));
        watcher.expect("will/t", "gone", ONE, false);
        // During the delay of a connection that was lost: two that come one after the other.
        third.finish_sending();
        third.closed();
        scene.pass_seconds(50);
        let (mut fourth, _) = scene.hello(&mortal(FOREVER, 100));
        let _fifth = scene.hello(&mortal(FOREVER, 100));
        assert_eq!(fourth.disconnected(), Some(0x8E));
        scene.pass_seconds(200);
        watcher.expect_nothing();
        let _clean = scene.open(Version::V5, "mortal");
        watcher.expect("will/t", "gone", ONE, false);
        watcher.expect_nothing();
    });
}

fn leave(scene: &Scene, hello: &Hello, reason: ReasonCode, expiry_seconds: Option<u32>) {
    let mut properties = PropertiesBuf::new();
    if let Some(seconds) = expiry_seconds {
        properties.push(Property::SessionExpiryInterval(seconds));
    }
    let (client, _) = scene.hello(hello);
    client.disconnect_with(reason, properties.as_properties());
}

/// DISCONNECT takes the will along, or asks for it; what it says about the session counts.
/// `[MQTT5-3.1.2-10]` `[MQTT5-3.14.4-3]` `[MQTT5-3.1.2-8]`
#[test]
fn mqtt5_3_14_2_1_disconnect_decides_about_a_delayed_will() {
    play(|scene| {
        let mut watcher = watcher(scene);
        let hello = mortal(FOREVER, 100);
        leave(scene, &hello, ReasonCode::NormalDisconnection, None);
        leave(scene, &hello, ReasonCode::NormalDisconnection, Some(10));
        scene.pass_seconds(1_000);
        watcher.expect_nothing();
        leave(scene, &hello, ReasonCode::DisconnectWithWill, None);
        expect_after(scene, &mut watcher, 100);
        leave(scene, &hello, ReasonCode::DisconnectWithWill, Some(10));
        expect_after(scene, &mut watcher, 10);
        leave(scene, &hello, ReasonCode::DisconnectWithWill, Some(0));
        watcher.expect("will/t", "gone", ONE, false);
        watcher.expect_nothing();
    });
}

/// The lifetime of the message begins when it is published, not when the client is lost.
/// `[MQTT5-3.3.2-6]`
#[test]
fn mqtt5_3_1_3_2_4_a_will_expires_from_when_it_is_published() {
    play(|scene| {
        let mut watcher = watcher(scene);
        let away = Hello::persistent(Version::V5, "away").with(Property::ReceiveMaximum(5));
        let (mut client, _) = scene.hello(&away);
        client.subscribe("will/t", ONE);
        client.disconnect();
        let mut hello = mortal(FOREVER, 100);
        let will = hello.will.as_mut().expect("just set");
        will.properties.push(Property::MessageExpiryInterval(20));
        scene.hello(&hello).0.cut();
        scene.pass_seconds(100);
        let message = watcher.expect("will/t", "gone", ONE, false);
        assert_eq!(message.message_expiry_interval, Some(20));
        scene.pass_seconds(15);
        let (mut client, _) = scene.hello(&away);
        let message = client.message_unacknowledged();
        assert_eq!(message.message_expiry_interval, Some(5));
        drop(client);
        scene.hello(&hello).0.cut();
        scene.pass_seconds(121);
        watcher.expect("will/t", "gone", ONE, false);
        let (mut client, _) = scene.hello(&away);
        client.message();
        client.expect_nothing();
    });
}

/// A retained will waits like any other, and is retained from then on.
/// `[MQTT5-3.1.2-15]`
#[test]
fn mqtt5_3_1_2_15_a_delayed_will_is_retained_when_it_is_published() {
    play(|scene| {
        let mut hello = mortal(FOREVER, 100);
        hello.will.as_mut().expect("set").retain = true;
        scene.hello(&hello).0.cut();
        for (passes, is_there) in [(99, false), (1, true), (1_000, true)] {
            scene.pass_seconds(passes);
            let mut late = scene.open(Version::V3_1_1, "late");
            late.subscribe("will/t", ONE);
            if is_there {
                late.expect("will/t", "gone", ONE, true);
            }
            late.expect_nothing();
        }
    });
}
