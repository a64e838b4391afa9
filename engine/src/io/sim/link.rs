//! A virtual TCP connection: two byte pipes with delays, a window, and an end.

use std::collections::VecDeque;
use std::io::IoSlice;

use crate::base::{ConnId, Nanos, Scheme};
use crate::shard::Output;

/// One direction of a connection.
#[derive(Default)]
pub(super) struct Pipe {
    /// Bytes under way, each with the time from which the reader may have it; times never fall.
    segments: VecDeque<(Nanos, Vec<u8>)>,
    /// How much of the first segment was read.
    read: usize,
    queued: usize,
    end: Option<Nanos>,
}

impl Pipe {
    /// Puts bytes on the way. Nothing follows an end.
    pub(super) fn write(&mut self, bytes: &[u8], ready: Nanos) {
        if self.end.is_some() || bytes.is_empty() {
            return;
        }
        let ready = self.segments.back().map_or(ready, |last| last.0.max(ready));
        self.queued += bytes.len();
        self.segments.push_back((ready, bytes.to_vec()));
    }

    /// At most `max` of the bytes that have arrived by `now`.
    pub(super) fn read(&mut self, now: Nanos, max: usize) -> Vec<u8> {
        let mut out = Vec::new();
        while out.len() < max {
            let Some((_, segment)) = self.segments.front().filter(|s| s.0 <= now) else {
                break;
            };
            let take = (segment.len() - self.read).min(max - out.len());
            out.extend_from_slice(&segment[self.read..self.read + take]);
            self.read += take;
            if self.read == segment.len() {
                self.segments.pop_front();
                self.read = 0;
            }
        }
        self.queued -= out.len();
        out
    }

    /// Bytes under way or arrived, not read.
    pub(super) fn queued(&self) -> usize {
        self.queued
    }

    /// The end of the stream, behind the bytes that are under way.
    pub(super) fn finish(&mut self, at: Nanos) {
        self.end.get_or_insert(at);
    }

    /// A reset: only the first `keep` segments still arrive.
    pub(super) fn cut(&mut self, keep: usize, at: Nanos) {
        self.segments.truncate(keep);
        if self.segments.is_empty() {
            self.read = 0;
        }
        self.queued = self.segments.iter().map(|s| s.1.len()).sum::<usize>() - self.read;
        self.end = Some(at);
    }

    /// True when the reader has everything and sees the end.
    pub(super) fn at_end(&self, now: Nanos) -> bool {
        self.segments.is_empty() && self.end.is_some_and(|at| at <= now)
    }

    /// When the reader next has something to see: bytes or the end.
    pub(super) fn ready_at(&self) -> Option<Nanos> {
        self.segments.front().map(|s| s.0).or(self.end)
    }
}

/// Where the server stands with a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// In the listen queue of a shard.
    Listening,
    /// Before CONNECT was taken: one receive a turn.
    OneShot,
    /// In the mail between two shards.
    Handed,
    /// Established: receives whenever there is something.
    Armed,
    /// The shard has closed it: flush, then read to the end.
    Lingering { until: Nanos },
    /// The server holds nothing of it.
    Gone,
}

/// An output on its way into the pipe.
pub(super) struct Sending {
    pub(super) output: Output,
    bytes: Vec<u8>,
    written: usize,
}

impl Sending {
    pub(super) fn new(output: Output) -> Sending {
        let mut slices = vec![IoSlice::new(&[]); 2 * output.splices.len() + 1];
        let filled = output.fill_slices(&mut slices);
        let bytes = slices[..filled]
            .iter()
            .flat_map(|slice| slice.iter().copied())
            .collect::<Vec<u8>>();
        assert_eq!(bytes.len(), output.len(), "the slices are the output");
        Sending {
            output,
            bytes,
            written: 0,
        }
    }

    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    pub(super) fn wrote(&mut self, count: usize) {
        self.written += count;
    }
}

/// A connection as both ends see it.
pub(super) struct Link {
    pub(super) scheme: Scheme,
    pub(super) to_server: Pipe,
    pub(super) to_client: Pipe,
    /// How many unread bytes the client side holds before the server's send blocks.
    pub(super) window: usize,
    pub(super) stage: Stage,
    pub(super) conn: Option<ConnId>,
    /// The shard did not take everything: these bytes are offered again when it resumes.
    pub(super) kept: Vec<u8>,
    pub(super) paused: bool,
    /// The shard wants to be called, even with nothing.
    pub(super) offer: bool,
    pub(super) sending: Option<Sending>,
    /// What the shard wants sent before the connection closes.
    pub(super) last: Option<Sending>,
    /// The client reset the connection: a send fails, and the pause does not hide the end.
    pub(super) reset: bool,
}

impl Link {
    pub(super) fn new(window: usize, scheme: Scheme) -> Link {
        Link {
            scheme,
            to_server: Pipe::default(),
            to_client: Pipe::default(),
            window,
            stage: Stage::Listening,
            conn: None,
            kept: Vec::new(),
            paused: false,
            offer: false,
            sending: None,
            last: None,
            reset: false,
        }
    }

    /// When the driver next has to look at this connection, as far as bytes go.
    pub(super) fn next_event(&self, now: Nanos) -> Option<Nanos> {
        match self.stage {
            Stage::Gone | Stage::Handed | Stage::Listening => None,
            Stage::OneShot | Stage::Armed => {
                let send = self.can_send().then_some(now);
                let offer = self.offer.then_some(now);
                let listen = !self.paused || self.reset;
                let receive = listen.then(|| self.to_server.ready_at()).flatten();
                [send, offer, receive].into_iter().flatten().min()
            }
            Stage::Lingering { until } => {
                let send = self.can_send().then_some(now);
                [send, self.to_server.ready_at(), Some(until)]
                    .into_iter()
                    .flatten()
                    .min()
            }
        }
    }

    fn can_send(&self) -> bool {
        let something = self.sending.is_some() || self.last.is_some();
        let is_done = |sending: &Sending| sending.rest().is_empty();
        let to_report = self.sending.as_ref().is_some_and(is_done);
        something && (self.reset || to_report || self.to_client.queued() < self.window)
    }
}
