//! UTF-8 checked as it arrives `[RFC6455 8.1]`.

/// From this length on vectors are faster than the standard library.
const LONG: usize = 128;

/// Checks text that arrives in pieces, and fails at the first byte that no text can have there:
/// overlong forms, surrogates and values above U+10FFFF at the earliest byte that shows them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Utf8 {
    /// Continuation bytes that the last character still needs.
    needed: u8,
    /// What the next continuation byte may be, if one is needed.
    low: u8,
    high: u8,
}

/// Text is not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotUtf8 {
    /// Where in the piece the first wrong byte is.
    pub at: usize,
}

impl Utf8 {
    /// Checks the next piece of the text.
    ///
    /// # Errors
    /// [`NotUtf8`] with the place of the first byte that cannot be there.
    #[inline]
    pub fn check(&mut self, bytes: &[u8]) -> Result<(), NotUtf8> {
        let mut start = 0;
        while self.needed > 0 {
            let Some(&byte) = bytes.get(start) else {
                return Ok(());
            };
            self.step(byte).map_err(|()| NotUtf8 { at: start })?;
            start += 1;
        }
        let end = start + whole_characters(&bytes[start..]);
        let valid = start + valid_up_to(&bytes[start..end]);
        // Either nothing, or what begins with the wrong character, or the last and partial one.
        for (at, &byte) in bytes.iter().enumerate().skip(valid) {
            self.step(byte).map_err(|()| NotUtf8 { at })?;
        }
        Ok(())
    }

    /// Ends the text, and makes ready for another one.
    ///
    /// # Errors
    /// [`NotUtf8`] if the last character is not whole.
    pub fn finish(&mut self) -> Result<(), NotUtf8> {
        if std::mem::take(self).needed > 0 {
            return Err(NotUtf8 { at: 0 });
        }
        Ok(())
    }

    /// Takes one byte, by table 3-7 of the Unicode Standard.
    fn step(&mut self, byte: u8) -> Result<(), ()> {
        if self.needed > 0 {
            if byte < self.low || byte > self.high {
                return Err(());
            }
            self.expect(self.needed - 1, 0x80, 0xBF);
            return Ok(());
        }
        match byte {
            0x00..=0x7F => {}
            0xC2..=0xDF => self.expect(1, 0x80, 0xBF),
            0xE0 => self.expect(2, 0xA0, 0xBF),
            0xED => self.expect(2, 0x80, 0x9F),
            0xE1..=0xEF => self.expect(2, 0x80, 0xBF),
            0xF0 => self.expect(3, 0x90, 0xBF),
            0xF1..=0xF3 => self.expect(3, 0x80, 0xBF),
            0xF4 => self.expect(3, 0x80, 0x8F),
            0x80..=0xC1 | 0xF5..=0xFF => return Err(()),
        }
        Ok(())
    }

    fn expect(&mut self, needed: u8, low: u8, high: u8) {
        *self = Self { needed, low, high };
    }
}

/// The length of `bytes` without a character at their end of which only a part is there.
fn whole_characters(bytes: &[u8]) -> usize {
    let last = bytes.iter().rev().take(3).enumerate();
    for (after, &byte) in last {
        let length = match byte {
            0x80..=0xBF => continue,
            0xC0..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xFF => 4,
            0x00..=0x7F => 1,
        };
        if length > after + 1 {
            return bytes.len() - after - 1;
        }
        break;
    }
    bytes.len()
}

/// The length of the valid text that `bytes` begin with.
fn valid_up_to(bytes: &[u8]) -> usize {
    if bytes.len() >= LONG && simdutf8::basic::from_utf8(bytes).is_ok() {
        return bytes.len();
    }
    match str::from_utf8(bytes) {
        Ok(text) => text.len(),
        Err(error) => error.valid_up_to(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails_at(bytes: &[u8]) -> Option<usize> {
        let mut utf8 = Utf8::default();
        utf8.check(bytes).err().map(|error| error.at)
    }

    #[test]
    fn fails_at_the_first_byte_that_cannot_be_there() {
        for (bytes, at) in [
            (&b"a\x80"[..], 1),
            (b"\xC0\x80", 0),
            (b"\xC1\xBF", 0),
            (b"\xE0\x9F\xBF", 1),
            (b"\xED\xA0\x80", 1),
            (b"\xF0\x8F\xBF\xBF", 1),
            (b"\xF4\x90\x80\x80", 1),
            (b"\xF5\x80\x80\x80", 0),
            (b"\xE2\x82a", 2),
            (b"\xF0\x9F\x98\xFF", 3),
            (b"\xC3a", 1),
        ] {
            assert_eq!(fails_at(bytes), Some(at), "{bytes:02X?}");
        }
    }

    #[test]
    fn long_text_is_checked_to_its_last_byte() {
        let text = "κόσμε ".repeat(100).into_bytes();
        assert_eq!(fails_at(&text), None);
        for at in 0..text.len() {
            let mut wrong = text.clone();
            wrong[at] = 0xFF;
            assert_eq!(fails_at(&wrong), Some(at));
        }
    }

    #[test]
    fn a_partial_character_is_no_end() {
        let mut utf8 = Utf8::default();
        assert_eq!(utf8.check(b"\xF0\x9F\x98"), Ok(()));
        assert_eq!(utf8.finish(), Err(NotUtf8 { at: 0 }));
        assert_eq!(utf8.check(b"new text"), Ok(()));
        assert_eq!(utf8.finish(), Ok(()));
    }
}
