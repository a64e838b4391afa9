//! The NATS client protocol: <https://docs.nats.io/reference/reference-protocols/nats-protocol>.

use super::super::link::Link;
use super::{Incoming, Next, STAMP_BYTES, Shape, Stamp, Template, Wire, malformed, payload};
use std::io;

/// Core NATS.
pub struct Nats;

/// The longest control line: INFO of a cluster may be long.
const LINE_BYTES_MAX: usize = 64 * 1024;

impl Wire for Nats {
    #[inline]
    fn next(bytes: &[u8]) -> io::Result<Next> {
        let Some(end) = line_end(bytes)? else {
            return Ok(Next::NeedMore);
        };
        if bytes.starts_with(b"MSG ") {
            return message(bytes, end);
        }
        let incoming = match bytes {
            [b'P', b'I', ..] => Incoming::Ping,
            [b'-', ..] => Incoming::Refused("a command (-ERR)"),
            _ => Incoming::Other,
        };
        Ok(Next::Frame {
            length: end + 2,
            incoming,
        })
    }

    fn template(shape: Shape<'_>) -> Template {
        let subject = subject(shape.topic);
        let mut message = format!("PUB {subject} {}\r\n", shape.payload_bytes).into_bytes();
        let stamp_offset = message.len();
        message.extend_from_slice(&payload(shape.payload_bytes));
        message.extend_from_slice(b"\r\n");
        Template::new(&message, shape.batch, stamp_offset, None)
    }

    fn connect(link: &mut Link, client_id: &str) -> io::Result<u16> {
        link.receive(whole_line)?;
        let options = format!(
            "CONNECT {{\"verbose\":false,\"pedantic\":false,\"lang\":\"rust\",\
             \"version\":\"1\",\"protocol\":0,\"name\":\"{client_id}\"}}\r\nPING\r\n"
        );
        link.send(options.as_bytes())?;
        wait_for_pong(link)?;
        Ok(u16::MAX)
    }

    fn subscribe(link: &mut Link, filters: &[String], _qos: u8) -> io::Result<()> {
        let mut commands = String::new();
        for (index, filter) in filters.iter().enumerate() {
            commands.push_str(&format!("SUB {} {}\r\n", subject(filter), index + 1));
        }
        commands.push_str("PING\r\n");
        link.send(commands.as_bytes())?;
        wait_for_pong(link)
    }

    fn pong(out: &mut Vec<u8>) {
        out.extend_from_slice(b"PONG\r\n");
    }
}

/// Position of the CR LF that ends the first line.
#[inline]
fn line_end(bytes: &[u8]) -> io::Result<Option<usize>> {
    let limit = bytes.len().min(LINE_BYTES_MAX);
    match bytes[..limit].iter().position(|&byte| byte == b'\n') {
        Some(end) if end > 0 && bytes[end - 1] == b'\r' => Ok(Some(end - 1)),
        Some(_) => Err(malformed("a bare line feed")),
        None if limit == LINE_BYTES_MAX => Err(malformed("a control line without end")),
        None => Ok(None),
    }
}

/// `MSG <subject> <sid> <bytes>`: the length is the last word of the line.
#[inline]
fn message(bytes: &[u8], line_end: usize) -> io::Result<Next> {
    let mut payload_bytes = 0;
    let mut factor = 1;
    for &byte in bytes[..line_end]
        .iter()
        .rev()
        .take_while(|byte| byte.is_ascii_digit())
    {
        payload_bytes += usize::from(byte - b'0') * factor;
        factor *= 10;
    }
    let start = line_end + 2;
    let length = start + payload_bytes + 2;
    if payload_bytes < STAMP_BYTES {
        return Ok(Next::Frame {
            length,
            incoming: Incoming::Unstamped,
        });
    }
    Ok(match Stamp::read(&bytes[start..]) {
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

fn whole_line(bytes: &[u8]) -> io::Result<Option<usize>> {
    Ok(line_end(bytes)?.map(|end| end + 2))
}

fn wait_for_pong(link: &mut Link) -> io::Result<()> {
    loop {
        let line = link.receive(whole_line)?;
        match line.as_slice() {
            [b'P', b'O', ..] => return Ok(()),
            [b'P', b'I', ..] => link.send(b"PONG\r\n")?,
            [b'-', ..] => {
                let reason = String::from_utf8_lossy(&line);
                return Err(io::Error::other(format!(
                    "the broker refused: {}",
                    reason.trim()
                )));
            }
            _ => {}
        }
    }
}

/// A topic or filter in the words of NATS.
fn subject(topic: &str) -> String {
    topic.replace('/', ".").replace('+', "*").replace('#', ">")
}

#[cfg(test)]
mod tests {
    use super::super::tests::every_prefix;
    use super::*;

    #[test]
    fn messages_are_understood_from_every_prefix() {
        let stamp = Stamp {
            run: 1,
            stream: 2,
            sequence: 3,
        };
        for payload_bytes in [16, 64, 5000] {
            let mut bytes = format!("MSG bench.7 1 {payload_bytes}\r\n").into_bytes();
            let start = bytes.len();
            bytes.extend_from_slice(&payload(payload_bytes));
            stamp.write(&mut bytes[start..]);
            bytes.extend_from_slice(b"\r\n");
            every_prefix::<Nats>(
                &bytes,
                Incoming::Message {
                    stamp,
                    qos: 0,
                    id: 0,
                },
            );
        }
    }

    #[test]
    fn control_lines_are_told_apart() {
        every_prefix::<Nats>(b"PING\r\n", Incoming::Ping);
        every_prefix::<Nats>(b"PONG\r\n", Incoming::Other);
        every_prefix::<Nats>(b"-ERR 'x'\r\n", Incoming::Refused("a command (-ERR)"));
        every_prefix::<Nats>(b"INFO {\"a\":1}\r\n", Incoming::Other);
        every_prefix::<Nats>(b"MSG a 1 2\r\nhi\r\n", Incoming::Unstamped);
    }

    #[test]
    fn a_template_is_a_pub_command() {
        let shape = Shape {
            topic: "bench/7",
            qos: 0,
            payload_bytes: 16,
            batch: 2,
        };
        let mut template = Nats::template(shape);
        let bytes = template.stamp(
            Stamp {
                run: 0,
                stream: 0,
                sequence: 0,
            },
            1,
            || 0,
        );
        assert!(bytes.starts_with(b"PUB bench.7 16\r\n") && bytes.ends_with(b"\r\n"));
        assert_eq!(bytes.len(), 2 * (16 + 16 + 2));
    }

    #[test]
    fn wildcards_are_translated() {
        assert_eq!(subject("a/+/#"), "a.*.>");
    }
}
