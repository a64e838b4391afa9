//! Any bytes as WebSocket frames, for a server and for a client: no panic, and pieces mean what
//! the whole means. The first byte chooses the role, the mode and the size of the pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringbus_protocols::websocket::deflate::{Agreed, Inflater};
use ringbus_protocols::websocket::{
    CloseCode, Event, Kind, Limits, Mode, Receiver, Role, Violation,
};

const LIMITS: Limits = Limits {
    message_bytes_max: 700,
    fragments_max: 8,
    takes_text: true,
};

const AGREED: Agreed = Agreed {
    server_bits: 9,
    client_bits: 9,
    server_no_context_takeover: false,
    client_no_context_takeover: false,
};

#[derive(Debug, PartialEq, Eq)]
enum Read {
    Message(Kind, Vec<u8>),
    Control(Event, Vec<u8>),
    Violation(Violation),
    /// What is left at the end of the stream.
    Partial(Vec<u8>),
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, stream)) = bytes.split_first() else {
        return;
    };
    let role = if choice & 1 == 0 {
        Role::Server
    } else {
        Role::Client
    };
    let mode = if choice & 2 == 0 {
        Mode::Messages
    } else {
        Mode::Stream
    };
    let receiver = || match choice & 4 {
        0 => Receiver::new(role, mode),
        _ => Receiver::new(role, mode).with_deflate(&AGREED),
    };
    let size = 1 + usize::from(choice >> 3);
    let whole = read(receiver(), mode, stream, stream.len().max(1));
    assert_eq!(
        whole,
        read(receiver(), mode, stream, size),
        "pieces of {size} change the meaning"
    );
});

fn read(mut receiver: Receiver, mode: Mode, stream: &[u8], size: usize) -> Vec<Read> {
    let (mut all, mut payload, mut inflater) = (Vec::new(), Vec::new(), Inflater::new());
    for mut piece in stream.chunks(size) {
        loop {
            match receiver.read(piece, &mut payload, &LIMITS, &mut inflater) {
                Ok((used, Event::More)) => {
                    assert_eq!(used, piece.len());
                    break;
                }
                Ok((used, Event::Message(kind))) => {
                    assert!(payload.len() <= LIMITS.message_bytes_max);
                    assert!(kind == Kind::Binary || str::from_utf8(&payload).is_ok());
                    all.push(Read::Message(kind, std::mem::take(&mut payload)));
                    piece = &piece[used..];
                }
                Ok((used, event)) => {
                    assert!(receiver.control().len() <= 125);
                    all.push(Read::Control(event, receiver.control().to_vec()));
                    piece = &piece[used..];
                }
                Err(violation) => {
                    assert!(CloseCode::is_valid_on_wire(violation.code.get()));
                    // A part of a message means nothing any more.
                    if mode == Mode::Stream {
                        all.push(Read::Partial(payload));
                    }
                    all.push(Read::Violation(violation));
                    return all;
                }
            }
        }
    }
    all.push(Read::Partial(payload));
    all
}
