//! Handshakes of WebSockets as bytes: well-formed ones in any pieces and any style, damaged ones
//! and noise.

use proptest::prelude::*;
use ringbus_protocols::http::origin::{Origin, OriginList};
use ringbus_protocols::http::{
    HEAD_BYTES_MAX, Head, HttpError, Request, Status, parse_head, percent_decode, put_response,
};
use ringbus_protocols::websocket::handshake::{
    accept_key, check, check_response, put_accepted, put_request, wants_upgrade,
};

fn complete(bytes: &[u8]) -> Result<(Request<'_>, usize), String> {
    match parse_head(bytes) {
        Ok(Head::Complete { request, length }) => Ok((request, length)),
        other => Err(format!("{other:?}: {}", bytes.escape_ascii())),
    }
}

/// The request of a client, in the order and the letters that it likes.
fn request() -> impl Strategy<Value = String> {
    let lines = [
        "Host: localhost:8000",
        "Upgrade: websocket",
        "Connection: keep-alive, Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: mqtt, v12.stomp",
        "Origin: http://localhost:8000",
        "User-Agent: a (b; c) d/1.0",
    ];
    let shuffled = Just(lines.to_vec()).prop_shuffle();
    let styles = proptest::collection::vec(0_u8..5, lines.len());
    ("/[a-z/]{0,9}", shuffled, styles).prop_map(|(path, lines, styles)| {
        let lines = lines.into_iter().zip(styles);
        let lines: String = lines.map(|(line, style)| styled(line, style)).collect();
        format!("GET {path} HTTP/1.1\r\n{lines}\r\n")
    })
}

fn styled(line: &str, style: u8) -> String {
    let (name, value) = line.split_once(": ").expect("a header");
    match style {
        0 => format!("{}:{value}\r\n", name.to_uppercase()),
        1 => format!("{}:\t {value} \t\r\n", name.to_lowercase()),
        2 => format!("{line}\n"),
        _ => format!("{line}\r\n"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn requests_of_any_style_are_accepted_at_their_last_byte(text in request()) {
        for split in 0..text.len() {
            prop_assert_eq!(parse_head(&text.as_bytes()[..split]), Ok(Head::Incomplete));
        }
        let (request, length) = complete(text.as_bytes()).expect("a whole head");
        prop_assert_eq!(length, text.len());
        prop_assert!(wants_upgrade(&request));
        prop_assert!(OriginList::default().admits(&request));
        let upgrade = check(&request).expect("a good request");
        prop_assert_eq!(upgrade.accept, accept_key("dGhlIHNhbXBsZSBub25jZQ=="));
        prop_assert_eq!(upgrade.subprotocols().collect::<Vec<_>>(), ["mqtt", "v12.stomp"]);
    }

    /// What is refused early is refused in whole; what is taken is not refused early.
    #[test]
    fn damaged_requests_do_no_harm_and_pieces_do_not_matter(
        text in request(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = text.into_bytes();
        for (index, byte) in damage {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        let whole = parse_head(&bytes);
        let early = (0..bytes.len()).find_map(|split| match parse_head(&bytes[..split]) {
            Ok(Head::Incomplete) => None,
            other => Some(other),
        });
        match (&whole, early) {
            (_, None) => {}
            (whole, Some(early)) => prop_assert_eq!(whole, &early),
        }
        if let Ok(Head::Complete { request, .. }) = whole {
            let _ = check(&request);
            let _ = OriginList::default().admits(&request);
            prop_assert!(request.path().starts_with('/') || request.target == "*");
        }
    }

    #[test]
    fn a_client_takes_the_answer_to_its_own_key_only(
        key in any::<[u8; 16]>(),
        other in any::<[u8; 16]>(),
        subprotocol in proptest::option::of("[a-z.0-9]{1,9}"),
    ) {
        let mut sent = Vec::new();
        put_request(&mut sent, "h", "/", &key, subprotocol.as_deref(), None);
        let (request, length) = complete(&sent).expect("a whole head");
        prop_assert_eq!(length, sent.len());
        let upgrade = check(&request).expect("a good request");
        let chosen = upgrade.subprotocols().next();
        prop_assert_eq!(chosen, subprotocol.as_deref());
        let mut answer = Vec::new();
        put_accepted(&mut answer, &upgrade.accept, chosen, None);
        prop_assert_eq!(check_response(&answer, &key), Ok(Some(answer.len())));
        prop_assert_eq!(check_response(&answer, &other).is_ok(), key == other);
    }

    #[test]
    fn noise_is_refused_or_incomplete(noise in proptest::collection::vec(any::<u8>(), 0..300)) {
        match parse_head(&noise) {
            Ok(Head::Incomplete) => prop_assert!(noise.len() < HEAD_BYTES_MAX),
            Ok(Head::Complete { length, .. }) => prop_assert!(length <= noise.len()),
            Err(HttpError { status, words }) => {
                let mut out = Vec::new();
                put_response(&mut out, status, &[], words.as_bytes());
                prop_assert!(status.code() >= 400 && status != Status::ServerError);
            }
        }
        let _ = check_response(&noise, &[0; 16]);
    }

    #[test]
    fn origins_read_what_they_write(text in "(https?|wss?|[a-z]{1,4}|)(://)?[a-zA-Z.:@/\\[\\]0-9 -]{0,12}") {
        if let Some(origin) = Origin::parse(&text) {
            let written = origin.to_string();
            prop_assert_eq!(Origin::parse(&written), Some(origin.clone()), "{}", written);
            let authority = text.split_once("://").expect("a scheme").1;
            let has_default = ["http", "ws"].iter().any(|scheme| written.starts_with(scheme));
            prop_assert!(origin.is_same(authority) || !has_default);
        }
    }

    #[test]
    fn percent_encoded_text_decodes_to_itself(text in any::<String>(), always in any::<bool>()) {
        let mut encoded = String::new();
        for byte in text.bytes() {
            if always || !byte.is_ascii_alphanumeric() {
                encoded.push_str(&format!("%{byte:02x}"));
            } else {
                encoded.push(char::from(byte));
            }
        }
        let decoded = percent_decode(&encoded);
        prop_assert_eq!(decoded.as_deref(), Ok(text.as_str()));
    }
}
