//! A decoder that goes byte by byte as the RFC tells it, without a thought for speed.

use ringbus_protocols::websocket::{Kind, Mode, Role};

use super::{Read, Reading, Setup};

/// Why the oracle stops.
enum Stop {
    /// The bytes end.
    Incomplete,
    Violation(u16),
    Closed,
}

/// What `bytes` mean. No compression.
pub fn decode(bytes: &[u8], setup: &Setup) -> Reading {
    let mut oracle = Oracle {
        bytes: bytes.iter().copied().collect(),
        setup: *setup,
        message: None,
        frames: 0,
        announced: 0,
        text: Vec::new(),
        reading: Reading::default(),
    };
    loop {
        match oracle.frame() {
            Ok(()) => {}
            Err(Stop::Violation(code)) => {
                oracle.reading.violation = Some(code);
                return oracle.reading;
            }
            Err(Stop::Incomplete | Stop::Closed) => return oracle.reading,
        }
    }
}

struct Oracle {
    bytes: std::collections::VecDeque<u8>,
    setup: Setup,
    message: Option<Kind>,
    frames: u32,
    announced: u128,
    text: Vec<u8>,
    reading: Reading,
}

impl Oracle {
    fn next(&mut self) -> Result<u8, Stop> {
        self.bytes.pop_front().ok_or(Stop::Incomplete)
    }

    fn frame(&mut self) -> Result<(), Stop> {
        let first = self.next()?;
        let (fin, reserved, opcode) = (first >= 0x80, first / 16 % 8, first % 16);
        let violated = Err(Stop::Violation(1002));
        match opcode {
            _ if reserved != 0 => return violated,
            0 if self.message.is_none() => return violated,
            1 | 2 if self.message.is_some() => return violated,
            3..=7 | 11..=15 => return violated,
            8..=10 if !fin => return violated,
            1 if !self.setup.limits.takes_text => return Err(Stop::Violation(1003)),
            0 if self.frames == self.setup.limits.fragments_max => {
                return Err(Stop::Violation(1009));
            }
            _ => {}
        }
        let second = self.next()?;
        let masked = second >= 0x80;
        if masked != (self.setup.role == Role::Server) {
            return violated;
        }
        if opcode >= 8 && second % 128 > 125 {
            return violated;
        }
        if opcode == 1 || opcode == 2 {
            (self.frames, self.announced) = (0, 0);
        }
        let length = self.length(second % 128, opcode < 8)?;
        let mut key = [0; 4];
        if masked {
            for byte in &mut key {
                *byte = self.next()?;
            }
        }
        if opcode < 8 {
            self.frames += 1;
            self.announced += length;
            match opcode {
                1 => self.message = Some(Kind::Text),
                2 => self.message = Some(Kind::Binary),
                _ => {}
            }
            self.data(length, key)?;
            return if fin { self.end_message() } else { Ok(()) };
        }
        self.control(opcode, length, key)
    }

    /// Every length that the missing bytes could make of it is judged.
    fn length(&mut self, short: u8, is_data: bool) -> Result<u128, Stop> {
        let (count, least) = match short {
            126 => (2, 126),
            127 => (8, 65_536),
            _ => (0, 0),
        };
        let (mut smallest, mut largest) = (0_u128, 0_u128);
        let mut missing = 0;
        for at in 0..count {
            let byte = self.bytes.pop_front();
            missing += u32::from(byte.is_none());
            smallest = smallest * 256 + u128::from(byte.unwrap_or(0));
            let most = if at == 0 && count == 8 { 0x7F } else { 0xFF };
            largest = largest * 256 + u128::from(byte.unwrap_or(most));
        }
        if count == 0 {
            (smallest, largest) = (u128::from(short), u128::from(short));
        }
        if smallest >= 1 << 63 || largest < least {
            return Err(Stop::Violation(1002));
        }
        let allowed = self.setup.limits.message_bytes_max as u128;
        let bounded = is_data && self.setup.mode == Mode::Messages;
        if bounded && self.announced + smallest > allowed {
            return Err(Stop::Violation(1009));
        }
        if missing > 0 {
            return Err(Stop::Incomplete);
        }
        Ok(smallest)
    }

    fn data(&mut self, length: u128, key: [u8; 4]) -> Result<(), Stop> {
        for at in 0..length {
            let byte = self.next()? ^ key[usize::try_from(at % 4).expect("below 4")];
            if self.message == Some(Kind::Text) {
                self.text.push(byte);
                let wrong = str::from_utf8(&self.text).err();
                if wrong.is_some_and(|error| error.error_len().is_some()) {
                    return Err(Stop::Violation(1007));
                }
            }
            self.reading.partial.push(byte);
        }
        Ok(())
    }

    fn end_message(&mut self) -> Result<(), Stop> {
        if str::from_utf8(&std::mem::take(&mut self.text)).is_err() {
            return Err(Stop::Violation(1007));
        }
        let kind = self.message.take().expect("of a message");
        if self.setup.mode == Mode::Messages {
            let payload = std::mem::take(&mut self.reading.partial);
            self.reading.read.push(Read::Message(kind, payload));
        }
        Ok(())
    }

    fn control(&mut self, opcode: u8, length: u128, key: [u8; 4]) -> Result<(), Stop> {
        let mut payload = Vec::new();
        for at in 0..length {
            payload.push(self.next()? ^ key[usize::try_from(at % 4).expect("below 4")]);
        }
        let read = match opcode {
            8 => Read::Close(close_code(&payload)?),
            9 => Read::Ping(payload),
            _ => Read::Pong(payload),
        };
        if self.setup.mode == Mode::Stream && !self.reading.partial.is_empty() {
            let part = std::mem::take(&mut self.reading.partial);
            self.reading.read.push(Read::Stream(part));
        }
        self.reading.read.push(read);
        if opcode == 8 {
            Err(Stop::Closed)
        } else {
            Ok(())
        }
    }
}

fn close_code(payload: &[u8]) -> Result<Option<u16>, Stop> {
    match payload {
        [] => Ok(None),
        [_] => Err(Stop::Violation(1002)),
        [high, low, reason @ ..] => {
            let code = u16::from(*high) * 256 + u16::from(*low);
            let registered = [
                1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014,
            ];
            if !registered.contains(&code) && !(3000..5000).contains(&code) {
                return Err(Stop::Violation(1002));
            }
            match str::from_utf8(reason) {
                Ok(_) => Ok(Some(code)),
                Err(_) => Err(Stop::Violation(1007)),
            }
        }
    }
}
