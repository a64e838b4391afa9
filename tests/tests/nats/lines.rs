//! What a client must not send, and what it gets for it.

/// What becomes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Open,
    Closed,
}

/// Bytes after CONNECT and a PONG, with headers and neither verbose nor pedantic.
pub(crate) struct Line {
    pub(crate) bytes: Vec<u8>,
    /// The words of the -ERR; none if it is empty.
    pub(crate) words: &'static str,
    pub(crate) end: End,
    pub(crate) peer: Peer,
}

/// What nats-server 2.9 does with the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    Same,
    /// It says nothing, where we say why; the end is the same.
    Silent,
    /// It says nothing, and this becomes of the connection: with our reason to differ.
    Else(End, &'static str),
}

use End::{Closed, Open};
use Peer::{Else, Same, Silent};

const UNKNOWN: &str = "Unknown Protocol Operation";
const PARSER: &str = "Parser Error";
const CONTROL_LINE: &str = "maximum control line exceeded";
const PAYLOAD: &str = "Maximum Payload Violation";
const SUBJECT: &str = "Invalid Subject";
const PUBLISH_SUBJECT: &str = "Invalid Publish Subject";

const CRLF: Peer = Else(
    Open,
    "a line ends in CR LF: two readings of one stream are an attack",
);
const NO_TOPIC: Peer = Else(
    Open,
    "subjects are topics, and this one has none: a wildcard or NUL within a level, or no UTF-8",
);
const NOT_FORWARDED: Peer = Else(
    Open,
    "it forwards blocks of headers unread and subjects unchecked: subscribers would choke on them",
);

fn line(bytes: impl AsRef<[u8]>, words: &'static str, end: End, peer: Peer) -> Line {
    let bytes = bytes.as_ref().to_vec();
    Line {
        bytes,
        words,
        end,
        peer,
    }
}

/// All of them.
pub(crate) fn all() -> Vec<Line> {
    [
        verbs(),
        lengths(),
        bounds(),
        subjects(),
        line_ends(),
        arguments(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn verbs() -> Vec<Line> {
    let all: [&[u8]; 11] = [
        b"BOGUS\r\n",
        b"PUBX a 1\r\nx\r\n",
        b"\r\n",
        b"G",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00\r\n",
        b"\x00\r\n",
        b"\xff\xfe\r\n",
        b"MSG a 1 1\r\nx\r\n",
        b"PUB\r\n",
        b"SUB\r\n",
    ];
    all.map(|bytes| line(bytes, UNKNOWN, Closed, Same)).into()
}

fn lengths() -> Vec<Line> {
    let wrong = [
        "PUB a 2\r\nhello\r\n",
        "PUB a 9\r\nhello\r\nPING\r\n",
        "PUB a 5\r\nhelloXX",
        "PUB a 5\r\nhello\n\n",
        "HPUB a 12 14\r\nNATS/1.0\r\n\r\nhello\r\n",
    ];
    let none = [
        "PUB a -1\r\n",
        "PUB a -0\r\n",
        "PUB a +1\r\nx\r\n",
        "PUB a 99999999999999999999\r\n",
        "PUB a 18446744073709551617\r\nx\r\n",
        "PUB a 1e3\r\n",
        "PUB a 0x1\r\n",
        "PUB a x\r\n",
        "HPUB a 99999999999999999999 99999999999999999999\r\n",
        "HPUB a -1 1\r\n",
        "HPUB a 20 12\r\nNATS/1.0\r\n\r\n\r\n",
    ];
    let wrong = wrong.map(|bytes| line(bytes, UNKNOWN, Closed, Same));
    let none = none.map(|bytes| line(bytes, PARSER, Closed, Silent));
    wrong.into_iter().chain(none).collect()
}

fn bounds() -> Vec<Line> {
    let of = |length: usize| "a".repeat(length);
    vec![
        // 4,096 bytes after the verb and its blank, and one more.
        line(format!("SUB {} 1\r\n", of(4094)), "", Open, Same),
        line(
            format!("SUB {} 1\r\n", of(4095)),
            CONTROL_LINE,
            Closed,
            Same,
        ),
        line(
            format!("PUB {} 1\r\n", of(5000)),
            CONTROL_LINE,
            Closed,
            Same,
        ),
        // Though its end is not there yet.
        line(format!("PUB {}", of(5000)), CONTROL_LINE, Closed, Same),
        line(
            format!("UNSUB {}\r\n", of(5000)),
            CONTROL_LINE,
            Closed,
            Same,
        ),
        line(
            format!("CONNECT {{\"name\":\"{}\"}}\r\n", of(5000)),
            CONTROL_LINE,
            Closed,
            Same,
        ),
        // Though nothing of it is there yet.
        line("PUB a 100000000\r\n", PAYLOAD, Closed, Same),
        line("HPUB a 12 100000000\r\n", PAYLOAD, Closed, Same),
    ]
}

fn subjects() -> Vec<Line> {
    let bad = ["a..b", ".a", "a.", ".", "a.>.b", ">.a"];
    let bad = bad.map(|subject| line(format!("SUB {subject} 1\r\n"), SUBJECT, Open, Same));
    let no_filter: [&[u8]; 6] = [b"a*.b", b"a>b", b"a.*b", b"a\xff", b"a\x00", b"a%zz"];
    let no_filter = no_filter.map(|subject| {
        let sub = [b"SUB ", subject, b" 1\r\n"].concat();
        line(sub, SUBJECT, Open, NO_TOPIC)
    });
    let no_topic: [&[u8]; 10] = [
        b"a..b",
        b".a",
        b"a.",
        b"a.*",
        b"a.>",
        b">",
        b"a.*b",
        b"a\xff\xfe",
        b"a\x00b",
        b"a%zz",
    ];
    let no_topic = no_topic.map(|subject| {
        let publish = [b"PUB ", subject, b" 1\r\nx\r\n"].concat();
        let unchecked = matches!(subject, b"a..b" | b".a" | b"a." | b"a.*" | b"a.>" | b">");
        let peer = if unchecked { NOT_FORWARDED } else { NO_TOPIC };
        line(publish, PUBLISH_SUBJECT, Open, peer)
    });
    bad.into_iter().chain(no_filter).chain(no_topic).collect()
}

fn line_ends() -> Vec<Line> {
    let lenient = [
        "PING\n",
        "PONG\n",
        "SUB a 1\n",
        "UNSUB 1\n",
        "CONNECT {}\n",
        "PUB a 1\nx\r\n",
        "PING\rX\r\n",
        "SUB a\r1\r\n",
    ];
    let strict = ["PUB a 1\r\nx\n", "PUB a 1\r\nx\r", "PUB a 1\r\nx\rPING\r\n"];
    let strict = strict.map(|bytes| line(bytes, UNKNOWN, Closed, Same));
    let lenient = lenient.map(|bytes| line(bytes, UNKNOWN, Closed, CRLF));
    strict.into_iter().chain(lenient).collect()
}

fn arguments() -> Vec<Line> {
    const SYS: &str =
        "Permissions Violation for Publish: topics below $SYS are for the broker alone";
    const NO_LIMIT: Peer = Else(Open, "it takes a limit that is none for no limit");
    let number = [
        "PUB a\r\n",
        "PUB \r\n",
        "PUB a b c 1\r\nx\r\n",
        "SUB a\r\n",
        "SUB a b c d\r\n",
    ];
    let number = number.map(|bytes| line(bytes, PARSER, Closed, Silent));
    let limits = [
        "UNSUB 1 x\r\n",
        "UNSUB 1 -1\r\n",
        "UNSUB 1 99999999999999999999\r\n",
    ];
    let limits = limits.map(|bytes| line(bytes, PARSER, Closed, NO_LIMIT));
    let json = [
        "CONNECT {\r\n",
        "CONNECT\r\n",
        "CONNECT []\r\n",
        "CONNECT {\"verbose\":\"y\"}\r\n",
    ];
    let json = json.map(|bytes| line(bytes, PARSER, Closed, Silent));
    let others = [
        line("UNSUB 1 2 3\r\n", PARSER, Closed, Silent),
        line("UNSUB nothing\r\n", "", Open, Same),
        line("SUB a 1\r\nSUB b 1\r\n", "", Open, Same),
        line("PONG\r\nPONG\r\n", "", Open, Same),
        line("INFO {}\r\n+OK\r\n", "", Open, Same),
        line(
            "-ERR 'x'\r\n",
            "",
            Open,
            Else(Closed, "a client's complaint ends nothing here"),
        ),
        line("HPUB a 2 2\r\nhi\r\n", PARSER, Closed, NOT_FORWARDED),
        line(
            "HPUB a 12 12\r\nNATS/2.0\r\n\r\n\r\n",
            PARSER,
            Closed,
            NOT_FORWARDED,
        ),
        line(
            "PUB $SYS.x 1\r\nx\r\n",
            SYS,
            Open,
            Else(Open, "its $SYS is in another account"),
        ),
        line(
            "CONNECT {\"protocol\":9}\r\n",
            "invalid client protocol",
            Closed,
            Same,
        ),
        line(
            "CONNECT {\"no_responders\":true,\"headers\":false}\r\n",
            "no responders requires headers support",
            Closed,
            Same,
        ),
    ];
    let all = number.into_iter().chain(limits).chain(json);
    all.chain(others).collect()
}
