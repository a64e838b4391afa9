//! Any bytes as a stream of NATS ops, as subjects, headers and options: no panic, pieces do not
//! change the meaning, and what has a topic or headers comes back from them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringbus_protocols::nats::{
    Limits, Op, Parsed, Publish, Violation, headers, parse, parse_connect, subject,
};
use ringbus_protocols::topic::{TopicFilter, TopicName};

const LIMITS: Limits = Limits {
    control_line_max: 300,
    payload_max: 400,
};

fuzz_target!(|stream: &[u8]| {
    assert_eq!(
        parse_pieces(stream, stream.len().max(1)),
        parse_pieces(stream, 1),
        "pieces change the meaning"
    );
    check_subject(stream);
    check_headers(stream);
    let _ = parse_connect(stream);
});

/// The lengths of the ops when `stream` arrives in pieces of `size` bytes, and the violation that
/// ends it.
fn parse_pieces(stream: &[u8], size: usize) -> (Vec<usize>, Option<Violation>) {
    let (mut start, mut end, mut awaited, mut lengths) = (0, 0, 0, Vec::new());
    while end < stream.len() {
        end = stream.len().min(end + size);
        loop {
            let bytes = &stream[start..end];
            match parse(bytes, &LIMITS) {
                Err(violation) => return (lengths, Some(violation)),
                Ok(Parsed::Incomplete { needed }) => {
                    assert!(needed > bytes.len() && needed >= awaited);
                    awaited = needed;
                    break;
                }
                Ok(Parsed::Op { op, length }) => {
                    assert!(length <= bytes.len() && length >= awaited);
                    check_op(&op);
                    lengths.push(length);
                    (start, awaited) = (start + length, 0);
                }
            }
        }
    }
    (lengths, None)
}

fn check_op(op: &Op<'_>) {
    match *op {
        Op::Connect(json) => drop(parse_connect(json)),
        Op::Pub(publish) => check_publish(&publish),
        Op::Sub { subject, .. } => check_subject(subject),
        Op::Unsub { max, .. } => assert_ne!(max, Some(0)),
        Op::Ping | Op::Pong | Op::Ignored => {}
    }
}

fn check_publish(publish: &Publish<'_>) {
    assert!(publish.headers.len() + publish.payload.len() <= LIMITS.payload_max);
    check_headers(publish.headers);
    for subject in [Some(publish.subject), publish.reply].into_iter().flatten() {
        assert!(!subject.is_empty() && !subject.iter().any(|byte| b" \t\r\n".contains(byte)));
        check_subject(subject);
    }
}

/// What has a topic or a filter is what those are mapped to.
fn check_subject(bytes: &[u8]) {
    let (mut topic, mut filter) = (String::new(), String::new());
    let is_topic = subject::put_topic(bytes, &mut topic).is_ok();
    if is_topic {
        assert!(TopicName::parse(&topic).is_ok());
        let mut back = Vec::new();
        subject::put_subject(&topic, &mut back);
        assert_eq!(back, bytes);
    }
    if subject::put_filter(bytes, &mut filter).is_ok() {
        assert!(TopicFilter::parse(&filter).is_ok());
        let mut back = Vec::new();
        assert!(subject::put_subject_of_filter(&filter, &mut back));
        assert_eq!(back, bytes);
    } else {
        assert!(!is_topic);
    }
    // The other way round: every text that is a topic has a subject.
    if let Ok(text) = str::from_utf8(bytes)
        && let Ok(name) = TopicName::parse(text)
    {
        let (mut there, mut back) = (Vec::new(), String::new());
        subject::put_subject(name.as_str(), &mut there);
        // What is escaped can be longer than a topic, but not what fits here.
        assert!(subject::put_topic(&there, &mut back).is_ok());
        assert_eq!(back, text);
        assert!(subject::matches(&there, &there));
    }
}

/// Headers that can be written are read again.
fn check_headers(block: &[u8]) {
    let Some(all) = headers::headers(block) else {
        return;
    };
    let mut again = Vec::new();
    headers::begin(&mut again);
    let kept: Vec<_> = all
        .filter(|(name, value)| headers::put(&mut again, name, value))
        .collect();
    headers::end(&mut again);
    let read = headers::headers(&again).expect("it starts with the version");
    assert!(read.eq(kept));
}
