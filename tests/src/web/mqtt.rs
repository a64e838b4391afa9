//! MQTT in binary frames, as a wire of the MQTT client.

use super::{BINARY, CLOSE, Frame, PING, PONG, Request, WebClient};
use crate::broker::Broker;
use crate::client::{Client, Hello, Wire};
use ringbus_protocols::mqtt::Version;
use std::io::Result;

/// A WebSocket that carries MQTT.
pub struct MqttWire {
    web: WebClient,
    /// Payload bytes of a frame; longer writes become several frames.
    frame_bytes_max: usize,
    pings: bool,
    received: Vec<u8>,
    close: Option<Frame>,
}

impl MqttWire {
    /// Opens one with a subprotocol; every write becomes one frame.
    #[track_caller]
    pub fn open(broker: &Broker, subprotocol: &str) -> MqttWire {
        let request = Request::upgrade("/mqtt").subprotocols(subprotocol);
        let web = WebClient::connect(broker, &request);
        assert_eq!(web.subprotocol(), Some(subprotocol));
        MqttWire::over(web)
    }

    /// On a WebSocket that is open.
    pub fn over(web: WebClient) -> MqttWire {
        MqttWire {
            web,
            frame_bytes_max: usize::MAX,
            pings: false,
            received: Vec::new(),
            close: None,
        }
    }

    /// With frames of at most this many payload bytes.
    pub fn cut_at(mut self, frame_bytes_max: usize) -> MqttWire {
        self.frame_bytes_max = frame_bytes_max;
        self
    }

    /// With a Ping before every frame.
    pub fn with_pings(mut self) -> MqttWire {
        self.pings = true;
        self
    }

    /// A client on it that has connected with that.
    #[track_caller]
    pub fn hello(self, hello: &Hello) -> (Client<MqttWire>, bool) {
        let mut client = Client::over(self, hello.version);
        client.send_bytes(&hello.encode());
        let present = client.connected(|connack| connack.session_present);
        (client, present)
    }

    /// A client with a clean session and no keep alive.
    #[track_caller]
    pub fn client(broker: &Broker, version: Version, client_id: &str) -> Client<MqttWire> {
        let wire = MqttWire::open(broker, "mqtt");
        wire.hello(&Hello::new(version, client_id)).0
    }

    /// The WebSocket below.
    pub fn web(&mut self) -> &mut WebClient {
        &mut self.web
    }

    /// The code of the Close frame that ended it, if one came.
    pub fn close_code(&self) -> Option<u16> {
        self.close.as_ref().and_then(Frame::close_code)
    }
}

impl Wire for MqttWire {
    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let mut frames = Vec::new();
        for part in bytes.chunks(self.frame_bytes_max) {
            if self.pings {
                frames.push(Frame::new(PING, b"between"));
            }
            frames.push(Frame::new(BINARY, part));
        }
        self.web.send_all(&frames);
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize> {
        while self.received.is_empty() && self.close.is_none() {
            let Some(frame) = self.web.receive_or_end() else {
                return Ok(0);
            };
            match frame.opcode {
                BINARY => self.received = frame.payload,
                PING => self.web.send(&Frame::new(PONG, frame.payload)),
                PONG => assert_eq!(frame.payload, b"between"),
                CLOSE => {
                    self.web.send(&frame);
                    self.close = Some(frame);
                    self.web.closed();
                }
                _ => panic!("MQTT comes in binary frames: {frame:?}"),
            }
        }
        let length = buffer.len().min(self.received.len());
        buffer[..length].copy_from_slice(&self.received[..length]);
        self.received.drain(..length);
        Ok(length)
    }

    fn finish_sending(&mut self) {
        self.web.send(&Frame::close(1000, ""));
    }

    fn cut(&mut self) {
        let stream = self.web.stream();
        stream
            .shutdown(std::net::Shutdown::Both)
            .expect("an open socket");
    }
}
