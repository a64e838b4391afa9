//! The opening handshake, of both sides `[RFC6455 4]`.

use sha1::{Digest, Sha1};

use crate::http::{HttpError, Request, Status, put_header, put_response, visible_text};

/// What the key is joined with before it is hashed `[RFC6455 1.3]`.
const KEY_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A request that can be accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade<'a> {
    /// The `Sec-WebSocket-Accept` of the answer.
    pub accept: [u8; 28],
    subprotocols: Vec<&'a str>,
    extensions: Vec<&'a str>,
}

impl<'a> Upgrade<'a> {
    /// The subprotocols that are offered, the client's favourite first.
    pub fn subprotocols(&self) -> impl Iterator<Item = &'a str> {
        self.subprotocols.iter().copied()
    }

    /// The values of the `Sec-WebSocket-Extensions` headers: each a comma-separated list of
    /// offers, the client's favourite first.
    pub fn extensions(&self) -> impl Iterator<Item = &'a str> {
        self.extensions.iter().copied()
    }
}

/// Why a request cannot be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The status to answer.
    pub status: Status,
    /// What is wrong, in a few words.
    pub words: &'static str,
}

impl Refusal {
    /// Appends the whole answer: the words as plain text, and with 426 the version that is spoken
    /// here `[RFC6455 4.4]`.
    pub fn put_response(&self, out: &mut Vec<u8>) {
        let headers: &[_] = match self.status {
            Status::UpgradeRequired => &[
                ("upgrade", "websocket"),
                ("sec-websocket-version", "13"),
                TEXT,
            ],
            Status::MethodNotAllowed => &[("allow", "GET"), TEXT],
            _ => &[TEXT],
        };
        let body = format!("{}\n", self.words);
        put_response(out, self.status, headers, body.as_bytes());
    }
}

const TEXT: (&str, &str) = ("content-type", "text/plain; charset=utf-8");

impl From<HttpError> for Refusal {
    fn from(HttpError { status, words }: HttpError) -> Self {
        Self { status, words }
    }
}

/// Whether a request is meant to open a WebSocket, well or badly; else it is plain HTTP.
pub fn wants_upgrade(request: &Request<'_>) -> bool {
    request.count("upgrade") > 0 || request.count("sec-websocket-key") > 0
}

/// Checks all that a request must have `[RFC6455 4.2.1]`, except for its Origin.
///
/// # Errors
/// What is missing or wrong: 405 for the method, 505 for HTTP/1.0, 426 for another version of the
/// protocol, 400 for the rest.
pub fn check<'a>(request: &Request<'a>) -> Result<Upgrade<'a>, Refusal> {
    check_http(request)?;
    let bad = |words| refuse(Status::BadRequest, words);
    if !request.has_token("upgrade", "websocket") {
        return bad("the Upgrade header does not name websocket; a proxy may have removed it");
    }
    if !request.has_token("connection", "upgrade") {
        return bad("the Connection header does not name Upgrade; a proxy may have removed it");
    }
    if only(request, "sec-websocket-version") != Some("13") {
        let words = "only version 13 of the WebSocket protocol is spoken here";
        return refuse(Status::UpgradeRequired, words);
    }
    let Some(key) = only(request, "sec-websocket-key").filter(|key| is_key(key)) else {
        return bad("there is not exactly one Sec-WebSocket-Key of 16 bytes in base64");
    };
    let subprotocols: Vec<_> = request.tokens("sec-websocket-protocol").collect();
    if !subprotocols.iter().all(|name| is_token(name)) {
        return bad("a name in Sec-WebSocket-Protocol is malformed");
    }
    Ok(Upgrade {
        accept: accept_key(key),
        subprotocols,
        extensions: request.all("sec-websocket-extensions").collect(),
    })
}

fn check_http(request: &Request<'_>) -> Result<(), Refusal> {
    if request.method != "GET" {
        return refuse(Status::MethodNotAllowed, "a WebSocket is opened with GET");
    }
    if request.is_http_1_0 {
        let words = "a WebSocket is opened with HTTP/1.1";
        return refuse(Status::VersionNotSupported, words);
    }
    if only(request, "host").is_none() {
        let words = "there is not exactly one Host header";
        return refuse(Status::BadRequest, words);
    }
    if request.has_body() {
        let words = "the request has a body";
        return refuse(Status::BadRequest, words);
    }
    Ok(())
}

fn refuse<T>(status: Status, words: &'static str) -> Result<T, Refusal> {
    Err(Refusal { status, words })
}

/// The value of a header that must be there once.
fn only<'a>(request: &Request<'a>, name: &str) -> Option<&'a str> {
    if request.count(name) == 1 {
        request.header(name)
    } else {
        None
    }
}

/// Whether the text is the base64 form of 16 bytes.
fn is_key(text: &str) -> bool {
    text.strip_suffix("==").is_some_and(|digits| {
        digits.len() == 22 && digits.bytes().all(|digit| BASE64.contains(&digit))
    })
}

/// `[RFC9110 5.6.2]`
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// The answer that proves that a server read this `Sec-WebSocket-Key` `[RFC6455 4.2.2]`.
pub fn accept_key(key: &str) -> [u8; 28] {
    let hash = Sha1::new()
        .chain_update(key)
        .chain_update(KEY_SUFFIX)
        .finalize();
    base64(&hash)
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The base64 form of `bytes`, which is `N` characters long `[RFC4648 4]`.
fn base64<const N: usize>(bytes: &[u8]) -> [u8; N] {
    assert_eq!(bytes.len().div_ceil(3) * 4, N, "4 characters for 3 bytes");
    let mut text = [b'='; N];
    for (three, four) in bytes.chunks(3).zip(text.chunks_mut(4)) {
        let byte = |index| u32::from(three.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for (index, character) in four.iter_mut().take(three.len() + 1).enumerate() {
            let digit = (bits >> (18 - 6 * index)) & 63;
            *character = BASE64[usize::try_from(digit).expect("six bits")];
        }
    }
    text
}

fn text(base64: &[u8]) -> &str {
    str::from_utf8(base64).expect("base64 is ASCII")
}

/// Appends the answer that opens the WebSocket. `extensions` is what was agreed on, as in
/// `Sec-WebSocket-Extensions`.
///
/// # Panics
/// If a value has a line break: a bug of the caller.
pub fn put_accepted(
    out: &mut Vec<u8>,
    upgrade_accept: &[u8; 28],
    subprotocol: Option<&str>,
    extensions: Option<&str>,
) {
    out.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\n");
    put_header(out, "upgrade", "websocket");
    put_header(out, "connection", "Upgrade");
    put_header(out, "sec-websocket-accept", text(upgrade_accept));
    put_optional(out, "sec-websocket-protocol", subprotocol);
    put_optional(out, "sec-websocket-extensions", extensions);
    out.extend_from_slice(b"\r\n");
}

/// Appends the request of a client. `target` is path and query; `key` has to be random.
///
/// # Panics
/// If a value has a line break: a bug of the caller.
pub fn put_request(
    out: &mut Vec<u8>,
    host: &str,
    target: &str,
    key: &[u8; 16],
    subprotocol: Option<&str>,
    extensions: Option<&str>,
) {
    let key: [u8; 24] = base64(key);
    out.extend_from_slice(b"GET ");
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    put_header(out, "host", host);
    put_header(out, "upgrade", "websocket");
    put_header(out, "connection", "Upgrade");
    put_header(out, "sec-websocket-version", "13");
    put_header(out, "sec-websocket-key", text(&key));
    put_optional(out, "sec-websocket-protocol", subprotocol);
    put_optional(out, "sec-websocket-extensions", extensions);
    out.extend_from_slice(b"\r\n");
}

fn put_optional(out: &mut Vec<u8>, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        put_header(out, name, value);
    }
}

/// A server's answer that opened the WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted<'a> {
    /// How many bytes the answer took; frames follow.
    pub length: usize,
    /// The subprotocol that the server chose.
    pub subprotocol: Option<&'a str>,
    /// The extensions that the server agreed to.
    pub extensions: Option<&'a str>,
}

/// The client's check of the answer at the front of `bytes` `[RFC6455 4.1]`: how many bytes it
/// took, `None` while it is incomplete. `key` is that of the request.
///
/// # Errors
/// In words, why the WebSocket is not open.
pub fn check_response(bytes: &[u8], key: &[u8; 16]) -> Result<Option<usize>, &'static str> {
    Ok(read_response(bytes, key)?.map(|accepted| accepted.length))
}

/// As [`check_response`], and says what the server chose.
///
/// # Errors
/// As [`check_response`].
pub fn read_response<'a>(
    bytes: &'a [u8],
    key: &[u8; 16],
) -> Result<Option<Accepted<'a>>, &'static str> {
    let mut room = [httparse::EMPTY_HEADER; crate::http::HEADERS_MAX];
    let mut response = httparse::Response::new(&mut room);
    let length = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err("the answer is not HTTP"),
    };
    let value = |name: &str| {
        let mut found = response
            .headers
            .iter()
            .filter(|header| header.name.eq_ignore_ascii_case(name));
        found.next().and_then(|header| visible_text(header.value))
    };
    let key: [u8; 24] = base64(key);
    if response.code != Some(Status::SwitchingProtocols.code()) {
        return Err("the server does not switch protocols");
    }
    if value("upgrade").is_none_or(|upgrade| !upgrade.eq_ignore_ascii_case("websocket")) {
        return Err("the server does not switch to websocket");
    }
    if value("sec-websocket-accept") != Some(text(&accept_key(text(&key)))) {
        return Err("Sec-WebSocket-Accept does not match the key");
    }
    Ok(Some(Accepted {
        length,
        subprotocol: value("sec-websocket-protocol"),
        extensions: value("sec-websocket-extensions"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Head, parse_head};

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const GOOD: &str = "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n\
                        Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                        Sec-WebSocket-Version: 13\r\n\r\n";

    fn request(text: &str) -> Request<'_> {
        match parse_head(text.as_bytes()) {
            Ok(Head::Complete { request, .. }) => request,
            other => panic!("{other:?}: {text:?}"),
        }
    }

    /// The status that refuses the good request after `from` was replaced by `to`.
    fn status_with(from: &str, to: &str) -> u16 {
        assert!(GOOD.contains(from), "{from}");
        let text = GOOD.replacen(from, to, 1);
        check(&request(&text)).map_or_else(|refusal| refusal.status.code(), |_| 101)
    }

    /// `[RFC6455 1.3]`
    #[test]
    fn rfc6455_1_3_the_accept_key_of_the_example() {
        assert_eq!(&accept_key(KEY), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let upgrade = check(&request(GOOD)).expect("a good request");
        assert_eq!(&upgrade.accept, b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(upgrade.subprotocols().count(), 0);
        assert_eq!(upgrade.extensions().count(), 0);
    }

    /// `[RFC4648 10]`
    #[test]
    fn rfc4648_10_base64_pads() {
        assert_eq!(&base64::<4>(b"f"), b"Zg==");
        assert_eq!(&base64::<4>(b"fo"), b"Zm8=");
        assert_eq!(&base64::<8>(b"foobar"), b"Zm9vYmFy");
    }

    /// `[RFC6455 4.2.1]`
    #[test]
    fn rfc6455_4_2_1_everything_must_be_there() {
        for (from, to, status) in [
            ("GET", "POST", 405),
            ("GET", "get", 405),
            ("HTTP/1.1", "HTTP/1.0", 505),
            ("Host: server.example.com\r\n", "", 400),
            ("Host: ", "Host: a\r\nHost: ", 400),
            ("Upgrade: websocket", "Upgrade: WebSocket", 101),
            ("Upgrade: websocket", "Upgrade: h2c, websocket", 101),
            ("Upgrade: websocket", "Upgrade: websocket2", 400),
            ("Upgrade: websocket", "Upgrade: h2c", 400),
            ("Upgrade: websocket\r\n", "", 400),
            (
                "Connection: Upgrade",
                "Connection: keep-alive, uPGRADE",
                101,
            ),
            (
                "Connection: Upgrade",
                "Connection: a\r\nConnection: upgrade",
                101,
            ),
            ("Connection: Upgrade", "Connection: keep-alive", 400),
            ("Connection: Upgrade\r\n", "", 400),
            ("Version: 13", "Version: 12", 426),
            ("Version: 13", "Version: 8", 426),
            ("Version: 13", "Version: 013", 426),
            ("Version: 13", "Version: 13, 8", 426),
            ("Sec-WebSocket-Version: 13\r\n", "", 426),
            ("dGhlIHNhbXBsZSBub25jZQ==", "", 400),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZ===", 400),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZ?==", 400),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZSE=", 400),
            ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j", 400),
            ("dGhlIHNhbXBsZSBub25jZQ==", "+/hlIHNhbXBsZSBub25jZQ==", 101),
            (
                "dGhlIHNhbXBsZSBub25jZQ==",
                "  dGhlIHNhbXBsZSBub25jZQ== ",
                101,
            ),
            (
                "Sec-WebSocket-Key: ",
                "Sec-WebSocket-Key: a\r\nSec-WebSocket-Key: ",
                400,
            ),
            ("Host", "Content-Length: 0\r\nHost", 101),
            ("Host", "Content-Length: 1\r\nHost", 400),
            ("Host", "Transfer-Encoding: chunked\r\nHost", 400),
            ("Host", "Sec-WebSocket-Protocol: a b\r\nHost", 400),
            ("Host", "Sec-WebSocket-Protocol: mqtt\r\nHost", 101),
        ] {
            assert_eq!(status_with(from, to), status, "{from:?} -> {to:?}");
        }
    }

    #[test]
    fn a_bad_upgrade_is_no_plain_request() {
        let wants = |from: &str, to: &str| wants_upgrade(&request(&GOOD.replacen(from, to, 1)));
        assert!(wants("", ""));
        assert!(wants("Upgrade: websocket\r\n", ""));
        assert!(wants("Sec-WebSocket-Key", "X"));
        assert!(!wants_upgrade(&request(
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        )));
    }

    #[test]
    fn offers_are_kept_in_order() {
        let text = GOOD.replacen(
            "Host",
            "Sec-WebSocket-Protocol: mqtt, v12.stomp\r\nSec-WebSocket-Protocol: x\r\n\
             Sec-WebSocket-Extensions: a; b=\"1,2\", c\r\nSec-WebSocket-Extensions: d\r\nHost",
            1,
        );
        let upgrade = check(&request(&text)).expect("a good request");
        let subprotocols: Vec<_> = upgrade.subprotocols().collect();
        assert_eq!(subprotocols, ["mqtt", "v12.stomp", "x"]);
        let extensions: Vec<_> = upgrade.extensions().collect();
        assert_eq!(extensions, ["a; b=\"1,2\", c", "d"]);
    }

    /// `[RFC6455 4.4]`
    #[test]
    fn rfc6455_4_4_a_refused_version_is_answered_with_ours() {
        let mut out = Vec::new();
        let refusal = check(&request(&GOOD.replacen("13", "7", 1))).expect_err("version 7");
        refusal.put_response(&mut out);
        let text = String::from_utf8(out).expect("text");
        assert!(text.starts_with("HTTP/1.1 426 "), "{text}");
        assert!(text.contains("\r\nsec-websocket-version: 13\r\n"), "{text}");
        assert!(
            text.ends_with("\n") && text.contains(refusal.words),
            "{text}"
        );
    }

    /// Both sides of ours, at every split.
    #[test]
    fn a_client_and_a_server_agree() {
        let key = [7; 16];
        let mut out = Vec::new();
        put_request(&mut out, "h:1", "/a?b", &key, Some("mqtt"), Some("x"));
        let sent = String::from_utf8(out).expect("text");
        let request = request(&sent);
        assert_eq!((request.target, request.host()), ("/a?b", Some("h:1")));
        let upgrade = check(&request).expect("a good request");
        let chosen = upgrade.subprotocols().next();
        let mut answer = Vec::new();
        put_accepted(&mut answer, &upgrade.accept, chosen, Some("x; y=1"));
        let length = answer.len();
        for split in 0..length {
            assert_eq!(check_response(&answer[..split], &key), Ok(None));
        }
        answer.push(0x81);
        let accepted = Accepted {
            length,
            subprotocol: Some("mqtt"),
            extensions: Some("x; y=1"),
        };
        assert_eq!(read_response(&answer, &key), Ok(Some(accepted)));
        assert!(check_response(&answer, &[8; 16]).is_err());
    }

    #[test]
    fn other_answers_do_not_open_the_websocket() {
        let mut answer = Vec::new();
        let key: [u8; 24] = base64(&[7; 16]);
        put_accepted(&mut answer, &accept_key(text(&key)), None, None);
        let answer = String::from_utf8(answer).expect("text");
        let refuses = |from: &str, to: &str| {
            assert!(answer.contains(from));
            check_response(answer.replacen(from, to, 1).as_bytes(), &[7; 16]).is_err()
        };
        assert!(!refuses("", ""));
        assert!(refuses("101", "200"));
        assert!(refuses("upgrade: websocket", "upgrade: h2c"));
        assert!(refuses("upgrade: websocket\r\n", ""));
        assert!(refuses("sec-websocket-accept", "x"));
        assert!(refuses("HTTP/1.1", "SSH-2.0"));
    }
}
