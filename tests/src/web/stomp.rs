//! A small STOMP client over a WebSocket, written from the STOMP 1.2 specification.

use super::{BINARY, Frame, Request, TEXT, WebClient};
use crate::broker::Broker;

/// A STOMP connection.
pub struct StompClient {
    /// The WebSocket below.
    pub web: WebClient,
}

/// A frame of STOMP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StompFrame {
    /// The command.
    pub command: String,
    /// Headers in order of arrival.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// Whether it came in a text frame.
    pub is_text: bool,
}

impl StompFrame {
    /// A frame without headers and body.
    pub fn new(command: &str) -> StompFrame {
        StompFrame {
            command: command.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            is_text: true,
        }
    }

    /// With one more header.
    pub fn with(mut self, name: &str, value: &str) -> StompFrame {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a body.
    pub fn body(mut self, body: impl AsRef<[u8]>) -> StompFrame {
        self.body = body.as_ref().to_vec();
        self
    }

    /// The first header of that name: what counts of repeated ones.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let (_, value) = headers.find(|(of, _)| of == name)?;
        Some(value)
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    /// As it is sent.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = format!("{}\n", self.command).into_bytes();
        for (name, value) in &self.headers {
            let line = if self.command == "CONNECT" {
                format!("{name}:{value}\n")
            } else {
                format!("{}:{}\n", escape(name), escape(value))
            };
            bytes.extend_from_slice(line.as_bytes());
        }
        bytes.push(b'\n');
        bytes.extend_from_slice(&self.body);
        bytes.push(0);
        bytes
    }

    /// Reads a frame that is the whole of a message.
    ///
    /// # Panics
    /// If a server must not send that.
    #[track_caller]
    fn decode(bytes: &[u8], is_text: bool) -> StompFrame {
        let end = bytes.windows(2).position(|two| two == b"\n\n");
        let end = end.unwrap_or_else(|| panic!("no end of headers: {}", bytes.escape_ascii()));
        let head = std::str::from_utf8(&bytes[..end]).expect("headers are UTF-8");
        let mut lines = head.split('\n');
        let mut frame = StompFrame::new(lines.next().expect("a command"));
        frame.is_text = is_text;
        for line in lines {
            let (name, value) = line.split_once(':').expect("a header");
            let (name, value) = if frame.command == "CONNECTED" {
                (name.to_owned(), value.to_owned())
            } else {
                (unescape(name), unescape(value))
            };
            frame.headers.push((name, value));
        }
        let body = &bytes[end + 2..];
        frame.body = body.strip_suffix(&[0]).expect("NUL at the end").to_vec();
        match frame.header("content-length") {
            Some(length) => assert_eq!(length, frame.body.len().to_string(), "{frame:?}"),
            None => assert!(!frame.body.contains(&0), "NUL inside: {frame:?}"),
        }
        frame
    }
}

impl StompClient {
    /// Opens a WebSocket for STOMP 1.2 and says nothing.
    #[track_caller]
    pub fn raw(broker: &Broker) -> StompClient {
        let request = Request::upgrade("/stomp").subprotocols("v12.stomp");
        let web = WebClient::connect(broker, &request);
        assert_eq!(web.subprotocol(), Some("v12.stomp"));
        StompClient { web }
    }

    /// Connects without heart-beats.
    #[track_caller]
    pub fn open(broker: &Broker) -> StompClient {
        let mut client = StompClient::raw(broker);
        let connect = StompFrame::new("CONNECT")
            .with("accept-version", "1.2")
            .with("host", "broker.test");
        client.send(&connect);
        let connected = client.receive();
        assert_eq!(connected.command, "CONNECTED", "{connected:?}");
        client
    }

    /// Sends a frame.
    pub fn send(&mut self, frame: &StompFrame) {
        self.send_bytes(&frame.encode());
    }

    /// Sends bytes in one message: text if they are UTF-8.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        let is_text = std::str::from_utf8(bytes).is_ok();
        let opcode = if is_text { TEXT } else { BINARY };
        self.web.send(&Frame::new(opcode, bytes));
    }

    /// The next frame; fails on a heart-beat.
    #[track_caller]
    pub fn receive(&mut self) -> StompFrame {
        let message = self.web.message();
        StompFrame::decode(&message.payload, message.is_text)
    }

    /// Sends a frame with a receipt and waits for that; nothing else may come before.
    #[track_caller]
    pub fn receipted(&mut self, frame: StompFrame, receipt: &str) {
        self.send(&frame.with("receipt", receipt));
        self.expect_receipt(receipt);
    }

    /// Waits for a receipt; nothing else may come before.
    #[track_caller]
    pub fn expect_receipt(&mut self, receipt: &str) {
        let frame = self.receive();
        let got = (frame.command.as_str(), frame.header("receipt-id"));
        assert_eq!(got, ("RECEIPT", Some(receipt)), "{frame:?}");
    }

    /// Subscribes and waits until that is active.
    #[track_caller]
    pub fn subscribe(&mut self, id: &str, destination: &str, ack: &str) {
        let subscribe = StompFrame::new("SUBSCRIBE")
            .with("id", id)
            .with("destination", destination)
            .with("ack", ack);
        self.receipted(subscribe, &format!("subscribed-{id}"));
    }

    /// The next frame, which is a MESSAGE of that subscription.
    #[track_caller]
    pub fn message(&mut self, id: &str) -> StompFrame {
        let frame = self.receive();
        let got = (frame.command.as_str(), frame.header("subscription"));
        assert_eq!(got, ("MESSAGE", Some(id)), "{frame:?}");
        assert!(frame.header("message-id").is_some(), "{frame:?}");
        assert!(frame.header("destination").is_some(), "{frame:?}");
        frame
    }

    /// Checks that nothing came, by a round trip.
    #[track_caller]
    pub fn expect_nothing(&mut self) {
        self.web.expect_nothing();
    }

    /// Waits for an ERROR, the Close, and the end. The ERROR and the code of the Close.
    #[track_caller]
    pub fn refused(&mut self) -> (StompFrame, u16) {
        let frame = self.receive();
        assert_eq!(frame.command, "ERROR", "{frame:?}");
        let message = frame.header("message").unwrap_or_default();
        assert!(!message.is_empty(), "no reason: {frame:?}");
        let close = self.web.receive();
        let code = close.close_code().expect("a code");
        self.web.send(&close);
        self.web.closed();
        (frame, code)
    }
}

fn escape(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace(':', "\\c");
    text.replace('\n', "\\n").replace('\r', "\\r")
}

#[track_caller]
fn unescape(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text.chars());
    while let Some(char) = rest.next() {
        out.push(match char {
            '\\' => match rest.next() {
                Some('\\') => '\\',
                Some('c') => ':',
                Some('n') => '\n',
                Some('r') => '\r',
                other => panic!("no such escape {other:?} in {text:?}"),
            },
            other => other,
        });
    }
    out
}
