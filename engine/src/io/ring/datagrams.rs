//! Datagrams on the ring: one receive for each UDP socket that goes on and on, into buffers of
//! their own.

use super::buffers::Buffers;
use super::port::RingPort;
use crate::io::datagrams::{TURN_MAX, address_of};
use crate::io::host::Host;
use io_uring::cqueue;
use io_uring::types::RecvMsgOut;

/// What a shard receives datagrams with.
pub(super) struct Datagrams {
    buffers: Buffers,
    /// Since the last publish.
    received: usize,
}

/// So many a receive brings at a time; then the kernel goes on with it when it is entered again
/// (`MULTISHOT_MAX_RETRY`).
const RECEIVED_MAX: usize = 32;

/// After so many times it is others' turn.
pub(super) const ROUNDS_MAX: usize = TURN_MAX / RECEIVED_MAX;

impl Datagrams {
    pub(super) fn new(buffers: Buffers) -> Self {
        Self {
            buffers,
            received: 0,
        }
    }

    /// A datagram came to the listener of that number, or its receive is over.
    pub(super) fn on_completion(
        &mut self,
        host: &mut Host,
        port: &mut RingPort,
        at: usize,
        entry: &cqueue::Entry,
    ) {
        let flags = entry.flags();
        if let Some(id) = cqueue::buffer_select(flags) {
            if let Ok(length) = usize::try_from(entry.result()) {
                let bytes = self.buffers.received(id, length);
                if let Ok(message) = RecvMsgOut::parse(bytes, port.datagram_header())
                    && let Some(from) = address_of(message.name_data())
                {
                    host.datagram(at, from, message.payload_data());
                }
            }
            self.buffers.give_back(id);
            self.received += 1;
        }
        if cqueue::more(flags) {
            return;
        }
        if entry.result() == -libc::ENOBUFS {
            self.buffers.ran_out();
        }
        port.datagrams_ended(at);
    }

    /// Behind the completions: offers buffers to the kernel again, and receives again where it had
    /// run out of them. Returns whether more datagrams may wait that no completion will tell of.
    pub(super) fn publish(&mut self, port: &mut RingPort) -> bool {
        self.buffers.publish();
        port.receive_datagrams_again();
        std::mem::take(&mut self.received) >= RECEIVED_MAX
    }
}
