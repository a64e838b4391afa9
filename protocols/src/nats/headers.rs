//! Headers of messages: a line with the version, a line per header, an empty line.

use crate::wire::utf8;

const VERSION: &[u8] = b"NATS/1.0";

/// The headers in a block, in order; `None` if it does not start with the version. What is no
/// header, because it has no colon or is not UTF-8, is left out.
///
/// One blank after the colon belongs to the syntax; others are part of the value, so that any value
/// survives.
pub fn headers(block: &[u8]) -> Option<Headers<'_>> {
    let rest = block.strip_prefix(VERSION)?;
    // A status may follow, such as ` 503`.
    let end = rest.iter().position(|&byte| byte == b'\n')?;
    matches!(rest[0], b' ' | b'\t' | b'\r' | b'\n').then(|| Headers {
        rest: &rest[end + 1..],
    })
}

/// An iterator over the names and values in a block, which [`headers`] returns.
#[derive(Debug, Clone)]
pub struct Headers<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            let end = self.rest.iter().position(|&byte| byte == b'\n');
            let (line, rest) = match end {
                Some(end) => (&self.rest[..end], &self.rest[end + 1..]),
                None => (self.rest, [].as_slice()),
            };
            self.rest = rest;
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                self.rest = &[];
                return None;
            }
            if let Some(header) = read_header(line) {
                return Some(header);
            }
        }
        None
    }
}

fn read_header(line: &[u8]) -> Option<(&str, &str)> {
    let (name, value) = utf8(line).ok()?.split_once(':')?;
    (!name.is_empty()).then(|| (name, value.strip_prefix(' ').unwrap_or(value)))
}

/// Starts a block of headers.
pub fn begin(out: &mut Vec<u8>) {
    out.extend_from_slice(VERSION);
    out.extend_from_slice(b"\r\n");
}

/// Appends a header; false, and nothing is appended, if a client could not read it. A name is
/// printable ASCII without blanks and colons, for clients refuse a whole message for any other.
/// A value has no line ends.
pub fn put(out: &mut Vec<u8>, name: &str, value: &str) -> bool {
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b':');
    if !is_name || value.bytes().any(|byte| matches!(byte, b'\r' | b'\n')) {
        return false;
    }
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
    true
}

/// Ends a block of headers.
pub fn end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}

/// The block that tells a requester that nobody listens.
pub const NO_RESPONDERS: &[u8] = b"NATS/1.0 503\r\n\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(block: &[u8]) -> Option<Vec<(&str, &str)>> {
        headers(block).map(Iterator::collect)
    }

    #[test]
    fn what_is_written_is_read() {
        let pairs = [
            ("a", ""),
            ("A", " b "),
            ("a", "x:y"),
            ("Mqtt-QoS", "1"),
            ("~!", "é"),
        ];
        let mut block = Vec::new();
        begin(&mut block);
        for (name, value) in pairs {
            assert!(put(&mut block, name, value));
        }
        end(&mut block);
        assert!(block.starts_with(b"NATS/1.0\r\na: \r\nA:  b \r\n"));
        assert_eq!(read(&block), Some(pairs.to_vec()));
    }

    #[test]
    fn headers_that_cannot_be_are_refused() {
        for (name, value) in [
            ("", "x"),
            ("a b", "x"),
            ("a:", "x"),
            ("a\r", "x"),
            ("é", "x"),
            ("a", "x\r"),
            ("a", "x\n"),
        ] {
            let mut block = Vec::new();
            assert!(!put(&mut block, name, value), "{name:?}: {value:?}");
            assert!(block.is_empty());
        }
    }

    #[test]
    fn reading_is_tolerant() {
        assert_eq!(read(b"NATS/1.0\r\n\r\n"), Some(vec![]));
        assert_eq!(read(NO_RESPONDERS), Some(vec![]));
        assert_eq!(
            read(b"NATS/1.0 503 No\r\na:b\r\n\r\n"),
            Some(vec![("a", "b")])
        );
        assert_eq!(
            read(b"NATS/1.0\na: b\nc:d"),
            Some(vec![("a", "b"), ("c", "d")])
        );
        let some_bad = b"NATS/1.0\r\nnone\r\n:x\r\n\xFF:x\r\na:b\r\n\r\nc:d\r\n";
        assert_eq!(read(some_bad), Some(vec![("a", "b")]));
        for other in [
            b"".as_slice(),
            b"NATS/1.0",
            b"NATS/1.0x\r\n",
            b"NATS/2.0\r\n\r\n",
            b"a: b\r\n\r\n",
        ] {
            assert_eq!(read(other), None);
        }
    }
}
