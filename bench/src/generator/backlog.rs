//! A backlog: what happens to everybody else while one session gets all that waited for it.

use super::link::Link;
use super::load::Route;
use super::verify::{Arrival, Track};
use super::wire::mqtt::{accepted, connect_packet, whole_packet};
use super::wire::{Incoming, Mqtt, Next, Shape, Stamp, Template, Wire};
use crate::endpoint::Socket;
use crate::sys::{Interest, Poller, interrupted, now};
use hdrhistogram::Histogram;
use ringbus_protocols::mqtt::Version;
use std::io::{self, Read, Write};

/// Nothing takes as long as a minute.
const LATENCY_MAX: u64 = 60_000_000_000;

/// Without any message for so long, the rest counts as lost.
const STALL_NANOSECONDS: u64 = 5_000_000_000;

/// Messages published before their acknowledgements are waited for.
const BURST: u64 = 500;

/// Bytes read from the session at a time: few, so that the ping-pong is never kept waiting here.
const READ_BYTES: usize = 8 << 10;

const PING: usize = 0;
const SESSION: usize = 1;

/// What to measure.
#[derive(Clone, Copy, Debug)]
pub struct Backlog {
    /// Messages that wait, QoS 1
    pub messages: u64,
    /// Their payload bytes
    pub payload_bytes: usize,
    /// Nanoseconds of ping-pong before the session returns
    pub idle: u64,
}

/// What was measured.
#[derive(Debug)]
pub struct BacklogOutcome {
    /// Round trips of the ping-pong while nothing else happened
    pub before: Histogram<u64>,
    /// Round trips while the session got its messages
    pub during: Histogram<u64>,
    /// Seconds from CONNECT to the last message
    pub seconds: f64,
    /// Messages received, each once
    pub received: u64,
    /// Messages received again
    pub duplicated: u64,
    /// Messages that did not come in order
    pub reordered: u64,
}

/// Fills a session that is away, starts a ping-pong, lets the session return.
///
/// # Errors
/// The broker cannot be reached, refuses something, or closes a connection.
pub fn drain_backlog(backlog: &Backlog, route: &Route) -> io::Result<BacklogOutcome> {
    let run = u32::try_from(now() >> 10 & 0x7fff_ffff).expect("31 bits");
    let session = format!("backlog-{run:x}");
    let topic = format!("backlog/{run:x}/messages");
    let mut away = open(route, &session, false)?;
    Mqtt::<false>::subscribe(&mut away, std::slice::from_ref(&topic), 1)?;
    // DISCONNECT, and the broker has closed when it was read.
    away.send(&[0xE0, 0])?;
    let ended = away.receive(|_| Ok(None));
    if ended.is_ok() {
        return Err(io::Error::other("the broker goes on after DISCONNECT"));
    }
    publish_all(backlog, route, run, &topic)?;
    let mut drain = Drain::new(backlog, route, run)?;
    drain.ping_until(Some(now() + backlog.idle))?;
    let before = std::mem::replace(&mut drain.latency, histogram());
    let start = now();
    drain.add_session(open(route, &session, false)?)?;
    drain.ping_until(None)?;
    let [received, reordered] = [drain.received, drain.reordered];
    Ok(BacklogOutcome {
        before,
        during: drain.latency,
        seconds: (drain.last_at.max(start) - start) as f64 / 1e9,
        received,
        duplicated: drain.duplicated,
        reordered,
    })
}

fn open(route: &Route, client_id: &str, clean: bool) -> io::Result<Link> {
    let mut link = Link::open(&route.endpoint)?;
    link.send(&connect_packet(Version::V3_1_1, client_id, clean))?;
    accepted(Version::V3_1_1, &link.receive(whole_packet)?)?;
    Ok(link)
}

fn template(topic: &str, qos: u8, payload_bytes: usize) -> Template {
    Mqtt::<false>::template(Shape {
        topic,
        qos,
        payload_bytes,
        batch: 1,
    })
}

/// Publishes everything at QoS 1 and waits until all of it is acknowledged.
fn publish_all(backlog: &Backlog, route: &Route, run: u32, topic: &str) -> io::Result<()> {
    let mut link = open(route, &format!("backlog-{run:x}-p"), true)?;
    let mut template = template(topic, 1, backlog.payload_bytes);
    let mut sequence = 0;
    while sequence < backlog.messages {
        let burst = BURST.min(backlog.messages - sequence);
        for id in 1..=burst {
            let stamp = Stamp {
                run,
                stream: 0,
                sequence,
            };
            let id = u16::try_from(id).expect("a burst is small");
            link.send(template.stamp(stamp, 1, || id))?;
            sequence += 1;
        }
        for _ in 0..burst {
            link.receive(whole_packet)?;
        }
    }
    link.send(&[0xE0, 0])
}

struct Drain {
    poller: Poller,
    ping: Peer,
    session: Option<Peer>,
    template: Template,
    run: u32,
    sequence: u64,
    sent_at: u64,
    latency: Histogram<u64>,
    track: Track,
    wanted: u64,
    received: u64,
    duplicated: u64,
    reordered: u64,
    last_at: u64,
}

impl Drain {
    fn new(backlog: &Backlog, route: &Route, run: u32) -> io::Result<Self> {
        let topic = format!("ping/{run:x}/pong");
        let mut link = open(route, &format!("ping-{run:x}"), true)?;
        Mqtt::<false>::subscribe(&mut link, std::slice::from_ref(&topic), 0)?;
        let poller = Poller::new()?;
        let ping = Peer::new(link)?;
        poller.add(&ping.socket, PING, Interest::Read)?;
        Ok(Self {
            poller,
            ping,
            session: None,
            template: template(&topic, 0, 64),
            run,
            sequence: 0,
            sent_at: 0,
            latency: histogram(),
            track: Track::default(),
            wanted: backlog.messages,
            received: 0,
            duplicated: 0,
            reordered: 0,
            last_at: 0,
        })
    }

    fn add_session(&mut self, link: Link) -> io::Result<()> {
        let mut session = Peer::new(link)?;
        self.poller.add(&session.socket, SESSION, Interest::Read)?;
        self.last_at = now();
        self.take_messages(&mut session)?;
        self.session = Some(session);
        Ok(())
    }

    /// Goes on until `end`, or until all messages are there, or none came for a while.
    fn ping_until(&mut self, end: Option<u64>) -> io::Result<()> {
        loop {
            let time = now();
            let is_over = match end {
                Some(end) => time >= end,
                None => self.received >= self.wanted || time - self.last_at >= STALL_NANOSECONDS,
            };
            if is_over {
                return Ok(());
            }
            if interrupted() {
                let signal = "stopped by a signal";
                return Err(io::Error::new(io::ErrorKind::Interrupted, signal));
            }
            self.turn()?;
        }
    }

    fn turn(&mut self) -> io::Result<()> {
        if self.sent_at == 0 {
            self.send_ping()?;
        }
        let count = self.poller.wait(STALL_NANOSECONDS)?;
        let mut is_readable = [false; 2];
        for index in 0..count {
            is_readable[self.poller.ready(index).token] = true;
        }
        if is_readable[PING] {
            self.on_pong()?;
        }
        if is_readable[SESSION]
            && let Some(mut session) = self.session.take()
        {
            session.fill()?;
            self.take_messages(&mut session)?;
            self.session = Some(session);
        }
        Ok(())
    }

    fn send_ping(&mut self) -> io::Result<()> {
        let stamp = Stamp {
            run: self.run,
            stream: 1,
            sequence: self.sequence,
        };
        self.sequence += 1;
        self.sent_at = now();
        let bytes = self.template.stamp(stamp, 1, || 0);
        self.ping.socket.write_all(bytes)
    }

    fn on_pong(&mut self) -> io::Result<()> {
        self.ping.fill()?;
        while let Some(incoming) = self.ping.next()? {
            if let Incoming::Message { stamp, .. } = incoming
                && stamp.sequence + 1 == self.sequence
            {
                self.latency.saturating_record(now() - self.sent_at);
                self.send_ping()?;
            }
        }
        Ok(())
    }

    fn take_messages(&mut self, session: &mut Peer) -> io::Result<()> {
        let mut acks = Vec::new();
        while let Some(incoming) = session.next()? {
            let Incoming::Message { stamp, qos, id } = incoming else {
                continue;
            };
            Mqtt::<false>::acknowledge(qos, id, &mut acks);
            match self.track.arrive(stamp.sequence) {
                Arrival::New => self.received += 1,
                Arrival::Late => {
                    self.received += 1;
                    self.reordered += 1;
                }
                Arrival::Duplicate | Arrival::Unwanted => self.duplicated += 1,
            }
            self.last_at = now();
        }
        session.send(&acks)
    }
}

/// A socket that does not block, and what came on it.
struct Peer {
    socket: Socket,
    received: Vec<u8>,
    taken: usize,
}

impl Peer {
    fn new(link: Link) -> io::Result<Self> {
        let parts = link.into_parts()?;
        Ok(Self {
            socket: parts.socket,
            received: parts.received,
            taken: 0,
        })
    }

    fn fill(&mut self) -> io::Result<()> {
        self.received.drain(..self.taken);
        self.taken = 0;
        let mut chunk = [0; READ_BYTES];
        match self.socket.read(&mut chunk) {
            Ok(0) => Err(io::Error::other("the broker closed the connection")),
            Ok(length) => {
                self.received.extend_from_slice(&chunk[..length]);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn next(&mut self) -> io::Result<Option<Incoming>> {
        let rest = &self.received[self.taken..];
        match Mqtt::<false>::next(rest)? {
            // A message may be told before all of it is there.
            Next::Frame { length, incoming } if length <= rest.len() => {
                self.taken += length;
                Ok(Some(incoming))
            }
            _ => Ok(None),
        }
    }

    /// Acknowledgements are few bytes: a full socket is waited for.
    fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.socket.write(bytes) {
                Ok(length) => bytes = &bytes[length..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_MAX, 3).expect("the bounds are constant and valid")
}
