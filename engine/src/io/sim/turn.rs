//! One turn of one shard, in the order every driver keeps.

use super::link::{Sending, Stage};
use super::{Sim, index};
use crate::base::{ConnId, Nanos, Peer, Socket};

/// How long a closed connection may take to read its last bytes and answer with its end.
const LINGER: Nanos = Nanos(1_000_000_000);
/// The most bytes one receive returns, like a provided buffer.
const RECEIVE_BYTES: usize = 32 * 1024;

impl Sim {
    /// A whole turn, or the half that was left of one.
    pub(super) fn turn(&mut self, seat: usize) {
        if !self.seats[seat].in_turn {
            self.first_half(seat);
            if self.chance.percent(self.faults.interleave_percent) {
                self.seats[seat].in_turn = true;
                return;
            }
        }
        self.seats[seat].in_turn = false;
        self.apply_effects(seat);
        self.start_sends(seat);
        self.send_datagrams(seat);
    }

    /// Inputs, mail, timers, and the hand-over of mail.
    fn first_half(&mut self, at: usize) {
        let now = self.now;
        self.wake(at);
        let seat = &mut self.seats[at];
        seat.turns += 1;
        seat.shard.begin_turn(now);
        self.accept(at);
        self.feed_datagrams(at);
        // A copy: connections may leave the list while they are fed.
        let mut sockets = self.seats[at].sockets.clone();
        let start = self.chance.index(sockets.len());
        sockets.rotate_left(start);
        for socket in sockets {
            let due = self.links[index(socket)].next_event(now);
            if due.is_some_and(|due| due <= now) {
                self.write(at, socket);
                self.feed(at, socket);
            }
        }
        let seat = &mut self.seats[at];
        seat.shard.on_mail(&mut seat.mailbox);
        seat.shard.end_turn(&mut seat.mailbox);
        seat.mailbox.wake_peers();
    }

    fn accept(&mut self, at: usize) {
        while let Some(&(ready, socket)) = self.seats[at].listening.front() {
            if ready > self.now {
                break;
            }
            self.seats[at].listening.pop_front();
            let (peer, scheme) = (Peer::default(), self.links[index(socket)].scheme);
            let accepted = self.seats[at].shard.on_accept(socket, peer, scheme);
            let now = self.now;
            let link = self.link(socket);
            link.conn = accepted;
            if accepted.is_some() {
                link.stage = Stage::OneShot;
                self.seats[at].sockets.push(socket);
            } else {
                link.stage = Stage::Gone;
                link.to_client.finish(now);
            }
        }
    }

    /// Lets the send in flight make progress, and reports it when it is done.
    fn write(&mut self, at: usize, socket: Socket) {
        let now = self.now;
        let link = &mut self.links[index(socket)];
        if link.sending.is_none() && matches!(link.stage, Stage::Lingering { .. }) {
            link.sending = link.last.take();
        }
        if link.sending.is_none() {
            return;
        }
        if link.reset {
            // A send on a reset connection fails.
            if matches!(link.stage, Stage::Lingering { .. }) {
                self.forget(at, socket);
            } else if link.to_server.ready_at().is_some_and(|end| end <= now) {
                self.lose(at, socket);
            }
            return;
        }
        self.transfer(socket);
        let link = &mut self.links[index(socket)];
        if let Some(sent) = link.sending.take_if(|sending| sending.rest().is_empty()) {
            match (link.stage, link.conn) {
                (Stage::OneShot | Stage::Armed, Some(conn)) => {
                    self.seats[at].shard.on_sent(conn, sent.output);
                }
                _ => {
                    // The shard has forgotten this connection: the buffer is not its own any more.
                }
            }
        }
    }

    /// Moves as much of the send in flight as the client's side has room for, or less.
    fn transfer(&mut self, socket: Socket) {
        let ready = self.delayed();
        let short = self.chance.percent(self.faults.short_write_percent);
        let part = self.chance.below(64) + 1;
        let link = &mut self.links[index(socket)];
        let Some(sending) = &mut link.sending else {
            return;
        };
        let room = link.window.saturating_sub(link.to_client.queued());
        let mut count = sending.rest().len().min(room);
        if short {
            count = count.min(usize::try_from(part).expect("at most 64"));
        }
        link.to_client.write(&sending.rest()[..count], ready);
        sending.wrote(count);
    }

    /// Receives on one connection and hands the bytes, or the end, to the shard.
    fn feed(&mut self, at: usize, socket: Socket) {
        let now = self.now;
        let short = self.chance.percent(self.faults.short_read_percent);
        let part = usize::try_from(self.chance.below(40) + 1).expect("at most 40");
        let link = &mut self.links[index(socket)];
        match link.stage {
            Stage::Lingering { until } => return self.linger(at, socket, until),
            Stage::OneShot | Stage::Armed => {}
            Stage::Gone | Stage::Handed | Stage::Listening => return,
        }
        if link.reset && link.to_server.ready_at().is_some_and(|end| end <= now) && link.paused {
            return self.lose(at, socket);
        }
        if link.paused {
            return;
        }
        let offer = std::mem::take(&mut link.offer);
        let mut bytes = std::mem::take(&mut link.kept);
        if bytes.is_empty() && !offer {
            bytes = link
                .to_server
                .read(now, if short { part } else { RECEIVE_BYTES });
        }
        let conn = link.conn.expect("a connection on a shard has an id");
        if offer || !bytes.is_empty() {
            let taken = self.seats[at].shard.on_bytes(conn, &bytes);
            assert!(taken <= bytes.len(), "on_bytes took more than there is");
            let link = &mut self.links[index(socket)];
            if taken < bytes.len() {
                link.paused = true;
                link.kept = bytes.split_off(taken);
            }
            return;
        }
        if link.to_server.at_end(now) {
            let is_kept = !link.reset && self.seats[at].shard.on_end(conn);
            // Nothing more is read of it.
            self.links[index(socket)].paused = is_kept;
            if !is_kept {
                self.lose(at, socket);
            }
        }
    }

    /// The network is gone: the shard is told, the driver forgets.
    fn lose(&mut self, at: usize, socket: Socket) {
        let conn = self.links[index(socket)]
            .conn
            .expect("a connection on a shard has an id");
        self.seats[at].shard.on_closed(conn);
        self.forget(at, socket);
    }

    fn linger(&mut self, at: usize, socket: Socket, until: Nanos) {
        let now = self.now;
        let link = &mut self.links[index(socket)];
        link.kept.clear();
        link.to_server.read(now, usize::MAX);
        let flushed = link.sending.is_none() && link.last.is_none();
        if flushed {
            link.to_client.finish(now);
        }
        if (flushed && link.to_server.at_end(now)) || until <= now {
            self.forget(at, socket);
        }
    }

    fn forget(&mut self, at: usize, socket: Socket) {
        let now = self.now;
        self.seats[at].sockets.retain(|&s| s != socket);
        let link = self.link(socket);
        link.stage = Stage::Gone;
        link.conn = None;
        link.kept = Vec::new();
        link.sending = None;
        link.last = None;
        link.to_client.finish(now);
    }

    fn apply_effects(&mut self, at: usize) {
        let effects = self.seats[at].shard.effects();
        let released: Vec<_> = effects.released.drain(..).collect();
        let adopted: Vec<_> = effects.adopted.drain(..).collect();
        let established: Vec<_> = effects.established.drain(..).collect();
        let resumed: Vec<_> = effects.resumed.drain(..).collect();
        let closed: Vec<_> = effects.closed.drain(..).collect();
        for (conn, socket) in released {
            self.release(at, conn, socket);
        }
        for (conn, socket) in adopted {
            let link = self.link(socket);
            assert!(
                link.stage != Stage::Gone,
                "adopted a connection that was closed"
            );
            link.conn = Some(conn);
            link.stage = Stage::Armed;
            link.paused = false;
            self.seats[at].sockets.push(socket);
        }
        for conn in established {
            if let Some(socket) = self.socket_of(at, conn) {
                self.link(socket).stage = Stage::Armed;
            }
        }
        for conn in resumed {
            if let Some(socket) = self.socket_of(at, conn) {
                let link = self.link(socket);
                link.paused = false;
                link.offer = true;
            }
        }
        let until = Nanos(self.now.0 + LINGER.0);
        for closing in closed {
            let Some(socket) = self.socket_of(at, closing.conn) else {
                continue;
            };
            let link = self.link(socket);
            link.stage = Stage::Lingering { until };
            link.last = Some(Sending::new(closing.last));
        }
    }

    /// Another shard has the connection from now on, and may have taken it up already.
    fn release(&mut self, at: usize, conn: ConnId, socket: Socket) {
        self.seats[at].sockets.retain(|&s| s != socket);
        let link = self.link(socket);
        if link.conn == Some(conn) && link.stage == Stage::OneShot {
            assert!(
                link.kept.is_empty(),
                "a hand-over takes the bytes that were read"
            );
            assert!(link.sending.is_none(), "a hand-over with a send in flight");
            link.stage = Stage::Handed;
        }
    }

    fn start_sends(&mut self, at: usize) {
        while let Some(conn) = self.seats[at].shard.take_dirty() {
            let output = self.seats[at].shard.take_output(conn);
            let Some(socket) = self.socket_of(at, conn) else {
                continue;
            };
            if let Some(output) = output {
                assert!(
                    self.links[index(socket)].sending.is_none(),
                    "one output at a time"
                );
                assert!(!output.is_empty(), "an output with nothing to send");
                let link = self.link(socket);
                link.sending = Some(Sending::new(output));
                if !link.reset {
                    // As a kernel does before the shard rests; it is reported in the next turn.
                    self.transfer(socket);
                }
            }
        }
    }

    fn socket_of(&self, at: usize, conn: ConnId) -> Option<Socket> {
        let sockets = self.seats[at].sockets.iter().copied();
        sockets
            .into_iter()
            .find(|&s| self.links[index(s)].conn == Some(conn))
    }
}
