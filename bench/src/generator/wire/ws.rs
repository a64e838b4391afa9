//! MQTT over WebSocket `[MQTT5-6]`: each write is one masked binary frame.

use super::super::link::Link;
use super::super::websocket::put_message;
use super::{Mqtt, Next, Shape, Template, Wire};
use std::io;

/// MQTT over WebSocket: version 5.0 if `V5`, else 3.1.1.
pub struct Ws<const V5: bool>;

/// Where to, as clients of other brokers have it; here any path will do.
const TARGET: &str = "/mqtt";

/// The subprotocol of both versions `[MQTT5-6.0.0-3]`.
pub const SUBPROTOCOL: &str = "mqtt";

impl<const V5: bool> Wire for Ws<V5> {
    #[inline]
    fn next(bytes: &[u8]) -> io::Result<Next> {
        Mqtt::<V5>::next(bytes)
    }

    fn template(shape: Shape<'_>) -> Template {
        Mqtt::<V5>::template(shape).in_frames(shape.batch)
    }

    fn connect(link: &mut Link, client_id: &str) -> io::Result<u16> {
        link.upgrade(TARGET, Some(SUBPROTOCOL))?;
        link.use_frames();
        Mqtt::<V5>::connect(link, client_id)
    }

    fn subscribe(link: &mut Link, filters: &[String], qos: u8) -> io::Result<()> {
        Mqtt::<V5>::subscribe(link, filters, qos)
    }

    fn acknowledge(qos: u8, id: u16, out: &mut Vec<u8>) {
        in_frame(out, id, |out| Mqtt::<V5>::acknowledge(qos, id, out));
    }

    fn release(id: u16, out: &mut Vec<u8>) {
        in_frame(out, id, |out| Mqtt::<V5>::release(id, out));
    }

    fn complete(id: u16, out: &mut Vec<u8>) {
        in_frame(out, id, |out| Mqtt::<V5>::complete(id, out));
    }
}

/// Appends a packet in a frame of its own, as most clients do.
fn in_frame(out: &mut Vec<u8>, seed: u16, packet: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    packet(out);
    let mut plain = [0; 8];
    let length = out.len() - start;
    plain[..length].copy_from_slice(&out[start..]);
    out.truncate(start);
    put_message(out, u32::from(seed), &plain[..length]);
}

#[cfg(test)]
mod tests {
    use super::super::Stamp;
    use super::*;
    use ringbus_protocols::websocket::deflate::Inflater;
    use ringbus_protocols::websocket::{Event, Kind, Limits, Mode, Receiver, Role};

    /// The messages that a server finds in `bytes`.
    fn messages(mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut receiver = Receiver::new(Role::Server, Mode::Messages);
        let limits = Limits {
            message_bytes_max: 1 << 20,
            fragments_max: 1,
            takes_text: false,
        };
        let mut messages = Vec::new();
        while !bytes.is_empty() {
            let mut message = Vec::new();
            let (used, event) = receiver
                .read(bytes, &mut message, &limits, &mut Inflater::new())
                .expect("frames of a client");
            assert_eq!(event, Event::Message(Kind::Binary));
            messages.push(message);
            bytes = &bytes[used..];
        }
        messages
    }

    /// Every write is one message, and in it are the packets of MQTT over TCP.
    #[test]
    fn a_write_is_one_masked_frame_of_the_same_packets() {
        let first = Stamp {
            run: 9,
            stream: 3,
            sequence: 40,
        };
        for (qos, payload_bytes, batch) in [(0, 16, 1), (1, 67, 3), (0, 64, 16), (2, 5_000, 20)] {
            let shape = Shape {
                topic: "bench/7",
                qos,
                payload_bytes,
                batch,
            };
            let (mut plain, mut framed) =
                (Mqtt::<true>::template(shape), Ws::<true>::template(shape));
            let write_bytes = plain.write_bytes();
            // Twice: what was stamped before must not show.
            for sequence in [40, 4_000] {
                let first = Stamp { sequence, ..first };
                let (mut id, mut same) = (500, 500);
                let mut next_id = || {
                    id += 1;
                    id
                };
                let bytes = plain.stamp(first, 2, &mut next_id);
                let frames = framed.stamp(first, 2, || {
                    same += 1;
                    same
                });
                let expected: Vec<_> = bytes.chunks(write_bytes).map(<[u8]>::to_vec).collect();
                assert_eq!(messages(frames), expected, "{shape:?}");
            }
            assert_eq!(framed.message_bytes(), plain.message_bytes());
        }
    }

    #[test]
    fn each_frame_has_its_own_mask() {
        let shape = Shape {
            topic: "a",
            qos: 0,
            payload_bytes: 16,
            batch: 1,
        };
        let stamp = Stamp {
            run: 0,
            stream: 0,
            sequence: 0,
        };
        let mut template = Ws::<false>::template(shape);
        let write_bytes = template.write_bytes();
        let bytes = template.stamp(stamp, 2, || 0);
        assert_ne!(bytes[2..6], bytes[write_bytes + 2..write_bytes + 6]);
    }

    #[test]
    fn an_acknowledgement_is_a_frame() {
        let mut out = b"kept".to_vec();
        Ws::<true>::acknowledge(1, 513, &mut out);
        Ws::<true>::acknowledge(2, 513, &mut out);
        Ws::<true>::release(513, &mut out);
        Ws::<true>::complete(513, &mut out);
        let packets = [0x40, 0x50, 0x62, 0x70].map(|first| vec![first, 2, 2, 1]);
        assert_eq!(messages(&out[4..]), packets);
    }
}
