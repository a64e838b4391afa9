//! The client's end of a WebSocket on a simulated connection: it opens the socket, cuts what is
//! sent into frames by chance, and takes apart what comes.

use ringbus::base::Socket;
use ringbus::io::sim::{Chance, Sim};
use ringbus_protocols::websocket::deflate::{Agreed, Inflater};
use ringbus_protocols::websocket::frame::put_masked;
use ringbus_protocols::websocket::handshake::{put_request, read_response};
use ringbus_protocols::websocket::{CloseCode, Event, Kind, Limits, Mode, Opcode, Receiver, Role};

const KEY: &[u8; 16] = b"sixteen bytes ok";
const LIMITS: Limits = Limits {
    message_bytes_max: 1 << 24,
    fragments_max: u32::MAX,
    takes_text: true,
};

/// See the module.
pub struct WebEnd {
    socket: Socket,
    chance: Chance,
    mode: Mode,
    receiver: Receiver,
    inflater: Inflater,
    /// Whether it sends frames before it has the answer to its request.
    is_eager: bool,
    /// What has come of that answer, until it is whole.
    answer: Option<Vec<u8>>,
    /// What waits for it.
    unsent: Vec<u8>,
    message: Vec<u8>,
    /// The code of the broker's Close frame, once that has come.
    pub closed_with: Option<Option<CloseCode>>,
    /// Whole messages, in [`Mode::Messages`].
    pub messages: Vec<(Kind, Vec<u8>)>,
}

impl WebEnd {
    /// Sends the request.
    pub fn open(
        sim: &mut Sim,
        socket: Socket,
        seed: u64,
        target: &str,
        subprotocol: Option<&str>,
    ) -> WebEnd {
        let mut chance = Chance::new(seed ^ 0x5EB);
        let mut request = Vec::new();
        let extensions = *chance.pick(&[
            None,
            Some("permessage-deflate"),
            Some("permessage-deflate; client_max_window_bits; server_no_context_takeover"),
        ]);
        put_request(&mut request, "sim", target, KEY, subprotocol, extensions);
        sim.send(socket, &request);
        let mode = match subprotocol {
            Some(_) => Mode::Stream,
            None => Mode::Messages,
        };
        WebEnd {
            socket,
            is_eager: chance.percent(30),
            chance,
            mode,
            receiver: Receiver::new(Role::Client, mode),
            inflater: Inflater::new(),
            answer: Some(Vec::new()),
            unsent: Vec::new(),
            message: Vec::new(),
            closed_with: None,
            messages: Vec::new(),
        }
    }

    /// Whether the broker has said that the WebSocket is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.answer.is_none()
    }

    /// Sends bytes of a stream, cut by chance, a ping in between now and then.
    pub fn send(&mut self, sim: &mut Sim, bytes: &[u8]) {
        let mut frames = Vec::new();
        let mut rest = bytes;
        let mut continues = false;
        while !rest.is_empty() {
            let most = *self.chance.pick(&[3, 200, usize::MAX]);
            let (part, after) = rest.split_at(self.chance.index(rest.len().min(most)) + 1);
            rest = after;
            let opcode = match continues {
                true => Opcode::Continuation,
                false => Opcode::Binary,
            };
            let ends = rest.is_empty() || self.chance.percent(50);
            self.put(&mut frames, opcode, ends, part);
            continues = !ends;
            if self.chance.percent(10) {
                self.put(&mut frames, Opcode::Ping, true, b"?");
            }
        }
        self.send_frames(sim, frames);
    }

    /// Sends one message.
    pub fn send_message(&mut self, sim: &mut Sim, kind: Kind, message: &[u8]) {
        let mut frames = Vec::new();
        let (first, second) = message.split_at(self.chance.index(message.len() + 1));
        self.put(&mut frames, kind.opcode(), false, first);
        self.put(&mut frames, Opcode::Continuation, true, second);
        self.send_frames(sim, frames);
    }

    /// Sends a Close frame: the last one.
    pub fn send_close(&mut self, sim: &mut Sim) {
        let mut frames = Vec::new();
        self.put(&mut frames, Opcode::Close, true, &1000u16.to_be_bytes());
        self.send_frames(sim, frames);
    }

    fn put(&mut self, out: &mut Vec<u8>, opcode: Opcode, ends: bool, payload: &[u8]) {
        let key = self.chance.draw().to_le_bytes();
        let key = [key[0], key[1], key[2], key[3]];
        put_masked(out, opcode, ends, false, key, payload);
    }

    fn send_frames(&mut self, sim: &mut Sim, frames: Vec<u8>) {
        if self.is_open() || self.is_eager {
            sim.send(self.socket, &frames);
        } else {
            self.unsent.extend(frames);
        }
    }

    /// Takes what came; returns the bytes of the stream. Messages go to [`WebEnd::messages`].
    ///
    /// # Errors
    /// What no client should ever see.
    pub fn receive(&mut self, sim: &mut Sim, bytes: &[u8]) -> Result<Vec<u8>, String> {
        let mut stream = Vec::new();
        let frames = match self.take_answer(sim, bytes)? {
            Some(frames) => frames,
            None => return Ok(stream),
        };
        let mut rest = &frames[..];
        loop {
            let payload = match self.mode {
                Mode::Stream => &mut stream,
                Mode::Messages => &mut self.message,
            };
            let read = self
                .receiver
                .read(rest, payload, &LIMITS, &mut self.inflater);
            let (taken, event) = read.map_err(|violation| violation.words.to_owned())?;
            rest = &rest[taken..];
            match event {
                Event::More => return Ok(stream),
                Event::Message(kind) => {
                    let message = std::mem::take(&mut self.message);
                    self.messages.push((kind, message));
                }
                Event::Ping => {
                    let payload = self.receiver.control().to_vec();
                    let mut frames = Vec::new();
                    self.put(&mut frames, Opcode::Pong, true, &payload);
                    self.send_frames(sim, frames);
                }
                Event::Pong => {}
                Event::Close(code) => self.closed_with = Some(code),
            }
        }
    }

    /// Returns what follows the answer to the request, once that is whole.
    fn take_answer(&mut self, sim: &mut Sim, bytes: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let Some(mut answer) = self.answer.take() else {
            return Ok(Some(bytes.to_vec()));
        };
        answer.extend_from_slice(bytes);
        let Some(accepted) = read_response(&answer, KEY)? else {
            self.answer = Some(answer);
            return Ok(None);
        };
        if let Some(extension) = accepted.extensions {
            let agreed = Agreed::from_answer(extension).ok_or("a bad extension")?;
            self.receiver = Receiver::new(Role::Client, self.mode).with_deflate(&agreed);
        }
        let frames = answer[accepted.length..].to_vec();
        let unsent = std::mem::take(&mut self.unsent);
        sim.send(self.socket, &unsent);
        Ok(Some(frames))
    }
}
