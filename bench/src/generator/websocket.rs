//! What the generator needs to be a WebSocket client: the handshake, masks, and what is in frames.

use ringbus_protocols::websocket::deflate::{Agreed, Inflater};
use ringbus_protocols::websocket::frame::{Opcode, put_masked};
use ringbus_protocols::websocket::handshake::{Accepted, put_request, read_response};
use ringbus_protocols::websocket::{Event, Limits, Mode, Receiver, Role, Violation};
use std::io::{self, ErrorKind};

/// The `Sec-WebSocket-Key`: there is no cache in between that a constant one could fool.
const HANDSHAKE_KEY: &[u8; 16] = b"ringbus bench :)";

/// The longest answer to a handshake.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// What a broker under test may send: whatever it was sent.
const LIMITS: Limits = Limits {
    message_bytes_max: 256 << 20,
    fragments_max: u32::MAX,
    takes_text: false,
};

/// Masking keys: cheap and the same in every run, as no proxy has to be protected here.
#[derive(Debug)]
pub struct Keys(u32);

impl Keys {
    /// Keys that depend on `seed`.
    pub fn new(seed: u32) -> Self {
        // Only 0 would stay what it is.
        Self(seed.wrapping_mul(0x9E37_79B9) | 1)
    }
}

impl Iterator for Keys {
    type Item = [u8; 4];

    #[inline]
    fn next(&mut self) -> Option<[u8; 4]> {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        Some(self.0.to_le_bytes())
    }
}

/// Appends one whole binary message, masked.
pub fn put_message(out: &mut Vec<u8>, seed: u32, payload: &[u8]) {
    put_client_frame(out, Opcode::Binary, seed, payload);
}

/// Appends an answer to a ping.
pub fn put_pong(out: &mut Vec<u8>, payload: &[u8]) {
    put_client_frame(out, Opcode::Pong, 0, payload);
}

fn put_client_frame(out: &mut Vec<u8>, opcode: Opcode, seed: u32, payload: &[u8]) {
    let key = Keys::new(seed).next().unwrap_or_default();
    put_masked(out, opcode, true, false, key, payload);
}

/// The request that opens a WebSocket.
pub fn request(
    host: &str,
    target: &str,
    subprotocol: Option<&str>,
    extensions: Option<&str>,
) -> Vec<u8> {
    let mut request = Vec::new();
    let key = HANDSHAKE_KEY;
    put_request(&mut request, host, target, key, subprotocol, extensions);
    request
}

/// The answer to [`request`] once it is whole.
///
/// # Errors
/// The broker did not open the WebSocket.
pub fn answer(bytes: &[u8]) -> io::Result<Option<Accepted<'_>>> {
    if let Some(accepted) =
        read_response(bytes, HANDSHAKE_KEY).map_err(|why| refused(why, bytes))?
    {
        return Ok(Some(accepted));
    }
    if bytes.len() > ANSWER_BYTES_MAX {
        return Err(refused("the answer does not end", bytes));
    }
    Ok(None)
}

fn refused(why: &str, answer: &[u8]) -> io::Error {
    let line = answer.split(|&byte| byte == b'\r').next().unwrap_or(answer);
    let line = String::from_utf8_lossy(line);
    io::Error::other(format!("no WebSocket: {why}: {line}"))
}

/// The path of a topic.
pub fn path_of(topic: &str) -> String {
    let mut path = String::from("/");
    for byte in topic.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
    path
}

/// Takes frames apart: what they hold is one stream of bytes.
#[derive(Debug)]
pub struct Unframer {
    receiver: Receiver,
    inflater: Inflater,
}

impl Unframer {
    /// At the first frame.
    pub fn new() -> Self {
        Self {
            receiver: Receiver::new(Role::Client, Mode::Stream),
            inflater: Inflater::new(),
        }
    }

    /// The same for messages that may be compressed.
    pub fn with_deflate(agreed: &Agreed) -> Self {
        let plain = Self::new();
        Self {
            receiver: plain.receiver.with_deflate(agreed),
            ..plain
        }
    }

    /// Appends what the frames in `input` hold to `payload`, and what has to be answered to `out`.
    ///
    /// # Errors
    /// The broker sent something else than frames, or closes.
    #[inline]
    pub fn decode(
        &mut self,
        mut input: &[u8],
        payload: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        while !input.is_empty() {
            let read = self
                .receiver
                .read(input, payload, &LIMITS, &mut self.inflater);
            let (used, event) = read.map_err(|violation| invalid(&violation))?;
            input = &input[used..];
            match event {
                Event::Ping => put_pong(out, self.receiver.control()),
                Event::Close(code) => {
                    let code = code.map_or_else(|| "no code".into(), |code| format!("{code:?}"));
                    return Err(io::Error::other(format!(
                        "the broker closed a WebSocket: {code}"
                    )));
                }
                Event::More | Event::Message(_) | Event::Pong => {}
            }
        }
        Ok(())
    }
}

fn invalid(violation: &Violation) -> io::Error {
    let words = violation.words;
    io::Error::new(
        ErrorKind::InvalidData,
        format!("the broker sent bad frames: {words}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringbus_protocols::websocket::frame::put_frame;
    use ringbus_protocols::websocket::handshake::{accept_key, put_accepted};

    #[test]
    fn what_frames_hold_is_one_stream_whatever_the_reads_are() {
        let mut bytes = Vec::new();
        put_frame(&mut bytes, Opcode::Binary, b"first ");
        put_frame(&mut bytes, Opcode::Ping, b"there?");
        put_frame(&mut bytes, Opcode::Binary, &[b'x'; 300]);
        let mut pong = Vec::new();
        put_pong(&mut pong, b"there?");
        for split in 0..=bytes.len() {
            let (mut payload, mut out) = (Vec::new(), Vec::new());
            let mut unframer = Unframer::new();
            for part in [&bytes[..split], &bytes[split..]] {
                unframer.decode(part, &mut payload, &mut out).unwrap();
            }
            assert_eq!(payload, [b"first ".as_slice(), &[b'x'; 300]].concat());
            assert_eq!(out, pong, "split at {split}");
        }
    }

    #[test]
    fn a_close_and_a_masked_frame_are_errors() {
        let error = |bytes: &[u8]| {
            let mut unframer = Unframer::new();
            let decoded = unframer.decode(bytes, &mut Vec::new(), &mut Vec::new());
            decoded.unwrap_err().to_string()
        };
        assert!(error(&[0x88, 2, 0x03, 0xE9]).contains("closed"));
        let mut masked = Vec::new();
        put_message(&mut masked, 1, b"x");
        assert!(error(&masked).contains("bad frames"));
    }

    #[test]
    fn keys_are_the_same_for_a_seed_and_differ_from_frame_to_frame() {
        let keys: Vec<_> = Keys::new(7).take(1_000).collect();
        assert!(Keys::new(7).take(1_000).eq(keys.iter().copied()));
        assert!(keys.windows(2).all(|two| two[0] != two[1]));
        assert!(!keys.contains(&[0; 4]));
    }

    #[test]
    fn an_answer_opens_the_websocket_or_says_why_not() {
        let sent = request("h:1", "/a", Some("mqtt"), None);
        let sent = String::from_utf8(sent).unwrap();
        let (_, rest) = sent.split_once("sec-websocket-key: ").unwrap();
        let mut good = Vec::new();
        let accept = accept_key(&rest[..24]);
        put_accepted(&mut good, &accept, Some("mqtt"), None);
        assert!(answer(&good[..good.len() - 1]).unwrap().is_none());
        let length = good.len();
        good.push(0x82);
        assert_eq!(answer(&good).unwrap().unwrap().length, length);
        let error = answer(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap_err();
        assert!(error.to_string().contains("400 Bad Request"), "{error}");
    }

    #[test]
    fn a_topic_is_a_path() {
        assert_eq!(path_of("bench/7"), "/bench/7");
        assert_eq!(path_of("a b?ü"), "/a%20b%3F%C3%BC");
    }
}
