//! A blocking MQTT connection of a tool.

use super::failure::Failure;
use super::options::Options;
use crate::endpoint::Socket;
use crate::sys::{Wake, now, wait_readable};
use ringbus_protocols::mqtt::{
    Ack, Disconnect, Frame, PACKET_SIZE_MAX, Packet, PacketIdentifier, PacketType, PingReq,
    ReasonCode, Version, frame,
};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

/// How long the broker may take to accept the connection, and to answer a ping.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

const SECOND: u64 = 1_000_000_000;

/// A connection that was accepted.
pub struct Connection {
    socket: Socket,
    version: Version,
    receive_maximum: u16,
    received: Vec<u8>,
    /// Bytes of `received` that were handed out
    taken: usize,
    out: Vec<u8>,
    keep_alive: u64,
    /// When something was last sent
    sent_at: u64,
    /// When the PINGREQ left that has no answer yet
    pinged_at: Option<u64>,
}

/// What [`Connection::wait`] woke for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The broker sent something: see [`Connection::next_length`]
    Received,
    /// The other descriptor can be read
    Other,
    /// The deadline passed
    Deadline,
    /// A signal asks to stop
    Interrupted,
}

impl Connection {
    /// Connects and waits until the broker accepts.
    pub fn open(options: &Options) -> Result<Self, Failure> {
        let endpoint = &options.endpoint;
        let cannot = format!("cannot connect to {endpoint}");
        let socket = endpoint
            .connect(ANSWER_TIMEOUT)
            .map_err(Failure::io(&cannot))?;
        let keep_alive = match options.keep_alive_seconds() {
            0 => u64::MAX / 4,
            seconds => u64::from(seconds) * SECOND,
        };
        let mut connection = Self {
            socket,
            version: options.version,
            receive_maximum: u16::MAX,
            received: Vec::new(),
            taken: 0,
            out: Vec::new(),
            keep_alive,
            sent_at: now(),
            pinged_at: None,
        };
        options.connect().encode(&mut connection.out);
        connection.flush()?;
        connection.accept()?;
        Ok(connection)
    }

    fn accept(&mut self) -> Result<(), Failure> {
        let deadline = now() + u64::try_from(ANSWER_TIMEOUT.as_nanos()).expect("ten seconds");
        let length = loop {
            if let Some(length) = self.next_length()? {
                break length;
            }
            match self.wait(None, deadline)? {
                Event::Deadline => return Err(Failure::Silent),
                Event::Interrupted => return Err(Failure::Interrupted),
                Event::Received | Event::Other => {}
            }
        };
        let (reason, receive_maximum, keep_alive) = match self.packet(length)? {
            Packet::ConnAck(answer) => {
                let properties = answer.properties;
                (
                    answer.reason,
                    properties.receive_maximum(),
                    properties.server_keep_alive(),
                )
            }
            other => return Err(Failure::Unexpected(other.packet_type().name())),
        };
        if reason.is_error() {
            return Err(Failure::Refused("connection".into(), reason));
        }
        self.receive_maximum = receive_maximum.unwrap_or(u16::MAX);
        if let Some(seconds) = keep_alive.filter(|&seconds| seconds > 0) {
            self.keep_alive = u64::from(seconds) * SECOND;
        }
        Ok(())
    }

    /// The MQTT version spoken.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Unacknowledged QoS 1 and 2 messages the broker takes at most.
    pub fn receive_maximum(&self) -> u16 {
        self.receive_maximum
    }

    /// Where packets are appended; [`Self::flush`] sends them.
    pub fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Appends PUBACK, PUBREC, PUBREL or PUBCOMP.
    pub fn push_ack(&mut self, packet_type: PacketType, id: PacketIdentifier) {
        Ack::new(id).encode(packet_type, self.version, &mut self.out);
    }

    /// Sends what was appended.
    pub fn flush(&mut self) -> Result<(), Failure> {
        if self.out.is_empty() {
            return Ok(());
        }
        let result = self.socket.write_all(&self.out);
        self.out.clear();
        self.sent_at = now();
        result.map_err(|error| match error.kind() {
            // What the broker said before it closed is still to be read.
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => self.last_words(),
            _ => Failure::Io("cannot send to the broker".into(), error),
        })
    }

    /// The reason in a DISCONNECT that the broker sent before it closed.
    fn last_words(&mut self) -> Failure {
        while self.receive().is_ok() {}
        while let Ok(Some(length)) = self.next_length() {
            if let Ok(Packet::Disconnect(disconnect)) = self.packet(length) {
                return Failure::Disconnected(disconnect.reason);
            }
        }
        Failure::Closed
    }

    /// Length of the next whole packet received, if one is there.
    pub fn next_length(&mut self) -> Result<Option<usize>, Failure> {
        match frame(&self.received[self.taken..], PACKET_SIZE_MAX)? {
            Frame::Complete { length, .. } => Ok(Some(length)),
            Frame::Incomplete { .. } => {
                self.received.drain(..self.taken);
                self.taken = 0;
                Ok(None)
            }
        }
    }

    /// Takes the packet whose length [`Self::next_length`] told.
    ///
    /// A DISCONNECT, and an answer to a ping, are dealt with here.
    pub fn packet(&mut self, length: usize) -> Result<Packet<'_>, Failure> {
        let start = self.taken;
        self.taken += length;
        let Frame::Complete { header, body, .. } = frame(&self.received[start..], PACKET_SIZE_MAX)?
        else {
            unreachable!("next_length said that it is whole");
        };
        let packet = Packet::decode(header, body, self.version)?;
        match packet {
            Packet::Disconnect(Disconnect { reason, .. }) => Err(Failure::Disconnected(reason)),
            Packet::PingResp(_) => {
                self.pinged_at = None;
                Ok(packet)
            }
            _ => Ok(packet),
        }
    }

    /// Waits until the broker sends something, `other` can be read, or `deadline` passes; sends
    /// the pings that fall due meanwhile.
    pub fn wait(&mut self, other: Option<RawFd>, deadline: u64) -> Result<Event, Failure> {
        loop {
            self.flush()?;
            let time = now();
            if time >= deadline {
                return Ok(Event::Deadline);
            }
            let ping_due = self.ping_due(time)?;
            let timeout = deadline.min(ping_due).saturating_sub(time);
            let cannot = "cannot wait for the broker";
            match wait_readable(self.socket.as_raw_fd(), other, timeout)
                .map_err(Failure::io(cannot))?
            {
                Wake::First => return self.receive().map(|()| Event::Received),
                Wake::Second => return Ok(Event::Other),
                Wake::Signal => return Ok(Event::Interrupted),
                Wake::Timeout => {}
            }
        }
    }

    /// Sends a ping if one is due; returns when to look again.
    fn ping_due(&mut self, time: u64) -> Result<u64, Failure> {
        if let Some(pinged_at) = self.pinged_at {
            let limit = pinged_at + self.keep_alive.max(10 * SECOND);
            return if time >= limit {
                Err(Failure::Silent)
            } else {
                Ok(limit)
            };
        }
        if time - self.sent_at >= self.keep_alive {
            self.pinged_at = Some(time);
            PingReq.encode(self.version, &mut self.out);
            self.flush()?;
        }
        Ok(self.sent_at + self.keep_alive)
    }

    fn receive(&mut self) -> Result<(), Failure> {
        let mut chunk = [0; 16 * 1024];
        match self.socket.read(&mut chunk) {
            Ok(0) => Err(Failure::Closed),
            Ok(length) => {
                self.received.extend_from_slice(&chunk[..length]);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Err(Failure::Closed),
            Err(error) => Err(Failure::Io("cannot receive from the broker".into(), error)),
        }
    }

    /// Says goodbye, with or without the will.
    pub fn disconnect(mut self) -> Result<(), Failure> {
        Disconnect::new(ReasonCode::Success).encode(self.version, &mut self.out);
        self.flush()
    }
}
