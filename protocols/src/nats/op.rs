//! What clients send.

use super::Violation;

/// An operation of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op<'a> {
    /// The options of the connection: JSON for [`parse_connect`](super::parse_connect), without
    /// blanks around it.
    Connect(&'a [u8]),
    /// Asks for a PONG.
    Ping,
    /// Answers a PING.
    Pong,
    /// INFO, +OK and -ERR: a server sends them; from a client they mean nothing.
    Ignored,
    /// PUB or HPUB.
    Pub(Publish<'a>),
    /// Subscribes.
    Sub {
        /// What to; it may have wildcards, and nothing is checked yet.
        subject: &'a [u8],
        /// The group whose members share the messages.
        queue: Option<&'a [u8]>,
        /// The client's name for the subscription.
        sid: &'a [u8],
    },
    /// Ends a subscription.
    Unsub {
        /// The client's name for the subscription.
        sid: &'a [u8],
        /// After so many messages in all, never 0; at once if `None`.
        max: Option<u64>,
    },
}

/// A message of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Where it goes; nothing is checked yet.
    pub subject: &'a [u8],
    /// Where answers go.
    pub reply: Option<&'a [u8]>,
    /// The block of headers for [`headers`](super::headers::headers); empty for PUB.
    pub headers: &'a [u8],
    /// What follows the headers.
    pub payload: &'a [u8],
}

/// How large an op may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a line between the blank after its verb and its CR LF.
    pub control_line_max: usize,
    /// Bytes of headers and payload together.
    pub payload_max: usize,
}

/// What [`parse`] found at the front of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// An op.
    Op {
        /// The op.
        op: Op<'a>,
        /// How many bytes it took.
        length: usize,
    },
    /// Not a whole op yet.
    Incomplete {
        /// So many bytes are needed, counted from the start of the op: more than there are. Once
        /// the line of a PUB is there, the exact length of the op.
        needed: usize,
    },
}

/// Finds the op at the front of `bytes`. The caller takes `length` bytes away and asks again until
/// it gets [`Parsed::Incomplete`]; then it asks again with the same bytes and more.
///
/// # Errors
/// What is wrong with the op, as soon as the bytes show it. Nothing can be parsed after it.
#[inline]
pub fn parse<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Parsed<'a>, Violation> {
    // Nearly every op is a PUB, so it does not wait for the others.
    if let [b'P' | b'p', b'U' | b'u', b'B' | b'b', b' ' | b'\t', ..] = bytes {
        return parse_pub(bytes, limits);
    }
    parse_other(bytes, limits)
}

#[derive(Clone, Copy)]
enum Verb {
    Connect,
    Ping,
    Pong,
    Pub,
    HPub,
    Sub,
    Unsub,
    Info,
    Ok,
    Err,
}

const VERBS: [(&[u8], Verb); 10] = [
    (b"PUB", Verb::Pub),
    (b"HPUB", Verb::HPub),
    (b"SUB", Verb::Sub),
    (b"UNSUB", Verb::Unsub),
    (b"PING", Verb::Ping),
    (b"PONG", Verb::Pong),
    (b"CONNECT", Verb::Connect),
    (b"INFO", Verb::Info),
    (b"+OK", Verb::Ok),
    (b"-ERR", Verb::Err),
];

fn parse_other<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Parsed<'a>, Violation> {
    let Some((text, verb)) = find_verb(bytes)? else {
        return Ok(one_more(bytes));
    };
    let after = text.len();
    let Some(&next) = bytes.get(after) else {
        return Ok(one_more(bytes));
    };
    match verb {
        Verb::Ping => parse_bare(bytes, after, Op::Ping, limits),
        Verb::Pong => parse_bare(bytes, after, Op::Pong, limits),
        Verb::Ok => parse_bare(bytes, after, Op::Ignored, limits),
        Verb::Connect => parse_text(bytes, after, Op::Connect, limits),
        Verb::Info => parse_text(bytes, after, |_| Op::Ignored, limits),
        _ if !is_blank(next) => Err(Violation::UnknownProtocolOperation),
        Verb::Err => parse_text(bytes, after, |_| Op::Ignored, limits),
        Verb::Pub => parse_pub(bytes, limits),
        Verb::HPub => parse_hpub(bytes, limits),
        Verb::Sub => parse_sub(bytes, limits),
        Verb::Unsub => parse_unsub(bytes, limits),
    }
}

/// The verb that `bytes` start with in any case; `None` if they are too few to tell.
fn find_verb(bytes: &[u8]) -> Result<Option<(&'static [u8], Verb)>, Violation> {
    let mut may_become_one = false;
    for (text, verb) in VERBS {
        let there = text.len().min(bytes.len());
        if bytes[..there].eq_ignore_ascii_case(&text[..there]) {
            if there == text.len() {
                return Ok(Some((text, verb)));
            }
            may_become_one = true;
        }
    }
    if may_become_one {
        Ok(None)
    } else {
        Err(Violation::UnknownProtocolOperation)
    }
}

#[inline]
fn parse_pub<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Parsed<'a>, Violation> {
    let Some(arguments) = Arguments::<3>::read(bytes, 4, limits)? else {
        return Ok(one_more(bytes));
    };
    let (subject, reply, size) = match *arguments.tokens() {
        [subject, size] => (subject, None, size),
        [subject, reply, size] => (subject, Some(reply), size),
        _ => return Err(Violation::ParserError),
    };
    let size = read_size(size)?;
    take_payload(bytes, arguments.line_length, size, limits, |body| Publish {
        subject,
        reply,
        headers: &[],
        payload: body,
    })
}

fn parse_hpub<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Parsed<'a>, Violation> {
    let Some(arguments) = Arguments::<4>::read(bytes, 5, limits)? else {
        return Ok(one_more(bytes));
    };
    let (subject, reply, headers, size) = match *arguments.tokens() {
        [subject, headers, size] => (subject, None, headers, size),
        [subject, reply, headers, size] => (subject, Some(reply), headers, size),
        _ => return Err(Violation::ParserError),
    };
    let (headers, size) = (read_size(headers)?, read_size(size)?);
    if headers > size {
        return Err(Violation::ParserError);
    }
    take_payload(bytes, arguments.line_length, size, limits, |body| Publish {
        subject,
        reply,
        headers: &body[..headers],
        payload: &body[headers..],
    })
}

/// Takes `size` bytes and their CR LF after a line.
#[inline]
fn take_payload<'a>(
    bytes: &'a [u8],
    line_length: usize,
    size: usize,
    limits: &Limits,
    publish: impl FnOnce(&'a [u8]) -> Publish<'a>,
) -> Result<Parsed<'a>, Violation> {
    if size > limits.payload_max {
        return Err(Violation::MaximumPayload);
    }
    let end = line_length + size;
    let length = end + 2;
    match bytes.get(end..length.min(bytes.len())) {
        Some(b"\r\n") => Ok(Parsed::Op {
            op: Op::Pub(publish(&bytes[line_length..end])),
            length,
        }),
        None | Some(b"" | b"\r") => Ok(Parsed::Incomplete { needed: length }),
        Some(_) => Err(Violation::UnknownProtocolOperation),
    }
}

fn parse_sub<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Parsed<'a>, Violation> {
    let Some(arguments) = Arguments::<3>::read(bytes, 4, limits)? else {
        return Ok(one_more(bytes));
    };
    let (subject, queue, sid) = match *arguments.tokens() {
        [subject, sid] => (subject, None, sid),
        [subject, queue, sid] => (subject, Some(queue), sid),
        _ => return Err(Violation::ParserError),
    };
    Ok(Parsed::Op {
        op: Op::Sub {
            subject,
            queue,
            sid,
        },
        length: arguments.line_length,
    })
}

fn parse_unsub<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Parsed<'a>, Violation> {
    let Some(arguments) = Arguments::<2>::read(bytes, 6, limits)? else {
        return Ok(one_more(bytes));
    };
    let (sid, max) = match *arguments.tokens() {
        [sid] => (sid, 0),
        [sid, max] => (sid, read_max(max)?),
        _ => return Err(Violation::ParserError),
    };
    Ok(Parsed::Op {
        op: Op::Unsub {
            sid,
            max: (max > 0).then_some(max),
        },
        length: arguments.line_length,
    })
}

/// A verb that has nothing but blanks after it.
fn parse_bare<'a>(
    bytes: &'a [u8],
    after: usize,
    op: Op<'a>,
    limits: &Limits,
) -> Result<Parsed<'a>, Violation> {
    let Some(arguments) = Arguments::<0>::read(bytes, after, limits)? else {
        return Ok(one_more(bytes));
    };
    Ok(Parsed::Op {
        op,
        length: arguments.line_length,
    })
}

/// A verb that has any text after it.
fn parse_text<'a>(
    bytes: &'a [u8],
    start: usize,
    op: impl FnOnce(&'a [u8]) -> Op<'a>,
    limits: &Limits,
) -> Result<Parsed<'a>, Violation> {
    // The blank after the verb is no part of what is limited.
    let start = start + usize::from(bytes.get(start).copied().is_some_and(is_blank));
    let line = window(bytes, start, limits);
    let Some(end) = line[start..].iter().position(|&byte| byte == b'\n') else {
        check_room(bytes, start, limits)?;
        return Ok(one_more(bytes));
    };
    let text = line[start..start + end]
        .strip_suffix(b"\r")
        .ok_or(Violation::UnknownProtocolOperation)?;
    Ok(Parsed::Op {
        op: op(text.trim_ascii()),
        length: start + end + 1,
    })
}

/// The arguments of a line, at most `N`, and where the line ends.
struct Arguments<'a, const N: usize> {
    tokens: [&'a [u8]; N],
    count: usize,
    /// Bytes of the line, verb and CR LF included.
    line_length: usize,
}

impl<'a, const N: usize> Arguments<'a, N> {
    /// Reads the arguments from `start` on; `None` if the line does not end yet.
    #[inline]
    fn read(bytes: &'a [u8], start: usize, limits: &Limits) -> Result<Option<Self>, Violation> {
        let line = window(bytes, start, limits);
        let mut tokens = [[].as_slice(); N];
        let (mut count, mut at) = (0, start);
        while let Some(&byte) = line.get(at) {
            match byte {
                b' ' | b'\t' => at += 1,
                b'\r' => {
                    return match line.get(at + 1) {
                        Some(b'\n') => Ok(Some(Self {
                            tokens,
                            count,
                            line_length: at + 2,
                        })),
                        Some(_) => Err(Violation::UnknownProtocolOperation),
                        None => check_room(bytes, start, limits).map(|()| None),
                    };
                }
                b'\n' => return Err(Violation::UnknownProtocolOperation),
                _ => {
                    let length = line[at..].iter().position(|&byte| ends_token(byte));
                    let end = length.map_or(line.len(), |length| at + length);
                    *tokens.get_mut(count).ok_or(Violation::ParserError)? = &line[at..end];
                    count += 1;
                    at = end;
                }
            }
        }
        check_room(bytes, start, limits).map(|()| None)
    }

    #[inline]
    fn tokens(&self) -> &[&'a [u8]] {
        &self.tokens[..self.count]
    }
}

/// As much of `bytes` as a line whose arguments start at `start` may take, so that what is wrong
/// with it does not depend on the pieces it comes in.
#[inline]
fn window<'a>(bytes: &'a [u8], start: usize, limits: &Limits) -> &'a [u8] {
    let end = start
        .saturating_add(limits.control_line_max)
        .saturating_add(2);
    &bytes[..bytes.len().min(end)]
}

/// Checks that a line that has not ended may still end within the limit.
#[inline]
fn check_room(bytes: &[u8], start: usize, limits: &Limits) -> Result<(), Violation> {
    if bytes.len().saturating_sub(start) > limits.control_line_max.saturating_add(1) {
        return Err(Violation::MaximumControlLine);
    }
    Ok(())
}

fn one_more(bytes: &[u8]) -> Parsed<'static> {
    Parsed::Incomplete {
        needed: bytes.len() + 1,
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn ends_token(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// A length of 1 to 9 digits, as nats-server takes them: no larger payload exists.
#[inline]
fn read_size(digits: &[u8]) -> Result<usize, Violation> {
    if !(1..=9).contains(&digits.len()) {
        return Err(Violation::ParserError);
    }
    digits.iter().try_fold(0, |value: usize, &byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit < 10)
            .then(|| value * 10 + usize::from(digit))
            .ok_or(Violation::ParserError)
    })
}

fn read_max(digits: &[u8]) -> Result<u64, Violation> {
    let is_number = digits.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(digits).map_err(|_| Violation::ParserError)?;
    match text.parse() {
        Ok(max) if is_number => Ok(max),
        _ => Err(Violation::ParserError),
    }
}

#[cfg(test)]
#[path = "op_tests.rs"]
mod tests;
