//! The datagrams of MQTT-SN: round trips, truncations, lies, and a second decoder as the oracle.

mod mqttsn;

use mqttsn::{encoded, naive, packets};
use proptest::prelude::*;
use proptest::sample::Index;
use ringbus_protocols::mqtt::QoS;
use ringbus_protocols::mqttsn::{
    Datagrams, Forwarded, Malformed, Packet, PublishQoS, ShortTopic, TopicRef, decode,
    publish_head_len, put_forwarder_head, unwrap_forwarded,
};

proptest! {
    #[test]
    fn every_message_survives_the_round_trip(packet in packets::packet()) {
        let bytes = encoded(&packet);
        prop_assert_eq!(decode(&bytes), Ok(packet));
        prop_assert_eq!(naive::decode(&bytes), Some(naive::describe(&packet)));
    }

    /// Nothing but the whole datagram is the message.
    #[test]
    fn no_truncation_and_no_addition_decodes(packet in packets::packet()) {
        let mut bytes = encoded(&packet);
        for length in 0..bytes.len() {
            prop_assert!(decode(&bytes[..length]).is_err());
        }
        bytes.push(0);
        prop_assert_eq!(decode(&bytes), Err(Malformed::Length));
    }

    /// Cut to every length that its Length is made to say: no field is read past the end.
    #[test]
    fn both_decoders_agree_on_messages_cut_short(packet in packets::packet()) {
        let whole = encoded(&packet);
        for length in 2..whole.len().min(256) {
            let mut bytes = whole[..length].to_vec();
            bytes[0] = u8::try_from(length).expect("one byte");
            agree(&bytes)?;
        }
    }

    #[test]
    fn both_decoders_agree_on_mutations(
        packet in packets::packet(),
        changes in prop::collection::vec((any::<Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = encoded(&packet);
        for (index, value) in changes {
            let length = bytes.len();
            bytes[index.index(length)] = value;
        }
        agree(&bytes)?;
    }

    #[test]
    fn both_decoders_agree_on_noise(rest in prop::collection::vec(any::<u8>(), 1..40)) {
        let mut bytes = vec![u8::try_from(rest.len() + 1).expect("short")];
        bytes.extend(rest);
        agree(&bytes)?;
    }

    #[test]
    fn an_encapsulation_comes_off_as_it_was_put_on(
        radius in 0..4_u8,
        node_id in prop::collection::vec(any::<u8>(), 0..=252),
        packet in packets::packet(),
    ) {
        let inner = encoded(&packet);
        let mut bytes = Vec::new();
        put_forwarder_head(&mut bytes, radius, &node_id);
        let head = bytes.len();
        bytes.extend_from_slice(&inner);
        let forwarded = Forwarded { radius, node_id: &node_id };
        prop_assert_eq!(unwrap_forwarded(&bytes), Ok((Some(forwarded), &inner[..])));
        for length in 2..head {
            prop_assert!(unwrap_forwarded(&bytes[..length]).is_err());
        }
        prop_assert_eq!(unwrap_forwarded(&inner), Ok((None, &inner[..])));
    }
}

fn agree(bytes: &[u8]) -> Result<(), TestCaseError> {
    let ours = decode(bytes);
    let theirs = naive::decode(bytes);
    prop_assert_eq!(ours.as_ref().ok().map(naive::describe), theirs);
    if let Ok(packet) = ours {
        let again = encoded(&packet);
        prop_assert_eq!(decode(&again), Ok(packet));
    }
    Ok(())
}

#[test]
fn mqttsn_5_2_1_a_long_length_is_taken_where_a_short_one_would_do() {
    assert_eq!(decode(&[1, 0, 4, 0x17]), Ok(Packet::PingResp));
    assert_eq!(decode(&[2, 0x17]), Ok(Packet::PingResp));
    for bad in [
        &[][..],
        &[0],
        &[1],
        &[1, 0],
        &[1, 0, 3],
        &[1, 0, 2],
        &[2],
        &[3, 0x17],
        &[1, 0, 5, 0x17],
    ] {
        assert!(decode(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn what_the_specification_reserves_is_refused() {
    for (bytes, expected) in [
        (&[2, 0x03][..], Malformed::MsgType(0x03)),
        (&[2, 0x11], Malformed::MsgType(0x11)),
        (&[2, 0x19], Malformed::MsgType(0x19)),
        (&[2, 0x1E], Malformed::MsgType(0x1E)),
        (&[3, 0xFE, 0], Malformed::MsgType(0xFE)),
        (&[7, 0x04, 0, 2, 0, 9, b'c'], Malformed::ProtocolId(2)),
        (&[6, 0x04, 0, 1, 0, 9], Malformed::Empty),
        (&[7, 0x04, 0, 1, 0, 9, 0], Malformed::Text),
        (&[7, 0x0C, 0x03, 0, 1, 0, 0], Malformed::TopicIdType),
        (&[7, 0x0C, 0x20, 0, 1, 0, 0], Malformed::MsgIdZero),
        (&[7, 0x0C, 0x02, b'a', 0, 0, 0], Malformed::Text),
        (&[6, 0x12, 0x60, 0, 1, b'a'], Malformed::QoS),
        (&[6, 0x12, 0x03, 0, 1, b'a'], Malformed::TopicIdType),
        (&[6, 0x12, 0x00, 0, 0, b'a'], Malformed::MsgIdZero),
        (&[6, 0x12, 0x01, 0, 1, 7], Malformed::Truncated),
        (&[8, 0x12, 0x01, 0, 1, 0, 7, 0], Malformed::TrailingBytes),
        (&[4, 0x07, 0x60, b'a'], Malformed::QoS),
        (&[3, 0x07, 0x00], Malformed::Empty),
        (&[3, 0x18, 0], Malformed::Truncated),
        (&[4, 0x10, 0, 0], Malformed::MsgIdZero),
    ] {
        assert_eq!(decode(bytes), Err(expected), "{bytes:?}");
    }
}

/// Bits that a message does not use have no meaning `[MQTTSN-5.3.4]`.
#[test]
fn mqttsn_5_3_4_unused_flags_are_not_looked_at() {
    let plain = decode(&[7, 0x04, 0x04, 1, 0, 9, b'c']);
    assert_eq!(decode(&[7, 0x04, 0xF7, 1, 0, 9, b'c']), plain);
}

#[test]
fn publish_head_len_is_what_encode_writes() {
    for payload_bytes in [0, 1, 247, 248, 249, 250, 65_000] {
        let packet = Packet::Publish {
            dup: false,
            qos: PublishQoS::Of(QoS::AtMostOnce),
            retain: false,
            topic: TopicRef::Short(ShortTopic::new("ab").expect("two bytes")),
            msg_id: 0,
            payload: &vec![0; payload_bytes],
        };
        let head = encoded(&packet).len() - payload_bytes;
        assert_eq!(head, publish_head_len(payload_bytes), "{payload_bytes}");
    }
}

#[test]
fn datagrams_keep_their_bounds_and_order() {
    let mut datagrams = Datagrams::default();
    assert!(datagrams.is_empty());
    datagrams.push(&Packet::PingResp);
    datagrams.push_encoded(&[3, 1, 2]);
    let all: Vec<_> = datagrams.iter().collect();
    assert_eq!(all, [&[2, 0x17][..], &[3, 1, 2]]);
    assert_eq!(datagrams.len(), 2);
    datagrams.clear();
    assert_eq!(datagrams.iter().count(), 0);
}
