//! A non-blocking connection of the generator: bytes in to frames, frames out to bytes.

use super::link::Link;
use super::websocket::Unframer;
use super::wire::{Incoming, Next, Wire};
use crate::endpoint::Socket;
use crate::sys::{cut_sends, send_many};
use std::io::{self, ErrorKind, Read, Write};
use std::net::UdpSocket;

/// Bytes read at a time.
const READ_BYTES: usize = 256 * 1024;

/// The longest beginning of a frame that has to be kept for the next read.
const CARRY_BYTES_MAX: usize = 128 * 1024;

/// QoS 1 and 2 messages without acknowledgement at most, whatever the broker allows: packet
/// identifiers go round, and must not meet themselves.
const UNACKNOWLEDGED_MAX: u16 = 16 * 1024;

/// Where all connections read into, one after the other.
pub struct ReadArea {
    received: Box<[u8]>,
    /// What WebSocket frames held
    packets: Vec<u8>,
}

impl ReadArea {
    /// A new one.
    pub fn new() -> Self {
        Self {
            received: vec![0; CARRY_BYTES_MAX + READ_BYTES].into_boxed_slice(),
            packets: Vec::new(),
        }
    }
}

/// One connection.
pub struct Connection {
    socket: Socket,
    /// The beginning of a frame whose rest has not arrived
    carry: Vec<u8>,
    /// If all that is received lies in WebSocket frames
    unframer: Option<Unframer>,
    /// A frame understood, and how many of its bytes are still to come
    unfinished: Option<(Incoming, usize)>,
    out: Vec<u8>,
    out_written: usize,
    /// Writes made together may share a segment
    join_writes: bool,
    /// If all that is sent are datagrams
    datagrams: Option<Datagrams>,
    last_id: u16,
    unacknowledged: u16,
    unacknowledged_max: u16,
}

/// Datagrams of one size.
#[derive(Clone, Copy, Debug)]
struct Datagrams {
    /// Of each
    bytes: usize,
    /// How many the kernel makes of one send
    joined: usize,
}

/// How a read ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadEnd {
    /// There may be more
    Open,
    /// The broker closed the connection
    Closed,
}

impl Connection {
    /// A connection that was greeted and, for a subscriber, subscribed.
    ///
    /// With `join_writes` the kernel may put writes that are made together into one segment.
    pub fn new(link: Link, receive_maximum: u16, join_writes: bool) -> io::Result<Self> {
        let parts = link.into_parts()?;
        Ok(Self {
            socket: parts.socket,
            carry: parts.received,
            unframer: parts.unframer,
            unfinished: None,
            out: Vec::new(),
            out_written: 0,
            join_writes,
            datagrams: None,
            last_id: 0,
            unacknowledged: 0,
            unacknowledged_max: receive_maximum.min(UNACKNOWLEDGED_MAX),
        })
    }

    /// A sender of datagrams of so many bytes, which nobody greets.
    ///
    /// With `join_writes` the kernel gets those that are sent together in one piece and cuts it,
    /// which costs the sender less; who receives them sees no difference.
    pub fn of_datagrams(socket: UdpSocket, bytes: usize, join_writes: bool) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let joined = if join_writes {
            cut_sends(&socket, bytes)
        } else {
            1
        };
        Ok(Self {
            socket: Socket::Udp(socket),
            carry: Vec::new(),
            unframer: None,
            unfinished: None,
            out: Vec::new(),
            out_written: 0,
            join_writes: false,
            datagrams: Some(Datagrams { bytes, joined }),
            last_id: 0,
            unacknowledged: 0,
            unacknowledged_max: UNACKNOWLEDGED_MAX,
        })
    }

    /// The socket, to watch.
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Whether everything written so far has left.
    #[inline]
    pub fn is_flushed(&self) -> bool {
        self.out.is_empty()
    }

    /// Writes of `batch` messages above QoS 0 that fit into the broker's receive maximum; one in
    /// any case when nothing is under way.
    #[inline]
    pub fn writes_allowed(&self, batch: u64) -> u64 {
        let room = u64::from(self.unacknowledged_max - self.unacknowledged) / batch;
        if self.unacknowledged == 0 {
            room.max(1)
        } else {
            room
        }
    }

    /// The packet identifier of the next message above QoS 0.
    #[inline]
    pub fn take_id(&mut self) -> u16 {
        self.last_id = self.last_id.checked_add(1).unwrap_or(1);
        self.unacknowledged += 1;
        self.last_id
    }

    /// The last `count` packet identifiers were not used after all.
    pub fn give_back_ids(&mut self, count: u64) {
        for _ in 0..count {
            self.last_id = self
                .last_id
                .checked_sub(1)
                .filter(|&id| id > 0)
                .unwrap_or(u16::MAX);
            self.unacknowledged -= 1;
        }
    }

    /// A message was acknowledged for good.
    #[inline]
    pub fn completed(&mut self) {
        self.unacknowledged = self.unacknowledged.saturating_sub(1);
    }

    /// Where answers are appended; [`Self::flush`] sends them.
    pub fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Sends `bytes` as writes of `write_bytes` each and returns how many left.
    ///
    /// When the socket is full, the rest of a write begun, or else the next write, is kept: the
    /// connection is not flushed then. There must be nothing kept before.
    #[inline]
    pub fn send_writes(&mut self, bytes: &[u8], write_bytes: usize) -> io::Result<usize> {
        debug_assert!(self.out.is_empty(), "nothing overtakes what is kept");
        let sent = self.write_several(bytes, write_bytes)?;
        if sent < bytes.len() {
            let kept_to = (sent / write_bytes + 1) * write_bytes;
            self.out.extend_from_slice(&bytes[sent..kept_to]);
            return Ok(kept_to / write_bytes);
        }
        Ok(bytes.len() / write_bytes)
    }

    fn write_several(&mut self, bytes: &[u8], write_bytes: usize) -> io::Result<usize> {
        if let Some(datagrams) = self.datagrams {
            return datagrams.send(&mut self.socket, bytes);
        }
        if bytes.len() == write_bytes {
            return write_some(&mut self.socket, bytes);
        }
        if !self.join_writes {
            return or_none(send_many(&self.socket, bytes, write_bytes, false));
        }
        // The last write lets all of them go.
        let before_last = bytes.len() - write_bytes;
        let sent = or_none(send_many(
            &self.socket,
            &bytes[..before_last],
            write_bytes,
            true,
        ))?;
        if sent < before_last {
            return Ok(sent);
        }
        Ok(sent + write_some(&mut self.socket, &bytes[before_last..])?)
    }

    /// Sends what is kept, as far as the socket takes it.
    pub fn flush(&mut self) -> io::Result<()> {
        while self.out_written < self.out.len() {
            let left = &self.out[self.out_written..];
            let written = match self.datagrams {
                Some(datagrams) => datagrams.send(&mut self.socket, left),
                None => write_some(&mut self.socket, left),
            };
            match written? {
                0 => return Ok(()),
                written => self.out_written += written,
            }
        }
        self.out.clear();
        self.out_written = 0;
        Ok(())
    }

    /// Reads once and hands every frame that is complete to `take`.
    ///
    /// `take` may append answers to the connection's output.
    #[inline]
    pub fn read<W: Wire>(
        &mut self,
        area: &mut ReadArea,
        mut take: impl FnMut(&mut Self, Incoming),
    ) -> io::Result<ReadEnd> {
        let length = match self.socket.read(&mut area.received[CARRY_BYTES_MAX..]) {
            Ok(0) => return Ok(ReadEnd::Closed),
            Ok(length) => length,
            Err(error) if is_retry(&error) => return Ok(ReadEnd::Open),
            Err(error) => return Err(error),
        };
        let received = CARRY_BYTES_MAX..CARRY_BYTES_MAX + length;
        let bytes = if let Some(unframer) = &mut self.unframer {
            area.packets.clear();
            area.packets.extend_from_slice(&self.carry);
            unframer.decode(&area.received[received], &mut area.packets, &mut self.out)?;
            area.packets.as_slice()
        } else {
            let start = CARRY_BYTES_MAX - self.carry.len();
            area.received[start..CARRY_BYTES_MAX].copy_from_slice(&self.carry);
            &area.received[start..received.end]
        };
        self.carry.clear();
        self.scan::<W>(bytes, &mut take)?;
        Ok(ReadEnd::Open)
    }

    #[inline]
    fn scan<W: Wire>(
        &mut self,
        mut bytes: &[u8],
        take: &mut impl FnMut(&mut Self, Incoming),
    ) -> io::Result<()> {
        if let Some((incoming, missing)) = self.unfinished.take() {
            if missing > bytes.len() {
                self.unfinished = Some((incoming, missing - bytes.len()));
                return Ok(());
            }
            take(self, incoming);
            bytes = &bytes[missing..];
        }
        while let Next::Frame { length, incoming } = W::next(bytes)? {
            if length > bytes.len() {
                self.unfinished = Some((incoming, length - bytes.len()));
                return Ok(());
            }
            take(self, incoming);
            bytes = &bytes[length..];
        }
        if bytes.len() > CARRY_BYTES_MAX {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                "a frame without end",
            ));
        }
        self.carry.extend_from_slice(bytes);
        Ok(())
    }
}

/// Writes once; 0 if the socket takes nothing now.
#[inline]
fn write_some(socket: &mut Socket, bytes: &[u8]) -> io::Result<usize> {
    or_none(socket.write(bytes))
}

impl Datagrams {
    /// Sends as many as the socket takes; returns their bytes.
    fn send(self, socket: &mut Socket, bytes: &[u8]) -> io::Result<usize> {
        let mut sent = 0;
        while sent < bytes.len() {
            let left = &bytes[sent..];
            let more = if self.joined > 1 {
                write_some(socket, &left[..left.len().min(self.joined * self.bytes)])
            } else {
                or_none(send_many(socket, left, self.bytes, false))
            };
            match more? {
                0 => break,
                more => sent += more,
            }
        }
        Ok(sent)
    }
}

/// Nothing was sent if it has to be tried again.
fn or_none(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(error) if is_retry(&error) => Ok(0),
        result => result,
    }
}

fn is_retry(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::super::wire::{Mqtt, Shape, Stamp, Ws};
    use super::*;
    use ringbus_protocols::websocket::frame::{Opcode, put_frame};
    use std::os::unix::net::UnixStream;

    fn pair() -> (Connection, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let connection = Connection {
            socket: Socket::Unix(ours),
            carry: Vec::new(),
            unframer: None,
            unfinished: None,
            out: Vec::new(),
            out_written: 0,
            join_writes: true,
            datagrams: None,
            last_id: 0,
            unacknowledged: 0,
            unacknowledged_max: 10,
        };
        (connection, theirs)
    }

    fn messages(payload_bytes: usize) -> Vec<u8> {
        let shape = Shape {
            topic: "a/b",
            qos: 1,
            payload_bytes,
            batch: 3,
        };
        let first = Stamp {
            run: 0,
            stream: 0,
            sequence: 0,
        };
        Mqtt::<false>::template(shape)
            .stamp(first, 1, || 1)
            .to_vec()
    }

    #[test]
    fn frames_are_found_whatever_the_reads_are() {
        for payload_bytes in [16, 40] {
            let bytes = messages(payload_bytes);
            for split in 1..bytes.len() {
                let (mut connection, mut peer) = pair();
                let mut area = ReadArea::new();
                let mut sequences = Vec::new();
                for part in [&bytes[..split], &bytes[split..]] {
                    peer.write_all(part).unwrap();
                    let take = |_: &mut Connection, incoming| match incoming {
                        Incoming::Message { stamp, .. } => sequences.push(stamp.sequence),
                        other => panic!("{other:?}"),
                    };
                    connection.read::<Mqtt<false>>(&mut area, take).unwrap();
                }
                assert_eq!(sequences, [0, 1, 2], "split at {split}");
            }
        }
    }

    #[test]
    fn packets_are_found_however_frames_and_reads_cut_them() {
        let packets = messages(40);
        for cut in 1..packets.len() {
            let mut bytes = Vec::new();
            put_frame(&mut bytes, Opcode::Binary, &packets[..cut]);
            put_frame(&mut bytes, Opcode::Ping, b"?");
            put_frame(&mut bytes, Opcode::Binary, &packets[cut..]);
            let (mut connection, mut peer) = pair();
            connection.unframer = Some(Unframer::new());
            let (mut area, mut seen) = (ReadArea::new(), 0);
            for part in bytes.chunks(50) {
                peer.write_all(part).unwrap();
                let count = |_: &mut Connection, _| seen += 1;
                connection.read::<Ws<false>>(&mut area, count).unwrap();
            }
            assert_eq!(seen, 3, "cut at {cut}");
            assert_eq!(connection.out()[0], 0x8A, "a pong is on its way");
        }
    }

    #[test]
    fn a_large_message_counts_when_its_last_byte_is_there() {
        let (mut connection, mut peer) = pair();
        let mut area = ReadArea::new();
        let bytes = messages(100_000);
        let mut seen = 0;
        for part in bytes.chunks(30_000) {
            peer.write_all(part).unwrap();
            connection
                .read::<Mqtt<false>>(&mut area, |_, _| seen += 1)
                .unwrap();
            assert!(connection.carry.len() < 100, "the payload is not kept");
        }
        assert_eq!(seen, 3);
    }

    #[test]
    fn what_the_socket_does_not_take_is_sent_later_and_nothing_after_it() {
        for write_bytes in [1 << 20, 50_000, 4 << 20] {
            let (mut connection, mut peer) = pair();
            let bytes: Vec<u8> = (0..=255).cycle().take(4 << 20).collect();
            let whole = bytes.len() / write_bytes * write_bytes;
            let taken = connection
                .send_writes(&bytes[..whole], write_bytes)
                .unwrap();
            assert!(!connection.is_flushed());
            let wanted = taken * write_bytes;
            let mut received = Vec::new();
            let mut chunk = vec![0; 1 << 20];
            while received.len() < wanted {
                let length = peer.read(&mut chunk).unwrap();
                received.extend_from_slice(&chunk[..length]);
                connection.flush().unwrap();
            }
            assert!(connection.is_flushed());
            assert_eq!(received, bytes[..wanted]);
        }
    }

    #[test]
    fn packet_identifiers_skip_zero_and_can_be_given_back() {
        let (mut connection, _peer) = pair();
        connection.last_id = u16::MAX - 1;
        assert_eq!(connection.take_id(), u16::MAX);
        assert_eq!(connection.take_id(), 1);
        connection.give_back_ids(2);
        assert_eq!(connection.take_id(), u16::MAX);
        assert_eq!(connection.take_id(), 1);
    }

    #[test]
    fn the_receive_maximum_limits_writes() {
        let (mut connection, _peer) = pair();
        assert_eq!(connection.writes_allowed(4), 2);
        assert_eq!(connection.writes_allowed(16), 1, "alone it must go");
        connection.take_id();
        assert_eq!(connection.writes_allowed(16), 0);
        assert_eq!(connection.writes_allowed(1), 9);
        connection.completed();
        assert_eq!(connection.writes_allowed(1), 10);
    }

    #[test]
    fn each_message_is_a_datagram() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let bytes: Vec<u8> = (0..7 * 90)
            .map(|at| u8::try_from(at / 7).unwrap())
            .collect();
        for join_writes in [false, true] {
            let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
            sender.connect(receiver.local_addr().unwrap()).unwrap();
            let mut connection = Connection::of_datagrams(sender, 7, join_writes).unwrap();
            assert_eq!(connection.send_writes(&bytes, 7 * 15).unwrap(), 6);
            assert!(connection.is_flushed());
            for number in 0..90 {
                let mut datagram = [0; 64];
                assert_eq!(receiver.recv(&mut datagram).unwrap(), 7);
                assert_eq!(datagram[..7], [number; 7]);
            }
        }
    }

    #[test]
    fn the_end_of_the_stream_is_told() {
        let (mut connection, peer) = pair();
        drop(peer);
        let end = connection
            .read::<Mqtt<false>>(&mut ReadArea::new(), |_, _| {})
            .unwrap();
        assert_eq!(end, ReadEnd::Closed);
    }
}
