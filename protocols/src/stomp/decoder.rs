//! Finds frames in a stream of bytes.

use super::{Command, Frame, StompError, Version, escape};
use crate::wire::utf8;

/// A stranger may make us keep this many bytes of a frame's head.
pub const HEAD_BYTES_MAX: u32 = 16 << 10;
/// A frame has at most this many headers.
pub const HEADERS_MAX: u8 = 100;

/// How large a frame may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of command and headers, the empty line included.
    pub head_bytes_max: u32,
    /// Number of headers.
    pub headers_max: u8,
    /// Bytes of the whole frame, the NUL at its end included.
    pub frame_bytes_max: usize,
}

impl Limits {
    /// The limits of heads, and frames of at most `frame_bytes_max` bytes.
    pub const fn new(frame_bytes_max: usize) -> Self {
        Self {
            head_bytes_max: HEAD_BYTES_MAX,
            headers_max: HEADERS_MAX,
            frame_bytes_max,
        }
    }

    /// How many bytes may be looked at for the end of the head.
    fn head(&self) -> usize {
        usize::try_from(self.head_bytes_max)
            .unwrap_or(usize::MAX)
            .min(self.frame_bytes_max)
    }
}

/// What [`Decoder::decode`] found at the front of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// Not a whole frame yet.
    Incomplete,
    /// Line ends between frames, which say that the peer is there.
    HeartBeat {
        /// How many bytes they took.
        length: usize,
    },
    /// A frame.
    Frame {
        /// The frame.
        frame: Frame<'a>,
        /// How many bytes it took, the NUL included.
        length: usize,
    },
}

/// The receiving half of a connection: how far an incomplete frame was looked at, so that one that
/// comes byte by byte costs no more than one that comes at once.
#[derive(Debug, Clone, Copy)]
pub struct Decoder {
    /// What was looked at, in bytes from the start of the frame; with a content-length, where the
    /// frame ends.
    seen: usize,
    /// Where the line that is looked at starts; after the head, where the body starts.
    start: u32,
    headers: u8,
    part: Part,
    command: Option<Command>,
    is_from_server: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Head,
    /// A body whose length is known.
    Sized,
    /// A body that ends at the first NUL.
    Unsized,
}

/// A server's decoder.
impl Default for Decoder {
    fn default() -> Self {
        Self::new(false)
    }
}

impl Decoder {
    /// A client's decoder: it takes the frames of a server.
    pub const fn client() -> Self {
        Self::new(true)
    }

    const fn new(is_from_server: bool) -> Self {
        Self {
            seen: 0,
            start: 0,
            headers: 0,
            part: Part::Head,
            command: None,
            is_from_server,
        }
    }

    /// Finds and decodes the frame at the front of `bytes`. The caller takes `length` bytes away
    /// and asks again until it gets [`Decoded::Incomplete`]; then it asks again with the same bytes
    /// and more. `version` is that of the connection, `None` before it is negotiated.
    ///
    /// # Errors
    /// What is wrong with the frame, as soon as the bytes show it. Nothing can be decoded after it.
    pub fn decode<'a>(
        &mut self,
        bytes: &'a [u8],
        version: Option<Version>,
        limits: &Limits,
    ) -> Result<Decoded<'a>, StompError> {
        if self.command.is_none() {
            let length = line_ends(bytes);
            if length > 0 {
                *self = Self::new(self.is_from_server);
                return Ok(Decoded::HeartBeat { length });
            }
        }
        if self.part == Part::Head && !self.read_head(bytes, version, limits)? {
            return Ok(Decoded::Incomplete);
        }
        let Some(length) = self.find_end(bytes, version, limits)? else {
            return Ok(Decoded::Incomplete);
        };
        let frame = self.frame(&bytes[..length], version)?;
        *self = Self::new(self.is_from_server);
        Ok(Decoded::Frame { frame, length })
    }

    /// Whether the bytes so far end between two frames.
    pub fn is_between_frames(&self) -> bool {
        self.seen == 0
    }

    /// Goes on to the end of the head; false if it is not there yet.
    fn read_head(
        &mut self,
        bytes: &[u8],
        version: Option<Version>,
        limits: &Limits,
    ) -> Result<bool, StompError> {
        let bytes = &bytes[..bytes.len().min(limits.head())];
        while let Some(at) = find(b'\n', &bytes[self.seen..]) {
            let line_end = self.seen + at;
            let line = &bytes[self.line_start()..line_end];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            self.seen = line_end + 1;
            self.start = u32::try_from(self.seen).map_err(|_| HEAD_TOO_LARGE)?;
            match self.command {
                None => self.command = Some(self.read_command(line)?),
                Some(command) if line.is_empty() => {
                    self.start_body(bytes, command, version, limits)?;
                    return Ok(true);
                }
                Some(command) => self.read_header(line, command, version, limits)?,
            }
        }
        self.check_partial_line(&bytes[self.line_start()..])?;
        self.seen = bytes.len();
        if bytes.len() == limits.head() {
            return Err(HEAD_TOO_LARGE);
        }
        Ok(false)
    }

    fn read_command(&self, line: &[u8]) -> Result<Command, StompError> {
        self.commands()
            .find(|command| command.text().as_bytes() == line)
            .ok_or(UNKNOWN_COMMAND)
    }

    fn commands(&self) -> impl Iterator<Item = Command> {
        let is_from_server = self.is_from_server;
        Command::ALL
            .into_iter()
            .filter(move |command| command.is_from_server() == is_from_server)
    }

    fn read_header(
        &mut self,
        line: &[u8],
        command: Command,
        version: Option<Version>,
        limits: &Limits,
    ) -> Result<(), StompError> {
        if self.headers >= limits.headers_max {
            return Err(StompError::too_large("the frame has too many headers"));
        }
        self.headers += 1;
        let line = utf8(line).map_err(|_| NOT_UTF8)?;
        if line.contains('\0') {
            return Err(NUL_IN_HEAD);
        }
        match line.split_once(':') {
            None => Err(StompError::malformed("a header has no colon")),
            Some(("", _)) => Err(StompError::malformed("a header has no name")),
            Some((name, value)) => {
                let version = escapes(command, version);
                escape::check(name, version)?;
                escape::check(value, version)
            }
        }
    }

    /// A line that is not complete can be wrong all the same: nothing of a stranger's that is no
    /// STOMP is waited for, nor the rest of a frame that has ended.
    fn check_partial_line(&self, line: &[u8]) -> Result<(), StompError> {
        if self.command.is_none() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let mut commands = self.commands();
            return match commands.any(|command| command.text().as_bytes().starts_with(line)) {
                true => Ok(()),
                false => Err(UNKNOWN_COMMAND),
            };
        }
        let looked_at = self.seen - self.line_start();
        match find(0, &line[looked_at..]) {
            None => Ok(()),
            Some(_) => Err(NUL_IN_HEAD),
        }
    }

    /// The head is complete: finds out how the body ends.
    fn start_body(
        &mut self,
        bytes: &[u8],
        command: Command,
        version: Option<Version>,
        limits: &Limits,
    ) -> Result<(), StompError> {
        let head = &bytes[..self.seen];
        let frame = Frame {
            command,
            body: &[],
            head: headers_of(head)?,
            escapes: escapes(command, version),
        };
        self.part = Part::Unsized;
        if let Some(length) = frame.header("content-length") {
            let body_bytes = content_length(&length)?;
            if body_bytes > 0 && !may_have_body(command, version) {
                return Err(UNEXPECTED_BODY);
            }
            self.part = Part::Sized;
            self.seen = self.seen.saturating_add(body_bytes).saturating_add(1);
            if self.seen > limits.frame_bytes_max {
                return Err(FRAME_TOO_LARGE);
            }
        }
        Ok(())
    }

    /// How long the frame is; `None` if its end is not there yet.
    fn find_end(
        &mut self,
        bytes: &[u8],
        version: Option<Version>,
        limits: &Limits,
    ) -> Result<Option<usize>, StompError> {
        if self.part == Part::Sized {
            return match bytes.get(self.seen - 1) {
                None => Ok(None),
                Some(0) => Ok(Some(self.seen)),
                Some(_) => Err(NO_NUL),
            };
        }
        let bytes = &bytes[..bytes.len().min(limits.frame_bytes_max)];
        let has_body = bytes.get(self.line_start()).is_some_and(|&byte| byte != 0);
        let command = self.command.ok_or(UNKNOWN_COMMAND)?;
        if has_body && !may_have_body(command, version) {
            return Err(UNEXPECTED_BODY);
        }
        if let Some(at) = find(0, &bytes[self.seen..]) {
            return Ok(Some(self.seen + at + 1));
        }
        self.seen = bytes.len();
        if bytes.len() == limits.frame_bytes_max {
            return Err(FRAME_TOO_LARGE);
        }
        Ok(None)
    }

    /// The frame in `bytes`, which are its own.
    fn frame<'a>(
        &self,
        bytes: &'a [u8],
        version: Option<Version>,
    ) -> Result<Frame<'a>, StompError> {
        let command = self.command.ok_or(UNKNOWN_COMMAND)?;
        let (head, body) = bytes.split_at(self.line_start());
        Ok(Frame {
            command,
            body: &body[..body.len() - 1],
            head: headers_of(head)?,
            escapes: escapes(command, version),
        })
    }

    fn line_start(&self) -> usize {
        usize::try_from(self.start).expect("a place in a slice")
    }
}

const HEAD_TOO_LARGE: StompError = StompError::too_large("the headers of the frame are too large");
const FRAME_TOO_LARGE: StompError = StompError::too_large("the frame is too large");
const UNKNOWN_COMMAND: StompError = StompError::malformed("the command is unknown");
const NOT_UTF8: StompError = StompError::malformed("a header is not UTF-8");
const NUL_IN_HEAD: StompError = StompError::malformed("the frame ends within its headers");
const NO_NUL: StompError = StompError::malformed("no NUL follows the body");
const UNEXPECTED_BODY: StompError = StompError::malformed("this command cannot have a body");

/// The length of the line ends at the front of `bytes`, LF or CRLF.
fn line_ends(bytes: &[u8]) -> usize {
    let mut length = 0;
    loop {
        match bytes[length..] {
            [b'\n', ..] => length += 1,
            [b'\r', b'\n', ..] => length += 2,
            _ => return length,
        }
    }
}

/// The version whose escapes the headers have. Before it is known a frame other than CONNECT has no
/// place, whatever its escapes.
fn escapes(command: Command, version: Option<Version>) -> Version {
    if command.is_plain() {
        Version::V1_0
    } else {
        version.unwrap_or(Version::V1_2)
    }
}

/// STOMP 1.0 does not say which frames have no body.
fn may_have_body(command: Command, version: Option<Version>) -> bool {
    command.may_have_body() || version == Some(Version::V1_0)
}

/// The head without its first line.
fn headers_of(head: &[u8]) -> Result<&str, StompError> {
    let first = find(b'\n', head).map_or(head.len(), |at| at + 1);
    utf8(&head[first..]).map_err(|_| NOT_UTF8)
}

fn content_length(text: &str) -> Result<usize, StompError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(StompError::malformed("content-length is not a number"));
    }
    // Only a number that is too large fails here.
    text.parse().map_err(|_| FRAME_TOO_LARGE)
}

/// Where the first `wanted` is. Looks at blocks first, for which the compiler uses vectors.
fn find(wanted: u8, bytes: &[u8]) -> Option<usize> {
    const BLOCK: usize = 64;
    let has_it = |block: &&[u8]| {
        block
            .iter()
            .fold(false, |found, &byte| found | (byte == wanted))
    };
    let blocks = bytes.chunks(BLOCK).take_while(|block| !has_it(block));
    let start = blocks.map(<[u8]>::len).sum();
    let found = bytes[start..].iter().position(|&byte| byte == wanted);
    let found = found.map(|at| start + at);
    #[cfg(test)]
    tests::LOOKED_AT.set(tests::LOOKED_AT.get() + found.map_or(bytes.len(), |at| at + 1));
    found
}

#[cfg(test)]
#[path = "decoder_tests.rs"]
mod tests;
