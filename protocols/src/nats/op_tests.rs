use super::*;

const LIMITS: Limits = Limits {
    control_line_max: 40,
    payload_max: 1000,
};

fn op(bytes: &[u8]) -> Op<'_> {
    match parse(bytes, &LIMITS) {
        Ok(Parsed::Op { op, length }) if length == bytes.len() => op,
        other => panic!("{} is {other:?}", bytes.escape_ascii()),
    }
}

fn publish<'a>(reply: Option<&'a [u8]>, headers: &'a [u8], payload: &'a [u8]) -> Op<'a> {
    Op::Pub(Publish {
        subject: b"a.b",
        reply,
        headers,
        payload,
    })
}

#[test]
fn verbs_have_no_case_and_blanks_come_in_runs() {
    assert_eq!(op(b"PING\r\n"), Op::Ping);
    assert_eq!(op(b"pInG \t\r\n"), Op::Ping);
    assert_eq!(op(b"pong\r\n"), Op::Pong);
    assert_eq!(op(b"CONNECT {}\r\n"), Op::Connect(b"{}"));
    assert_eq!(op(b"connect{ } \r\n"), Op::Connect(b"{ }"));
    for ignored in [b"+ok\r\n".as_slice(), b"INFO {}\r\n", b"-ERR 'x y'\r\n"] {
        assert_eq!(op(ignored), Op::Ignored);
    }
    assert_eq!(op(b"PUB a.b 2\r\nhi\r\n"), publish(None, b"", b"hi"));
    assert_eq!(op(b"pub\ta.b  2 \r\nhi\r\n"), publish(None, b"", b"hi"));
    assert_eq!(op(b"Pub a.b r 0\r\n\r\n"), publish(Some(b"r"), b"", b""));
    assert_eq!(
        op(b"HPUB a.b 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"),
        publish(None, b"NATS/1.0\r\n\r\n", b"hi")
    );
    assert_eq!(
        op(b"hpub  a.b r 12 12\r\nNATS/1.0\r\n\r\n\r\n"),
        publish(Some(b"r"), b"NATS/1.0\r\n\r\n", b"")
    );
    let sub = |queue| Op::Sub {
        subject: b"a.>",
        queue,
        sid: b"7",
    };
    assert_eq!(op(b"SUB a.> 7\r\n"), sub(None));
    assert_eq!(op(b"sub a.>\tq 7\r\n"), sub(Some(b"q")));
    let unsub = |max| Op::Unsub { sid: b"7", max };
    assert_eq!(op(b"UNSUB 7\r\n"), unsub(None));
    assert_eq!(op(b"UNSUB 7 0\r\n"), unsub(None));
    assert_eq!(op(b"unsub 7 5\r\n"), unsub(Some(5)));
    assert_eq!(
        op(b"UNSUB 7 18446744073709551615\r\n"),
        unsub(Some(u64::MAX))
    );
}

#[test]
fn violations_are_named() {
    use Violation::{MaximumControlLine, MaximumPayload, ParserError, UnknownProtocolOperation};
    for (bytes, violation) in [
        (b"X".as_slice(), UnknownProtocolOperation),
        (b"\r\n", UnknownProtocolOperation),
        (b" PING\r\n", UnknownProtocolOperation),
        (b"PUX", UnknownProtocolOperation),
        (b"PUBx", UnknownProtocolOperation),
        (b"SUB\r\n", UnknownProtocolOperation),
        (b"MSG a 1 0\r\n\r\n", UnknownProtocolOperation),
        (b"GET / HTTP/1.1\r\n", UnknownProtocolOperation),
        (b"PING\n", UnknownProtocolOperation),
        (b"PING\rx", UnknownProtocolOperation),
        (b"PING x\r\n", ParserError),
        (b"PINGS\r\n", ParserError),
        (b"CONNECT {}\n", UnknownProtocolOperation),
        (b"PUB a 2\nhi\n", UnknownProtocolOperation),
        (b"PUB a 2\r\nhi\n", UnknownProtocolOperation),
        (b"PUB a 2\r\nhi\rx", UnknownProtocolOperation),
        (b"PUB a 1\r\nhi\r\n", UnknownProtocolOperation),
        (b"PUB a 3\r\nhi\r\n", UnknownProtocolOperation),
        (b"PUB \r\n", ParserError),
        (b"PUB a\r\n", ParserError),
        (b"PUB a b c 1\r\n", ParserError),
        (b"PUB a -1\r\n", ParserError),
        (b"PUB a +1\r\n", ParserError),
        (b"PUB a 1x\r\n", ParserError),
        (b"PUB a 0x1\r\n", ParserError),
        (b"PUB a 18446744073709551616\r\n", ParserError),
        (b"PUB a 99999999999999999999\r\n", ParserError),
        (b"PUB a 0000000001\r\n", ParserError),
        (b"PUB a 1001\r\n", MaximumPayload),
        (b"PUB a 999999999\r\n", MaximumPayload),
        (b"HPUB a 5\r\n", ParserError),
        (b"HPUB a 6 5\r\n", ParserError),
        (b"HPUB a -1 5\r\n", ParserError),
        (b"HPUB a r x 1 5\r\n", ParserError),
        (b"HPUB a 12 1001\r\n", MaximumPayload),
        (b"SUB a\r\n", ParserError),
        (b"SUB a b c d\r\n", ParserError),
        (b"UNSUB \r\n", ParserError),
        (b"UNSUB 1 -1\r\n", ParserError),
        (b"UNSUB 1 +1\r\n", ParserError),
        (b"UNSUB 1 x\r\n", ParserError),
        (b"UNSUB 1 1 1\r\n", ParserError),
        (b"UNSUB 1 18446744073709551616\r\n", ParserError),
    ] {
        let parsed = parse(bytes, &LIMITS);
        assert_eq!(parsed, Err(violation), "{}", bytes.escape_ascii());
    }
    for verb in ["PUB", "HPUB", "SUB", "UNSUB", "CONNECT", "INFO", "-ERR"] {
        for filler in ["x", " "] {
            let long = format!("{verb} {}", filler.repeat(42));
            let parsed = parse(long.as_bytes(), &LIMITS);
            assert_eq!(parsed, Err(MaximumControlLine), "{long}");
        }
    }
}

#[test]
fn the_line_may_be_as_long_as_the_limit() {
    let line = format!("SUB {} 7\r\n", "x".repeat(38));
    op(line.as_bytes());
    let line = format!("SUB {} 7\r\n", "x".repeat(39));
    let parsed = parse(line.as_bytes(), &LIMITS);
    assert_eq!(parsed, Err(Violation::MaximumControlLine));
    let text = format!("CONNECT {}\r\n", "x".repeat(40));
    op(text.as_bytes());
    let text = format!("CONNECT {}\r\n", "x".repeat(41));
    let parsed = parse(text.as_bytes(), &LIMITS);
    assert_eq!(parsed, Err(Violation::MaximumControlLine));
}

#[test]
fn every_prefix_of_an_op_asks_for_more() {
    for bytes in [
        b"CONNECT {}\r\n".as_slice(),
        b"PING\r\n",
        b"+OK\r\n",
        b"-ERR 'x'\r\n",
        b"SUB a.* q 7\r\n",
        b"UNSUB 7 5\r\n",
        b"PUB a.b r 5\r\nhello\r\n",
        b"HPUB a.b r 12 17\r\nNATS/1.0\r\n\r\nhello\r\n",
    ] {
        op(bytes);
        let line = bytes
            .iter()
            .position(|&byte| byte == b'\n')
            .expect("a line")
            + 1;
        for end in 0..bytes.len() {
            let Ok(Parsed::Incomplete { needed }) = parse(&bytes[..end], &LIMITS) else {
                panic!("{} is whole", bytes[..end].escape_ascii());
            };
            let expected = if end < line { end + 1 } else { bytes.len() };
            assert_eq!(needed, expected);
        }
    }
}
