//! A small blocking WebSocket client for tests, written from RFC 6455 alone. It sends what it is
//! told, right or wrong, and panics if the broker sends what a server must not.

mod deflate;
mod frame;
mod mqtt;
mod request;
mod stomp;

pub use deflate::{Agreed, Deflate};
pub use frame::{BINARY, CLOSE, CONTINUATION, Frame, PING, PONG, RSV1, TEXT, put_head};
pub use mqtt::MqttWire;
pub use request::{HOST, Request, Response, read_response, web_stream};
pub use stomp::{StompClient, StompFrame};

use crate::broker::Broker;
use crate::random::Random;
use std::io::{Error, ErrorKind, Read, Write};
use std::net::TcpStream;

/// An open WebSocket.
pub struct WebClient {
    stream: TcpStream,
    /// Received, but not taken yet.
    input: Vec<u8>,
    response: Response,
    deflate: Option<Deflate>,
    masks: Random,
    has_sent_close: bool,
}

/// A message as received, in one piece and inflated.
#[derive(Clone, PartialEq, Eq)]
pub struct WebMessage {
    /// Whether it is text.
    pub is_text: bool,
    /// What it says.
    pub payload: Vec<u8>,
}

impl WebClient {
    /// Opens a bare topic socket.
    #[track_caller]
    pub fn open(broker: &Broker, target: &str) -> WebClient {
        WebClient::connect(broker, &Request::upgrade(target))
    }

    /// Opens a WebSocket; fails if that is refused, or accepted in a wrong way `[RFC6455 4.1]`.
    #[track_caller]
    pub fn connect(broker: &Broker, request: &Request) -> WebClient {
        let mut stream = web_stream(broker);
        send_all(&mut stream, &request.encode());
        WebClient::accepted(stream, request)
    }

    /// Waits for the 101 of a request that was sent.
    #[track_caller]
    pub fn accepted(stream: TcpStream, request: &Request) -> WebClient {
        let mut client = WebClient {
            stream,
            input: Vec::new(),
            response: Response::default(),
            deflate: None,
            masks: Random::new(1),
            has_sent_close: false,
        };
        let length = loop {
            if let Some((response, length)) = Response::decode(&client.input) {
                client.response = response;
                break length;
            }
            assert!(client.read_more(), "closed: {:?}", client.input);
        };
        client.input.drain(..length);
        client.assert_accepted(request);
        let agreed = client.response.header("sec-websocket-extensions");
        client.deflate = agreed.map(|text| Deflate::new(Agreed::parse(text)));
        client
    }

    #[track_caller]
    fn assert_accepted(&self, request: &Request) {
        let response = &self.response;
        let body = self.input.escape_ascii().to_string();
        assert_eq!(response.status, 101, "{response:?} {body}");
        let value = |name: &str| response.header(name).unwrap_or_default();
        assert!(value("upgrade").eq_ignore_ascii_case("websocket"));
        assert!(value("connection").eq_ignore_ascii_case("upgrade"));
        assert_eq!(value("sec-websocket-accept"), request.accept_key());
        assert_eq!(response.header("content-length"), None);
    }

    /// The response that opened it.
    pub fn response(&self) -> &Response {
        &self.response
    }

    /// Its subprotocol.
    pub fn subprotocol(&self) -> Option<&str> {
        self.response.header("sec-websocket-protocol")
    }

    /// What was agreed about compression.
    pub fn agreed(&self) -> Option<Agreed> {
        self.deflate.as_ref().map(Deflate::agreed)
    }

    /// The connection itself, for what this client does not do.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends a frame, masked.
    pub fn send(&mut self, frame: &Frame) {
        self.send_all(std::slice::from_ref(frame));
    }

    /// Sends frames, masked, in one write.
    pub fn send_all(&mut self, frames: &[Frame]) {
        let bytes = self.encode(frames);
        self.send_bytes(&bytes);
    }

    /// Sends frames, masked, in writes of `size` bytes.
    pub fn send_chopped(&mut self, frames: &[Frame], size: usize) {
        for part in self.encode(frames).chunks(size) {
            self.send_bytes(part);
        }
    }

    /// Frames as they are sent: each masked with a key of its own.
    pub fn encode(&mut self, frames: &[Frame]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for frame in frames {
            self.has_sent_close |= frame.opcode == CLOSE;
            let [a, b, c, d, ..] = self.masks.next_u64().to_le_bytes();
            frame.encode(Some([a, b, c, d]), &mut bytes);
        }
        bytes
    }

    /// Sends a frame that is not masked, which a client must not.
    pub fn send_unmasked(&mut self, frame: &Frame) {
        let mut bytes = Vec::new();
        frame.encode(None, &mut bytes);
        self.send_bytes(&bytes);
    }

    /// Sends bytes as they are. The broker may have closed already, which is not an error here.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        send_all(&mut self.stream, bytes);
    }

    /// Sends a text message.
    pub fn text(&mut self, message: &str) {
        self.send(&Frame::new(TEXT, message));
    }

    /// Sends a binary message.
    pub fn binary(&mut self, message: impl AsRef<[u8]>) {
        self.send(&Frame::new(BINARY, message));
    }

    /// A compressed message in frames of at most `size` bytes.
    pub fn compressed(&mut self, opcode: u8, message: &[u8], size: usize) -> Vec<Frame> {
        let deflate = self.deflate.as_mut().expect("compression was agreed");
        let payload = deflate.compress(message);
        let mut frames = Frame::fragments(opcode, &payload, size);
        frames[0].rsv = RSV1;
        frames
    }

    /// The next frame.
    #[track_caller]
    pub fn receive(&mut self) -> Frame {
        self.receive_or_end().expect("a frame, but it was closed")
    }

    /// The next frame; `None` at the end of the connection.
    #[track_caller]
    pub fn receive_or_end(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, length)) = Frame::decode(&self.input) {
                self.input.drain(..length);
                return Some(frame);
            }
            if !self.read_more() {
                assert_eq!(self.input, b"", "ended inside a frame");
                return None;
            }
        }
    }

    /// The next message; nothing else may come before.
    #[track_caller]
    pub fn message(&mut self) -> WebMessage {
        let first = self.receive();
        let is_data = first.opcode == TEXT || first.opcode == BINARY;
        assert!(is_data, "not a message: {first:?}");
        let (is_text, is_compressed) = (first.opcode == TEXT, first.rsv == RSV1);
        assert!(is_compressed || first.rsv == 0, "reserved bits: {first:?}");
        let (mut payload, mut fin) = (first.payload, first.fin);
        while !fin {
            let next = self.receive();
            assert_eq!((next.opcode, next.rsv), (CONTINUATION, 0), "{next:?}");
            payload.extend_from_slice(&next.payload);
            fin = next.fin;
        }
        if is_compressed {
            let deflate = self.deflate.as_mut().expect("compression was agreed");
            payload = deflate.decompress(&payload);
        }
        if is_text {
            assert!(std::str::from_utf8(&payload).is_ok(), "text is UTF-8");
        }
        WebMessage { is_text, payload }
    }

    /// Checks that the next message is this.
    #[track_caller]
    pub fn expect(&mut self, opcode: u8, payload: impl AsRef<[u8]>) {
        let message = self.message();
        let wanted = WebMessage {
            is_text: opcode == TEXT,
            payload: payload.as_ref().to_vec(),
        };
        // Megabytes in a failure help nobody.
        assert!(message == wanted, "{message:?} instead of {wanted:?}");
    }

    /// Sends a message as it is and waits for its echo.
    #[track_caller]
    pub fn echo(&mut self, opcode: u8, message: impl AsRef<[u8]>) {
        self.send(&Frame::new(opcode, &message));
        self.expect(opcode, &message);
    }

    /// Checks that the next frame is a Pong with this payload.
    #[track_caller]
    pub fn expect_pong(&mut self, payload: impl AsRef<[u8]>) {
        assert_eq!(self.receive(), Frame::new(PONG, payload));
    }

    /// Checks that nothing came: what reached the shard before a Ping is sent before its Pong.
    /// Two rounds, as a message may have to go over another shard.
    #[track_caller]
    pub fn expect_nothing(&mut self) {
        for round in [b"nothing", b"at all."] {
            self.send(&Frame::new(PING, round));
            self.expect_pong(round);
        }
    }

    /// Checks that the next frame is a Close with this code, answers it if it is not an answer,
    /// and waits for the end of the connection. The reason.
    #[track_caller]
    pub fn expect_close(&mut self, code: u16) -> String {
        let close = self.receive();
        assert_eq!(close.opcode, CLOSE, "not a Close: {close:?}");
        assert_eq!(close.close_code(), Some(code), "{close:?}");
        if !self.has_sent_close {
            self.send(&Frame::close(code, ""));
        }
        self.closed();
        close.close_reason()
    }

    /// Waits for the end of the connection; fails if a frame comes first.
    #[track_caller]
    pub fn closed(&mut self) {
        if let Some(frame) = self.receive_or_end() {
            panic!("not closed, but {frame:?}");
        }
    }

    /// Leaves as `[RFC6455 7.1.2]` says: everything that was sent is answered before.
    #[track_caller]
    pub fn close(mut self) {
        self.send(&Frame::close(1000, ""));
        self.expect_close(1000);
    }

    /// False at the end of the connection; a reset counts as an end.
    #[track_caller]
    fn read_more(&mut self) -> bool {
        let start = self.input.len();
        // A large message in few calls, and a small one without much to clear.
        self.input.resize(start + start.clamp(4096, 1 << 20), 0);
        let read = self.stream.read(&mut self.input[start..]);
        let length = match read {
            Ok(length) => length,
            Err(error) if is_end(&error) => 0,
            Err(error) => panic!("nothing came: {error}"),
        };
        self.input.truncate(start + length);
        length > 0
    }
}

/// Long payloads would hide everything else in a failure.
impl std::fmt::Debug for WebMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let opcode = if self.is_text { TEXT } else { BINARY };
        Frame::new(opcode, &self.payload).fmt(f)
    }
}

/// Sends bytes; that the broker has closed already shows in what is received.
fn send_all(stream: &mut TcpStream, bytes: &[u8]) {
    match stream.write_all(bytes) {
        Ok(()) => {}
        Err(error) if is_end(&error) => {}
        Err(error) => panic!("cannot send: {error}"),
    }
}

fn is_end(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted
    )
}
