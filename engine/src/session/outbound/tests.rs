//! The queue and the window.

use super::{AckError, Delivery, Outbound, QueueLimit, Transmit};
use crate::base::Nanos;
use crate::pubsub::{Message, PublisherId, Stored};
use ringbus_protocols::mqtt::{PacketIdentifier, QoS};

fn delivery(qos: QoS, payload: &[u8]) -> Delivery {
    let stored = Stored::new(&Message {
        topic: "t",
        payload,
        properties: &[],
        qos,
        retain: false,
        expires_at: Nanos::MAX,
        publisher: PublisherId::default(),
    });
    Delivery {
        stored,
        qos,
        retain: false,
        subscription_identifiers: Box::new([]),
        group: None,
    }
}

fn next(outbound: &mut Outbound) -> Option<(u16, bool)> {
    match outbound.transmit()? {
        Transmit::Publish {
            identifier, dup, ..
        } => Some((identifier.get(), dup)),
        Transmit::PubRel(identifier) => Some((identifier.get(), true)),
    }
}

fn id(value: u16) -> PacketIdentifier {
    PacketIdentifier::new(value).unwrap()
}

#[test]
fn the_window_bounds_what_is_under_way() {
    let mut outbound = Outbound::default();
    outbound.restart(2);
    for _ in 0..3 {
        assert_eq!(
            outbound.push(delivery(QoS::AtLeastOnce, b"x"), &QueueLimit::NONE),
            0
        );
    }
    assert_eq!(next(&mut outbound), Some((1, false)));
    assert_eq!(next(&mut outbound), Some((2, false)));
    assert_eq!(next(&mut outbound), None);
    assert_eq!(outbound.on_puback(id(2)), Ok(()));
    assert_eq!(next(&mut outbound), Some((3, false)));
    assert_eq!(outbound.on_puback(id(2)), Err(AckError::UnknownIdentifier));
}

#[test]
fn a_new_connection_repeats_in_order_within_its_window() {
    let mut outbound = Outbound::default();
    outbound.restart(4);
    for _ in 0..4 {
        assert_eq!(
            outbound.push(delivery(QoS::ExactlyOnce, b"x"), &QueueLimit::NONE),
            0
        );
        assert!(next(&mut outbound).is_some());
    }
    assert_eq!(outbound.on_pubrec(id(1), true), Ok(()));
    outbound.restart(2);
    assert!(matches!(outbound.transmit(), Some(Transmit::PubRel(i)) if i == id(1)));
    assert_eq!(next(&mut outbound), Some((2, true)));
    assert_eq!(next(&mut outbound), None);
    assert_eq!(
        outbound.on_pubrec(id(3), true),
        Err(AckError::UnknownIdentifier)
    );
    assert_eq!(outbound.on_pubcomp(id(1)), Ok(()));
    assert_eq!(next(&mut outbound), Some((3, true)));
}

#[test]
fn an_identifier_in_use_is_skipped_after_a_full_round() {
    let mut outbound = Outbound::default();
    outbound.restart(3);
    assert_eq!(
        outbound.push(delivery(QoS::AtLeastOnce, b"stuck"), &QueueLimit::NONE),
        0
    );
    assert_eq!(next(&mut outbound), Some((1, false)));
    for _ in 0..u32::from(u16::MAX) - 1 {
        assert_eq!(
            outbound.push(delivery(QoS::AtLeastOnce, b"x"), &QueueLimit::NONE),
            0
        );
        let (identifier, _) = next(&mut outbound).unwrap();
        assert_ne!(identifier, 1);
        assert_eq!(outbound.on_puback(id(identifier)), Ok(()));
    }
    assert_eq!(
        outbound.push(delivery(QoS::AtLeastOnce, b"x"), &QueueLimit::NONE),
        0
    );
    assert_eq!(next(&mut outbound), Some((2, false)));
}

#[test]
fn bytes_are_charged_until_acknowledged() {
    let mut outbound = Outbound::default();
    outbound.restart(8);
    let one = delivery(QoS::AtLeastOnce, &[0; 100]);
    let charge = one.stored.charge();
    let limit = QueueLimit {
        bytes: charge,
        ..QueueLimit::NONE
    };
    assert_eq!(outbound.push(one.clone(), &limit), 0);
    assert_eq!(outbound.push(one, &limit), 1, "beyond the bound");
    assert_eq!(outbound.bytes(), charge);
    assert_eq!(next(&mut outbound), Some((1, false)));
    assert_eq!(outbound.on_pubrec(id(1), true), Err(AckError::WrongKind));
    assert_eq!(outbound.on_puback(id(1)), Ok(()));
    assert_eq!((outbound.bytes(), outbound.len()), (0, 0));
}

fn payloads(outbound: &mut Outbound) -> Vec<u8> {
    let mut seen = Vec::new();
    while let Some(Transmit::Publish { delivery, .. }) = outbound.transmit() {
        seen.push(delivery.stored.message().payload[0]);
    }
    seen
}

#[test]
fn either_the_newest_or_the_oldest_that_wait_are_dropped() {
    for (drops_oldest, expected) in [(false, b"abcd"), (true, b"aefg")] {
        let mut outbound = Outbound::default();
        outbound.restart(1);
        let limit = QueueLimit {
            messages: 3,
            drops_oldest,
            ..QueueLimit::NONE
        };
        let mut dropped = 0;
        for payload in b"abcdefg" {
            dropped += outbound.push(delivery(QoS::AtLeastOnce, &[*payload]), &limit);
            if *payload == b'a' {
                assert_eq!(next(&mut outbound), Some((1, false)));
            }
        }
        assert_eq!(dropped, 3);
        outbound.restart(8);
        assert_eq!(payloads(&mut outbound), expected, "what is under way stays");
    }
}

#[test]
fn as_many_of_the_oldest_go_as_the_newest_needs_and_none_in_vain() {
    let small = delivery(QoS::AtLeastOnce, b"s");
    let charge = small.stored.charge();
    let large = delivery(QoS::AtLeastOnce, &vec![b'l'; 2 * charge]);
    let limit = QueueLimit {
        bytes: 5 * charge,
        drops_oldest: true,
        ..QueueLimit::NONE
    };
    let mut outbound = Outbound::default();
    for _ in 0..5 {
        assert_eq!(outbound.push(small.clone(), &limit), 0);
    }
    assert_eq!(outbound.push(large.clone(), &limit), 3);
    assert_eq!(outbound.len(), 3);
    assert!(outbound.bytes() <= limit.bytes);
    // Everything is under way: nothing can make room.
    outbound.restart(8);
    assert_eq!(payloads(&mut outbound).len(), 3);
    assert_eq!(outbound.push(large, &limit), 1);
    assert_eq!(outbound.len(), 3);
}
