//! NATS ops parse the same however they arrive, and as a parser that takes its time would have
//! them.

use proptest::prelude::*;
use ringbus_protocols::nats::{Limits, Op, Parsed, Violation, parse};

const LIMITS: Limits = Limits {
    control_line_max: 64,
    payload_max: 60,
};

/// An op as its verb and its arguments; an argument that is left out is not an empty one.
type Fields = Vec<Option<Vec<u8>>>;

fn fields(op: Op<'_>) -> Fields {
    let some = |bytes: &[u8]| Some(bytes.to_vec());
    match op {
        Op::Connect(text) => vec![some(b"CONNECT"), some(text)],
        Op::Ping => vec![some(b"PING")],
        Op::Pong => vec![some(b"PONG")],
        Op::Ignored => vec![some(b"ignored")],
        Op::Pub(publish) => vec![
            some(b"PUB"),
            some(publish.subject),
            publish.reply.map(<[u8]>::to_vec),
            some(publish.headers),
            some(publish.payload),
        ],
        Op::Sub {
            subject,
            queue,
            sid,
        } => vec![
            some(b"SUB"),
            some(subject),
            queue.map(<[u8]>::to_vec),
            some(sid),
        ],
        Op::Unsub { sid, max } => vec![
            some(b"UNSUB"),
            some(sid),
            max.map(|max| max.to_string().into_bytes()),
        ],
    }
}

/// The ops of a stream that comes in pieces of `size` bytes, and the violation that ends it.
fn parse_pieces(stream: &[u8], size: usize) -> (Vec<Fields>, Option<Violation>) {
    let (mut start, mut end, mut awaited, mut ops) = (0, 0, 0, Vec::new());
    while end < stream.len() {
        end = stream.len().min(end + size);
        loop {
            let bytes = &stream[start..end];
            match parse(bytes, &LIMITS) {
                Err(violation) => return (ops, Some(violation)),
                Ok(Parsed::Incomplete { needed }) => {
                    assert!(needed > bytes.len() && needed >= awaited);
                    awaited = needed;
                    break;
                }
                Ok(Parsed::Op { op, length }) => {
                    assert!(length <= bytes.len() && length >= awaited);
                    ops.push(fields(op));
                    (start, awaited) = (start + length, 0);
                }
            }
        }
    }
    (ops, None)
}

/// How a stream ends for the oracle.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Violation,
    /// The last line or payload is not whole, so that nothing is certain.
    Open,
}

/// Parses the way the protocol is told: a line, its words, then the payload.
fn oracle(mut stream: &[u8]) -> (Vec<Fields>, End) {
    let mut ops = Vec::new();
    loop {
        let Some(end) = stream.iter().position(|&byte| byte == b'\n') else {
            return (ops, End::Open);
        };
        let Some(line) = stream[..end].strip_suffix(b"\r") else {
            return (ops, End::Violation);
        };
        let body = &stream[end + 1..];
        match oracle_op(line, body) {
            None => return (ops, End::Violation),
            Some(None) => return (ops, End::Open),
            Some(Some((op, taken))) => {
                ops.push(op);
                stream = &body[taken..];
            }
        }
    }
}

/// The op of a line and how much of the body it takes; the inner `None` if the body is too short.
fn oracle_op(line: &[u8], body: &[u8]) -> Option<Option<(Fields, usize)>> {
    for (verb, name) in [
        ("CONNECT", "CONNECT"),
        ("INFO", "ignored"),
        ("-ERR ", "ignored"),
        ("-ERR\t", "ignored"),
    ] {
        if line.len() >= verb.len() && line[..verb.len()].eq_ignore_ascii_case(verb.as_bytes()) {
            let text = &line[verb.trim_end().len()..];
            let limited =
                text.len() - usize::from(text.starts_with(b" ") | text.starts_with(b"\t"));
            let mut op = vec![Some(name.as_bytes().to_vec())];
            if name == "CONNECT" {
                op.push(Some(text.trim_ascii().to_vec()));
            }
            return (limited <= LIMITS.control_line_max).then_some(Some((op, 0)));
        }
    }
    if line.contains(&b'\r') || line.starts_with(b" ") || line.starts_with(b"\t") {
        return None;
    }
    let words: Vec<Vec<u8>> = line
        .split(|byte| b" \t".contains(byte))
        .filter(|word| !word.is_empty())
        .map(<[u8]>::to_vec)
        .collect();
    let verb = String::from_utf8(words.first()?.to_ascii_uppercase()).ok()?;
    let has_arguments = matches!(verb.as_str(), "PUB" | "HPUB" | "SUB" | "UNSUB");
    let limited = line.len() - verb.len() - usize::from(has_arguments);
    if limited > LIMITS.control_line_max {
        return None;
    }
    let head = |words: &[Vec<u8>]| words.iter().cloned().map(Some).collect::<Fields>();
    match (verb.as_str(), &words[1..]) {
        ("PING" | "PONG", []) => Some(Some((vec![Some(verb.into_bytes())], 0))),
        ("+OK", []) => Some(Some((vec![Some(b"ignored".to_vec())], 0))),
        ("SUB", [subject, sid]) => {
            let op = [
                head(&[b"SUB".to_vec(), subject.clone()]),
                vec![None, Some(sid.clone())],
            ];
            Some(Some((op.concat(), 0)))
        }
        ("SUB", all @ [_, _, _]) => Some(Some(([head(&[b"SUB".to_vec()]), head(all)].concat(), 0))),
        ("UNSUB", [sid, max @ ..]) if max.len() < 2 => {
            let max = match max.first() {
                Some(max) => number(max, 20)?,
                None => 0,
            };
            let max = (max > 0).then(|| max.to_string().into_bytes());
            Some(Some((
                vec![Some(b"UNSUB".to_vec()), Some(sid.clone()), max],
                0,
            )))
        }
        ("PUB", [subject, reply @ .., size]) if reply.len() < 2 => {
            oracle_publish(subject, reply.first(), 0, number(size, 9)?, body)
        }
        ("HPUB", [subject, reply @ .., headers, size]) if reply.len() < 2 => {
            let (headers, size) = (number(headers, 9)?, number(size, 9)?);
            oracle_publish(subject, reply.first(), headers, size, body)
        }
        _ => None,
    }
}

fn oracle_publish(
    subject: &[u8],
    reply: Option<&Vec<u8>>,
    headers: u64,
    size: u64,
    body: &[u8],
) -> Option<Option<(Fields, usize)>> {
    let (headers, size) = (usize::try_from(headers).ok()?, usize::try_from(size).ok()?);
    if headers > size || size > LIMITS.payload_max {
        return None;
    }
    if body.len() < size + 2 {
        return Some(None);
    }
    let op = vec![
        Some(b"PUB".to_vec()),
        Some(subject.to_vec()),
        reply.cloned(),
        Some(body[..headers].to_vec()),
        Some(body[headers..size].to_vec()),
    ];
    (&body[size..size + 2] == b"\r\n").then_some(Some((op, size + 2)))
}

fn number(digits: &[u8], digits_max: usize) -> Option<u64> {
    let is_number = digits.iter().all(u8::is_ascii_digit) && digits.len() <= digits_max;
    std::str::from_utf8(digits)
        .ok()
        .filter(|_| is_number)?
        .parse()
        .ok()
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "[a-z\r\n ]{0,12}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..70),
    ]
}

fn op() -> impl Strategy<Value = Vec<u8>> {
    let token = "[a-zA-Z0-9.*>_$%]{1,12}";
    let line = prop_oneof![
        "(ping|PONG|Ping|\\+OK|\\+ok)[ \t]{0,2}",
        "(CONNECT|connect|INFO|-ERR)[ \t]{1,2}[{}\":a-z ]{0,70}",
        "(SUB|sub)[ \t]{1,2}[a-z.*>%]{1,9}[ \t]{1,2}([a-zA-Z0-9]{1,9} )?[0-9]{1,3} ?",
        "(UNSUB|Unsub) [0-9a-z]{1,3}( {1,2}[0-9]{1,20})?",
    ];
    let publish = (token, proptest::option::of(token), payload());
    let publish = publish.prop_map(|(subject, reply, payload)| {
        let reply = reply.unwrap_or_default();
        let line = format!("PUB {subject} {reply} {}\r\n", payload.len());
        [line.as_bytes(), &payload, b"\r\n"].concat()
    });
    let with_headers = (token, proptest::option::of(token), payload());
    let with_headers = with_headers.prop_map(|(subject, reply, payload)| {
        let reply = reply.map(|reply| reply + " ").unwrap_or_default();
        let total = payload.len() + 12;
        let line = format!("HPUB {subject} {reply}12 {total}\r\nNATS/1.0\r\n\r\n");
        [line.as_bytes(), &payload, b"\r\n"].concat()
    });
    prop_oneof![
        line.prop_map(|line| (line + "\r\n").into_bytes()),
        publish,
        with_headers,
    ]
}

/// Ops, with a few bytes of them changed, added or taken away.
fn damaged_stream() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        proptest::sample::select(b" \t\r\n0123456789-+PUBSHping.".to_vec()),
        any::<u8>(),
    ];
    let damage = (any::<proptest::sample::Index>(), 0..3, byte);
    let stream = proptest::collection::vec(op(), 0..6);
    let damages = proptest::collection::vec(damage, 0..4);
    (stream, damages).prop_map(|(ops, damages)| {
        let mut stream = ops.concat();
        for (index, kind, byte) in damages {
            let at = index.index(stream.len() + 1);
            match kind {
                0 => stream.insert(at, byte),
                1 if at < stream.len() => stream[at] = byte,
                _ if at < stream.len() => drop(stream.remove(at)),
                _ => {}
            }
        }
        stream
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn streams_parse_as_the_oracle_has_them(stream in damaged_stream()) {
        let (ops, violation) = parse_pieces(&stream, stream.len().max(1));
        let (expected, end) = oracle(&stream);
        prop_assert_eq!(ops, expected);
        prop_assert!(end == End::Open || violation.is_some());
        if violation.is_some() && end == End::Open {
            // Found before the line was whole: then no end of the line makes it right.
            let ends = [b"\r\n".as_slice(), b"\n", b" \r\n", b" 1\r\n", b" 1 0\r\n\r\n", b"B a 0\r\n\r\n"];
            for more in ends {
                let whole = [stream.as_slice(), more].concat();
                let before = oracle(&stream).0.len();
                prop_assert_eq!(oracle(&whole).0.len(), before, "{}", whole.escape_ascii());
            }
        }
    }

    #[test]
    fn pieces_do_not_change_the_meaning(stream in damaged_stream(), size in 1_usize..9) {
        let whole = parse_pieces(&stream, stream.len().max(1));
        prop_assert_eq!(&parse_pieces(&stream, 1), &whole);
        prop_assert_eq!(&parse_pieces(&stream, size), &whole);
    }
}

/// The caller need not look again before all of a large payload is there.
#[test]
fn a_payload_in_pieces_is_asked_for_at_once() {
    let limits = Limits {
        control_line_max: 4096,
        payload_max: 1 << 20,
    };
    let line = b"PUB a 1048576\r\n";
    let parsed = parse(line, &limits);
    let needed = line.len() + (1 << 20) + 2;
    assert_eq!(parsed, Ok(Parsed::Incomplete { needed }));
}
