//! Sockets of one topic: a WebSocket whose messages are the payloads.
//!
//! Frames are scanned in place: a message is looked at once, whatever its length.

use super::super::link::Link;
use super::super::websocket::{path_of, put_pong};
use super::{Incoming, Next, STAMP_BYTES, Shape, Stamp, Template, Wire, malformed, payload};
use std::io;

/// Messages of a topic in binary frames.
pub struct Topic;

impl Wire for Topic {
    #[inline]
    fn next(bytes: &[u8]) -> io::Result<Next> {
        let Some((header_bytes, payload_bytes)) = header(bytes)? else {
            return Ok(Next::NeedMore);
        };
        let incoming = match bytes[0] {
            BINARY if payload_bytes >= STAMP_BYTES => match Stamp::read(&bytes[header_bytes..]) {
                Some(stamp) => Incoming::Message {
                    stamp,
                    qos: 0,
                    id: 0,
                },
                None => return Ok(Next::NeedMore),
            },
            // Bytes were sent: a text is none of these messages.
            BINARY | TEXT => Incoming::Unstamped,
            PING => Incoming::Ping,
            PONG => Incoming::Other,
            CLOSE => Incoming::Refused("the connection (Close)"),
            _ => return Err(malformed("a fragment, or a frame of an extension")),
        };
        Ok(Next::Frame {
            length: header_bytes + payload_bytes,
            incoming,
        })
    }

    fn template(shape: Shape<'_>) -> Template {
        Template::new(&payload(shape.payload_bytes), shape.batch, 0, None).in_frames(1)
    }

    /// Nothing yet: the handshake names the topic.
    fn connect(_link: &mut Link, _client_id: &str) -> io::Result<u16> {
        Ok(u16::MAX)
    }

    fn subscribe(link: &mut Link, filters: &[String], _qos: u8) -> io::Result<()> {
        link.upgrade(&path_of(only(filters)?), None)
    }

    /// Its own messages do not come back.
    fn announce(link: &mut Link, topics: &[String]) -> io::Result<()> {
        link.upgrade(&(path_of(only(topics)?) + "?echo=0"), None)
    }

    fn pong(out: &mut Vec<u8>) {
        put_pong(out, &[]);
    }
}

// First bytes of whole frames.
const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8A;

fn only(topics: &[String]) -> io::Result<&str> {
    match topics {
        [only] => Ok(only),
        _ => Err(io::Error::other("a socket has one topic")),
    }
}

/// Lengths of header and payload of a server's frame.
#[inline]
fn header(bytes: &[u8]) -> io::Result<Option<(usize, usize)>> {
    let [_, short, ref rest @ ..] = *bytes else {
        return Ok(None);
    };
    Ok(match short {
        0..126 => Some((2, usize::from(short))),
        126 => rest
            .first_chunk()
            .map(|&long| (4, usize::from(u16::from_be_bytes(long)))),
        127 => match rest.first_chunk() {
            Some(&long) => {
                let length = usize::try_from(u64::from_be_bytes(long));
                let length = length.ok().filter(|&length| length <= 1 << 30);
                Some((10, length.ok_or_else(|| malformed("an endless frame"))?))
            }
            None => None,
        },
        _ => return Err(malformed("a masked frame")),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::every_prefix;
    use super::*;
    use ringbus_protocols::websocket::frame::{Opcode, put_frame};

    const STAMP: Stamp = Stamp {
        run: 1,
        stream: 2,
        sequence: 3,
    };

    fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        put_frame(&mut frame, opcode, payload);
        frame
    }

    #[test]
    fn messages_are_understood_from_every_prefix() {
        for payload_bytes in [16, 64, 125, 126, 5_000, 70_000] {
            let mut payload = payload(payload_bytes);
            STAMP.write(&mut payload);
            let expected = Incoming::Message {
                stamp: STAMP,
                qos: 0,
                id: 0,
            };
            every_prefix::<Topic>(&frame(Opcode::Binary, &payload), expected);
        }
    }

    #[test]
    fn other_frames_are_told_apart() {
        every_prefix::<Topic>(&frame(Opcode::Binary, b"short"), Incoming::Unstamped);
        every_prefix::<Topic>(&frame(Opcode::Text, &[b'x'; 64]), Incoming::Unstamped);
        every_prefix::<Topic>(&frame(Opcode::Ping, b""), Incoming::Ping);
        every_prefix::<Topic>(&frame(Opcode::Pong, b""), Incoming::Other);
        let close = frame(Opcode::Close, &[0x03, 0xE9]);
        every_prefix::<Topic>(&close, Incoming::Refused("the connection (Close)"));
    }

    #[test]
    fn what_no_server_should_send_is_an_error() {
        for bytes in [
            [0x82, 0xC0, 0, 0, 0, 0, 0, 0, 0, 0],
            [0x82, 0x7F, 0x80, 0, 0, 0, 0, 0, 0, 0],
            [0x02, 0x01, 0, 0, 0, 0, 0, 0, 0, 0],
            [0xC2, 0x01, 0, 0, 0, 0, 0, 0, 0, 0],
        ] {
            assert!(Topic::next(&bytes).is_err(), "{bytes:x?}");
        }
    }

    #[test]
    fn each_message_is_a_masked_frame() {
        let shape = Shape {
            topic: "bench/7",
            qos: 0,
            payload_bytes: 20,
            batch: 3,
        };
        let mut template = Topic::template(shape);
        assert_eq!(template.write_bytes(), 3 * (2 + 4 + 20));
        let bytes = template.stamp(STAMP, 2, || 0).to_vec();
        for (index, frame) in bytes.chunks(26).enumerate() {
            assert_eq!(frame[..2], [BINARY, 0x80 | 20]);
            let payload: Vec<u8> = (6..26)
                .map(|at| frame[at] ^ frame[2 + (at - 6) % 4])
                .collect();
            let stamp = Stamp {
                sequence: 3 + index as u64,
                ..STAMP
            };
            assert_eq!(Stamp::read(&payload), Some(stamp));
            assert_eq!(&payload[16..], b"qrst");
        }
    }
}
