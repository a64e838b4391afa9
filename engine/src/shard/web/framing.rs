//! Packets of a stream in WebSocket messages: what a connection is sent in one turn is one frame,
//! however many packets it holds, unless it grows long.

use ringbus_protocols::websocket::frame::{Header, Opcode};

use crate::shard::Output;

/// Room for the header that most frames under load have. Others move their payload a little.
const ROOM: usize = 4;
/// A frame this long gets no more packets: a receiver may need all of it before it goes on.
const FRAME_BYTES_MAX: usize = 32 << 10;

/// Where the frame that is being filled starts.
#[derive(Debug, Default)]
pub(in crate::shard) struct Framing {
    /// Whether what is appended needs frames around it.
    is_on: bool,
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    /// Of the room for its header.
    at: usize,
    /// Bytes by reference that stand before it.
    spliced_before: usize,
}

impl Framing {
    /// From here on, frames are put around what is appended.
    pub(super) fn turn_on(&mut self) {
        self.is_on = true;
    }

    /// A packet is about to be appended.
    #[inline]
    pub(in crate::shard) fn prepare(&mut self, output: &mut Output, spliced: usize) {
        if !self.is_on {
            return;
        }
        if let Some(open) = self.open {
            if open.payload_len(output, spliced) < FRAME_BYTES_MAX {
                return;
            }
            self.close(output, spliced);
        }
        self.open = Some(Open {
            at: output.bytes.len(),
            spliced_before: spliced,
        });
        output.bytes.extend_from_slice(&[0; ROOM]);
    }

    /// Writes the header of the frame that is open, if one is.
    #[inline]
    pub(in crate::shard) fn close(&mut self, output: &mut Output, spliced: usize) {
        if let Some(open) = self.open.take() {
            open.close(output, spliced);
        }
    }
}

impl Open {
    fn close(self, output: &mut Output, spliced: usize) {
        let at = self.at;
        match self.payload_len(output, spliced) {
            0 => output.bytes.truncate(at),
            length => {
                let header = Header::new(Opcode::Binary, length);
                output.replace(at..at + ROOM, header.as_bytes());
            }
        }
    }

    #[inline]
    fn payload_len(self, output: &Output, spliced: usize) -> usize {
        let own = output.bytes.len() - self.at - ROOM;
        own + spliced - self.spliced_before
    }
}

#[cfg(test)]
mod tests {
    use super::{FRAME_BYTES_MAX, Framing};
    use crate::shard::Output;
    use bytes::Bytes;
    use ringbus_protocols::websocket::frame::{Opcode, next_frame};

    struct Sender {
        framing: Framing,
        output: Output,
        spliced: usize,
    }

    impl Sender {
        fn new() -> Self {
            let mut framing = Framing::default();
            framing.turn_on();
            Self {
                framing,
                output: Output::default(),
                spliced: 0,
            }
        }

        fn put(&mut self, bytes: &[u8]) {
            self.framing.prepare(&mut self.output, self.spliced);
            self.output.bytes.extend_from_slice(bytes);
        }

        fn splice(&mut self, payload: Vec<u8>) {
            self.spliced += payload.len();
            self.output.push_payload(Bytes::from(payload));
        }

        fn payloads(mut self) -> Vec<Vec<u8>> {
            self.framing.close(&mut self.output, self.spliced);
            let mut rest = self.output.flatten();
            let mut payloads = Vec::new();
            while !rest.is_empty() {
                let frame = next_frame(rest).expect("a whole header");
                assert_eq!(frame.opcode, Opcode::Binary);
                let end = frame.header_len + frame.payload_len;
                payloads.push(rest[frame.header_len..end].to_vec());
                rest = &rest[end..];
            }
            payloads
        }
    }

    #[test]
    fn packets_of_a_turn_are_one_frame_of_any_length() {
        for length in [1, 124, 125, 126, 127, 1000, 65_535, 65_536, 100_000] {
            let mut sender = Sender::new();
            sender.put(&vec![7; length - 1]);
            sender.put(&[8]);
            let payloads = sender.payloads();
            let count = 1 + usize::from(length > FRAME_BYTES_MAX);
            assert_eq!(payloads.len(), count, "{length}");
            assert_eq!(payloads.concat().len(), length);
        }
    }

    #[test]
    fn payloads_by_reference_belong_to_their_frame() {
        let mut sender = Sender::new();
        sender.put(b"head");
        sender.splice(vec![1; 5_000]);
        sender.put(b"tail");
        sender.splice(vec![2; 70_000]);
        sender.put(b"next");
        let payloads = sender.payloads();
        assert_eq!(payloads.len(), 2);
        assert_eq!(payloads[0].len(), 4 + 5_000 + 4 + 70_000);
        assert_eq!(&payloads[0][5_004..5_008], b"tail");
        assert_eq!(payloads[1], b"next");
    }

    #[test]
    fn nothing_appended_is_no_frame() {
        let mut sender = Sender::new();
        sender.put(b"");
        assert!(sender.payloads().is_empty());
    }
}
