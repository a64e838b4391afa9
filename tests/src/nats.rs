//! A small blocking NATS client for tests: it sends what it is told, waits for what it is told, and
//! panics with what came instead. It reads the protocol by itself: nothing here is of the codec
//! under test.

use crate::broker::DEADLINE;
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// A message that the server delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatsMessage {
    /// Where it was published to.
    pub subject: String,
    /// The subscription that it came for.
    pub sid: String,
    /// Where answers go.
    pub reply: Option<String>,
    /// The block of headers of an HMSG, `None` for a MSG.
    pub headers: Option<String>,
    /// What follows the headers.
    pub payload: Vec<u8>,
}

/// A network connection that speaks NATS.
#[derive(Debug)]
pub struct NatsClient {
    stream: BufReader<TcpStream>,
    info: String,
    /// Read already, while a PONG was waited for.
    inbox: VecDeque<NatsMessage>,
}

#[derive(Debug)]
enum Received {
    /// A line without its CR LF.
    Line(String),
    Message(NatsMessage),
}

impl NatsClient {
    /// A network connection on which the server said INFO and the client nothing.
    pub fn raw(address: SocketAddr) -> NatsClient {
        let stream = TcpStream::connect(address).expect("the broker accepts");
        stream.set_nodelay(true).expect("nodelay");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        let mut client = NatsClient {
            stream: BufReader::new(stream),
            info: String::new(),
            inbox: VecDeque::new(),
        };
        let line = client.line().expect("an INFO");
        let info = line.strip_prefix("INFO ").expect("an INFO");
        client.info = info.to_owned();
        client
    }

    /// Connects with these options, in JSON, which have to say that it is not verbose.
    pub fn connect(address: SocketAddr, options: &str) -> NatsClient {
        let mut client = NatsClient::raw(address);
        client.send(format!("CONNECT {options}\r\n"));
        client.barrier();
        client
    }

    /// Connects as most clients do: quiet, with headers and the news of no responders.
    pub fn open(address: SocketAddr) -> NatsClient {
        let options = r#"{"verbose":false,"pedantic":false,"headers":true,"no_responders":true}"#;
        NatsClient::connect(address, options)
    }

    /// The JSON of the first INFO.
    pub fn info(&self) -> &str {
        &self.info
    }

    /// The connection itself, for what this client does not do.
    pub fn stream(&self) -> &TcpStream {
        self.stream.get_ref()
    }

    /// Sends any bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let mut stream = self.stream.get_ref();
        stream.write_all(bytes.as_ref()).expect("the broker reads");
    }

    /// Sends bytes to a server that may have closed already.
    pub fn try_send(&mut self, bytes: &[u8]) {
        // That it closed shows in what is received.
        let _ = self.stream.get_ref().write_all(bytes);
    }

    /// Asks for no more confirmations, for a client that said no CONNECT.
    pub fn quiet(&mut self) {
        self.send("CONNECT {\"verbose\":false}\r\n");
    }

    /// Publishes without headers.
    pub fn publish(&mut self, subject: &str, payload: &[u8]) {
        let line = format!("PUB {subject} {}\r\n", payload.len());
        self.send([line.as_bytes(), payload, b"\r\n"].concat());
    }

    /// Publishes with a reply and with lines of headers, each `Name: value`.
    pub fn publish_with(&mut self, subject: &str, reply: &str, headers: &[&str], payload: &[u8]) {
        let mut block = "NATS/1.0\r\n".to_owned();
        for header in headers {
            block.push_str(header);
            block.push_str("\r\n");
        }
        block.push_str("\r\n");
        let total = block.len() + payload.len();
        let line = format!("HPUB {subject} {reply} {} {total}\r\n", block.len());
        self.send([line.as_bytes(), block.as_bytes(), payload, b"\r\n"].concat());
    }

    /// Subscribes, and waits until that is active.
    pub fn subscribe(&mut self, subject: &str, sid: &str) {
        self.send(format!("SUB {subject} {sid}\r\n"));
        self.barrier();
    }

    /// Waits until the server did all that was sent before. Messages that come meanwhile stay for
    /// [`NatsClient::expect_message`].
    pub fn barrier(&mut self) {
        self.send("PING\r\n");
        loop {
            match self.receive() {
                Some(Received::Message(message)) => self.inbox.push_back(message),
                Some(Received::Line(line)) if line == "PONG" => return,
                other => panic!("not a PONG: {other:?}"),
            }
        }
    }

    /// Waits for a line, which is given without its CR LF.
    pub fn expect_line(&mut self, expected: &str) {
        match self.receive() {
            Some(Received::Line(line)) if line == expected => {}
            other => panic!("not {expected}: {other:?}"),
        }
    }

    /// Waits for any line; it is returned without its CR LF.
    pub fn next_line(&mut self) -> String {
        match self.receive() {
            Some(Received::Line(line)) => line,
            other => panic!("not a line: {other:?}"),
        }
    }

    /// Waits for any line. Messages that come meanwhile stay for [`NatsClient::expect_message`].
    pub fn next_line_of_any(&mut self) -> String {
        loop {
            match self.receive() {
                Some(Received::Message(message)) => self.inbox.push_back(message),
                Some(Received::Line(line)) => return line,
                None => panic!("closed"),
            }
        }
    }

    /// Waits for a message.
    pub fn expect_message(&mut self) -> NatsMessage {
        if let Some(message) = self.inbox.pop_front() {
            return message;
        }
        match self.receive() {
            Some(Received::Message(message)) => message,
            other => panic!("not a message: {other:?}"),
        }
    }

    /// Checks that no message came for anything the server did before this.
    pub fn expect_nothing(&mut self) {
        self.barrier();
        assert_eq!(self.inbox, [], "nothing was expected");
    }

    /// Waits for the end of the connection.
    pub fn expect_closed(&mut self) {
        if let Some(received) = self.receive() {
            panic!("not closed: {received:?}");
        }
    }

    /// What comes next; `None` if the server closed.
    fn receive(&mut self) -> Option<Received> {
        let line = self.line()?;
        let words: Vec<&str> = line.split(' ').collect();
        let (subject, sid, reply, headers, total) = match *words {
            ["MSG", subject, sid, total] => (subject, sid, None, None, total),
            ["MSG", subject, sid, reply, total] => (subject, sid, Some(reply), None, total),
            ["HMSG", subject, sid, headers, total] => (subject, sid, None, Some(headers), total),
            ["HMSG", subject, sid, reply, headers, total] => {
                (subject, sid, Some(reply), Some(headers), total)
            }
            _ => return Some(Received::Line(line)),
        };
        let mut body = vec![0; total.parse::<usize>().expect("a length") + 2];
        let read = self.stream.read_exact(&mut body);
        read.expect("as many bytes as the line says");
        assert!(body.ends_with(b"\r\n"), "no CR LF after {line}");
        body.truncate(body.len() - 2);
        let headers_length = headers.map_or(0, |headers| headers.parse().expect("a length"));
        let payload = body.split_off(headers_length);
        let block = String::from_utf8(body).expect("headers in UTF-8");
        Some(Received::Message(NatsMessage {
            subject: subject.to_owned(),
            sid: sid.to_owned(),
            reply: reply.map(str::to_owned),
            headers: headers.map(|_| block),
            payload,
        }))
    }

    /// A line without its CR LF; `None` if the server closed before the first byte of it.
    fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        match self.stream.read_until(b'\n', &mut line) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
            Err(error) => panic!("no line came: {error}"),
        }
        let mut line = String::from_utf8(line).expect("a line in UTF-8");
        assert!(line.ends_with("\r\n"), "a line without CR LF: {line:?}");
        line.truncate(line.len() - 2);
        Some(line)
    }
}
