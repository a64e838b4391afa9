//! What a client says first in HTTP, and what it is told.

use super::{is_end, send_all};
use crate::broker::{Broker, DEADLINE};
use crate::random::Random;
use sha1::{Digest, Sha1};
use std::io::Read;
use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};

/// The host that requests name; what the broker compares an Origin with.
pub const HOST: &str = "broker.test:8000";

/// A request without a body.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
}

/// A response.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Headers in order of arrival, names in lower case.
    pub headers: Vec<(String, String)>,
    /// What follows the head; of a 101 nothing, that is frames.
    pub body: Vec<u8>,
}

impl Request {
    /// A request for a page.
    pub fn plain(method: &str, target: &str) -> Request {
        Request {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: vec![("Host".to_owned(), HOST.to_owned())],
        }
    }

    /// A request for a WebSocket with all that `[RFC6455 4.1]` asks for and no more.
    pub fn upgrade(target: &str) -> Request {
        static KEYS: AtomicU64 = AtomicU64::new(0);
        let key = Random::new(KEYS.fetch_add(1, Ordering::Relaxed)).bytes(16);
        Request::plain("GET", target)
            .with("Upgrade", "websocket")
            .with("Connection", "Upgrade")
            .with("Sec-WebSocket-Key", &base64(&key))
            .with("Sec-WebSocket-Version", "13")
    }

    /// With one more header.
    pub fn with(mut self, name: &str, value: &str) -> Request {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With another value of a header that it has.
    pub fn replaced(self, name: &str, value: &str) -> Request {
        self.without(name).with(name, value)
    }

    /// Without a header that it has.
    pub fn without(mut self, name: &str) -> Request {
        let before = self.headers.len();
        self.headers.retain(|(of, _)| of != name);
        assert!(self.headers.len() < before, "no {name} in {self:?}");
        self
    }

    /// With subprotocols, in the order of preference, comma separated.
    pub fn subprotocols(self, names: &str) -> Request {
        self.with("Sec-WebSocket-Protocol", names)
    }

    /// With an offer of extensions.
    pub fn extensions(self, offer: &str) -> Request {
        self.with("Sec-WebSocket-Extensions", offer)
    }

    /// The head as it is sent.
    pub fn encode(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    /// Sends it on a new connection and reads the response with its body; 101 is not expected.
    pub fn ask(&self, broker: &Broker) -> Response {
        let mut stream = web_stream(broker);
        send_all(&mut stream, &self.encode());
        read_response(&mut stream, self.method == "HEAD")
    }

    /// The value that the response must have in `Sec-WebSocket-Accept`.
    pub fn accept_key(&self) -> String {
        let of_key = |(name, _): &&(String, String)| name == "Sec-WebSocket-Key";
        let (_, key) = self.headers.iter().find(of_key).expect("a key");
        let guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
        base64(&Sha1::digest(format!("{key}{guid}")))
    }
}

impl Response {
    /// The only header of that name.
    ///
    /// # Panics
    /// If there are more.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut of_name = self.headers.iter().filter(|(of, _)| of == name);
        let value = of_name.next().map(|(_, value)| value.as_str());
        assert!(of_name.next().is_none(), "{name} twice in {self:?}");
        value
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a page is UTF-8")
    }

    /// Checks that it refuses with this status and a reason in words a person can read.
    #[track_caller]
    pub fn assert_refuses(&self, status: u16) -> &str {
        assert_eq!(self.status, status, "{self:?}");
        let kind = self.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("text/plain"), "{self:?}");
        assert!(!self.body.is_empty(), "no reason: {self:?}");
        self.text()
    }

    /// The head that `bytes` start with, and its length.
    pub(super) fn decode(bytes: &[u8]) -> Option<(Response, usize)> {
        let length = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&bytes[..length]).expect("a head is text");
        let mut lines = head.split("\r\n");
        let status = lines.next().expect("a status line");
        let status = status.strip_prefix("HTTP/1.1 ").expect(status);
        let (status, words) = status.split_once(' ').expect("a reason phrase");
        assert!(!words.is_empty(), "no reason phrase: {head}");
        let header = |line: &str| {
            let (name, value) = line.split_once(": ").expect("a header");
            (name.to_ascii_lowercase(), value.to_owned())
        };
        let response = Response {
            status: status.parse().expect("a number"),
            headers: lines.map(header).collect(),
            body: Vec::new(),
        };
        Some((response, length + 4))
    }
}

/// A new connection to the WebSocket listener, on which nothing was said yet.
pub fn web_stream(broker: &Broker) -> TcpStream {
    let address = (Ipv4Addr::LOCALHOST, broker.web_socket_address().port());
    let stream = TcpStream::connect(address).expect("the broker accepts");
    stream.set_nodelay(true).expect("nodelay");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    stream
}

/// Reads a response that closes the connection, with its body.
#[track_caller]
pub fn read_response(stream: &mut TcpStream, is_head: bool) -> Response {
    let mut bytes = Vec::new();
    loop {
        if let Some((mut response, length)) = Response::decode(&bytes) {
            let said = response.header("content-length").map(str::parse);
            let said = said.map(|said| said.expect("a number"));
            let has_no_body = is_head || response.status == 204;
            let said = if has_no_body { Some(0) } else { said };
            if said.is_some_and(|said: usize| bytes.len() >= length + said) {
                response.body = bytes.split_off(length);
                let body = response.body.len();
                assert_eq!(Some(body), said, "more than was said: {response:?}");
                return response;
            }
            assert_ne!(response.status, 101, "not refused: {response:?}");
        }
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer) {
            Ok(length @ 1..) => bytes.extend_from_slice(&buffer[..length]),
            Ok(0) => panic!("closed after {:?}", bytes.escape_ascii().to_string()),
            Err(error) if is_end(&error) => panic!("reset after {bytes:?}"),
            Err(error) => panic!("no response: {error}, {bytes:?}"),
        }
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let six = usize::try_from(bits >> (18 - 6 * digit) & 63).expect("six bits");
            let is_padding = digit > three.len();
            text.push(if is_padding {
                '='
            } else {
                char::from(DIGITS[six])
            });
        }
    }
    text
}

#[test]
fn rfc6455_1_3_the_example_of_the_accept_key() {
    let request = Request::upgrade("/").replaced("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(request.accept_key(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}
