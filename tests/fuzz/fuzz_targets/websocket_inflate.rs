//! Any bytes as compressed messages: no panic and no more output than allowed, whatever the
//! pieces; and as messages to compress, by connections that steal each other's compressor: a
//! client inflates what was sent.
//!
//! The first byte chooses the windows, the second the lengths of the messages.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringbus_protocols::websocket::deflate::{Agreed, Deflaters, Inflater, negotiate};
use ringbus_protocols::websocket::frame::{put_frame, put_masked};
use ringbus_protocols::websocket::{Event, Kind, Limits, Mode, Opcode, Receiver, Role};

const LIMITS: Limits = Limits {
    message_bytes_max: 5000,
    fragments_max: 8,
    takes_text: true,
};

fuzz_target!(|bytes: &[u8]| {
    let [choice, length, rest @ ..] = bytes else {
        return;
    };
    let agreed = Agreed {
        server_bits: 9 + choice % 7,
        client_bits: 8 + choice % 8,
        server_no_context_takeover: choice & 0x40 != 0,
        client_no_context_takeover: choice & 0x80 != 0,
    };
    let messages: Vec<_> = rest.chunks(1 + usize::from(*length)).collect();
    let whole = inflate(&messages, &agreed, usize::MAX);
    assert_eq!(
        whole,
        inflate(&messages, &agreed, 7),
        "pieces change the meaning"
    );
    deflate(&messages, &agreed);
    if let Ok(text) = str::from_utf8(rest) {
        check_negotiation(text);
    }
});

/// What a server reads when clients send this as compressed messages, and the code that ends it.
fn inflate(messages: &[&[u8]], agreed: &Agreed, size: usize) -> (Vec<Vec<u8>>, Option<u16>) {
    let mut stream = Vec::new();
    for message in messages {
        put_masked(
            &mut stream,
            Opcode::Binary,
            true,
            true,
            [1, 2, 3, 4],
            message,
        );
    }
    let mut receiver = Receiver::new(Role::Server, Mode::Messages).with_deflate(agreed);
    let (mut read, mut payload, mut inflater) = (Vec::new(), Vec::new(), Inflater::new());
    for mut piece in stream.chunks(size.min(stream.len().max(1))) {
        loop {
            match receiver.read(piece, &mut payload, &LIMITS, &mut inflater) {
                Ok((_, Event::More)) => break,
                Ok((used, event)) => {
                    assert_eq!(event, Event::Message(Kind::Binary));
                    assert!(payload.len() <= LIMITS.message_bytes_max);
                    read.push(std::mem::take(&mut payload));
                    piece = &piece[used..];
                }
                Err(violation) => {
                    assert!(payload.capacity() <= LIMITS.message_bytes_max + 1);
                    return (read, Some(violation.code.get()));
                }
            }
        }
    }
    (read, None)
}

/// Three connections with two compressors; each reads what was sent to it.
fn deflate(messages: &[&[u8]], agreed: &Agreed) {
    let mut deflaters = Deflaters::new(2);
    let mut inflater = Inflater::new();
    let receiver = || Receiver::new(Role::Client, Mode::Messages).with_deflate(agreed);
    let mut receivers = [receiver(), receiver(), receiver()];
    for (at, message) in messages.iter().enumerate() {
        let owner = message.first().map_or(at, |&byte| usize::from(byte)) % receivers.len();
        let (mut sent, mut stream, mut payload) = (Vec::new(), Vec::new(), Vec::new());
        deflaters.deflate(owner as u64, agreed, message, &mut sent);
        put_frame(&mut stream, Opcode::Binary, &sent);
        stream[0] |= 0x40;
        let read = receivers[owner].read(&stream, &mut payload, &LIMITS, &mut inflater);
        assert_eq!(read, Ok((stream.len(), Event::Message(Kind::Binary))));
        assert_eq!(&payload, message);
    }
}

/// What is answered to an offer is an answer, and bounds what a connection keeps.
fn check_negotiation(offer: &str) {
    let Some(agreed) = negotiate([offer]) else {
        return;
    };
    assert!(agreed.client_no_context_takeover || agreed.client_bits <= 13);
    let mut out = Vec::new();
    agreed.put_header_value(&mut out);
    let answer = str::from_utf8(&out).expect("an answer is text");
    assert_eq!(Agreed::from_answer(answer), Some(agreed));
}
