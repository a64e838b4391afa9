//! Any bytes as the request that opens a WebSocket, and as the answer to one: no panic, pieces do
//! not change the meaning, and what is accepted is answered so that a client takes it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringbus_protocols::http::origin::{Origin, OriginList};
use ringbus_protocols::http::{Head, HttpError, Request, parse_head, percent_decode, put_response};
use ringbus_protocols::websocket::handshake::{check, put_accepted, read_response, wants_upgrade};

fuzz_target!(|bytes: &[u8]| {
    let _ = read_response(bytes, &[7; 16]);
    let whole = parse_head(bytes);
    match &whole {
        Ok(Head::Incomplete) => {}
        Ok(Head::Complete { request, length }) => {
            assert!(*length <= bytes.len());
            // The head is found at its last byte, not before.
            let early = parse_head(&bytes[..length - 1]);
            assert_eq!(early, Ok(Head::Incomplete));
            assert_eq!(parse_head(&bytes[..*length]), whole);
            check_request(request);
        }
        Err(error) => check_refusal(*error),
    }
    if !matches!(whole, Ok(Head::Complete { .. })) {
        // An end that is refused or incomplete does not make the start complete.
        let start = parse_head(&bytes[..bytes.len() / 2]);
        assert!(!matches!(start, Ok(Head::Complete { .. })));
    }
});

fn check_request(request: &Request<'_>) {
    assert!(request.path().starts_with('/') || request.target == "*");
    assert!(!request.path().contains('?'));
    let _ = percent_decode(request.path());
    check_origin(request);
    let mut out = Vec::new();
    match check(request) {
        Err(refusal) => {
            refusal.put_response(&mut out);
            assert!(out.starts_with(b"HTTP/1.1 4") || out.starts_with(b"HTTP/1.1 5"));
        }
        Ok(upgrade) => {
            assert!(wants_upgrade(request));
            let subprotocol = upgrade.subprotocols().next();
            put_accepted(&mut out, &upgrade.accept, subprotocol, None);
            // Only the key is another one.
            let refused = Err("Sec-WebSocket-Accept does not match the key");
            assert_eq!(read_response(&out, &[7; 16]), refused);
        }
    }
}

/// Nothing strange is admitted unless all are.
fn check_origin(request: &Request<'_>) {
    let none = OriginList::default();
    if request.count("origin") > 0 && none.admits(request) {
        let origin = request.header("origin").and_then(Origin::parse);
        let origin = origin.expect("only a valid origin is admitted");
        assert_eq!(Origin::parse(&origin.to_string()).as_ref(), Some(&origin));
        assert!(origin.is_same(request.host().expect("the same host")));
    }
    let mut all = OriginList::default();
    all.add("*").expect("a star");
    assert!(all.admits(request));
}

fn check_refusal(error: HttpError) {
    assert!(error.status.code() >= 400);
    let mut out = Vec::new();
    put_response(&mut out, error.status, &[], error.words.as_bytes());
}
