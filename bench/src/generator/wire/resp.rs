//! Redis publish/subscribe over RESP 2: <https://redis.io/docs/latest/develop/interact/pubsub/>.

use super::super::link::Link;
use super::{Incoming, Next, STAMP_BYTES, Shape, Stamp, Template, Wire, malformed, payload};
use std::io;

/// Redis publish/subscribe.
pub struct Resp;

/// The longest line of a length or a status.
const LINE_BYTES_MAX: usize = 4096;

impl Wire for Resp {
    #[inline]
    fn next(bytes: &[u8]) -> io::Result<Next> {
        match bytes.first() {
            None => Ok(Next::NeedMore),
            Some(b'*') => push(bytes),
            Some(b'-') => line(bytes, 0, Incoming::Refused("a command")),
            // The count of receivers: the answer to PUBLISH.
            Some(b':' | b'+') => line(bytes, 0, Incoming::Completed),
            Some(_) => Err(malformed("something else than RESP")),
        }
    }

    fn template(shape: Shape<'_>) -> Template {
        let (topic, payload_bytes) = (shape.topic, shape.payload_bytes);
        let mut message = format!(
            "*3\r\n$7\r\nPUBLISH\r\n${}\r\n{topic}\r\n${payload_bytes}\r\n",
            topic.len()
        )
        .into_bytes();
        let stamp_offset = message.len();
        message.extend_from_slice(&payload(payload_bytes));
        message.extend_from_slice(b"\r\n");
        Template::new(&message, shape.batch, stamp_offset, None)
    }

    fn connect(link: &mut Link, _client_id: &str) -> io::Result<u16> {
        link.send(b"*1\r\n$4\r\nPING\r\n")?;
        let answer = link.receive(whole)?;
        if answer.starts_with(b"+PONG") {
            return Ok(u16::MAX);
        }
        let reason = String::from_utf8_lossy(&answer);
        Err(io::Error::other(format!(
            "the broker refused: {}",
            reason.trim()
        )))
    }

    fn subscribe(link: &mut Link, filters: &[String], _qos: u8) -> io::Result<()> {
        for filter in filters {
            let wildcard = filter.contains(['+', '#']);
            let command = if wildcard { "PSUBSCRIBE" } else { "SUBSCRIBE" };
            let filter = filter.replace(['+', '#'], "*");
            let request = format!(
                "*2\r\n${}\r\n{command}\r\n${}\r\n{filter}\r\n",
                command.len(),
                filter.len()
            );
            link.send(request.as_bytes())?;
            let answer = link.receive(whole)?;
            if !answer.starts_with(b"*3") {
                return Err(io::Error::other("the broker refused the subscription"));
            }
        }
        Ok(())
    }
}

/// A pushed array: `message channel payload` or `pmessage pattern channel payload`; every other
/// (the answer to SUBSCRIBE) ends with an integer.
#[inline]
fn push(bytes: &[u8]) -> io::Result<Next> {
    let Some((elements, mut at)) = number(bytes, 1)? else {
        return Ok(Next::NeedMore);
    };
    for _ in 1..elements {
        match bytes.get(at) {
            Some(b'$') => {}
            Some(_) => return Err(malformed("an array of something else than strings")),
            None => return Ok(Next::NeedMore),
        }
        let Some((length, start)) = number(bytes, at + 1)? else {
            return Ok(Next::NeedMore);
        };
        at = start + length + 2;
    }
    match bytes.get(at) {
        Some(b'$') => {}
        Some(_) => return line(bytes, at, Incoming::Other),
        None => return Ok(Next::NeedMore),
    }
    let Some((payload_bytes, start)) = number(bytes, at + 1)? else {
        return Ok(Next::NeedMore);
    };
    let length = start + payload_bytes + 2;
    if payload_bytes < STAMP_BYTES {
        return Ok(Next::Frame {
            length,
            incoming: Incoming::Unstamped,
        });
    }
    Ok(match bytes.get(start..).and_then(Stamp::read) {
        Some(stamp) => Next::Frame {
            length,
            incoming: Incoming::Message {
                stamp,
                qos: 0,
                id: 0,
            },
        },
        None => Next::NeedMore,
    })
}

/// The decimal number at `at` and where the next line starts.
#[inline]
fn number(bytes: &[u8], at: usize) -> io::Result<Option<(usize, usize)>> {
    let mut value = 0usize;
    for (index, &byte) in bytes.iter().enumerate().skip(at).take(12) {
        match byte {
            b'0'..=b'9' => value = value * 10 + usize::from(byte - b'0'),
            b'\r' if bytes.len() > index + 1 => return Ok(Some((value, index + 2))),
            b'\r' => return Ok(None),
            _ => return Err(malformed("a length that is no number")),
        }
    }
    if bytes.len() < at + 12 {
        Ok(None)
    } else {
        Err(malformed("a length of too many digits"))
    }
}

/// A line from `at` on, as one frame together with what is before it.
fn line(bytes: &[u8], at: usize, incoming: Incoming) -> io::Result<Next> {
    let rest = &bytes[at..bytes.len().min(at + LINE_BYTES_MAX)];
    match rest.iter().position(|&byte| byte == b'\n') {
        Some(end) => Ok(Next::Frame {
            length: at + end + 1,
            incoming,
        }),
        None if rest.len() == LINE_BYTES_MAX => Err(malformed("a line without end")),
        None => Ok(Next::NeedMore),
    }
}

fn whole(bytes: &[u8]) -> io::Result<Option<usize>> {
    Ok(match Resp::next(bytes)? {
        Next::Frame { length, .. } if length <= bytes.len() => Some(length),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::every_prefix;
    use super::*;

    fn array(kind: &[&str], payload_bytes: usize, stamp: Stamp) -> Vec<u8> {
        let mut bytes = format!("*{}\r\n", kind.len() + 1).into_bytes();
        for word in kind {
            bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
        }
        bytes.extend_from_slice(format!("${payload_bytes}\r\n").as_bytes());
        let start = bytes.len();
        bytes.extend_from_slice(&payload(payload_bytes));
        stamp.write(&mut bytes[start..]);
        bytes.extend_from_slice(b"\r\n");
        bytes
    }

    #[test]
    fn messages_are_understood_from_every_prefix() {
        let stamp = Stamp {
            run: 1,
            stream: 2,
            sequence: 3,
        };
        let expected = Incoming::Message {
            stamp,
            qos: 0,
            id: 0,
        };
        for payload_bytes in [16, 64, 5000] {
            every_prefix::<Resp>(&array(&["message", "b/1"], payload_bytes, stamp), expected);
            let matched = array(&["pmessage", "b/*", "b/1"], payload_bytes, stamp);
            every_prefix::<Resp>(&matched, expected);
        }
    }

    #[test]
    fn answers_are_told_apart() {
        every_prefix::<Resp>(b":3\r\n", Incoming::Completed);
        every_prefix::<Resp>(b"-ERR no\r\n", Incoming::Refused("a command"));
        every_prefix::<Resp>(
            b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n",
            Incoming::Other,
        );
        assert!(Resp::next(b"HTTP/1.1 400").is_err());
        assert!(Resp::next(b"$x\r\n").is_err());
    }
}
