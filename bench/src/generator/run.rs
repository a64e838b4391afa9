//! One run of a load: connect, warm up, measure, drain.

use super::books::Books;
use super::connection::{Connection, ReadArea, ReadEnd};
use super::link::Link;
use super::load::{Load, Pacing, Route};
use super::pace::Plan;
use super::verify::Tally;
use super::wire::{
    Incoming, Mqtt, MqttSn, Nats, Raw, Resp, Shape, Stamp, Template, Topic, Wire, Ws,
};
use crate::cli::Protocol;
use crate::sys::{CpuClock, Interest, Poller, interrupted, now};
use hdrhistogram::Histogram;
use ringbus_protocols::mqtt::Version;
use std::io;
use std::marker::PhantomData;

/// Without any arrival for so long, what is under way counts as lost.
const STALL_NANOSECONDS: u64 = 1_000_000_000;

/// Draining ends after so long even if messages still arrive.
const DRAIN_NANOSECONDS_MAX: u64 = 10_000_000_000;

/// The same for datagrams while they are sent: the last ones of a window may be lost, and then
/// nothing follows that would tell.
const DATAGRAM_STALL_NANOSECONDS: u64 = 20_000_000;

/// What a run measured.
#[derive(Debug)]
pub struct Outcome {
    /// Messages sent in the whole run
    pub sent: u64,
    /// Deliveries they should have caused
    pub expected: u64,
    /// What arrived in the whole run
    pub tally: Tally,
    /// Times the load stalled for a second and gave up on what was under way
    pub stalls: u32,
    /// Seconds measured
    pub seconds: f64,
    /// Messages sent while measured
    pub measured_sent: u64,
    /// Deliveries while measured
    pub measured_received: u64,
    /// CPU nanoseconds of the broker while measured
    pub broker_cpu: Option<u64>,
    /// CPU nanoseconds of the generator while measured
    pub generator_cpu: u64,
    /// Messages that the plan wanted to be sent while measured
    pub planned: Option<u64>,
    /// Messages that each member of a shared subscription got in the whole run
    pub shares: Vec<u64>,
    /// Latency in nanoseconds
    pub latency: Option<Histogram<u64>>,
    /// Bytes of a message on the wire, as published
    pub message_bytes: usize,
    /// Whether messages are datagrams, of which some may be lost without a fault
    pub may_lose: bool,
}

/// Runs `load`; `broker` is the CPU clock of the broker, if known.
///
/// # Errors
/// The broker cannot be reached, refuses a connection, or closes one.
pub fn run(load: &Load, route: &Route, broker: Option<CpuClock>) -> io::Result<Outcome> {
    match (route.protocol, route.version) {
        (Protocol::Mqtt, Version::V5) => drive::<Mqtt<true>>(load, route, broker),
        (Protocol::Mqtt, _) => drive::<Mqtt<false>>(load, route, broker),
        (Protocol::Ws, Version::V5) => drive::<Ws<true>>(load, route, broker),
        (Protocol::Ws, _) => drive::<Ws<false>>(load, route, broker),
        (Protocol::Topic, _) => drive::<Topic>(load, route, broker),
        (Protocol::Nats, _) => drive::<Nats>(load, route, broker),
        (Protocol::Resp, _) => drive::<Resp>(load, route, broker),
        (Protocol::MqttSn, _) => drive::<MqttSn>(load, route, broker),
    }
}

/// Runs `load` through a relay that only copies.
pub fn run_raw(load: &Load, route: &Route, relay: Option<CpuClock>) -> io::Result<Outcome> {
    drive::<Raw>(load, route, relay)
}

fn drive<W: Wire>(load: &Load, route: &Route, broker: Option<CpuClock>) -> io::Result<Outcome> {
    let mut generator = Generator::<W>::set_up(load, route)?;
    let start = now();
    if let Pacing::Rate(rate) = load.pacing {
        let plan = Plan::new(start, rate, load.streams() as u64, load.batch);
        generator.books.plan = Some(plan);
    }
    generator.run_until(start + load.warmup)?;
    let before = generator.snapshot(broker)?;
    generator.books.measured_from = before.time;
    generator.run_until(before.time + load.duration)?;
    let after = generator.snapshot(broker)?;
    generator.books.measured_to = after.time;
    generator.drain()?;
    Ok(generator.outcome(before, after))
}

struct Generator<W> {
    load: Load,
    connections: Vec<Connection>,
    watched_for_write: Vec<bool>,
    streams_of: Vec<Vec<usize>>,
    books: Books,
    area: ReadArea,
    poller: Poller,
    next_write: u64,
    draining: bool,
    progress: u64,
    progress_at: u64,
    stalls: u32,
    wire: PhantomData<W>,
}

#[derive(Clone, Copy)]
struct Snapshot {
    time: u64,
    sent: u64,
    received: u64,
    broker: Option<u64>,
    generator: u64,
}

impl<W: Wire> Generator<W> {
    /// Without any arrival for so long while it sends, it gives up on what is under way.
    const STALL: u64 = if W::SENDS_DATAGRAMS {
        DATAGRAM_STALL_NANOSECONDS
    } else {
        STALL_NANOSECONDS
    };

    /// Opens all connections: subscribers first, so that nothing is published to nobody.
    fn set_up(load: &Load, route: &Route) -> io::Result<Self> {
        let run = u32::try_from(now() >> 10 & 0x7fff_ffff).expect("31 bits");
        let poller = Poller::new()?;
        let templates = templates::<W>(load);
        let message_bytes = templates[0].message_bytes();
        let mut connections = Vec::new();
        for index in 0..load.subscribers + load.publishers {
            let connection = if W::SENDS_DATAGRAMS && index >= load.subscribers {
                open_sender(load, route, message_bytes)?
            } else {
                open::<W>(load, route, run, index)?
            };
            poller.add(connection.socket(), index, Interest::Read)?;
            connections.push(connection);
        }
        let mut streams_of = vec![Vec::new(); connections.len()];
        for stream in 0..load.streams() {
            streams_of[load.subscribers + load.publisher_of(stream)].push(stream);
        }
        Ok(Self {
            watched_for_write: vec![false; connections.len()],
            connections,
            streams_of,
            books: Books::new(load, run, templates),
            area: ReadArea::new(),
            poller,
            next_write: 0,
            draining: false,
            progress: 0,
            progress_at: now(),
            stalls: 0,
            load: load.clone(),
            wire: PhantomData,
        })
    }

    fn run_until(&mut self, deadline: u64) -> io::Result<()> {
        loop {
            let time = now();
            if time >= deadline {
                return Ok(());
            }
            if interrupted() {
                return Err(io::Error::new(
                    io::ErrorKind::Interrupted,
                    "stopped by a signal",
                ));
            }
            self.turn(time, deadline)?;
        }
    }

    /// Sends what may be sent, waits for events, reads.
    fn turn(&mut self, time: u64, deadline: u64) -> io::Result<()> {
        let planned = self.release_planned(time);
        if !self.draining {
            self.publish()?;
        }
        let wait = match (self.books.ready.is_empty() || self.draining, planned) {
            (false, _) => 0,
            (true, planned) => planned.min(deadline).saturating_sub(time),
        };
        let count = self.poller.wait(wait.min(Self::STALL))?;
        let time = now();
        for index in 0..count {
            let ready = self.poller.ready(index);
            if ready.writable {
                self.flush(ready.token)?;
            }
            if ready.readable {
                self.read(ready.token, time)?;
            }
        }
        self.notice_stall(time);
        Ok(())
    }

    /// Lets streams send what the plan has due by `time`; returns when the next write is due.
    fn release_planned(&mut self, time: u64) -> u64 {
        let Some(plan) = self.books.plan else {
            return u64::MAX;
        };
        if self.draining {
            return u64::MAX;
        }
        while plan.write_time(self.next_write) <= time {
            let index = usize::try_from(plan.stream(self.next_write)).expect("a stream's index");
            self.books.streams[index].allowed += self.load.batch;
            self.books.queue(index);
            self.next_write += 1;
        }
        plan.write_time(self.next_write)
    }

    fn publish(&mut self) -> io::Result<()> {
        let mut ready = std::mem::take(&mut self.books.ready);
        for index in ready.drain(..) {
            self.publish_stream(index)?;
        }
        // Streams that used up their share were queued again meanwhile.
        ready.append(&mut self.books.ready);
        self.books.ready = ready;
        Ok(())
    }

    fn publish_stream(&mut self, index: usize) -> io::Result<()> {
        let (run, batch, qos) = (self.books.run, self.load.batch, self.load.qos);
        let stream = &mut self.books.streams[index];
        let token = stream.connection;
        let connection = &mut self.connections[token];
        stream.queued = false;
        let room = if qos > 0 {
            connection.writes_allowed(batch)
        } else {
            u64::MAX
        };
        let allowed = (stream.allowed - stream.sent) / batch;
        let writes = allowed.min(room).min(stream.template.writes_max());
        if writes == 0 || !connection.is_flushed() {
            // An acknowledgement, or room in the socket, puts it into the list again.
            return Ok(());
        }
        let number = u32::try_from(index).expect("the load bounds its streams");
        let first = Stamp {
            run,
            stream: number,
            sequence: stream.sent,
        };
        let count = usize::try_from(writes).expect("a few writes");
        let write_bytes = stream.template.write_bytes();
        let bytes = stream.template.stamp(first, count, || connection.take_id());
        if self.load.pacing == Pacing::PingPong {
            stream.sent_at = now();
        }
        let taken = connection.send_writes(bytes, write_bytes)? as u64;
        if qos > 0 {
            connection.give_back_ids((writes - taken) * batch);
        }
        stream.sent += taken * batch;
        if connection.is_flushed() {
            self.books.queue(index);
            return Ok(());
        }
        self.watch(token)
    }

    fn read(&mut self, token: usize, time: u64) -> io::Result<()> {
        let books = &mut self.books;
        let subscriber = (token < self.load.subscribers).then_some(token);
        let mut acknowledged = false;
        let connection = &mut self.connections[token];
        let end = connection.read::<W>(&mut self.area, |connection, incoming| {
            match (incoming, subscriber) {
                (Incoming::Message { stamp, qos, id }, Some(subscriber)) => {
                    books.arrived(subscriber, stamp, time);
                    if qos > 0 {
                        W::acknowledge(qos, id, connection.out());
                    }
                }
                (other, _) => acknowledged |= answer::<W>(connection, other, &mut books.tally),
            }
        })?;
        if end == ReadEnd::Closed {
            let who = if subscriber.is_some() {
                "subscriber"
            } else {
                "publisher"
            };
            return Err(io::Error::other(format!(
                "the broker closed the connection of a {who}"
            )));
        }
        if !connection.is_flushed() {
            self.flush(token)?;
        } else if acknowledged {
            self.queue_streams_of(token);
        }
        Ok(())
    }

    /// Writes what a connection keeps, and watches for room as long as something is left.
    fn flush(&mut self, token: usize) -> io::Result<()> {
        self.connections[token].flush()?;
        self.watch(token)?;
        if self.connections[token].is_flushed() {
            self.queue_streams_of(token);
        }
        Ok(())
    }

    fn watch(&mut self, token: usize) -> io::Result<()> {
        let wanted = !self.connections[token].is_flushed();
        if self.watched_for_write[token] != wanted {
            let interest = if wanted {
                Interest::ReadWrite
            } else {
                Interest::Read
            };
            self.poller
                .modify(self.connections[token].socket(), token, interest)?;
            self.watched_for_write[token] = wanted;
        }
        Ok(())
    }

    fn queue_streams_of(&mut self, token: usize) {
        for &stream in &self.streams_of[token] {
            self.books.queue(stream);
        }
    }

    fn notice_stall(&mut self, time: u64) {
        if self.books.tally.received != self.progress {
            self.progress = self.books.tally.received;
            self.progress_at = time;
        } else if time - self.progress_at >= Self::STALL && !self.draining {
            self.progress_at = time;
            if self.books.expected() > self.books.tally.received {
                self.stalls += 1;
                self.books.abandon();
            }
        }
    }

    /// Sends nothing more and receives until all is there, or nothing comes for a second.
    fn drain(&mut self) -> io::Result<()> {
        self.draining = true;
        let start = now();
        self.progress_at = start;
        loop {
            let time = now();
            let complete = self.books.tally.received >= self.books.expected();
            let silent = time - self.progress_at >= STALL_NANOSECONDS;
            if complete || silent || time - start >= DRAIN_NANOSECONDS_MAX {
                return Ok(());
            }
            self.turn(time, time + STALL_NANOSECONDS / 4)?;
        }
    }

    fn snapshot(&self, broker: Option<CpuClock>) -> io::Result<Snapshot> {
        Ok(Snapshot {
            time: now(),
            sent: self.books.sent(),
            received: self.books.tally.received,
            broker: broker.map(CpuClock::read).transpose()?,
            generator: CpuClock::THIS_THREAD.read()?,
        })
    }

    fn outcome(self, before: Snapshot, after: Snapshot) -> Outcome {
        let books = self.books;
        let due = |plan: Plan| plan.messages_due(after.time) - plan.messages_due(before.time);
        Outcome {
            sent: books.sent(),
            expected: books.expected(),
            tally: books.tally,
            stalls: self.stalls,
            seconds: (after.time - before.time) as f64 / 1e9,
            measured_sent: after.sent - before.sent,
            measured_received: after.received - before.received,
            broker_cpu: after
                .broker
                .zip(before.broker)
                .map(|(after, before)| after - before),
            generator_cpu: after.generator - before.generator,
            planned: books.plan.map(due),
            message_bytes: books.streams[0].template.message_bytes(),
            may_lose: W::SENDS_DATAGRAMS,
            shares: books.shares,
            latency: books.latency,
        }
    }
}

/// Answers a frame that is no message of the load; tells whether it frees a packet identifier.
fn answer<W: Wire>(connection: &mut Connection, incoming: Incoming, tally: &mut Tally) -> bool {
    match incoming {
        Incoming::Completed => {
            connection.completed();
            return true;
        }
        Incoming::Received(id) => W::release(id, connection.out()),
        Incoming::Released(id) => W::complete(id, connection.out()),
        Incoming::Ping => W::pong(connection.out()),
        Incoming::Message { .. } | Incoming::Unstamped => tally.foreign += 1,
        Incoming::Refused(_) => tally.refused += 1,
        Incoming::Other => {}
    }
    false
}

fn open<W: Wire>(load: &Load, route: &Route, run: u32, index: usize) -> io::Result<Connection> {
    let mut link = Link::open(&route.endpoint)?;
    let receive_maximum = W::connect(&mut link, &format!("bench-{run:x}-{index}"))?;
    if index < load.subscribers {
        W::subscribe(&mut link, &load.filters(index), load.qos)?;
    } else {
        W::announce(&mut link, &load.topics_of(index - load.subscribers))?;
    }
    Connection::new(link, receive_maximum, load.join_writes)
}

fn open_sender(load: &Load, route: &Route, datagram_bytes: usize) -> io::Result<Connection> {
    let missing = || io::Error::other("it is not known where the broker takes datagrams");
    let endpoint = route.datagrams.as_ref().ok_or_else(missing)?;
    Connection::of_datagrams(endpoint.open_udp()?, datagram_bytes, load.join_writes)
}

fn templates<W: Wire>(load: &Load) -> Vec<Template> {
    let batch = usize::try_from(load.batch).expect("a batch fits into memory");
    let template = |stream| {
        let topic = load.topic_name(load.topic_of(stream));
        let (qos, payload_bytes) = (load.qos, load.payload_bytes);
        W::template(Shape {
            topic: &topic,
            qos,
            payload_bytes,
            batch,
        })
    };
    (0..load.streams()).map(template).collect()
}
