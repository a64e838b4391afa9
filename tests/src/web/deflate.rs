//! The client's half of permessage-deflate `[RFC7692 7]`.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// What a message ends with before its last four bytes are left out.
const TAIL: [u8; 4] = [0, 0, 0xFF, 0xFF];

/// Both directions of a connection that agreed to compress.
pub struct Deflate {
    compress: Compress,
    decompress: Decompress,
    agreed: Agreed,
}

/// What the server's response says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agreed {
    /// `server_no_context_takeover`.
    pub server_no_context_takeover: bool,
    /// `client_no_context_takeover`.
    pub client_no_context_takeover: bool,
    /// `server_max_window_bits`, if it is there.
    pub server_max_window_bits: Option<u8>,
    /// `client_max_window_bits`, if it is there.
    pub client_max_window_bits: Option<u8>,
}

impl Agreed {
    /// Reads the response's `Sec-WebSocket-Extensions`.
    ///
    /// # Panics
    /// If that is anything but one extension with parameters that a response may have.
    pub fn parse(text: &str) -> Agreed {
        let mut parameters = text.split(';').map(str::trim);
        assert_eq!(parameters.next(), Some("permessage-deflate"), "{text}");
        let mut agreed = Agreed::default();
        for parameter in parameters {
            match parameter.split_once('=') {
                None if parameter == "server_no_context_takeover" => {
                    let old = std::mem::replace(&mut agreed.server_no_context_takeover, true);
                    assert!(!old, "twice: {text}");
                }
                None if parameter == "client_no_context_takeover" => {
                    let old = std::mem::replace(&mut agreed.client_no_context_takeover, true);
                    assert!(!old, "twice: {text}");
                }
                Some(("server_max_window_bits", bits)) => {
                    let old = agreed.server_max_window_bits.replace(window_bits(bits));
                    assert_eq!(old, None, "twice: {text}");
                }
                Some(("client_max_window_bits", bits)) => {
                    let old = agreed.client_max_window_bits.replace(window_bits(bits));
                    assert_eq!(old, None, "twice: {text}");
                }
                _ => panic!("no such parameter of a response: {text}"),
            }
        }
        agreed
    }
}

/// `[RFC7692 7.1.2.1]` 8 to 15, without leading zeros.
fn window_bits(text: &str) -> u8 {
    let bits = text.parse().expect("a number");
    assert!((8..=15).contains(&bits) && !text.starts_with('0'), "{text}");
    bits
}

impl Deflate {
    /// As agreed.
    pub fn new(agreed: Agreed) -> Deflate {
        Deflate {
            compress: compressor(agreed.client_max_window_bits.unwrap_or(15)),
            // Fails if the server looks back over a longer distance than it said.
            decompress: decompressor(agreed.server_max_window_bits.unwrap_or(15)),
            agreed,
        }
    }

    /// What was agreed.
    pub fn agreed(&self) -> Agreed {
        self.agreed
    }

    /// The payload of a compressed message `[RFC7692 7.2.1]`.
    pub fn compress(&mut self, message: &[u8]) -> Vec<u8> {
        if self.agreed.client_no_context_takeover {
            self.compress.reset();
        }
        let (mut out, mut used) = (Vec::with_capacity(message.len() + 64), 0);
        loop {
            out.reserve(4096);
            let before = self.compress.total_in();
            let status = self
                .compress
                .compress_vec(&message[used..], &mut out, FlushCompress::Sync)
                .expect("memory to memory");
            used += usize::try_from(self.compress.total_in() - before).expect("a length");
            assert_ne!(status, Status::StreamEnd);
            if used == message.len() && out.len() < out.capacity() {
                break;
            }
        }
        if !out.ends_with(&TAIL) {
            // Nothing was added since the last flush: an empty message.
            assert!(message.is_empty(), "no tail: {out:02x?}");
            return vec![0];
        }
        out.truncate(out.len() - TAIL.len());
        out
    }

    /// The message of a payload `[RFC7692 7.2.2]`.
    pub fn decompress(&mut self, payload: &[u8]) -> Vec<u8> {
        if self.agreed.server_no_context_takeover {
            self.decompress = decompressor(self.agreed.server_max_window_bits.unwrap_or(15));
        }
        let input = [payload, &TAIL].concat();
        let (mut out, mut used) = (Vec::with_capacity(payload.len() * 4), 0);
        loop {
            out.reserve(64 * 1024);
            let before = self.decompress.total_in();
            self.decompress
                .decompress_vec(&input[used..], &mut out, FlushDecompress::Sync)
                .unwrap_or_else(|error| panic!("bad deflate data: {error} {payload:02x?}"));
            used += usize::try_from(self.decompress.total_in() - before).expect("a length");
            if used == input.len() && out.len() < out.capacity() {
                return out;
            }
        }
    }
}

/// zlib cannot keep to 8 bits; stored blocks look back over nothing.
fn compressor(bits: u8) -> Compress {
    if bits == 8 {
        return Compress::new_with_window_bits(Compression::none(), false, 9);
    }
    Compress::new_with_window_bits(Compression::default(), false, bits)
}

fn decompressor(bits: u8) -> Decompress {
    Decompress::new_with_window_bits(false, bits.max(9))
}
