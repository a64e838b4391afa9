//! The payload of a control frame.

use crate::websocket::frame::CONTROL_BYTES_MAX;
use crate::websocket::mask::unmask;

/// What has arrived of the payload, which is small enough to be kept whole.
#[derive(Debug)]
pub(super) struct Control {
    /// Whether the frame was whole and reported.
    pub is_read: bool,
    length: u8,
    bytes: [u8; CONTROL_BYTES_MAX],
}

impl Default for Control {
    fn default() -> Self {
        Self {
            is_read: false,
            length: 0,
            bytes: [0; CONTROL_BYTES_MAX],
        }
    }
}

impl Control {
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// Appends a part of the frame. A key of zeros unmasks nothing, as clients need it.
    pub fn extend(&mut self, part: &[u8], key: [u8; 4]) {
        let start = usize::from(self.length);
        let end = start + part.len();
        let space = &mut self.bytes[start..end];
        space.copy_from_slice(part);
        unmask(space, key, start);
        self.length = u8::try_from(end).expect("a control frame is at most 125 bytes");
    }
}
