//! What a client of MQTT-SN costs while it sleeps, and that messages at QoS 0 allocate nothing.

mod mqttsn;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use mqttsn::encoded;
use mqttsn::line::{
    Line, PING, mqtt_ack, mqtt_publish, puback, publish, regack, register, short, sleep,
};
use ringbus_protocols::mqtt::{self, QoS, ReasonCode, Version};
use ringbus_protocols::mqttsn::{
    Datagrams, Gateway, Io, Packet, ReturnCode, TopicRef, Verdict, decode,
};

/// The system's allocator, counting what each thread asks for and has.
struct Counting;

thread_local! {
    static BYTES: Cell<isize> = const { Cell::new(0) };
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to `System` unchanged; counting touches only constant-initialised
// thread-locals without destructor, which do not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.set(BYTES.get() + layout.size().cast_signed());
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.set(BYTES.get() - layout.size().cast_signed());
        // SAFETY: `pointer` came from `System` through `alloc` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A client with one topic that has sent and received messages, and sleeps.
fn idle_sleeper() -> Line {
    let mut line = Line::connected();
    let topic_name = "sensors/hall-7/temperature";
    let out = line.hear(&register(topic_name));
    assert_eq!(out.client(), [regack(1)]);
    line.hear(&publish(QoS::AtLeastOnce, TopicRef::Normal(1), 1));
    line.tell(&mqtt::Packet::PubAck(mqtt_ack(1, ReasonCode::Success)));
    line.hear(&sleep(600));
    line.hear(&PING);
    line.tell(&mqtt_publish(QoS::AtLeastOnce, topic_name, 1));
    line.hear(&puback(1, 1, ReturnCode::ACCEPTED));
    let out = line.done();
    assert_eq!(out.client(), [Packet::PingResp]);
    drop(out);
    line
}

#[test]
fn an_idle_sleeper_costs_at_most_250_bytes() {
    let settings = Line::new();
    let before = BYTES.get();
    let line = idle_sleeper();
    // A line has a list of predefined topics besides its gateway.
    let with_settings = BYTES.get() - before;
    drop(settings);
    drop(line);
    let before = BYTES.get();
    let settings = Line::new();
    let of_settings = BYTES.get() - before;
    drop(settings);
    let heap = with_settings - of_settings;
    let all = size_of::<Gateway>().cast_signed() + heap;
    assert!(
        (120..=250).contains(&all),
        "{all} bytes, {heap} of them on the heap"
    );
}

#[test]
fn messages_at_qos_0_allocate_nothing() {
    let mut line = Line::registered("a/b");
    let datagrams = [
        encoded(&publish(QoS::AtMostOnce, TopicRef::Normal(1), 0)),
        encoded(&publish(QoS::AtMostOnce, TopicRef::Short(short("ab")), 0)),
    ];
    let mut from_broker = Vec::new();
    mqtt_publish(QoS::AtMostOnce, "a/b", 0).encode(Version::V5, &mut from_broker);
    mqtt_publish(QoS::AtMostOnce, "ab", 0).encode(Version::V5, &mut from_broker);
    let (mut to_broker, mut to_client) = (Vec::new(), Datagrams::default());
    let mut round = |line: &mut Line| {
        to_broker.clear();
        to_client.clear();
        let mut io = Io {
            now: line.now,
            to_broker: &mut to_broker,
            to_client: &mut to_client,
        };
        let (gateway, settings) = (&mut line.gateway, &line.settings);
        for datagram in &datagrams {
            let packet = decode(datagram).expect("a good datagram");
            let verdict = gateway.on_packet(&packet, settings, &mut io);
            assert_eq!(verdict, Verdict::Open);
        }
        let verdict = gateway.on_mqtt(&from_broker, settings, &mut io);
        assert_eq!(verdict, Verdict::Open);
        assert_eq!(to_client.len(), 2);
    };
    round(&mut line);
    let before = ALLOCATIONS.get();
    for _ in 0..100 {
        round(&mut line);
    }
    assert_eq!(ALLOCATIONS.get(), before);
}
